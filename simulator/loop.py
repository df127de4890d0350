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
from typing import Any, Never, TypeVar

from simulator.clock import NANOSECONDS, VirtualClock
from simulator.errors import BypassedGateError, EndlessError

T = TypeVar("T")
READY_MAX = 100_000


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
    what asyncio would have handed to its exception handler: a run that leaves one there has not gone well.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._ready: deque[events.Handle] = deque()
        self._timers: list[tuple[int, int, events.TimerHandle]] = []
        self._sequence = 0
        self._births = 0
        self.tasks: list[LaneTask[Any]] = []
        self.failures: list[dict[str, Any]] = []

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

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> events.Handle:
        """Run ``callback`` after everything that is ready already."""
        handle = events.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> events.Handle:
        """The same: a world has one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> events.TimerHandle:
        """Run ``callback`` once the clock has moved on by ``delay`` seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
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

    def create_task(  # type: ignore[override]  # newer Pythons pass more keywords
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
        """Remember what nobody handled."""
        self.failures.append(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """The same."""
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
                if not handle._cancelled:  # type: ignore[attr-defined]
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
        self.tasks.clear()
        self.failures.clear()
        self._sequence = self._births = 0

    # What no schedule can order.

    def _bypassed(self, what: str) -> Never:
        raise BypassedGateError(
            f"{what} was asked of the event loop inside a world, where nothing but Redis commands and time is ordered. "
            "Build the client with world.redis(), and hand in what reaches further out as a callback."
        )

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Never:  # noqa: ARG002 - asyncio's signature
        """Refused: a thread runs when it likes."""
        self._bypassed(f"a thread for {getattr(func, '__qualname__', func)!r}")

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Never:
        """Refused: a name server is not in this world."""
        self._bypassed(f"the address of {host}:{port}")

    async def create_connection(self, *_: Any, host: Any = None, port: Any = None, **__: Any) -> Never:
        """Refused: a socket is not ordered by the gate."""
        self._bypassed(f"a connection to {host}:{port}")

    async def create_unix_connection(self, *_: Any, path: Any = None, **__: Any) -> Never:
        """Refused: a socket is not ordered by the gate."""
        self._bypassed(f"a connection to {path}")

    async def subprocess_exec(self, *_: Any, **__: Any) -> Never:
        """Refused: a process runs when it likes."""
        self._bypassed("a process")
