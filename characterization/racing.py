"""Operations at once, from one state: every outcome they can have, which of them no order explains, and how it came.

One pair (or more) by hand. Every interleaving class is run, ending with a certificate; where there are too many, a seeded
sample is added, and the certificate says that it is not complete.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from characterization.outcome import effects, spell
from characterization.performing import Encounter, Performer
from characterization.program import Call, Program
from characterization.renaming import Renamer
from characterization.state import Words
from simulator.explore import RUNS_MAX, Certificate, Seen, replay, sample, shrink, systematic
from simulator.footprint import footprint_of
from simulator.gate import Step
from simulator.schedule import Schedule, Scheduler

Key = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceStep:
    """One step of a witness: which client took it (0: work in the background), what was sent, what was answered.

    Keys are spelled in the subject's words.
    """

    client: int
    commands: tuple[str, ...]
    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceOutcome:
    """One outcome of operations at once.

    ``serial``: some order of the same operations, one after another, has it too. ``schedule`` leads to it, with as few
    context switches as were found; ``steps`` are that run's. ``between`` names the two accesses that raced, where a
    client was interrupted between them.
    """

    answers: tuple[str, ...]
    effects: tuple[str, ...]
    events: tuple[str, ...]
    serial: bool
    schedule: str
    steps: tuple[RaceStep, ...]
    between: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """All that is known of operations at once from one state. ``unseen`` estimates what a sample has missed."""

    subject: str
    prelude: str
    calls: tuple[str, ...]
    replicas: int
    outcomes: tuple[RaceOutcome, ...]
    certificate: Certificate
    unseen: float

    @property
    def anomalies(self) -> tuple[RaceOutcome, ...]:
        """The outcomes that no order explains."""
        return tuple(outcome for outcome in self.outcomes if not outcome.serial)


class Contest:
    """Operations at once, from the state that ``prelude`` leads to, in the world of ``performer``."""

    def __init__(self, performer: Performer, prelude: Program, calls: Sequence[Call]) -> None:
        self._performer = performer
        self._prelude = prelude
        self._calls = tuple(calls)

    def explore(self, runs_max: int = RUNS_MAX) -> Race:
        """Run every interleaving class, at most ``runs_max`` of them; beyond that, add a sample.

        Raises:
            NothingSeenError: the operations take no step at the gate, so there is nothing to interleave.
        """
        search = systematic(self._run, runs_max=runs_max)
        found: dict[Key, Seen[Encounter]] = {}
        for seen in search:
            found.setdefault(_key(seen.value), seen)
        unseen = 0.0
        if not search.certificate.complete:
            sampled = sample(self._run, self._performer.world.seed.fork("race"), _key)
            for finding in sampled.findings.values():
                found.setdefault(_key(finding.first.value), finding.first)
            unseen = sampled.unseen
        serial = {_key(encounter) for encounter in self._one_after_another()}
        outcomes = [self._outcome(key, seen, serial=key in serial) for key, seen in found.items()]
        return self._race(outcomes, search.certificate, unseen)

    def again(self, schedule: Schedule) -> Race:
        """Run one schedule, to the letter.

        Raises:
            DivergedError: the operations cannot follow it (any more); says from which step on.
        """
        encounter = replay(self._run, schedule)
        serial = {_key(each) for each in self._one_after_another()}
        outcome = self._witnessed(_key(encounter), schedule, serial=_key(encounter) in serial)
        certificate = Certificate(
            mode="replay", classes=1, pruned=0, complete=False, runs_max=1, steps_longest=len(schedule.lanes)
        )
        return self._race([outcome], certificate, 0.0)

    def _race(self, outcomes: Sequence[RaceOutcome], certificate: Certificate, unseen: float) -> Race:
        return Race(
            subject=type(self._performer.subject).name, prelude=self._prelude.text,
            calls=tuple(call.text for call in self._calls), replicas=len({call.replica for call in self._calls}),
            outcomes=tuple(sorted(outcomes, key=_place)), certificate=certificate, unseen=unseen,
        )  # fmt: skip

    def _run(self, scheduler: Scheduler) -> Encounter:
        return self._performer.meet(self._prelude, self._calls, scheduler)

    def _one_after_another(self) -> Iterator[Encounter]:
        for order in itertools.permutations(range(len(self._calls))):
            yield self._performer.meet_in_order(self._prelude, self._calls, order)

    def _outcome(self, key: Key, seen: Seen[Encounter], *, serial: bool) -> RaceOutcome:
        shortest = shrink(self._run, seen, lambda encounter: _key(encounter) == key)
        return self._witnessed(key, shortest.schedule, serial=serial)

    def _witnessed(self, key: Key, schedule: Schedule, *, serial: bool) -> RaceOutcome:
        gate = self._performer.world.gate
        gate.trace = []
        try:
            encounter = replay(self._run, schedule)
            steps = list(gate.trace[encounter.steps_before :])
        finally:
            gate.trace = None
        world = self._performer.world
        renamer = Renamer(world.clock.started_ns, world.chance.draws)
        words = Words(type(self._performer.subject).keys)
        answers, changed, events = key
        return RaceOutcome(
            answers=answers, effects=changed, events=events, serial=serial, schedule=schedule.text,
            steps=tuple(_step(step, words, renamer) for step in steps), between="" if serial else _between(steps, words),
        )  # fmt: skip


def _place(outcome: RaceOutcome) -> tuple[object, ...]:
    return not outcome.serial, outcome.answers, outcome.effects, outcome.events


def _key(encounter: Encounter) -> Key:
    """What two runs are compared by. Events of different clients have no order that was meant."""
    return encounter.answers, effects(encounter.before, encounter.after), tuple(sorted(encounter.events))


def _step(step: Step, words: Words, renamer: Renamer) -> RaceStep:
    return RaceStep(
        client=_client(step),
        commands=tuple(renamer.text(" ".join(map(words.of, command))) for command in step.commands),
        replies=tuple(spell(reply, renamer) for reply in step.replies),
    )


def _client(step: Step) -> int:
    kind, number = step.lane[:2]
    return int(str(number)) if kind == "client" else 0


def _between(steps: Sequence[Step], words: Words) -> str:
    """The two accesses that raced: one client looked, another wrote, the first went on with what it had seen."""
    for early, late in itertools.combinations(range(len(steps)), 2):
        if _client(steps[early]) != _client(steps[late]):
            continue
        looked = footprint_of(steps[early].commands).reads
        went_on = footprint_of(steps[late].commands)
        for middle in steps[early + 1 : late]:
            shared = looked & footprint_of(middle.commands).writes & (went_on.reads | went_on.writes)
            if _client(middle) != _client(steps[early]) and shared:
                return _interrupted(steps[early], steps[late], middle, _word(min(shared, key=repr), words))
    return ""


def _interrupted(early: Step, late: Step, middle: Step, word: str) -> str:
    return (
        f"between client {_client(early)}'s {_name(early)} and {_name(late)} of {word}, client {_client(middle)} wrote it "
        f"({_name(middle)})"
    )


def _word(resource: tuple[object, ...], words: Words) -> str:
    key = next((part for part in reversed(resource) if isinstance(part, bytes)), b"?")
    return words.of(key)


def _name(step: Step) -> str:
    first = step.commands[0][0].decode(errors="replace").upper()
    if first != "MULTI" or len(step.commands) == 1:
        return first
    return f"MULTI {{{', '.join(command[0].decode(errors='replace').upper() for command in step.commands[1:-1])}}}"
