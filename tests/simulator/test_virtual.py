"""Time and chance of the standard library, virtual while a world is entered and put back afterwards."""

from __future__ import annotations

import functools
import os
import random
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from time import time as time_by_name
from typing import Any

import pytest
from redis.asyncio import Redis

from characterization.renaming import Renamer
from simulator.clock import NANOSECONDS, VirtualClock
from simulator.errors import BlockingCallError
from simulator.explore import Mode, systematic
from simulator.race import Client, race
from simulator.schedule import Scheduler
from simulator.seed import Seed
from simulator.virtual import WORLD, Chance, Virtual, current_lane
from simulator.world import World

START_NS = 1_893_456_000_123_456_789
REPLACED = [
    (os, "urandom"),
    (random, "_urandom"),
    (random, "seed"),
    (random.Random, "seed"),
    (uuid, "getnode"),
    *((time, name) for name in ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")),
    *((random, name) for name in ("random", "getrandbits", "gauss", "getstate", "setstate")),
]


def now() -> list[Any]:
    return [getattr(module, name) for module, name in REPLACED]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START_NS)


def test_every_clock_of_the_standard_library_shows_the_world(clock: VirtualClock) -> None:
    virtual = Virtual(clock, Chance())
    virtual.enter()
    try:
        for move_ns in (0, 999, 1_500_000_000, 1_700_000_001_234, 1_700_999_999_999, 3_600_000_000_000):
            clock.move_to(START_NS + move_ns)
            virtual.clock_moved()
            assert time.time_ns() // 1000 == clock.now_ns // 1000
            assert time.time() == time_by_name() == time.time_ns() / NANOSECONDS
            assert datetime.now(UTC) == clock.now()
            assert datetime.now() == clock.now().replace(tzinfo=None)  # noqa: DTZ005 - the local zone is UTC
            assert time.monotonic_ns() == time.perf_counter_ns() == clock.now_ns
            assert time.monotonic() == time.perf_counter() == clock.now_ns / NANOSECONDS
    finally:
        virtual.leave()


def test_the_clock_can_go_back_to_the_epoch_for_the_next_run(clock: VirtualClock) -> None:
    virtual = Virtual(clock, Chance())
    virtual.enter()
    try:
        clock.move_to(START_NS + 86_400_000_000_000)
        virtual.clock_moved()
        clock.restart(START_NS)
        virtual.clock_moved()
        assert datetime.now(UTC) == clock.now()
    finally:
        virtual.leave()


def test_moving_the_clock_of_a_world_that_was_not_entered_moves_nothing_else(clock: VirtualClock) -> None:
    clock.move_to(START_NS + 1)
    Virtual(clock, Chance()).clock_moved()
    assert datetime.now(UTC) != clock.now()


def test_everything_is_put_back(clock: VirtualClock) -> None:
    before, state, zone = now(), random.getstate(), os.environ.get("TZ")
    virtual = Virtual(clock, Chance())
    virtual.enter()
    random.random()
    assert all(ours is not theirs for ours, theirs in zip(now(), before, strict=True))
    virtual.leave()
    assert now() == before
    assert vars(random.seed.__self__).keys() == {"gauss_next"}  # type: ignore[attr-defined]
    assert random.getstate() == state
    assert os.environ.get("TZ") == zone
    assert datetime.now(UTC).year < 2030


def test_everything_is_put_back_after_an_error() -> None:
    before, state = now(), random.getstate()
    with pytest.raises(KeyboardInterrupt), World(Seed(1)):
        raise KeyboardInterrupt
    assert now() == before
    assert random.getstate() == state


def test_a_world_is_entered_once(clock: VirtualClock) -> None:
    virtual = Virtual(clock, Chance())
    virtual.enter()
    with pytest.raises(AssertionError, match="entered once"):
        virtual.enter()
    virtual.leave()
    with pytest.raises(AssertionError, match="after it was entered"):
        virtual.leave()


def drawn() -> tuple[Any, ...]:
    return (
        *(os.urandom(8), uuid.uuid4(), secrets.token_hex(8), secrets.randbelow(1 << 60)),
        *(random.random(), random.SystemRandom().random(), random.Random().random(), uuid.uuid1()),
        *(random.seed(), random.random()),
    )


def test_the_same_seed_draws_the_same_and_another_one_does_not() -> None:
    def of(seed: Seed) -> tuple[Any, ...]:
        with World(seed):
            return drawn()

    first, again, other = of(Seed(1)), of(Seed(1)), of(Seed(2))
    assert first == again
    assert all(ours != theirs for ours, theirs in zip(first, other, strict=True) if ours is not None)


def test_a_new_run_draws_the_same_again() -> None:
    with World(Seed(1)) as world:
        first = drawn()
        world.restart()
        assert drawn() == first


def test_what_was_drawn_is_remembered_in_order() -> None:
    chance = Chance()
    chance.restart(Seed(3))
    first, second = chance.urandom(4), chance.urandom(16)
    assert chance.draws == [first, second]
    chance.restart(Seed(3))
    assert chance.draws == []
    assert chance.urandom(4) == first


def test_an_identifier_can_be_recognised_by_what_was_drawn_for_it() -> None:
    with World(Seed(1)) as world:
        token = secrets.token_bytes(16)
        assert world.chance.draws == [token]


Draws = dict[str, list[Any]]


def in_lanes(world: World, schedule: str, draw: Callable[[], Any]) -> Draws:
    """What the lanes that ``schedule`` names draw, a letter for each time, when they draw in that order."""
    drawn: Draws = {lane: [] for lane in sorted(set(schedule))}

    async def once(lane: str) -> None:
        drawn[lane].append(draw())

    world.restart()
    for lane in schedule:
        world.perform(once(lane), ("client", lane)).result()
    return drawn


