"""Where a command waits for its turn.

A client sends commands; they wait in the inbox of its connection, in order. A connection whose inbox is not empty is
*parked*: the first thing in its inbox is a **step** that may happen next. One step is one command, one MULTI block, one
script, or one command of a plain pipeline. The gate lets steps happen one at a time and hands out the replies; it never
chooses.

A command that would block (BLPOP, XREADGROUP with BLOCK) is tried in a form that answers at once: inside MULTI, or
without its BLOCK. Without an answer its connection is *blocked*, and is tried again after every step that follows,
oldest first, as Redis serves the client that has waited longest.
"""

from __future__ import annotations

import functools
import math
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from simulator.backend import Backend, Command, Reply, Session
from simulator.errors import BackendError, EndlessError
from simulator.origin import origin_of

STEPS_MAX = 10_000
SIZES_KEPT = 4096

# Where the time to wait stands among the arguments, and in what unit; the other blocking commands name it by BLOCK.
_TIMEOUT_AT = {
    b"BLPOP": -1, b"BRPOP": -1, b"BZPOPMIN": -1, b"BZPOPMAX": -1, b"BRPOPLPUSH": -1, b"BLMOVE": -1,
    b"BLMPOP": 1, b"BZMPOP": 1,
}  # fmt: skip
_BLOCK_OPTION = {b"XREAD", b"XREADGROUP"}


@dataclass(slots=True)
class Cost:
    """What a run has cost so far, as it would on a wire: ``sent`` in bytes of RESP, ``trips`` in flushes."""

    commands: int = 0
    trips: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that happened: who took it, what was sent, what was answered (nothing yet where it blocked).

    ``origin`` is the service's line that sent it, as ``(file, line number)``; none: it is not known. ``place`` counts the
    steps that were sent before it in the same flush. ``struck`` names the faults of this step.
    """

    lane: tuple[object, ...]
    connection: int
    commands: tuple[Command, ...]
    replies: tuple[Reply, ...]
    origin: tuple[str, int] | None = None
    place: int = 0
    struck: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """Commands that take effect together, and the task that sent them; ``origin`` and ``place`` as a ``Step`` has them.

    Two of them are never equal, whatever they ask for.
    """

    lane: tuple[object, ...]
    commands: tuple[Command, ...]
    origin: tuple[str, int] | None = None
    place: int = 0


class Client(Protocol):
    """The client's side of a connection."""

    def receive(self, reply: Reply) -> None:
        """Take a reply; they come in the order in which they were sent."""

    def blocked(self, seconds: float) -> None:
        """Learn that a blocking command found nothing, and will be given up after ``seconds``."""

    def fail(self, words: str) -> None:
        """Lose the connection: it is closed; what has arrived can still be read, and then an error that says ``words``."""


class Faults(Protocol):
    """What may strike steps, while it is armed; see ``simulator.faults``."""

    @property
    def now(self) -> str:
        """What strikes the step that was taken last; empty: nothing."""

    def take(self, door: Door, request: Request) -> Sequence[Reply]:
        """Let a step happen in the place of ``Gate.perform``, with what strikes it; its replies."""

    def strikes_next(self, lane: tuple[object, ...]) -> bool:
        """Whether the next step, if ``lane`` takes it, is one at which a fault is due."""

    def refuses(self, lane: tuple[object, ...]) -> bool:
        """Whether nobody answers when ``lane`` connects."""


