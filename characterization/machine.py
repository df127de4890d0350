"""Hypothesis state machines, made from any subject.

    from characterization import state_machine

    TestBasket = state_machine(BasketSubject).TestCase

A rule for each operation, on a replica that is drawn, with its arguments' wide strategies; calls at once, under a schedule
that is drawn step by step; calls in which something goes wrong; time that passes; replicas that crash. In each run some
operations and kinds of faults are left out altogether, since a little of everything never reaches what a quiet system
does. Everything is drawn by Hypothesis, so that everything shrinks together. The laws are held against every step: what
breaks one is an AssertionError with the program, and the line that runs it again.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from characterization.draws import KINDS, DrawnSchedule, drawn_fault, label_in
from characterization.finding import find_project
from characterization.laws import Judge, LawWitness
from characterization.performing import Performer
from characterization.profiles import current
from characterization.program import WIDE, AtOnce, Call, Crash, Move, Part, parse
from characterization.subject import Operation, Small, Subject, moves
from characterization.unfolding import SEED, Unfolding, named, tidy
from simulator.faults import FaultKind, Tempt
from simulator.schedule import Scheduler
from simulator.seed import Seed
from simulator.world import World

AT_ONCE_MAX = 3
STEPS_STRUCK = 8
"""The last step of a call at which something may go wrong."""


# What is drawn.


@dataclass(frozen=True, slots=True)
class Earlier:
    """A wide value that was drawn before for the same argument, by its number; the first of the few where there is none."""

    number: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A call as it is drawn: its arguments are labels, or values that were drawn before."""

    operation: str
    replica: int
    arguments: tuple[str | Earlier, ...]

    def __repr__(self) -> str:
        words = [f"earlier({each.number})" if isinstance(each, Earlier) else each for each in self.arguments]
        return " ".join([self.operation, *words, f"@{self.replica}"])

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: FBT001 - as Hypothesis calls it
        printer.text(repr(self))


def _labels(few: Small) -> st.SearchStrategy[Any]:
    """The label of one of the few values, of a wide one, or of one that was drawn before; simplest is the first."""
    own: st.SearchStrategy[Any] = st.sampled_from(list(few.values))
    if few.wide is None:
        return own
    return own | few.wide.map(functools.partial(label_in, few)) | st.integers(0, 3).map(Earlier)


def calls_of(operation: Operation, processes: int) -> st.SearchStrategy[Drawn]:
    """Draws calls of ``operation`` on one of so many replicas."""
    arguments = st.tuples(*map(_labels, operation.arguments.values()))
    return st.builds(Drawn, st.just(operation.name), st.integers(1, processes), arguments)


# The machine.


class _Cases:
    """A machine's ``TestCase``, under the profile that the environment asks for."""

    def __get__(self, machine: SubjectMachine | None, kind: type[SubjectMachine]) -> Any:
        case = RuleBasedStateMachine.__dict__["TestCase"].__get__(machine, kind)
        case.settings = current()
        return case


class SubjectMachine(RuleBasedStateMachine):
    """What every machine made from a subject has: a run in a world that is entered for it, and its laws.

    ``left_out`` are the operations and ``kinds_out`` the kinds of faults that are not in this run.
    """

    subject: ClassVar[type[Subject]]
    operations: ClassVar[Mapping[str, Operation]]
    performer: ClassVar[Performer]
    calls: ClassVar[st.SearchStrategy[Drawn]]
    TestCase = _Cases()

    def __init__(self) -> None:
        super().__init__()
        self.left_out: frozenset[str] = frozenset()
        self.kinds_out: frozenset[FaultKind] = frozenset()
        self._wide: dict[str, list[str]] = {}
        self._world = self.performer.world.__enter__()
        try:
            self.unfolding = Unfolding(self.performer)
        except BaseException:
            self.teardown()
            raise

    def teardown(self) -> None:
        """Leave the world."""
        self._world.__exit__(None, None, None)

    def perform(self, drawn: Drawn) -> None:
        """One call, in which nothing goes wrong."""
        self.take(self.named(drawn))

    def strike(self, drawn: Drawn, at: int, data: st.DataObject) -> None:
        """One call, in which something goes wrong at the step whose number is ``at``, if there is one."""
        if drawn.operation not in self.left_out:
            self.take(self.named(drawn), tempt=drawn_fault(at, _index(data), self.kinds_out))

    def at_once(self, drawn: Sequence[Drawn], moves: Sequence[float], at: int, data: st.DataObject) -> None:
        """Several calls at once, in an order that is drawn step by step; with ``at``, something goes wrong in it."""
        calls = [self.named(each) for each in drawn if each.operation not in self.left_out]
        if len(calls) > 1:
            part = AtOnce(clients=tuple((call,) for call in calls), moves=tuple(moves))
            tempt = drawn_fault(at, _index(data), self.kinds_out) if at else None
            self.take(part, DrawnSchedule(_index(data)), tempt)

    def named(self, drawn: Drawn) -> Call:
        """The call that was drawn, with labels for all of its arguments."""
        arguments = self.operations[drawn.operation].arguments
        labels = [self._label(*each) for each in zip(arguments.items(), drawn.arguments, strict=True)]
        return Call(operation=drawn.operation, labels=tuple(labels), replica=drawn.replica)

    def _label(self, argument: tuple[str, Small], drawn: str | Earlier) -> str:
        name, few = argument
        known = self._wide.setdefault(f"{name} {few.wide!r}", []) if few.wide is not None else []
        if isinstance(drawn, Earlier):
            return known[drawn.number % len(known)] if known else next(iter(few.values))
        if drawn.startswith(WIDE):
            known.append(drawn)
        return drawn

    def take(self, part: Part, scheduler: Scheduler | None = None, tempt: Tempt | None = None) -> None:
        """Take one part, and hold the laws against it.

        Raises:
            AssertionError: a law is broken.
            SubjectError: an operation breaks the rules of a world.
        """
        with named(self.performer, self.unfolding.program.then(part)):
            self.unfolding.take(part, scheduler, tempt)
        for law, witness in self.unfolding.broken.items():
            raise AssertionError(broken_text(self.performer, law, witness))


