"""Operations at once, from one state: every outcome they can have, which of them no order explains, and how it came.

Every interleaving class is run, ending with a certificate. Where there are too many for the budget, those with at most two
preemptions come next, as most defects need no more, then a sample by several schedulers in turn; what is found then is
called sampled. The sample is drawn from the program's own spelling, so that it is the same whoever looks.
"""

from __future__ import annotations

import hashlib
import linecache
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from characterization.behaviour import Explored, Interruption, RaceBehaviour, RaceOutcome
from characterization.errors import SubjectError
from characterization.interrupting import client_of, contended, interrupted_by_the_clock, interruption
from characterization.laws import LawWitness
from characterization.outcome import effects, spell
from characterization.performing import Encounter, Performer
from characterization.program import AtOnce, Program
from characterization.renaming import Renamer
from characterization.state import Words, renumbered
from characterization.subject import Run
from simulator.errors import WorldError
from simulator.explore import NothingSeenError, Seen, preempting, replay, sample, shrink, systematic
from simulator.gate import Step
from simulator.race import CLOCK
from simulator.schedule import DivergedError, Replay, Schedule, Scheduler, Turn
from simulator.seed import Seed

SCHEDULES_MAX = 2_000
"""How many schedules of one program are run at most, unless its subject says otherwise."""

PREEMPTIONS_MAX = 2

CHECKED_ONE_IN = 32
"""Of how many programs one is explored without believing what the subject says of its memory."""

