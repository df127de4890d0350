"""Explaining one behaviour: its program run once more, with every command that it sent and every reply."""

from __future__ import annotations

from dataclasses import dataclass

from characterization.outcome import Outcome
from characterization.program import Program


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
