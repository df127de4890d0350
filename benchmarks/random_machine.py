"""Random machine: a state machine made from a subject beside a plain one on fakeredis, and a hunt beside both.

All of them drive `relay.dedup` with two replicas, each operation with the values that its subject declares: a few, wide
ones, and wide ones that came before. The *plain* machine is as one writes it without Holdfast: a rule for each operation, a
fakeredis server for each example, its asyncio client, an event loop of asyncio; it looks at nothing but what is returned.
The *generated* machine runs in a world behind the gate, and looks at everything that is stored and remembered after each
step, with types, times to live, events and metrics. It runs with calls in order alone, as the plain one does; with the
subject's laws judged after each step; and with everything: calls at once, faults, crashes and time. Such steps are larger:
two or three calls at once are one. The *hunt* draws without Hypothesis, and has everything too, shrinking left out.

Everything of Hypothesis is switched off that is not running: no database, no deadline, no shrinking. Rounds alternate; one
round is not counted. Rates are medians of the rounds, ratios medians of the ratios within a round.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import fakeredis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from prometheus_client import CollectorRegistry

from benchmarks.figure import Figure
from benchmarks.measuring import SEED, alternate, generating, span, timed
from characterization.draws import Table
from characterization.hunting import Hunt, Memory
from characterization.machine import Drawn, Earlier, SubjectMachine, calls_of, state_machine
from characterization.program import WIDE, Call, Part, Program
from characterization.subjects.relay import Dedup
from engine.relay.deduplicator import Deduplicator
from engine.relay.metrics import DeduplicatorMetrics
from simulator.faults import Tempt
from simulator.schedule import Scheduler
from simulator.seed import Seed
from simulator.world import World

ROUNDS = 5
EXAMPLES = 20
STEPS = 50
PROGRAMS = 80
TIMES_AIMED = 1.0

SETTINGS = generating(EXAMPLES, STEPS)
OPERATIONS = Dedup.operations()


# Plain.


class Plain(RuleBasedStateMachine):
    """A machine as one writes it by hand; ``steps`` counts for all examples."""

    steps: list[int]

    def __init__(self) -> None:
        super().__init__()
        self.subject = Dedup()
        self.runner = asyncio.Runner()
        self.wide: dict[str, list[str]] = {}
        server = fakeredis.FakeServer()
        self.replicas = [self._replica(server) for _ in range(Dedup.replicas)]

    @staticmethod
    def _replica(server: fakeredis.FakeServer) -> Deduplicator:
        metrics = DeduplicatorMetrics.register(CollectorRegistry())
        return Deduplicator(fakeredis.FakeAsyncRedis(server=server), config=Dedup.config, metrics=metrics)

    def perform(self, drawn: Drawn) -> None:
        """Make the call, whatever comes of it."""
        operation = OPERATIONS[drawn.operation]
        labels = tuple(self._label(*each) for each in zip(operation.arguments.items(), drawn.arguments, strict=True))
        call = Call(operation=drawn.operation, labels=labels, replica=drawn.replica)
        work: Any = operation.function(self.subject, self.replicas[drawn.replica - 1], **operation.bind(call))
        self.runner.run(self._answered(work))
        self.steps[0] += 1

    async def _answered(self, work: Any) -> object:
        try:
            return await work
        except Exception as error:  # noqa: BLE001 - what an operation raises is its answer
            return error

    def _label(self, argument: tuple[str, Any], drawn: str | Earlier) -> str:
        known = self.wide.setdefault(argument[0], [])
        if isinstance(drawn, Earlier):
            return known[drawn.number % len(known)] if known else next(iter(argument[1].values))
        if drawn.startswith(WIDE):
            known.append(drawn)
        return drawn

    def teardown(self) -> None:
        """End the tasks of the replicas, and the loop."""
        self.runner.close()


def _rule(name: str) -> Any:
    def perform(self: Plain, call: Drawn) -> None:
        self.perform(call)

    perform.__name__ = name
    calls: st.SearchStrategy[Drawn] = calls_of(OPERATIONS[name], Dedup.replicas)
    return rule(call=calls)(perform)


def plain() -> float:
    """Steps a second of the plain machine."""
    steps = [0]
    made = type("Made", (Plain,), {"steps": steps, **{name: _rule(name) for name in OPERATIONS}})
    seconds, _ = timed(lambda: run_state_machine_as_test(made, settings=SETTINGS))
    return steps[0] / seconds


# Generated.


def generated(**options: bool) -> float:
    """Steps a second of a machine made from the subject; a broken law ends nothing."""
    steps = [0]
    base: type[SubjectMachine] = state_machine(Dedup, **options)  # type: ignore[arg-type]  # switches only

    class Counted(base):  # type: ignore[valid-type, misc]
        def take(self, part: Part, scheduler: Scheduler | None = None, tempt: Tempt | None = None) -> None:
            self.unfolding.take(part, scheduler, tempt)
            steps[0] += 1

    seconds, _ = timed(lambda: run_state_machine_as_test(Counted, settings=SETTINGS))
    return steps[0] / seconds


class Unshrunk(Hunt):
    """A hunt that shrinks nothing."""

    def _found_broken(self, law: str, program: Program, number: int) -> None:  # noqa: ARG002 - a hunt's
        self.memory.broken[law] += 1


def hunt() -> float:
    """Steps a second of a hunt; drawing the wide values once is left out."""
    table, memory = Table(Dedup, Seed(SEED)), Memory(Dedup.name)

    def run() -> None:
        with World(Seed(SEED)) as world:
            Unshrunk(table, world, SEED, memory).run(None, PROGRAMS)

    seconds, _ = timed(run)
    return memory.steps / seconds


IN_ORDER = {"faults": False, "concurrent": False}
COMPETITORS: Mapping[str, Callable[[], float]] = {
    "plain machine on fakeredis": plain,
    "generated machine, calls in order": functools.partial(generated, **IN_ORDER, laws=False),
    "generated machine, with laws": functools.partial(generated, **IN_ORDER),
    "generated machine, with everything": generated,
    "hunt, with everything": hunt,
}


def figures() -> list[Figure]:
    """The rates of all of them, and what the plain one has less."""
    alternate(COMPETITORS, 1)
    rates = alternate(COMPETITORS, ROUNDS)
    names = list(COMPETITORS)
    return [
        *(_rate(name, rates[name]) for name in names),
        *(_ratio(f"{name} to plain", rates[name], rates[names[0]]) for name in names[1:]),
    ]


def _rate(what: str, rates: Sequence[float]) -> Figure:
    return Figure(subject="random machine", what=what, seen=f"{median(rates):,.0f} steps/s ({span(rates, ',.0f')})")


def _ratio(what: str, own: Sequence[float], other: Sequence[float]) -> Figure:
    ratios = [one / two for one, two in zip(own, other, strict=True)]
    return Figure(
        subject="random machine", what=what, seen=f"{median(ratios):.2f} times ({span(ratios, '.2f')})",
        aim=f"{TIMES_AIMED:g} times", met=median(ratios) >= TIMES_AIMED,
    )  # fmt: skip
