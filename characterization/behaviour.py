"""Behaviours: programs with what they can show, and the recording that holds a subject's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

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


class Recording:
    """Behaviours of one subject by program. Immutable; iterates in the order of the programs' spelling.

    What operations at once show is beside, in ``races``, by program and in the same order.
    """

    def __init__(self, subject: str, behaviours: Iterable[Behaviour], races: Iterable[RaceBehaviour] = ()) -> None:
        self.subject = subject
        self._behaviours = {
            behaviour.program.text: behaviour for behaviour in sorted(behaviours, key=lambda each: each.program.text)
        }
        self.races: Mapping[str, RaceBehaviour] = {
            race.program.text: race for race in sorted(races, key=lambda each: each.program.text)
        }

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
        self, others: Mapping[str, Behaviour | None], races: Mapping[str, RaceBehaviour | None] | None = None
    ) -> Recording:
        """This recording with some behaviours replaced or added, and those that map to none taken out."""
        kept = {**self._behaviours, **others}
        raced = {**self.races, **(races or {})}
        return Recording(
            self.subject,
            [behaviour for behaviour in kept.values() if behaviour is not None],
            [race for race in raced.values() if race is not None],
        )

    def states(self) -> set[str]:
        """The names of all states that were seen."""
        return {name for each in self for name in (each.outcome.before, each.outcome.after)}
