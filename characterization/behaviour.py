"""Behaviours: programs with what they can show, and the recording that holds a subject's."""

from __future__ import annotations

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


class Recording:
    """Behaviours of one subject by program. Immutable; iterates in the order of the programs' spelling."""

    def __init__(self, subject: str, behaviours: Iterable[Behaviour]) -> None:
        self.subject = subject
        self._behaviours = {
            behaviour.program.text: behaviour for behaviour in sorted(behaviours, key=lambda each: each.program.text)
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

    def merged(self, others: Mapping[str, Behaviour | None]) -> Recording:
        """This recording with some behaviours replaced or added, and those that map to none taken out."""
        kept = {**self._behaviours, **others}
        return Recording(self.subject, [behaviour for behaviour in kept.values() if behaviour is not None])

    def states(self) -> set[str]:
        """The names of all states that were seen."""
        return {name for each in self for name in (each.outcome.before, each.outcome.after)}
