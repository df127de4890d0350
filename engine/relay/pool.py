"""Runs tasks of which only so many are under way at once."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class TransitionPool:
    """Accepts work at once and without bound; at most ``size`` pieces of it run at the same time."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a pool needs room for one task at least, got {size}")
        self._room = asyncio.Semaphore(size)
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, work: Callable[[], Awaitable[None]]) -> None:
        """Call ``work`` as soon as there is room. An exception of it is logged and goes no further."""
        task = asyncio.create_task(self._run(work))
        # The loop itself holds tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until all work is done, including what is submitted meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._room:
                await work()
        except Exception as error:  # noqa: BLE001 nobody awaits the task, so this is where it would vanish
            _log.error("transition_failed", error=str(error))
