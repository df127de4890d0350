"""Exploring the schedules of a program: all that differ, those with few preemptions, or a sample.

A program is a ``Run``: called with a scheduler, it starts from the same state each time, asks it who goes next, and
returns a value whose outcome the caller judges. Nothing here knows what it runs.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from simulator.errors import WorldError
from simulator.footprint import Resource
from simulator.schedule import (
    PCT,
    POS,
    SURW,
    Chooser,
    DivergedError,
    FirstCome,
    Follow,
    RandomWalk,
    Recorded,
    Replay,
    Schedule,
    Scheduler,
    Turn,
    dependent,
)
from simulator.seed import Seed

T = TypeVar("T")
Run = Callable[[Scheduler], T]
Mode = Literal["all", "sleep", "sources"]

RUNS_MAX = 20_000
SAMPLED_RUNS_MAX = 1_000
SHRINKING_RUNS_MAX = 500


class NothingSeenError(WorldError):
    """No run had a step at the gate: whatever they do, their schedules cannot be explored."""


class PrunedError(Exception):
    """A run need not go on, since it could only repeat another. A ``Run`` lets it through."""


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What a run returned, and the schedule that leads there."""

    value: T
    schedule: Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was explored, and how far.

    ``classes`` are complete runs: in mode ``sources`` one of each class of schedules that differ in the order of
    dependent steps. ``pruned`` runs were given up, as they could only repeat others. ``complete``: within the bounds
    nothing is left. ``preemptions_max``: schedules with more of them were left out; none: no such bound.
    """

    mode: str
    classes: int
    pruned: int
    complete: bool
    runs_max: int
    steps_longest: int
    preemptions_max: int | None = None


class Paths(Scheduler, Protocol):
    """A scheduler that takes another path in each run."""

    def begin(self) -> None:
        """A run begins."""

    def end(self) -> None:
        """A run has come to its end, rather than being given up."""

    def advance(self) -> bool:
        """Prepare the next path; false: there is none."""


class Search(Generic[T]):
    """Runs, one after another, of what ``paths`` leads to: iterate over it once.

    Raises, while iterating:
        NothingSeenError: at the end, if no run had a step at the gate; one may have none where others have some.
        DivergedError: a run differs from an earlier one although the choices were the same.
    """

    def __init__(
        self, run: Run[T], paths: Paths, *, mode: str, runs_max: int, preemptions_max: int | None = None
    ) -> None:
        self._run = run
        self._paths = paths
        self._mode = mode
        self._bounds = (runs_max, preemptions_max)
        self._classes = self._pruned = self._longest = 0
        self._complete = self._stepped = False

    @property
    def certificate(self) -> Certificate:
        """How far the search has come."""
        runs_max, preemptions_max = self._bounds
        return Certificate(
            mode=self._mode,
            classes=self._classes,
            pruned=self._pruned,
            complete=self._complete,
            runs_max=runs_max,
            steps_longest=self._longest,
            preemptions_max=preemptions_max,
        )

    def __iter__(self) -> Iterator[Seen[T]]:
        for _ in range(self._bounds[0]):
            seen = self._next()
            self._complete = not self._paths.advance()
            if seen is not None:
                yield seen
            if self._complete:
                break
        _check_stepped(stepped=self._stepped)

    def _next(self) -> Seen[T] | None:
        self._paths.begin()
        recorded = Recorded(self._paths)
        try:
            seen = _seen(self._run, recorded)
        except PrunedError:
            self._pruned += 1
            return None
        finally:
            self._stepped |= recorded.at_the_gate
        self._paths.end()
        self._classes += 1
        self._longest = max(self._longest, len(seen.schedule.lanes))
        return seen


def _seen(run: Run[T], recorded: Recorded) -> Seen[T]:
    return Seen(run(recorded), recorded.schedule)


def _check_stepped(*, stepped: bool) -> None:
    if not stepped:
        raise NothingSeenError(
            "the run had no step at the gate, so there is nothing to put in order: does it use the world's client?"
        )


def replay(run: Run[T], schedule: Schedule) -> T:
    """Run once more by ``schedule``, to the letter.

    Raises:
        DivergedError: the run cannot follow it; says from which step on.
    """
    scheduler = Replay(schedule)
    value = run(scheduler)
    scheduler.end()
    return value


# All schedules, or one of each class.


def systematic(
    run: Run[T],
    mode: Mode = "sources",
    *,
    runs_max: int = RUNS_MAX,
    ordered: Callable[[Turn, Turn], bool] = dependent,
) -> Search[T]:
    """Every schedule (``all``), or at least one of each class of those that cannot differ, in at most ``runs_max`` runs.

    ``sleep`` leaves out with sleep sets what is explored elsewhere (Godefroid: Partial-Order Methods for the
    Verification of Concurrent Systems, 1996, chapter 5); ``sources`` explores no more than source sets besides
    (Abdulla, Aronsson, Jonsson, Sagonas: Optimal Dynamic Partial Order Reduction, POPL 2014, algorithm 1).
    ``ordered`` says of two steps whether their order can make a difference.
    """
    return Search(run, Tree(mode, ordered), mode=mode, runs_max=runs_max)


@dataclass(slots=True)
class _Node:
    """A state in which a choice was made: who waited, who went, who has yet to go, and who need not."""

    lanes: tuple[str, ...]
    chosen: str
    backtrack: set[str]
    sleep: dict[str, Turn]
    done: dict[str, Turn] = field(default_factory=dict)


class Tree:
    """The paths of a depth-first search through schedules.

    Clocks are sets of steps, as bits: those that happen before a step, because it depends on them or because they
    enabled it. What a step touches is taken as it turned out, served waiters and dropped ones included.
    """

    def __init__(self, mode: Mode, ordered: Callable[[Turn, Turn], bool] = dependent) -> None:
        self._mode = mode
        self._ordered = ordered
        self._nodes: list[_Node] = []
        self._events: list[Turn] = []
        self._clocks: list[int] = []
        self._offered: Sequence[Turn] = ()
        self._depth = 0
        self._departs = -1  # the step at which this run departs from the one before

    def begin(self) -> None:
        """See ``Paths``."""
        self._depth = 0
        self._offered = ()

    def end(self) -> None:
        """See ``Paths``."""
        if self._depth <= self._departs:
            raise DivergedError(f"a run ended after {self._depth} steps, where with the same choices it went on before")
        self._note_dropped(())

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``.

        Raises:
            PrunedError: every step that could be taken was explored elsewhere.
            DivergedError: others wait than did after the same choices.
        """
        lanes = tuple([turn.lane for turn in turns])
        if self._depth > self._departs:
            self._note_dropped(turns)
        if self._depth == len(self._nodes):
            self._nodes.append(self._grown(lanes))
        node = self._nodes[self._depth]
        if node.lanes != lanes:
            raise DivergedError(
                f"after {self._depth} steps {' and '.join(lanes)} wait, where with the same choices it was "
                f"{' and '.join(node.lanes)}: the run depends on something other than its schedule"
            )
        self._offered = turns
        return lanes.index(node.chosen)

    def _grown(self, lanes: tuple[str, ...]) -> _Node:
        sleep: dict[str, Turn] = {}
        last = ""
        if self._depth:
            parent = self._nodes[-1]
            last = parent.chosen
            sleep = self._still_asleep(parent, lanes)
        awake = [lane for lane in lanes if lane not in sleep]
        if not awake:
            raise PrunedError
        chosen = last if last in awake else awake[0]
        backtrack = {chosen} if self._mode == "sources" else set(lanes)
        return _Node(lanes=lanes, chosen=chosen, backtrack=backtrack, sleep=sleep)

    def _still_asleep(self, parent: _Node, lanes: tuple[str, ...]) -> dict[str, Turn]:
        """What was explored before the step just taken, commutes with it, and so need not come after it."""
        if self._mode == "all":
            return {}
        taken = parent.done[parent.chosen]
        return {
            lane: turn
            for asleep in (parent.sleep, parent.done)
            for lane, turn in asleep.items()
            if lane in lanes and turn is not taken and not self._ordered(turn, taken)
        }

    def _note_dropped(self, turns: Sequence[Turn]) -> None:
        """The step before took away some that waited beside it: each of them is to be tried in its place.

        Even one that sleeps: it will not be taken later in this run, where its races with others would be found.
        """
        for turn in self._offered:
            if turn not in turns:
                node = self._nodes[self._depth - 1]
                node.backtrack.add(turn.lane)
                node.sleep.pop(turn.lane, None)

    def took(self, turn: Turn) -> None:
        """See ``Scheduler``."""
        depth = self._depth
        self._depth += 1
        if depth < self._departs:
            return  # as in the run before
        self._nodes[depth].done[turn.lane] = turn
        if self._mode == "sources":
            del self._events[depth:], self._clocks[depth:]
            clock, races = self._order(turn)
            for other in () if turn.forced else races:
                self._reverse(other, turn, clock)
            self._events.append(turn)
            self._clocks.append(clock)

    def _order(self, turn: Turn) -> tuple[int, list[int]]:
        """The clock of a step that was just taken, and the steps with which it races: nothing is between them."""
        clocks, races = self._clocks, []
        clock = clocks[turn.born - 1] | 1 << turn.born - 1 if turn.born else 0
        for index in range(len(self._events) - 1, -1, -1):
            if not clock >> index & 1 and self._ordered(self._events[index], turn):
                races.append(index)
                clock |= clocks[index] | 1 << index
        return clock, races

    def _reverse(self, index: int, turn: Turn, clock: int) -> None:
        """See that ``turn``, which came after step ``index``, is also tried before it.

        That takes one initial of what came since and does not depend on that step, with ``turn`` at its end.
        """
        node = self._nodes[index]
        since = [later for later in range(index + 1, len(self._events)) if not self._clocks[later] >> index & 1]
        mask = sum(1 << later for later in since)
        initials = {self._events[later].lane for later in since if not self._clocks[later] & mask}
        if not clock & mask:
            initials.add(turn.lane)
        able = [lane for lane in node.lanes if lane in initials]
        if able and node.backtrack.isdisjoint(able):
            node.backtrack.add(turn.lane if turn.lane in able else able[0])

    def advance(self) -> bool:
        """See ``Paths``."""
        while self._nodes:
            node = self._nodes[-1]
            for lane in node.lanes:
                if lane in node.backtrack and lane not in node.done and lane not in node.sleep:
                    node.chosen = lane
                    self._departs = len(self._nodes) - 1
                    return True
            self._nodes.pop()
        return False


