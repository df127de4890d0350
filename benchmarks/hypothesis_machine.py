"""Hypothesis machine: Hypothesis' own state machine beside the sequence lens, on one service behind one gate.

Both drive `relay.dedup_refactored` with two replicas on fakeredis, in one process, in a world that is entered before: the
same operations with the same few arguments. Both have every answer judged by the same small model, and both look at what
is stored after a step: the machine compares the members in Redis with the model's (an invariant), the lens writes down
everything that is stored and remembered, with types and times to live, and what is different in it.

A *step* is one operation performed and observed. For the machine every operation is one. For the lens there are two
counts, and both ratios are shown: *observed* has the last operation of each program only, since the lens does not look at
those that lead to it; *performed* has these preludes too. The first is what a step buys, the second how fast the world is.

Method. A round is so many walks from nothing, and one run of the machine with so many examples of fifty steps each, with
everything switched off that is not running: no database, no deadline, no health checks, no shrinking, and one rule for all
operations, since that draws least. One rule for each operation, as one would write it, runs as well, and the machine with
the model alone: what it reaches without any service is Hypothesis' own speed. From it follows a ceiling: the ratio of a
walker that costs nothing itself, and only waits for the service as long as the machine does.

Rounds alternate; one round is not counted. Rates are medians of the rounds, ratios medians of the ratios within a round.
Time that all of them spend outside of a step (building the machine, entering the world) is in it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from hypothesis.strategies import sampled_from

from benchmarks.figure import Figure
from benchmarks.measuring import SEED, alternate, generating, span, timed
from characterization.behaviour import Behaviour
from characterization.lenses.runner import LocalRunner
from characterization.lenses.sequence import Walk, sequence
from characterization.performing import Performer
from characterization.program import Call, Program
from characterization.subjects.relay import DedupRefactored
from simulator.seed import Seed
from simulator.world import World, answer_of

ROUNDS = 7
WALKS = 12
EXAMPLES = 30
STEPS = 50
TIMES_AIMED = 10

RELAYS: Mapping[str, frozenset[str]] = {
    "r1": frozenset({"r1"}), "r2": frozenset({"r2"}),
    "none": frozenset(), "both": frozenset({"r1", "r2"}), "twice": frozenset({"r2"}),
}  # fmt: skip
STORED = {"r1": b"\xb1", "r2": b"\xb2"}
MARKED_IN = "s1"  # the only session that relays are marked in
REFUSED = "DeduplicatorClosedError"


@dataclass(frozen=True, slots=True)
class Model:
    """What a deduplicator should know: which relays were marked in its session, and which replicas were closed."""

    seen: frozenset[str] = frozenset()
    closed: frozenset[int] = frozenset()

    def step(self, call: Call) -> tuple[Model, str]:
        """The model after ``call``, and the answer to it: a value as Python spells it, or the name of an error."""
        relays = RELAYS.get(call.labels[0], frozenset()) if call.labels else frozenset()
        match call.operation:
            case "is_duplicate":
                return self, str(relays <= self.seen)
            case "mark_processed":
                return replace(self, seen=self.seen | relays), str(not relays <= self.seen)
            case "mark_processed_batch":
                return replace(self, seen=self.seen | relays), "None"
            case "cleanup_session":
                return replace(self, seen=frozenset() if call.labels[0] == MARKED_IN else self.seen), "None"
            case "start":
                return self, REFUSED if call.replica in self.closed else "None"
            case "close":
                return replace(self, closed=self.closed | {call.replica}), "None"
            case unknown:
                raise LookupError(f"the model does not know {unknown}, which the subject has: teach it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a round did, and in what time."""

    observed: int
    performed: int
    seconds: float

    @property
    def observed_rate(self) -> float:
        """Observed steps a second."""
        return self.observed / self.seconds

    @property
    def performed_rate(self) -> float:
        """Performed operations a second."""
        return self.performed / self.seconds


# The walker.


def walks() -> Work:
    """Walk the subject ``WALKS`` times, each in a world of its own, and judge every answer."""
    seconds, programs = timed(lambda: [program for _ in range(WALKS) for program in _walk()])
    return Work(observed=len(programs), performed=sum(len(program.parts) for program in programs), seconds=seconds)


def _walk() -> list[Program]:
    seed = Seed(SEED)
    with World(seed) as world:
        walk = Walk(DedupRefactored(), LocalRunner(Performer(DedupRefactored(), world), seed), lambda _: None)
        sequence(walk)
        _judge(walk.behaviours)
    return list(walk.behaviours)


def _judge(behaviours: Mapping[Program, Behaviour]) -> None:
    for program, behaviour in behaviours.items():
        model, expected = Model(), ""
        for call in program.parts:
            assert isinstance(call, Call), "the sequence lens does not move the clock"
            model, expected = model.step(call)
        answer = behaviour.outcome.answer
        assert answer.removeprefix("raises ").partition("(")[0] == expected, f"{program.text}: {answer}, not {expected}"


