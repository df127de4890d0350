"""Explaining: every command and every reply of one behaviour."""

from __future__ import annotations

from characterization.explaining import explain
from characterization.performing import Performer
from characterization.program import parse
from simulator.world import World
from tests.characterization import demo


def test_each_part_has_its_steps_and_its_outcome() -> None:
    with World(demo.SEED) as world:
        performer = Performer(demo.Queue(), world)
        explained = explain(performer, parse("put j ; take"), "some/id")
        assert world.gate.trace is None
    assert (explained.ident, explained.subject, explained.seed, explained.backend) == (
        "some/id", "demo.queue", 7, world.backend.name,
    )  # fmt: skip
    put, take = explained.parts
    assert [step.commands for step in put.steps] == [("LLEN jobs",), ('RPUSH jobs "j"',)]
    assert [step.replies for step in put.steps] == [("0",), ("1",)]
    assert [step.commands for step in take.steps] == [("LPOP jobs",)]
    assert take.outcome == demo.performed(demo.Queue, "put j ; take")
    assert {step.lane for step in put.steps} == {"client 1"}


def test_what_varies_is_renamed_in_commands_too() -> None:
    with World(demo.SEED) as world:
        explained = explain(Performer(demo.Lease(), world), parse("acquire a"), "id")
    assert '{"token": "token#1", "since": "t+0s"}' in explained.parts[0].steps[0].commands[0]


def test_a_move_of_the_clock_takes_no_step() -> None:
    with World(demo.SEED) as world:
        explained = explain(Performer(demo.Lease(), world), parse("acquire a ; clock +10.001s"), "id")
    assert explained.parts[1].steps == ()
    assert explained.parts[1].outcome.effects == ("- lock(a)",)