# Schedules with few preemptions.


def preempting(run: Run[T], preemptions_max: int, *, runs_max: int = RUNS_MAX) -> Search[T]:
    """Every schedule with at most ``preemptions_max`` preemptions: switches away from a lane that could have gone on.

    Most defects need few. Musuvathi, Qadeer: Iterative Context Bounding for Systematic Testing of Multithreaded
    Programs, PLDI 2007. No reduction is combined with it: the usual ones are not sound under such a bound.
    """
    paths = FewPreemptions(preemptions_max)
    return Search(run, paths, mode="preemptions", runs_max=runs_max, preemptions_max=preemptions_max)


@dataclass(slots=True)
class _Fork:
    lanes: list[str]  # those that may go, the one that goes on first
    costs: int  # what each but the first costs
    used: int  # preemptions before this step
    at: int = 0

    @property
    def chosen(self) -> str:
        return self.lanes[self.at]

    @property
    def used_then(self) -> int:
        return self.used + (self.costs if self.at else 0)


class FewPreemptions(Chooser):
    """The paths with at most so many preemptions."""

    def __init__(self, preemptions_max: int) -> None:
        self._max = preemptions_max
        self._forks: list[_Fork] = []
        self._depth = 0

    def begin(self) -> None:
        """See ``Paths``."""
        self._depth = 0

    def end(self) -> None:
        """See ``Paths``."""

    def choose(self, turns: Sequence[Turn]) -> int:
        """See ``Scheduler``."""
        lanes = [turn.lane for turn in turns]
        if self._depth == len(self._forks):
            self._forks.append(self._fork(lanes))
        chosen = self._forks[self._depth].chosen
        self._depth += 1
        if chosen not in lanes:
            raise DivergedError(
                f"step {self._depth} was {chosen}'s, and with the same choices it does not wait any more"
            )
        return lanes.index(chosen)

    def _fork(self, lanes: list[str]) -> _Fork:
        if not self._forks:
            return _Fork(lanes, costs=0, used=0)
        before = self._forks[-1]
        if before.chosen not in lanes:
            return _Fork(lanes, costs=0, used=before.used_then)
        others = [lane for lane in lanes if lane != before.chosen] if before.used_then < self._max else []
        return _Fork([before.chosen, *others], costs=1, used=before.used_then)

    def advance(self) -> bool:
        """See ``Paths``."""
        while self._forks:
            fork = self._forks[-1]
            fork.at += 1
            if fork.at < len(fork.lanes):
                return True
            self._forks.pop()
        return False


