"""A world: Redis, virtual time, seeded chance and replicas, in which one run happens after another.

Entering a world makes the standard library's time and chance virtual for the whole process, so one world of a process is
entered at a time. ``restart`` begins a run: an empty Redis, the clock at its epoch, chance at its seed; clients survive
it. What happens in a run is a function of the seed, of the code and of the choices of its scheduler.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeVar

from redis.asyncio import Redis

from simulator.backend import Backend, Record
from simulator.clock import NANOSECONDS, VirtualClock
from simulator.connection import CLOSED_WORDS, GatedConnection, gated
from simulator.errors import DeadlockError, EndlessError
from simulator.events import Ear, Event, Registry, readings
from simulator.fake import FakeBackend
from simulator.faults import ArmedPlan, Fault, FaultError, FaultPlan, Tempt, TemptedPlan
from simulator.gate import Gate
from simulator.loop import LaneTask, SimulatedLoop
from simulator.origin import is_service
from simulator.seed import Seed
from simulator.virtual import Chance, Virtual
from simulator.watchdog import Watchdog

T = TypeVar("T")

# A day that no test data means, far from every other number that a service is likely to hold.
EPOCH_NS = 1_893_456_000 * NANOSECONDS  # 2030-01-01T00:00:00Z
DAY_NS = 86_400 * NANOSECONDS
TIMERS_MAX = 10_000
CANCELLATIONS_MAX = 100
CRASHED: Final = ("crashed", None)


class World:
    """Where a subject runs.

    ``clock`` and what ``redis`` returns are what a service is handed. Everything else is for whoever drives the run.
    Not thread-safe.
    """

    def __init__(self, seed: Seed, backend: Backend | None = None) -> None:
        self.seed = seed
        self.backend: Backend = backend if backend is not None else FakeBackend()
        # Another seed has another epoch, so that a date which leaks into an outcome shows itself as one.
        self.epoch_ns = EPOCH_NS + seed.fork("epoch").random().randrange(1000) * DAY_NS
        self.clock = VirtualClock(self.epoch_ns)
        self.loop = SimulatedLoop(self.clock)  # type: ignore[abstract]  # what it leaves out is refused by its base
        self.gate = Gate(self.backend)
        self.chance = Chance()
        self._chance_from = seed.fork("chance")
        self._virtual = Virtual(self.clock, self.chance)
        self._watchdog = Watchdog()
        self._ear = Ear()
        self._registries: list[Registry] = []
        self._connections: list[GatedConnection] = []
        self._clients: dict[int, tuple[Mapping[str, Any], Redis]] = {}
        self._homes: dict[tuple[object, ...], int] = {}
        self.crashes: list[int] = []  # the replicas that crashed in this run, in that order
        self._armed: ArmedPlan | None = None
        self._asked = 0

    # Life.

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._virtual.leave)
            self._virtual.enter()
            undo.callback(self._ear.stop)
            self._ear.listen()
            undo.callback(self._watchdog.stop)
            self._watchdog.start()
            self.restart()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as steps:  # from last to first, each whatever becomes of the others
            steps.callback(self._virtual.leave)
            steps.callback(self._watchdog.stop)
            steps.callback(self._ear.stop)
            steps.callback(self._drop_connections)
            steps.callback(self._end_tasks_after, error)

    def restart(self) -> None:
        """Begin a new run, as if nothing had happened before it."""
        self.disarm()
        self._end_tasks()
        self._drop_connections()
        self.clock.restart(self.epoch_ns)
        self._virtual.restart()
        self.chance.restart(self._chance_from)
        self.gate.restart(self.clock.now_ns)
        self.loop.restart()
        self._ear.events.clear()
        self._registries.clear()
        self._homes.clear()
        self.crashes.clear()
        self._asked = 0

    def _drop_connections(self) -> None:
        for connection in self._connections:
            connection.drop()
        for _, client in self._clients.values():
            pool = client.connection_pool
            # The order in which a pool hands out its connections must not depend on the run before.
            own = [connection for connection in self._connections if connection.pool_of is pool]
            pool._available_connections[:] = reversed(own)
            pool._in_use_connections.clear()
            client.connection = None  # that of a client which keeps one to itself

    def _end_tasks(self) -> None:
        """Cancel what still runs, and what crashed, and let it clean up without Redis and without time.

        Raises:
            EndlessError: a task goes on although it was cancelled ``CANCELLATIONS_MAX`` times.
        """
        self.loop.exhume()
        for _ in range(CANCELLATIONS_MAX):
            alive = [task for task in self.loop.tasks if not task.done()]
            if not alive:
                return
            for task in alive:
                task.cancel()
            self.loop.run_ready()
        for task in alive:
            _keep_for_ever(task)
        raise EndlessError(
            f"{alive[0].get_coro()!r}{_place(alive[0])} goes on although it was cancelled {CANCELLATIONS_MAX} times: it "
            "catches CancelledError, or BaseException, and does not end. Let it catch what it can do something about, and "
            "raise the rest again."
        )

    def _end_tasks_after(self, error: BaseException | None) -> None:
        """The same, as the world is left; what has gone wrong already says more than that a task goes on."""
        try:
            self._end_tasks()
        except EndlessError:
            if error is None:
                raise

    # What a service is handed.

    def redis(self, **options: Any) -> Redis:
        """redis-py's asyncio client, unmodified, with ``options`` as its service gives them, on this world's Redis."""
        self._asked += 1
        asked, client = self._clients.get(self._asked, (None, None))
        if client is None or asked != options:
            self._forget(client)
            client = self._new_client(options)
            self._clients[self._asked] = (options, client)
        return client

    def _forget(self, client: Redis | None) -> None:
        """Let go of a client that another one takes the place of."""
        if client is not None:
            pool = client.connection_pool
            self._connections[:] = [connection for connection in self._connections if connection.pool_of is not pool]

    def _new_client(self, options: Mapping[str, Any]) -> Redis:
        client = Redis(**options)
        pool = client.connection_pool

        def register(connection: GatedConnection) -> None:
            connection.pool_of = pool
            self._connections.append(connection)

        return gated(client, self.gate, self.loop, register)

    def callback(self, name: str, answer: Callable[..., Any] | None = None) -> Callable[..., Awaitable[Any]]:
        """An asynchronous callback that records its arguments as an event, and returns what ``answer`` makes of them."""

        async def called(*arguments: Any) -> Any:
            self.record(name, *arguments)
            return answer(*arguments) if answer is not None else None

        return called

    def record(self, name: str, *details: Any) -> None:
        """Put an event of the subject's own into the run's observation."""
        self._ear.events.append(Event(kind="callback", name=name, details=details))

    def watch(self, registry: Registry) -> None:
        """Observe the metrics of ``registry``, a Prometheus registry, until the run ends."""
        self._registries.append(registry)

    # What a driver does.

    def perform(self, work: Coroutine[Any, Any, T], lane: tuple[object, ...] = ("client", 1)) -> LaneTask[T]:
        """Run ``work`` to its end, and everything beside it for as long as no time has to pass.

        While ``work`` itself waits for time, time passes. The finished task is returned; what it raised is in it. If its
        replica crashes meanwhile, it is ``crashed`` instead, and never ends.

        Raises:
            DeadlockError: ``work`` waits for something that cannot come.
            EndlessError: it takes more steps or timers than a run may.
        """
        task = self.loop.start(work, lane)
        for _ in range(TIMERS_MAX):
            self.settle()
            if task.done() or task.crashed:
                return task
            due_ns = self.loop.next_timer_ns()
            if due_ns is None:
                raise DeadlockError(self.who_waits([task]))
            self.move_to(due_ns)
        raise EndlessError(
            f"{TIMERS_MAX} timers fired, and {task.get_coro()!r}{_place(task)} has not ended: it waits in a loop"
        )

    def settle(self) -> None:
        """Let everything happen that can happen now, without any time passing. Steps are taken oldest first."""
        loop, gate = self.loop, self.gate
        while True:
            if loop.ready:
                loop.run_ready()
            if not gate.parked:
                return
            gate.step()

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, with all that falls due meanwhile, in order.

        Raises:
            EndlessError: more timers fall due than a run may have.
        """
        end_ns = self.clock.now_ns + round(seconds * NANOSECONDS)
        for _ in range(TIMERS_MAX):
            self.settle()
            due_ns = self.loop.next_timer_ns()
            if due_ns is None or due_ns > end_ns:
                break
            self.move_to(due_ns)
        else:
            raise EndlessError(f"{TIMERS_MAX} timers fired within {seconds} s: a background task does not sleep")
        self.move_to(end_ns)
        self.settle()

    def move_to(self, moment_ns: int) -> None:
        """Let it be ``moment_ns``, and make ready what falls due; who calls moves past no timer, and runs what is ready."""
        self.clock.move_to(moment_ns)
        self._virtual.clock_moved()
        self.backend.set_time(self.clock.now_ns)
        self.loop.fire_due()

    def who_waits(self, tasks: Sequence[LaneTask[Any]]) -> str:
        """Where ``tasks`` wait, and who waits in Redis, for a report of a deadlock."""
        places = " and ".join(f"{task.get_coro()!r} waits{_place(task)}" for task in tasks)
        others = "; ".join(self.gate.waiting()) or "nobody waits in Redis"
        return f"{places} for something that cannot come: {others}, and no timer is set"

    # What goes wrong.

    def arm(self, plan: FaultPlan) -> None:
        """Let ``plan`` strike from now on; steps are counted from here. It takes the place of one that is armed."""
        self.gate.faults = self._armed = ArmedPlan(plan, self)

    def tempt(self, tempt: Tempt) -> ArmedPlan:
        """Let ``tempt`` say at each step from now on what strikes there; what comes of it is the ``plan`` of the answer."""
        self.gate.faults = self._armed = TemptedPlan(tempt, self)
        return self._armed

    def disarm(self) -> None:
        """Let nothing strike any more, as at the end of a run."""
        self.gate.faults = self._armed = None

    @property
    def struck(self) -> tuple[Fault, ...]:
        """The faults of the armed plan that have struck, in that order."""
        return tuple(self._armed.struck) if self._armed is not None else ()

    @property
    def unstruck(self) -> tuple[Fault, ...]:
        """The faults of the armed plan that have not struck. Where one is left, nothing was learned of it."""
        return self._armed.unstruck if self._armed is not None else ()

    def assign(self, lane: tuple[object, ...], replica: int) -> None:
        """What begins in ``lane``, of two parts, runs on ``replica``, until the run ends."""
        self._homes[lane] = replica

    def rename(self, lane: tuple[object, ...], new: tuple[object, ...]) -> None:
        """Let what began in ``lane``, of two parts, be in ``new`` from now on, on the replica that it was assigned to."""
        self.loop.rename(lane, new)
        if lane in self._homes:
            self._homes[new] = self._homes.pop(lane)
        for connection in self._connections:
            door = connection.door
            if door.lane[:2] == lane:
                door.lane = (*new, *door.lane[2:])

    def replica_of(self, lane: tuple[object, ...]) -> int | None:
        """On which replica ``lane`` runs: the one it was assigned to, or n for ``("replica", n)``; none: on none."""
        root = lane[:2]
        if root[0] == "replica" and len(root) > 1 and isinstance(root[1], int):
            return root[1]
        return self._homes.get(root)

    def crash(self, replica: int) -> None:
        """Let ``replica`` be gone: its tasks stop where they stand, and none of their code runs, clean-up neither.

        Its connections end as the server sees it: what they watch, wait for, listen to and had sent. What is in Redis
        stays, and another replica of the same number can be built. Tasks that crashed are ended when the next run begins.
        """
        self.crashes.append(replica)
        roots = {("replica", replica), *(lane for lane, home in self._homes.items() if home == replica)}
        lanes = {task.lane for task in self.loop.crash(roots)}
        for connection in self._connections:
            if connection.door.lane in lanes or connection.door.lane[:2] in roots:
                connection.door.close()

    def restart_server(self) -> None:
        """Let Redis start again, empty: every connection ends, and keys, scripts, subscriptions and settings are gone."""
        for connection in self._connections:
            connection.fail(CLOSED_WORDS)
        self.backend.restart(self.clock.now_ns)

    def jump(self, seconds: float) -> None:
        """Let it be ``seconds`` later at once: what falls due meanwhile is ready, at the new time, when code runs next."""
        self.move_to(self.clock.now_ns + round(seconds * NANOSECONDS))

    def awaits(self, lane: tuple[object, ...]) -> bool:
        """Whether the last task of ``lane`` is still under way."""
        return self._task_of(lane) is not None

    def cancel(self, lane: tuple[object, ...]) -> None:
        """Cancel the last task of ``lane``, which handles that when code runs next.

        Raises:
            FaultError: there is none, or it has ended.
        """
        task = self._task_of(lane)
        if task is None:
            raise FaultError(f"nothing is under way in lane {lane}, so nothing can be cancelled there")
        task.cancel()

    def _task_of(self, lane: tuple[object, ...]) -> LaneTask[Any] | None:
        return next((task for task in reversed(self.loop.tasks) if task.lane == lane and not task.done()), None)

    # What can be seen.

    def dump(self) -> Mapping[int, Mapping[bytes, Record]]:
        """Everything that is stored in Redis now, by database."""
        return self.backend.dump()

    def metrics(self) -> Mapping[str, float]:
        """Every sample of the watched registries."""
        return readings(self._registries)

    def take_events(self) -> list[Event]:
        """The events since the last look, and what background tasks died of, which is not put out of mind here."""
        events = list(self._ear.events)
        self._ear.events.clear()
        return [*events, *self._take_failures()]

    def _take_failures(self) -> list[Event]:
        failed = []
        for task in self.loop.tasks:
            # asyncio's own mark of an exception that nobody has looked at; it would be logged when the task is collected.
            if task.done() and not task.cancelled() and task._log_traceback:
                error = task.exception()
                failed.append(Event(kind="log", name=f"task failed: {type(error).__name__}: {error}"))
        for context in self.loop.failures:
            # A task that failed is in the list already; a future that did is spoken of only when it is collected.
            if "task" not in context and "future" not in context:
                error = context.get("exception")
                failed.append(Event(kind="log", name=f"loop failed: {type(error).__name__}: {error}"))
        return failed


def _keep_for_ever(task: LaneTask[Any]) -> None:
    """Let ``task`` never be collected, not at the end of the process either.

    Who collects it closes its coroutine, and code that catches whatever is raised in it, and goes on, would then go on in
    that very place, where no alarm is heard.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))


def _place(task: LaneTask[Any]) -> str:
    """Where a task waits: the innermost line of the service."""
    frames: list[FrameType] = []
    awaited: Any = task.get_coro()
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        frames.append(frame)
        awaited = awaited.cr_await
    own = [frame for frame in frames if is_service(frame.f_code.co_filename)]
    inner = (own or frames)[-1:]
    return "".join(f" at {frame.f_code.co_filename}:{frame.f_lineno}" for frame in inner)


def answer_of(task: asyncio.Task[T]) -> tuple[str, Any]:
    """How a task ended: ``("returned", value)``, ``("raised", exception)``, or ``("crashed", None)`` where it stood."""
    if isinstance(task, LaneTask) and task.crashed:
        return CRASHED
    if task.cancelled():
        return "raised", asyncio.CancelledError()
    error = task.exception()
    return ("raised", error) if error is not None else ("returned", task.result())
