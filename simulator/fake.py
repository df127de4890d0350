"""Redis in this process: fakeredis' command core, without bytes on a wire.

Of fakeredis this uses ``FakeServer`` and ``FakeSocket``. The latter is not public; ``tests/conformance`` holds what is
expected of it, and ``pyproject.toml`` holds the version.
"""

from __future__ import annotations

import functools
import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import redis
from fakeredis import FakeServer
from fakeredis._commands import COMMANDS_WITH_SUB, SUPPORTED_COMMANDS, Signature
from fakeredis._core import Database
from fakeredis._helpers import NoResponse
from fakeredis._msgs import FLAG_TRANSACTION
from fakeredis._socket import FakeSocket
from fakeredis.model import AccessControlList, ExpiringMembersSet, Hash

from simulator.backend import Command, Record, Reply
from simulator.contents import read_key
from simulator.errors import BackendError
from simulator.footprint import SCRIPT_DRAWS

VERSION = (7, 4)

_TELLING = """
local draws = ...
for _, name in ipairs({"random", "randomseed"}) do
  local original = math[name]
  math[name] = function(...) draws() return original(...) end
end
"""


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


class _AccessRules(AccessControlList):
    """Access rules that know whether they still are those of a new server, by which everything is allowed."""

    touched = False

    def get_user_acl(self, username: bytes) -> Any:
        self.touched = True  # by this they are changed, too
        return super().get_user_acl(username)

    def del_user(self, username: bytes) -> None:
        self.touched = True
        super().del_user(username)

    def add_log_record(self, *about: bytes) -> None:
        self.touched = True
        super().add_log_record(*about)

    def validate_command(self, username: bytes, client_info: Any, fields: list[bytes]) -> None:
        if self.touched:
            super().validate_command(username, client_info, fields)


class _Server(FakeServer):
    """A server that is made once, and then emptied for each run."""

    acl: _AccessRules

    def __init__(self) -> None:
        super().__init__(version=VERSION)
        self._lua_seeds: dict[Any, Callable[[int], None]] = {}  # by Lua interpreter
        self.acl = _AccessRules()
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
        if self.acl.touched:
            self.acl = _AccessRules()
        functions = getattr(self, "_lua_functions", None)
        if functions is not None:
            functions.libraries.clear()
            self._lua_seeds[functions.runtime](0)
        for name in vars(self).keys() - self._own:  # what was put there when it was first needed
            # A Lua interpreter is kept: it takes long to make, and is tidied for each script.
            if not name.startswith("_lua_"):
                delattr(self, name)


