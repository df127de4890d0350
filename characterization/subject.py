"""Subjects: a service under characterization, as its author declares it.

A subject says how to start a replica, which operations there are, and what of a replica can be seen. Everything else has
a default that works: Redis is observed whole, exceptions by type and message, logs by event name.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hypothesis.strategies import SearchStrategy, sampled_from

from characterization.errors import ProgramError, SubjectError
from characterization.outcome import CRASHED, ENDLESS, NEVER
from characterization.program import (
    RESERVED,
    WIDE,
    AtOnce,
    Call,
    Move,
    Program,
    Struck,
    calls_of,
    label_of,
    parse,
    told_label,
    wide_value,
)
from characterization.state import Abstraction, State
from simulator.faults import FaultKind

if TYPE_CHECKING:
    from simulator.world import World

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Small:
    """The values of one argument: a few by label, which the exhaustive lenses try, and the wide strategy."""

    values: Mapping[str, Any]
    wide: SearchStrategy[Any] | None = None

    def strategy(self) -> SearchStrategy[Any]:
        """What the random lens draws from: the wide strategy, or the few values where there is none."""
        return self.wide if self.wide is not None else sampled_from(list(self.values.values()))


def small(*values: Any, wide: SearchStrategy[Any] | None = None, **labelled: Any) -> Small:
    """A few values of an argument; one that does not spell itself well is given by label: ``small(fresh=Snapshot())``.

    ``wide`` is the Hypothesis strategy for the random lens.

    Raises:
        ProgramError: a value has no short spelling.
        SubjectError: two of them have the same.
    """
    by_label = {label_of(value): value for value in values}
    if len(by_label) < len(values) or by_label.keys() & labelled.keys():
        raise SubjectError(
            f"two of the values {values!r} are spelled alike, and one would be lost: give them labels, small(text=..., ...)"
        )
    return Small(by_label | labelled, wide)


def seconds(number: float) -> float:
    """A horizon in seconds."""
    return number


@dataclass(frozen=True, slots=True)
class Operation:
    """One call that a subject offers."""

    name: str
    function: Callable[..., Awaitable[Any]]
    arguments: Mapping[str, Small]
    summary: str

    def calls(self, replica: int = 1) -> Iterator[Call]:
        """Every call of it with its few values, on ``replica``."""
        for labels in itertools.product(*(small.values for small in self.arguments.values())):
            yield Call(operation=self.name, labels=labels, replica=replica)

    def bind(self, call: Call) -> dict[str, Any]:
        """The arguments that a call's labels stand for: few values by name, wide ones as they are spelled.

        Raises:
            SubjectError: the operation takes another number of arguments, or does not have such a value.
            ProgramError: a wide value is not spelled as one.
        """
        if len(call.labels) != len(self.arguments):
            raise SubjectError(
                f"{self.name} takes {len(self.arguments)} arguments, `{call.text}` has {len(call.labels)}"
            )
        bound = {}
        for (argument, few), label in zip(self.arguments.items(), call.labels, strict=True):
            if label.startswith(WIDE) and few.wide is not None:
                bound[argument] = wide_value(label)
                continue
            if label not in few.values:
                raise SubjectError(f"{self.name} has no {argument} called {label!r}; it has {', '.join(few.values)}")
            bound[argument] = few.values[label]
        return bound


def operation(**arguments: Small) -> Callable[[F], F]:
    """Declare a method of a subject as an operation: ``async def name(self, replica, **arguments)``."""

    def mark(function: F) -> F:
        function._arguments = arguments  # type: ignore[attr-defined]  # read by Subject.operations
        return function

    return mark


def law(function: F) -> F:
    """Declare a method of a subject as a law: a statement that its author believes, which lenses judge.

    Its name is the statement, its docstring the reason. It is called with a ``Run``, and raises AssertionError where the
    run breaks it. Where it says nothing of a run, it says so with ``run.assume(...)``: what is not looked at must not pass.
    """
    function._is_law = True  # type: ignore[attr-defined]  # read by Subject.laws
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A call of a run's last step, and its answer as outcomes spell it.

    ``labels`` are those of the few values; a wide one is told as it is, and bytes as ``0x`` and hexadecimal digits.
    ``client`` counts from 1. ``faulty``: a fault struck in this run. ``again``: the same call once more, after it had
    failed, as who delivers at least once would make it.
    """

    operation: str
    labels: tuple[str, ...]
    replica: int
    client: int
    answer: str
    faulty: bool = False
    again: bool = False

    @property
    def acknowledged(self) -> bool:
        """Whether the caller was told that it is done: a value was returned."""
        return not self.raised and not self.unanswered

    @property
    def raised(self) -> bool:
        """Whether the caller was told of an error."""
        return self.answer.startswith("raises ")

    @property
    def unanswered(self) -> bool:
        """Whether the caller was told nothing, and never will be."""
        return self.answer in UNANSWERED

    @property
    def in_doubt(self) -> bool:
        """Whether it may have happened or not, as far as the caller can know: a fault came between, or no answer."""
        return self.unanswered or (self.raised and self.faulty)


