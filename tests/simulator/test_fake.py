"""fakeredis behind the gate, and what we put right in it."""

from __future__ import annotations

from typing import Any

import pytest
from fakeredis import FakeServer

from simulator.errors import BackendError
from simulator.fake import VERSION, FakeBackend, FakeSession
from simulator.world import World
from tests.conformance.replies import CASES
from tests.conformance.test_replies import plain


@pytest.fixture
def backend(world: World) -> FakeBackend:
    """A backend of its own, at the time of the world."""
    return FakeBackend()


def ask(session: FakeSession, text: str) -> Any:
    (reply,) = session.execute(tuple(text.encode().split()))
    return reply


def test_it_says_what_it_is(backend: FakeBackend) -> None:
    assert backend.name.startswith("fakeredis 2.")
    assert backend.has_clock
    backend.close()


def test_an_emptied_server_is_like_a_new_one(backend: FakeBackend) -> None:
    session, watcher = backend.open(0, 2), backend.open(1, 3)
    for text in ("SET a 1 PX 5", "SUBSCRIBE c", "CONFIG SET x y", "CLIENT PAUSE 5", "ACL SETUSER me on >secret"):
        backend.open(0, 2).execute(tuple(text.encode().split()))
    ask(session, "SCRIPT LOAD x")
    ask(session, "SCAN 0")
    backend.open(0, 2).execute((b"FUNCTION", b"LOAD", b"#!lua name=mine\nredis.register_function('f', function() end)"))
    ask(watcher, "WATCH a")
    backend.restart(0)
    fresh, emptied = vars(FakeServer(version=VERSION)), vars(backend._server)
    ours = {name for name in emptied.keys() - fresh.keys() if not name.startswith("_lua_")}
    assert ours == {"_own", "has_run_scripts"}
    for name, part in fresh.items():
        assert isinstance(emptied[name], type(part)), name
        assert _held(emptied[name]) == _held(part), name


# What stays with a socket, or is made anew each time; the number is of the process's own counting, and nobody is told.
KEPT = {"_server", "_db", "_fileno", "_parser", "responses", "response_ready"}
OURS = {"_about_client", "_as_made", "_containers", "_scripted"}
CONCERNS_ITS_CONNECTION = (
    ("CLIENT SETNAME me", "CLIENT SETINFO LIB-NAME x", "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON"),
    ("SELECT 5", "SET a 1", "CLIENT REPLY OFF", "GET a"),
    ("CLIENT REPLY SKIP",),
    ("HELLO 2 SETNAME me",),
    ("WATCH a", "MULTI", "GET", "SET a 2"),
    ("MULTI", "SET a 1", "EXEC", "WATCH b", "SET b 1", "MULTI"),
    ("SUBSCRIBE a b", "PSUBSCRIBE c", "SSUBSCRIBE d"),
    ("ACL SETUSER me on >secret +@all ~*", "AUTH me secret"),
    ("EVAL return(redis.setresp(3)) 0", "HSETEX h EX 5 FIELDS 1 a 1"),
    ("CLIENT KILL ID 1",),
)


@pytest.mark.parametrize("said", CONCERNS_ITS_CONNECTION, ids=" ".join)
def test_a_session_on_a_socket_that_served_another_is_like_one_on_a_new_one(
    backend: FakeBackend, said: tuple[str, ...]
) -> None:
    session = backend.open(1, 3)
    used = session._socket
    for text in said:
        session.execute(tuple(text.encode().split()))
    session.close()
    backend.restart(0)
    again, new = backend.open(0, 2)._socket, FakeBackend().open(0, 2)._socket
    assert again is used
    assert again is not None
    assert new is not None
    assert vars(again).keys() == vars(new).keys()
    for name in vars(new).keys() - OURS - KEPT:
        assert vars(again)[name] == vars(new)[name], name
    assert again._db is again._server.dbs[0]
    assert again._scripted is backend.scripted


def test_of_what_fakeredis_keeps_of_a_connection_we_know_how_it_begins_anew(backend: FakeBackend) -> None:
    socket = backend.open(0, 2)._socket
    assert socket is not None
    changing = {
        name for name, part in vars(socket).items() if not isinstance(part, (int, str, tuple, type, type(None)))
    }
    anew = {name for name, _ in socket._containers} | {"_client_info"}
    assert changing == anew | KEPT - {"_fileno"} | OURS


def test_a_closed_session_is_not_used_again(backend: FakeBackend) -> None:
    session = backend.open(0, 2)
    session.close()
    with pytest.raises(AssertionError, match="after it was closed"):
        session.execute((b"PING",))
    with pytest.raises(AssertionError, match="after it was closed"):
        session.pushes()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_a_plain_command_is_answered_as_by_fakeredis_itself(world: World, case: str, protocol: int) -> None:
    def answers(backend: FakeBackend) -> list[Any]:
        session = backend.open(0, protocol)
        return [_answer(session, sent.command) for sent in CASES[case]]

    class Slow(FakeBackend):
        def open(self, database: int, protocol: int) -> FakeSession:
            session = super().open(database, protocol)
            assert session._socket is not None
            session._socket._is_plain = lambda: False  # type: ignore[method-assign]
            return session

    assert plain(answers(FakeBackend())) == plain(answers(Slow()))