class _Socket(FakeSocket):
    """One connection's view of the server: commands in as lists of bytes, replies out as objects.

    What scripts and functions call is added to ``scripted``. A socket is made once and then used for one connection
    after another, since making one takes as long as two commands.
    """

    _server: _Server

    # Properties in fakeredis, which looks at them several times in each command.
    version = VERSION
    server_type = "redis"

    def __init__(self, server: _Server, database: int, protocol: int, scripted: list[Command]) -> None:
        self.out: list[Reply] = []
        super().__init__(server, database, client_class=redis.Redis, client_info={"resp": protocol})
        self._containers = [(name, type(part)) for name, part in vars(self).items() if type(part) in (list, dict, set)]
        self._about_client = dict.copy(self._client_info)
        self._scripted = scripted
        self._as_made = {**vars(self)}

    def reopen(self, database: int, protocol: int) -> None:
        """Serve another connection, as a socket that was just made would."""
        own, server, client = vars(self), self._server, self._client_info
        as_made = self._as_made
        own.clear()
        own.update(as_made)
        own["_as_made"] = as_made
        own.update([(name, kind()) for name, kind in self._containers])
        self._db_num = database
        self._db = server.dbs[database]
        client.clear()
        client.update(self._about_client)
        client.update({"-created": int(time.time()), "resp": protocol, "id": server.get_next_client_id()})
        server.sockets.append(self)

    def leave(self) -> None:
        """Let the server forget the connection: who closes it cannot wait for that, as the next may be opened at once."""
        server = self._server
        self._clear_watches()
        for registry in filter(None, (server.subscribers, server.psubscribers, server.ssubscribers)):
            for name, subscribers in tuple(registry.items()):
                subscribers.discard(self)
                if not subscribers:
                    del registry[name]
        if self in server.sockets:
            server.sockets.remove(self)

    def put_response(self, msg: Any) -> None:
        self.out.append(msg)

    def _process_command(self, fields: list[bytes]) -> None:
        """As fakeredis' own, which looks at much that does not exist here: other threads, users, kinds of server."""
        command = _PLAIN.get(fields[0])
        if command is None or not self._is_plain():
            super()._process_command(fields)
            return
        server = self._server
        with server.lock:
            now = time.time()
            for database in server.dbs.values():
                database.time = now
            result = self._run_command(getattr(self, command.func_name), command, fields[1:], from_script=False)
        if not isinstance(result, NoResponse):
            self.put_response(self._decode_result(result))

    def _is_plain(self) -> bool:
        """Whether nothing was said before that concerns every command on this connection."""
        return self._transaction is None and not (
            self._reply_off or self._reply_skip or self._reply_skip_next or self._server.acl.touched
        )

    def _subkey_notifications(self, command_items: list[Any]) -> None:
        """Nothing to tell: servers do so from version 8.8 on."""

    def _get_server_runtime(self, server: Any) -> Any:
        """The Lua interpreter, without the globals of another script, and with chance from its beginning in each run."""
        runtime = super()._get_server_runtime(server)
        variables = runtime.globals()
        for name in set(variables.keys()) - server._lua_expected_globals:
            variables[name] = None
        self._tell_of_chance(runtime)
        if not server.has_run_scripts:
            server.has_run_scripts = True
            server._lua_seeds[runtime](0)
        return runtime

    def _functions(self) -> Any:
        """The functions and their Lua interpreter, which is another one."""
        functions = super()._functions()
        self._tell_of_chance(functions.runtime)
        return functions

    def _tell_of_chance(self, runtime: Any) -> None:
        """See that scripts which draw from the interpreter's chance are known to, as they share it."""
        server: Any = self._server
        seeds = server._lua_seeds
        if runtime not in seeds:
            seeds[runtime] = runtime.globals()[b"math"][b"randomseed"]
            seeds[runtime](0)
            runtime.execute(_TELLING, functools.partial(self._scripted.append, SCRIPT_DRAWS))

    def _lua_redis_call(self, lua_runtime: Any, expected_globals: set[Any], op: bytes, *args: Any) -> Any:
        self._note((op, *args))
        return super()._lua_redis_call(lua_runtime, expected_globals, op, *args)

    def _function_redis_call(self, lua_runtime: Any, read_only: bool, *args: Any) -> Any:  # noqa: FBT001 - fakeredis' own
        self._note(args)
        return super()._function_redis_call(lua_runtime, read_only, *args)

    def _note(self, call: tuple[Any, ...]) -> None:
        # What is neither text nor a number is refused before it touches anything.
        if all(type(argument) in (bytes, int, float) for argument in call):
            self._scripted.append(tuple([arg if isinstance(arg, bytes) else b"%.17g" % arg for arg in call]))

    @staticmethod
    def _parse_commands() -> Generator[None, Any, None]:
        """Nothing to parse. The parser that this takes the place of would keep the socket alive until it is collected."""
        while True:
            yield


_PLAIN: Final[Mapping[bytes, Signature]] = {
    name.upper().encode(): command
    for name, command in SUPPORTED_COMMANDS.items()
    if not (" " in name or name in COMMANDS_WITH_SUB or FLAG_TRANSACTION in command.flags)
    and _Socket.server_type in command.server_types
}
"""The commands of one word, but for those of transactions, as clients spell them."""


class FakeSession:
    """A session of the fake server, on a socket that goes to ``spare`` when it is closed."""

    __slots__ = ("_socket", "_spare")

    def __init__(self, socket: _Socket, spare: list[_Socket]) -> None:
        self._socket: _Socket | None = socket
        self._spare = spare

    def execute(self, command: Command) -> Sequence[Reply]:
        """See ``Session``."""
        socket = self._socket
        assert socket is not None, "a session is not used after it was closed"
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
        socket = self._socket
        assert socket is not None, "a session is not used after it was closed"
        messages, socket.out = socket.out, []
        return messages

    def close(self) -> None:
        """See ``Session``."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.leave()
            self._spare.append(socket)


class FakeBackend:
    """fakeredis, emptied for every run. Its time is ``time.time()``, made virtual.

    ``scripted`` are the commands that scripts and functions have called, whichever keys they declared, and
    ``SCRIPT_DRAWS`` for each look at chance; who asks empties it.
    """

    has_clock = True
    sees_scripts = True

    def __init__(self) -> None:
        self._server = _Server()
        self._spare: list[_Socket] = []
        self.scripted: list[Command] = []

    @property
    def name(self) -> str:
        """See ``Backend``."""
        return f"fakeredis {version('fakeredis')}"

    def open(self, database: int, protocol: int) -> FakeSession:
        """See ``Backend``."""
        if not self._spare:
            return FakeSession(_Socket(self._server, database, protocol, self.scripted), self._spare)
        socket = self._spare.pop()
        socket.reopen(database, protocol)
        return FakeSession(socket, self._spare)

    def restart(self, now_ns: int) -> None:  # noqa: ARG002 - its clock is the world's
        """See ``Backend``."""
        self._server.restart()
        self.scripted.clear()

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