_TAMPERING = frozenset({FaultKind.SERVER_RESTART, FaultKind.CORRUPT, FaultKind.FOREIGN})
UNANSWERED = frozenset({NEVER, CRASHED, ENDLESS})


class UndecidedError(Exception):
    """What ``Run.assume`` raises where a law says nothing. Not for others to catch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a law is given: one step of a program, the states before and after it, what it answered, what was heard.

    The step is the program's last part: a call, a move of the clock, or several calls at once. ``program`` is its
    spelling, ``answer`` the one answer (of calls at once: none), ``answers`` one for each call. ``events`` are the
    callbacks, log events and metrics of this step. ``schedule`` is the interleaving of what happened at once.
    ``tasks_before`` and ``tasks`` count what ran in the background before and after. ``serial``: some order of what is at
    once shows it, too; ``split``: only where a plain pipeline is split, which a real server seldom does. ``repeated`` is
    how often the call was made once more, since it had failed. ``elapsed`` seconds went by because of a fault. ``ended``
    has a part's place and a replica that ended in it, and is another process since.
    """

    program: str
    before: State
    after: State
    answer: str = ""
    events: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    schedule: str = ""
    tasks_before: int = 0
    tasks: int = 0
    serial: bool = False
    split: bool = False
    parsed: Program | None = None
    repeated: int = 0
    elapsed: float = 0.0
    ended: tuple[tuple[int, int], ...] = ()
    known: tuple[Answered, ...] | None = None  # the calls, once they have been told: every law asks for them

    @property
    def parts(self) -> Program:
        """The program, taken apart."""
        return self.parsed if self.parsed is not None else parse(self.program)

    @property
    def calls(self) -> tuple[Answered, ...]:
        """The calls of the last step with their answers: one, none where the clock moved, several where they are at once.

        The last ``repeated`` of them are the same call once more.
        """
        return self.known if self.known is not None else self._told()

    def _told(self) -> tuple[Answered, ...]:
        parts = self.parts.parts
        last = parts[-1] if parts else None
        if isinstance(last, Struck):
            last = last.call
        made = [(1, last)] if isinstance(last, Call) else []
        if isinstance(last, AtOnce):
            made = [(number, call) for number, calls in enumerate(last.clients, 1) for call in calls]
        made += made[-1:] * self.repeated
        answers = self.answers or ((self.answer,) if made else ())
        first_again = len(made) - self.repeated
        return tuple(
            Answered(
                operation=call.operation, labels=tuple(map(told_label, call.labels)), replica=call.replica,
                client=client, answer=answer, faulty=bool(self.fault), again=place >= first_again,
            )
            for place, ((client, call), answer) in enumerate(zip(made, answers, strict=True))
        )  # fmt: skip

    @property
    def call(self) -> Answered | None:
        """The call of the last step, if it is one."""
        calls = self.calls
        return calls[0] if len(calls) == 1 else None

    @property
    def earlier(self) -> tuple[Call, ...]:
        """The calls that led here, in their order; of those processes that are still there."""
        ended = {replica: place for place, replica in self.ended}  # the last of each replica's ends
        return tuple(
            call
            for place, part in enumerate(self.parts.prelude.parts)
            for call in calls_of(part) if place > ended.get(call.replica, -1)
        )  # fmt: skip

    @property
    def seconds(self) -> float:
        """How much time went by in the last step; because of a fault, only where a key may have expired meanwhile."""
        parts = self.parts.parts
        last = parts[-1] if parts else None
        if isinstance(last, AtOnce):
            return sum(last.moves) + self._late
        if isinstance(last, Struck):
            return self._late
        return last.seconds if isinstance(last, Move) else 0.0

    @property
    def _late(self) -> float:
        """What a client waits before it tries again is no time that a law speaks of, unless a key may have expired."""
        left = [entry.ttl for entry in map(self.before.__getitem__, self.before.words()) if entry.ttl != "none"]
        return self.elapsed if any(float(ttl[:-1]) <= self.elapsed for ttl in left) else 0.0

    @property
    def fault(self) -> str:
        """What went wrong on purpose during the last step, as programs spell it: ``reply lost @2``; empty: nothing."""
        parts = self.parts.parts
        last = parts[-1] if parts else None
        plan = last.plan if isinstance(last, (Struck, AtOnce)) else None
        return "" if plan is None else plan.text

    @property
    def tampered(self) -> bool:
        """Whether the fault itself changed what is stored: what is there afterwards is then not the service's doing."""
        parts = self.parts.parts
        last = parts[-1] if parts else None
        plan = last.plan if isinstance(last, (Struck, AtOnce)) else None
        return plan is not None and any(fault.kind in _TAMPERING for fault in plan.faults)

    @property
    def failed(self) -> bool:
        """Whether something went wrong: a caller was told of an error, or a fault struck, told or not."""
        return bool(self.fault) or any(call.raised for call in self.calls)

    def assume(self, condition: object) -> None:
        """Go on only where ``condition`` is true: elsewhere the law says nothing, and the run counts as undecided."""
        if not condition:
            raise UndecidedError


