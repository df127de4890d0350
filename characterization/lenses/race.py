"""The race lens: each pair of operations at once, from each start state, on one replica and on two, in every interleaving.

It starts from the states that the sequence lens found: one of each kind first, then the next shortest programs. Beside the
pairs stand the programs that the subject declares by hand, ``litmus``, which may have more clients and more calls.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from characterization.errors import ProgramError, SubjectError
from characterization.program import AtOnce, Call, Move, Program, parse
from characterization.subject import Subject


def starts_of(
    subject: type[Subject], states: Mapping[str, Program], kinds: Mapping[str, str], most: int | None = None
) -> list[Program]:
    """The shortest program to a state of each kind, then to others, ``most`` of them, or as the subject's bounds say.

    ``states`` are programs by state, ``kinds`` the states' kinds. No time has passed in a start, and no replica has ended.
    """
    quiet = [
        (program, kinds[name])
        for name, program in sorted(states.items(), key=lambda item: item[1].order)
        if name in kinds and not any(_ends(subject, part) for part in program.parts)
    ]
    first: dict[str, Program] = {}
    for program, kind in quiet:
        first.setdefault(kind, program)
    chosen = sorted(first.values(), key=lambda each: each.order)
    chosen += [program for program, _ in quiet if program not in chosen]
    return sorted(chosen[: subject.bounds.starts if most is None else most], key=lambda each: each.order)


def _ends(subject: type[Subject], part: object) -> bool:
    return isinstance(part, Move) or (isinstance(part, Call) and part.operation in subject.final)


def pairs(subject: type[Subject], starts: Iterable[Program]) -> Iterator[Program]:
    """Each pair of calls from each of ``starts``: both on one replica, then each on its own."""
    calls = [call for each in subject.operations().values() for call in each.calls(1)]
    for start in starts:
        for one, other in itertools.combinations_with_replacement(sorted(calls, key=lambda call: call.text), 2):
            yield start.then(_beside(one, other))
            yield start.then(_beside(one, replace(other, replica=2)))
            if subject.replicas > 1 and one != other:  # what a process remembers may make them differ
                yield start.then(_beside(other, replace(one, replica=2)))


def _beside(*calls: Call) -> AtOnce:
    return AtOnce(clients=tuple((call,) for call in calls))


def litmus(subject: type[Subject]) -> list[Program]:
    """The programs that the subject declares by hand.

    Raises:
        SubjectError: one of them cannot be read, names what the subject does not have, or has nothing at once.
    """
    return [_litmus(subject, text) for text in subject.litmus]


def _litmus(subject: type[Subject], text: str) -> Program:
    try:
        program = parse(text)
        for call in program.calls:
            subject.operation(call.operation).bind(call)
    except (ProgramError, SubjectError) as error:
        raise SubjectError(f"{subject.__qualname__}.litmus, `{text}`: {error}") from error
    if program.at_once is None:
        raise SubjectError(
            f"{subject.__qualname__}.litmus, `{text}`: nothing in it is at once, as in `save s1 ; {{ get s1 || save s1 }}`"
        )
    return program


def replicas_of(subject: type[Subject], program: Program) -> int:
    """How many processes ``program`` needs: as many as the subject runs, or more if it names more."""
    return max([subject.replicas, *(call.replica for call in program.calls)])


def programs(subject: type[Subject], starts: Sequence[Program]) -> list[Program]:
    """Everything that the lens looks at, in the order of spelling, each once."""
    found = {program.text: program for program in (*pairs(subject, starts), *litmus(subject))}
    return [found[text] for text in sorted(found)]