class Door:
    """One connection at the gate: what it has sent, its session, and the client behind it."""

    __slots__ = (
        "_session",
        "blocked",
        "client",
        "database",
        "gate",
        "inbox",
        "lane",
        "lives",
        "number",
        "owner",
        "protocol",
        "queueing",
        "roams",
        "subscription",
        "watched",
    )

    def __init__(self, gate: Gate, number: int, database: int, protocol: int, client: Client) -> None:
        self.gate = gate
        self.number = number
        self.database = database
        self.protocol = protocol
        self.client = self.owner = client  # a fault may come between the two
        self.lives = 0  # how often it was closed
        self.lane: tuple[object, ...] = ()  # who sent last
        self.inbox: deque[Request] = deque()
        self.blocked: Request | None = None
        self.queueing = False
        self.watched: tuple[bytes, ...] = ()
        self.roams = False  # it said SELECT: which database its commands are on is not known here
        self.subscription: Request | None = None  # the last by which it subscribed to something
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The server's side of it, opened when it is first needed."""
        if self._session is None:
            self._session = self.gate.backend.open(self.database, self.protocol)
        return self._session

    def take_pushes(self) -> Sequence[Reply]:
        """Messages that came without being asked for; none where no session was opened yet."""
        return self._session.pushes() if self._session is not None else ()

    def close(self) -> None:
        """Drop the connection: replies that are still due are lost, the session ends."""
        self.gate.forget(self)
        self.client = self.owner
        self.lives += 1
        self.blocked = self.subscription = None
        self.queueing = self.roams = False
        self.watched = ()
        if self._session is not None:
            self._session.close()
            self._session = None


