"""The reference services as subjects: each operation can be run, and each law can be judged."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from characterization.finding import load_subject
from characterization.laws import Judge
from characterization.performing import Performer
from characterization.program import Program, parse
from simulator.world import World
from tests.characterization import demo

DECLARED = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]["holdfast"]["subjects"]


@pytest.mark.parametrize("name", DECLARED)
def test_every_operation_runs_and_every_law_can_be_judged(name: str) -> None:
    subject = load_subject(DECLARED[name])
    kind: Any = type(subject)
    assert kind.name == name
    assert kind.__doc__
    with World(demo.SEED) as world:
        judge = Judge(subject)
        performer = Performer(subject, world, judge=judge)
        calls = kind.calls()
        starts = [Program(), *(Program((call,)) for call in calls[:2])]
        for program in [start.then(call) for start in starts for call in calls]:
            outcome = performer.perform(program)
            assert not outcome.answer.startswith("raises BypassedGateError")
        assert {each.law for each in judge.findings} == set(kind.laws())


@pytest.mark.parametrize("name", DECLARED)
def test_every_wide_strategy_draws_what_the_operation_takes(name: str) -> None:
    kind = type(load_subject(DECLARED[name]))
    for operation in kind.operations().values():
        assert all(few.strategy() is not None for few in operation.arguments.values())


MOVED_ON = "block 106 ; track_session s1 ; start"
LIFECYCLE_STARTS = (
    "", "start", "track_session s1", "track_session s1 ; another_process_moves s1 claimed",
    "track_session s1 ; another_process_moves s1 proved", "start ; track_session s1", MOVED_ON,
    "start ; track_session s1 ; another_process_moves s1 proved", "block 110 ; track_session s1 ; start",
    "block 106 ; chain_answers bad ; track_session s1 ; start", f"{MOVED_ON} ; chain_answers bad ; block 110",
    f"{MOVED_ON} ; block 114",
)  # fmt: skip


@pytest.mark.parametrize("name", ["relay.coordinator", "relay.coordinator_refactored", "relay.lifecycle"])
def test_a_session_in_each_state_is_a_start_of_the_races_and_of_the_faults(name: str) -> None:
    kind = type(load_subject(DECLARED[name]))
    first = Program(tuple(kind.calls()[:1]))
    starts = [Program(), first, *(first.then(call) for call in kind.calls() if call.operation not in kind.final)]
    if name == "relay.lifecycle":
        starts = list(map(parse, LIFECYCLE_STARTS))
    with World(demo.SEED) as world:
        performer = Performer(kind(), world)
        kinds = {performer.kind_after(start) for start in starts}
    assert len(kinds) == kind.bounds.starts == kind.bounds.fault_starts
