"""A chain that produces blocks on command."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Generic, TypeVar

P = TypeVar("P")


class Chain(Generic[P]):
    """Blocks appear when :meth:`produce` is called, and at no other time.

    ``parameters`` maps heights to what a caller is told from that height on; their type is up to the
    service that asks. Nothing here waits for time or runs in a thread, so a program that drives a chain
    is as deterministic as its event loop.
    """

    def __init__(self, parameters: Mapping[int, P], *, height: int = 0) -> None:
        if not parameters:
            raise ValueError("a chain needs parameters for one height at least")
        self._parameters = dict(sorted(parameters.items()))
        self._height = height
        self._failure: Exception | None = None
        self._followers: list[asyncio.Queue[int | None]] = []
        self._ended = False

    @property
    def height(self) -> int:
        """The height of the block that was produced last."""
        return self._height

    @property
    def followers(self) -> int:
        """How many calls of :meth:`blocks` are still being served."""
        return len(self._followers)

    def produce(self, height: int | None = None) -> int:
        """Show all followers a block at ``height``, by default the next one, and give its height.

        Any height is allowed: a real source repeats blocks, skips some and falls back.
        """
        if self._ended:
            raise RuntimeError(f"the chain ended at height {self._height} and produces no more blocks")
        self._height = self._height + 1 if height is None else height
        for follower in self._followers:
            follower.put_nowait(self._height)
        return self._height

    def end(self) -> None:
        """Produce no more blocks. Followers stop after the blocks that they have not seen yet."""
        self._ended = True
        for follower in self._followers:
            follower.put_nowait(None)

    def fail_parameters(self, error: Exception) -> None:
        """Answer every question for parameters with ``error``, until :meth:`mend_parameters`."""
        self._failure = error

    def mend_parameters(self) -> None:
        """Answer questions for parameters again."""
        self._failure = None

    async def latest_height(self) -> int:
        """The height of the block that was produced last."""
        return self._height

    async def parameters(self, height: int) -> P:
        """The parameters in force at ``height``.

        Raises:
            LookupError: None were given for that height or a lower one.
            Exception: What :meth:`fail_parameters` was given.
        """
        if self._failure is not None:
            raise self._failure
        in_force = [since for since in self._parameters if since <= height]
        if not in_force:
            raise LookupError(f"no parameters at height {height}: the first are for {next(iter(self._parameters))}")
        return self._parameters[in_force[-1]]

    def blocks(self) -> AsyncIterator[int]:
        """The heights of all blocks produced from this call on, none missing, until the chain ends."""
        follower: asyncio.Queue[int | None] = asyncio.Queue()
        if self._ended:
            follower.put_nowait(None)
        self._followers.append(follower)
        return self._heights(follower)

    async def _heights(self, follower: asyncio.Queue[int | None]) -> AsyncIterator[int]:
        try:
            while (height := await follower.get()) is not None:
                yield height
        finally:
            self._followers.remove(follower)