class Gate:
    """The one place through which commands reach Redis.

    ``parked`` is in the order in which the connections parked. ``trace`` is filled only while it is a list: nothing is
    collected unless a run is being explained. ``touched`` are requests of other connections on which steps have
    told: blocked ones that were served or given up, subscriptions that got a message or were dropped; each with its
    database, where that is known. Who asks empties it; ``restart`` does too. ``pipelines`` counts the plain pipelines of
    all runs; with ``whole_pipelines`` each of them is one step, as a server serves it that got it in one packet.

    ``faults`` are those that are armed, until a new run begins. A step that one of them struck is in ``touched``, without
    a database, since it may have touched anything.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.parked: list[Door] = []
        self.blocked: list[Door] = []
        self.subscribed: list[Door] = []
        self.cost = Cost()
        self.steps = 0
        self.trace: list[Step] | None = None
        self.touched: list[tuple[int | None, Request]] = []
        self.pipelines = 0
        self.whole_pipelines = False
        self.faults: Faults | None = None
        self._doors = 0

    def open(self, database: int, protocol: int, client: Client) -> Door:
        """A new connection; ``client`` is told of its replies."""
        self._doors += 1
        return Door(self, self._doors, database, protocol, client)

    def submit(self, door: Door, lane: tuple[object, ...], commands: Sequence[Command]) -> None:
        """Send ``commands`` in one flush; they wait in the connection's inbox, a MULTI block as one step."""
        self.count(commands)
        if not door.inbox and door.blocked is None:
            self.parked.append(door)
        groups = _steps(commands) if len(commands) > 1 else [tuple(commands)]
        if len(groups) > 1:
            self.pipelines += 1
            if self.whole_pipelines and not any(command[0].upper() in _APART for command in commands):
                groups = [tuple(commands)]
        origin = None if self.trace is None else origin_of(sys._getframe(1))
        door.lane = lane
        for place, group in enumerate(groups):
            door.inbox.append(Request(lane=lane, commands=group, origin=origin, place=place))

    def count(self, commands: Sequence[Command]) -> None:
        """Add to the cost what was sent in one flush, wherever it goes."""
        cost = self.cost
        cost.trips += 1
        cost.commands += len(commands)
        for command in commands:
            cost.sent += _wire_bytes(command)

    def step(self, index: int = 0) -> None:
        """Let the step of the ``index``-th parked connection happen, and what it sets free.

        Raises:
            EndlessError: after ``STEPS_MAX`` steps in one run.
            BackendError: the backend cannot be used any more, or has no form of the command.
            FaultError: a fault is due, and does not exist at this step.
        """
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise EndlessError(
                f"{STEPS_MAX} Redis steps were taken and the work goes on; the last was {_words(self.parked[index])}. "
                "Either an operation retries without end, or a background task polls without sleeping."
            )
        door = self.parked.pop(index)
        request = door.inbox.popleft()
        replies = self.perform(door, request) if self.faults is None else self.faults.take(door, request)
        if self.backend.scripted:
            self._tell_scripts(door, request)
        if self.trace is not None:
            self.trace.append(self._traced(door, request, replies))
        self._hand_out(door, replies)
        if door.inbox and door.blocked is None:
            self.parked.append(door)
        self._wake()

    def _tell_scripts(self, door: Door, request: Request) -> None:
        """Count what scripts called among what this step touched: they need not have declared it."""
        self._touch(door, Request(lane=request.lane, commands=tuple(self.backend.scripted)))
        self.backend.scripted.clear()

    def _traced(self, door: Door, request: Request, replies: Sequence[Reply]) -> Step:
        return Step(
            lane=request.lane, connection=door.number, commands=request.commands, replies=tuple(replies),
            origin=request.origin, place=request.place, struck="" if self.faults is None else self.faults.now,
        )  # fmt: skip

    def perform(self, door: Door, request: Request) -> Sequence[Reply]:
        """Let ``request`` take effect; its replies, none where it blocked. For ``step``, and for faults inside it."""
        session, commands = door.session, request.commands
        if len(commands) == 1 and commands[0][0].upper() not in _NOTED:
            return session.execute(commands[0])
        for command in commands:
            if command[0].upper() in _REMEMBERED:
                _remember(door, command)
        if len(commands) == 1:
            command = commands[0]
            name = command[0].upper()
            if not door.queueing and (name in _TIMEOUT_AT or (name in _BLOCK_OPTION and _block_at(command))):
                return self._block(door, request)
            if name in _TRANSACTION:
                door.queueing = name == b"MULTI" or (door.queueing and name == b"WATCH")
            if name in _SUBSCRIBING:
                door.subscription = request
                if door not in self.subscribed:
                    self.subscribed.append(door)
            return session.execute(command)
        return [reply for command in commands for reply in session.execute(command)]

    def _block(self, door: Door, request: Request) -> Sequence[Reply]:
        if door.watched:
            words = b" ".join(request.commands[0]).decode(errors="backslashreplace")
            raise BackendError(
                f"{words} was sent while keys are watched: the gate tries what may wait inside a transaction, which would "
                "end the WATCH. Send it before the WATCH, or on another connection"
            )
        request = Request(
            lane=request.lane, commands=(_settled(door.session, request.commands[0]),), place=request.place
        )
        reply = _at_once(door.session, request.commands[0])
        if reply is not None:
            return [reply]
        door.blocked = request
        self.blocked.append(door)
        door.client.blocked(_timeout(request.commands[0]))
        return []

    def _wake(self) -> None:
        while self.blocked and self._serve_one():  # serving one, as BLMOVE does, may be what an older one waits for
            pass
        for door in tuple(self.subscribed):  # what comes may be what a fault has waited for, and that ends connections
            messages = door.take_pushes()
            if messages:
                self._touch(door, door.subscription)
                self._hand_out(door, messages)

    def _serve_one(self) -> bool:
        for door in self.blocked:
            assert door.blocked is not None
            reply = _at_once(door.session, door.blocked.commands[0])
            if reply is not None:
                self.unblock(door, reply)
                return True
        return False

    def unblock(self, door: Door, reply: Reply) -> None:
        """Answer a blocked connection: with what it waited for, or with nothing when its time is up."""
        self.blocked.remove(door)
        self._touch(door, door.blocked)
        door.blocked = None
        self._hand_out(door, [reply])
        if door.inbox:
            self.parked.append(door)

    def forget(self, door: Door) -> None:
        """Take a connection out of every list; what it had sent and was not yet served is dropped."""
        self._touch(door, door.blocked)
        self._touch(door, door.subscription)
        door.inbox.clear()
        for doors in (self.parked, self.blocked, self.subscribed):
            if door in doors:
                doors.remove(door)

    def _touch(self, door: Door, request: Request | None) -> None:
        if request is not None:
            self.touched.append((None if door.roams else door.database, request))

    def restart(self, now_ns: int) -> None:
        """Begin a new run on an empty Redis. Every connection must have been closed."""
        for doors in (self.parked, self.blocked, self.subscribed):
            assert not doors, "connections are closed before a new run"
        self.backend.restart(now_ns)
        self.cost = Cost()
        self.steps = 0
        self.trace = None if self.trace is None else []
        self.touched = []
        self.faults = None

    def waiting(self) -> list[str]:
        """Who waits for what, for a report of a deadlock."""
        return [f"{_lane_words(door.blocked.lane)} waits in {_words(door)}" for door in self.blocked if door.blocked]

    @staticmethod
    def _hand_out(door: Door, replies: Sequence[Reply]) -> None:
        client = door.client
        for reply in replies:
            client.receive(reply)


