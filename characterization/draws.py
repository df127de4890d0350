"""What the random lens draws, whoever draws it: values, schedules, and what goes wrong.

Each is made of small numbers that somebody hands in, ``index(n)`` one of ``range(n)``, where 0 is the simplest.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from characterization.lenses.fault import plans_at
from characterization.program import WIDE, AtOnce, Call, Crash, Move, Part, wide_label
from characterization.shrinking import values_of
from characterization.subject import Operation, Small, Subject, moves
from simulator.faults import FaultKind, FaultPlan, Tempt
from simulator.gate import Step
from simulator.schedule import Chooser, Scheduler, Turn
from simulator.seed import Seed

WIDE_DRAWN = 64

SPOILS = (FaultKind.CORRUPT, FaultKind.FOREIGN, FaultKind.SERVER_RESTART)
"""What spoils all that is stored, whoever stored it: behind it no law holds, and nothing is learned of the service."""

KINDS = tuple(kind for kind in FaultKind if kind not in SPOILS)


def options(number: int, step: Step, left_out: Iterable[FaultKind] = ()) -> list[FaultPlan]:
    """What may go wrong at a step, of the kinds that are in this run."""
    out = {*SPOILS, *left_out}
    return [plan for plan in plans_at(number, step) if not any(fault.kind in out for fault in plan.faults)]


def label_in(few: Small, value: Any) -> str:
    """How a drawn value is spelled: as the label of one of the few, if it is one.

    Raises:
        ProgramError: it has no spelling.
    """
    for label, known in few.values.items():
        if type(known) is type(value) and known == value:
            return label
    return wide_label(value)


class DrawnSchedule(Chooser):
    """Draws who goes next, step by step: ``index`` is given a number of lanes. The first of them is who went last.

    So what shrinks has fewer switches.
    """

    def __init__(self, index: Callable[[int], int]) -> None:
        self._index = index
        self._last = ""

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``."""
        lanes = [turn.lane for turn in turns]
        order = sorted(range(len(lanes)), key=lambda place: lanes[place] != self._last)
        chosen = order[self._index(len(lanes))] if len(lanes) > 1 else 0
        self._last = lanes[chosen]
        return chosen


def drawn_fault(at: int, index: Callable[[int], int], left_out: Iterable[FaultKind] = ()) -> Tempt:
    """At the step whose number is ``at``, what ``index`` draws from what may go wrong there, if anything may."""

    def tempt(number: int, step: Step) -> FaultPlan | None:
        found = options(number, step, left_out) if number == at else []
        return found[index(len(found)) if len(found) > 1 else 0] if found else None

    return tempt


# Whole programs, from a seed.


def wide_values(few: Small, chance: Seed, count: int = WIDE_DRAWN) -> list[str]:
    """The labels of ``count`` values of the wide strategy, as Hypothesis draws them from a seed; fewer, where alike."""
    found: dict[str, None] = {}
    assert few.wide is not None, "only a wide strategy draws wide values"

    @seed(chance.number)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(few.wide)
    def draw(value: Any) -> None:
        found[label_in(few, value)] = None

    draw()
    return [label for label in found if label.startswith(WIDE)]


class Table:
    """What programs of a subject are made of: operations, labels, moves; and wide values, drawn once from the seed."""

    def __init__(self, subject: type[Subject], chance: Seed) -> None:
        self.subject = subject
        self.operations: Mapping[str, Operation] = subject.operations()
        self.moves = moves(subject.horizons)
        self.processes = max(2, subject.replicas)
        fews = {repr(few.wide): few for each in self.operations.values() for few in each.arguments.values()}
        self.wide = {
            name: wide_values(few, chance.fork(f"wide {number}"))
            for number, (name, few) in enumerate(sorted(fews.items())) if few.wide is not None
        }  # fmt: skip
        self.values = values_of(self.operations, self.wide)


class RandomSwitches(Chooser):
    """Goes on with who went last, with a probability of ``stays``; otherwise each that waits is as likely as another."""

    def __init__(self, chance: random.Random, stays: float) -> None:
        self._chance = chance
        self._stays = stays
        self._last = ""

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``."""
        lanes = [turn.lane for turn in turns]
        if len(lanes) == 1:
            chosen = 0
        elif self._last in lanes and self._chance.random() < self._stays:
            chosen = lanes.index(self._last)
        else:
            chosen = self._chance.randrange(len(lanes))
        self._last = lanes[chosen]
        return chosen


class Drawer:
    """Draws one program, part by part. Some of everything is left out, since a little of everything reaches little."""

    def __init__(self, table: Table, chance: random.Random) -> None:
        self._table = table
        self._chance = chance
        names = list(table.operations)
        out = chance.choice((0.0, 0.0, 0.3, 0.6))
        self.operations = [name for name in names if chance.random() >= out] or [chance.choice(names)]
        self.kinds_out = frozenset(kind for kind in KINDS if chance.random() < 0.5)
        self.length = chance.randrange(2, 25)
        self._wide = chance.choice((0.0, 0.0, 0.1, 0.5))
        self._struck = chance.choice((0.0, 0.1, 0.3))
        self._together = chance.choice((0.0, 0.2, 0.5))
        self._clock = chance.choice((0.0, 0.1, 0.2)) if table.moves else 0.0
        self._crash = chance.choice((0.0, 0.0, 0.05))
        self._stays = chance.choice((0.3, 0.6, 0.9))
        self._alike = chance.choice((0.3, 0.9))  # how often what is at once is about the same thing
        self.drawn = {name: chance.sample(labels, min(2, len(labels))) for name, labels in table.wide.items()}

    @property
    def plain(self) -> bool:
        """Whether the few values are all that is in it."""
        return not self._wide

    def part(self) -> tuple[Part, Scheduler | None, Tempt | None]:
        """One more part, who says in which order its steps are taken, and what goes wrong in it."""
        chance, kind = self._chance, self._chance.random()
        if kind < self._crash:
            return Crash(chance.randrange(self._table.processes) + 1), None, None
        if kind < self._crash + self._clock:
            return Move(chance.choice(self._table.moves)), None, None
        if chance.random() < self._together:
            tempt = self._tempt(12) if chance.random() < self._struck else None
            return self._at_once(), RandomSwitches(chance, self._stays), tempt
        call = self._call()
        return call, None, self._tempt(6) if chance.random() < self._struck else None

    def _tempt(self, steps: int) -> Tempt:
        return drawn_fault(self._chance.randrange(steps) + 1, self._chance.randrange, self.kinds_out)

    def _at_once(self) -> AtOnce:
        chance = self._chance
        clients = [(self._call(),) for _ in range(chance.choice((2, 2, 3)))]
        if chance.random() < self._alike:  # two of a kind, as when something is delivered twice
            clients[-1] = (replace(clients[0][0], replica=clients[-1][0].replica),)
        clock = chance.random() < self._clock
        return AtOnce(clients=tuple(clients), moves=(chance.choice(self._table.moves),) if clock else ())

    def _call(self) -> Call:
        chance = self._chance
        name = chance.choice(self.operations)
        if name in self._table.subject.final and chance.random() < 0.8:
            name = chance.choice(self.operations)
        labels = tuple(self._label(few) for few in self._table.operations[name].arguments.values())
        return Call(operation=name, labels=labels, replica=chance.randrange(self._table.processes) + 1)

    def _label(self, few: Small) -> str:
        drawn = self.drawn.get(repr(few.wide), []) if few.wide is not None else []
        wide = bool(drawn) and self._chance.random() < self._wide
        return self._chance.choice(drawn if wide else list(few.values))
