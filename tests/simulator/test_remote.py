"""A real server behind the gate, our own or somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from simulator.errors import BackendError
from simulator.remote import RemoteBackend, RemoteSession
from simulator.server import RealServer, find_servers
from simulator.world import World
from tests.conftest import SEED, absent

THEIRS = 5  # the database of theirs that is given to us


@pytest.fixture
def server(flavour: str, real_server: Callable[[str], RealServer]) -> RealServer:
    return real_server(flavour)


@pytest.fixture
def backend(server: RealServer) -> Iterator[RemoteBackend]:
    with RemoteBackend.on(server) as made:
        made.restart(0)
        yield made


@pytest.fixture
def theirs(server: RealServer) -> Iterator[redis.Redis]:
    """Somebody else's client, on another database of a server that is empty otherwise."""
    with redis.Redis(port=server.port, db=0, protocol=2) as client:
        client.flushall()
        yield client
        client.flushall()


@pytest.fixture
def url(server: RealServer) -> str:
    return f"redis://127.0.0.1:{server.port}/{THEIRS}"


@pytest.fixture
def short_lived() -> Iterator[RealServer]:
    """A server that a test may stop."""
    servers = find_servers()
    if not servers:
        absent("no server is installed: apt install redis-server")
    with RealServer.start(servers[0], clock=False) as started:
        yield started


def ask(session: RemoteSession, text: str) -> Any:
    (reply,) = session.execute(tuple(text.encode().split()))
    return reply


def test_it_says_what_it_is(backend: RemoteBackend, server: RealServer) -> None:
    assert backend.flavour == server.flavour
    assert backend.name == f"{server.flavour} {server.version}"
    assert backend.has_clock == server.has_clock


def test_an_error_reply_is_returned_and_the_next_reply_is_its_own(backend: RemoteBackend) -> None:
    for protocol in (2, 3):
        session = backend.open(0, protocol)
        assert isinstance(ask(session, "AUTH wrong"), redis.AuthenticationError)
        assert isinstance(ask(session, "NOSUCH"), redis.ResponseError)
        assert ask(session, "PING") == b"PONG"
        session.close()


def test_messages_are_there_as_soon_as_they_were_published(backend: RemoteBackend) -> None:
    for protocol in (2, 3):
        session, speaker = backend.open(0, protocol), backend.open(0, protocol)
        assert list(session.execute((b"SUBSCRIBE", b"a", b"b"))) == [[b"subscribe", b"a", 1], [b"subscribe", b"b", 2]]
        for number in range(100):
            assert ask(speaker, f"PUBLISH a {number}") == 1
            assert list(session.pushes()) == [[b"message", b"a", b"%d" % number]]
        assert list(session.pushes()) == []
        for subscribed in (session, speaker):
            subscribed.close()


def test_messages_that_nobody_looked_at_are_kept_in_order(backend: RemoteBackend) -> None:
    session, speaker = backend.open(0, 3), backend.open(0, 2)
    ask(session, "SUBSCRIBE a")
    ask(speaker, "PUBLISH a 1")
    assert ask(session, "GET none") is None
    ask(speaker, "PUBLISH a 2")
    assert list(session.execute((b"SUBSCRIBE", b"b"))) == [
        [b"message", b"a", b"1"],
        [b"message", b"a", b"2"],
        [b"subscribe", b"b", 2],
    ]


def test_subscribing_inside_a_transaction_waits_for_its_end(backend: RemoteBackend) -> None:
    session = backend.open(0, 2)
    assert ask(session, "MULTI") == b"OK"
    assert ask(session, "SUBSCRIBE a") == b"QUEUED"
    assert list(session.pushes()) == []
    assert ask(session, "EXEC") == [[b"subscribe", b"a", 1]]
    ask(backend.open(0, 2), "PUBLISH a 1")
    assert list(session.pushes()) == [[b"message", b"a", b"1"]]


def test_a_closed_session_ends_there_and_then(backend: RemoteBackend) -> None:
    other = backend.open(0, 2)
    for protocol in (2, 3):
        session = backend.open(0, protocol)
        ask(session, "SUBSCRIBE a")
        ask(other, "PUBLISH a 1")
        session.close()
        session.close()
        assert list(session.pushes()) == []
        assert ask(other, "PUBLISH a 2") == 0
        with pytest.raises(AssertionError, match="after it was closed"):
            ask(session, "PING")


