"""Behaviours: programs with what they can show, and the recording that holds a subject's."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from characterization.laws import Findings, LawFinding
from characterization.laws import merged as sum_of
from characterization.outcome import Outcome
from characterization.program import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """A program and its outcome: in the sequence and time lenses there is one, since nothing is left to chance."""

    subject: str
    program: Program
    outcome: Outcome

    @property
    def ident(self) -> str:
        """``relay.store/sequence/save#3fa9c1``: subject, lens, operation, and a mark of the program's spelling."""
        program = self.program
        return f"{self.subject}/{program.lens}/{program.subject_of}#{program.mark}"


# What operations at once can show.


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """Two accesses of one client, and what another client did between them that makes their order matter.

    ``client`` made the accesses ``early`` and ``late`` of ``words`` (keys, in the subject's words; the same one twice, or
    two), as part of ``operation``; meanwhile ``by`` did ``came``, as part of ``other``. ``wrote``: it wrote; otherwise it
    read what was only half written. ``who`` is what clients are called: each may be a replica of its own. ``client`` or
    ``by`` is 0 for work in the background, and ``by`` where it was the clock that moved.
    """

    client: int
    operation: str
    early: str
    late: str
    words: tuple[str, str]
    by: int
    other: str
    came: str
    wrote: bool = True
    first: bool = False
    who: str = "client"

    @property
    def touched(self) -> str:
        """The word of the key that was written or read in between."""
        return self.words[0 if self.first else 1]

    @property
    def accesses(self) -> str:
        """``GET and SET of main(s1)``, or with two keys ``SMEMBERS of index and GET of main(s1)``."""
        first, second = self.words
        return f"{self.early} and {self.late} of {first}" if first == second else (
            f"{self.early} of {first} and {self.late} of {second}"
        )  # fmt: skip

    @property
    def place(self) -> tuple[str, ...]:
        """Where it is in the service, whatever the arguments: the operation, its two accesses, and the kinds of keys."""
        return self.operation, self.early, self.late, *(re.split(r"[:(]", word)[0] for word in self.words)

    @property
    def sentence(self) -> str:
        """``between replica 1's GET and SET of main(s1), replica 2 wrote it (SET)``."""
        whose = f"{self.who} {self.client}'s" if self.client else "the background work's"
        if self.other == "clock":
            return f"between {whose} {self.accesses}, the clock moved"
        by = f"{self.who} {self.by}" if self.by else "the background work"
        it = "it" if len(set(self.words)) == 1 else self.touched
        return f"between {whose} {self.accesses}, {by} {'wrote' if self.wrote else 'read'} {it} ({self.came})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceOutcome:
    """One outcome of operations at once: the calls' answers, in the program's order, effects, and events, sorted.

    ``serial``: some order of the same operations, one after another, has it too; otherwise it is an anomaly.
    ``schedule`` is the witness, with as few context switches as were found. ``split``: it needs another's step between
    two commands of one plain pipeline, which a real server seldom lets happen. ``interruption`` names the accesses that
    raced, where two did.
    """

    answers: tuple[str, ...]
    effects: tuple[str, ...]
    events: tuple[str, ...]
    schedule: str
    serial: bool = False
    split: bool = False
    interruption: Interruption | None = None

    @property
    def seen(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """What is compared: everything but how it came."""
        return self.answers, self.effects, self.events


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """How a program's outcomes were looked for.

    ``all``: every class of interleavings, of which there are ``classes``. ``sampled``: ``classes`` runs, not all; about
    ``unseen`` of further runs would show another outcome. ``orders``: there is no step to interleave, so the orders of the
    calls are all there is.
    """

    mode: str
    classes: int
    unseen: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return self.mode != "sampled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceBehaviour:
    """A program whose end happens at once, and the set of outcomes that it can have.

    ``serial`` has an order for each outcome that some order has (``1 2``: client 1, then client 2), with a mark of that
    outcome: eight hexadecimal digits. ``kind`` is the state it starts from, in the subject's words.
    """

    subject: str
    program: Program
    kind: str
    serial: tuple[tuple[str, str], ...]
    anomalies: tuple[RaceOutcome, ...]
    explored: Explored

    @property
    def ident(self) -> str:
        """``relay.store/race/get-x-save#3fa9c1d0``: subject, lens, operations, and a mark of the program's spelling."""
        return f"{self.subject}/race/{self.program.subject_of}#{self.program.mark}"

    @property
    def outcomes(self) -> int:
        """How many outcomes there are."""
        return len(self.serial) + len(self.anomalies)


# What a call shows when something goes wrong meanwhile.


class Ending(enum.StrEnum):
    """What a fault comes to in the end, the mildest first.

    ``unnoticed``: answer and state are those of a healthy call. ``healed by retry``: they are once the same call is made
    again; ``healed by restart``: once it is made again by a new replica. ``left behind``: neither heals it, or nobody would
    try, since the caller was told what a healthy call tells. ``not struck``: the fault found nothing to strike, and nothing
    was learned.
    """

    UNNOTICED = "unnoticed"
    RETRY = "healed by retry"
    RESTART = "healed by restart"
    LEFT = "left behind"
    NOT_STRUCK = "not struck"

    @property
    def rank(self) -> int:
        """Larger is worse."""
        return list(Ending).index(self)


class Told(enum.StrEnum):
    """What the caller of a call that was struck is told."""

    AS_HEALTHY = "the caller is told it succeeded"
    FAILED = "the caller is told it failed"
    OTHERWISE = "the caller is told something else"
    NEVER = "the caller is never told"
    ENDLESS = "the call goes on for ever"
    GAVE_UP = "the caller gave up"
    GOES_ON = "the caller gave up, and the call went on"
    GONE = "the replica is gone"


class Done(enum.StrEnum):
    """What a call that was struck did to what is stored, beside what a healthy one does."""

    NOTHING = "nothing is changed"
    ALL = "it was done"
    HALF = "half of it is done"
    TWICE = "it was done twice"
    OTHER = "something else is done"
    DAMAGE = "the damage stays"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultBehaviour:
    """A program whose last call is struck by a fault, what that call showed, and what heals it.

    ``kind`` is the state that the call begins in, in the subject's words; ``step`` what was struck, ``EXPIRE seen(s1)``.
    ``answer`` is the caller's, ``effects`` what is different at once, ``events`` what was heard, all empty where the fault
    is not noticed or did not strike. ``left`` has the lines by which the end differs from that of a healthy call, from what
    a healthy one leaves to what is there; ``why`` says why nothing was struck.
    """

    subject: str
    program: Program
    kind: str
    step: str
    ending: Ending
    told: Told = Told.AS_HEALTHY
    done: Done = Done.ALL
    answer: str = ""
    effects: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    in_doubt: bool = False
    why: str = ""

    @property
    def ident(self) -> str:
        """``relay.store/fault/save#3fa9c1d0``: subject, lens, operation, and a mark of the program's spelling."""
        return f"{self.subject}/fault/{self.program.subject_of}#{self.program.mark}"

    @property
    def fault(self) -> str:
        """The plan, as it is spelled: ``reply lost @2``."""
        return self.program.struck.plan.text if self.program.struck is not None else ""

    @property
    def kinds(self) -> str:
        """What went wrong, whatever the step: ``reply lost``, ``dropped, refused from then on``."""
        struck = self.program.struck
        faults = struck.plan.faults if struck is not None else ()
        return ", ".join(f"{fault.kind}{' from then on' if fault.lasting else ''}" for fault in faults)

    @property
    def seen(self) -> object:
        """What is compared: everything but where it struck."""
        return self.ending, self.told, self.done, self.answer, self.effects, self.events, self.left

    @property
    def sentence(self) -> str:
        """``the caller is told it failed, but it was done; calling again heals it``."""
        if self.ending is Ending.NOT_STRUCK:
            return f"it could not strike: {self.why}"
        if self.ending is Ending.UNNOTICED:
            return "nobody notices"
        gone = self.told is Told.GONE and self.ending is Ending.RESTART
        return f"{self.told}{self.deed}; {'a new one heals it' if gone else _SAID[self.ending]}"

    @property
    def deed(self) -> str:
        """What was done, as the second half of a sentence: ``, but half of it is done: + seen(s1) (set) ttl none``."""
        told_of_success = self.told is Told.AS_HEALTHY
        what = "nothing was done" if self.done is Done.NOTHING and told_of_success else str(self.done)
        linked = ", and " if told_of_success or self.done in (Done.TWICE, Done.OTHER, Done.DAMAGE) else ", but "
        linked = ", " if self.done is Done.NOTHING and not told_of_success else linked
        some = f": {', '.join(self.effects[:LINES_SAID])}" if self.done in (Done.HALF, Done.OTHER) else ""
        return linked + what + some


_SAID = {
    Ending.RETRY: "calling again heals it",
    Ending.RESTART: "only a new replica heals it",
    Ending.LEFT: "it is left behind",
}
LINES_SAID = 2


class Recording:
    """Behaviours of one subject by program. Immutable; iterates in the order of the programs' spelling.

    What operations at once show is beside, in ``races``, and what calls show that something goes wrong in, in ``faults``;
    both by program and in the same order. ``laws`` is what was found of the subject's laws; none: nobody judged them.
    """

    def __init__(
        self,
        subject: str,
        behaviours: Iterable[Behaviour],
        races: Iterable[RaceBehaviour] = (),
        faults: Iterable[FaultBehaviour] = (),
        laws: Iterable[LawFinding] | None = None,
    ) -> None:
        self.subject = subject
        self._behaviours = {
            behaviour.program.text: behaviour for behaviour in sorted(behaviours, key=lambda each: each.program.text)
        }
        self.races: Mapping[str, RaceBehaviour] = {
            race.program.text: race for race in sorted(races, key=lambda each: each.program.text)
        }
        self.faults: Mapping[str, FaultBehaviour] = {
            fault.program.text: fault for fault in sorted(faults, key=lambda each: each.program.text)
        }
        self.laws: Findings | None = None if laws is None else sum_of(laws)

    def __len__(self) -> int:
        return len(self._behaviours)

    def __iter__(self) -> Iterator[Behaviour]:
        return iter(self._behaviours.values())

    def __contains__(self, program: object) -> bool:
        return program in self._behaviours

    def __getitem__(self, program: str) -> Behaviour:
        return self._behaviours[program]

    def get(self, program: str) -> Behaviour | None:
        """The behaviour of the program spelled ``program``; none: it was not recorded."""
        return self._behaviours.get(program)

    def merged(
        self,
        others: Mapping[str, Behaviour | None],
        races: Mapping[str, RaceBehaviour | None] | None = None,
        faults: Mapping[str, FaultBehaviour | None] | None = None,
        laws: Iterable[LawFinding] | None = None,
    ) -> Recording:
        """This recording with some behaviours replaced or added, and those that map to none taken out.

        ``laws`` take the place of what was found of them; none: that stays as it is.
        """
        kept = {**self._behaviours, **others}
        raced = {**self.races, **(races or {})}
        struck = {**self.faults, **(faults or {})}
        return Recording(
            self.subject,
            [behaviour for behaviour in kept.values() if behaviour is not None],
            [race for race in raced.values() if race is not None],
            [fault for fault in struck.values() if fault is not None],
            self.laws if laws is None else laws,
        )

    @property
    def graph(self) -> list[Behaviour]:
        """The transitions of the state graph: every behaviour but those that the random lens has found."""
        return [each for each in self if not each.program.mixed]

    @property
    def random(self) -> list[Behaviour]:
        """The behaviours that the random lens has found."""
        return [each for each in self if each.program.mixed]

    def states(self) -> set[str]:
        """The names of all states that were seen."""
        return {name for each in self for name in (each.outcome.before, each.outcome.after)}
