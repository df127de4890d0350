"""Faults: what goes wrong, and at which step of a run.

A step has two halves, *effect* and *reply*. A fault strikes before the effect, instead of it, or on the reply; what the
client then sees is what a real server, or the end of a real connection, would have shown it. Whatever a client does
about it, such as redis-py's own retries, simply happens.

A fault is spelled by its kind and the number of the step, counted from 1 since the plan was armed: ``reply lost @2``;
``clock jump 3600s @1`` with its seconds; ``crash before @3 of 2`` for the third step of lane 2; ``refused @2+`` for that
step and all that follow. A plan is several of them with commas between. Nothing here is left to chance.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, Self

from redis._parsers import _RESP2Parser
from redis.exceptions import NoScriptError

from simulator.backend import Command, Reply, Session
from simulator.connection import CLOSED_WORDS, REFUSED_WORDS
from simulator.errors import WorldError
from simulator.footprint import footprint_of
from simulator.gate import Client, Door, Gate, Request, Step
from simulator.loop import SimulatedLoop
from simulator.schedule import lane_name

LATE_S: Final = 60.0  # longer than any time-out that a client is likely to have
JUMP_S: Final = 3600.0
GARBAGE: Final = b"\xff\x00{garbage"  # neither UTF-8, nor JSON, nor a number
FOREIGN_VALUE: Final = b"foreign"

RESET_WORDS: Final = "Error while reading from the gate : (104, 'Connection reset by peer')"


class FaultError(WorldError):
    """A fault that was asked for does not exist at the step it is for."""


class FaultKind(StrEnum):
    """What can go wrong. The value is the word by which a person calls it.

    Before the effect, which never comes: ``refused`` (the first command that was sent in one flush finds no server),
    ``dropped`` (between two commands of a pipeline), ``busy``, ``loading``, ``read only``, ``out of memory`` (the error
    replies of a server in that state), ``script killed``, ``cancelled before``, ``crash before``, ``server restart``.
    Before the effect, which comes: ``clock jump``, ``corrupt`` and ``foreign`` (another value under the first key that
    the step names: garbage of the same type, or another type). After the effect: ``reply lost`` (nothing more arrives
    on this connection), ``reset``, ``reply late``, ``cancelled after``, ``crash after``; of a command that waits, when
    its reply comes.
    """

    REFUSED = "refused"
    DROPPED = "dropped"
    BUSY = "busy"
    LOADING = "loading"
    READ_ONLY = "read only"
    OUT_OF_MEMORY = "out of memory"
    SCRIPT_KILLED = "script killed"
    REPLY_LOST = "reply lost"
    RESET = "reset"
    REPLY_LATE = "reply late"
    CANCELLED_BEFORE = "cancelled before"
    CANCELLED_AFTER = "cancelled after"
    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    SERVER_RESTART = "server restart"
    CLOCK_JUMP = "clock jump"
    CORRUPT = "corrupt"
    FOREIGN = "foreign"


_SECONDS: Final = {FaultKind.REPLY_LATE: LATE_S, FaultKind.CLOCK_JUMP: JUMP_S}
_LASTING: Final = frozenset(
    (FaultKind.REFUSED, FaultKind.BUSY, FaultKind.LOADING, FaultKind.READ_ONLY, FaultKind.OUT_OF_MEMORY)
)
_SPELLED: Final = re.compile(
    r"(?P<kind>[a-z]+(?: [a-z]+)*)(?: (?P<seconds>[\d.e+-]+)s)? @(?P<step>\d+)(?P<lasting>\+)?(?: of (?P<lane>\S+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """At the ``step``-th step, counted from 1 since the plan was armed, this strikes.

    ``lane`` counts only the steps of that lane, as a schedule spells it. ``lasting``, for states of a server only: at
    every later step too, where the kind exists; a server that refuses connections then accepts no new ones either.
    ``seconds`` are by how much a reply is late or the clock jumps, and have a default.

    Raises:
        ValueError: there is no such step, or its kind does not last, or has no seconds.
    """

    kind: FaultKind
    step: int
    lane: str | None = None
    lasting: bool = False
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.step < 1:
            raise ValueError(f"steps are counted from 1, and a fault was asked for at step {self.step}")
        if self.lasting and self.kind not in _LASTING:
            raise ValueError(f"`{self.kind}` strikes once; what may last is {_listed(sorted(_LASTING))}")
        if self.seconds < 0 or (self.seconds and self.kind not in _SECONDS):
            raise ValueError(
                f"`{self.kind}` of {self.seconds} s: seconds, more than 0, have {_listed(sorted(_SECONDS))}"
            )
        if not self.seconds:
            object.__setattr__(self, "seconds", _SECONDS.get(self.kind, 0.0))

    @property
    def text(self) -> str:
        """As a person spells it: ``reply late 60s @2 of 1``."""
        seconds = f" {self.seconds:.9f}".rstrip("0").rstrip(".") + "s" if self.seconds else ""
        lane = f" of {self.lane}" if self.lane is not None else ""
        return f"{self.kind}{seconds} @{self.step}{'+' if self.lasting else ''}{lane}"

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Self:
        """What ``text`` spells out.

        Raises:
            ValueError: this is not how a fault is spelled.
        """
        match = _SPELLED.fullmatch(text.strip())
        if match is None or match["kind"] not in tuple(FaultKind):
            raise ValueError(
                f"{text!r} is no fault: one is spelled `reply lost @2`, and the kinds are {_listed(FaultKind)}"
            )
        return cls(
            kind=FaultKind(match["kind"]), step=int(match["step"]), lane=match["lane"],
            lasting=match["lasting"] is not None, seconds=float(match["seconds"] or 0),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults of one run. Several may strike at one step: each in turn, until one of them takes the effect's place.

    Raises:
        ValueError: a fault is in it twice.
    """

    faults: tuple[Fault, ...]

    def __post_init__(self) -> None:
        if len(set(self.faults)) < len(self.faults):
            raise ValueError(f"a plan has a fault once, and `{self.text}` has one twice")

    @property
    def text(self) -> str:
        """Each fault, with commas between: ``clock jump 60s @1, reply lost @2``."""
        return ", ".join(fault.text for fault in self.faults)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Self:
        """What ``text`` spells out.

        Raises:
            ValueError: this is not how a plan is spelled.
        """
        return cls(tuple(Fault.parse(part.strip()) for part in text.split(",")))


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


