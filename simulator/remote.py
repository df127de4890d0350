"""A real Redis or Valkey behind the gate, over a socket: the same programs, the same steps, one blocking request each.

``RemoteBackend.on`` takes a server of our own, all of which may be emptied; ``RemoteBackend.at`` takes the address of
somebody else's, of which only the database that the address names is used, and only if it is empty.

Sockets are kept when their session ends and given to the next one: RESET ends transaction, watches and subscriptions
there and then, whereas the server notices a closed socket only some time later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from redis._parsers import _RESP2Parser, _RESP3Parser
from redis.connection import Connection, UnixDomainSocketConnection, parse_url
from redis.exceptions import RedisError, ResponseError

from simulator.backend import Command, Record, Reply
from simulator.contents import read_all
from simulator.errors import BackendError
from simulator.server import RealServer

ANSWER_WITHIN_S: Final = 30.0  # by the machine's clock; a step never waits for another one
OLDEST: Final = (6, 2)  # the first that knows RESET
NANOSECONDS_PER_MS: Final = 1_000_000
DATABASES_NAMED_MAX: Final = 5
_END: Final = b"holdfast-end-of-replies"  # a PING with this comes back after everything that was due before it

_SUBSCRIBING = frozenset((b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE"))
# After these a connection no longer answers each request with one reply of one protocol.
_UNSPEAKABLE = frozenset((b"MONITOR", b"SYNC", b"PSYNC", b"HELLO", b"RESET", b"QUIT", b"CLIENT REPLY"))
# What these do reaches beyond the one database that was given to us.
_NOT_OURS = frozenset(
    (
        *(b"SELECT", b"SWAPDB", b"MOVE", b"FLUSHALL", b"CONFIG SET", b"CONFIG REWRITE", b"CONFIG RESETSTAT", b"DEBUG"),
        *(b"SHUTDOWN", b"REPLICAOF", b"SLAVEOF", b"FAILOVER", b"CLUSTER", b"MODULE", b"FUNCTION", b"ACL", b"SAVE"),
        *(b"BGSAVE", b"BGREWRITEAOF", b"CLIENT KILL", b"CLIENT PAUSE", b"CLIENT UNBLOCK", b"SCRIPT KILL"),
    )
)

_Socket = Connection | UnixDomainSocketConnection


class _RefusalError(ResponseError):
    """An error reply that redis-py takes for the end of a connection: some of its parsers would read it for ever."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Parser2(_RESP2Parser):
    @classmethod
    def parse_error(cls, response: str) -> Exception:
        return _settled(super().parse_error(response))  # type: ignore[no-untyped-call]


class _Parser3(_RESP3Parser):
    @classmethod
    def parse_error(cls, response: str) -> Exception:
        return _settled(super().parse_error(response))  # type: ignore[no-untyped-call]


def _settled(error: Exception) -> Exception:
    return error if isinstance(error, ResponseError) else _RefusalError(error)


