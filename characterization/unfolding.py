"""Programs of the random lens: one run, of which every part is looked at, perhaps while it is made up.

In such a run many things go wrong one after another, and life goes on behind each: a replica that crashed is started
again before the next part. What was at once in one part may go on in the background in the next.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from characterization.errors import ProgramError, SubjectError
from characterization.laws import LawWitness
from characterization.outcome import Outcome, answer_text, cost_of, effects, event_text, metrics_moved
from characterization.performing import Performer, _apart
from characterization.program import SEPARATOR, AtOnce, Call, Crash, Move, Part, Program, Replicas, Struck
from characterization.state import State
from characterization.subject import Run, Subject
from simulator.errors import DeadlockError, WorldError
from simulator.faults import ArmedPlan, FaultPlan, Tempt
from simulator.gate import Step
from simulator.race import Client, race
from simulator.schedule import FirstCome, Follow, Recorded, Scheduler

SEED = 20_260_201
"""The seed of a world in which programs are run, unless another is asked for."""

LENS = "random"
TOGETHER = "together"
"""How calls end that were made at once: each in its own way, in the order in which the program names them."""


class Unfolding:
    """One run of the subject of ``performer``, which has as many processes as the run is to have.

    ``program`` is what was done so far, ``state`` what there is now. The laws that ``performer`` judges by are held
    against every part; ``broken`` are those that the last one breaks and none before it, since a state that breaks a law
    goes on breaking it.
    """

    def __init__(self, performer: Performer) -> None:
        self._performer = performer
        self._world = performer.world
        own = performer._count
        self.program = Program((Replicas(own),))
        self._text = self.program.text
        self._numbers = range(1, own + 1)
        performer._begin()
        self._world.chance.numbers_alike()  # how long a client waits before it tries again is drawn
        self._renamer = performer._renamer(self._world.clock.started_ns)
        self.state = State({})
        self._metrics: Mapping[str, float] = {}
        self._look()
        self._crashes = 0
        self._ends: list[tuple[int, int]] = []
        self.broken: Mapping[str, LawWitness] = {}
        self._broken: set[str] = set()
        self.cost = (0, 0, 0)

    @property
    def name(self) -> str:
        """The name of the state that there is now."""
        return self._performer._name(self.state)

    def take(self, part: Part, scheduler: Scheduler | None = None, tempt: Tempt | None = None) -> Run:
        """Take one more part, and look.

        ``scheduler`` says in which order what is at once happens, ``tempt`` what goes wrong in a call or in what is at
        once; where they are missing, the part does. The part of the run's program says what it came to.

        Raises:
            ProgramError: the subject has no such operation, argument or replica.
            WorldError: an operation breaks the rules of a world.
        """
        performer, world = self._performer, self._world
        self._start_again()
        before, before_metrics, tasks, begun_ns = self.state, self._metrics, performer.tasks(), world.clock.now_ns
        cost = copy.copy(world.gate.cost)
        taken, (how, value) = self._took(part, scheduler, tempt)
        if isinstance(taken, Crash):
            self._start_again(taken)
        self.cost = performer._cost(cost_of(cost, world.gate.cost))
        heard = self._look()
        together = how == TOGETHER
        self._extend(taken)
        run = Run(
            program=self._text, parsed=self.program, before=before, after=self.state,
            answer="" if together else answer_text(how, value, self._renamer),
            answers=tuple(answer_text(ended, each, self._renamer) for ended, each in value) if together else (),
            events=(*heard, *metrics_moved(before_metrics, self._metrics)),
            schedule=taken.schedule.text if isinstance(taken, AtOnce) and taken.schedule is not None else "",
            tasks_before=tasks, tasks=performer.tasks(), ended=tuple(self._ends),
            elapsed=(world.clock.now_ns - begun_ns) / 1e9 - _moved(taken),
        )  # fmt: skip
        if performer.judge is not None:
            self.broken = performer.judge.observe(run, LENS, but=self._broken)
            self._broken.update(self.broken)
        return run

    def _extend(self, part: Part) -> None:
        self.program = self.program.then(part)
        self._text = f"{self._text}{SEPARATOR}{part.text}"  # of many parts, each is spelled once

    def _look(self) -> list[str]:
        """Look at everything that there is now; what was heard since the last look."""
        world = self._world
        self._renamer = self._renamer.later(world.chance.draws)
        heard = [event_text(event, self._renamer) for event in world.take_events()]
        self._metrics = world.metrics()
        self.state = self._performer._look(self._renamer)
        return heard

    def outcome(self, run: Run, before: str) -> Outcome:
        """What ``run``, the last part, showed, which began in the state called ``before``."""
        asked = self._performer.kind_of
        return Outcome(
            answer=run.answer or " || ".join(run.answers), effects=effects(run.before, run.after), events=run.events,
            cost=self.cost, before=before, after=self.name, kind=asked(run.before), kind_after=asked(run.after),
        )  # fmt: skip

    def _took(self, part: Part, scheduler: Scheduler | None, tempt: Tempt | None) -> tuple[Part, tuple[str, Any]]:
        world = self._world
        world.gate.steps = 0
        match part:
            case AtOnce():
                return self._at_once(part, scheduler, tempt)
            case Struck():
                return self._struck(part.call, tempt or _planned(part.plan))
            case Call() if tempt is not None:
                return self._struck(part, tempt)
            case Crash():
                self._check(part.replica, part)
                world.crash(part.replica)
                return part, ("returned", None)
            case Replicas():
                raise ProgramError(f"`{part.text}` is said first, before anything happens")
            case Call() | Move():
                return part, self._performer._take_alone(part)

    def _check(self, replica: int, part: Part) -> None:
        if replica not in self._numbers:
            name = type(self._performer.subject).name
            raise ProgramError(f"`{part.text}`: {name} runs {self._performer._count} replicas")

    def _struck(self, call: Call, tempt: Tempt) -> tuple[Part, tuple[str, Any]]:
        watched = _Watched(tempt)
        armed = self._world.tempt(watched)
        try:
            answer = self._performer._take_alone(call)
            self._wait_for(watched, armed)
        finally:
            self._world.disarm()
        return (Struck(call, armed.plan) if armed.plan.faults else call), answer

    def _at_once(self, part: AtOnce, scheduler: Scheduler | None, tempt: Tempt | None) -> tuple[Part, tuple[str, Any]]:
        world, performer = self._world, self._performer
        inner = scheduler or (Follow(part.schedule) if part.schedule is not None else FirstCome())
        recorded = Recorded(inner)
        clients = [Client(functools.partial(performer._client, calls), calls[0].replica) for calls in part.clients]
        for call in part.calls:  # what is not there must not be taken for something that the service raises
            self._check(call.replica, part)
            performer.operation(call).bind(call)
        tempt = tempt or (_planned(part.plan) if part.plan is not None else None)
        watched = _Watched(tempt) if tempt is not None else None
        armed = world.tempt(watched) if watched is not None else None
        try:
            # Those who wait for each other for ever have no answer, and that is an outcome.
            with contextlib.suppress(DeadlockError):
                race(world, clients, recorded, moves=part.moves, timers_race=part.timers)
            answers = [
                each
                for number, calls in enumerate(part.clients, 1)
                for each in _apart(self._ended(number, calls[0].replica), len(calls))
            ]
            if watched is not None and armed is not None:
                self._wait_for(watched, armed)
        finally:
            world.disarm()
        for number in range(1, len(clients) + 1):
            world.rename(("client", number), (f"at{len(self.program.parts)}-", number))
        plan = armed.plan if armed is not None and armed.plan.faults else None
        return replace(part, schedule=recorded.schedule, plan=plan), (TOGETHER, answers)

    def _wait_for(self, watched: _Watched, armed: ArmedPlan) -> None:
        """Let time pass until work in the background that was struck has ended, so that no later part is blamed for it."""
        crashed = len(self._world.crashes) > self._crashes
        if armed.plan.faults and len(watched.lane) > 2 and not crashed:
            self._performer._wait_for(watched.lane)

    def _ended(self, number: int, replica: int) -> tuple[str, Any]:
        """How a client's work ended; a client whose replica has crashed has none."""
        if replica in self._world.crashes[self._crashes :]:
            tasks = [task for task in self._world.loop.tasks if task.lane == ("client", number)]
            return self._performer._answered(tasks[0]) if tasks and tasks[0].done() else ("crashed", None)
        return self._performer._ended(("client", number))

    def _start_again(self, crash: Crash | None = None) -> None:
        """Start those replicas again that crashed in the part before, or in ``crash``, which is not in the program yet."""
        crashed = sorted({number for number in self._world.crashes[self._crashes :] if number in self._numbers})
        self._crashes = len(self._world.crashes)
        place = len(self.program.parts) - (crash is None)
        for number in crashed:
            self._ends.append((place, number))
            self._performer._replicas[number - 1] = self._performer._start_replica(number)
        if crashed and crash is None:
            self._look()


