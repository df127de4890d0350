"""Clients that run at once in a world, under a scheduler.

Everyone who waits at the gate may take the next step. Time jumps to the next timer when nobody waits there; in
programs that race with time, the clock is one who waits, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.clock import NANOSECONDS
from simulator.errors import DeadlockError, EndlessError
from simulator.footprint import EVERYTHING, NOTHING, Footprint, footprint_of, runs_scripts
from simulator.gate import STEPS_MAX, Door, Request
from simulator.loop import LaneTask
from simulator.schedule import Schedule, Scheduler, Turn, lane_name
from simulator.world import CRASHED, TIMERS_MAX, World, answer_of

CLOCK = "clock"
TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Client:
    """Work that is done beside that of others, on one replica of the service, which are numbered from 1."""

    work: Callable[[], Coroutine[Any, Any, Any]]
    replica: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """What came of a run: the clients' answers (see ``answer_of``), the schedule, and its steps as they turned out."""

    answers: tuple[tuple[str, Any], ...]
    schedule: Schedule
    steps: tuple[Turn, ...]


def race(
    world: World,
    clients: Sequence[Client],
    scheduler: Scheduler,
    *,
    moves: Sequence[float] = (),
    timers_race: bool = False,
) -> Raced:
    """Run ``clients`` at once, number n in lane ``("client", n)``, until all have answered and nobody waits at the gate.

    A client whose replica has another client, or work in the background, begins with a step of its own, since they
    share memory; the others have begun already. Work of a replica is known by its lane, ``("replica", n)``; work in
    other lanes is taken to conflict with everything. ``moves`` are seconds by which the clock moves, each in a step of
    its own, at any time. With ``timers_race`` the next timer may also come before steps that wait. A client whose
    replica crashes before it has begun does not begin, and has crashed.

    Raises:
        DeadlockError: a client waits for something that cannot come.
        EndlessError: there were more steps or timers than a run may have.
    """
    return _Race(world, clients, moves, timers_race=timers_race).run(scheduler)