class RemoteSession:
    """A session of a real server: one of its connections, until the session is closed."""

    __slots__ = ("_arrived", "_backend", "_messages", "_queueing", "_socket", "_subscribed", "protocol")

    def __init__(self, backend: RemoteBackend, socket: _Socket, protocol: int) -> None:
        self._backend = backend
        self._socket: _Socket | None = socket
        self._arrived: list[Reply] = []
        self._messages: list[Reply] = []
        self._queueing = False
        self._subscribed = False
        self.protocol = protocol
        if protocol == 3:  # what is pushed comes out of band there, and not as the reply to anything
            socket._parser.set_pubsub_push_handler(self._arrived.append)

    def execute(self, command: Command) -> Sequence[Reply]:
        """See ``Session``.

        Raises:
            BackendError: the server is gone or does not answer, or the command is one that it must not get from us.
        """
        name = self._backend.refuse(command)
        self._subscribed = self._subscribed or name in _SUBSCRIBING
        if self._subscribed and not self._queueing and (name in _SUBSCRIBING or self.protocol == 2):
            return [*self._take_messages(), *self._until_end(command)]
        (reply,) = self._ask(command)
        if name in (b"MULTI", b"EXEC", b"DISCARD"):
            self._queueing = name == b"MULTI"
        self._messages += self._take_arrived()
        return [reply]

    def pushes(self) -> Sequence[Reply]:
        """See ``Session``: everything that was published by a command which was answered before this call."""
        if self._subscribed and not self._queueing and self._socket is not None:
            self._messages += self._until_end()
        return self._take_messages()

    def close(self) -> None:
        """See ``Session``."""
        if self._socket is not None:
            socket, self._socket = self._socket, None
            self._backend.give_back(self, socket)

    def _until_end(self, *commands: Command) -> list[Reply]:
        """Send ``commands`` and take everything that comes before the reply to a PING after them."""
        socket = self._backend.require(self._socket)
        self._backend.send(socket, *commands, (b"PING", _END))
        while (reply := self._backend.receive(socket)) not in (_END, [b"pong", _END]):
            self._arrived.append(reply)
        return self._take_arrived()

    def _ask(self, *commands: Command) -> list[Reply]:
        return self._backend.ask(self._backend.require(self._socket), *commands)

    def _take_arrived(self) -> list[Reply]:
        arrived = list(self._arrived)
        self._arrived.clear()
        return arrived

    def _take_messages(self) -> list[Reply]:
        messages, self._messages = self._messages, []
        return messages