def test_a_socket_is_used_again_by_the_next_session_as_if_it_were_new(backend: RemoteBackend) -> None:
    for protocol in (2, 3):
        session = backend.open(2, protocol)
        identity = ask(session, "CLIENT ID")
        for text in ("CLIENT SETNAME me", "WATCH a", "SELECT 7", "MULTI", "SET a 1"):
            ask(session, text)
        session.close()
        again = backend.open(2, protocol)
        assert ask(again, "CLIENT ID") == identity
        assert not ask(again, "CLIENT GETNAME")
        assert ask(again, "SET b 1") == b"OK"
        again.close()
    assert set(backend.dump()) == {2}


def test_settings_are_put_back_for_the_next_run(backend: RemoteBackend) -> None:
    def policy() -> Any:
        return ask(backend.open(0, 2), "CONFIG GET maxmemory-policy")[1]

    before = policy()
    for value in ("allkeys-lru", "allkeys-random"):
        assert ask(backend.open(0, 2), f"CONFIG SET maxmemory-policy {value}") == b"OK"
    assert isinstance(ask(backend.open(0, 2), "CONFIG SET nosuch 1"), redis.ResponseError)
    assert policy() == b"allkeys-random"
    backend.restart(0)
    assert policy() == before


@pytest.mark.parametrize("text", ["MONITOR", "CLIENT REPLY OFF", "HELLO 3", "RESET", "QUIT"])
def test_what_would_leave_us_without_replies_is_refused(backend: RemoteBackend, text: str) -> None:
    with pytest.raises(BackendError, match="changes how a connection speaks"):
        ask(backend.open(0, 2), text)


def test_a_clock_is_moved_only_when_it_has_to_be(backend: RemoteBackend, server: RealServer) -> None:
    if not server.has_clock:
        absent(f"the clock cannot be moved: {server.why_no_clock}")
    moves = server.statistics().clock_moves
    for now_ms in (5_000, 5_000, 6_000):
        backend.set_time(now_ms * 1_000_000 + 999_999)
        assert server.time_ms() == now_ms
    assert server.statistics().clock_moves == moves + 2


def test_a_clock_that_someone_else_moved_is_moved_back(backend: RemoteBackend, server: RealServer) -> None:
    if not server.has_clock:
        absent(f"the clock cannot be moved: {server.why_no_clock}")
    backend.set_time(5_000_000_000)
    server.set_time(9_000)
    backend.set_time(5_000_000_000)
    assert server.time_ms() == 5_000


def test_a_server_that_is_gone_is_said_to_be(short_lived: RealServer) -> None:
    with RemoteBackend.on(short_lived) as backend:
        session, idle = backend.open(0, 2), backend.open(0, 2)
        short_lived.stop()
        with pytest.raises(BackendError, match=r"does not answer any more: .* Was it stopped"):
            ask(session, "PING")
        with pytest.raises(BackendError, match="does not answer any more"):
            ask(session, "PING")
        idle.close()
        with pytest.raises(BackendError, match=r"no Redis can be used at .* Start it, or name another one"):
            backend.open(0, 2)


def test_a_database_of_theirs_that_is_empty_is_used_and_left_empty(url: str, theirs: redis.Redis) -> None:
    theirs.set("not ours", 1)
    with RemoteBackend.at(url) as backend:
        assert not backend.has_clock
        with World(SEED, backend) as world:
            world.perform(world.redis(db=THEIRS).set("ours", 1)).result()
            assert set(world.dump()) == {THEIRS}
            world.restart()
            assert world.dump() == {}
            world.perform(world.redis(db=THEIRS).set("ours", 1)).result()
    assert theirs.keys() == [b"not ours"]
    assert theirs.info("keyspace").keys() == {"db0"}
    backend.close()


