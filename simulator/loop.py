"""An asyncio event loop with a virtual clock, on which nothing happens that was not decided.

Code under characterization is unmodified asyncio: tasks, locks, queues, ``wait_for``, ``sleep``, timeouts. The loop runs
callbacks in the order in which they became ready; whatever else may happen (the next step at the gate, the next timer)
is for its driver to choose, once nothing is ready. Not thread-safe: a world has one thread.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Never, TypeVar, TypeVarTuple

from simulator.clock import NANOSECONDS, VirtualClock
from simulator.errors import BypassedGateError, EndlessError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
READY_MAX = 100_000
ExceptionHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


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
        loop: SimulatedLoop,
        name: str | None = None,
        context: Context | None = None,
    ) -> None:
        self.lane = lane
        super().__init__(coro, loop=loop, name=name, context=context)


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
        self._sequence = 0
        self._births = 0
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
        due_ns = self._clock.started_ns + round(when * NANOSECONDS)
        self._sequence += 1
        heapq.heappush(self._timers, (due_ns, self._sequence, handle))
        return handle

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
        return self.start(coro, self._next_lane(), name=name, context=context)  # type: ignore[arg-type]

    def start(
        self,
        coro: Coroutine[Any, Any, T],
        lane: tuple[object, ...],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> LaneTask[T]:
        """A task in the lane ``lane``."""
        task = LaneTask(coro, lane=lane, loop=self, name=name, context=context)
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
                if not handle._cancelled:
                    handle._run()
        finally:
            events._set_running_loop(previous)
        raise EndlessError(f"{READY_MAX} callbacks ran without waiting for anything: {ready[0]!r} is next")

    def next_timer_ns(self) -> int | None:
        """When the next timer is due, in nanoseconds since 1970; none: no timer is set."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def fire_due(self) -> None:
        """Make ready every timer that is due by now, in order."""
        while (due_ns := self.next_timer_ns()) is not None and due_ns <= self._clock.now_ns:
            self._ready.append(heapq.heappop(self._timers)[2])

    def restart(self) -> None:
        """Forget everything of the last run; its tasks must have ended."""
        self._ready.clear()
        self._timers.clear()
        for task in self.tasks:
            task._log_traceback = False  # asyncio would speak of it when it is collected, which is in some later run
        self.tasks.clear()
        self.failures.clear()
        self._handler = None
        self._sequence = self._births = 0

    # What no schedule can order.

    def _bypassed(self, what: str) -> Never:
        refusal = BypassedGateError(
            f"{what} was asked of the event loop inside a world, where nothing but Redis commands and time is ordered. "
            "Build the client with world.redis(), and hand in what reaches further out as a callback."
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