class RemoteBackend:
    """A real server behind the gate; made by ``on`` or ``at``, and closed by who made it. Not for two threads at once.

    A server does not tell what its scripts call: ``scripted`` stays empty.
    """

    sees_scripts = False

    def __init__(self, address: Mapping[str, Any], where: str, server: RealServer | None) -> None:
        self._address = dict(address)
        self._where = where
        self._server = server
        self._database = int(self._address.pop("db", 0))
        self._idle: dict[tuple[int, int], list[_Socket]] = {}
        self._sessions: set[RemoteSession] = set()
        self._settings: dict[bytes, bytes] = {}
        self.scripted: list[Command] = []
        self._clock: tuple[int, int] | None = None
        self._control = self._connect(self._database, 2)
        self.flavour, self._version = self._identity()

    @classmethod
    def on(cls, server: RealServer) -> Self:
        """On ``server``, which is ours: every run begins with all of it empty, and with its clock set if it has one.

        Raises:
            BackendError: it does not answer.
        """
        address = {"path": str(server.unix_socket), "connection_class": UnixDomainSocketConnection}
        return cls(address, str(server.binary), server)

    @classmethod
    def at(cls, url: str) -> Self:
        """On the one database that ``url`` names, which must be empty and is left empty by ``close``.

        Other databases are neither read nor written. Scripts are cached, and channels heard, by a server as a whole:
        its script cache is flushed before each run, which every client of a Redis must be prepared for, and who
        subscribes to the same channels there hears what is published here.

        Raises:
            BackendError: the address is none, nothing answers there, or the database holds something, in which case
                nothing was touched.
        """
        try:
            address = parse_url(url)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        except ValueError as error:
            raise BackendError(
                f"that is no address of a Redis: {error}. One looks like redis://localhost/15"
            ) from error
        where = str(address.get("path") or f"{address.get('host', 'localhost')}:{address.get('port', 6379)}")
        backend = cls(address, where, None)
        backend._require_empty()
        return backend

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """See ``Backend``: ``valkey 9.1.2``."""
        return f"{self.flavour} {self._version}"

    @property
    def has_clock(self) -> bool:
        """See ``Backend``: only a server of our own has one."""
        return self._server is not None and self._server.has_clock

    def open(self, database: int, protocol: int) -> RemoteSession:
        """See ``Backend``.

        Raises:
            BackendError: the server is not ours, and ``database`` is not the one that was given to us.
        """
        if self._server is None and database != self._database:
            raise BackendError(
                f"a client asks for database {database}, and only database {self._database} of {self._where} was given "
                "to us: name that one, or let Holdfast start a server of its own"
            )
        idle = self._idle.get((database, protocol))
        session = RemoteSession(self, idle.pop() if idle else self._connect(database, protocol), protocol)
        self._sessions.add(session)
        return session

    def restart(self, now_ns: int) -> None:
        """See ``Backend``."""
        for session in tuple(self._sessions):
            session.close()
        self._expect_ok([*self._reset_settings(), *self._flush()])
        self.set_time(now_ns)

    def set_time(self, now_ns: int) -> None:
        """See ``Backend``; a server counts in milliseconds."""
        now_ms = now_ns // NANOSECONDS_PER_MS
        server = self._server
        # Who else moves the clock of this server is noticed by how often it was moved.
        if server is not None and server.has_clock and self._clock != (now_ms, server.statistics().clock_moves):
            server.set_time(now_ms)
            self._clock = (now_ms, server.statistics().clock_moves)

    def dump(self) -> Mapping[int, Mapping[bytes, Record]]:
        """See ``Backend``."""
        databases = {}
        for number in self._databases_in_use():
            session = self.open(number, protocol=2)
            records = read_all(session)
            session.close()
            if records:
                databases[number] = records
        return databases

    def close(self) -> None:
        """See ``Backend``: what was stored is removed. Closing twice does nothing.

        Raises:
            BackendError: what was stored in somebody else's database could not be removed.
        """
        if not self._control.is_connected:
            return
        try:
            for session in tuple(self._sessions):
                session.close()
            self._expect_ok([*self._reset_settings(), *self._flush()])
        except BackendError:
            if self._server is None:  # a server of our own may have been stopped before
                raise
        finally:
            for socket in (self._control, *(socket for idle in self._idle.values() for socket in idle)):
                socket.disconnect()  # type: ignore[no-untyped-call]
            self._idle.clear()

    # What sessions ask of it.

    def require(self, socket: _Socket | None) -> _Socket:
        """The socket of a session that is still open."""
        assert socket is not None, "a session is not used after it was closed"
        return socket

    def refuse(self, command: Command) -> bytes:
        """The name of ``command`` in capitals, if the server may get it.

        Raises:
            BackendError: it would leave us without replies, or touch what was not given to us.
        """
        name = command[0].upper()
        both = name + b" " + command[1].upper() if len(command) > 1 else name
        if name in _UNSPEAKABLE or both in _UNSPEAKABLE:
            raise BackendError(
                f"{both.decode(errors='replace')} changes how a connection speaks: the gate has no form of it"
            )
        if self._server is None and (name in _NOT_OURS or both in _NOT_OURS):
            raise BackendError(
                f"{both.decode(errors='replace')} reaches beyond database {self._database} of {self._where}, which is all "
                "that was given to us: let Holdfast start a server of its own for this"
            )
        if both == b"CONFIG SET":
            self._remember_settings(command[2::2])
        return name

    def send(self, socket: _Socket, *commands: Command) -> None:
        """Send ``commands`` in one flush."""
        try:
            socket.send_packed_command(socket.pack_commands(commands), check_health=False)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            raise self._gone(error) from error

    def receive(self, socket: _Socket) -> Reply:
        """The next reply; an error reply is returned."""
        try:
            return socket.read_response(disconnect_on_error=False)
        except _RefusalError as refusal:
            return refusal.error
        except ResponseError as error:
            return error
        except (RedisError, OSError) as error:
            raise self._gone(error) from error

    def ask(self, socket: _Socket, *commands: Command) -> list[Reply]:
        """The replies to ``commands``, one each."""
        self.send(socket, *commands)
        return [self.receive(socket) for _ in commands]

    def give_back(self, session: RemoteSession, socket: _Socket) -> None:
        """End ``session`` at once, as far as the server is concerned, and keep its socket for another one."""
        self._sessions.discard(session)
        try:
            self.send(socket, (b"RESET",))
            while self.receive(socket) != b"RESET":  # whatever was still due
                pass
            socket.on_connect_check_health(check_health=False)
        except (BackendError, RedisError, OSError):
            socket.disconnect()  # type: ignore[no-untyped-call]  # the next one will say that the server is gone
            return
        self._idle.setdefault((int(socket.db), session.protocol), []).append(socket)

    # Its own.

    def _connect(self, database: int, protocol: int) -> _Socket:
        options = {**self._address, "db": database, "protocol": protocol}
        kind: type[_Socket] = options.pop("connection_class", Connection)
        options.pop("max_connections", None)
        options |= {
            "socket_timeout": ANSWER_WITHIN_S,
            "parser_class": _Parser3 if protocol == 3 else _Parser2,
            "driver_info": None,
            "decode_responses": False,
            "health_check_interval": 0,  # it would ask for the time, which is a world's
            "retry": None,
        }
        try:
            socket = kind(**options)
            socket.connect()  # type: ignore[no-untyped-call]
        except (RedisError, OSError, TypeError) as error:  # the last one: an option that there is not
            raise BackendError(
                f"no Redis can be used at {self._where}: {error}. Start it, or name another one, or let Holdfast start a "
                "server of its own"
            ) from error
        return socket

    def _gone(self, error: Exception) -> BackendError:
        return BackendError(f"{self._where} does not answer any more: {error}. Was it stopped, or is a script running?")

    def _identity(self) -> tuple[str, str]:
        fields = self._info(b"server")
        flavour = "valkey" if "valkey_version" in fields else "redis"
        version = fields.get(f"{flavour}_version", "0")
        known = fields.get("redis_version", "0")
        if tuple(int(part) for part in known.split(".")[:2]) < OLDEST:
            raise BackendError(
                f"{self._where} is {flavour} {version}: 6.2 is the oldest that knows RESET, use a newer one"
            )
        return flavour, version

    def _info(self, section: bytes) -> dict[str, str]:
        (said,) = self.ask(self._control, (b"INFO", section))
        if isinstance(said, Exception):
            raise BackendError(f"{self._where} does not say what it is: {said}")
        return dict(line.split(":", 1) for line in said.decode().splitlines() if ":" in line)

    def _require_empty(self) -> None:
        (keys,) = self.ask(self._control, (b"DBSIZE",))
        if keys == 0:
            return
        self._control.disconnect()  # type: ignore[no-untyped-call]
        raise BackendError(
            f"database {self._database} of {self._where} holds {keys} key{'s' if keys != 1 else ''}, and would be emptied. "
            "Nothing was touched. Name another database that is empty, or empty this one yourself"
        )

    def _flush(self) -> list[Command]:
        if self._server is None:
            return [(b"FLUSHDB",), (b"SCRIPT", b"FLUSH")]
        return [(b"FLUSHALL",), (b"SCRIPT", b"FLUSH"), (b"FUNCTION", b"FLUSH")]

    def _remember_settings(self, names: Sequence[bytes]) -> None:
        """Settings last longer than keys: keep what they were, to be put back before the next run."""
        for name in names:
            (pairs,) = self.ask(self._control, (b"CONFIG", b"GET", name))
            if pairs and name.lower() not in self._settings:
                self._settings[name.lower()] = pairs[1]

    def _reset_settings(self) -> list[Command]:
        commands: list[Command] = [(b"CONFIG", b"SET", name, value) for name, value in self._settings.items()]
        self._settings.clear()
        return commands

    def _expect_ok(self, commands: list[Command]) -> None:
        for command, reply in zip(commands, self.ask(self._control, *commands), strict=True):
            unknown = isinstance(reply, ResponseError) and command[0] == b"FUNCTION"  # before Redis 7
            if reply != b"OK" and not unknown:
                raise BackendError(
                    f"{self._where} refused {b' '.join(command).decode()}: {reply}. A run begins with it"
                )

    def _databases_in_use(self) -> list[int]:
        if self._server is None:
            return [self._database]
        return sorted(int(name.removeprefix("db")) for name in self._info(b"keyspace") if name.startswith("db"))
