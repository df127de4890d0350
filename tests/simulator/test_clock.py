"""The clock: it moves when told to, and never backwards."""

from __future__ import annotations

from datetime import UTC, datetime

from simulator.clock import VirtualClock

START_NS = 1_000_000_000_000_000_000


def test_the_clock_stands_where_it_was_put() -> None:
    clock = VirtualClock(START_NS)
    assert clock.now() == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)
    assert clock.elapsed == 0
    assert clock.started_ns == START_NS


def test_moving_forwards_counts_from_the_beginning_of_the_run() -> None:
    clock = VirtualClock(START_NS)
    clock.move_to(START_NS + 1_500_000_000)
    assert clock.elapsed == 1.5
    assert clock.now() == datetime(2001, 9, 9, 1, 46, 41, 500_000, tzinfo=UTC)


def test_what_is_finer_than_a_microsecond_is_cut_off_and_not_lost() -> None:
    clock = VirtualClock(START_NS)
    clock.move_to(START_NS + 1_999)
    assert clock.now().microsecond == 1
    assert clock.now_ns == START_NS + 1_999


def test_the_clock_does_not_go_back() -> None:
    clock = VirtualClock(START_NS)
    clock.move_to(START_NS + 5)
    clock.move_to(START_NS)
    assert clock.now_ns == START_NS + 5


def test_a_new_run_begins_wherever_it_likes() -> None:
    clock = VirtualClock(START_NS)
    clock.move_to(START_NS + 5)
    clock.restart(7)
    assert (clock.now_ns, clock.started_ns, clock.elapsed) == (7, 7, 0)
