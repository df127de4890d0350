"""Time and chance of the standard library, virtual while a world is entered and put back afterwards."""

from __future__ import annotations

import os
import random
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from simulator.clock import VirtualClock
from simulator.errors import BlockingCallError
from simulator.seed import Seed
from simulator.virtual import Chance, Virtual
from simulator.world import World

START_NS = 1_893_456_000_123_456_789
REPLACED = [
    (os, "urandom"),
    (random, "_urandom"),
    (random, "seed"),
    (random.Random, "seed"),
    (uuid, "getnode"),
    *((time, name) for name in ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")),
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
        for move_ns in (0, 1_500_000_000, 3_600_000_000_000):
            clock.move_to(START_NS + move_ns)
            virtual.clock_moved()
            assert time.time_ns() // 1000 == clock.now_ns // 1000
            assert time.time() == pytest.approx(clock.now_ns / 1e9, abs=1e-6)
            assert datetime.now(UTC) == clock.now()
            assert datetime.now() == clock.now().replace(tzinfo=None)  # noqa: DTZ005 - the local zone is UTC
            assert time.monotonic_ns() == time.perf_counter_ns() == clock.now_ns
            assert time.monotonic() == time.perf_counter() == clock.now_ns / 1e9
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
