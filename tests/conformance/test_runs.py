"""Runs on every backend: nothing of one is left in the next, and the same seed makes the same run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from simulator.backend import Backend
from simulator.gate import Step
from simulator.seed import Seed
from simulator.world import World
from tests.conformance.running import run, start
from tests.conftest import SEED


def test_nothing_that_was_stored_is_left_in_the_next_run(servers: World) -> None:
    async def work(first: Redis, second: Redis) -> None:
        await first.set("a", 1)
        await second.set("b", 1)

    run(servers, work(servers.redis(), servers.redis(db=1)))
    servers.restart()
    assert servers.dump() == {}


def test_no_script_is_left_in_the_next_run(servers: World) -> None:
    async def load(redis: Redis) -> Any:
        return await redis.script_load("return 1")

    async def ask(redis: Redis, sha: str) -> Any:
        return await redis.script_exists(sha)

    sha = run(servers, load(servers.redis()))
    servers.restart()
    assert run(servers, ask(servers.redis(), sha)) == [False]


def test_no_subscription_is_left_in_the_next_run(servers: World) -> None:
    async def subscribe(redis: Redis) -> None:
        await redis.pubsub().subscribe("news")

    run(servers, subscribe(servers.redis()))
    servers.restart()
    assert run(servers, _awaited(servers.redis().publish("news", 1))) == 0


def test_no_watch_and_no_transaction_is_left_in_the_next_run(servers: World) -> None:
    async def begin(redis: Redis) -> None:
        await redis.execute_command("WATCH", "a")
        await redis.execute_command("MULTI")
        await redis.execute_command("SET", "a", 1)

    async def go_on(redis: Redis, other: Redis) -> Any:
        await other.set("a", 2)
        async with redis.pipeline() as pipeline:
            return await pipeline.get("a").execute()

    run(servers, begin(servers.redis(single_connection_client=True)))
    servers.restart()
    assert run(servers, go_on(servers.redis(single_connection_client=True), servers.redis())) == [b"2"]


def test_nobody_who_waited_is_served_in_the_next_run(servers: World) -> None:
    async def waiter(redis: Redis) -> Any:
        return await redis.blpop("q", timeout=0)

    (waiting,) = start(servers, waiter(servers.redis(socket_timeout=None)))
    servers.restart()
    assert waiting.cancelled()
    run(servers, _awaited(servers.redis(socket_timeout=None).rpush("q", "a")))
    assert servers.dump()[0][b"q"].value == (b"a",)


def test_a_connection_that_was_used_on_one_database_does_not_stay_there(servers: World) -> None:
    async def select(redis: Redis) -> None:
        await redis.execute_command("SELECT", 3)
        await redis.set("a", 1)

    run(servers, select(servers.redis(single_connection_client=True)))
    assert set(servers.dump()) == {3}
    servers.restart()
    run(servers, _awaited(servers.redis(single_connection_client=True).set("a", 1)))
    assert set(servers.dump()) == {0}


def test_a_connection_dropped_by_cancellation_loses_its_reply_and_is_connected_again(servers: World) -> None:
    async def work(redis: Redis) -> Any:
        task = asyncio.ensure_future(redis.get("a"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await redis.set("a", 1)
        return await redis.get("a")

    assert run(servers, work(servers.redis(single_connection_client=True))) == b"1"


def test_the_same_seed_makes_the_same_run_byte_for_byte(backend: Backend) -> None:
    async def work(redis: Redis, number: int) -> None:
        for _ in range(3):
            await redis.rpush("all", await redis.incr("n"))
            await redis.xadd("stream", {"by": number})
            await asyncio.sleep(number / 10)
            await redis.blpop("all", timeout=1)

    def steps(world: World) -> list[Step]:
        world.restart()
        world.gate.trace = []
        start(world, *(work(world.redis(), number) for number in (1, 2)))
        world.advance(10)
        return world.gate.trace

    with World(SEED, backend) as world:
        first, second = repr(steps(world)), repr(steps(world))
    with World(SEED, backend) as world:
        third = repr(steps(world))
    assert first == second == third
    assert first.count("Step(") > 20


def test_another_seed_has_another_epoch(backend: Backend) -> None:
    if not backend.has_clock:
        pytest.skip("the clock of this server cannot be moved")
    idents = set()
    for number in range(5):
        with World(Seed(number), backend) as world:
            idents.add(run(world, _awaited(world.redis().xadd("stream", {"a": 1}))))
    assert len(idents) == 5


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