# A sample.


@dataclass(slots=True)
class Finding(Generic[T]):
    """An outcome: the first run that had it, how many had it, and how many of them by which scheduler."""

    first: Seen[T]
    by: Counter[str]

    @property
    def count(self) -> int:
        """How many runs had it."""
        return self.by.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Generic[T]):
    """What sampling has found, in the order in which it was found."""

    runs: int
    findings: Mapping[Hashable, Finding[T]]

    @property
    def unseen(self) -> float:
        """An estimate of the probability that one more run has a new outcome: the part of the runs that nobody repeated.

        Good: The Population Frequencies of Species and the Estimation of Population Parameters, 1953, attributed there
        to Turing.
        """
        return sum(finding.count == 1 for finding in self.findings.values()) / self.runs

    @property
    def finders(self) -> Mapping[str, int]:
        """How many outcomes each scheduler was the first to find."""
        return Counter(next(iter(finding.by)) for finding in self.findings.values())


def sample(run: Run[T], seed: Seed, outcome: Callable[[T], Hashable], *, runs_max: int = SAMPLED_RUNS_MAX) -> Sample[T]:
    """``runs_max`` runs by random schedulers in turn, as no one of them is best at everything.

    The first run is first come, first served: it measures the horizon of PCT and the weights of SURW.

    Raises:
        NothingSeenError: no run had a step at the gate.
    """
    counted = _Counted()
    recorded = Recorded(counted)
    seen, stepped = _seen(run, recorded), recorded.at_the_gate
    findings: dict[Hashable, Finding[T]] = {outcome(seen.value): Finding(seen, Counter(["first come"]))}
    names = itertools.cycle(_SCHEDULERS)
    for number in range(1, runs_max):
        name = next(names)
        scheduler = _SCHEDULERS[name](seed.fork(f"{name} {number}").random(), counted.turns)
        recorded = Recorded(scheduler)
        seen = _seen(run, recorded)
        stepped |= recorded.at_the_gate
        findings.setdefault(outcome(seen.value), Finding(seen, Counter())).by[name] += 1
    _check_stepped(stepped=stepped)
    return Sample(runs=max(runs_max, 1), findings=findings)


