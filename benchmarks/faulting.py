"""Faulting: programs a second of the fault lens, for the relay's deduplicator and store, in one process.

Method. The sequence lens walks each subject first, unmeasured. Then one round tries every call from every start state of
the fault lens, each in one world on fakeredis: the call is traced, and made again with each fault at each of its steps,
with what is tried to heal it. A program is one fault of one call. Rounds alternate their order; the best of them is taken,
since noise only ever adds, and the range of all is shown beside it. Aimed at: 1,000 programs a second.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figure import Figure
from benchmarks.measuring import ROOT, SEED, alternate, span, timed
from characterization.finding import find_project, load_subject
from characterization.lenses import fault
from characterization.lenses.runner import LocalRunner, Tried
from characterization.lenses.sequence import Walk, sequence
from characterization.performing import Performer
from characterization.program import Program
from simulator.seed import Seed
from simulator.world import World

ROUNDS = 3
SUBJECTS = ("relay.dedup", "relay.dedup_refactored", "relay.store", "relay.store_refactored")
AIM = "1,000 programs/s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """One round: how many programs, and in what time."""

    programs: int
    seconds: float


def calls(target: str) -> list[Program]:
    """Every call that the fault lens makes of the subject that ``module:Class`` names."""
    seed = Seed(SEED)
    with World(seed) as world:
        subject = load_subject(target)
        walk = Walk(subject, LocalRunner(Performer(subject, world), seed), lambda _: None)
        sequence(walk)
        return fault.started(type(subject), walk.states, walk.kinds)


def strike(target: str, programs: Sequence[Program]) -> Pace:
    """Let everything go wrong in ``programs``."""
    seconds, count = timed(functools.partial(_strike, target, programs))
    return Pace(programs=count, seconds=seconds)


def _strike(target: str, programs: Sequence[Program]) -> int:
    seed = Seed(SEED)
    with World(seed) as world:
        runner = LocalRunner(Performer(load_subject(target), world), seed)
        return len(runner.fault([Tried(program) for program in programs], lambda _: None))


def figures() -> list[Figure]:
    """Programs a second of each subject."""
    targets = {name: target for name, target in find_project(ROOT).subjects.items() if name in SUBJECTS}
    work = {name: functools.partial(strike, target, calls(target)) for name, target in targets.items()}
    return [_figure(name, rounds) for name, rounds in alternate(work, ROUNDS).items()]


def _figure(name: str, rounds: Sequence[Pace]) -> Figure:
    rates = [pace.programs / pace.seconds for pace in rounds]
    return Figure(
        subject=name,
        what=f"{rounds[0].programs} fault programs, one process; aim {AIM}",
        seen=f"{max(rates):,.0f} programs/s ({span(rates, ',.0f')})",
    )
