"""Schedules as text, and schedulers, on turns that nothing stands behind."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from simulator.footprint import EVERYTHING, footprint_of
from simulator.schedule import (
    PCT,
    POS,
    SURW,
    Chooser,
    DivergedError,
    FirstCome,
    Follow,
    RandomWalk,
    Recorded,
    Replay,
    Schedule,
    Scheduler,
    Turn,
    dependent,
    lane_name,
)


def turn(lane: str, command: str = "GET a", replica: int | None = None) -> Turn:
    commands = (tuple(command.encode().split()),)
    number = replica if replica is not None else int(lane)
    return Turn(lane=lane, replicas=frozenset([number]), footprint=footprint_of(commands), commands=commands)


def run(scheduler: Scheduler, **lanes: Sequence[str]) -> str:
    """Let lanes ``_1``, ``_2``... take their commands; the schedule that came of it."""
    recorded = Recorded(scheduler)
    left = {lane[1:]: list(commands) for lane, commands in lanes.items()}
    waiting = {lane: turn(lane, commands.pop(0)) for lane, commands in left.items() if commands}
    while waiting:
        turns = list(waiting.values())
        taken = turns[recorded.choose(turns)]
        del waiting[taken.lane]
        if left[taken.lane]:
            waiting[taken.lane] = turn(taken.lane, left[taken.lane].pop(0))
        recorded.took(taken)
    return recorded.schedule.text


@pytest.mark.parametrize(
    ("lanes", "text", "switches"),
    [
        (("1", "1", "2", "2", "2", "1"), "1*2 2*3 1", 2),
        (("1",), "1", 0),
        ((), "", 0),
        (("1.0", "1#1", "replica2.0", "clock"), "1.0 1#1 replica2.0 clock", 3),
    ],
)
def test_a_schedule_is_spelled_by_blocks(lanes: tuple[str, ...], text: str, switches: int) -> None:
    schedule = Schedule(lanes)
    assert str(schedule) == schedule.text == text
    assert Schedule.parse(text) == schedule
    assert schedule.switches == switches


@pytest.mark.parametrize("text", ["1*", "*2", "1*0", "1*x", "1*2*3"])
def test_what_is_not_a_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is neither a lane nor lane"):
        Schedule.parse(f"1 {text}")


@pytest.mark.parametrize(
    ("lane", "name"),
    [
        (("client", 2), "2"),
        (("client", 2, 0, 1), "2.0.1"),
        (("replica", 1), "replica1"),
        (("world", 3), "world3"),
        (("a b*", "#"), "a_b__"),
    ],
)
def test_a_lane_has_a_name_that_a_schedule_can_spell(lane: tuple[object, ...], name: str) -> None:
    assert lane_name(lane) == name
    assert Schedule.parse(Schedule((name, name)).text).lanes == (name, name)


def test_steps_depend_on_each_other_by_what_they_touch_and_by_whose_code_runs() -> None:
    assert not dependent(turn("1", "GET a"), turn("2", "GET a"))
    assert dependent(turn("1", "GET a"), turn("2", "SET a 1"))
    assert dependent(turn("1", "GET a"), turn("2", "GET b", replica=1))
    served = turn("1", "RPUSH a 1").touching(frozenset([3]), footprint_of(((b"BLPOP", b"a", b"b", b"0"),)))
    assert dependent(served, turn("2", "RPUSH b 1"))
    assert dependent(served, turn("3", "PING"))
    assert turn("1").touching(frozenset(), EVERYTHING).footprint == EVERYTHING


def test_a_replay_is_to_the_letter() -> None:
    assert run(Replay(Schedule.parse("2 1*2")), _1=["GET a"] * 2, _2=["GET a"]) == "2 1*2"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 3", "step 2 of the schedule is for 3, and 2 and 1 could take it"),
        ("1*3", "step 3 of the schedule is for 1, and 2 could take it"),
        ("2", "the schedule ends after 1 steps, and 1 would go on"),
    ],
)
def test_a_replay_that_diverges_says_where(text: str, says: str) -> None:
    with pytest.raises(DivergedError, match=says):
        run(Replay(Schedule.parse(text)), _1=["GET a"] * 2, _2=["GET a"])


def test_a_replay_of_which_something_is_left_says_so() -> None:
    replay = Replay(Schedule.parse("1*3"))
    run(replay, _1=["GET a"] * 2)
    with pytest.raises(DivergedError, match="the run ended after 2 of the 3 steps of the schedule"):
        replay.end()
    run(whole := Replay(Schedule.parse("1")), _1=["GET a"])
    whole.end()


def test_the_first_to_come_is_the_first_to_go() -> None:
    assert run(FirstCome(), _1=["GET a"] * 2, _2=["GET a"]) == "1 2 1"


def test_a_schedule_is_followed_as_far_as_it_fits() -> None:
    assert run(Follow(Schedule.parse("2 3*2")), _1=["GET a"] * 2, _2=["GET a"] * 2) == "2*2 1*2"
    assert run(Follow(Schedule.parse("2*3")), _1=["GET a"] * 2, _2=["GET a"] * 2) == "2*2 1*2"


def tried(make: object, runs: int, **lanes: Sequence[str]) -> Counter[str]:
    chance = random.Random(1)
    return Counter(run(make(chance), **lanes) for _ in range(runs))  # type: ignore[operator]


def test_a_random_walk_takes_every_schedule() -> None:
    assert len(tried(RandomWalk, 200, _1=["GET a"] * 2, _2=["GET a"] * 2)) == 6


def test_pct_switches_away_from_a_lane_no_more_often_than_its_depth_allows() -> None:
    for depth, switches in ((1, 1), (2, 2), (3, 3)):
        found = tried(lambda chance, d=depth: PCT(chance, depth=d, horizon=8), 300, _1=["GET a"] * 4, _2=["GET a"] * 4)
        assert max(Schedule.parse(text).switches for text in found) == switches
    assert tried(lambda chance: PCT(chance, depth=9, horizon=2), 50, _1=["GET a"] * 2, _2=["GET a"])  # a short run


def test_pos_orders_steps_that_conflict_by_a_fresh_draw() -> None:
    found = tried(POS, 400, _1=["SET a 1"] * 2, _2=["SET a 1"] * 2)
    assert len(found) == 6
    assert max(found.values()) < 200
    assert len(tried(POS, 200, _1=["GET a"] * 2, _2=["GET b"] * 2)) == 6


def test_surw_is_uniform_over_the_orders_of_what_is_interesting() -> None:
    def interesting(turn: Turn) -> bool:
        return turn.commands[0][0] == b"SET"

    def make(chance: random.Random) -> Chooser:
        return SURW(chance, {"1": 1, "2": 4}, interesting)

    found = tried(make, 1000, _1=["SET a 1"], _2=["SET a 1"] * 4)
    assert len(found) == 5
    assert max(found.values()) < 2 * min(found.values())  # a random walk takes one in every second run
    mixed = tried(make, 200, _1=["GET b", "SET a 1"], _2=["SET a 1", "GET b"])
    assert len(mixed) == 6


def test_surw_goes_on_where_the_run_is_not_as_it_was_counted() -> None:
    def make(chance: random.Random) -> Chooser:
        return SURW(chance, {"9": 5}, lambda turn: True)

    assert set(tried(make, 50, _1=["GET a"] * 2, _2=["GET a"])) == {"1*2 2", "1 2 1", "2 1*2"}