# Which kinds exist at a step. The flags of commands are those of Redis' own table.


def _words(names: str) -> frozenset[bytes]:
    return frozenset(names.encode().split())


_SCRIPTS: Final = _words("EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO")
_WRITING_SCRIPTS: Final = _words("EVAL EVALSHA FCALL")  # which they may; what one does is not known before it has run
_ALLOWED_WHILE_BUSY: Final = _words("AUTH DISCARD HELLO MULTI QUIT REPLCONF RESET SHUTDOWN UNWATCH WATCH") | {
    b"SCRIPT KILL", b"FUNCTION KILL", b"FUNCTION STATS",
}  # fmt: skip
_ALLOWED_WHILE_LOADING: Final = _words(
    """
    ACL AUTH CLIENT COMMAND CONFIG DEBUG DISCARD ECHO EXEC HELLO INFO LASTSAVE LATENCY MONITOR MULTI PSUBSCRIBE PUBLISH
    PUBSUB PUNSUBSCRIBE QUIT READONLY READWRITE REPLCONF RESET ROLE SELECT SHUTDOWN SLOWLOG SPUBLISH SSUBSCRIBE SUBSCRIBE
    SUNSUBSCRIBE TIME UNSUBSCRIBE UNWATCH WATCH
    """
)
_DENIED_WITHOUT_MEMORY: Final = (
    _words(
        """
        APPEND BITFIELD BITOP BLMOVE BRPOPLPUSH COPY DECR DECRBY GEOADD GEORADIUS GEORADIUSBYMEMBER GEOSEARCHSTORE GETSET
        HEXPIRE HEXPIREAT HGETEX HINCRBY HINCRBYFLOAT HMSET HPEXPIRE HPEXPIREAT HSET HSETEX HSETNX INCR INCRBY INCRBYFLOAT
        LINSERT LMOVE LPUSH LPUSHX LSET MSET MSETNX PFADD PFDEBUG PFMERGE PSETEX RESTORE RPOPLPUSH RPUSH RPUSHX SADD
        SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTERSTORE SORT SUNIONSTORE XADD XSETID ZADD ZDIFFSTORE ZINCRBY
        ZINTERSTORE ZRANGESTORE ZUNIONSTORE
        """
    )
    | {b"FUNCTION LOAD", b"FUNCTION RESTORE", b"XGROUP CREATE", b"XGROUP CREATECONSUMER"}
    | _WRITING_SCRIPTS
)
_WRITES: Final = (
    _words(
        """
        BLMPOP BLPOP BRPOP BZMPOP BZPOPMAX BZPOPMIN DEL EXPIRE EXPIREAT FLUSHALL FLUSHDB GETDEL GETEX HDEL HGETDEL HPERSIST
        LMPOP LPOP LREM LTRIM MIGRATE MOVE PERSIST PEXPIRE PEXPIREAT RENAME RENAMENX RPOP SMOVE SPOP SREM SWAPDB UNLINK
        XACK XAUTOCLAIM XCLAIM XDEL XREADGROUP XTRIM ZMPOP ZPOPMAX ZPOPMIN ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK
        ZREMRANGEBYSCORE
        """
    )
    | {b"FUNCTION DELETE", b"FUNCTION FLUSH", b"XGROUP DELCONSUMER", b"XGROUP DESTROY", b"XGROUP SETID"}
    | _DENIED_WITHOUT_MEMORY
)


