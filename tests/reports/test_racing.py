"""Operations at once, as text."""

from __future__ import annotations

from dataclasses import replace

from characterization.racing import Race, RaceOutcome, RaceStep
from reports import terminal
from reports.words import WIDTH
from simulator.explore import Certificate

CERTIFICATE = Certificate(mode="sources", classes=4, pruned=0, complete=True, runs_max=9, steps_longest=4)
SERIAL = RaceOutcome(
    answers=("None", "raises KeyError('n')"), effects=(), events=("log warning lost",), serial=True, schedule="1*2 2*2",
    steps=(), between="",
)  # fmt: skip
LOST = RaceOutcome(
    answers=("None", "None"), effects=("n = 1",), events=(), serial=False, schedule="1 2*2 1",
    steps=(
        RaceStep(client=1, commands=("GET n",), replies=("None",)),
        RaceStep(client=2, commands=("MULTI", "SET n " + "9" * 200, "EXEC"), replies=("b'OK'", "b'QUEUED'", "[True]")),
        RaceStep(client=0, commands=("BLPOP q 0",), replies=()),
        RaceStep(client=1, commands=("SET n 1",), replies=("b'OK'",)),
    ),
    between="between client 1's GET and SET of n, client 2 wrote it (MULTI {SET})",
)  # fmt: skip
RACE = Race(
    subject="counter", prelude="fill", calls=("add 1", "add 1 @2"), replicas=2, outcomes=(SERIAL, LOST),
    certificate=CERTIFICATE, unseen=0.0,
)  # fmt: skip


def test_a_race_says_how_it_was_explored_and_what_it_found() -> None:
    lines = terminal.race(RACE).splitlines()
    assert lines[:4] == [
        "counter    add 1  ||  add 1 @2",
        "  from      fill",
        "  on        2 replicas",
        "  explored  all 4 classes of interleavings: 2 outcomes, 1 that no order explains",
    ]
    assert all(len(line) <= WIDTH or "again" in line for line in lines)


def test_an_anomaly_has_a_lane_for_each_client_and_for_what_runs_in_the_background() -> None:
    shown = terminal.race(RACE)
    assert "background" in shown
    assert "GET n -> None" in shown
    assert "MULTI {SET} -> [True]" in shown
    assert "BLPOP q 0 -> waits" in shown
    assert LOST.between in shown


def test_what_some_order_has_too_is_not_explained_step_by_step() -> None:
    shown = terminal.race(replace(RACE, outcomes=(SERIAL,), prelude="", replicas=1))
    assert "some order has it too" in shown
    assert "add 1 @2: raises KeyError('n')" in shown
    assert "nothing is different" in shown
    assert "log warning lost" in shown
    assert "client 1" not in shown
    assert "on        one replica" in shown
    assert "holdfast explore counter 'add 1' 'add 1 @2' --schedule '1*2 2*2'" in shown


def test_a_sample_says_how_much_is_probably_unseen() -> None:
    partial = replace(CERTIFICATE, complete=False, classes=1)
    assert (
        "sampled, 1 class and more: 2 outcomes, 1 that no order explains; about 12.5% of further runs"
        in terminal.race(replace(RACE, certificate=partial, unseen=0.125))
    )


def test_a_single_class_and_a_replay_are_called_that() -> None:
    assert "the only class of interleavings" in terminal.race(
        replace(RACE, certificate=replace(CERTIFICATE, classes=1))
    )
    assert "one schedule, again" in terminal.race(replace(RACE, certificate=replace(CERTIFICATE, mode="replay")))
