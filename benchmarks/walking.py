"""Walking: programs and Redis steps a second of the sequence lens, for each relay subject, in one process.

Method. One round walks every subject once through the sequence lens, each in a new world on fakeredis, from the empty
world to the last transition; rounds alternate their order. A program is one transition with the prelude that leads to
it; a step is what the gate counts: one Redis command, MULTI block or script, those of the preludes included. The best of
the rounds is taken, since noise only ever adds; the range of all of them is shown beside it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from benchmarks.figure import Figure
from benchmarks.measuring import ROOT, SEED, alternate, span, timed
from characterization.finding import find_project, load_subject
from characterization.lenses.runner import LocalRunner
from characterization.lenses.sequence import Walk, sequence
from characterization.outcome import Outcome
from characterization.performing import Performer
from characterization.program import Program
from simulator.seed import Seed
from simulator.world import World

ROUNDS = 3


class CountingPerformer(Performer):
    """A performer that adds up the steps of all its runs; the gate itself forgets them with each."""

    steps = 0

    def perform(self, program: Program) -> Outcome:
        """See ``Performer``."""
        outcome = super().perform(program)
        self.steps += self.world.gate.steps
        return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """One walk: how much was done, and in what time."""

    programs: int
    steps: int
    seconds: float


def walk(target: str) -> Pace:
    """Walk the subject that ``module:Class`` names."""
    seconds, (programs, steps) = timed(functools.partial(_walk, target))
    return Pace(programs=programs, steps=steps, seconds=seconds)


def _walk(target: str) -> tuple[int, int]:
    seed = Seed(SEED)
    with World(seed) as world:
        performer = CountingPerformer(load_subject(target), world)
        found = Walk(performer.subject, LocalRunner(performer, seed), lambda _: None)
        sequence(found)
    return len(found.behaviours), performer.steps


def figures() -> list[Figure]:
    """Programs and steps a second of each relay subject, and of all of them together."""
    subjects = {name: target for name, target in find_project(ROOT).subjects.items() if name.startswith("relay.")}
    paces = alternate({name: functools.partial(walk, target) for name, target in subjects.items()}, ROUNDS)
    best = {name: min(rounds, key=lambda pace: pace.seconds) for name, rounds in paces.items()}
    shown = [_figure(name, pace, paces[name]) for name, pace in best.items()]
    together = Pace(
        programs=sum(pace.programs for pace in best.values()),
        steps=sum(pace.steps for pace in best.values()),
        seconds=sum(pace.seconds for pace in best.values()),
    )
    return [*shown, _figure("all of them", together, [together])]


def _figure(name: str, best: Pace, rounds: list[Pace]) -> Figure:
    rates = [pace.programs / pace.seconds for pace in rounds]
    return Figure(
        subject=name,
        what=f"{best.programs} programs, {best.steps} steps, one process",
        seen=f"{best.programs / best.seconds:,.0f} programs/s, {best.steps / best.seconds:,.0f} steps/s"
        + (f" ({span(rates, ',.0f')} programs/s)" if len(rates) > 1 else ""),
    )