class _Watched:
    """Asks ``tempt``, and remembers of which ``lane`` the step was that is struck first."""

    def __init__(self, tempt: Tempt) -> None:
        self._tempt = tempt
        self.lane: tuple[object, ...] = ()

    def __call__(self, number: int, step: Step) -> FaultPlan | None:
        plan = self._tempt(number, step)
        if plan is not None:
            self.lane = step.lane
        return plan


def _moved(part: Part) -> float:
    """By how much the clock is moved on purpose."""
    match part:
        case Move():
            return part.seconds
        case AtOnce():
            return sum(part.moves)
        case _:
            return 0.0


def _planned(plan: FaultPlan) -> Tempt:
    first = min(fault.step for fault in plan.faults)

    def tempt(number: int, _step: Step) -> FaultPlan | None:
        return plan if number == first else None

    return tempt


def processes_of(subject: type[Subject], program: Program) -> int:
    """How many processes ``program`` needs: as many as the subject runs, or more if it names more."""
    return max(subject.replicas, program.processes)


def tidy(program: Program) -> Program:
    """``program`` without saying how many replicas there are, where it is clear, and what it is, without that."""
    without = Program(tuple(parts_of(program)))
    return without if without.mixed else program


def begun(performer: Performer, program: Program) -> Unfolding:
    """A run that has as many processes as ``program`` needs, in which nothing has happened."""
    return Unfolding(performer.with_replicas(processes_of(type(performer.subject), program)))