SOURCES: list[Callable[[], Any]] = [
    *(lambda: os.urandom(8), uuid.uuid4, lambda: secrets.token_hex(8), lambda: random.Random().random()),
    *(lambda: random.SystemRandom().random(), lambda: random.getrandbits(64)),
    lambda: random.random(),  # noqa: PLW0108 - that of the module as it is then
    *(lambda: random.gauss(0, 1), lambda: random.choice(range(1 << 40)), lambda: random.sample(range(1 << 40), 3)),
    *(lambda: random.randbytes(8), lambda: random.uniform(0, 1), lambda: random.randrange(1 << 60)),
    lambda: random.normalvariate(0, 1),
]


@pytest.mark.parametrize("draw", SOURCES)
def test_what_a_lane_draws_does_not_depend_on_when_others_do(world: World, draw: Callable[[], Any]) -> None:
    every = [in_lanes(world, schedule, draw) for schedule in ("aaabbb", "ababab", "bbabaa")]
    assert every[0] == every[1] == every[2]
    assert len({str(value) for drawn in every[0].values() for value in drawn}) == 6


FROM_EARLIER = random.uniform


def test_functions_that_were_taken_by_name_draw_in_their_lane_too(world: World) -> None:
    def drawn(schedule: str) -> Draws:
        return in_lanes(world, schedule, lambda: FROM_EARLIER(0, 1))

    assert drawn("aabb") == drawn("bbaa")


def test_a_lane_is_seeded_alone(world: World) -> None:
    def seeds() -> float:
        random.seed(7)
        return random.random()

    expected = random.Random(7).random()
    plain = in_lanes(world, "ba", random.random)
    seeded = in_lanes(world, "a", seeds)
    assert seeded == {"a": [expected]}

    async def draws() -> float:
        return random.random()

    assert world.perform(draws(), ("client", "b")).result() == plain["b"][0]


def test_a_service_that_seeds_when_it_starts_draws_the_same_whatever_the_seed_of_the_run() -> None:
    def drawn(seed: Seed, number: int) -> tuple[float, Draws]:
        with World(seed) as world:
            values: Draws = {}

            async def draws() -> None:
                values["a"] = [random.random(), random.random()]

            random.seed(number)
            world.perform(draws(), ("client", "a")).result()
            return random.random(), values

    assert drawn(Seed(1), 7) == drawn(Seed(2), 7)
    assert drawn(Seed(1), 7)[0] == random.Random(7).random()
    assert drawn(Seed(1), 7) != drawn(Seed(1), 8)


def test_a_state_of_the_module_can_be_taken_and_given_back(world: World) -> None:
    state = random.getstate()
    first = [random.random(), random.gauss(0, 1)]
    random.setstate(state)
    assert [random.random(), random.gauss(0, 1)] == first


def test_where_lanes_race_the_order_of_draws_does_not_depend_on_which_came_first(world: World) -> None:
    def draws(schedule: str, *, race: bool) -> list[bytes]:
        world.restart()
        first = os.urandom(4)
        if race:
            world.chance.lanes_race()
        for lane in schedule:
            world.perform(_draws(), ("client", lane)).result()
        assert world.chance.draws[0] == first
        return list(world.chance.draws)

    early, late = draws("baba", race=False), draws("abab", race=False)
    assert early != late
    assert sorted(early) == sorted(late)
    assert draws("baba", race=True) == draws("abab", race=True) == [late[0], late[1], late[3], late[2], late[4]]
    assert draws("baba", race=False) == early  # a new run begins with the order of drawing again


async def _draws() -> None:
    os.urandom(4)


def test_a_reduction_has_the_identifiers_that_plain_search_has(world: World) -> None:
    """Steps that commute give equal outcomes only if what is drawn between them is named alike in either order."""

    async def makes(client: Redis, key: str) -> str:
        await client.get(key)
        token = secrets.token_hex(8)
        await client.set(key, token)
        return token

    def outcomes(mode: Mode, *, race_known: bool) -> set[Any]:
        def run(scheduler: Scheduler) -> Any:
            world.restart()
            if race_known:
                world.chance.lanes_race()
            clients = [
                Client(functools.partial(makes, world.redis(), key), replica) for replica, key in ((1, "a"), (2, "b"))
            ]
            answers = race(world, clients, scheduler).answers
            return tuple(Renamer(world.clock.started_ns, world.chance.draws).text(value) for _, value in answers)

        return {seen.value for seen in systematic(run, mode)}

    assert outcomes("sources", race_known=True) == outcomes("all", race_known=True) == {("token#1", "token#2")}
    assert outcomes("sources", race_known=False) < outcomes("all", race_known=False)


def test_what_runs_outside_of_tasks_is_in_the_worlds_own_lane(world: World) -> None:
    seen: list[Any] = []

    async def work() -> None:
        seen.append(current_lane())
        world.loop.call_soon(lambda: seen.append(current_lane()))

    seen.append(current_lane())
    world.perform(work(), ("client", 3)).result()
    assert seen == [WORLD, ("client", 3), WORLD]


def test_an_identifier_made_of_time_and_place_names_the_world_and_not_the_machine() -> None:
    with World(Seed(1)) as world:
        first, second = uuid.uuid1(), uuid.uuid1()
        world.restart()
        assert (uuid.uuid1(), uuid.uuid1()) == (first, second)
    assert first != second
    assert first.node == second.node == 0x02_00_00_00_00_01


def test_sleeping_is_refused_with_the_line_that_slept() -> None:
    called = r"time\.sleep\(0\.1\) was called in .*test_virtual\.py:\d+: "
    with World(Seed(1)), pytest.raises(BlockingCallError, match=called):
        time.sleep(0.1)
