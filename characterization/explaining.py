"""Explaining one behaviour: its program run once more, with every command that it sent and every reply."""

from __future__ import annotations

from dataclasses import dataclass

from characterization.outcome import Outcome, spell
from characterization.performing import Performer
from characterization.program import Program
from characterization.renaming import Renamer
from simulator.gate import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStep:
    """One step at the gate: who took it, what was sent (several commands where they took effect at once), the replies."""

    lane: str
    commands: tuple[str, ...]
    replies: tuple[str, ...]


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


def explain(performer: Performer, program: Program, ident: str) -> Explanation:
    """Run ``program`` once for each of its parts, the last time whole, and collect every step.

    Collecting is on for these runs alone: it costs more than running.
    """
    world = performer.world
    world.gate.trace = []
    try:
        parts = tuple(_part(performer, Program(program.parts[:length])) for length in range(1, len(program.parts) + 1))
    finally:
        world.gate.trace = None
    return Explanation(
        subject=type(performer.subject).name, ident=ident, program=program, seed=world.seed.number,
        backend=world.backend.name, parts=parts,
    )  # fmt: skip


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
    )
