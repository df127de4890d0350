"""The time lens: the clock moves to each horizon, and life goes on."""

from __future__ import annotations

import pytest

from characterization import Bounds
from characterization.errors import SubjectError
from tests.characterization import demo


def test_the_clock_is_moved_from_a_state_of_each_kind() -> None:
    seen = demo.walked(demo.Lease)
    assert "clock +9.999s" in seen
    assert seen["acquire a ; clock +9.999s"].outcome.effects == ("lock(a) ttl 10s -> 0.001s",)
    assert seen["acquire a ; clock +10.001s"].outcome.effects == ("- lock(a)",)


def test_after_a_move_every_operation_is_tried_and_the_clock_once_more() -> None:
    seen = demo.walked(demo.Lease)
    assert seen["acquire a ; clock +9.999s ; acquire a"].outcome.answer == "None"
    assert seen["acquire a ; clock +9.999s ; release a"].outcome.answer == "1"
    moved = [each.program for each in seen if each.program.lens == "time"]
    assert moved
    assert max(each.text.count("clock +") for each in moved) <= 2


def test_a_subject_without_horizons_has_no_time_to_look_at() -> None:
    assert not [each for each in demo.walked(demo.Counter) if each.program.lens == "time"]


def test_the_clock_is_moved_as_often_as_the_subject_says() -> None:
    class Once(demo.Lease):
        bounds = Bounds(moves=1)

    class Never(demo.Lease):
        bounds = Bounds(moves=0)

    assert max(each.program.text.count("clock +") for each in demo.walked(Once)) == 1
    assert not [each for each in demo.walked(Never) if each.program.lens == "time"]


@pytest.mark.parametrize("horizons", [(0,), (-5,), (0.0005,)])
def test_horizons_that_are_no_time_are_refused(horizons: tuple[float, ...]) -> None:
    wrong = type("Wrong", (demo.Lease,), {"horizons": horizons})
    with pytest.raises(SubjectError, match="horizons are positive numbers of seconds"):
        demo.walked(wrong)