class _Counted(FirstCome):
    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def took(self, turn: Turn) -> None:
        self.turns.append(turn)


def _touched(turn: Turn) -> frozenset[Resource]:
    return turn.footprint.reads | turn.footprint.writes


def _weighted(chance: random.Random, counted: Sequence[Turn]) -> SURW:
    """Uniform over the orders of the steps that touch one resource, drawn for this run."""
    resource = chance.choice([touched for turn in counted for touched in sorted(_touched(turn), key=repr)] or [None])

    def interesting(turn: Turn) -> bool:
        return resource is None or turn.footprint.everything or resource in _touched(turn)

    return SURW(chance, Counter(turn.lane for turn in counted if interesting(turn)), interesting)


_SCHEDULERS: Mapping[str, Callable[[random.Random, Sequence[Turn]], Scheduler]] = {
    "random walk": lambda chance, _: RandomWalk(chance),
    "POS": lambda chance, _: POS(chance),
    "PCT 2": lambda chance, counted: PCT(chance, depth=2, horizon=len(counted)),
    "PCT 3": lambda chance, counted: PCT(chance, depth=3, horizon=len(counted)),
    "SURW": _weighted,
}


# A witness that is easier to read.


def shrink(run: Run[T], witness: Seen[T], same: Callable[[T], bool], *, runs_max: int = SHRINKING_RUNS_MAX) -> Seen[T]:
    """A schedule with as few context switches as can be found whose value is still the ``same``.

    Blocks of one lane are moved next to each other, until that changes the value or gains nothing.
    """
    best = witness
    tried = {witness.schedule}
    for _ in range(runs_max):
        candidate = next((moved for moved in _moves(best.schedule) if moved not in tried), None)
        if candidate is None:
            return best
        tried.add(candidate)
        seen = _seen(run, Recorded(Follow(candidate)))
        tried.add(seen.schedule)
        if _size(seen.schedule) < _size(best.schedule) and same(seen.value):
            best = seen
    return best


def _size(schedule: Schedule) -> tuple[int, int]:
    return schedule.switches, len(schedule.lanes)


def _moves(schedule: Schedule) -> Iterator[Schedule]:
    """The schedules in which one block has moved to the next or to the previous one of its lane."""
    blocks = [list(steps) for _, steps in itertools.groupby(schedule.lanes)]
    for one, other in itertools.combinations(range(len(blocks)), 2):
        if blocks[one][0] == blocks[other][0]:
            joined = blocks[one] + blocks[other]
            without = [block for index, block in enumerate(blocks) if index not in (one, other)]
            for place in (one, other - 1):
                moved = [*without[:place], joined, *without[place:]]
                yield Schedule(tuple(itertools.chain.from_iterable(moved)))
