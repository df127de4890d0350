"""The reference services as subjects: each operation can be run, and each law can be judged."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from characterization import Run, Subject
from characterization.finding import load_subject
from characterization.performing import Performer
from characterization.program import Program
from simulator.world import World
from tests.characterization import demo

DECLARED = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]["holdfast"]["subjects"]


def broken_laws(subject: Subject, run: Run) -> list[str]:
    """The laws that a run breaks; anything else that a law raises is a mistake in the law."""
    broken = []
    for name in type(subject).laws():
        try:
            getattr(subject, name)(run)
        except AssertionError:
            broken.append(name)
    return broken


@pytest.mark.parametrize("name", DECLARED)
def test_every_operation_runs_and_every_law_can_be_judged(name: str) -> None:
    subject = load_subject(DECLARED[name])
    kind: Any = type(subject)
    assert kind.name == name
    assert kind.__doc__
    with World(demo.SEED) as world:
        performer = Performer(subject, world)
        calls = kind.calls()
        starts = [Program(), *(Program((call,)) for call in calls[:2])]
        for program in [start.then(call) for start in starts for call in calls]:
            outcome = performer.perform(program)
            before, after = performer.state_after(program.prelude), performer.state_after(program)
            run = Run(program=program.text, before=before, after=after, answer=outcome.answer, events=outcome.events)
            assert set(broken_laws(subject, run)) <= set(kind.laws())
            assert not outcome.answer.startswith("raises BypassedGateError")


@pytest.mark.parametrize("name", DECLARED)
def test_every_wide_strategy_draws_what_the_operation_takes(name: str) -> None:
    kind = type(load_subject(DECLARED[name]))
    for operation in kind.operations().values():
        assert all(few.strategy() is not None for few in operation.arguments.values())
