"""Worlds: runs one after another, each from nothing, and errors that say who waits for what."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Coroutine
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from simulator.errors import BackendError, DeadlockError, EndlessError
from simulator.fake import FakeBackend
from simulator.seed import Seed
from simulator.world import CANCELLATIONS_MAX, TIMERS_MAX, World, answer_of


async def get(redis: Redis, key: str) -> Any:
    return await redis.get(key)


def test_time_passes_only_while_someone_waits_for_it(world: World) -> None:
    async def work() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert world.perform(work()).result() == 3600
    assert world.clock.elapsed == 3600


def test_background_work_gets_no_further_than_the_work_it_runs_beside(world: World) -> None:
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(1)
            ticks.append(world.clock.elapsed)

    async def work() -> None:
        asyncio.get_running_loop().create_task(tick())
        await asyncio.sleep(2.5)

    world.perform(work())
    assert ticks == [1, 2]
    world.advance(2)
    assert ticks == [1, 2, 3, 4]
    assert world.clock.elapsed == 4.5


def test_a_failure_is_in_the_task(world: World) -> None:
    async def fails() -> None:
        raise LookupError("lost")

    async def ends() -> int:
        return 3

    async def is_cancelled() -> None:
        raise asyncio.CancelledError

    assert answer_of(world.perform(ends())) == ("returned", 3)
    how, error = answer_of(world.perform(fails()))
    assert (how, str(error)) == ("raised", "lost")
    how, error = answer_of(world.perform(is_cancelled()))
    assert (how, type(error)) == ("raised", asyncio.CancelledError)


def test_a_deadlock_says_who_waits_for_what(world: World) -> None:
    async def pop(redis: Redis) -> None:
        await redis.blpop("never", timeout=0)

    with pytest.raises(DeadlockError) as caught:
        world.perform(pop(world.redis(socket_timeout=None)))
    assert "pop" in str(caught.value)
    assert "test_world.py:" in str(caught.value)
    assert "client.1 waits in BLPOP never 0, and no timer is set" in str(caught.value)


def test_a_deadlock_outside_redis_says_that_nobody_waits_there(world: World) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match=r"waits at .*test_world.py:\d+ for .*: nobody waits in Redis"):
        world.perform(work())


def test_work_that_waits_for_ever_is_an_error(world: World) -> None:
    async def work() -> None:
        while True:  # noqa: ASYNC110 - it is meant to
            await asyncio.sleep(1)

    with pytest.raises(EndlessError, match=f"{TIMERS_MAX} timers fired, and .*work.* has not ended"):
        world.perform(work())


def test_a_background_task_that_does_not_sleep_is_an_error(world: World) -> None:
    async def busy() -> None:
        while True:  # noqa: ASYNC110 - it is meant to
            await asyncio.sleep(0.00001)

    world.loop.start(busy(), ("world",))
    with pytest.raises(EndlessError, match=f"{TIMERS_MAX} timers fired within 60 s"):
        world.advance(60)


def test_work_that_takes_too_many_steps_is_an_error(world: World) -> None:
    async def work(redis: Redis) -> None:
        while True:
            await redis.incr("a")

    with pytest.raises(EndlessError, match="Redis steps were taken and the work goes on; the last was INCRBY a 1"):
        world.perform(work(world.redis()))


def leave_running(world: World, work: Coroutine[Any, Any, None]) -> None:
    with world:
        world.loop.start(work, ("client", 1))
        world.settle()


def test_a_task_that_swallows_its_cancellation_is_an_error() -> None:
    ended = False

    async def stubborn() -> None:
        while not ended:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    world = World(Seed(1))
    urandom = os.urandom
    said = f"stubborn.* goes on although it was cancelled {CANCELLATIONS_MAX} times"
    with pytest.raises(EndlessError, match=said):
        leave_running(world, stubborn())
    assert os.urandom is urandom
    ended = True
    with world:
        assert world.dump() == {}


def test_tasks_clean_up_when_a_run_ends_without_redis_and_without_time(world: World) -> None:
    cleaned: list[str] = []

    async def work(redis: Redis) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append("begun")
            await redis.set("a", 1)
            cleaned.append("never")

    world.loop.start(work(world.redis()), ("client", 1))
    world.settle()
    world.restart()
    assert cleaned == ["begun"]
    assert world.dump() == {}
    assert world.gate.parked == []
    assert world.perform(get(world.redis(), "a")).result() is None


def test_nothing_is_under_way_when_a_world_was_left() -> None:
    async def work(redis: Redis) -> None:
        try:
            await redis.blpop("q", timeout=0)
        finally:
            await redis.set("a", 1)

    world = World(Seed(1))
    with world:
        task = world.loop.start(work(world.redis(socket_timeout=None)), ("client", 1))
        world.settle()
    assert task.done()
    assert world.gate.parked == world.gate.blocked == world.gate.subscribed == []


@pytest.mark.parametrize("pending", ["timer", "task", "event", "metric"])
def test_nothing_of_a_run_is_left_in_the_next(world: World, pending: str) -> None:
    fired: list[str] = []
    match pending:
        case "timer":
            world.loop.call_later(1, fired.append, "timer")
        case "task":
            world.loop.start(asyncio.sleep(1), ("client", 1))
        case "event":
            world.record("seen")
        case "metric":
            world.advance(5)
    world.restart()
    world.advance(10)
    assert fired == []
    assert world.loop.tasks == []
    assert world.take_events() == []
    assert world.clock.elapsed == 10
    assert world.gate.cost.commands == world.gate.steps == 0


def test_clients_survive_a_run_and_are_handed_out_in_the_same_order(world: World) -> None:
    first = [world.redis(), world.redis(decode_responses=True)]
    world.restart()
    assert [world.redis(), world.redis(decode_responses=True)] == first


def test_a_client_with_other_options_takes_the_place_of_the_one_before(world: World) -> None:
    for number in range(1, 20):
        world.restart()
        client = world.redis(socket_timeout=number, retry=Retry(NoBackoff(), number))
        world.perform(get(client, "a"))
    assert client.connection_pool.connection_kwargs["socket_timeout"] == 19
    assert len(world._connections) == len(world._clients) == 1


def test_connections_are_handed_out_in_the_same_order_in_every_run(world: World) -> None:
    async def both(redis: Redis) -> None:
        await asyncio.gather(redis.get("a"), redis.get("b"))

    orders = []
    for _ in range(3):
        world.restart()
        world.gate.trace = []
        world.perform(both(world.redis()))
        orders.append([(step.connection, step.commands) for step in world.gate.trace])
    assert orders[0] == orders[1] == orders[2]


def test_another_seed_has_another_epoch_and_other_draws() -> None:
    def drawn(seed: Seed) -> tuple[int, bytes, float]:
        with World(seed) as world:
            return world.epoch_ns, os.urandom(8), random.random()

    assert len({part for number in range(5) for part in drawn(Seed(number))}) == 15
    assert drawn(Seed(3)) == drawn(Seed(3))


class Broken(FakeBackend):
    """A backend that cannot begin a run."""

    def restart(self, now_ns: int) -> None:
        raise BackendError("not there")


def test_a_world_that_cannot_be_entered_puts_everything_back() -> None:
    urandom, state = os.urandom, random.getstate()
    with pytest.raises(BackendError, match="not there"), World(Seed(1), Broken()):
        pass
    assert os.urandom is urandom
    assert random.getstate() == state


def test_a_clock_that_moves_takes_the_server_along(world: World) -> None:
    async def work(redis: Redis) -> Any:
        await redis.set("a", 1, ex=5)
        await asyncio.sleep(5)
        return await redis.pttl("a")

    assert world.perform(work(world.redis())).result() == 0
    world.advance(0.001)
    assert world.dump() == {}
