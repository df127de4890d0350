"""The fault lens: each call, from each start state, with each fault that there is at each of its steps.

It starts from the states that the sequence lens found, one of each kind first. What goes wrong at a step is one fault, or
two that belong together: the connection is lost and the server stays away, since a client that may try again would heal
the loss alone, unseen by anyone. For the same reason what refuses a connection, or answers that it is loading or busy,
does so once, and from then on. A server without memory, or that only reads, stays so for longer than a call: there the
lasting form stands alone, and its single one would show what ``busy`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from characterization.lenses.race import starts_of as race_starts_of
from characterization.program import Program
from characterization.subject import Subject
from simulator.faults import Fault, FaultKind, FaultPlan, applicable
from simulator.gate import Step

BOTH = frozenset((FaultKind.REFUSED, FaultKind.LOADING, FaultKind.BUSY))
LASTING = BOTH | {FaultKind.READ_ONLY, FaultKind.OUT_OF_MEMORY}
LOSSES = (FaultKind.DROPPED, FaultKind.RESET)
"""After which the server may stay away."""


def starts_of(subject: type[Subject], states: Mapping[str, Program], kinds: Mapping[str, str]) -> list[Program]:
    """The shortest programs to states of different kinds, as many as the subject's bounds say."""
    return race_starts_of(subject, states, kinds, subject.bounds.fault_starts)


def programs(subject: type[Subject], starts: Iterable[Program]) -> list[Program]:
    """Each call on the first replica from each of ``starts``, with nothing going wrong yet, in the order of spelling."""
    calls = [call for each in subject.operations().values() for call in each.calls(1)]
    return sorted((start.then(call) for start in starts for call in calls), key=lambda each: each.text)


def started(subject: type[Subject], states: Mapping[str, Program], kinds: Mapping[str, str]) -> list[Program]:
    """Everything that the lens looks at in a walk: each program with nothing going wrong in it yet."""
    return programs(subject, starts_of(subject, states, kinds))


def plans(steps: Sequence[Step]) -> list[FaultPlan]:
    """What may go wrong in a call that takes ``steps``, one thing at each step."""
    return [plan for number, step in enumerate(steps, 1) for plan in plans_at(number, step)]


def plans_at(number: int, step: Step) -> Iterator[FaultPlan]:
    """What may go wrong at the step of that number: one fault, or two that belong together."""
    for kind in applicable(FaultKind, step):
        if kind not in LASTING or kind in BOTH:
            yield FaultPlan((Fault(kind=kind, step=number),))
        if kind in LASTING:
            yield FaultPlan((Fault(kind=kind, step=number, lasting=True),))
        if kind in LOSSES:
            away = Fault(kind=FaultKind.REFUSED, step=number + 1, lasting=True)
            yield FaultPlan((Fault(kind=kind, step=number), away))
