"""The time lens: the clock is moved to just before each horizon, to it, and to just after it, and life goes on.

It starts from the states that the sequence lens found, one of each kind. After a move every operation is tried, then the
clock may be moved once more from whatever that led to: a key that was refreshed lives on, one that was not is gone.
"""

from __future__ import annotations

from characterization.lenses.sequence import Walk
from characterization.program import Move, Program
from characterization.subject import moves


def starts_by_kind(walk: Walk) -> list[Program]:
    """The shortest program to a state of each kind, shortest first."""
    chosen: dict[str, Program] = {}
    for name, program in sorted(walk.states.items(), key=lambda item: item[1].order):
        if name in walk.kinds:
            chosen.setdefault(walk.kinds[name], program)
    return sorted(chosen.values(), key=lambda each: each.order)


def time(walk: Walk) -> None:
    """Let time pass in a walk that the sequence lens has finished. A subject without horizons has no time to look at.

    Raises:
        EndlessStatesError: states become more than the subject's bound.
    """
    subject = type(walk.subject)
    clock = [Move(move) for move in moves(subject.horizons)]
    starts = starts_by_kind(walk)
    for _ in range(subject.bounds.moves):
        if not clock or not starts:
            return
        moved = walk.expand(starts, clock)
        starts = walk.expand(moved, subject.calls())
