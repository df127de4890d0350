"""The kinds of change, and what changes of every kind have: two sides."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from characterization.program import Program


class Kind(enum.StrEnum):
    """What is different about a behaviour, the gravest first."""

    RESPONSE = "response"
    EFFECT = "effect"
    APPEARED = "anomaly appeared"
    VANISHED = "anomaly vanished"
    LAW_BROKEN = "law broken"
    LAW_MENDED = "law mended"
    GONE = "gone"
    NEW = "new"
    COST = "cost"
    LAW_VERDICT = "law verdict"


class HasProgram(Protocol):
    """What a program shows, through whichever lens."""

    @property
    def program(self) -> Program: ...


B = TypeVar("B", bound=HasProgram)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSided(Generic[B]):
    """A behaviour as it was and as it is. ``old`` is missing where it is *new*, ``new`` where it is *gone*."""

    kind: Kind
    old: B | None
    new: B | None

    @property
    def behaviour(self) -> B:
        """The behaviour as it is now, or as it was where it is gone."""
        found = self.new or self.old
        assert found is not None, "a change has a behaviour on one side at least"
        return found

    @property
    def program(self) -> Program:
        """The program that shows the change."""
        return self.behaviour.program
