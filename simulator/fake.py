"""Redis in this process: fakeredis' command core, without bytes on a wire.

Of fakeredis this uses ``FakeServer`` and ``FakeSocket``. The latter is not public; ``tests/conformance`` holds what is
expected of it, and ``pyproject.toml`` holds the version.
"""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import redis
from fakeredis import FakeServer
from fakeredis._core import Database
from fakeredis._socket import FakeSocket
from fakeredis.model import AccessControlList, ExpiringMembersSet, Hash

from simulator.backend import Command, Record, Reply
from simulator.contents import read_key
from simulator.errors import BackendError

VERSION = (7, 4)


def _milliseconds(moment: float) -> int:
    """Seconds since 1970 as a server counts them. The nearest float of a moment may lie just before it."""
    return int(moment * 1000 + 0.001)


class _Database(Database):
    """A database in which a key lives through its last millisecond and is gone in the next, as on a real server.

    fakeredis compares floats, whose sums are off by less than a microsecond, on either side.
    """

    def expired(self, item: Any) -> bool:
        return item.expireat is not None and _milliseconds(item.expireat) < _milliseconds(self.time)

    def _remove_expired(self) -> None:
        heap, now_ms = self._expiry_heap, _milliseconds(self.time)
        while heap and _milliseconds(heap[0][0]) < now_ms:
            _, key = heapq.heappop(heap)
            item = self._dict.get(key)
            if item is not None and self.expired(item):
                del self._dict[key]


class _Server(FakeServer):
    """A server that is made once, and then emptied for each run."""

    def __init__(self) -> None:
        super().__init__(version=VERSION)
        self._rules = self.acl.as_rules()
        self.has_run_scripts = False
        self._own = {*vars(self), "_own"}
        self.restart()

    def restart(self) -> None:
        """Forget everything, as if it had just been made: that costs half of making another one."""
        self.dbs = defaultdict(lambda: _Database(self.lock))
        self.subscribers.clear()
        self.psubscribers.clear()
        self.ssubscribers.clear()
        self.script_cache.clear()
        self.scan_cursors.clear()
        self.sockets.clear()
        self.closed_sockets.clear()
        self.clients.clear()
        self.config.clear()
        self.lastsave = int(time.time())
        self.pause_until, self.pause_mode = 0.0, b"all"
        self._next_client_id = 1
        self.has_run_scripts = False
        if self.acl.as_rules() != self._rules or self.acl.log(-1):
            self.acl = AccessControlList()
        for name in vars(self).keys() - self._own:  # what was put there when it was first needed
            # A Lua interpreter is kept: it takes long to make, and is tidied for each script.
            if not name.startswith("_lua_"):
                delattr(self, name)


class _Socket(FakeSocket):
    """One connection's view of the server: commands in as lists of bytes, replies out as objects."""

    def __init__(self, server: FakeServer, database: int, protocol: int) -> None:
        self.out: list[Reply] = []
        super().__init__(server, database, client_class=redis.Redis, client_info={"resp": protocol})

    def put_response(self, msg: Any) -> None:
        self.out.append(msg)

    def _get_server_runtime(self, server: Any) -> Any:
        """The Lua interpreter, without the globals of another script, and with chance from its beginning in each run."""
        runtime = super()._get_server_runtime(server)
        variables = runtime.globals()
        for name in set(variables.keys()) - server._lua_expected_globals:
            variables[name] = None
        if not server.has_run_scripts:
            server.has_run_scripts = True
            variables[b"math"][b"randomseed"](0)
        return runtime

    @staticmethod
    def _parse_commands() -> Generator[None, Any, None]:
        """Nothing to parse. The parser that this takes the place of would keep the socket alive until it is collected."""
        while True:
            yield


class FakeSession:
    """A session of the fake server."""

    __slots__ = ("_open", "_socket")

    def __init__(self, server: FakeServer, database: int, protocol: int) -> None:
        self._socket = _Socket(server, database, protocol)
        self._open = True

    def execute(self, command: Command) -> Sequence[Reply]:
        """See ``Session``."""
        socket = self._socket
        try:
            socket._process_command(list(command))
        except Exception as error:
            words = b" ".join(command).decode(errors="backslashreplace")
            raise BackendError(
                f"fakeredis fails on {words}: {type(error).__name__}: {error}. A real server can do it: use one for this"
            ) from error
        replies, socket.out = socket.out, []
        return replies

    def pushes(self) -> Sequence[Reply]:
        """See ``Session``."""
        messages, self._socket.out = self._socket.out, []
        return messages

    def close(self) -> None:
        """See ``Session``."""
        if self._open:
            self._open = False
            socket, server = self._socket, self._socket._server
            # fakeredis would do this with the next command, but for the names that nobody is subscribed to any more.
            socket._clear_watches()
            for registry in (server.subscribers, server.psubscribers, server.ssubscribers):
                for name, subscribers in tuple(registry.items()):
                    subscribers.discard(socket)
                    if not subscribers:
                        del registry[name]
            socket.close()


class FakeBackend:
    """fakeredis, emptied for every run. Its time is ``time.time()``, made virtual."""

    has_clock = True

    def __init__(self) -> None:
        self._server = _Server()

    @property
    def name(self) -> str:
        """See ``Backend``."""
        return f"fakeredis {version('fakeredis')}"

    def open(self, database: int, protocol: int) -> FakeSession:
        """See ``Backend``."""
        return FakeSession(self._server, database, protocol)

    def restart(self, now_ns: int) -> None:  # noqa: ARG002 - its clock is the world's
        """See ``Backend``."""
        self._server.restart()

    def set_time(self, now_ns: int) -> None:
        """See ``Backend``: nothing to do, its clock is the world's."""

    def dump(self) -> Mapping[int, Mapping[bytes, Record]]:
        """See ``Backend``."""
        databases = {}
        now = time.time()
        for number, database in sorted(self._server.dbs.items()):
            database.time = now
            session = None
            records = {}
            for key in sorted(database):
                record = _plain(database[key], now)
                if record is None:
                    session = session or self.open(number, protocol=2)
                    record = read_key(session, key)
                if record is not None:
                    records[key] = record
            if session is not None:
                session.close()
            if records:
                databases[number] = records
        return databases

    def close(self) -> None:
        """See ``Backend``: it holds nothing outside this process."""


def _plain(item: Any, now: float) -> Record | None:
    """A string, set, list or hash straight from the core, which is many times faster; none: ask by command."""
    ttl_ms = None if item.expireat is None else _milliseconds(item.expireat) - _milliseconds(now)
    value = item.value
    if isinstance(value, bytes):
        return Record(kind="string", value=value, ttl_ms=ttl_ms)
    if isinstance(value, list):
        return Record(kind="list", value=tuple(value), ttl_ms=ttl_ms)
    if isinstance(value, ExpiringMembersSet):
        return Record(kind="set", value=frozenset(value), ttl_ms=ttl_ms)
    if isinstance(value, Hash):
        return Record(kind="hash", value=dict(value.items()), ttl_ms=ttl_ms)
    return None
