"""redis-py's asyncio client, unmodified, on every backend: what its methods return and leave behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError, WatchError

from simulator.backend import Record
from simulator.world import World
from tests.conformance.running import run, start

PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3])


@PROTOCOLS
def test_every_type_is_written_and_read(servers: World, protocol: int) -> None:
    async def work(redis: Redis) -> list[Any]:
        return [
            await redis.set("text", "value"),
            await redis.get("text"),
            await redis.sadd("set", "a", "b"),
            await redis.smembers("set"),
            await redis.hset("hash", mapping={"a": 1, "b": 2}),
            await redis.hgetall("hash"),
            await redis.rpush("list", "a", "b"),
            await redis.lrange("list", 0, -1),
            await redis.zadd("zset", {"a": 1, "b": 2.5}),
            await redis.zrange("zset", 0, -1),
            await redis.zscore("zset", "b"),
            await redis.xadd("stream", {"a": 1}, id="1-1"),
            await redis.xrange("stream"),
        ]

    assert run(servers, work(servers.redis(protocol=protocol))) == [
        *(True, b"value"),
        *(2, {b"a", b"b"}),
        *(2, {b"a": b"1", b"b": b"2"}),
        *(2, [b"a", b"b"]),
        *(2, [b"a", b"b"], 2.5),
        *(b"1-1", [(b"1-1", {b"a": b"1"})]),
    ]


@PROTOCOLS
def test_replies_are_decoded_when_the_client_asks_for_it(servers: World, protocol: int) -> None:
    async def work(redis: Redis) -> list[Any]:
        await redis.set("text", "Grüße")
        await redis.hset("hash", mapping={"a": 1})
        await redis.rpush("list", "a")
        return [
            await redis.get("text"),
            await redis.hgetall("hash"),
            await redis.lrange("list", 0, -1),
            await redis.keys("t*"),
            await redis.ping(),
        ]

    client = servers.redis(decode_responses=True, protocol=protocol)
    assert run(servers, work(client)) == ["Grüße", {"a": "1"}, ["a"], ["text"], True]


def test_clients_of_two_databases_do_not_see_each_other(servers: World) -> None:
    async def work(first: Redis, second: Redis) -> list[Any]:
        await first.set("a", 1)
        await second.set("b", 2)
        return [await first.keys(), await second.keys(), await second.get("a")]

    assert run(servers, work(servers.redis(), servers.redis(db=1))) == [[b"a"], [b"b"], None]
    assert {number: set(records) for number, records in servers.dump().items()} == {0: {b"a"}, 1: {b"b"}}


def test_what_is_stored_is_seen_by_type_value_and_time_to_live(servers: World) -> None:
    async def work(redis: Redis) -> None:
        await redis.set("text", "value", px=1500)
        await redis.sadd("set", "a", "b")
        await redis.hset("hash", mapping={"a": 1, "b": 2})
        await redis.rpush("list", "a", "b")
        await redis.zadd("zset", {"a": 1, "b": 0.1})
        await redis.expire("zset", 60)
        await redis.xadd("stream", {"a": 1}, id="1-1")
        await redis.xadd("stream", {"a": 2}, id="2-1")
        await redis.xgroup_create("stream", "group", id="0")
        await redis.xreadgroup("group", "reader", {"stream": ">"}, count=1)

    run(servers, work(servers.redis()))
    entries = ((b"1-1", {b"a": b"1"}), (b"2-1", {b"a": b"2"}))
    groups = {b"group": {"last": b"1-1", "pending": ((b"1-1", b"reader", 1),)}}
    assert servers.dump() == {
        0: {
            b"hash": Record(kind="hash", value={b"a": b"1", b"b": b"2"}, ttl_ms=None),
            b"list": Record(kind="list", value=(b"a", b"b"), ttl_ms=None),
            b"set": Record(kind="set", value=frozenset({b"a", b"b"}), ttl_ms=None),
            b"stream": Record(kind="stream", value=entries, ttl_ms=None, groups=groups),
            b"text": Record(kind="string", value=b"value", ttl_ms=1500),
            b"zset": Record(kind="zset", value={b"a": b"1", b"b": b"0.1"}, ttl_ms=60_000),
        }
    }


@PROTOCOLS
def test_a_transaction_is_one_step(servers: World, protocol: int) -> None:
    async def work(redis: Redis) -> Any:
        async with redis.pipeline(transaction=True) as pipeline:
            return await pipeline.set("a", 1).incr("a").get("a").execute()

    assert run(servers, work(servers.redis(protocol=protocol))) == [True, 2, b"2"]
    assert servers.gate.steps == 1


@PROTOCOLS
def test_each_command_of_a_plain_pipeline_is_a_step(servers: World, protocol: int) -> None:
    async def work(redis: Redis) -> Any:
        async with redis.pipeline(transaction=False) as pipeline:
            return await pipeline.set("a", 1).incr("a").get("a").execute()

    assert run(servers, work(servers.redis(protocol=protocol))) == [True, 2, b"2"]
    assert servers.gate.steps == 3


def test_an_error_inside_a_transaction_does_not_undo_the_rest(servers: World) -> None:
    async def work(redis: Redis) -> Any:
        await redis.set("a", "x")
        async with redis.pipeline() as pipeline:
            return await pipeline.incr("a").set("b", 1).execute(raise_on_error=False), await redis.get("b")

    (error, stored), after = run(servers, work(servers.redis()))
    assert isinstance(error, ResponseError)
    assert str(error) == "value is not an integer or out of range"
    assert (stored, after) == (True, b"1")


@pytest.mark.parametrize("touched", ["watched", "other"])
def test_a_watched_key_that_was_written_meanwhile_aborts_the_transaction(servers: World, touched: str) -> None:
    async def work(redis: Redis, other: Redis) -> Any:
        async with redis.pipeline() as pipeline:
            await pipeline.watch("watched")
            await other.set(touched, 1)
            pipeline.multi()
            return await pipeline.set("done", 1).execute()

    task = servers.perform(work(servers.redis(), servers.redis()))
    if touched == "watched":
        assert isinstance(task.exception(), WatchError)
    else:
        assert task.result() == [True]
    assert (b"done" in servers.dump()[0]) == (touched == "other")


def test_a_key_that_expired_while_it_was_watched_is_pinned(servers: World, backend_name: str) -> None:
    async def work(redis: Redis) -> Any:
        await redis.set("watched", 1, px=50)
        async with redis.pipeline() as pipeline:
            await pipeline.watch("watched")
            await asyncio.sleep(0.1)
            pipeline.multi()
            return await pipeline.set("done", 1).execute()

    task = servers.perform(work(servers.redis()))
    aborted = isinstance(task.exception(), WatchError)
    assert aborted == {"fakeredis": False, "redis": True, "valkey": True}[backend_name]


def test_a_script_that_the_server_does_not_know_is_sent_once(servers: World) -> None:
    async def work(redis: Redis) -> Any:
        script = redis.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        return [await script(keys=["a"], args=[2]), await script(keys=["a"], args=[3])]

    assert run(servers, work(servers.redis())) == [2, 5]
    assert servers.gate.steps == 4  # EVALSHA, refused; SCRIPT LOAD; EVALSHA; EVALSHA


def test_a_script_is_one_step_and_an_unknown_one_is_refused(servers: World) -> None:
    async def work(redis: Redis) -> Any:
        with pytest.raises(NoScriptError):
            await redis.evalsha("0" * 40, 0)
        return await redis.eval("redis.call('SET', KEYS[1], 1) return redis.call('INCR', KEYS[1])", 1, "a")

    assert run(servers, work(servers.redis())) == 2
    assert servers.gate.steps == 2


def test_no_script_sees_the_globals_of_another(servers: World) -> None:
    async def work(redis: Redis) -> Any:
        with pytest.raises(ResponseError):
            await redis.eval("leaked = 1 return leaked", 0)
        return await redis.eval("return 7", 0)

    assert run(servers, work(servers.redis())) == 7


def test_chance_in_scripts_begins_again_with_each_run_on_fakeredis_only(servers: World, backend_name: str) -> None:
    async def work(redis: Redis) -> Any:
        return [await redis.eval("return math.random(1000000)", 0) for _ in range(2)]

    runs = []
    for _ in range(2):
        servers.restart()
        runs.append(run(servers, work(servers.redis())))
    assert (runs[0] == runs[1]) == {"fakeredis": True, "redis": False, "valkey": False}[backend_name]
    assert runs[0][0] != runs[0][1]


def test_error_replies_are_raised_with_the_words_of_the_server(servers: World) -> None:
    async def work(redis: Redis) -> None:
        await redis.set("a", 1)
        with pytest.raises(ResponseError, match="WRONGTYPE Operation against a key holding the wrong kind of value"):
            await redis.sadd("a", 1)
        with pytest.raises(ResponseError, match="wrong number of arguments for 'get' command"):
            await redis.execute_command("GET")

    run(servers, work(servers.redis()))


def test_a_lock_is_held_by_one_and_handed_on(servers: World) -> None:
    held: list[str] = []

    async def work(redis: Redis, name: str) -> None:
        async with redis.lock("lock", timeout=10, sleep=0.1):
            held.append(f"{name} in")
            await asyncio.sleep(1)
            held.append(f"{name} out")

    first, second = start(servers, work(servers.redis(), "first"), work(servers.redis(), "second"))
    servers.advance(5)
    assert first.done()
    assert second.done()
    assert held == ["first in", "first out", "second in", "second out"]
    assert servers.dump() == {}


def test_a_lock_that_is_taken_is_not_waited_for_longer_than_asked(servers: World) -> None:
    async def work(redis: Redis) -> bool:
        assert await redis.lock("lock", timeout=60).acquire()
        return bool(await redis.lock("lock", blocking_timeout=2).acquire())

    assert run(servers, work(servers.redis())) is False
    assert servers.clock.elapsed == pytest.approx(2, abs=0.2)


def test_the_order_of_steps_is_the_order_of_asking(servers: World) -> None:
    async def work(redis: Redis, name: str) -> None:
        await redis.rpush("order", f"{name}1")
        await redis.rpush("order", f"{name}2")

    tasks = [servers.loop.start(work(servers.redis(), name), ("client", name)) for name in "ab"]
    servers.settle()
    assert all(task.done() for task in tasks)
    assert servers.dump()[0][b"order"].value == (b"a1", b"b1", b"a2", b"b2")