def _timeout(command: Command) -> float:
    """For how many seconds a blocking command waits; infinity: for ever."""
    name = command[0].upper()
    seconds = float(command[_TIMEOUT_AT[name]]) if name in _TIMEOUT_AT else float(command[_block_at(command)]) / 1000
    return seconds or math.inf


_TRANSACTION = {b"MULTI", b"EXEC", b"DISCARD", b"WATCH", b"UNWATCH"}
_SUBSCRIBING = {b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE"}
_APART = {*_TRANSACTION, *_SUBSCRIBING, *_TIMEOUT_AT, *_BLOCK_OPTION}  # never served in one go with others
_REMEMBERED = {b"WATCH", b"EXEC", b"DISCARD", b"UNWATCH", b"RESET", b"SELECT"}
_NOTED = _APART | _REMEMBERED  # the gate takes note of these, and of no other


def _remember(door: Door, command: Command) -> None:
    """Keep what ``command`` means for later steps of its connection."""
    name = command[0].upper()
    if name == b"SELECT":
        door.roams = True
    else:
        door.watched = (*door.watched, *command[1:]) if name == b"WATCH" else ()


def _steps(commands: Sequence[Command]) -> list[tuple[Command, ...]]:
    """``commands`` of one flush, cut into steps: from MULTI to its EXEC is one, any other command is one."""
    steps: list[tuple[Command, ...]] = []
    block: list[Command] | None = None
    for command in commands:
        if block is not None:
            block.append(command)
            if command[0] in (b"EXEC", b"DISCARD"):
                steps.append(tuple(block))
                block = None
        elif command[0] == b"MULTI" and len(commands) > 1:
            block = [command]
        else:
            steps.append((command,))
    if block is not None:  # a transaction that goes on in a later flush
        steps.extend((command,) for command in block)
    return steps


@functools.lru_cache(maxsize=SIZES_KEPT)
def _wire_bytes(command: Command) -> int:
    size = 3 + len(str(len(command)))
    for argument in command:
        size += 5 + len(str(len(argument))) + len(argument)
    return size


def _block_at(command: Command) -> int:
    """Where the milliseconds of BLOCK stand in an XREAD; 0: it does not block."""
    for place, argument in enumerate(command[:-1]):
        word = argument.upper()
        if word == b"STREAMS":
            return 0
        if word == b"BLOCK":
            return place + 1
    return 0


def _settled(session: Session, command: Command) -> Command:
    """``command`` with every ``$`` of an XREAD replaced by the id that it denotes now, since it will be tried again."""
    if command[0].upper() != b"XREAD" or b"$" not in command:
        return command
    start = [argument.upper() for argument in command].index(b"STREAMS") + 1
    half = (len(command) - start) // 2
    ids = list(command[start + half :])
    for place, key in enumerate(command[start : start + half]):
        if ids[place] == b"$":
            (last,) = session.execute((b"XREVRANGE", key, b"+", b"-", b"COUNT", b"1"))
            ids[place] = last[0][0] if isinstance(last, list) and last else b"0-0"
    return (*command[: start + half], *ids)


def _at_once(session: Session, command: Command) -> Reply | None:
    """The reply to a blocking command, where there is one now."""
    block = _block_at(command) if command[0].upper() in _BLOCK_OPTION else 0
    if block:  # without BLOCK it answers at once
        (reply,) = session.execute(command[: block - 1] + command[block + 1 :])
        return reply or None
    session.execute((b"MULTI",))
    (queued,) = session.execute(command)
    if isinstance(queued, Exception):
        session.execute((b"DISCARD",))
        return queued
    (replies,) = session.execute((b"EXEC",))
    return replies[0]


def _words(door: Door) -> str:
    request = door.blocked or door.inbox[0]
    return b" ".join(request.commands[0]).decode(errors="backslashreplace")


def _lane_words(lane: tuple[object, ...]) -> str:
    return ".".join(str(part) for part in lane)
