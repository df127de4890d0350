"""Which Redis: the fake one, a server of our own, or somebody's, of which nothing is touched that is not empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from characterization.errors import ExitCode
from characterization.servers import redis_choice
from simulator.errors import BackendError
from simulator.server import RealServer
from tests.characterization.projects import Project, files


@pytest.fixture
def server(real_server: Callable[[str], RealServer]) -> Iterator[RealServer]:
    """A real server, empty before and after."""
    started = real_server("redis")
    with redis.Redis.from_url(started.url) as client:
        client.flushall()
        yield started
        client.flushall()


def test_the_fake_one_has_a_clock() -> None:
    with redis_choice("fake") as choice:
        assert (choice.flavour, choice.real, choice.has_clock) == ("fakeredis", False, True)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("nonsense", "that is no address of a Redis"),
        ("", "that is no address of a Redis"),
        ("redis://127.0.0.1:1/0", "no Redis can be used at 127.0.0.1:1"),
    ],
)
def test_a_redis_that_cannot_be_used_is_named(asked: str, says: str) -> None:
    with pytest.raises(BackendError, match=says), redis_choice(asked):
        pass


def test_a_database_that_is_not_empty_is_refused_and_left_alone(server: RealServer, project: Project) -> None:
    before = files(project.folder)
    with redis.Redis.from_url(server.url) as client:
        client.set("precious", "yes")
        for command in ("check", "record"):
            refused = project.run(command, "--redis", server.url)
            assert refused.code == ExitCode.USAGE
            assert "holds 1 key, and would be emptied. Nothing was touched" in refused.err
        assert client.keys() == [b"precious"]
        assert client.get("precious") == b"yes"
    assert files(project.folder) == before


def test_an_empty_database_is_used_and_left_empty(server: RealServer, project: Project) -> None:
    checked = project.run("check", "--redis", server.url)
    assert checked.code == ExitCode.INCONCLUSIVE, checked.err  # its clock is not ours to move
    assert "could not be run" in checked.out
    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 0
    assert not (project.folder / ".holdfast").exists()


def test_what_another_redis_shows_is_never_promoted_in_place_of_the_baseline(
    server: RealServer, project: Project
) -> None:
    project.change_the_answer()
    checked = project.run("check", "--redis", server.url)
    assert checked.code == ExitCode.CHANGED
    assert "holdfast record` with the same --redis" in checked.out
    assert project.run("accept", "shop.basket").code == ExitCode.NOTHING_SELECTED


def test_a_recording_on_another_redis_pins_what_differs_beside_the_baseline(
    server: RealServer, project: Project
) -> None:
    recorded = project.run("record", "--redis", server.url, "--json")
    assert recorded.code == ExitCode.INCONCLUSIVE, recorded.err
    assert [each["subject"] for each in recorded.json] == ["shop.basket"]
    assert not (project.pinned / "backends").exists()
    project.change_the_answer()
    project.run("record", "--redis", server.url)
    assert "'put'" in (project.pinned / "backends" / "redis.txt").read_text()
    assert "'put'" not in (project.pinned / "graph.txt").read_text()


EXPIRES_AT_ONCE = """
from characterization import Subject, operation, seconds

class AtOnce(Subject):
    name = "at.once"
    horizons = (seconds(10),)

    def replica(self, world):
        return world.redis()

    @operation()
    async def set_and_expire_now(self, redis):
        await redis.set("k", 1)
        return await redis.pexpire("k", 0)
"""


@pytest.fixture
def at_once(project: Project) -> str:
    """A subject on which fakeredis and a real server differ: there a key that expires now is gone now."""
    project.write("at_once.py", EXPIRES_AT_ONCE)
    assert project.run("record", "at_once:AtOnce").code == ExitCode.AS_PINNED
    return "at_once:AtOnce"


def test_where_a_real_server_differs_from_fakeredis_it_is_shown_then_pinned_and_then_as_pinned(
    server: RealServer, project: Project, at_once: str
) -> None:
    shown = project.run("check", at_once, "--redis", "server")
    assert shown.code == ExitCode.CHANGED
    assert "before  + k (string) ttl 0s" in shown.out
    assert "shown by   set_and_expire_now" in shown.out
    before = files(project.folder / "pinned" / "at.once")
    assert project.run("record", at_once, "--redis", "server").code == ExitCode.AS_PINNED
    after = files(project.folder / "pinned" / "at.once")
    assert after["graph.txt"] == before["graph.txt"]
    assert project.run("check", at_once, "--redis", "server").code == ExitCode.AS_PINNED
    assert project.run("check", at_once).code == ExitCode.AS_PINNED


def test_what_could_not_be_run_again_on_another_redis_stays_pinned(
    server: RealServer, project: Project, at_once: str
) -> None:
    with redis_choice("server") as choice:
        if (choice.flavour, choice.has_clock) != ("redis", True):
            pytest.skip("needs redis-server and libfaketime")
    project.run("record", at_once, "--redis", "server")
    pinned = project.folder / "pinned" / "at.once" / "backends" / "redis.txt"
    before = pinned.read_text()
    assert "set_and_expire_now ; clock +9.999s" in before
    assert project.run("record", at_once, "--redis", server.url).code == ExitCode.INCONCLUSIVE
    assert pinned.read_text() == before


def test_a_server_of_our_own_is_started_and_ended(server: RealServer) -> None:
    with redis_choice("server") as choice:
        assert choice.real
        assert choice.flavour in ("redis", "valkey")
        assert choice.has_clock or choice.why


def test_a_behaviour_is_replayed_on_a_real_server(server: RealServer, project: Project) -> None:
    replayed = project.run("replay", project.idents()["add a"], "--redis", server.url)
    assert (replayed.code, "as pinned" in replayed.out) == (ExitCode.AS_PINNED, True), replayed.err
