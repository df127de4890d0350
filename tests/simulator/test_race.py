"""Clients at once in a world: who may go, what a step touches in fact, time, and deadlocks that say who waits for what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

import simulator.race
from simulator.errors import DeadlockError, EndlessError
from simulator.explore import Run, replay, systematic
from simulator.faults import FaultPlan
from simulator.footprint import EVERYTHING, Footprint
from simulator.race import Client, Raced, race
from simulator.schedule import FirstCome, Schedule, Turn
from simulator.world import TIMERS_MAX, World

Work = Callable[[], Coroutine[Any, Any, Any]]


def raced(world: World, *clients: Client, by: str = "", **options: Any) -> Raced:
    def run(scheduler: Any) -> Raced:
        return race(world, clients, scheduler, **options)

    return replay(run, Schedule.parse(by)) if by else run(FirstCome())


def values(found: Raced) -> tuple[Any, ...]:
    return tuple(value for _, value in found.answers)


def explored(world: World, make: Callable[[World], list[Client]], mode: Any = "sources", **options: Any) -> set[Any]:
    def run(scheduler: Any) -> Any:
        world.restart()
        return values(race(world, make(world), scheduler, **options))

    search = systematic(run, mode)
    found = {seen.value for seen in search}
    assert search.certificate.complete
    return found


def plain(world: World) -> Redis:
    return world.redis(socket_timeout=None)


def calling(redis: Redis, *commands: str) -> Work:
    async def work() -> Any:
        answer = None
        for command in commands:
            answer = await redis.execute_command(*command.split())
        return answer

    return work


def test_clients_take_turns_as_the_schedule_says(world: World) -> None:
    clients = [Client(calling(plain(world), "INCR n", "INCR n"), replica) for replica in (1, 2)]
    found = raced(world, *clients, by="2 1*2 2")
    assert found.answers == (("returned", 3), ("returned", 4))
    assert found.schedule.text == "2 1*2 2"
    assert [step.commands[0] for step in found.steps] == [(b"INCR", b"n")] * 4


def test_clients_of_one_replica_begin_when_the_schedule_says(world: World) -> None:
    memory: set[str] = set()
    redis = plain(world)

    async def once() -> str:
        if "x" in memory:
            return "remembered"
        memory.add("x")
        await redis.set("x", "1")
        return "done"

    assert values(raced(world, Client(once), Client(once), by="2 1 2")) == ("remembered", "done")


def test_a_client_beside_background_work_of_its_replica_begins_by_a_step(world: World) -> None:
    redis = plain(world)
    world.perform(_started(world, calling(redis, "BLPOP l 0")), ("replica", 1))
    clients = [Client(calling(redis, "GET x"), 1), Client(calling(plain(world), "RPUSH l 1"), 2)]
    found = raced(world, *clients)
    assert found.schedule.text == "2 1*2"
    assert found.steps[0].replicas == {1, 2}


async def _started(world: World, work: Work) -> None:
    world.loop.create_task(work())


def test_work_that_belongs_to_no_replica_conflicts_with_everything(world: World) -> None:
    redis = plain(world)
    world.loop.start(calling(redis, "GET a", "GET b")(), ("world", 0))
    world.loop.start(calling(redis, "BLPOP l 0")(), ("elsewhere",))
    world.loop.run_ready()
    found = raced(world, Client(calling(redis, "RPUSH l 1")), by="world0 elsewhere 1 world0")
    assert [step.footprint for step in found.steps] == [EVERYTHING] * 4


def test_work_in_a_lane_of_the_clients_is_refused(world: World) -> None:
    world.loop.start(asyncio.Event().wait(), ("client", 1, 0))
    with pytest.raises(AssertionError, match="is in a lane of the clients that are about to start"):
        raced(world, Client(calling(plain(world), "GET a")))


def test_a_task_that_a_client_starts_has_a_lane_of_its_own(world: World) -> None:
    redis = plain(world)

    async def parent() -> None:
        task = asyncio.get_running_loop().create_task(calling(redis, "SET a 1", "SET b 1")())
        await redis.get("a")
        await task

    assert raced(world, Client(parent), by="1.0 1 1.0").schedule.switches == 2


def test_a_lane_that_waits_with_several_connections_has_a_name_for_each(world: World) -> None:
    redis = plain(world)

    async def listens() -> Any:
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe("c")  # sent, and nobody waits for the answer
            answer = await redis.get("a")
            await redis.get("b")
            return answer

    found = raced(world, Client(listens), by="1#1 1 1#1")  # the second GET while SUBSCRIBE still waits, as the first
    assert [step.commands[0][0] for step in found.steps] == [b"GET", b"SUBSCRIBE", b"GET"]
    world.restart()
    found = raced(world, Client(listens), by="1 1#1 1")
    assert [step.commands[0][0] for step in found.steps] == [b"SUBSCRIBE", b"GET", b"GET"]


def test_a_step_touches_what_those_touch_that_it_serves(world: World) -> None:
    redis = plain(world)
    found = raced(
        world,
        Client(calling(redis, "BLPOP a b 0"), 1),
        Client(calling(plain(world), "RPUSH a 1"), 2),
        Client(calling(plain(world), "RPUSH b 2"), 3),
        by="1 2 3",
    )
    push = found.steps[1]
    assert push.replicas == {1, 2}
    assert (0, b"b") in push.footprint.writes
    assert found.steps[2].replicas == {3}


def test_either_of_two_who_push_may_serve_one_who_waits(world: World) -> None:
    def clients(world: World) -> list[Client]:
        commands = ("BLPOP a b 0", "RPUSH a 1", "RPUSH b 2")
        return [Client(calling(plain(world), command), replica) for replica, command in enumerate(commands, 1)]

    popped = {value[0] for value in explored(world, clients)}
    assert popped == {(b"a", b"1"), (b"b", b"2")}


def test_a_message_reaches_a_subscriber_within_the_step_that_publishes_it(world: World) -> None:
    redis, other = plain(world), plain(world)

    async def listens() -> Any:
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe("c")
            await pubsub.get_message(timeout=None)
            message = await pubsub.get_message(timeout=None)
            return message["data"] if message else None

    found = raced(world, Client(listens, 1), Client(calling(other, "PUBLISH c m"), 2), by="1 2")
    assert values(found) == (b"m", 1)
    assert found.steps[1].replicas == {1, 2}


def test_what_a_step_drops_it_touches(world: World) -> None:
    redis = plain(world)

    async def gives_up() -> None:
        task = asyncio.get_running_loop().create_task(calling(redis, "BLPOP l 0")())
        await redis.get("a")
        await redis.get("a")
        task.cancel()

    found = raced(world, Client(gives_up, 1), Client(calling(plain(world), "GET l"), 2), by="1 1.0 1 2")
    assert (0, b"l") in found.steps[2].footprint.writes
    assert found.steps[3].footprint == Footprint(reads=frozenset([(0, b"l")]))


def test_after_select_a_connection_conflicts_with_everything(world: World) -> None:
    redis = world.redis(single_connection_client=True)
    found = raced(world, Client(calling(redis, "SELECT 1", "GET a")))
    assert found.steps[-1].footprint == EVERYTHING
    world.restart()
    assert raced(world, Client(calling(plain(world), "GET a"))).steps[-1].footprint != EVERYTHING


def test_a_transaction_reads_what_its_connection_watches(world: World) -> None:
    redis = plain(world)

    async def watches() -> None:
        async with redis.pipeline() as pipe:
            await pipe.watch("a")
            pipe.multi()
            pipe.set("b", "1")
            await pipe.execute()
        await redis.set("c", "1")

    steps = raced(world, Client(watches)).steps
    assert [(0, b"a") in step.footprint.reads for step in steps] == [True, True, False]


# Time.


async def sleeps(world: World, seconds: float) -> float:
    await asyncio.sleep(seconds)
    return world.clock.elapsed


def test_time_passes_only_when_nobody_waits_at_the_gate(world: World) -> None:
    clients = [Client(lambda: sleeps(world, 2), 1), Client(calling(plain(world), "GET a"), 2)]
    found = raced(world, *clients)
    assert found.schedule.text == "2 timer"
    assert found.steps[-1].forced
    assert found.steps[-1].footprint == EVERYTHING


def test_timers_may_race(world: World) -> None:
    def clients(world: World) -> list[Client]:
        async def impatient() -> str:
            try:
                async with asyncio.timeout(1):
                    await redis.get("a")
            except TimeoutError:
                return "late"
            return "in time"

        redis = plain(world)
        return [Client(impatient)]

    assert explored(world, clients) == {("in time",)}
    assert explored(world, clients, timers_race=True) == explored(world, clients, "all", timers_race=True)
    assert explored(world, clients, timers_race=True) == {("in time",), ("late",)}


def leases(world: World) -> list[Client]:
    def holder(redis: Redis, token: str) -> Work:
        async def work() -> bool:
            if not await redis.set("lease", token, nx=True, ex=10):
                return False
            return bool(await redis.get("lease") == token.encode())

        return work

    return [Client(holder(plain(world), token), replica) for replica, token in enumerate("AB", 1)]


def test_the_clock_may_move_at_any_step(world: World) -> None:
    assert explored(world, leases) == {(True, False), (False, True)}
    moved = explored(world, leases, moves=(11,))
    assert moved == explored(world, leases, "all", moves=(11,))
    assert (False, True) in moved
    assert (True, True) in moved


def test_a_move_of_the_clock_fires_what_falls_due_on_the_way(world: World) -> None:
    found = raced(world, Client(lambda: sleeps(world, 2), 1), by="clock", moves=(5,))
    assert values(found) == (2,)
    world.restart()
    found = raced(world, Client(lambda: sleeps(world, 2), 1), by="clock timer", moves=(1,))
    assert values(found) == (2,)


def test_a_move_that_comes_before_a_timer_and_one_that_comes_after_are_both_tried(world: World) -> None:
    def clients(world: World) -> list[Client]:
        async def work() -> float:
            await asyncio.sleep(2)
            await redis.get("a")
            return world.clock.elapsed

        redis = plain(world)
        return [Client(work)]

    assert (
        explored(world, clients, moves=(5,)) == explored(world, clients, "all", moves=(5,)) == {(2.0,), (5.0,), (7.0,)}
    )


# Faults.


def test_a_client_whose_replica_crashes_before_it_has_begun_has_crashed_too(world: World) -> None:
    one, other = plain(world), plain(world)
    world.arm(FaultPlan.parse("crash after @1 of 1"))
    found = raced(
        world,
        Client(calling(one, "SET a 1", "SET b 1"), 1),
        Client(calling(one, "SET c 1"), 1),
        Client(calling(other, "GET a"), 2),
        by="1*2 3",
    )
    assert found.answers == (("crashed", None), ("crashed", None), ("returned", b"1"))
    assert world.unstruck == ()


def test_a_client_that_has_begun_crashes_with_its_replica_where_it_stands(world: World) -> None:
    one, other = plain(world), plain(world)
    world.arm(FaultPlan.parse("crash before @2 of 2"))
    clients = [
        Client(calling(one, "SET a 1"), 1),
        Client(calling(one, "SET b 1", "SET c 1"), 1),
        Client(calling(other, "MGET a b c"), 2),
    ]
    found = raced(world, *clients, by="1 2*3 3")
    assert found.answers == (("crashed", None), ("crashed", None), ("returned", [None, b"1", None]))


def test_a_replica_that_crashed_before_and_was_built_again_serves_its_clients(world: World) -> None:
    redis = plain(world)
    world.crash(1)
    assert values(raced(world, *[Client(calling(redis, "INCR n"), 1)] * 2)) == (1, 2)


def test_a_step_at_which_a_fault_is_due_conflicts_with_everything_before_it_is_taken(world: World) -> None:
    class Looks(FirstCome):
        def __init__(self) -> None:
            self.seen: list[tuple[str, bool]] = []

        def choose(self, turns: Sequence[Turn]) -> int:
            self.seen.append((turns[0].lane, turns[0].footprint == EVERYTHING))
            return 0

    redis = plain(world)
    world.arm(FaultPlan.parse("crash before @2 of 1"))
    looks = Looks()
    race(world, [Client(calling(redis, "GET a", "GET b", "GET c"))], looks)
    assert looks.seen == [("1", False), ("1", True)]


@pytest.mark.parametrize(
    "plan", ["crash before @1 of 1", "crash after @1 of 1", "crash after @2 of 1", "reply lost @2 of 2"]
)
def test_with_a_fault_in_a_lane_the_classes_are_those_of_all_schedules(world: World, plan: str) -> None:
    def outcomes(mode: Any) -> set[Any]:
        def run(scheduler: Any) -> Any:
            world.restart()
            works = [calling(world.redis(), "SET a 1", "INCR b"), calling(world.redis(), "GET a", "INCR b")]
            world.arm(FaultPlan.parse(plan))
            clients = [Client(works[0], 1), Client(works[1], 2), Client(calling(plain(world), "GET b"), 1)]
            found = race(world, clients, scheduler)
            return [(how, str(value)) for how, value in found.answers], sorted(world.dump().get(0, {}).items())

        return {repr(seen.value) for seen in systematic(run, mode)}

    assert outcomes("sources") == outcomes("all")


# Bounds.


def test_a_deadlock_says_who_waits_for_what(world: World) -> None:
    clients = [Client(calling(plain(world), f"BLPOP {key} 0"), replica) for replica, key in enumerate("ab", 1)]
    with pytest.raises(DeadlockError) as caught:
        raced(world, *clients)
    assert "client.1 waits in BLPOP a 0; client.2 waits in BLPOP b 0" in str(caught.value)
    assert str(caught.value).count("test_race.py:") == 2


def test_a_deadlock_is_found_in_the_schedules_that_have_it(world: World) -> None:
    def run(scheduler: Any) -> Any:
        world.restart()
        clients = [Client(calling(plain(world), "SET a 1", "DEL l"), 1), Client(calling(plain(world), "BLPOP l 0"), 2)]
        clients.append(Client(calling(plain(world), "RPUSH l 1"), 3))
        try:
            return values(race(world, clients, scheduler))[1]
        except DeadlockError:
            return "deadlock"

    typed: Run[Any] = run
    assert {seen.value for seen in systematic(typed)} == {"deadlock", (b"l", b"1")}


def test_clients_that_do_not_end_are_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy() -> None:
        while True:  # noqa: ASYNC110 - it is meant to
            await asyncio.sleep(0.00001)

    monkeypatch.setattr(simulator.race, "STEPS_MAX", 10)
    monkeypatch.setattr(simulator.race, "TIMERS_MAX", 10)
    with pytest.raises(EndlessError, match="the clients have not ended after 20 steps and timers"):
        raced(world, Client(busy))
    world.restart()
    with pytest.raises(EndlessError, match="timers fired in one move of the clock"):
        raced(world, Client(busy), moves=(1,))
    assert TIMERS_MAX > 10