class _Race:
    def __init__(self, world: World, clients: Sequence[Client], moves: Sequence[float], *, timers_race: bool) -> None:
        self._world = world
        self._clients = clients
        self._moves = list(reversed(moves))
        self._timers_race = timers_race
        self._tasks: list[LaneTask[Any] | None] = [None] * len(clients)
        self._to_begin: list[int] = []
        self._crashes_before = len(world.crashes)
        self._steps: list[Turn] = []
        self._known: dict[Request, Turn] = {}  # what waits at the gate or did so in this race
        self._beside: dict[str, Turn] = {}  # by lane: what waits elsewhere than at the gate

    def run(self, scheduler: Scheduler) -> Raced:
        self._begin()
        self._world.gate.touched.clear()
        for _ in range(STEPS_MAX + TIMERS_MAX):
            turns = self._turns()
            if not turns:
                return self._ended()
            index = scheduler.choose(turns)
            turn = self._take(turns[index], index)
            self._steps.append(turn)
            scheduler.took(turn)
        raise EndlessError(f"the clients have not ended after {STEPS_MAX + TIMERS_MAX} steps and timers")

    def _begin(self) -> None:
        for number, client in enumerate(self._clients, 1):
            self._world.assign(("client", number), client.replica)
        shared = self._shared_replicas()
        for number, client in enumerate(self._clients, 1):
            if client.replica in shared:
                self._to_begin.append(number)
            else:
                self._start(number)

    def _shared_replicas(self) -> set[int | None]:
        """Those with more than one client, or with other work beside one."""
        users: Counter[int | None] = Counter([client.replica for client in self._clients])
        for task in self._world.loop.tasks:
            if not task.done():
                assert task.lane[0] != "client", f"{task!r} is in a lane of the clients that are about to start"
                users[self._world.replica_of(task.lane)] += 1
        return {replica for replica, count in users.items() if count > 1}

    def _ended(self) -> Raced:
        late = [task for task in self._tasks if task is not None and not _over(task)]
        if late:
            raise DeadlockError(self._world.who_waits(late))
        answers = tuple([CRASHED if task is None else answer_of(task) for task in self._tasks])
        schedule = Schedule(tuple([turn.lane for turn in self._steps]))
        return Raced(answers=answers, schedule=schedule, steps=tuple(self._steps))

    # Who may go.

    def _turns(self) -> list[Turn]:
        turns = self._at_the_gate()
        if turns and not (self._to_begin or self._moves or self._timers_race):  # as nearly always
            return turns
        before, self._beside = self._beside, {}
        if self._to_begin:
            gone = self._world.crashes[self._crashes_before :]
            self._to_begin = [number for number in self._to_begin if self._clients[number - 1].replica not in gone]
        for number in self._to_begin:
            self._offer(lane_name(("client", number)), before, self._clients[number - 1].replica)
        idle = not turns and not self._beside
        if self._moves:
            self._offer(CLOCK, before)
        if (idle or self._timers_race) and self._unanswered() and self._world.loop.next_timer_ns() is not None:
            self._offer(TIMER, before)
        turns.extend(self._beside.values())
        return turns

    def _unanswered(self) -> bool:
        return bool(self._to_begin) or any(task is not None and not _over(task) for task in self._tasks)

    def _offer(self, lane: str, before: dict[str, Turn], replica: int | None = None) -> None:
        turn = before.get(lane)
        if turn is None:
            turn = Turn(
                lane=lane,
                replicas=frozenset() if replica is None else frozenset([replica]),
                footprint=EVERYTHING if replica is None else NOTHING,
                born=len(self._steps),
                forced=lane == TIMER and not self._timers_race,
            )
        self._beside[lane] = turn

    def _at_the_gate(self) -> list[Turn]:
        """One turn for each connection that is parked, in that order."""
        known, doors = self._known, self._world.gate.parked
        turns = [known.get(door.inbox[0]) for door in doors]
        for index, door in enumerate(doors):
            if turns[index] is None:
                lanes = {turn.lane for turn in turns if turn is not None}
                turns[index] = known[door.inbox[0]] = self._new_turn(door, lanes)
        return turns  # type: ignore[return-value]  # none is left to be made

    def _new_turn(self, door: Door, lanes: set[str]) -> Turn:
        """What waits at ``door``. A lane that waits there with several connections has a name for each."""
        request = door.inbox[0]
        name = first = lane_name(request.lane)
        more = 0
        while name in lanes:
            more += 1
            name = f"{first}#{more}"
        replica = self._world.replica_of(request.lane)
        known = replica is not None and self._is_told(door, request)
        return Turn(
            lane=name,
            replicas=frozenset() if replica is None else frozenset([replica]),
            footprint=footprint_of(request.commands, door.database, door.watched) if known else EVERYTHING,
            born=len(self._steps),
            commands=request.commands,
        )

    def _is_told(self, door: Door, request: Request) -> bool:
        """Whether what ``request`` will touch can be told from its commands."""
        backend, faults = self._world.backend, self._world.gate.faults
        return not (
            door.roams
            or (faults is not None and faults.strikes_next(request.lane))
            # Nobody would learn of keys that a script did not declare.
            or (not backend.sees_scripts and runs_scripts(request.commands))
        )

    # What happens.

    def _take(self, turn: Turn, index: int) -> Turn:
        """Let it happen; returns the step with what it touched in fact."""
        world = self._world
        if index < len(world.gate.parked):
            world.gate.step(index)
            world.loop.run_ready()
        else:
            del self._beside[turn.lane]
            self._take_beside(turn.lane)
        if world.gate.touched:
            for database, request in world.gate.touched:
                turn = turn.touching(*self._touched(database, request))
            world.gate.touched.clear()
        return turn

    def _take_beside(self, lane: str) -> None:
        world = self._world
        if lane == CLOCK:
            self._move(world.clock.now_ns + round(self._moves.pop() * NANOSECONDS))
        elif lane == TIMER:
            due_ns = world.loop.next_timer_ns()
            assert due_ns is not None
            world.move_to(due_ns)
            world.loop.run_ready()
        else:
            self._to_begin.remove(int(lane))
            self._start(int(lane))

    def _start(self, number: int) -> None:
        loop = self._world.loop
        self._tasks[number - 1] = loop.start(self._clients[number - 1].work(), ("client", number))
        loop.run_ready()

    def _move(self, end_ns: int) -> None:
        """Let time pass until ``end_ns`` with what falls due meanwhile, but without any step at the gate."""
        world = self._world
        for _ in range(TIMERS_MAX):
            due_ns = world.loop.next_timer_ns()
            moment_ns = end_ns if due_ns is None else min(due_ns, end_ns)
            world.move_to(moment_ns)
            world.loop.run_ready()
            due_ns = world.loop.next_timer_ns()
            if moment_ns == end_ns and (due_ns is None or due_ns > end_ns):
                return
        raise EndlessError(f"{TIMERS_MAX} timers fired in one move of the clock: a background task does not sleep")

    def _touched(self, database: int | None, request: Request) -> tuple[frozenset[int], Footprint]:
        replica = self._world.replica_of(request.lane)
        if replica is None or database is None:
            return frozenset(), EVERYTHING
        return frozenset([replica]), footprint_of(request.commands, database)


def _over(task: LaneTask[Any]) -> bool:
    """Whether nothing more is to come of it: it has ended, or its replica has crashed."""
    return task.done() or task.crashed