def parts_of(program: Program) -> list[Part]:
    """What happens in ``program``, from first to last."""
    return [part for part in program.parts if not isinstance(part, Replicas)]


def perform(performer: Performer, program: Program) -> Outcome:
    """Run ``program``, be it mixed or not; the outcome is that of its last part.

    A schedule is followed, and a fault strikes, as far as they fit: where they do not, the outcome shows it.

    Raises:
        SubjectError: an operation breaks the rules of a world, or the program names what the subject does not have.
        ProgramError: the subject has no such operation.
    """
    if not program.mixed:
        return performer.perform(program)
    with named(performer, program):
        unfolding = begun(performer, program)
        parts = parts_of(program)
        for part in parts[:-1]:
            unfolding.take(part)
        before, state = unfolding.name, unfolding.state
        for part in parts[-1:]:
            run = unfolding.take(part)
            return unfolding.outcome(run, before)
        return Outcome(
            answer="None", effects=(), events=(), cost=(0, 0, 0), before=before, after=before,
            kind=performer.kind_of(state), kind_after=performer.kind_of(state),
        )  # fmt: skip


@contextlib.contextmanager
def named(performer: Performer, program: Program) -> Iterator[None]:
    """Say of what breaks the rules of a world in which program it did."""
    try:
        yield
    except WorldError as error:
        raise SubjectError(f"{type(performer.subject).name}, in `{program.text}`: {error}") from error