def _named(command: Command, names: frozenset[bytes]) -> bool:
    name = command[0].upper()
    return name in names or (len(command) > 1 and name + b" " + command[1].upper() in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """An error reply, and which commands get it from a server in that state: by themselves, or in a transaction."""

    text: str
    alone: Callable[[Command], bool]
    queued: Callable[[Command], bool]

    def hits(self, command: Command, *, queueing: bool) -> bool:
        return (self.queued if queueing else self.alone)(command)


def _at_the_end(command: Command) -> bool:
    return command[0].upper() in (b"EXEC", b"DISCARD")


def _refused_while_busy(command: Command) -> bool:
    return not _named(command, _ALLOWED_WHILE_BUSY)


def _refused_while_loading(command: Command) -> bool:
    return not _named(command, _ALLOWED_WHILE_LOADING)


def _writes(command: Command) -> bool:
    return _named(command, _WRITES)


_REFUSALS: Final = {
    FaultKind.BUSY: _Refusal(
        text="BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        alone=_refused_while_busy, queued=_refused_while_busy,
    ),
    FaultKind.LOADING: _Refusal(
        text="LOADING Redis is loading the dataset in memory",
        alone=_refused_while_loading, queued=_refused_while_loading,
    ),
    FaultKind.READ_ONLY: _Refusal(
        text="READONLY You can't write against a read only replica.", alone=_writes, queued=_writes,
    ),
    FaultKind.OUT_OF_MEMORY: _Refusal(
        text="OOM command not allowed when used memory > 'maxmemory'.",
        alone=lambda command: _named(command, _DENIED_WITHOUT_MEMORY),
        queued=lambda command: not _at_the_end(command),  # whatever is queued takes memory
    ),
}  # fmt: skip


def _queued(step: Step) -> bool:
    return len(step.commands) == 1 and step.replies[:1] == (b"QUEUED",)


def _refusable(kind: FaultKind) -> Callable[[Step], bool]:
    refusal = _REFUSALS[kind]

    def exists(step: Step) -> bool:
        queueing = _queued(step)
        for command in step.commands:
            if refusal.hits(command, queueing=queueing):
                return True
            queueing = queueing or command[0].upper() == b"MULTI"
        return False

    return exists


def _can_be_killed(step: Step) -> bool:
    unknown = any(isinstance(reply, NoScriptError) for reply in step.replies)
    return not unknown and not _queued(step) and any(command[0].upper() in _SCRIPTS for command in step.commands)


def _always(_step: Step) -> bool:
    return True


def _of_a_task(step: Step) -> bool:
    return step.lane != ("world",)


def _of_a_replica(step: Step) -> bool:
    return step.lane[0] in ("client", "replica")


def _names_a_key(step: Step) -> bool:
    return _key_of(step.commands) is not None


_EXISTS: Final[Mapping[FaultKind, Callable[[Step], bool]]] = {
    FaultKind.REFUSED: lambda step: step.place == 0,
    FaultKind.DROPPED: lambda step: step.place > 0,
    **{kind: _refusable(kind) for kind in _REFUSALS},
    FaultKind.SCRIPT_KILLED: _can_be_killed,
    **dict.fromkeys((FaultKind.REPLY_LOST, FaultKind.RESET, FaultKind.REPLY_LATE), _always),
    **dict.fromkeys((FaultKind.CANCELLED_BEFORE, FaultKind.CANCELLED_AFTER), _of_a_task),
    **dict.fromkeys((FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER), _of_a_replica),
    **dict.fromkeys((FaultKind.SERVER_RESTART, FaultKind.CLOCK_JUMP), _always),
    **dict.fromkeys((FaultKind.CORRUPT, FaultKind.FOREIGN), _names_a_key),
}


def applicable(kinds: Iterable[FaultKind], step: Step) -> tuple[FaultKind, ...]:
    """Those of ``kinds`` that exist at ``step``, as it was traced in a run without faults.

    READONLY and OOM are answered only to what writes, a script among it, since what one does is not known; only a script
    is killed; only a step that names a key can find another value there; a connection is refused to the first command
    of a flush, and dropped before a later one.
    """
    return tuple(kind for kind in kinds if _EXISTS[kind](step))


def _key_of(commands: Sequence[Command]) -> tuple[Command, bytes] | None:
    """The first key that is named in ``commands``, and the command that names it."""
    touched = footprint_of(tuple(commands))
    keys = {name for place, name in touched.reads | touched.writes if place == 0}
    return next(((command, word) for command in commands for word in command[1:] if word in keys), None)


# What strikes.


class Scene(Protocol):
    """What a fault does to a world; see ``World``."""

    gate: Gate
    loop: SimulatedLoop

    def replica_of(self, lane: tuple[object, ...]) -> int | None: ...

    def awaits(self, lane: tuple[object, ...]) -> bool: ...

    def cancel(self, lane: tuple[object, ...]) -> None: ...

    def crash(self, replica: int) -> None: ...

    def restart_server(self) -> None: ...

    def jump(self, seconds: float) -> None: ...


Strike = Callable[[Fault, Door, Request], Sequence[Reply] | None]  # the replies instead; none: the step goes on


class ArmedPlan:
    """A plan that is in force at a gate: it counts steps, and strikes. Made by ``World.arm``.

    ``struck`` are the faults that have struck, in that order, lasting ones where they first did.
    """

    def __init__(self, plan: FaultPlan, scene: Scene) -> None:
        self.plan = plan
        self.struck: list[Fault] = []
        self.now = ""
        self._scene = scene
        self._taken: Counter[str | None] = Counter()
        self._strikes: Mapping[FaultKind, Strike] = {
            FaultKind.REFUSED: self._refuse_connection,
            FaultKind.DROPPED: self._drop,
            **dict.fromkeys(_REFUSALS, self._refuse),
            FaultKind.SCRIPT_KILLED: self._kill,
            FaultKind.CANCELLED_BEFORE: self._cancel,
            FaultKind.CRASH_BEFORE: self._crash,
            FaultKind.SERVER_RESTART: self._restart,
            FaultKind.CLOCK_JUMP: self._jump,
            FaultKind.CORRUPT: self._spoil,
            FaultKind.FOREIGN: self._spoil,
        }

    @property
    def unstruck(self) -> tuple[Fault, ...]:
        """The faults that have not struck: the run had fewer steps, or another one took the effect's place."""
        return tuple(fault for fault in self.plan.faults if fault not in self.struck)

    def take(self, door: Door, request: Request) -> Sequence[Reply]:
        """Let a step happen, with what strikes it.

        Raises:
            FaultError: what should strike here does not exist at this step.
        """
        due = self._due(lane_name(request.lane))
        self._taken.update((None, lane_name(request.lane)))
        self.now = ""
        for fault in due:
            if self._exists(fault, door, request):
                self.now = f"{self.now}, {fault.text}".removeprefix(", ")
                replies = self._strike(fault, door, request)
                if replies is not None:
                    return replies
        return self._scene.gate.perform(door, request)

    def strikes_next(self, lane: tuple[object, ...]) -> bool:
        """Whether the next step, if ``lane`` takes it, is one at which a fault is due."""
        return bool(self._due(lane_name(lane)))

    def refuses(self, lane: tuple[object, ...]) -> bool:
        """Whether nobody answers when ``lane`` connects."""
        name = lane_name(lane)
        return any(
            fault.kind is FaultKind.REFUSED and fault.lasting and self._taken[fault.lane] >= fault.step
            for fault in self.plan.faults if fault.lane in (None, name)
        )  # fmt: skip

    def mark(self, fault: Fault, request: Request) -> None:
        """Remember that ``fault`` has struck ``request``, which may now have touched anything."""
        if fault not in self.struck:
            self.struck.append(fault)
        self._scene.gate.touched.append((None, request))

    def _due(self, lane: str) -> list[Fault]:
        """What is due at the step that is taken next, if it is ``lane``'s."""
        due = []
        for fault in self.plan.faults:
            number = self._taken[fault.lane] + 1
            if fault.lane in (None, lane) and (number == fault.step or (fault.lasting and number > fault.step)):
                due.append(fault)
        return due

    def _exists(self, fault: Fault, door: Door, request: Request) -> bool:
        step = _step_of(door, request)
        if fault.lasting:
            return fault.kind is FaultKind.REFUSED or bool(applicable((fault.kind,), step))
        if not applicable((fault.kind,), step):
            raise _not_there(fault, request, f"what exists there is {_listed(applicable(FaultKind, step))}")
        missing = self._missing(fault, door, request)
        if missing:
            raise _not_there(fault, request, missing)
        return True

    def _missing(self, fault: Fault, door: Door, request: Request) -> str:
        """What a fault of this kind would need, and is not there at this step."""
        match fault.kind:
            case FaultKind.CANCELLED_BEFORE | FaultKind.CANCELLED_AFTER if not self._scene.awaits(request.lane):
                return "the task that sent it has ended"
            case FaultKind.CRASH_BEFORE | FaultKind.CRASH_AFTER if self._scene.replica_of(request.lane) is None:
                return f"lane {lane_name(request.lane)} was assigned to no replica"
            case FaultKind.CORRUPT | FaultKind.FOREIGN if door.roams:
                return "its connection said SELECT, and which database it is on is not known"
            case FaultKind.SCRIPT_KILLED if not self._knows_script(door, request):
                return "the server does not know the script"
        return ""

    def _strike(self, fault: Fault, door: Door, request: Request) -> Sequence[Reply] | None:
        strike = self._strikes.get(fault.kind)
        if strike is None:
            _INTERCEPTIONS[fault.kind](fault, door, request, self, self._scene)
            return None
        self.mark(fault, request)
        return strike(fault, door, request)

    # Before the effect.

    @staticmethod
    def _refuse_connection(_fault: Fault, door: Door, _request: Request) -> Sequence[Reply]:
        door.client.fail(REFUSED_WORDS)
        return ()

    @staticmethod
    def _drop(_fault: Fault, door: Door, _request: Request) -> Sequence[Reply]:
        door.client.fail(CLOSED_WORDS)
        return ()

    @staticmethod
    def _refuse(fault: Fault, door: Door, request: Request) -> Sequence[Reply]:
        refusal = _REFUSALS[fault.kind]
        replies = _refused(door.session, request.commands, refusal, queueing=door.queueing)
        if _at_the_end(request.commands[-1]):
            door.queueing = False
            door.watched = ()
        return replies

    def _cancel(self, fault: Fault, door: Door, request: Request) -> Sequence[Reply]:
        self._scene.cancel(request.lane)
        return self._drop(fault, door, request)  # what was sent and is not to be applied was lost with its connection

    def _crash(self, _fault: Fault, door: Door, request: Request) -> Sequence[Reply]:
        replica = self._scene.replica_of(request.lane)
        assert replica is not None, "a fault strikes where it exists"
        self._scene.crash(replica)
        door.close()
        return ()

    def _restart(self, _fault: Fault, _door: Door, _request: Request) -> Sequence[Reply]:
        self._scene.restart_server()
        return ()

    def _jump(self, fault: Fault, _door: Door, _request: Request) -> None:
        self._scene.jump(fault.seconds)

    def _spoil(self, fault: Fault, door: Door, request: Request) -> None:
        named = _key_of(request.commands)
        assert named is not None, "a fault strikes where it exists"
        session = self._scene.gate.backend.open(door.database, 2)
        (_put_foreign if fault.kind is FaultKind.FOREIGN else _put_garbage)(session, *named)
        session.close()

    # A script that is killed. It can be only before it has written, so it had no effect.

    def _knows_script(self, door: Door, request: Request) -> bool:
        command = _script_of(request)
        if not command[0].upper().startswith(b"EVALSHA"):
            return True
        session = self._scene.gate.backend.open(door.database, 2)
        (known,) = session.execute((b"SCRIPT", b"EXISTS", command[1]))
        session.close()
        return bool(known == [1])

    def _kill(self, _fault: Fault, door: Door, request: Request) -> Sequence[Reply]:
        script = _script_of(request)
        if script[0].upper() in (b"EVAL", b"EVAL_RO"):  # which keeps it, before it is run
            session = self._scene.gate.backend.open(door.database, 2)
            session.execute((b"SCRIPT", b"LOAD", script[1]))
            session.close()
        if len(request.commands) == 1:
            return [_error(_killed(script))]
        instead = (b"EVAL", b"return redis.error_reply(ARGV[1])", b"0", _killed(script).encode())
        commands = tuple(instead if command is script else command for command in request.commands)
        return self._scene.gate.perform(door, Request(lane=request.lane, commands=commands, place=request.place))


Tempt = Callable[[int, Step], FaultPlan | None]
"""Asked with a step and its number what strikes from it on; none: nothing does yet."""


class TemptedPlan(ArmedPlan):
    """A plan that is made up as the run goes: ``tempt`` is asked at each step, until something strikes.

    What it names and does not exist at that step does not strike, and it is asked again at the next. Made by
    ``World.tempt``.
    """

    def __init__(self, tempt: Tempt, scene: Scene) -> None:
        super().__init__(FaultPlan(()), scene)
        self._tempt = tempt

    def take(self, door: Door, request: Request) -> Sequence[Reply]:
        """See ``ArmedPlan``."""
        if not self.plan.faults:
            number = self._taken[None] + 1
            plan = self._tempt(number, _step_of(door, request))
            if plan is not None and self._can_begin(plan, number, door, request):
                self.plan = plan
        return super().take(door, request)

    def strikes_next(self, lane: tuple[object, ...]) -> bool:
        """See ``ArmedPlan``: as long as nothing has struck, the next step may be where it does."""
        return not self.plan.faults or super().strikes_next(lane)

    def _can_begin(self, plan: FaultPlan, number: int, door: Door, request: Request) -> bool:
        """Whether what ``plan`` has for this step exists there."""
        step = _step_of(door, request)
        return all(
            bool(applicable((fault.kind,), step)) and not self._missing(fault, door, request)
            for fault in plan.faults if fault.step == number
        )  # fmt: skip


def _step_of(door: Door, request: Request) -> Step:
    return Step(
        lane=request.lane, connection=door.number, commands=request.commands, place=request.place,
        replies=(b"QUEUED",) if door.queueing else (),
    )  # fmt: skip


def _not_there(fault: Fault, request: Request, why: str) -> FaultError:
    step = b" ".join(request.commands[0]).decode(errors="backslashreplace")
    whose = f"of lane {lane_name(request.lane)}" if fault.lane is None else "of that lane"
    return FaultError(f"`{fault.text}` cannot strike: the step {whose} there is {step}, and {why}")


def _script_of(request: Request) -> Command:
    return next(command for command in request.commands if command[0].upper() in _SCRIPTS)


def _killed(script: Command) -> str:
    name, body = script[0].upper(), script[1]
    if name.startswith(b"FCALL"):
        where = f"{body.decode(errors='replace')}, on @user_function:1"
    else:
        sha = body.decode() if name.startswith(b"EVALSHA") else hashlib.sha1(body, usedforsecurity=False).hexdigest()
        where = f"{sha}, on @user_script:1"
    return f"ERR Script killed by user with SCRIPT KILL... script: {where}."


def _error(text: str) -> Exception:
    """The error reply ``text`` as redis-py reads it."""
    error: Exception = _RESP2Parser.parse_error(text)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    return error


def _refused(session: Session, commands: Sequence[Command], refusal: _Refusal, *, queueing: bool) -> list[Reply]:
    """The replies of a server which refuses some of ``commands``: what it refuses in a transaction aborts that."""
    replies: list[Reply] = []
    for command in commands:
        name = command[0].upper()
        if not refusal.hits(command, queueing=queueing):
            replies.extend(session.execute(command))
        elif queueing and name == b"EXEC":
            session.execute((b"DISCARD",))
            replies.append(_error(f"EXECABORT Transaction discarded because of: {refusal.text}"))
        else:
            if queueing:
                session.execute((b"GET",))  # refused as well, for want of a key, by which the transaction is spoilt
            replies.append(_error(refusal.text))
        queueing = name == b"MULTI" or (queueing and not _at_the_end(command))
    return replies


# Another value under a key.

_LISTS: Final = _words(
    """
    BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH LINDEX LINSERT LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM
    RPOP RPOPLPUSH RPUSH RPUSHX
    """
)
_SETS: Final = _words(
    """
    SADD SCARD SDIFF SDIFFSTORE SINTER SINTERCARD SINTERSTORE SISMEMBER SMEMBERS SMISMEMBER SMOVE SPOP SRANDMEMBER SREM
    SSCAN SUNION SUNIONSTORE
    """
)
_FAMILIES: Final = ((b"H", b"hash"), (b"Z", b"zset"), (b"BZ", b"zset"), (b"GEO", b"zset"), (b"X", b"stream"))


def _type_of(session: Session, command: Command, key: bytes) -> bytes:
    """What is stored under ``key``; of what is not there, the type that ``command`` is for."""
    (kind,) = session.execute((b"TYPE", key))
    name = command[0].upper()
    if kind != b"none":
        return bytes(kind)
    if name in _LISTS | _SETS:
        return b"list" if name in _LISTS else b"set"
    return next((kind for prefix, kind in _FAMILIES if name.startswith(prefix)), b"string")


def _put_garbage(session: Session, command: Command, key: bytes) -> None:
    kind = _type_of(session, command, key)
    if kind == b"hash":
        (fields,) = session.execute((b"HKEYS", key))
        named = [field for field in command if field in fields]
        session.execute((b"HSET", key, (named or sorted(fields) or [GARBAGE])[0], GARBAGE))
    elif kind == b"list":
        (there,) = session.execute((b"EXISTS", key))
        session.execute((b"LSET", key, b"0", GARBAGE) if there else (b"RPUSH", key, GARBAGE))
    elif kind == b"set":
        session.execute((b"SADD", key, GARBAGE))
    elif kind == b"zset":
        session.execute((b"ZADD", key, b"0", GARBAGE))
    elif kind == b"stream":
        session.execute((b"XADD", key, b"*", GARBAGE, GARBAGE))
    else:
        session.execute((b"SET", key, GARBAGE, b"KEEPTTL"))


def _put_foreign(session: Session, command: Command, key: bytes) -> None:
    kind = _type_of(session, command, key)
    (ttl_ms,) = session.execute((b"PTTL", key))
    session.execute((b"DEL", key))
    session.execute((b"SET" if kind == b"list" else b"RPUSH", key, FOREIGN_VALUE))
    if ttl_ms > 0:
        session.execute((b"PEXPIRE", key, b"%d" % ttl_ms))


# After the effect: something comes between the gate and the client, before the step is taken.


class _Interception:
    """In the place of a connection's client, until the connection ends; strikes at the first reply that comes."""

    def __init__(self, fault: Fault, door: Door, request: Request, plan: ArmedPlan, scene: Scene) -> None:
        self.fault = fault
        self.door = door
        self.request = request
        self.scene = scene
        self.inner: Client = door.client
        self._plan = plan
        self._came = False
        door.client = self

    def blocked(self, seconds: float) -> None:
        """See ``Client``."""
        self.inner.blocked(seconds)

    def fail(self, words: str) -> None:
        """See ``Client``."""
        self.inner.fail(words)

    def receive(self, reply: Reply) -> None:
        """See ``Client``."""
        if not self._came:
            self._came = True
            self._plan.mark(self.fault, self.request)
            self.strike()
        self.pass_on(reply)

    def strike(self) -> None:
        """Do what is done once, as the first reply comes; here nothing."""

    def pass_on(self, reply: Reply) -> None:
        """Do what is done with each reply; here nothing: it is lost."""


class _Reset(_Interception):
    def strike(self) -> None:
        self.inner.fail(RESET_WORDS)


class _Cancelled(_Interception):
    def strike(self) -> None:
        self.scene.cancel(self.request.lane)

    def pass_on(self, reply: Reply) -> None:
        self.inner.receive(reply)


class _Crash(_Interception):
    def strike(self) -> None:
        replica = self.scene.replica_of(self.request.lane)
        assert replica is not None, "a fault strikes where it exists"
        self.scene.crash(replica)


class _Late(_Interception):
    """Holds back the reply, and what comes behind it on the same connection, since replies keep their order."""

    _held: list[Reply] | None

    def strike(self) -> None:
        self._held = []
        self._life = self.door.lives
        self.scene.loop.call_later(self.fault.seconds, self._deliver)

    def pass_on(self, reply: Reply) -> None:
        if self._held is None:
            self.inner.receive(reply)
        else:
            self._held.append(reply)

    def _deliver(self) -> None:
        held, self._held = self._held, None
        if self.door.lives == self._life:
            for reply in held or ():
                self.inner.receive(reply)


_INTERCEPTIONS: Final[Mapping[FaultKind, type[_Interception]]] = {
    FaultKind.REPLY_LOST: _Interception,
    FaultKind.RESET: _Reset,
    FaultKind.REPLY_LATE: _Late,
    FaultKind.CANCELLED_AFTER: _Cancelled,
    FaultKind.CRASH_AFTER: _Crash,
}
