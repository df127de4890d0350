"""Running programs: a subject in a world, one part after another, and what the last part showed."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from characterization.errors import ProgramError, SubjectError
from characterization.laws import Judge
from characterization.outcome import Outcome, answer_text, cost_of, effects, event_text, metrics_moved
from characterization.program import AtOnce, Call, Crash, Move, Part, Program, Replicas, Struck
from characterization.renaming import DRAWN, Renamer
from characterization.state import Entry, State, Words, entry_of, plain, role_of, scrub
from characterization.subject import Operation, Run, Subject
from simulator.errors import DeadlockError, EndlessError, WorldError
from simulator.gate import Step
from simulator.race import Client, race
from simulator.schedule import Scheduler
from simulator.world import World, answer_of

STATES_KEPT = 4096
_OWN_MEMORY = 1_000_000  # more than there are replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class Encounter:
    """What one run of operations at once showed: each client's answer, the states before and after, what was heard.

    ``steps_before`` counts the steps of the prelude; ``tasks_before`` and ``tasks`` what ran in the background.
    """

    answers: tuple[str, ...]
    before: State
    after: State
    events: tuple[str, ...]
    steps_before: int
    tasks_before: int = 0
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class NewReplica:
    """A replica crashes, unless it has already, and a new one of its number is started."""

    number: int


@dataclass(frozen=True, slots=True)
class ServerRestart:
    """Redis starts again, empty."""


Act = Call | Move | Struck | NewReplica | ServerRestart
WAITED_S = 120.0
"""For how long a task in the background that was struck is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one act showed: its answer, what there was after it, what was heard.

    ``seconds`` have passed since the first act began. ``steps`` are there while they are collected (``Gate.trace``).
    ``unstruck`` says of a struck call that nothing struck it. ``renamed`` spells as in ``state`` what varies.
    ``tasks_before`` and ``tasks`` count what ran in the background before and after it.
    """

    answer: str
    state: State
    events: tuple[str, ...]
    seconds: float
    renamed: Callable[[str], str] = field(compare=False)
    steps: tuple[Step, ...] = ()
    unstruck: bool = False
    tasks_before: int = 0
    tasks: int = 0


class Performer:
    """Runs programs of one subject in one world, which must have been entered.

    ``replicas`` is how many processes there are, where that is not for the subject to say. ``judge`` holds the subject's
    laws against what is performed; none: nobody does.
    """

    def __init__(self, subject: Subject, world: World, replicas: int | None = None, judge: Judge | None = None) -> None:
        self.subject = subject
        self.judge = judge or None  # where there are no laws, nothing is prepared for them
        self._count = replicas or type(subject).replicas
        self.world = world
        self._operations = type(subject).operations()
        self._words = Words(type(subject).keys)
        self._roles = (*DRAWN, *map(role_of, type(subject).scrubs))
        self._replicas: list[Any] = []
        self._before: dict[Program, tuple[State, str]] = {}
        self._others: dict[int, Performer] = {}
        self.distrusting = False  # whether a subject is not believed that says which operations change memory
        self._kinds: dict[Program, str] = {}
        self._begun = 0

    def with_replicas(self, count: int) -> Performer:
        """A performer of the same subject in the same world with ``count`` processes; this one, if it has as many."""
        if count == self._count:
            return self
        if count not in self._others:
            self._others[count] = Performer(self.subject, self.world, count, self.judge)
        return self._others[count]

    def perform(self, program: Program) -> Outcome:
        """Run ``program`` from an empty world; the outcome is that of its last part.

        Raises:
            SubjectError: a replica cannot be started, or an operation breaks the rules of a world.
            ProgramError: the subject has no such operation or argument.
        """
        try:
            return self._perform(program)
        except WorldError as error:
            raise SubjectError(f"{type(self.subject).name}, in `{program.text}`: {error}") from error
        except SystemExit as error:  # it would end this process too, and look like a result
            raise SubjectError(
                f"{type(self.subject).name}, in `{program.text}`: the service ends its process (exit {error.code}). "
                "Hand in what ends it as a callback."
            ) from error

    def _perform(self, program: Program) -> Outcome:
        world = self.world
        self._begin()
        for part in program.prelude.parts:
            self._take(part)
        early = self._renamer(world.clock.started_ns)
        before, before_name = self._state_before(program.prelude, early)
        tasks = self.tasks()
        world.take_events()
        metrics = world.metrics()
        cost = copy.copy(world.gate.cost)
        how, value = self._take(program.parts[-1])
        spent = self._cost(cost_of(cost, world.gate.cost))
        renamer = early.later(world.chance.draws)
        heard = [event_text(event, renamer) for event in world.take_events()]
        after = self._look(renamer)
        answer = answer_text(how, value, renamer)
        events = (*heard, *metrics_moved(metrics, world.metrics()))
        if self.judge is not None:
            run = Run(
                program=program.text, parsed=program, before=before, after=after, answer=answer, events=events,
                tasks_before=tasks, tasks=self.tasks(),
            )  # fmt: skip
            self.judge.observe(run, program.lens)
        return Outcome(
            answer=answer,
            effects=effects(before, after),
            events=events,
            cost=spent,
            before=before_name,
            after=self._name(after),
            kind=self.kind_of(before),
            kind_after=self.kind_of(after),
        )

    def judge_struck(self, program: Program, before: State, shown: Sequence[Shown], *, anew: bool = False) -> None:
        """Hold the laws against a call that was struck, or with a second one against both.

        ``program`` is the one with the fault, ``before`` the state that the call began in, ``shown`` what it showed, and
        what the same call showed when it was made again: on a new replica, if ``anew``.
        """
        if self.judge is None:
            return
        ended = (len(program.prelude.parts), program.calls[-1].replica)
        run = Run(
            program=program.text, parsed=program, before=before, after=shown[-1].state, repeated=len(shown) - 1,
            answers=tuple(each.answer for each in shown), events=tuple(line for each in shown for line in each.events),
            elapsed=shown[-1].seconds, tasks_before=shown[0].tasks_before, tasks=shown[-1].tasks,
            ended=(ended,) if anew else (),
        )  # fmt: skip
        self.judge.observe(run, "fault")

    def tasks(self) -> int:
        """How many tasks of the service are under way in the background, beside the calls themselves; 0: nobody asks."""
        if self.judge is None:
            return 0
        return sum(len(task.lane) > 2 and not task.done() and not task.crashed for task in self.world.loop.tasks)

    def meet(self, program: Program, scheduler: Scheduler) -> Encounter:
        """Run at once what ``program`` has at its end, from where its prelude leads, as ``scheduler`` chooses."""
        at_once = _at_once(program)

        def together() -> list[tuple[str, Any]]:
            clients = [
                Client(functools.partial(self._client, calls), self._memory_of(number, calls))
                for number, calls in enumerate(at_once.clients, 1)
            ]
            # Those who wait for each other for ever have no answer, and that is an outcome.
            with contextlib.suppress(DeadlockError):
                race(self.world, clients, scheduler, moves=at_once.moves, timers_race=at_once.timers)
            return [
                each
                for number, calls in enumerate(at_once.clients, 1)
                for each in _apart(self._ended(("client", number)), len(calls))
            ]

        return self._encounter(program, together)

    def meet_in_order(self, program: Program, order: Sequence[int]) -> Encounter:
        """Run the same one after another: each number in ``order`` is the client (from 0) whose next call it is.

        The number behind the last client's is the clock's. The answers are in the order of the calls.
        """
        at_once = _at_once(program)

        def in_order() -> list[tuple[str, Any]]:
            waiting = [list(enumerate(calls)) for calls in at_once.clients]
            moves = list(at_once.moves)
            begun: dict[tuple[int, int], asyncio.Task[Any]] = {}
            for client in order:
                if client == len(waiting):
                    self.world.advance(moves.pop(0))
                else:
                    place, call = waiting[client].pop(0)
                    if place == 0 or begun[client, place - 1].done():  # who waits for ever does nothing more
                        begun[client, place] = self._meanwhile(call, ("client", client + 1))
                    else:
                        begun[client, place] = begun[client, place - 1]
            return [self._answered(begun[place]) for place in sorted(begun)]

        return self._encounter(program, in_order)

    def _memory_of(self, number: int, calls: Sequence[Call]) -> int:
        """Whose memory a client's steps are taken to touch: its replica's; one of its own where its calls change none.

        Beside work in the background, which may change what they read, it is the replica's in any case.
        """
        changing = type(self.subject).remembers
        beside = any(not task.done() for task in self.world.loop.tasks)
        if changing is None or self.distrusting or beside or any(call.operation in changing for call in calls):
            return calls[0].replica
        return _OWN_MEMORY + number

    def _meanwhile(self, call: Call, lane: tuple[object, ...]) -> asyncio.Task[Any]:
        """A call that has ended, or waits for what only others can bring."""
        try:
            return self.world.perform(self._coroutine(call), lane)
        except DeadlockError:
            return next(task for task in reversed(self.world.loop.tasks) if task.lane == lane)

    def _ended(self, lane: tuple[object, ...]) -> tuple[str, Any]:
        """How the work in a lane ended, if it did."""
        return self._answered(next((task for task in self.world.loop.tasks if task.lane == lane), None))

    def _answered(self, task: asyncio.Task[Any] | None) -> tuple[str, Any]:
        return self._allowed(answer_of(task) if task is not None and task.done() else ("waits", None))

    async def _client(self, calls: Sequence[Call]) -> Any:
        """One client's calls in turn. A single one is answered as it is, several as a list of how each ended."""
        if len(calls) == 1:
            return await self._coroutine(calls[0])
        answers: list[tuple[str, Any]] = []
        for call in calls:
            try:
                answers.append(("returned", await self._coroutine(call)))
            except Exception as error:  # noqa: BLE001 - what an operation raises is its answer
                answers.append(("raised", error))
        return answers

    def _encounter(self, program: Program, work: Callable[[], list[tuple[str, Any]]]) -> Encounter:
        world = self.world
        self._begin()
        for part in program.prelude.parts:
            self._take(part, _home(part))
        steps_before = world.gate.steps
        early = self._renamer(world.clock.started_ns)
        before, _ = self._state_before(program.prelude, early)
        tasks = self.tasks()
        world.take_events()
        metrics = world.metrics()
        world.chance.lanes_race()
        answers = work()
        late = early.later(world.chance.draws)
        events = [event_text(event, late) for event in world.take_events()]
        return Encounter(
            answers=tuple(answer_text(how, value, late) for how, value in answers),
            before=before, after=self._look(late), steps_before=steps_before, tasks_before=tasks, tasks=self.tasks(),
            events=(*events, *metrics_moved(metrics, world.metrics())),
        )  # fmt: skip

    def endure(
        self,
        prelude: Program,
        acts: Sequence[Act],
        lane: tuple[object, ...] | None = None,
        enough: Callable[[Shown], bool] | None = None,
    ) -> tuple[State, list[Shown]]:
        """Do ``acts`` one after another from where ``prelude`` leads; the state before them, and what each showed.

        All of it runs on replicas, and every moment from the first act on is the same one, since what goes wrong takes
        time. ``lane`` is of a task in the background that is waited for where it was struck. Nothing strikes any more
        once a struck call has ended, or will never end. Behind what is ``enough`` nothing more is done; to ask that
        must not run anything.

        Raises:
            FaultError: a fault cannot strike where it is to.
            WorldError: an operation breaks the rules of a world, or does not end although it was cancelled.
        """
        world = self.world
        self._begin()
        for part in prelude.parts:
            self._take(part, _home(part))
        begun = self._begun
        early = self._renamer(world.clock.started_ns)
        before, _ = self._state_before(prelude, early)
        start_ns = world.clock.now_ns
        world.chance.numbers_alike()  # how long a client waits before it tries again is drawn
        shown = []
        for act in acts:
            world.take_events()
            metrics = world.metrics()
            first, tasks = len(world.gate.trace or ()), self.tasks()
            (how, value), unstruck = self._act(act, lane)
            late = early.later(world.chance.draws).taking_for_one(start_ns, world.clock.now_ns)
            heard = [event_text(event, late) for event in world.take_events()]
            shown.append(Shown(
                answer=answer_text(how, value, late), state=self._look(late), unstruck=unstruck,
                events=(*heard, *metrics_moved(metrics, world.metrics())),
                seconds=(world.clock.now_ns - start_ns) / 1e9, renamed=late.text,
                steps=tuple((world.gate.trace or ())[first:]), tasks_before=tasks, tasks=self.tasks(),
            ))  # fmt: skip
            if enough is not None and enough(shown[-1]):
                break
            assert self._begun == begun, "`enough` has run something else in the same world"
        if not all(task.done() for task in world.loop.tasks):
            world.restart()  # so that what cannot be ended is said of this program
        return before, shown

    def _act(self, act: Act, lane: tuple[object, ...] | None) -> tuple[tuple[str, Any], bool]:
        world = self.world
        match act:
            case Struck():
                return self._take_struck(act, lane)
            case ServerRestart():
                world.restart_server()
            case NewReplica():
                if act.number not in world.crashes:
                    world.crash(act.number)
                self._replicas[act.number - 1] = self._start_replica(act.number)
            case _:
                return self._take_alone(act), False
        return ("returned", None), False

    def _take_struck(self, struck: Struck, lane: tuple[object, ...] | None) -> tuple[tuple[str, Any], bool]:
        world = self.world
        world.arm(struck.plan)
        try:
            answer = self._take_alone(struck.call)
            self._wait_for(lane)
            return answer, struck.plan.faults[0] in world.unstruck
        finally:
            world.disarm()

    def _take_alone(self, part: Call | Move) -> tuple[str, Any]:
        """How a call ends on its replica; one that goes on for ever is ended with it."""
        lane = _home(part)
        try:
            return self._take(part, lane)
        except DeadlockError:
            return "waits", None
        except EndlessError:
            self.world.crash(lane[1])
            self.world.gate.steps = 0
            return "endless", None

    def _wait_for(self, lane: tuple[object, ...] | None) -> None:
        """Let time pass until the task of ``lane`` has ended, if it was struck, within bounds."""
        world = self.world
        end_ns = world.clock.now_ns + round(WAITED_S * 1e9)
        while lane is not None and world.awaits(lane):
            due_ns = world.loop.next_timer_ns()
            if due_ns is None or due_ns > end_ns:
                return
            world.move_to(due_ns)
            world.settle()

    def kind_after(self, prelude: Program) -> str:
        """The state that ``prelude`` leads to in the subject's words, with no more processes than it needs."""
        if prelude not in self._kinds:
            own = self.with_replicas(max([type(self.subject).replicas, *(call.replica for call in prelude.calls)]))
            self._kinds[prelude] = own.kind_of(own.state_after(prelude))
        return self._kinds[prelude]

    def kind_of(self, state: State) -> str:
        """A state in the subject's words. It is shown the memories of as many processes as it runs by itself."""
        own = type(self.subject).replicas
        if self._count > own:
            numbered = ((word, *word.partition("@")[::2]) for word in state.words())
            state = State({
                name if own == 1 and name == "memory" else word: state[word]
                for word, name, number in numbered if name != "memory" or int(number) <= own
            })  # fmt: skip
        return str(self._asked("kind", state))

    @property
    def roles(self) -> tuple[str, ...]:
        """Under which roles what varies is renamed."""
        return self._roles

    def state_after(self, program: Program) -> State:
        """The state that ``program`` leads to."""
        self._begin()
        for part in program.parts:
            self._take(part)
        return self._look(self._renamer(self.world.clock.started_ns))

    def _begin(self) -> None:
        self.world.restart()
        self._begun += 1
        self._replicas = [self._start_replica(number) for number in range(1, self._count + 1)]

    def _start_replica(self, number: int) -> Any:
        try:
            made = self.subject.replica(self.world)
            if not inspect.isawaitable(made):
                return made
            return self.world.perform(_awaited(made), ("replica", number)).result()
        except WorldError:
            raise
        except Exception as error:
            raise SubjectError(
                f"{type(self.subject).__qualname__}.replica raised {type(error).__name__}: {error}. It must build one "
                "process of the service from what the world hands out."
            ) from error

    def _take(self, part: Part, lane: tuple[object, ...] = ("client", 1)) -> tuple[str, Any]:
        if isinstance(part, Move):
            self.world.advance(part.seconds)
            return "returned", None
        if isinstance(part, AtOnce):
            raise ProgramError(
                f"`{part.text}` happens at once, and has no one outcome: `holdfast explore` shows them all"
            )
        if isinstance(part, Struck):
            raise ProgramError(f"`{part.text}` is struck by a fault, and comes last in a program of the fault lens")
        if isinstance(part, (Crash, Replicas)):
            raise ProgramError(f"`{part.text}` is for programs of the random lens")
        return self._allowed(answer_of(self.world.perform(self._coroutine(part), lane)))

    def _allowed(self, answer: tuple[str, Any]) -> tuple[str, Any]:
        """``answer``, unless the service did what no schedule can order: then it has not been looked at.

        Raises:
            WorldError: it blocked the loop, or went past the gate; also where it caught the refusal.
        """
        refusals = [answer[1], *(context.get("exception") for context in self.world.loop.failures)]
        for refusal in refusals:
            if isinstance(refusal, WorldError):
                raise refusal
        return answer

    def operation(self, call: Call) -> Operation:
        """The operation that ``call`` is of.

        Raises:
            ProgramError: there is none.
        """
        return self._operations.get(call.operation) or type(self.subject).operation(call.operation)

    def _coroutine(self, call: Call) -> Any:
        operation = self.operation(call)
        if not 1 <= call.replica <= len(self._replicas):
            raise ProgramError(f"`{call.text}`: {type(self.subject).name} runs {len(self._replicas)} replicas")
        return operation.function(self.subject, self._replicas[call.replica - 1], **operation.bind(call))

    def _state_before(self, prelude: Program, renamer: Renamer) -> tuple[State, str]:
        # What is scrubbed differs from run to run, so the state of another run cannot be held against this one's.
        known = None if type(self.subject).scrubs else self._before.get(prelude)
        if known is None:
            state = self._look(renamer)
            if len(self._before) >= STATES_KEPT:
                self._before.clear()
            known = self._before[prelude] = (state, self._name(state))
        return known

    def _renamer(self, origin_ns: int) -> Renamer:
        return Renamer(origin_ns, self.world.chance.draws)

    def _name(self, state: State) -> str:
        """The state's name, for which only its distance from now counts, not from the run's beginning."""
        clock = self.world.clock
        if clock.now_ns != clock.started_ns:
            state = self._look(self._renamer(clock.now_ns))
        return state.identity(type(self.subject).abstractions, self._roles)

    def _look(self, renamer: Renamer) -> State:
        entries: dict[str, Entry] = {}
        for number, records in self.world.dump().items():
            suffix = f" (db {number})" if number else ""
            for key, record in records.items():
                entries[renamer.text(self._words.of(key)) + suffix] = entry_of(record, renamer)
        for number, replica in enumerate(self._replicas, 1):
            own = self._asked("local", replica)
            if own is not None:
                word = "memory" if len(self._replicas) == 1 else f"memory@{number}"
                entries[word] = Entry(kind="memory", ttl="none", value=plain(own, renamer))
        return State(self._scrubbed(entries, renamer))

    def _cost(self, spent: tuple[int, int, int]) -> tuple[int, int, int]:
        """What was spent; its bytes are not counted where something in them varies and is scrubbed."""
        commands, trips, sent = spent
        return commands, trips, 0 if type(self.subject).scrubs else sent

    def _asked(self, name: str, value: Any) -> Any:
        try:
            return getattr(self.subject, name)(value)
        except Exception as error:
            raise SubjectError(
                f"{type(self.subject).__qualname__}.{name} raised {type(error).__name__}: {error}. It is asked in every "
                "state that can be reached, the empty one included."
            ) from error

    def _scrubbed(self, entries: Mapping[str, Entry], renamer: Renamer) -> Mapping[str, Entry]:
        scrubs = type(self.subject).scrubs
        if not scrubs:
            return entries
        return {
            word: Entry(kind=entry.kind, ttl=entry.ttl, value=scrub(entry.value, word, scrubs, renamer))
            for word, entry in sorted(entries.items())
        }


def _home(part: Part) -> tuple[str, int]:
    """The lane of the replica that ``part`` is done on, so that it can crash."""
    return "replica", part.replica if isinstance(part, Call) else 0


def _at_once(program: Program) -> AtOnce:
    assert program.at_once is not None, f"`{program.text}` has nothing that happens at once"
    return program.at_once


def _apart(answer: tuple[str, Any], calls: int) -> list[tuple[str, Any]]:
    """How each of a client's calls ended."""
    how, value = answer
    if calls == 1:
        return [answer]
    return list(value) if how == "returned" else [answer] * calls


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
