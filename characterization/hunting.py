"""Hunts: programs of the random lens, one after another, for as long as it pays; what they found and have seen.

Program number n of a hunt depends on the seed, on n and on the subject's declaration alone, so a hunt goes on where it
was left, and hunts with one seed never try a program twice. What was seen is kept in a file for each subject.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

# By name: while a world is entered, `time.monotonic` is virtual, and this one is not.
from time import monotonic as _real_seconds

import filelock

from characterization.draws import Drawer, Table
from characterization.errors import HuntError
from characterization.laws import Judge
from characterization.likeness import Seen, labels_of, seen_by, seen_in, unhurried
from characterization.outcome import effects
from characterization.performing import Performer
from characterization.program import AtOnce, Call, Crash, Move, Part, Program, Struck
from characterization.shrinking import shrunk
from characterization.subject import Run
from characterization.unfolding import Unfolding, begun, named, parts_of, tidy
from simulator.errors import WorldError
from simulator.seed import Seed
from simulator.world import World

FORMAT = 1
KEPT_MAX = 12
MINUTE_S = 60.0


# What was found and seen.


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something that nobody knew: a broken law (``law`` is its name), or a kind of outcome; the shortest program to it.

    ``said`` is what the law said, or the kind in a sentence. It was found in the ``number``-th program from ``seed``. A
    law is broken in order, only where calls are at once, or only when something goes wrong: ``way``.
    """

    law: str
    said: str
    program: str
    number: int
    seed: int
    way: str = ""


IN_ORDER, AT_ONCE, STRUCK = "in order", "at once", "when something goes wrong"
LOOKS_MAX = 30
"""How often it is looked whether a law is broken in a way that is not known yet, in one hunt."""


def _kind_of(part: Part) -> str:
    if isinstance(part, Struck) or (isinstance(part, AtOnce) and part.plan is not None):
        return STRUCK
    return AT_ONCE if isinstance(part, AtOnce) else IN_ORDER


def _orders(part: AtOnce) -> Iterator[tuple[Part, ...]]:
    """What is at once in ``part``, one after another, in every order."""
    acts: list[Part] = [*part.calls, *map(Move, part.moves)]
    return itertools.permutations(acts)


@dataclass(slots=True)
class Memory:
    """What the hunts of one subject have seen. ``positions`` has by seed which program is next.

    ``kinds`` counts for each kind of outcome the programs that showed it; ``states`` are names of states.
    """

    subject: str
    positions: dict[int, int] = field(default_factory=dict)
    programs: int = 0
    steps: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    states: set[str] = field(default_factory=set)
    found: list[Found] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)

    @property
    def unseen(self) -> float:
        """In which share of further programs one may expect a kind of outcome that was not seen yet."""
        return sum(count == 1 for count in self.kinds.values()) / max(1, self.programs)

    def write(self, path: Path) -> None:
        """Keep it, in place of what was kept; a process that is killed meanwhile leaves the old one.

        Raises:
            HuntError: the file cannot be written.
        """
        told = {
            "format": FORMAT, "hypothesis": version("hypothesis"), "subject": self.subject,
            "positions": {str(seed): at for seed, at in sorted(self.positions.items())}, "programs": self.programs,
            "steps": self.steps, "kinds": dict(sorted(self.kinds.items())), "states": sorted(self.states),
            "found": [asdict(each) for each in self.found], "broken": dict(sorted(self.broken.items())),
        }  # fmt: skip
        new = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(told) + "\n", encoding="utf-8")
            new.replace(path)
        except OSError as error:
            raise HuntError(f"{path} cannot be written: {error.strerror or error}") from error

    @classmethod
    def read(cls, path: Path, subject: str) -> Memory:
        """What was kept, or nothing yet.

        Raises:
            HuntError: it was written by another version, of holdfast or of Hypothesis, or cannot be read.
        """
        if not path.exists():
            return cls(subject)
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            written = (told["format"], told["hypothesis"], told["subject"])
            own = (FORMAT, version("hypothesis"), subject)
            if written == own:
                return cls(
                    subject, {int(seed): int(at) for seed, at in told["positions"].items()}, int(told["programs"]),
                    int(told["steps"]), Counter(told["kinds"]), set(told["states"]),
                    [Found(**each) for each in told["found"]], Counter(told["broken"]),
                )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise HuntError(f"{path} cannot be read: {type(error).__name__}: {error}. {_ANEW}") from error
        raise HuntError(
            f"{path} was written by a hunt in format {written[0]} with Hypothesis {written[1]} for {written[2]}; this is "
            f"format {own[0]} with Hypothesis {own[1]} for {own[2]}, and draws other programs from the same seed. {_ANEW}"
        )