Key = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
K = TypeVar("K")
_ROWS, _COLUMNS = "\x1e", "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceStep:
    """One step of a witness: which client took it (0: work in the background), what was sent, what was answered.

    Keys are spelled in the subject's words; ``contended`` are those whose order with another client's step matters.
    ``line`` is the service's own line that sent it, as ``file.py:12  the code``; empty: not known.
    """

    client: int
    commands: tuple[str, ...]
    replies: tuple[str, ...]
    contended: tuple[str, ...] = ()
    line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """An outcome, and the steps of the run that leads to it by its schedule."""

    outcome: RaceOutcome
    steps: tuple[RaceStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """All that is known of operations at once from one state: what some order explains comes first.

    ``kind`` is that state in the subject's words. ``again``: one schedule was run, not all.
    """

    subject: str
    program: Program
    kind: str
    witnesses: tuple[Witness, ...]
    explored: Explored
    backend: str
    seed: int
    again: bool = False

    @property
    def outcomes(self) -> tuple[RaceOutcome, ...]:
        """What came of it."""
        return tuple(witness.outcome for witness in self.witnesses)

    @property
    def anomalies(self) -> tuple[RaceOutcome, ...]:
        """The outcomes that no order explains."""
        return tuple(outcome for outcome in self.outcomes if not outcome.serial)

    @property
    def ident(self) -> str:
        """The behaviour's name, as a recording has it."""
        return f"{self.subject}/race/{self.program.subject_of}#{self.program.mark}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a program shows now, and by schedule what became of the witnesses of anomalies that it no longer shows."""

    behaviour: RaceBehaviour
    lost: Mapping[str, str]


class Contest:
    """What ``program`` has at its end, at once, from the state that its prelude leads to, in the world of ``performer``.

    The service's processes are those of ``performer``. ``schedules_max`` is the budget, in runs.

    Raises:
        ProgramError: the subject has no such operation.
        SubjectError: one of its operations has no such argument.
    """

    def __init__(self, performer: Performer, program: Program, schedules_max: int = SCHEDULES_MAX) -> None:
        assert program.at_once is not None, "a contest is between clients"
        for call in program.calls:  # what is not there must not be taken for something that the service raises
            performer.operation(call).bind(call)
        self._performer = performer
        self._program = program
        self._at_once: AtOnce = program.at_once
        self._schedules_max = schedules_max
        self._name = type(performer.subject).name
        self._words = Words(type(performer.subject).keys)
        self._known: dict[Key, str] | None = None
        self._in_order: dict[Key, Encounter] = {}
        self._by_tasks: dict[tuple[Key, int], Seen[Encounter]] = {}
        self._judged: set[tuple[object, ...]] = set()

    def behaviour(self, pinned: Sequence[RaceOutcome] = ()) -> RaceBehaviour:
        """The program's outcomes as a recording holds them: every anomaly with its witness, a mark of each other one.

        Those of ``pinned`` whose witness still leads there keep it, and need not be looked into again.

        Raises:
            SubjectError: the operations break the rules of a world, in some schedule.
        """
        with self._named():
            found, explored = self._explored()
            known = {each.seen: each for each in pinned}
            anomalies = [
                self._still(known.get(key), key) or self._anomaly(key, seen)
                for key, seen in found.items() if key not in self._serial
            ]  # fmt: skip
            told = tuple(sorted(self._told_apart(anomalies), key=lambda each: each.seen))
            self._judge(found, told)
            return RaceBehaviour(
                subject=self._name, program=self._program, kind=self._kind(), explored=explored,
                serial=tuple((order, mark_of(key)) for key, order in self._serial.items()), anomalies=told,
            )  # fmt: skip

    def sighting(
        self, pinned: RaceBehaviour | None, *, only_witnesses: bool = False, lawless: Sequence[LawWitness] = ()
    ) -> Sighting:
        """The program's outcomes now; of each pinned anomaly that is not among them, what its witness leads to instead.

        One whose witness still leads there is among them, even where a sample did not come upon it. With
        ``only_witnesses`` nothing else is run than the orders and those witnesses. ``lawless`` are witnesses against laws:
        the laws are judged by them once more.

        Raises:
            SubjectError: the operations break the rules of a world, in some schedule.
        """
        known = () if pinned is None else pinned.anomalies
        if only_witnesses and pinned is not None:
            serial = tuple((order, mark_of(key)) for key, order in self._serial.items())
            behaviour = replace(pinned, serial=serial, anomalies=(), subject=self._name)
            self._judge({}, ())
        else:
            behaviour = self.behaviour(known)
        found = {each.seen for each in behaviour.anomalies}
        with self._named():
            lost = {each.schedule: self._lost(each) for each in known if each.seen not in found}
            self._judge_again(lawless)
        still = [each for each in known if lost.get(each.schedule) == "" and each.seen not in found]
        anomalies = tuple(sorted((*behaviour.anomalies, *still), key=lambda each: each.seen))
        return Sighting(
            behaviour=replace(behaviour, anomalies=anomalies),
            lost={schedule: why for schedule, why in lost.items() if why},
        )

    def explore(self) -> Race:
        """Every outcome in full, with the steps that lead to it.

        Raises:
            SubjectError: the operations take no step at the gate, so there is nothing to interleave, or break the rules
                of a world, in some schedule.
        """
        with self._named():
            found, explored = self._explored(needed=True)
            serial = [self._shrunk(key, seen) for key, seen in found.items() if key in self._serial]
            anomalies = [self._anomaly(key, seen) for key, seen in found.items() if key not in self._serial]
            witnesses = [self._witness(outcome) for outcome in (*serial, *self._told_apart(anomalies))]
            return self._race(witnesses, explored)

    def again(self, schedule: Schedule) -> Race:
        """Run one schedule, to the letter.

        Raises:
            DivergedError: the operations cannot follow it (any more); says from which step on.
        """
        encounter = replay(self._run, schedule)
        key = self._key(encounter)
        self._observe(encounter, schedule.text, serial=key in self._serial)
        outcome = self._outcome(key, schedule)
        if not outcome.serial:
            outcome = replace(outcome, interruption=self._interruption(schedule))
        return self._race([self._witness(outcome)], Explored(mode="sampled", classes=1), again=True)

    def _lost(self, anomaly: RaceOutcome) -> str:
        """What the witness of ``anomaly`` leads to instead; empty: it still leads there."""
        try:
            encounter = replay(self._run, Schedule.parse(anomaly.schedule))
        except (DivergedError, ValueError) as error:
            return f"its witness no longer replays: {error}"
        key = self._key(encounter)
        if key == anomaly.seen:
            self._observe(encounter, anomaly.schedule, split=anomaly.split)
            return ""
        order = self._serial.get(key)
        return f"its witness now ends as the order {order} does" if order else "its witness now ends otherwise"

    # Laws.

    def _judge(self, found: Mapping[Key, Seen[Encounter]], anomalies: Sequence[RaceOutcome]) -> None:
        """Hold the laws against each outcome once, and again where it leaves another number of tasks behind.

        Those of ``found``, and what only an order was seen to have.
        """
        if self._performer.judge is None:
            return
        told = {each.seen: each for each in anomalies}
        often = Counter(key for key, _ in self._by_tasks)
        for (key, _), seen in self._by_tasks.items():
            known = told.get(key)
            schedule = seen.schedule.text if known is None or often[key] > 1 else known.schedule
            self._observe(seen.value, schedule, serial=known is None, split=known is not None and known.split)
        for key in self._serial:
            if key not in found:
                self._observe(self._in_order[key], "", serial=True)

    def _judge_again(self, witnesses: Sequence[LawWitness]) -> None:
        for witness in witnesses if self._performer.judge is not None else ():
            encounter = self._replayed(witness.schedule)
            if encounter is not None:
                serial = self._key(encounter) in self._serial
                self._observe(encounter, witness.schedule, serial=serial, split=witness.split)

    def _replayed(self, schedule: str) -> Encounter | None:
        """The run of ``schedule``; none: it cannot be followed any more, and there are other outcomes, which are judged."""
        try:
            return replay(self._run, Schedule.parse(schedule))
        except (DivergedError, ValueError):
            return None

    def _observe(self, encounter: Encounter, schedule: str, *, serial: bool = False, split: bool = False) -> None:
        """Hold the laws against one run, unless they were against one that showed the same."""
        key = *self._key(encounter), encounter.tasks
        if self._performer.judge is not None and key not in self._judged:
            self._judged.add(key)
            run = Run(
                program=self._program.text, parsed=self._program, before=encounter.before, after=encounter.after,
                answers=encounter.answers, events=encounter.events, schedule=schedule, serial=serial, split=split,
                tasks_before=encounter.tasks_before, tasks=encounter.tasks,
            )  # fmt: skip
            self._performer.judge.observe(run, "race")

    # Looking.

    def _run(self, scheduler: Scheduler) -> Encounter:
        return self._performer.meet(self._program, scheduler)

    def _key(self, encounter: Encounter) -> Key:
        """What two runs are compared by. Events of different clients have no order that was meant."""
        key = encounter.answers, effects(encounter.before, encounter.after), tuple(sorted(encounter.events))
        text = _ROWS.join(_COLUMNS.join(lines) for lines in key)
        if "#" not in text:
            return key
        # Which of two clients drew its token first is no difference.
        answers, changed, events = renumbered(text, self._performer.roles).split(_ROWS)
        return _lines(answers), _lines(changed), _lines(events)

    def _kind(self) -> str:
        return self._performer.kind_after(self._program.prelude)

    @property
    def _serial(self) -> dict[Key, str]:
        """Every outcome that some order has, with the first such order."""
        if self._known is None:
            self._known = {}
            for order in orders(self._at_once):
                encounter = self._performer.meet_in_order(self._program, order)
                key = self._key(encounter)
                self._known.setdefault(key, " ".join(self._client_word(client) for client in order))
                self._in_order.setdefault(key, encounter)
        return self._known

    def _client_word(self, client: int) -> str:
        return "clock" if client == len(self._at_once.clients) else str(client + 1)

    def _explored(self, *, needed: bool = False) -> tuple[Mapping[Key, Seen[Encounter]], Explored]:
        try:
            return self._all_or_sampled()
        except NothingSeenError:
            if needed:
                raise
            return {}, Explored(mode="orders", classes=0)

    def _all_or_sampled(self) -> tuple[Mapping[Key, Seen[Encounter]], Explored]:
        found: dict[Key, Seen[Encounter]] = {}
        search = systematic(self._run, runs_max=max(1, self._schedules_max // 2))
        for seen in search:
            self._keep(found, seen)
        if search.certificate.complete:
            self._check_memory(found)
            return found, Explored(mode="all", classes=search.certificate.classes)
        few = preempting(self._run, PREEMPTIONS_MAX, runs_max=max(1, self._schedules_max // 4))
        for seen in few:
            self._keep(found, seen)
        seed = Seed(int(self._program.mark, 16)).fork("race")
        sampled = sample(self._run, seed, self._key, runs_max=max(2, self._schedules_max // 4))
        for finding in sampled.findings.values():
            self._keep(found, finding.first)
        runs = search.certificate.classes + few.certificate.classes + sampled.runs
        return found, Explored(mode="sampled", classes=runs, unseen=round(sampled.unseen, 4))

    def _keep(self, found: dict[Key, Seen[Encounter]], seen: Seen[Encounter]) -> None:
        key = self._key(seen.value)
        _keep(found, key, seen)
        _keep(self._by_tasks, (key, seen.value.tasks), seen)

    def _check_memory(self, found: Mapping[Key, Seen[Encounter]]) -> None:
        """Of some programs, chosen by their spelling, explore without believing what the subject says of its memory.

        Raises:
            SubjectError: there is an outcome that was hidden.
        """
        changing = type(self._performer.subject).remembers
        shared = len({client[0].replica for client in self._at_once.clients}) < len(self._at_once.clients)
        if (
            changing is None
            or not shared
            or self._performer.distrusting
            or int(self._program.mark, 16) % CHECKED_ONE_IN
        ):
            return
        self._performer.distrusting = True
        try:
            hidden = next(
                (
                    seen
                    for seen in systematic(self._run, runs_max=self._schedules_max)
                    if self._key(seen.value) not in found
                ),
                None,
            )
        finally:
            self._performer.distrusting = False
        if hidden is not None:
            raise SubjectError(
                f"{self._name} says of its operations that {', '.join(changing) or 'none'} changes what a process "
                f"remembers, but `{self._program.text}` has an outcome by the schedule {hidden.schedule.text} that this "
                "would hide. Name the operations that change it in `remembers`, or leave `remembers` out."
            )

    def _told_apart(self, anomalies: Sequence[RaceOutcome]) -> Iterator[RaceOutcome]:
        """``anomalies``, those marked that are no longer there when each plain pipeline is served in one go."""
        gate = self._performer.world.gate
        pipelines = gate.pipelines
        if anomalies:
            self._performer.meet_in_order(self._program, next(orders(self._at_once)))
        if gate.pipelines == pipelines:
            yield from anomalies
            return
        gate.whole_pipelines = True
        try:
            whole, _ = self._explored()
        finally:
            gate.whole_pipelines = False
        for each in anomalies:
            yield replace(each, split=each.seen not in whole)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say of what goes wrong in which program it did."""
        try:
            yield
        except WorldError as error:
            raise SubjectError(f"{self._name}, in `{self._program.text}`: {error}") from error

    # Witnesses.

    def _shrunk(self, key: Key, seen: Seen[Encounter]) -> RaceOutcome:
        # One switch after each client but the last is what an order has; what no order has takes one more.
        fewest = len(set(seen.schedule.lanes)) - (key in self._serial)
        if seen.schedule.switches > fewest:
            seen = shrink(self._run, seen, lambda encounter: self._key(encounter) == key)
        return self._outcome(key, seen.schedule)

    def _still(self, pinned: RaceOutcome | None, key: Key) -> RaceOutcome | None:
        """``pinned``, if its witness still leads to ``key``; whether that takes a split pipeline is yet to be seen."""
        encounter = None if pinned is None else self._replayed(pinned.schedule)
        if pinned is None or encounter is None or self._key(encounter) != key:
            return None
        return replace(pinned, split=False)

    def _anomaly(self, key: Key, seen: Seen[Encounter]) -> RaceOutcome:
        outcome = self._shrunk(key, seen)
        return replace(outcome, interruption=self._interruption(Schedule.parse(outcome.schedule)))

    def _outcome(self, key: Key, schedule: Schedule) -> RaceOutcome:
        answers, changed, events = key
        return RaceOutcome(
            answers=answers, effects=changed, events=events, schedule=schedule.text, serial=key in self._serial
        )

    def _traced(self, schedule: Schedule) -> tuple[list[Step], list[int]]:
        """The steps of ``schedule``, collected while it is run once more, and before which of them the clock moved."""
        gate = self._performer.world.gate
        gate.trace = []
        moved: list[int] = []
        scheduler = _Noting(schedule, lambda: moved.append(len(gate.trace or ())))
        try:
            encounter = self._run(scheduler)
            scheduler.end()
            before = encounter.steps_before
            return list(gate.trace[before:]), [place - before for place in moved]
        finally:
            gate.trace = None

    def _witness(self, outcome: RaceOutcome) -> Witness:
        steps, _ = self._traced(Schedule.parse(outcome.schedule))
        world = self._performer.world
        renamer = Renamer(world.clock.started_ns, world.chance.draws)
        shared = contended(steps, self._words)
        told = [_told(step, keys, self._words, renamer) for step, keys in zip(steps, shared, strict=True)]
        return Witness(outcome=outcome, steps=tuple(told))

    def _interruption(self, schedule: Schedule) -> Interruption | None:
        steps, moved = self._traced(schedule)
        replicas = [client[0].replica for client in self._at_once.clients]
        own = replicas == list(range(1, len(replicas) + 1))
        who = "replica" if own else "client"
        found = interruption(steps, self._at_once, self._words, who)
        return found or interrupted_by_the_clock(steps, moved, self._at_once, self._words, who)

    def _race(self, witnesses: Sequence[Witness], explored: Explored, *, again: bool = False) -> Race:
        world = self._performer.world
        return Race(
            subject=self._name, program=self._program, kind=self._kind(), explored=explored, again=again,
            witnesses=tuple(sorted(witnesses, key=_place)), backend=world.backend.name, seed=world.seed.number,
        )  # fmt: skip


def _keep(found: dict[K, Seen[Encounter]], key: K, seen: Seen[Encounter]) -> None:
    """Of the runs that lead to one outcome, keep the first with the fewest context switches."""
    known = found.get(key)
    if known is None or seen.schedule.switches < known.schedule.switches:
        found[key] = seen


class _Noting(Replay):
    """A schedule once more, that says when the clock moves."""

    def __init__(self, schedule: Schedule, moves: Callable[[], None]) -> None:
        super().__init__(schedule)
        self._moves = moves

    def took(self, turn: Turn) -> None:
        """See ``Scheduler``."""
        if turn.lane == CLOCK:
            self._moves()


def _place(witness: Witness) -> tuple[object, ...]:
    return not witness.outcome.serial, witness.outcome.seen


def _lines(joined: str) -> tuple[str, ...]:
    return tuple(joined.split(_COLUMNS)) if joined else ()


def mark_of(key: Key) -> str:
    """Eight hexadecimal digits that stand for an outcome."""
    text = _ROWS.join(_COLUMNS.join(lines) for lines in key)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def orders(at_once: AtOnce) -> Iterator[tuple[int, ...]]:
    """Every order of the calls, one after another, each client's own kept: the client (from 0) of each, last the clock."""
    yield from _orders([len(calls) for calls in at_once.clients] + [len(at_once.moves)] * bool(at_once.moves))


def _orders(left: list[int]) -> Iterator[tuple[int, ...]]:
    if not any(left):
        yield ()
    for client, count in enumerate(left):
        if count:
            for rest in _orders([*left[:client], count - 1, *left[client + 1 :]]):
                yield client, *rest


def _told(step: Step, keys: Sequence[str], words: Words, renamer: Renamer) -> RaceStep:
    return RaceStep(
        client=client_of(step),
        commands=tuple(renamer.text(" ".join(map(words.of, command))) for command in step.commands),
        replies=tuple(spell(reply, renamer) for reply in step.replies),
        contended=tuple(keys),
        line=_line(step.origin),
    )


def _line(origin: tuple[str, int] | None) -> str:
    if origin is None:
        return ""
    file, number = origin
    return f"{Path(file).name}:{number}  {linecache.getline(file, number).strip()}".rstrip()