def cap(path: str, limit: int) -> Abstraction:
    """Take every number above ``limit`` for ``limit``: a counter is 0, 1, 2 or *more*."""
    return Abstraction(path, limit)


def few(word: str, limit: int) -> Abstraction:
    """Of the keys that ``word`` means, look at ``limit`` only: for keys that keep coming, ``few("reservation(*)", 2)``."""
    return Abstraction(word, limit, of_keys=True)


def drop(path: str) -> Abstraction:
    """Leave a field out when states are compared."""
    return Abstraction(path, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How far the lenses go. A space that is larger is an error, never silently cut; a sampled one says so.

    ``depth`` is the length of the longest program without moves of the clock; ``moves`` is how often the clock may
    be moved in one program of the time lens. The race lens starts from ``starts`` states, one of each kind first, and runs
    at most ``schedules`` schedules of each program; the fault lens starts from ``fault_starts`` states.
    """

    states: int = 1500
    depth: int = 12
    moves: int = 2
    starts: int = 8
    schedules: int = 2000
    fault_starts: int = 6


class Subject:
    """A service under characterization. Subclass it, and name operations with ``@operation``.

    ``keys`` gives words to Redis keys: from a pattern whose parts are in braces to the word that is shown,
    ``{"ha:{supplier}:state:{state}": "state:{state}"}``. ``scrubs`` are patterns of paths whose values differ from run to
    run for a reason: they are renamed by first appearance, and bytes are not counted. ``final`` names operations that end
    a replica's life: what comes after one is looked at from one state of each kind, and only one step far.
    ``remembers`` names the operations that change what a process remembers, where there are others that do not: in the race
    lens their steps commute on one process as on two. It is checked: where it hides an outcome, recording fails.
    ``litmus`` are programs for the race lens beside all pairs: ``"save s1 ; { get s1 || save s1 @2 || clock +7200s }"``.
    """

    name: ClassVar[str] = ""
    horizons: ClassVar[Sequence[float]] = ()
    replicas: ClassVar[int] = 1
    keys: ClassVar[Mapping[str, str]] = {}
    abstractions: ClassVar[Sequence[Abstraction]] = ()
    scrubs: ClassVar[Sequence[str]] = ()
    final: ClassVar[Sequence[str]] = ()
    bounds: ClassVar[Bounds] = Bounds()
    litmus: ClassVar[Sequence[str]] = ()
    remembers: ClassVar[Sequence[str] | None] = None

    def replica(self, world: World) -> Any:  # noqa: ARG002 - for subclasses
        """One process of the service: a new instance, built with what ``world`` hands out. May be a coroutine."""
        raise SubjectError(
            f"{type(self).__name__} does not say how to start a replica: write `def replica(self, world)`"
        )

    def local(self, replica: Any) -> Any:  # noqa: ARG002 - for subclasses
        """What is seen of a replica's own memory: plain values. None: nothing."""
        return None

    def kind(self, state: State) -> str:
        """A state in a few words, the same for all states that are alike: ``a claimed session``.

        Groups of changes are named by it, and of each kind one state is a start of the time lens.
        """
        return ", ".join(state.words()) or "the empty world"

    @classmethod
    def operations(cls) -> dict[str, Operation]:
        """The operations by name, in the order of their declaration.

        Raises:
            SubjectError: there are none, one has an argument without values, or is not a coroutine function.
        """
        found: dict[str, Operation] = {}
        for owner in reversed(cls.__mro__):
            for name, function in vars(owner).items():
                if hasattr(function, "_arguments"):
                    found[name] = _operation(cls, name, function)
        if not found:
            raise SubjectError(f"{cls.__qualname__} has no operations: mark its async methods with @operation(...)")
        return found

    @classmethod
    def operation(cls, name: str) -> Operation:
        """The operation called ``name``.

        Raises:
            ProgramError: there is none.
        """
        found = cls.operations().get(name)
        if found is None:
            known = ", ".join(cls.operations())
            raise ProgramError(f"{cls.name} has no operation called {name!r}; it has {known}")
        return found

    @classmethod
    def laws(cls) -> dict[str, str]:
        """The laws by name, with the first line of what is said for them.

        Raises:
            SubjectError: one is a coroutine function, or takes something else than a run.
        """
        found = {
            name: function
            for owner in reversed(cls.__mro__)
            for name, function in vars(owner).items()
            if getattr(function, "_is_law", False)
        }
        for name, function in found.items():
            _check_law(cls, name, function)
        return {name: _summary(function) for name, function in found.items()}

    @classmethod
    def calls(cls) -> list[Call]:
        """Every operation with every one of its few values, on every replica."""
        return [
            call
            for replica in range(1, cls.replicas + 1)
            for each in cls.operations().values()
            for call in each.calls(replica)
        ]


def _operation(cls: type[Subject], name: str, function: Any) -> Operation:
    if not inspect.iscoroutinefunction(function):
        raise SubjectError(f"{cls.__qualname__}.{name} is an operation and must be `async def`")
    if name in RESERVED:
        raise SubjectError(
            f"{cls.__qualname__}.{name}: `{name}` has a meaning of its own in programs: call the operation otherwise"
        )
    wanted = list(inspect.signature(function).parameters)[2:]
    if wanted != list(function._arguments):
        raise SubjectError(
            f"{cls.__qualname__}.{name} takes {', '.join(wanted) or 'nothing'} after the replica, but its @operation names "
            f"{', '.join(function._arguments) or 'nothing'}: give each argument its few values, in the same order"
        )
    for argument, few in function._arguments.items():
        if not few.values:
            raise SubjectError(f"{cls.__qualname__}.{name} has nothing to try for {argument}: give small() some values")
    return Operation(name, function, function._arguments, _summary(function))


def _check_law(cls: type[Subject], name: str, function: Any) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise SubjectError(
            f"{cls.__qualname__}.{name} is a law, which is judged at once: write `def {name}(self, run)`"
        )
    if len(inspect.signature(function).parameters) != 2:
        raise SubjectError(f"{cls.__qualname__}.{name} is a law and takes a run: `def {name}(self, run: Run) -> None`")


def _summary(function: Any) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


def moves(horizons: Sequence[float]) -> list[float]:
    """The moves of the clock for ``horizons``: to a millisecond before each, to it, and to a millisecond after."""
    found = {round(horizon + offset, 3) for horizon in horizons for offset in (-0.001, 0.0, 0.001)}
    if any(not math.isfinite(move) or move <= 0 for move in found):
        raise SubjectError(f"horizons are positive numbers of seconds, longer than a millisecond: {list(horizons)}")
    return sorted(found)