@pytest.mark.parametrize(("keys", "words"), [(1, "1 key,"), (3, "3 keys,")])
def test_a_database_of_theirs_that_is_not_empty_is_refused(server: RealServer, url: str, keys: int, words: str) -> None:
    with redis.Redis.from_url(url, protocol=2) as owner:
        owner.flushall()
        owner.mset({f"k{number}": number for number in range(keys)})
        with pytest.raises(
            BackendError, match=f"database {THEIRS} of .* holds {words} .*Nothing was touched. Name another"
        ):
            RemoteBackend.at(url)
        assert owner.dbsize() == keys
        owner.flushall()


def test_another_database_of_theirs_is_refused(url: str, theirs: redis.Redis) -> None:
    with (
        RemoteBackend.at(url) as backend,
        pytest.raises(BackendError, match="asks for database 0, and only database 5"),
    ):
        backend.open(0, 2)


@pytest.mark.parametrize("text", ["SELECT 0", "FLUSHALL", "swapdb 0 5", "CONFIG SET a b", "MOVE a 0", "SHUTDOWN"])
def test_what_reaches_beyond_their_database_is_refused(url: str, theirs: redis.Redis, text: str) -> None:
    with RemoteBackend.at(url) as backend, pytest.raises(BackendError, match="reaches beyond database 5 of"):
        ask(backend.open(THEIRS, 2), text)
    assert theirs.ping()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("http://localhost", "that is no address of a Redis: .* One looks like redis://localhost/15"),
        ("redis://127.0.0.1:1/0", "no Redis can be used at 127.0.0.1:1: .* Start it, or name another one"),
        ("unix:///nowhere/redis.sock", "no Redis can be used at /nowhere/redis.sock: "),
        ("redis://127.0.0.1:1/0?colour=red", "no Redis can be used at 127.0.0.1:1: .*colour"),
    ],
)
def test_an_address_at_which_nothing_answers_is_refused(wrong: str, words: str) -> None:
    with pytest.raises(BackendError, match=words):
        RemoteBackend.at(wrong)


def test_a_password_is_given_and_asked_for_again_after_each_session(short_lived: RealServer) -> None:
    with redis.Redis(port=short_lived.port) as owner:
        owner.config_set("requirepass", "secret")
    for protocol in (2, 3):
        with RemoteBackend.at(f"redis://:secret@127.0.0.1:{short_lived.port}/1") as backend:
            for _ in range(2):
                session = backend.open(1, protocol)
                assert ask(session, "PING") == b"PONG"
                session.close()
    with pytest.raises(BackendError, match="no Redis can be used at") as caught:
        RemoteBackend.at(f"redis://:guess@127.0.0.1:{short_lived.port}/1")
    assert "guess" not in str(caught.value)


def test_what_cannot_be_emptied_is_said(short_lived: RealServer) -> None:
    with redis.Redis(port=short_lived.port) as owner:
        owner.execute_command("ACL", "SETUSER", "weak", "on", ">secret", "~*", "&*", "+@all", "-flushdb")
    backend = RemoteBackend.at(f"redis://weak:secret@127.0.0.1:{short_lived.port}/1")
    with pytest.raises(BackendError, match=r"refused FLUSHDB: .* A run begins with it"):
        backend.restart(0)
    with pytest.raises(BackendError, match="refused FLUSHDB"):
        backend.close()


def test_a_server_that_says_nothing_of_itself_is_refused(short_lived: RealServer) -> None:
    with redis.Redis(port=short_lived.port) as owner:
        owner.execute_command("ACL", "SETUSER", "mute", "on", ">secret", "~*", "+@all", "-info")
    with pytest.raises(BackendError, match="does not say what it is"):
        RemoteBackend.at(f"redis://mute:secret@127.0.0.1:{short_lived.port}/1")


def test_a_server_that_is_too_old_is_refused(server: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteBackend, "_info", lambda self, section: {"redis_version": "6.0.16"})
    with pytest.raises(BackendError, match=r"is redis 6.0.16: 6.2 is the oldest that knows RESET"):
        RemoteBackend.on(server)


def test_a_server_without_functions_will_do(backend: RemoteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteBackend, "_flush", lambda self: [(b"FLUSHALL",), (b"FUNCTION", b"NOSUCH")])
    ask(backend.open(0, 2), "SET a 1")
    backend.restart(0)
    assert backend.dump() == {}