_ANEW = (
    "Begin anew with `holdfast hunt --anew`, which forgets what was seen; what was accepted is kept in the baseline."
)


def memory_path(folder: Path, subject: str) -> Path:
    """Where what was seen of a subject is kept, in the folder of pending results."""
    return folder / "hunt" / f"{subject.replace(':', '.').replace('/', '_')}.json"


@contextmanager
def only_hunt(path: Path, subject: str) -> Iterator[None]:
    """No other hunt of the subject meanwhile, whose memory is kept at ``path``: the last would write over the others.

    Raises:
        HuntError: there is one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise HuntError(
            f"another hunt of {subject} is under way: wait for it to end, or end it; it goes on where it was"
        ) from error
    try:
        yield
    finally:
        lock.release()


# The hunt.


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """What a hunt has come to since it told of itself last. ``unseen``: see ``Memory``."""

    minutes: int
    programs: int
    steps: int
    new_states: int
    new_kinds: int
    broken: int
    unseen: float
    seconds: float

    @property
    def text(self) -> str:
        """One line: what was new, and whether going on pays."""
        rate = self.steps / self.seconds if self.seconds else 0.0
        left = (
            f"one program in {1 / self.unseen:,.0f} shows a new kind" if self.unseen else "no kind was seen only once"
        )
        return (
            f"{self.minutes:4} min  {self.programs:,} programs, {self.steps:,} steps ({rate:,.0f}/s): "
            f"{self.new_states:,} new states, {self.new_kinds:,} new kinds of outcomes, {self.broken} laws newly broken; "
            f"{left}"
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a hunt lasts: seconds, or programs, whichever is over first. ``forgets``: what earlier hunts have seen."""

    seconds: float | None = None
    programs: int | None = None
    forgets: bool = False

    @property
    def text(self) -> str:
        """``for 600 seconds``, ``300 programs``."""
        told = [] if self.seconds is None else [f"for {self.seconds:g} seconds"]
        told += [] if self.programs is None else [f"{self.programs:,} programs"]
        return ", ".join(told)


HUNTS = {"ci": Limits(programs=300, forgets=True), "dev": Limits(seconds=60), "nightly": Limits(seconds=600)}
"""Limits by the profile that has such."""


