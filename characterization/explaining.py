"""Explaining one behaviour: its program run once more, with every command that it sent and every reply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from characterization.behaviour import FaultBehaviour
from characterization.faulting import Trial
from characterization.outcome import Outcome, effects, spell
from characterization.performing import Performer, Shown
from characterization.program import Program
from characterization.renaming import Renamer
from characterization.state import State
from characterization.unfolding import begun, parts_of
from simulator.gate import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStep:
    """One step at the gate: who took it, what was sent (several commands where they took effect at once), the replies.

    ``struck`` names the faults that struck it.
    """

    lane: str
    commands: tuple[str, ...]
    replies: tuple[str, ...]
    struck: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPart:
    """One part of a program: its spelling, its steps, and what it showed."""

    text: str
    steps: tuple[ExplainedStep, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A behaviour, part by part. ``seed`` and ``backend`` say in which world it was run."""

    subject: str
    ident: str
    program: Program
    seed: int
    backend: str
    parts: tuple[ExplainedPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedAct:
    """One thing that was done: what it is called, its steps, what it answered, and what was different after it."""

    text: str
    steps: tuple[ExplainedStep, ...]
    answer: str
    effects: tuple[str, ...]
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultExplanation:
    """A call that something goes wrong in, act by act: the call, and what was tried to heal it."""

    ident: str
    behaviour: FaultBehaviour
    seed: int
    backend: str
    acts: tuple[ExplainedAct, ...]


def explain_fault(performer: Performer, program: Program, ident: str) -> FaultExplanation:
    """Run ``program``, whose last call is struck, and what comes after it, and collect every step."""
    assert program.struck is not None, "something goes wrong in the program"
    trial = Trial(performer, program.healthy)
    behaviour = trial.behaviour(program.struck.plan)
    world = performer.world
    world.gate.trace = []
    try:
        before, told = trial.again(behaviour)
    finally:
        world.gate.trace = None
    renamer = Renamer(world.clock.started_ns, world.chance.draws)
    acts = tuple(_act(text, before, shown, renamer) for text, shown in told)
    return FaultExplanation(
        ident=ident, behaviour=behaviour, seed=world.seed.number, backend=world.backend.name, acts=acts
    )


def _act(text: str, before: State, shown: Shown, renamer: Renamer) -> ExplainedAct:
    return ExplainedAct(
        text=text, steps=tuple(_step(step, renamer) for step in shown.steps), answer=shown.answer,
        effects=effects(before, shown.state), events=shown.events,
    )  # fmt: skip


def explain(performer: Performer, program: Program, ident: str) -> Explanation:
    """Run ``program`` once for each of its parts, the last time whole, and collect every step.

    Collecting is on for these runs alone: it costs more than running.
    """
    world = performer.world
    world.gate.trace = []
    try:
        parts = tuple(_unfolded(performer, program) if program.mixed else _in_order(performer, program))
    finally:
        world.gate.trace = None
    return Explanation(
        subject=type(performer.subject).name, ident=ident, program=program, seed=world.seed.number,
        backend=world.backend.name, parts=parts,
    )  # fmt: skip


def _in_order(performer: Performer, program: Program) -> Iterator[ExplainedPart]:
    for length in range(1, len(program.parts) + 1):
        yield _part(performer, Program(program.parts[:length]))


def _unfolded(performer: Performer, program: Program) -> Iterator[ExplainedPart]:
    """The parts of a program that is one run."""
    gate = performer.world.gate
    unfolding = begun(performer, program)  # which begins a run, and with it what is collected
    for part in parts_of(program):
        first, before = len(gate.trace or ()), unfolding.name
        run = unfolding.take(part)
        renamer = Renamer(performer.world.clock.started_ns, performer.world.chance.draws)
        steps = tuple(_step(step, renamer) for step in (gate.trace or ())[first:])
        yield ExplainedPart(text=run.parts.parts[-1].text, steps=steps, outcome=unfolding.outcome(run, before))


def _part(performer: Performer, program: Program) -> ExplainedPart:
    gate = performer.world.gate
    before = 0
    if len(program.parts) > 1:
        performer.state_after(program.prelude)
        before = len(gate.trace or ())
    outcome = performer.perform(program)
    renamer = Renamer(performer.world.clock.started_ns, performer.world.chance.draws)
    steps = tuple(_step(step, renamer) for step in (gate.trace or ())[before:])
    return ExplainedPart(text=program.parts[-1].text, steps=steps, outcome=outcome)


def _step(step: Step, renamer: Renamer) -> ExplainedStep:
    return ExplainedStep(
        lane=" ".join(str(part) for part in step.lane),
        commands=tuple(
            renamer.text(b" ".join(command).decode("utf-8", "backslashreplace")) for command in step.commands
        ),
        replies=tuple(spell(reply, renamer) for reply in step.replies),
        struck=step.struck,
    )
