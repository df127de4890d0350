"""redis-py's asyncio client on the gate: a connection without a wire.

The client above it is unmodified, pool and retries and pipelines included. What redis-py does when it connects (HELLO,
CLIENT SETINFO, SELECT) is left out: it is the same for every service.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from simulator.backend import Command, Reply
from simulator.gate import Gate, Request
from simulator.loop import LaneTask, SimulatedLoop

CLOSED_WORDS: Final = "Connection closed by server."
REFUSED_WORDS: Final = "Error 111 connecting to the gate. Connection refused."


class GatedConnection(AbstractConnection):
    """A connection of redis-py whose commands wait at a gate and whose replies are objects.

    Serves one task at a time, as redis-py's own. Dropping it loses the replies that are due. A connection that the
    server's side has ended looks connected until somebody reads from it, as a socket does.
    """

    def __init__(
        self, *, gate: Gate, loop: SimulatedLoop, register: Callable[[GatedConnection], None], **options: Any
    ) -> None:
        super().__init__(**options)
        self._loop = loop
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[bool] | None = None
        self._limit = 0  # on the reading that is under way; none: it has no limit
        self._up = False
        self._failure: str | None = None  # how the server's side has ended, until that is noticed
        self.door = gate.open(int(self.db), self.protocol, self)
        self.pool_of: object = None
        register(self)

    # Life.

    def repr_pieces(self) -> list[tuple[str, Any]]:
        """What it is, for redis-py's messages."""
        return [("gate", self.door.number), ("db", self.db)]

    def _host_error(self) -> str:
        return "the gate"

    async def _connect(self) -> None:
        """Nothing to do: there is no socket."""

    @property
    def is_connected(self) -> bool:
        """Whether it was connected, and not dropped since."""
        return self._up or self._failure is not None

    async def connect(self) -> None:
        """Connect, and run what redis-py registered for that (subscriptions that are to be renewed).

        Raises:
            ConnectionError: a fault refuses connections, and did so as often as the client's ``retry`` tries.
        """
        if self._up or self._failure is not None:
            return
        if self.door.gate.faults is not None:
            await self.retry.call_with_retry(self._knock, lambda _error: self.disconnect())
        self._up = True
        callbacks = [reference() for reference in self._connect_callbacks]
        for callback in callbacks:
            outcome = callback(self) if callback is not None else None
            if asyncio.iscoroutine(outcome):
                await outcome

    async def _knock(self) -> None:
        faults = self.door.gate.faults
        if faults is not None and faults.refuses(_lane()):
            raise RedisConnectionError(REFUSED_WORDS)

    async def connect_check_health(
        self,
        check_health: bool = True,  # noqa: ARG002, FBT001, FBT002 - redis-py's signature
        retry_socket_connect: bool = True,  # noqa: ARG002, FBT001, FBT002 - redis-py's signature
    ) -> None:
        """The same: a gate is always healthy."""
        await self.connect()

    async def disconnect(self, *_: Any, **__: Any) -> None:
        """Drop the connection."""
        self.drop()

    def drop(self) -> None:
        """Drop the connection without waiting for anything, as at the end of a run."""
        self._up = False
        self._failure = None
        self._replies.clear()
        if self._waiter is not None:
            _wake(self._waiter, dropped=True)
            self._waiter = None
        self.door.close()

    def __del__(self, _warnings: Any = None) -> None:
        """Nothing to warn of: there is no socket."""

    # Out.

    def pack_command(self, *args: Any) -> list[Command]:  # type: ignore[override]  # commands, not bytes
        """One command, its arguments encoded as redis-py would."""
        first = args[0].encode() if isinstance(args[0], str) else args[0]
        return [(*first.split(), *map(self.encoder.encode, args[1:]))]  # redis-py cuts `CONFIG GET` in two as well

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[Command]:  # type: ignore[override]
        """Several commands."""
        return [packed for command in commands for packed in self.pack_command(*command)]

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002
        """Hand the commands to the gate. Does not wait: what waits is the reading of the reply."""
        if not self._up:
            if self._failure is not None:
                self.door.gate.count(command)  # it leaves, and arrives nowhere: that shows when the reply is read
                return
            await self.connect()
        self.door.gate.submit(self.door, _lane(), command)

    # In.

    def receive(self, reply: Reply) -> None:
        """A reply, from the gate."""
        self._replies.append(reply)
        if self._waiter is not None:
            _wake(self._waiter)

    def fail(self, words: str) -> None:
        """The server's side has ended: see ``Client``."""
        if self._up:
            self._up = False
            self._failure = words
            if self._waiter is not None:
                _wake(self._waiter, dropped=True)
            self.door.close()

    def blocked(self, seconds: float) -> None:
        """A blocking command has to wait, at most ``seconds``; then its reply is nil, as Redis has it."""
        request = self.door.blocked
        if seconds != math.inf:
            self._loop.call_later(seconds, self._give_up, request)

    def _give_up(self, request: Request | None) -> None:
        if request is not None and self.door.blocked is request:
            self.door.gate.unblock(self.door, None)

    async def can_read(self) -> bool:
        """Whether a reply is there, or the end."""
        return bool(self._replies) or self._failure is not None

    async def can_read_destructive(self) -> bool:
        """The same."""
        return await self.can_read()

    async def read_response(
        self,
        disable_decoding: bool = False,  # noqa: FBT001, FBT002 - redis-py's signature
        timeout: float | None = None,  # noqa: ASYNC109 - redis-py's signature
        *,
        disconnect_on_error: bool = True,
        push_request: bool | None = False,  # noqa: ARG002 - redis-py's signature
    ) -> Any:
        """The next reply, with redis-py's rules for ``timeout``; an error reply is raised."""
        if not self._replies:
            try:
                arrived = await self._arrival(self.socket_timeout if timeout is None else timeout)
            except BaseException:
                if disconnect_on_error:
                    self.drop()
                raise
            if not arrived:
                return self._late(timeout, disconnect_on_error=disconnect_on_error)
        reply = self._replies.popleft()
        if isinstance(reply, RedisError):
            if disconnect_on_error and not isinstance(reply, ResponseError):
                self.drop()  # redis-py takes some refusals, such as a wrong password, for the end of the connection
            raise reply
        return reply if disable_decoding else self._decoded(reply)

    async def _arrival(self, within: float | None) -> bool:
        """Wait for a reply; false: ``within`` seconds passed without one."""
        if not self._up:
            raise self._closed()
        loop = self._loop
        self._waiter = waiter = loop.create_future()
        if within is not None and within != math.inf:
            self._limit = loop.limit(within, self._give_up_reading, waiter, within)
        try:
            dropped = await waiter
        finally:
            self._waiter = None
            if self._limit:
                loop.lift(self._limit)
                self._limit = 0
        if dropped:  # by another task, or by the server
            raise self._closed()
        return bool(self._replies)

    def _give_up_reading(self, waiter: asyncio.Future[bool], within: float) -> None:
        """Time is up. Not where the step still waits for its turn: a server that was not asked yet is not late."""
        if self.door.inbox and self.door.blocked is None:
            self._limit = self._loop.limit(2 * within, self._give_up_reading, waiter, 2 * within)
        else:
            _wake(waiter)

    def _closed(self) -> RedisConnectionError:
        return RedisConnectionError(self._failure or CLOSED_WORDS)

    def _late(self, timeout: float | None, *, disconnect_on_error: bool) -> None:
        if timeout is not None:
            return
        if disconnect_on_error:
            self.drop()
        raise RedisTimeoutError("Timeout reading from the gate")

    def _decoded(self, reply: Reply) -> Any:
        if not self.encoder.decode_responses:
            return reply
        if isinstance(reply, bytes):
            return self.encoder.decode(reply)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        if isinstance(reply, list):
            return [self._decoded(part) for part in reply]
        if isinstance(reply, dict):
            return {self._decoded(key): self._decoded(value) for key, value in reply.items()}
        return reply


def gated(client: Redis, gate: Gate, loop: SimulatedLoop, register: Callable[[GatedConnection], None]) -> Redis:
    """``client``, built as its service builds it, with its pool's connections at ``gate``.

    Only what tells where the server is has been taken out; retries, time-outs, encoding and protocol stay. ``register``
    is called with each connection that the pool makes.
    """
    pool = client.connection_pool
    kept = {name: value for name, value in pool.connection_kwargs.items() if name in _OPTIONS}
    pool.connection_class = GatedConnection
    pool.connection_kwargs = {**kept, "gate": gate, "loop": loop, "register": register}
    return client


_OPTIONS = set(inspect.signature(AbstractConnection.__init__).parameters)


def _lane() -> tuple[object, ...]:
    task = asyncio.current_task()
    return task.lane if isinstance(task, LaneTask) else ("world",)


def _wake(waiter: asyncio.Future[bool], *, dropped: bool = False) -> None:
    if not waiter.done():
        waiter.set_result(dropped)