class Hunt:
    """Tries programs of ``subject`` in ``world``, which must have been entered, from ``number`` on.

    ``known`` are the marks of what is pinned; none: nothing is, every kind of outcome would be new, and none is kept.
    ``accepted`` are the programs of the random lens that are pinned: what they show is known, too. ``memory`` is changed
    as the hunt goes on.
    """

    def __init__(
        self,
        table: Table,
        world: World,
        number: int,
        memory: Memory,
        known: Iterable[str] | None = None,
        accepted: Iterable[Program] = (),
    ) -> None:
        subject = table.subject()
        self.judge = Judge(subject)
        self.memory = memory
        self._table = table
        self._known = None if known is None else frozenset(known)
        self._seed = Seed(number)
        self._performer = Performer(subject, world, table.processes, self.judge)
        self._again = Performer(subject, world, judge=Judge(subject))  # for shrinking, whose verdicts are not counted
        self._ways = {(each.law, each.way) for each in memory.found if each.law}
        self._looks: Counter[tuple[str, str]] = Counter()
        self._refused: set[str] = set()
        self._accepted = {tidy(program).text: program for program in accepted}

    @property
    def performer(self) -> Performer:
        """For programs that are not counted, in the same world."""
        return self._again

    @property
    def position(self) -> int:
        """The number of the next program."""
        return self.memory.positions.get(self._seed.number, 0)

    def run(
        self,
        seconds_max: float | None,
        programs_max: int | None = None,
        tell: Callable[[Minute], None] = lambda _: None,
    ) -> None:
        """Try programs until the time is over, or as many as that; ``tell`` is called once a minute, and at the end.

        Raises:
            SubjectError: the subject breaks the rules of a world, or a wide value has no spelling.
        """
        if self._known is not None:
            shown = [seen_by(run).mark for each in self._accepted.values() for _, run in self._unfolded(each)]
            self._known |= set(shown)
        began = told = _real_seconds()
        before = self._counts()
        for tried in itertools.count():
            now = _real_seconds()
            over = (programs_max is not None and tried >= programs_max) or (
                seconds_max is not None and now - began >= seconds_max
            )
            if over or now - told >= MINUTE_S:
                tell(self._minute(round((now - began) / MINUTE_S), before, now - told))
                told, before = now, self._counts()
            if over:
                return
            self.one(self.position)
            self.memory.positions[self._seed.number] = self.position + 1

    def _counts(self) -> tuple[int, int, int, int, int]:
        memory = self.memory
        broken = sum(bool(each.law) for each in memory.found)
        return memory.programs, memory.steps, len(memory.states), len(memory.kinds), broken

    def _minute(self, minutes: int, before: Sequence[int], seconds: float) -> Minute:
        programs, steps, states, kinds, broken = (now - old for now, old in zip(self._counts(), before, strict=True))
        return Minute(
            minutes=minutes, programs=programs, steps=steps, new_states=states, new_kinds=kinds, broken=broken,
            unseen=self.memory.unseen, seconds=seconds,
        )  # fmt: skip

    def one(self, number: int) -> Program:
        """Try the program of that number; it is returned as it came to be."""
        memory = self.memory
        drawer = Drawer(self._table, self._seed.fork(f"program {number}").random())
        kinds: dict[Seen, Program] = {}
        broken: list[tuple[str, Program]] = []
        unfolding = Unfolding(self._performer)
        for _ in range(drawer.length):
            part, scheduler, tempt = drawer.part()
            with named(self._performer, unfolding.program.then(part)):
                run = unfolding.take(part, scheduler, tempt)
            memory.steps += 1
            seen = seen_by(run)
            kinds.setdefault(seen, unfolding.program)
            if isinstance(part, Crash) or (
                seen.faults and self._known is not None and seen.healthy.mark in self._known
            ):
                self._refused.add(seen.mark)  # that memory is gone is no news, nor is what nobody notices
            broken += [(law, unfolding.program) for law in unfolding.broken]
            if drawer.plain:
                memory.states.add(unfolding.name)
        for law, program in broken:
            self._found_broken(law, program, number)
        for seen, program in kinds.items():
            if seen.mark not in memory.kinds:
                self._found_kind(seen, program, number)
        # Last: who is interrupted before has seen none of it, and comes upon it again.
        memory.programs += 1
        memory.kinds.update(seen.mark for seen in kinds)
        return unfolding.program

    def _found_broken(self, law: str, program: Program, number: int) -> None:
        memory, last = self.memory, _kind_of(program.parts[-1])
        memory.broken[law] += 1
        self._looks[law, last] += 1
        if (law, last) in self._ways or self._looks[law, last] > LOOKS_MAX:
            return
        way = self._way_of(law, program)
        if (law, way) in self._ways:
            return
        self._ways.add((law, way))
        shortest = shrunk(program, lambda each: self._still(law, each, way), self._table.values)
        _, said = self._breaks(law, shortest)
        found = Found(law=law, said=said, program=shortest.text, number=number, seed=self._seed.number, way=way)
        memory.found.append(found)

    def _still(self, law: str, program: Program, way: str) -> Program | None:
        """``program`` up to where it breaks ``law``, if it does so that way."""
        came_to, _ = self._breaks(law, program)
        return came_to if came_to is not None and way in (IN_ORDER, self._way_of(law, came_to)) else None

    def _way_of(self, law: str, program: Program) -> str:
        """What it takes at the end of ``program`` for ``law`` to be broken there: tried without."""
        before, last = program.parts[:-1], program.parts[-1]
        if isinstance(last, Struck):
            return IN_ORDER if self._breaks(law, Program((*before, last.call)))[0] is not None else STRUCK
        if not isinstance(last, AtOnce):
            return IN_ORDER
        if any(self._breaks(law, Program((*before, *order)))[0] is not None for order in _orders(last)):
            return IN_ORDER
        healthy = Program((*before, replace(last, plan=None)))
        return STRUCK if last.plan is not None and self._breaks(law, healthy)[0] is None else AT_ONCE

    def _breaks(self, law: str, program: Program) -> tuple[Program | None, str]:
        """``program`` up to the part that breaks ``law``, as it came to be, and what the law says there."""
        for unfolding, _ in self._unfolded(program):
            if law in unfolding.broken:
                return unfolding.program, unfolding.broken[law].said
        return None, ""

    def _unfolded(self, program: Program) -> Iterator[tuple[Unfolding, Run]]:
        unfolding = begun(self._again, program)
        try:
            for part in parts_of(program):
                yield unfolding, unfolding.take(part)
        except WorldError:  # what is no longer the same program may break the rules of a world
            return

    def _found_kind(self, seen: Seen, program: Program, number: int) -> None:
        undecided = [each for each in self.memory.found if not each.law and each.program not in self._accepted]
        mark, kept = seen.mark, len(undecided)
        if self._known is None or mark in self._known or kept >= KEPT_MAX or mark in self._refused:
            return
        if self._in_some_order(program, seen):
            self._refused.add(mark)
            return
        shortest = shrunk(program, lambda each: self._shows(mark, each)[0], self._table.values)
        _, shown = self._shows(mark, shortest)
        if shown is None or self._in_some_order(shortest, shown):
            self._refused.add(mark)
        elif not any(each.program == shortest.text for each in self.memory.found):
            found = Found(law="", said=shown.sentence, program=shortest.text, number=number, seed=self._seed.number)
            self.memory.found.append(found)

    def _shows(self, mark: str, program: Program) -> tuple[Program | None, Seen | None]:
        for unfolding, run in self._unfolded(program):
            seen = seen_by(run)
            if seen.mark == mark:
                return unfolding.program, seen
        return None, None

    def _in_some_order(self, program: Program, seen: Seen) -> bool:
        """Whether what is at once at the end of ``program`` shows the same in some order in which nothing goes wrong."""
        last, labels = program.parts[-1], labels_of(program)
        if not isinstance(last, AtOnce):
            return False
        for order in _orders(last):
            runs = [run for _, run in self._unfolded(Program((*program.parts[:-1], *order)))][-len(order) :]
            if len(runs) == len(order):
                made = [
                    (part.operation, run.answer)
                    for part, run in zip(order, runs, strict=True)
                    if isinstance(part, Call)
                ]
                changed = effects(runs[0].before, runs[-1].after)
                changed = changed if last.plan is None else unhurried(changed)
                answers = [answer for _, answer in made]
                if seen_in([name for name, _ in made], "", answers, changed, (), labels) == seen.healthy:
                    return True
        return False