def _index(data: st.DataObject) -> Callable[[int], int]:
    return lambda count: data.draw(st.integers(0, count - 1))


def state_machine(
    subject: type[Subject],
    *,
    replicas: int = 2,
    faults: bool = True,
    concurrent: bool = True,
    laws: bool = True,
    seed: int = SEED,
) -> type[SubjectMachine]:
    """A Hypothesis state machine of ``subject``: run it as ``state_machine(Basket).TestCase``, or subclass it.

    It has ``replicas`` processes, or as many as the subject runs where these are more. Without ``faults`` nothing goes
    wrong, without ``concurrent`` nothing is at once, without ``laws`` it fails only where the rules of a world are
    broken. ``seed`` is that of its world; what is drawn is for Hypothesis to say.

    Raises:
        SubjectError: the subject is not declared as subjects are.
    """
    operations = subject.operations()
    processes = max(replicas, subject.replicas)
    declared = subject()
    performer = Performer(declared, World(Seed(seed)), processes, Judge(declared) if laws else None)
    members: dict[str, Any] = {
        "subject": subject, "operations": operations, "performer": performer, "__doc__": subject.__doc__,
        "begin": _begin(list(operations), faults=faults),
        **{f"call_{name}": _call(each, processes) for name, each in operations.items()},
        **_time(subject), **({"crash": _crash(processes)} if faults else {}),
    }  # fmt: skip
    calls = st.one_of([calls_of(each, processes) for each in operations.values()])
    if faults:
        members["struck"] = _struck(calls)
    if concurrent:
        members["beside"] = _beside(calls, subject, faults=faults)
    return type(f"{subject.__name__}Machine", (SubjectMachine,), members)


# Its rules.


def _begin(operations: Sequence[str], *, faults: bool) -> Any:
    def begin(self: SubjectMachine, operations: frozenset[str], kinds: frozenset[FaultKind]) -> None:
        self.left_out, self.kinds_out = operations, kinds

    out = st.frozensets(st.sampled_from(operations), max_size=len(operations) - 1)
    kinds_out = st.frozensets(st.sampled_from(KINDS)) if faults else st.just(frozenset())
    return initialize(operations=out, kinds=kinds_out)(begin)


def _call(operation: Operation, processes: int) -> Any:
    def call(self: SubjectMachine, call: Drawn) -> None:
        self.perform(call)

    call.__name__ = operation.name
    made = rule(call=calls_of(operation, processes))(call)
    return precondition(lambda self: operation.name not in self.left_out)(made)


def _struck(calls: st.SearchStrategy[Drawn]) -> Any:
    def struck(self: SubjectMachine, call: Drawn, at: int, data: st.DataObject) -> None:
        self.strike(call, at, data)

    return rule(call=calls, at=st.integers(1, STEPS_STRUCK), data=st.data())(struck)


def _beside(calls: st.SearchStrategy[Drawn], subject: type[Subject], *, faults: bool) -> Any:
    def beside(
        self: SubjectMachine, calls: list[Drawn], moves: tuple[float, ...], at: int, data: st.DataObject
    ) -> None:
        self.at_once(calls, moves, at, data)

    clock: st.SearchStrategy[tuple[float, ...]] = st.just(())
    if subject.horizons:
        clock = clock | st.tuples(st.sampled_from(moves(subject.horizons)))
    at = st.just(0) | st.integers(1, AT_ONCE_MAX * STEPS_STRUCK) if faults else st.just(0)
    several = st.lists(calls, min_size=2, max_size=AT_ONCE_MAX)
    return rule(calls=several, moves=clock, at=at, data=st.data())(beside)


def _time(subject: type[Subject]) -> dict[str, Any]:
    def clock(self: SubjectMachine, seconds: float) -> None:
        self.take(Move(seconds))

    found = moves(subject.horizons)
    return {"clock": rule(seconds=st.sampled_from(found))(clock)} if found else {}


def _crash(processes: int) -> Any:
    def crash(self: SubjectMachine, replica: int) -> None:
        self.take(Crash(replica))

    return rule(replica=st.integers(1, processes))(crash)


# What it says.


def broken_text(performer: Performer, law: str, witness: LawWitness) -> str:
    """A broken law: its statement, the reason, what it said, the program, and the line that runs it again."""
    subject = type(performer.subject)
    reason, program = subject.laws()[law], tidy(parse(witness.program)).text
    return "\n".join([
        f"{subject.name or subject.__qualname__}: {law.replace('_', ' ')}", *[f"    {reason}"] * bool(reason),
        f"    seen     {witness.said}", f"    program  {program}",
        f"again: {again(subject, program, performer.world.seed.number)}",
    ])  # fmt: skip


def again(subject: type[Subject], program: str, seed: int = SEED) -> str:
    """The line that runs ``program`` again."""
    name = name_of(subject)
    return f"holdfast replay {shlex.quote(f'{name}: {program}')}" + (f" --seed {seed}" if seed != SEED else "")


def name_of(subject: type[Subject]) -> str:
    """What ``subject`` is called on the command line: its name, where the project knows it by that."""
    target = f"{subject.__module__}:{subject.__qualname__}"
    known = find_project(Path.cwd()).subjects
    return subject.name if known.get(subject.name) == target else target
