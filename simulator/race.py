"""Clients that run at once in a world, under a scheduler.

Everyone who waits at the gate may take the next step. Time jumps to the next timer when nobody waits there; in
programs that race with time, the clock is one who waits, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.errors import DeadlockError, EndlessError
from simulator.footprint import EVERYTHING, NOTHING, Footprint, footprint_of
from simulator.gate import STEPS_MAX, Door, Request
from simulator.loop import LaneTask
from simulator.schedule import Schedule, Scheduler, Turn, lane_name
from simulator.world import TIMERS_MAX, World, answer_of

CLOCK = "clock"
TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Client:
    """Work that is done beside that of others, on one replica of the service."""

    work: Callable[[], Coroutine[Any, Any, Any]]
    replica: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
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
) -> Race:
    """Run ``clients`` at once, number n in the lane ``("client", n)``, until all have answered and nobody waits at the gate.

    A client whose replica is also another's, or has work in the background, begins by a step of its own, since they
    share memory; the others have begun already. ``moves`` are seconds by which the clock moves at some time, each in a
    step. With ``timers_race`` the next timer may also come early, that is, before steps that wait.

    Raises:
        DeadlockError: a client waits for something that cannot come.
        EndlessError: more steps or timers than a run may have.
    """
    return _Runner(world, clients, moves, timers_race=timers_race).run(scheduler)


class _Runner:
    def __init__(self, world: World, clients: Sequence[Client], moves: Sequence[float], *, timers_race: bool) -> None:
        self._world = world
        self._clients = clients
        self._moves = list(moves)
        self._timers_race = timers_race
        self._tasks: list[LaneTask[Any] | None] = [None] * len(clients)
        self._steps: list[Turn] = []
        self._known: dict[int, tuple[Request, Turn]] = {}
        self._others: dict[str, Turn] = {}

    def run(self, scheduler: Scheduler) -> Race:
        world = self._world
        shared = self._shared_replicas()
        for number, client in enumerate(self._clients):
            if client.replica not in shared:
                self._start(number)
        world.gate.touched.clear()
        for _ in range(STEPS_MAX + TIMERS_MAX):
            turns = self._turns()
            if not turns:
                return self._ended()
            turn = turns[scheduler.choose(turns)]
            self._take(turn, turns.index(turn))
            scheduler.took(self._steps[-1])
        raise EndlessError(f"{STEPS_MAX + TIMERS_MAX} steps were taken and timers fired, and the clients have not ended")

    def _shared_replicas(self) -> set[int]:
        """Those with more than one client, or with other work."""
        count = Counter(client.replica for client in self._clients)
        count.update(_replica(task.lane, ()) for task in self._world.loop.tasks if not task.done())
        return {replica for replica, users in count.items() if users > 1}

    def _start(self, number: int) -> None:
        self._tasks[number] = self._world.loop.start(self._clients[number].work(), ("client", number + 1))
        self._world.loop.run_ready()

    # Who may go.

    def _turns(self) -> list[Turn]:
        turns = self._at_the_gate()
        waiting: dict[str, Turn] = {}
        for number, task in enumerate(self._tasks):
            if task is None:
                self._offer(waiting, lane_name(("client", number + 1)), self._clients[number].replica)
        if any(task is None or not task.done() for task in self._tasks):
            if self._moves:
                self._offer(waiting, CLOCK)
            idle = not turns and not (waiting.keys() - {CLOCK})
            if (idle or self._timers_race) and self._world.loop.next_timer_ns() is not None:
                self._offer(waiting, TIMER)
        self._others = waiting
        turns.extend(waiting.values())
        return turns
