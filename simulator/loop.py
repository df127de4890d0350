"""An asyncio event loop with a virtual clock, on which nothing happens that was not decided.

Code under characterization is unmodified asyncio: tasks, locks, queues, ``wait_for``, ``sleep``, timeouts. The loop runs
callbacks in the order in which they became ready; whatever else may happen (the next step at the gate, the next timer)
is for its driver to choose, once nothing is ready. Not thread-safe: a world has one thread.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, Never, TypeVar, TypeVarTuple

from simulator.clock import NANOSECONDS, VirtualClock
from simulator.errors import BypassedGateError, EndlessError, HaltedError
from simulator.origin import origin_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
READY_MAX = 100_000
ExceptionHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class Life:
    """What a process would be: tasks, all that they start and every timer of theirs, which end together in a crash."""

    __slots__ = ("crashed",)

    def __init__(self) -> None:
        self.crashed = False


# Every callback runs in the context of the task that asked for it, so this tells whose it is.
_LIFE: ContextVar[Life | None] = ContextVar("holdfast_life", default=None)


class LaneTask(asyncio.Task[T]):
    """A task that knows its lane: the path of births that leads to it, from a client or a replica.

    ``(("client", 1), 0)`` is the first task that client 1 started. The path depends on what the parent did and on
    nothing else, so one task has one name under every schedule.
    """

    lane: tuple[object, ...]
    children = 0

    def __init__(
        self,
        coro: Coroutine[Any, Any, T],
        *,
        lane: tuple[object, ...],
        life: Life | None,
        loop: SimulatedLoop,
        name: str | None = None,
        context: Context | None = None,
    ) -> None:
        self.lane = lane
        self.life = life
        super().__init__(coro, loop=loop, name=name, context=context)

    @property
    def crashed(self) -> bool:
        """Whether a crash has left it where it stood: it is not done, and never goes on."""
        return self.life is not None and self.life.crashed and not self.done()


class _Graves:
    """What crashed in a run, and what would have woken it: kept, since what is collected runs its clean-up."""

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self.tasks: list[LaneTask[Any]] = []
        self.handles: list[events.Handle] = []

    def spares(self, handle: events.Handle) -> bool:
        """Whether ``handle`` may run, since nobody crashed in whose name it would; otherwise it is kept."""
        if _alive(handle):
            return True
        self.handles.append(handle)
        return False


def _alive(handle: events.Handle) -> bool:
    life: Life | None = handle._context.get(_LIFE)  # type: ignore[attr-defined]  # typeshed leaves it out
    return life is None or not life.crashed


# When it was set, in nanoseconds since 1970; for how many seconds; what is to be called, with what, and as whom.
_Limit = tuple[int, float, Callable[..., object], tuple[Any, ...], Context]


class SimulatedLoop(asyncio.AbstractEventLoop):
    """The loop of one world.

    A driver calls ``run_ready`` until it has nothing to run, then lets something happen, and so on. ``failures`` collects
    what asyncio would have handed to its exception handler, and what was refused: a run that leaves one there has not
    gone well.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._ready: deque[events.Handle] = deque()
        self._timers: list[tuple[int, int, events.TimerHandle]] = []
        self._limits: dict[int, _Limit] = {}  # those that are no timers yet, by their numbers
        self._armed: dict[int, events.TimerHandle] = {}  # those that are
        self._sequence = 0
        self._births = 0
        self._lives: dict[tuple[object, ...], Life] = {}
        self._graves: _Graves | None = None
        self.tasks: list[LaneTask[Any]] = []
        self.failures: list[dict[str, Any]] = []
        self._handler: ExceptionHandler | None = None

    # What asyncio asks of a loop.

    def time(self) -> float:
        """Seconds since the run began."""
        return self._clock.elapsed

    def get_debug(self) -> bool:
        """False: debug mode would measure real durations."""
        return False

    def is_running(self) -> bool:
        """Whether this loop is the thread's running one."""
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        """False: a world's loop is kept between runs."""
        return False

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> events.Handle:
        """Run ``callback`` after everything that is ready already."""
        handle = events.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.Handle:
        """The same: a world has one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.TimerHandle:
        """Run ``callback`` once the clock has moved on by ``delay`` seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.TimerHandle:
        """Run ``callback`` once the loop's time is ``when``; timers of one moment run in the order they were set."""
        handle = events.TimerHandle(when, callback, args, self, context)
        self._sequence += 1
        heapq.heappush(self._timers, (self._due_ns(when), self._sequence, handle))
        return handle

    def limit(self, seconds: float, callback: Callable[[*Ts], object], *args: *Ts) -> int:
        """As ``call_later``, for what is nearly always lifted before any time passes; returns what ``lift`` is to be told.

        Nothing shows the difference to a timer, but it is not made into one before somebody looks at the timers.
        """
        self._sequence += 1
        self._limits[self._sequence] = self._clock.now_ns, seconds, callback, args, copy_context()
        return self._sequence

    def lift(self, limit: int) -> None:
        """Let it never fire. One that was lifted, or has fired, can be lifted again."""
        if self._limits.pop(limit, None) is None and limit in self._armed:
            self._armed.pop(limit).cancel()

    def _due_ns(self, when: float) -> int:
        return self._clock.started_ns + round(when * NANOSECONDS)

    def _arm_limits(self) -> None:
        for number, (set_ns, seconds, callback, args, context) in self._limits.items():
            when = (set_ns - self._clock.started_ns) / NANOSECONDS + seconds
            handle = self._armed[number] = events.TimerHandle(when, callback, args, self, context)
            heapq.heappush(self._timers, (self._due_ns(when), number, handle))
        self._limits.clear()

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        """Cancelled timers are passed over when they surface."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_options: Any,
    ) -> LaneTask[T]:
        """A task in a lane of its own beneath the task that asks, or beneath the world."""
        life = _LIFE.get()
        if context is not None:
            context.run(_LIFE.set, life)
        return self._born(coro, self._next_lane(), life, name, context)  # type: ignore[arg-type]

    def start(
        self,
        coro: Coroutine[Any, Any, T],
        lane: tuple[object, ...],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> LaneTask[T]:
        """A task in the lane ``lane``; what begins in one of the same first two parts has one life with it."""
        root = lane[:2]
        life = self._lives.get(root)
        if life is None:
            life = self._lives[root] = Life()
        if context is None:
            context = copy_context()
        context.run(_LIFE.set, life)
        return self._born(coro, lane, life, name, context)

    def _born(
        self,
        coro: Coroutine[Any, Any, T],
        lane: tuple[object, ...],
        life: Life | None,
        name: str | None,
        context: Context | None,
    ) -> LaneTask[T]:
        task = LaneTask(coro, lane=lane, life=life, loop=self, name=name, context=context)
        self.tasks.append(task)
        return task

    def _next_lane(self) -> tuple[object, ...]:
        parent = asyncio.current_task(self)
        if isinstance(parent, LaneTask):
            parent.children += 1
            return (*parent.lane, parent.children - 1)
        self._births += 1
        return ("world", self._births - 1)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Hand what nobody handled to the service's own handler, or remember it."""
        if self._handler is not None:
            self._handler(self, context)
        else:
            self.failures.append(context)

    def set_exception_handler(self, handler: ExceptionHandler | None) -> None:
        """Let the service handle what nobody handled, until the run ends."""
        self._handler = handler

    def get_exception_handler(self) -> ExceptionHandler | None:
        """The service's own handler."""
        return self._handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Remember it."""
        self.failures.append(context)

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: generators that are still open belong to tasks, and those are ended."""

    # What its driver asks of it.

    @property
    def ready(self) -> bool:
        """Whether a callback waits to be run."""
        return bool(self._ready)

    def run_ready(self) -> None:
        """Run callbacks until none is ready.

        Raises:
            EndlessError: after ``READY_MAX`` callbacks, since something reschedules itself without waiting.
        """
        ready = self._ready
        previous = events._get_running_loop()
        events._set_running_loop(self)
        try:
            for _ in range(READY_MAX):
                if not ready:
                    return
                handle = ready.popleft()
                if not handle._cancelled and (self._graves is None or self._graves.spares(handle)):
                    handle._run()
        except HaltedError as halted:
            raise EndlessError(str(halted)) from None
        finally:
            events._set_running_loop(previous)
        raise EndlessError(f"{READY_MAX} callbacks ran without waiting for anything: {ready[0]!r} is next")

    def next_timer_ns(self) -> int | None:
        """When the next timer is due, in nanoseconds since 1970; none: no timer is set."""
        if self._limits:
            self._arm_limits()
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def fire_due(self) -> None:
        """Make ready every timer that is due by now, in order."""
        while (due_ns := self.next_timer_ns()) is not None and due_ns <= self._clock.now_ns:
            self._ready.append(heapq.heappop(self._timers)[2])

    def rename(self, root: tuple[object, ...], new: tuple[object, ...]) -> None:
        """Let what began in the lane ``root`` be in ``new`` from now on, so that another life can begin there."""
        for task in self.tasks:
            if task.lane[:2] == root:
                task.lane = (*new, *task.lane[2:])
        if root in self._lives:
            self._lives[new] = self._lives.pop(root)

    def crash(self, roots: Collection[tuple[object, ...]]) -> list[LaneTask[Any]]:
        """Stop every task where it stands whose lane begins with one of ``roots``, and all that these have started.

        None of their code runs any more, no clean-up and no timer. What starts in such a lane afterwards is a new life.
        The tasks that were stopped are returned.
        """
        graves = self._graves = self._graves or _Graves()
        lives = [self._lives.pop(root) for root in roots if root in self._lives]
        for life in lives:
            life.crashed = True
        graves.lives.extend(lives)
        stopped = [task for task in self.tasks if task.crashed]
        graves.tasks.extend(stopped)
        self.tasks[:] = [task for task in self.tasks if not task.crashed]
        self._arm_limits()
        self._timers[:] = [timer for timer in self._timers if _alive(timer[2])]
        heapq.heapify(self._timers)
        return stopped

    def exhume(self) -> None:
        """Let what crashed go on, so that it can be ended as every other task: what it does belongs to no run."""
        graves, self._graves = self._graves, None
        if graves is not None:
            for life in graves.lives:
                life.crashed = False
            self.tasks.extend(graves.tasks)
            self._ready.extend(graves.handles)

    def restart(self) -> None:
        """Forget everything of the last run; its tasks must have ended."""
        assert self._graves is None, "what crashed is ended before a new run"
        self._lives.clear()
        self._ready.clear()
        self._timers.clear()
        self._limits.clear()
        self._armed.clear()
        for task in self.tasks:
            task._log_traceback = False  # asyncio would speak of it when it is collected, which is in some later run
        self.tasks.clear()
        self.failures.clear()
        self._handler = None
        self._sequence = self._births = 0

    # What no schedule can order.

    def _bypassed(self, what: str) -> Never:
        place = origin_of(sys._getframe(2))
        line = f" in {place[0]}:{place[1]}" if place is not None else ""
        refusal = BypassedGateError(
            f"{what} was asked of the event loop inside a world{line}, where nothing but Redis commands and time is "
            "ordered. Build the client with world.redis(), and hand in what reaches further out as a callback."
        )
        # Remembered as well, since the code that asked may catch every exception.
        self.failures.append({"message": "the gate was bypassed", "exception": refusal})
        raise refusal

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> Never:  # noqa: ARG002 - asyncio's
        """Refused: a thread runs when it likes."""
        self._bypassed(f"a thread for {getattr(func, '__qualname__', func)!r}")

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Never:
        """Refused: a name server is not in this world."""
        self._bypassed(f"the address of {host}:{port}")

    async def create_connection(self, *arguments: Any, **options: Any) -> Never:
        """Refused: a socket is not ordered by the gate."""
        self._bypassed(f"a connection to {_address(arguments, options)}")

    async def create_unix_connection(self, *arguments: Any, **options: Any) -> Never:
        """Refused: a socket is not ordered by the gate."""
        self._bypassed(f"a connection to {_address(arguments, options)}")

    async def create_datagram_endpoint(self, *_: Any, **__: Any) -> Never:
        """Refused: a socket is not ordered by the gate."""
        self._bypassed("a socket for datagrams")

    async def create_server(self, *arguments: Any, **options: Any) -> Never:
        """Refused: nobody outside can call in."""
        self._bypassed(f"a server on {_address(arguments, options)}")

    async def sock_connect(self, _sock: Any, address: Any) -> Never:
        """Refused: a socket is not ordered by the gate."""
        self._bypassed(f"a connection to {address}")

    def add_reader(self, *_: Any) -> Never:  # type: ignore[override]  # refused whatever is asked
        """Refused: a file is ready when it likes."""
        self._bypassed("a reader of a file")

    def add_writer(self, *_: Any) -> Never:  # type: ignore[override]  # refused whatever is asked
        """Refused: a file is ready when it likes."""
        self._bypassed("a writer to a file")

    def add_signal_handler(self, *_: Any) -> Never:  # type: ignore[override]  # refused whatever is asked
        """Refused: a signal comes when it likes."""
        self._bypassed("a handler of a signal")

    async def subprocess_exec(self, *_: Any, **__: Any) -> Never:
        """Refused: a process runs when it likes."""
        self._bypassed("a process")

    async def subprocess_shell(self, *_: Any, **__: Any) -> Never:
        """Refused: a process runs when it likes."""
        self._bypassed("a process")


def _address(arguments: tuple[Any, ...], options: dict[str, Any]) -> str:
    """Where a call wants to connect to; the protocol's factory comes first, the host and the port or a path follow."""
    return ":".join(
        map(str, [*arguments[1:3], *(options[name] for name in ("host", "port", "path") if name in options)])
    )
