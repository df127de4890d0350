"""Real servers: found, started, moved in time, and ended whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from simulator.server import (
    EPOCH_MS,
    LIBRARY_VARIABLE,
    NoServerError,
    RealServer,
    ServerBinary,
    ServerClockError,
    ServerStartError,
    ServerStoppedError,
    find_servers,
    inspect_server,
)
from tests.conftest import absent

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = find_servers()
HOUR_MS = 3_600_000
WAIT_S = 30  # a bound for sockets and processes; never waited out

OWNER = """
import sys
from pathlib import Path
from simulator.server import RealServer
server = RealServer.start(Path(sys.argv[1]))
print(server.port, server.folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(
    params=[*SERVERS, *([] if SERVERS else [None])],
    ids=lambda found: f"{found.flavour}-{found.version}" if found else "none",
)
def binary(request: pytest.FixtureRequest) -> ServerBinary:
    if request.param is None:
        absent("no server is installed: apt install redis-server, or pip install 'holdfast[server]'")
    found: ServerBinary = request.param
    return found


@pytest.fixture
def server(binary: ServerBinary) -> Iterator[RealServer]:
    """A server whose clock can be moved."""
    with RealServer.start(binary) as started:
        if not started.has_clock:
            absent(f"the clock cannot be moved: {started.why_no_clock}")
        yield started


@pytest.fixture
def client(server: RealServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, protocol=2, socket_timeout=WAIT_S) as connected:
        yield connected


def script(folder: Path, body: str) -> Path:
    """A program that calls itself Redis and then does ``body``."""
    path = folder / "redis-server"
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "Redis server v=7.9.9 sha=0"; exit; fi\n{body}\n')
    path.chmod(0o755)
    return path


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_what_is_installed_is_found_with_its_version(binary: ServerBinary) -> None:
    assert binary.flavour in {"redis", "valkey"}
    assert binary.origin in {"path", "wheel"}
    assert binary.name == binary.path.name
    assert inspect_server(binary.path, binary.origin) == binary
    assert binary.version in str(binary)


def test_the_wheel_in_our_extra_is_among_the_servers_found() -> None:
    if not any(found.origin == "wheel" for found in SERVERS):
        absent("no server from a wheel: pip install 'holdfast[server]'")
    assert len({found.path.resolve() for found in SERVERS}) == len(SERVERS)


@pytest.mark.parametrize("clock", [True, False])
def test_a_server_answers_by_its_url_and_by_its_socket_and_says_what_it_is(binary: ServerBinary, clock: bool) -> None:
    with RealServer.start(binary, clock=clock) as server:
        field = f"{server.flavour}_version" if server.flavour == "valkey" else "redis_version"
        with redis.Redis.from_url(server.url) as tcp, redis.Redis(unix_socket_path=str(server.unix_socket)) as unix:
            tcp.set("a", 1)
            assert unix.get("a") == b"1"
            assert tcp.info("server")[field] == server.version == binary.version
            assert tcp.info("server")["process_id"] == server.pid
            assert tcp.config_get("save") == {"save": ""}
            assert tcp.config_get("appendonly") == {"appendonly": "no"}


def test_nothing_is_left_when_a_server_has_stopped(server: RealServer) -> None:
    assert is_open(server.port)
    server.stop()
    server.stop()
    assert not is_open(server.port)
    assert not server.folder.exists()
    assert not list(Path("/dev/shm").glob(f"*faketime*_{server.pid}"))
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_a_stopped_server_says_that_it_was_stopped(server: RealServer) -> None:
    server.stop()
    for call in (server.time_ms, server.log, lambda: server.set_time(EPOCH_MS)):
        with pytest.raises(ServerStoppedError, match="was stopped: start another one"):
            call()


def test_the_log_tells_how_the_server_came_up(server: RealServer) -> None:
    assert "eady to accept connections" in server.log()


def test_a_server_ends_when_the_block_that_uses_it_raises(binary: ServerBinary) -> None:
    with pytest.raises(KeyboardInterrupt), RealServer.start(binary) as server:
        raise KeyboardInterrupt
    assert not is_open(server.port)


def test_a_server_that_no_longer_runs_its_code_is_ended_too(server: RealServer) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    assert not is_open(server.port)
    assert not list(Path("/dev/shm").glob(f"*faketime*_{server.pid}"))


def test_a_server_that_died_by_itself_leaves_nothing_either(server: RealServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ServerClockError, match="did not say its time"):
        server.set_time(EPOCH_MS + 1)
    server.stop()
    assert not server.folder.exists()


def test_a_server_dies_with_the_process_that_started_it(binary: ServerBinary) -> None:
    command = [sys.executable, "-c", OWNER, str(binary.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        port, _, folder = owner.stdout.readline().strip().partition(" ")
        with socket.create_connection(("127.0.0.1", int(port)), timeout=WAIT_S) as connection:
            assert Path(folder).exists()
            connection.sendall(b"PING\r\n")
            assert connection.recv(100) == b"+PONG\r\n"
            owner.kill()
            assert connection.recv(1) == b""  # the server let go


def test_two_servers_have_nothing_in_common(server: RealServer, binary: ServerBinary, client: redis.Redis) -> None:
    with RealServer.start(binary) as other, redis.Redis.from_url(other.url) as of_other:
        other.set_time(EPOCH_MS + HOUR_MS)
        of_other.set("a", 1)
        assert server.port != other.port
        assert server.time_ms() == EPOCH_MS
        assert client.exists("a") == 0


def test_the_clock_stands_still_at_the_epoch(server: RealServer, client: redis.Redis) -> None:
    assert server.why_no_clock is None
    assert {client.time()[0] * 1000 + client.time()[1] // 1000 for _ in range(1000)} == {EPOCH_MS}
    assert client.xadd("stream", {"a": 1}) == f"{EPOCH_MS}-0".encode()


@pytest.mark.parametrize("moment", [0, 1, EPOCH_MS + 999, EPOCH_MS - 1, EPOCH_MS + 90_061_007, 253_402_300_799_999])
def test_the_clock_moves_to_the_very_millisecond_and_back(server: RealServer, client: redis.Redis, moment: int) -> None:
    for target in (moment, EPOCH_MS, moment):
        server.set_time(target)
        seconds, microseconds = client.time()
        assert seconds * 1000 + microseconds // 1000 == target
        assert server.time_ms() == target


def test_every_millisecond_of_a_second_can_be_had(server: RealServer) -> None:
    for millisecond in range(1000):
        server.set_time(EPOCH_MS + millisecond)
    assert server.statistics().clock_moves == 1000
    assert 1 <= server.statistics().clock_polls_max <= server.statistics().clock_polls


@pytest.mark.parametrize(
    ("after_ms", "left_ms", "exists"), [(0, 5000, 1), (4999, 1, 1), (5000, 0, 1), (5001, -2, 0), (HOUR_MS, -2, 0)]
)
def test_a_key_is_there_in_its_last_millisecond_and_gone_in_the_next(
    server: RealServer, client: redis.Redis, after_ms: int, left_ms: int, exists: int
) -> None:
    client.set("a", 1, px=5000)
    server.set_time(EPOCH_MS + after_ms)
    assert client.pttl("a") == left_ms
    assert client.exists("a") == exists
    assert client.eval("return redis.call('EXISTS', KEYS[1])", 1, "a") == exists
    assert len(client.keys()) == exists


def test_going_back_gives_a_key_its_time_again(server: RealServer, client: redis.Redis) -> None:
    server.set_time(EPOCH_MS + HOUR_MS)
    client.set("a", 1, px=5000)
    server.set_time(EPOCH_MS)
    assert client.pttl("a") == HOUR_MS + 5000


def test_an_expired_key_is_announced_although_the_clock_stands_still(server: RealServer, client: redis.Redis) -> None:
    client.config_set("notify-keyspace-events", "Ex")
    with client.pubsub() as subscription:  # type: ignore[no-untyped-call]
        subscription.psubscribe("__keyevent@0__:expired")
        assert subscription.get_message(timeout=WAIT_S)["type"] == "psubscribe"
        client.set("a", 1, px=5000)
        server.set_time(EPOCH_MS + 5001)
        assert subscription.get_message(timeout=WAIT_S)["data"] == b"a"


def test_a_blocked_client_times_out_by_the_clock_that_we_move(server: RealServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as blocked:
        blocked.sendall(b"BLPOP nothing 3600\r\n")
        with redis.Redis.from_url(server.url) as other:
            while other.info("clients")["blocked_clients"] == 0:  # it arrives on its own connection
                pass
        server.set_time(EPOCH_MS + HOUR_MS + 1)
        assert blocked.recv(100) == b"*-1\r\n"


def test_a_blocked_client_is_served_while_the_clock_stands_still(server: RealServer, client: redis.Redis) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as blocked:
        blocked.sendall(b"BLPOP queue 1\r\n")
        client.rpush("queue", "a")
        assert blocked.recv(100) == b"*2\r\n$5\r\nqueue\r\n$1\r\na\r\n"


@pytest.mark.parametrize("moment", [-1, 253_402_300_800_000])
def test_a_time_that_no_server_can_have_is_refused(server: RealServer, moment: int) -> None:
    with pytest.raises(ValueError, match=f"unix_ms={moment} "):
        server.set_time(moment)
    assert server.time_ms() == EPOCH_MS


def test_without_a_clock_a_server_runs_on_real_time_and_says_why(binary: ServerBinary) -> None:
    with RealServer.start(binary, clock=False) as server:
        assert not server.has_clock
        with pytest.raises(ServerClockError, match="cannot be moved: the server was started without"):
            server.set_time(EPOCH_MS)


def test_a_library_that_is_not_there_is_named(binary: ServerBinary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIBRARY_VARIABLE, "/nowhere/libfaketime.so.1")
    with RealServer.start(binary) as server:
        assert not server.has_clock
        assert server.why_no_clock == f"{LIBRARY_VARIABLE} names /nowhere/libfaketime.so.1, which is no file"


def test_a_library_that_moves_no_clock_is_noticed(
    binary: ServerBinary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = tmp_path / "libfaketime.so.1"
    library.write_text("no library")
    monkeypatch.setenv(LIBRARY_VARIABLE, str(library))
    with RealServer.start(binary) as server:
        assert not server.has_clock
        assert f"takes no notice of {library}" in (server.why_no_clock or "")
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()


def test_the_time_of_the_caller_is_not_that_of_the_server(
    binary: ServerBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKETIME", "1999-12-31 23:59:59")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    with RealServer.start(binary, time_ms=EPOCH_MS + 7) as server:
        if not server.has_clock:
            absent(f"the clock cannot be moved: {server.why_no_clock}")
        assert server.time_ms() == EPOCH_MS + 7


def test_one_of_several_servers_is_taken_when_none_is_named(binary: ServerBinary) -> None:
    with RealServer.start() as server:
        assert server.binary in SERVERS


def test_a_path_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "redis-server"
    with pytest.raises(NoServerError, match=rf"{missing} cannot be run \(No such file or directory\): give the path"):
        RealServer.start(missing)


def test_a_program_that_is_no_server_is_refused_by_what_it_said() -> None:
    with pytest.raises(NoServerError, match="said 'Python 3"):
        RealServer.start(sys.executable)


def test_without_any_server_the_message_says_what_to_install_and_what_was_unusable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = script(tmp_path, "exit 1")
    broken.write_text("#!/bin/sh\necho out of order\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("simulator.server.find_spec", lambda package: None)
    assert find_servers() == []
    with pytest.raises(NoServerError, match=r"(?s)apt install redis-server.*said 'out of order'"):
        RealServer.start()


@pytest.mark.parametrize(
    ("body", "what"),
    [("echo no memory; exit 3", "ended with exit code 3"), ("echo no memory; exec sleep 60", "did not answer for 1 s")],
)
@pytest.mark.parametrize("clock", [True, False])
def test_a_server_that_does_not_come_up_is_reported_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, what: str, clock: bool
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ServerStartError, match=rf"(?s){what}.*log:\n +no memory"):
        RealServer.start(script(tmp_path, body), clock=clock, wait_s=1)
    assert [path.name for path in tmp_path.iterdir()] == ["redis-server"]


def test_a_port_that_was_taken_meanwhile_is_left_to_who_took_it(
    binary: ServerBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as freed:
        ports = iter([taken.getsockname()[1], freed.getsockname()[1]])
        monkeypatch.setattr("simulator.server._free_port", lambda: next(ports))
        freed.close()
        with RealServer.start(binary, clock=False) as server:
            assert server.port != taken.getsockname()[1]


def test_a_temporary_folder_with_a_long_name_is_no_hindrance(
    binary: ServerBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with RealServer.start(binary) as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()
    assert not list(deep.iterdir())
