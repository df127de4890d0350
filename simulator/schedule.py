"""Schedules, and those who choose them.

A **schedule** says which lane takes the next step, from first to last; ``1*2 2*3 1`` is lane 1 twice, lane 2 three
times, lane 1. A **scheduler** is asked for the next one each time that nothing else can run. It sees every step that may
be taken as a ``Turn``, and is told of each that was.
"""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from simulator.backend import Command
from simulator.errors import WorldError
from simulator.footprint import NOTHING, Footprint, conflict

_PART = re.compile(r"([^\s*]+)(?:\*([1-9]\d{0,6}))?")


class DivergedError(WorldError):
    """A schedule does not fit: at some step, who should have gone next could not, or went on when it should have ended."""


@dataclass(slots=True, eq=False, kw_only=True)
class Turn:
    """A step as a scheduler sees it; the same object for as long as that step waits to be taken.

    ``lane`` tells those who wait at one time apart. ``born`` is how many steps had been taken when this one began to
    wait: the last of those has enabled it. ``replicas`` are those whose code runs in it: its own, and, once it was
    taken, those that it served. ``forced`` marks what is taken only when nothing else can be.
    """

    lane: str
    replicas: frozenset[int]
    footprint: Footprint = NOTHING
    born: int = 0
    commands: tuple[Command, ...] = ()
    forced: bool = False

    def touching(self, replicas: frozenset[int], footprint: Footprint) -> Turn:
        """The same, with what it turned out to touch besides."""
        return replace(self, replicas=self.replicas | replicas, footprint=self.footprint | footprint)


def dependent(a: Turn, b: Turn) -> bool:
    """Whether the order of two steps can make a difference.

    Tasks of one replica share memory, and local code belongs to the step before it, so steps of one replica never
    commute.
    """
    return not a.replicas.isdisjoint(b.replicas) or conflict(a.footprint, b.footprint)


@functools.lru_cache(maxsize=4096)
def lane_name(lane: tuple[object, ...]) -> str:
    """How a schedule spells a lane: ``2`` is client 2, ``2.0`` the first task it started, ``replica1`` a replica."""
    kind, *path = lane
    first = "" if kind == "client" else str(kind)
    return re.sub(r"[\s*#]", "_", first + ".".join(str(part) for part in path))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which lane takes the next step, from first to last."""

    lanes: tuple[str, ...]

    @property
    def text(self) -> str:
        """Run-length: ``1*2 2*3 1``."""
        blocks = [(lane, len(list(steps))) for lane, steps in itertools.groupby(self.lanes)]
        return " ".join(lane if count == 1 else f"{lane}*{count}" for lane, count in blocks)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Self:
        """What ``text`` spelled out.

        Raises:
            ValueError: this is not how a schedule is spelled.
        """
        lanes: list[str] = []
        for part in text.split():
            match = _PART.fullmatch(part)
            if match is None:
                raise ValueError(f"{part!r} in the schedule {text!r} is neither a lane nor lane*count")
            lanes.extend([match[1]] * int(match[2] or 1))
        return cls(tuple(lanes))

    @property
    def switches(self) -> int:
        """How often a step is followed by one of another lane."""
        return sum(lane != following for lane, following in itertools.pairwise(self.lanes))


class Scheduler(Protocol):
    """Chooses which step is taken next."""

    def choose(self, turns: Sequence[Turn]) -> int:
        """The index of one of ``turns``, of which there is at least one, in the order in which they began to wait."""

    def took(self, turn: Turn) -> None:
        """Learn that the chosen step was taken, and what it touched. Called once after each ``choose``."""


class Chooser:
    """A scheduler that does not look back: a base for those that need no word of what was taken."""

    def choose(self, turns: Sequence[Turn]) -> int:  # noqa: ARG002 - a scheduler's
        """See ``Scheduler``: here, the first to come."""
        return 0

    def took(self, turn: Turn) -> None:
        """See ``Scheduler``."""


class FirstCome(Chooser):
    """Steps are taken in the order in which they began to wait."""


class Recorded:
    """Another scheduler, with the schedule that it chose written down."""

    def __init__(self, inner: Scheduler) -> None:
        self._inner = inner
        self.lanes: list[str] = []
        self.at_the_gate = False  # whether any step waited that would reach Redis

    @property
    def schedule(self) -> Schedule:
        """What was chosen so far."""
        return Schedule(tuple(self.lanes))

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``."""
        if not self.at_the_gate:
            self.at_the_gate = any(turn.commands for turn in turns)
        return self._inner.choose(turns)

    def took(self, turn: Turn) -> None:
        """See ``Scheduler``."""
        self.lanes.append(turn.lane)
        self._inner.took(turn)


