"""Commands that wait, on every backend: none of them reaches a server in a form that would hold it up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from simulator.world import World
from tests.conformance.running import run, start

PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3])


async def group(redis: Redis) -> None:
    await redis.xgroup_create("stream", "group", id="$", mkstream=True)


# What waits, what serves it, what it then returns, and what it returns when nothing comes.
WAITING: dict[str, tuple[Any, Any, Any, Any]] = {
    "blpop": (lambda r: r.blpop("q", timeout=2), lambda r: r.rpush("q", "a", "b"), [b"q", b"a"], None),
    "brpop": (lambda r: r.brpop("q", timeout=2), lambda r: r.rpush("q", "a", "b"), [b"q", b"b"], None),
    "blpop of two": (lambda r: r.blpop(["p", "q"], timeout=2), lambda r: r.rpush("q", "a"), [b"q", b"a"], None),
    "brpoplpush": (lambda r: r.brpoplpush("q", "d", timeout=2), lambda r: r.rpush("q", "a", "b"), b"b", None),
    "blmove": (lambda r: r.blmove("q", "d", 2, "LEFT", "RIGHT"), lambda r: r.rpush("q", "a", "b"), b"a", None),
    "blmpop": (lambda r: r.blmpop(2, 1, "q", direction="LEFT"), lambda r: r.rpush("q", "a"), [b"q", [b"a"]], None),
    "bzpopmin": (
        lambda r: r.bzpopmin("z", timeout=2),
        lambda r: r.zadd("z", {"a": 1, "b": 2}),
        [b"z", b"a", 1.0],
        None,
    ),
    "bzpopmax": (
        lambda r: r.bzpopmax("z", timeout=2),
        lambda r: r.zadd("z", {"a": 1, "b": 2}),
        [b"z", b"b", 2.0],
        None,
    ),
}


@PROTOCOLS
@pytest.mark.parametrize("case", WAITING)
def test_a_client_that_waits_is_served_by_the_step_that_brings_what_it_waits_for(
    servers: World, case: str, protocol: int
) -> None:
    wait, serve, expected, _ = WAITING[case]

    async def waiter(redis: Redis) -> Any:
        return await wait(redis)

    async def server(redis: Redis) -> None:
        await serve(redis)

    client = servers.redis(protocol=protocol)
    waiting, serving = start(servers, waiter(client), server(servers.redis()))
    assert serving.done()
    got = waiting.result()
    assert (list(got) if isinstance(got, (tuple, list)) else got) == expected
    assert servers.clock.elapsed == 0


@PROTOCOLS
@pytest.mark.parametrize("case", WAITING)
def test_a_client_that_waits_in_vain_gives_up_when_its_time_is_over(servers: World, case: str, protocol: int) -> None:
    wait, _, _, nothing = WAITING[case]

    async def waiter(redis: Redis) -> Any:
        return await wait(redis)

    assert run(servers, waiter(servers.redis(protocol=protocol))) == nothing
    assert servers.clock.elapsed == 2


@pytest.mark.parametrize("case", WAITING)
def test_a_client_that_need_not_wait_does_not(servers: World, case: str) -> None:
    wait, serve, expected, _ = WAITING[case]

    async def work(redis: Redis) -> Any:
        await serve(redis)
        return await wait(redis)

    got = run(servers, work(servers.redis()))
    assert (list(got) if isinstance(got, (tuple, list)) else got) == expected


@PROTOCOLS
def test_a_reader_of_a_stream_gets_what_came_after_it_began_to_wait(servers: World, protocol: int) -> None:
    async def reader(redis: Redis) -> Any:
        return await redis.xread({"stream": "$"}, block=2000)

    async def writer(redis: Redis) -> None:
        await redis.set("unrelated", 1)
        await redis.xadd("stream", {"a": "new"}, id="2-1")

    servers.perform(servers.redis().xadd("stream", {"a": "old"}, id="1-1"))
    waiting, _ = start(servers, reader(servers.redis(protocol=protocol)), writer(servers.redis()))
    entries = [(b"2-1", {b"a": b"new"})]
    assert waiting.result() == ([[b"stream", entries]] if protocol == 2 else {b"stream": [entries]})


@PROTOCOLS
def test_a_reader_of_a_stream_that_gets_nothing_gives_up(servers: World, protocol: int) -> None:
    async def reader(redis: Redis) -> Any:
        return await redis.xread({"stream": "$"}, block=500)

    assert not run(servers, reader(servers.redis(protocol=protocol)))
    assert servers.clock.elapsed == 0.5


def test_a_reader_of_a_group_is_served_once_and_its_entry_is_pending(servers: World) -> None:
    async def reader(redis: Redis, name: str) -> Any:
        return await redis.xreadgroup("group", name, {"stream": ">"}, block=2000)

    async def writer(redis: Redis) -> None:
        await redis.xadd("stream", {"a": 1}, id="1-1")

    run(servers, group(servers.redis()))
    first, second, _ = start(
        servers, reader(servers.redis(), "first"), reader(servers.redis(), "second"), writer(servers.redis())
    )
    assert first.result() == [[b"stream", [(b"1-1", {b"a": b"1"})]]]
    assert not second.done()
    assert servers.dump()[0][b"stream"].groups[b"group"]["pending"] == ((b"1-1", b"first", 1),)
    servers.advance(2)
    assert not second.result()


def test_the_client_that_has_waited_longest_is_served_first(servers: World) -> None:
    async def waiter(redis: Redis) -> Any:
        return (await redis.blpop("q", timeout=0))[1]

    async def server(redis: Redis) -> None:
        await redis.rpush("q", "a", "b")
        await redis.rpush("q", "c")

    clients = [servers.redis(socket_timeout=None) for _ in range(3)]
    *waiting, _ = start(servers, *map(waiter, clients), server(servers.redis()))
    assert [task.result() for task in waiting] == [b"a", b"b", b"c"]


def test_serving_one_client_serves_an_older_one_that_waits_for_its_result(servers: World) -> None:
    async def last(redis: Redis) -> Any:
        return await redis.blpop("second", timeout=2)

    async def between(redis: Redis) -> Any:
        return await redis.blmove("first", "second", 2)

    waiting, moving, _ = start(
        servers, last(servers.redis()), between(servers.redis()), servers.redis().rpush("first", "a")
    )
    assert moving.result() == b"a"
    assert waiting.result() == (b"second", b"a")


def test_a_key_of_another_type_is_an_error_at_once(servers: World) -> None:
    async def work(redis: Redis) -> None:
        await redis.set("q", 1)
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await redis.blpop("q", timeout=2)

    run(servers, work(servers.redis()))
    assert servers.clock.elapsed == 0


def test_a_client_that_is_cancelled_while_it_waits_takes_nothing_and_can_be_used_again(servers: World) -> None:
    async def work(redis: Redis) -> Any:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(redis.blpop("q", timeout=60), 1)
        await redis.rpush("q", "a")
        return await redis.lrange("q", 0, -1), await redis.blpop("q", timeout=60)

    assert run(servers, work(servers.redis(socket_timeout=None))) == ([b"a"], (b"q", b"a"))
    assert servers.clock.elapsed == 1


def test_a_client_whose_request_times_out_takes_nothing_and_can_be_used_again(servers: World) -> None:
    async def work(redis: Redis) -> Any:
        with pytest.raises(RedisTimeoutError):
            await redis.blpop("q", timeout=60)
        await redis.rpush("q", "a")
        return await redis.blpop("q", timeout=60)

    assert run(servers, work(servers.redis(socket_timeout=1, retry=None))) == (b"q", b"a")
    assert servers.gate.blocked == []


def test_a_command_that_waits_inside_a_transaction_does_not(servers: World) -> None:
    async def work(redis: Redis) -> Any:
        async with redis.pipeline() as pipeline:
            return await pipeline.blpop("q", timeout=2).set("a", 1).execute()

    assert run(servers, work(servers.redis())) == [None, True]
    assert servers.clock.elapsed == 0


def test_a_connection_that_is_used_after_waiting_is_not_out_of_step(servers: World) -> None:
    async def work(redis: Redis) -> Any:
        seen = [await redis.blpop("q", timeout=1)]
        await redis.set("a", 1)
        seen.append(await redis.get("a"))
        return seen

    assert run(servers, work(servers.redis(single_connection_client=True))) == [None, b"1"]