def _answer(session: FakeSession, command: tuple[bytes, ...]) -> Any:
    try:
        return list(session.execute(command))
    except BackendError as error:
        return error


FUNCTIONS = b"""#!lua name=mine
redis.register_function('drawn', function() return math.random(1000000) end)"""


def test_functions_are_forgotten_and_their_chance_begins_again(backend: FakeBackend) -> None:
    drawn = []
    for _ in range(2):
        session = backend.open(0, 2)
        assert ask(session, "FUNCTION LIST") == []
        session.execute((b"FUNCTION", b"LOAD", FUNCTIONS))
        drawn.append([ask(session, "FCALL drawn 0") for _ in range(3)])
        backend.restart(0)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3
    assert isinstance(ask(backend.open(0, 2), "FCALL drawn 0"), Exception)


def test_chance_in_scripts_begins_again_with_each_run_even_where_a_script_seeds_it(backend: FakeBackend) -> None:
    def drawn(first: str) -> list[Any]:
        backend.restart(0)
        session = backend.open(0, 2)
        return [
            session.execute((b"EVAL", script.encode(), b"0"))[0] for script in (first, "return math.random(1000000)")
        ]

    plain, seeded = drawn("return 1"), drawn("math.randomseed(7) return 1")
    assert plain != seeded
    assert drawn("return 1") == plain
    assert drawn("math.randomseed(7) return 1") == seeded


def _held(value: Any) -> Any:
    """What of a server's parts can be compared."""
    if isinstance(value, (dict, list)):
        return len(value)
    if hasattr(value, "as_rules"):
        return value.as_rules(), len(value.log(100))
    return value if isinstance(value, (int, float, bytes, str, tuple)) else None


def test_a_refusal_by_access_rules_is_forgotten_too(backend: FakeBackend) -> None:
    session = backend.open(0, 2)
    ask(session, "ACL SETUSER me on >secret +get ~*")
    ask(session, "AUTH me secret")
    assert isinstance(ask(session, "SET a 1"), Exception)
    backend.restart(0)
    assert ask(backend.open(0, 2), "ACL USERS") == [b"default"]
    assert ask(backend.open(0, 2), "ACL LOG") == []


def test_a_log_of_refusals_alone_is_forgotten_too(backend: FakeBackend) -> None:
    ask(backend.open(0, 2), "AUTH me wrong")
    backend.restart(0)
    assert ask(backend.open(0, 2), "ACL LOG") == []


def test_a_closed_session_is_not_subscribed_and_closing_twice_does_nothing(backend: FakeBackend) -> None:
    session, other = backend.open(0, 2), backend.open(0, 2)
    for command in (b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE"):
        session.execute((command, b"c"))
        other.execute((command, b"c"))
    session.close()
    session.close()
    asking = backend.open(0, 2)
    assert ask(asking, "PUBLISH c x") == 2
    assert ask(asking, "SPUBLISH c x") == 2
    assert ask(asking, "PUBSUB CHANNELS") == [b"c"]
    other.close()
    assert ask(asking, "PUBSUB CHANNELS") == []
    assert ask(asking, "PUBSUB NUMPAT") == 0


def test_a_message_waits_until_someone_looks(backend: FakeBackend) -> None:
    session = backend.open(0, 2)
    ask(session, "SUBSCRIBE c")
    ask(backend.open(0, 2), "PUBLISH c x")
    assert session.pushes() == [[b"message", b"c", b"x"]]
    assert session.pushes() == []


def test_a_command_on_which_fakeredis_fails_is_named(backend: FakeBackend) -> None:
    session = backend.open(0, 2)
    ask(session, "SET a 1")
    with pytest.raises(
        BackendError, match=r"fakeredis fails on XREAD STREAMS a 0: AttributeError: .* A real server can do it"
    ):
        ask(session, "XREAD STREAMS a 0")


def test_many_keys_expire_each_in_its_own_millisecond(backend: FakeBackend, world: World) -> None:
    session = backend.open(0, 2)
    for number in range(1, 200):
        ask(session, f"SET k{number} 1 PX {number}")
    for number in range(1, 200):
        world.advance(0.001)
        assert ask(session, f"EXISTS k{number}") == 1
        assert ask(session, "DBSIZE") == 200 - number
    world.advance(0.001)
    assert backend.dump() == {}


def test_a_key_that_got_another_time_to_live_does_not_expire_by_the_old_one(backend: FakeBackend, world: World) -> None:
    session = backend.open(0, 2)
    ask(session, "SET k 1 PX 5")
    ask(session, "PEXPIRE k 500")
    ask(session, "SET gone 1 PX 5")
    ask(session, "DEL gone")
    world.advance(0.1)
    assert ask(session, "DBSIZE") == 1
    assert backend.dump()[0][b"k"].ttl_ms == 400


def test_a_database_that_is_empty_again_is_left_out(backend: FakeBackend) -> None:
    session = backend.open(4, 2)
    ask(session, "SET a 1")
    assert set(backend.dump()) == {4}
    ask(session, "DEL a")
    assert backend.dump() == {}