class Replay(Chooser):
    """A schedule once more, to the letter; ``end`` is to be called after the run."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._at = 0

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``.

        Raises:
            DivergedError: the lane whose turn it is does not wait, or the schedule is at its end.
        """
        lanes = self._schedule.lanes
        waiting = [turn.lane for turn in turns]
        self._at += 1
        if self._at > len(lanes):
            raise DivergedError(f"the schedule ends after {len(lanes)} steps, and {_and(waiting)} would go on")
        wanted = lanes[self._at - 1]
        if wanted not in waiting:
            raise DivergedError(f"step {self._at} of the schedule is for {wanted}, and {_and(waiting)} could take it")
        return waiting.index(wanted)

    def end(self) -> None:
        """Raises:
        DivergedError: the run ended before its schedule.
        """
        if self._at < len(self._schedule.lanes):
            raise DivergedError(
                f"the run ended after {self._at} of the {len(self._schedule.lanes)} steps of the schedule"
            )


def _and(waiting: Sequence[str]) -> str:
    return " and ".join(waiting)


class Follow(Chooser):
    """A schedule as far as it fits: where it does not, who went last goes on if possible, else the first to come."""

    def __init__(self, schedule: Schedule) -> None:
        self._wanted = iter(schedule.lanes)
        self._last = ""

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``."""
        lanes = [turn.lane for turn in turns]
        wanted = next(self._wanted, "")
        chosen = next((lane for lane in (wanted, self._last) if lane in lanes), lanes[0])
        self._last = chosen
        return lanes.index(chosen)


class RandomWalk(Chooser):
    """Each that waits is as likely as any other."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``."""
        return self._chance.randrange(len(turns)) if len(turns) > 1 else 0


class PCT(Chooser):
    """Probabilistic concurrency testing: random priorities of lanes, lowered at ``depth - 1`` random steps.

    A bug that needs ``depth`` steps in one order, among n lanes and ``horizon`` steps, is met with a probability of at
    least ``1 / (n * horizon ** (depth - 1))``. Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with
    Probabilistic Guarantees of Finding Bugs, ASPLOS 2010, section 2.
    """

    def __init__(self, chance: random.Random, *, depth: int, horizon: int) -> None:
        self._chance = chance
        self._priorities: dict[str, float] = {}
        self._changes = set(chance.sample(range(horizon), min(depth - 1, horizon)))
        self._lowest = 0
        self._at = 0

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``."""
        priorities = self._priorities
        for turn in turns:
            if turn.lane not in priorities:
                priorities[turn.lane] = 1 + self._chance.random()
        index = self._highest(turns)
        if self._at in self._changes:
            self._lowest -= 1
            priorities[turns[index].lane] = self._lowest
            index = self._highest(turns)
        self._at += 1
        return index

    def _highest(self, turns: Sequence[Turn]) -> int:
        return max(range(len(turns)), key=lambda index: self._priorities[turns[index].lane])


class POS:
    """Partial order sampling: random priorities of steps, drawn again for those that conflict with the one taken.

    Yuan, Yang, Gu: Partial Order Aware Concurrency Sampling, CAV 2018, algorithm 2.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._priorities: dict[Turn, float] = {}

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``."""
        known = self._priorities
        self._priorities = {turn: known[turn] if turn in known else self._chance.random() for turn in turns}
        index = max(range(len(turns)), key=lambda index: self._priorities[turns[index]])
        del self._priorities[turns[index]]
        return index

    def took(self, turn: Turn) -> None:
        """See ``Scheduler``."""
        for waiting in self._priorities:
            if dependent(waiting, turn):
                self._priorities[waiting] = self._chance.random()


class SURW(Chooser):
    """Selectively uniform random walk: uniform over the orders of the interesting steps, if as many come as expected.

    ``left`` says how many interesting steps each lane is expected to take, from a run that was counted; one lane is
    meant to take the next of them, by a draw with these weights, and the others run freely up to theirs. Zhao, Wolff,
    Mathur, Roychoudhury: Selectively Uniform Concurrency Testing, ASPLOS 2025, algorithm 2.
    """

    def __init__(self, chance: random.Random, left: Mapping[str, int], interesting: Callable[[Turn], bool]) -> None:
        self._chance = chance
        self._left = dict(left)
        self._interesting = interesting
        self._meant: str | None = None

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``."""
        free = [index for index, turn in enumerate(turns) if not self._interesting(turn)]
        held = [index for index in range(len(turns)) if index not in free]
        self._mean([turns[index].lane for index in held])
        able = free + [index for index in held if turns[index].lane == self._meant]
        chosen = self._chance.choice(able or held)  # nobody: who is meant waits for something
        if chosen in held:
            lane = turns[chosen].lane
            self._left[lane] = self._left.get(lane, 1) - 1
            self._meant = None
        return chosen

    def _mean(self, held: Sequence[str]) -> None:
        """Draw who takes the next interesting step, among all that have any left and those that wait with one."""
        if self._meant is None or self._left.get(self._meant, 0) <= 0:
            weights = {lane: left for lane, left in self._left.items() if left > 0}
            weights.update((lane, 1) for lane in held if lane not in weights)
            self._meant = self._chance.choices(list(weights), list(weights.values()))[0] if weights else None