# The machine.


class Machine(RuleBasedStateMachine):
    """What every machine here has: the model, which is stepped and judges nothing."""

    world: World  # both are given by ``machine``, to a class of their own
    counter: list[int]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    def perform(self, call: Call) -> None:
        """Let the model take the step."""
        self.model, _ = self.model.step(call)
        self.counter[0] += 1


class ServiceMachine(Machine):
    """A machine that has the service perform the call, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.subject = DedupRefactored()
        self.world.restart()
        self.replicas = [self.subject.replica(self.world) for _ in range(DedupRefactored.replicas)]

    def perform(self, call: Call) -> None:
        """Perform ``call``, and have its answer judged."""
        operation = OPERATIONS[call.operation]
        replica = self.replicas[call.replica - 1]
        work: Any = operation.function(self.subject, replica, **operation.bind(call))
        task: Any = self.world.perform(work)
        how, value = answer_of(task)
        self.model, expected = self.model.step(call)
        assert (str(value) if how == "returned" else type(value).__name__) == expected
        self.counter[0] += 1

    @invariant()
    def what_is_stored_is_what_the_model_knows(self) -> None:
        """In Redis are the members that were marked, and nothing else."""
        stored = [record.value for records in self.world.dump().values() for record in records.values()]
        assert stored == ([frozenset(STORED[relay] for relay in self.model.seen)] if self.model.seen else [])


OPERATIONS = DedupRefactored.operations()
CALLS = DedupRefactored.calls()


def one_rule() -> dict[str, Any]:
    """One rule for every operation, every argument, every replica."""

    def call(self: Machine, call: Call) -> None:
        self.perform(call)

    return {"call": rule(call=sampled_from(CALLS))(call)}


def rule_by_operation() -> dict[str, Any]:
    """A rule for each operation."""
    return {name: _rule_of(name) for name in OPERATIONS}


def _rule_of(name: str) -> Any:
    def perform(self: Machine, call: Call) -> None:
        self.perform(call)

    perform.__name__ = name
    return rule(call=sampled_from([call for call in CALLS if call.operation == name]))(perform)


SETTINGS = generating(EXAMPLES, STEPS)


def machine(base: type[Machine], rules: Callable[[], Mapping[str, Any]]) -> Work:
    """Run a machine once, in a world of its own."""
    counter = [0]

    def run() -> None:
        with World(Seed(SEED)) as world:
            made = type("Made", (base,), {"world": world, "counter": counter, **rules()})
            run_state_machine_as_test(made, settings=SETTINGS)

    seconds, _ = timed(run)
    return Work(observed=counter[0], performed=counter[0], seconds=seconds)


COMPETITORS: Mapping[str, Callable[[], Work]] = {
    "lens": walks,
    "machine": functools.partial(machine, ServiceMachine, one_rule),
    "machine by operation": functools.partial(machine, ServiceMachine, rule_by_operation),
    "model alone": functools.partial(machine, Machine, one_rule),
}


def figures() -> list[Figure]:
    """The rates of all of them, and the two ratios of the lens to the machine."""
    alternate(COMPETITORS, 1)
    works = alternate(COMPETITORS, ROUNDS)
    lens, rival = works["lens"], works["machine"]
    alone = works["model alone"]
    return [
        _rate("sequence lens, observed", [work.observed_rate for work in lens]),
        _rate("sequence lens, performed", [work.performed_rate for work in lens]),
        _rate("state machine, one rule", [work.observed_rate for work in rival]),
        _rate("state machine, a rule each", [work.observed_rate for work in works["machine by operation"]]),
        _rate("state machine without service", [work.observed_rate for work in alone]),
        _ratio(
            "lens to machine, observed", [a.observed_rate / b.observed_rate for a, b in zip(lens, rival, strict=True)]
        ),
        _ratio(
            "lens to machine, performed",
            [a.performed_rate / b.performed_rate for a, b in zip(lens, rival, strict=True)],
        ),
        _ceiling(median(work.observed_rate for work in rival), median(work.observed_rate for work in alone)),
    ]


def _rate(what: str, rates: Sequence[float]) -> Figure:
    seen = f"{median(rates):,.0f} steps/s ({span(rates, ',.0f')})"
    return Figure(subject="hypothesis machine", what=what, seen=seen)


def _ratio(what: str, ratios: Sequence[float]) -> Figure:
    return Figure(
        subject="hypothesis machine",
        what=what,
        seen=f"{median(ratios):.2f} times ({span(ratios, '.2f')})",
        aim=f"{TIMES_AIMED} times",
        met=median(ratios) >= TIMES_AIMED,
    )


def _ceiling(rate: float, rate_alone: float) -> Figure:
    of_service = 1 / rate - 1 / rate_alone
    seen = f"{1 / rate / of_service:.2f} times" if of_service > 0 else "none: the service costs nothing measurable"
    return Figure(subject="hypothesis machine", what="ceiling of such a ratio", seen=seen)
