"""Operations at once: textbook races are found and worded right, correct services show none, witnesses replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from characterization import Subject, World, operation, small
from characterization.command_line import run
from characterization.errors import ExitCode
from characterization.performing import Performer
from characterization.program import Program, parse
from characterization.racing import Contest, Race
from simulator.explore import NothingSeenError
from simulator.schedule import DivergedError, Schedule
from simulator.seed import Seed

UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Races(Subject):
    """Services that are wrong when two do it at once, and the same done right."""

    name = "races"
    keys = {"seen": "seen", "n": "n", "lock:{name}": "lock({name})"}  # noqa: RUF012 - as a user writes it

    def replica(self, world: World) -> Any:
        return world.redis()

    @operation(relay=small("r1"))
    async def check_then_mark(self, redis: Any, relay: str) -> str:
        if await redis.sismember("seen", relay):
            return "again"
        await redis.sadd("seen", relay)
        return "first"

    @operation(relay=small("r1"))
    async def mark(self, redis: Any, relay: str) -> str:
        return "first" if await redis.sadd("seen", relay) else "again"

    @operation()
    async def read_and_write(self, redis: Any) -> None:
        await redis.set("n", int(await redis.get("n") or 0) + 1)

    @operation()
    async def increment(self, redis: Any) -> int:
        return int(await redis.incr("n"))

    @operation(owner=small("a", "b"))
    async def acquire(self, redis: Any, owner: str) -> bool:
        return bool(await redis.set("lock:x", owner, nx=True, ex=10))

    @operation(owner=small("a", "b"))
    async def look_and_release(self, redis: Any, owner: str) -> bool:
        return await redis.get("lock:x") == owner.encode() and bool(await redis.delete("lock:x"))

    @operation(owner=small("a", "b"))
    async def release(self, redis: Any, owner: str) -> bool:
        return bool(await redis.eval(UNLOCK, 1, "lock:x", owner))

    @operation()
    async def nothing(self, redis: Any) -> None:
        """Does not ask Redis for anything."""


@contextmanager
def contest(*calls: str, after: str = "", replicas: int = 2, seed: int = 1) -> Iterator[Contest]:
    with World(Seed(seed)) as world:
        performer = Performer(Races(), world, replicas)
        parts = [parse(text).parts[0] for text in calls]
        yield Contest(performer, parse(after), parts)  # type: ignore[arg-type]  # they are calls


def explored(*calls: str, after: str = "", replicas: int = 2, seed: int = 1) -> Race:
    with contest(*calls, after=after, replicas=replicas, seed=seed) as found:
        return found.explore()


@pytest.mark.parametrize("workers", [2, 3])
def test_who_checks_and_then_marks_can_be_first_with_others(workers: int) -> None:
    race = explored(*(f"check_then_mark r1 @{1 + n % 2}" for n in range(workers)))
    assert race.certificate.complete
    assert ("'first'",) * workers in [outcome.answers for outcome in race.anomalies]


@pytest.mark.parametrize(
    ("calls", "after"),
    [
        (("mark r1", "mark r1 @2"), ""),
        (("mark r1", "mark r1", "mark r1 @2"), ""),
        (("increment", "increment @2"), "increment"),
        (("release a", "acquire b @2"), "acquire a"),
        (("acquire a", "acquire b @2"), ""),
    ],
)
def test_what_is_done_in_one_step_has_only_outcomes_that_some_order_has(calls: tuple[str, ...], after: str) -> None:
    race = explored(*calls, after=after)
    assert race.certificate.complete
    assert race.outcomes
    assert not race.anomalies


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_lost_update_is_named_by_the_two_accesses_that_raced(replicas: int) -> None:
    race = explored("read_and_write", f"read_and_write @{replicas}", replicas=replicas)
    (anomaly,) = race.anomalies
    assert anomaly.effects == ("+ n (string) ttl none", "n = 1")
    assert anomaly.between == "between client 1's GET and SET of n, client 2 wrote it (SET)"
    assert [(step.client, step.commands) for step in anomaly.steps if step.client == 2] == [
        (2, ("GET n",)), (2, ("SET n 1",)),
    ]  # fmt: skip


def test_a_lock_can_be_released_by_a_stranger_when_looking_and_deleting_are_two_steps() -> None:
    race = explored("look_and_release a", "look_and_release a @2", "acquire b @2", after="acquire a")
    assert any("- lock(x)" in outcome.effects and "True" in outcome.answers[2:] for outcome in race.outcomes)
    assert race.anomalies


def test_every_outcome_replays_from_its_schedule() -> None:
    with contest("check_then_mark r1", "check_then_mark r1 @2") as found:
        race = found.explore()
        for outcome in race.outcomes:
            (again,) = found.again(Schedule.parse(outcome.schedule)).outcomes
            assert again == outcome


def test_a_schedule_that_no_longer_fits_is_refused_and_not_bent() -> None:
    with contest("mark r1", "mark r1 @2") as found, pytest.raises(DivergedError, match="step"):
        found.again(Schedule.parse("1*5 2"))


def test_what_is_found_does_not_depend_on_the_seed() -> None:
    assert explored("read_and_write", "check_then_mark r1 @2", seed=1) == explored(
        "read_and_write", "check_then_mark r1 @2", seed=2
    )


def test_what_is_too_large_is_sampled_and_says_so() -> None:
    with contest("check_then_mark r1", "check_then_mark r1 @2") as found:
        race = found.explore(runs_max=1)
    assert not race.certificate.complete
    assert 0 <= race.unseen < 1
    assert race.anomalies


def test_operations_that_never_ask_redis_cannot_be_put_in_order() -> None:
    with pytest.raises(NothingSeenError, match="no step at the gate"):
        explored("nothing", "nothing @2")


def test_a_race_starts_from_where_its_prelude_leads() -> None:
    race = explored("check_then_mark r1", "check_then_mark r1 @2", after="mark r1")
    assert [outcome.answers for outcome in race.outcomes] == [("'again'", "'again'")]
    assert race.prelude == "mark r1"
    assert Program(parse("mark r1").parts).text == race.prelude


# The command.

SUBJECT = f"{__name__}:Races"


def test_explore_shows_each_outcome_and_the_line_that_shows_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["explore", SUBJECT, "check_then_mark", "check_then_mark", "--replicas", "2"])
    printed = capsys.readouterr().out
    assert code == ExitCode.AS_PINNED
    assert "ANOMALY: no order of the same calls has it" in printed
    again = next(line for line in printed.splitlines() if "--schedule '1 2" in line)
    assert "explore races 'check_then_mark r1' 'check_then_mark r1 @2' --replicas 2" in again
    schedule = again.rpartition("--schedule ")[2].strip("'")
    assert (
        run(["explore", SUBJECT, "check_then_mark r1", "check_then_mark r1", "--replicas", "2", "--schedule", schedule])
        == 0
    )
    assert "one schedule, again" in capsys.readouterr().out


def test_explore_answers_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explore", SUBJECT, "increment", "increment", "--json", "--from", "increment"]) == 0
    (race,) = json.loads(capsys.readouterr().out)
    assert race["prelude"] == "increment"
    assert race["certificate"]["complete"] is True
    assert [outcome["serial"] for outcome in race["outcomes"]] == [True, True]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["increment"], "name two calls or more"),
        (["increment", "clock +3s"], "is not a call"),
        (["increment", "frobnicate"], "has no operation called 'frobnicate'"),
        (["increment", "mark r9"], "has no relay called 'r9'"),
        (["increment", "increment", "--schedule", "1**2"], "1**2"),
        (["increment", "increment", "--schedule", "3"], "schedule"),
        (["increment", "increment", "--from", "nonsense"], "has no operation called 'nonsense'"),
    ],
)
def test_explore_says_what_is_wrong(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["explore", SUBJECT, *arguments]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
