"""Operations at once: textbook races are found and worded right, correct services show none, witnesses replay."""

from __future__ import annotations

import asyncio
import json
import shlex
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from characterization import Subject, World, operation, small
from characterization.command_line import run
from characterization.errors import ExitCode, SubjectError
from characterization.lenses.race import replicas_of
from characterization.performing import Performer
from characterization.program import parse
from characterization.racing import Contest, Race, orders
from simulator.backend import Backend
from simulator.remote import RemoteBackend
from simulator.schedule import DivergedError, Schedule
from simulator.seed import Seed
from simulator.server import RealServer

UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Races(Subject):
    """Services that are wrong when two do it at once, and the same done right."""

    name = "races"
    keys = {"seen": "seen", "n": "n", "lock:{name}": "lock({name})"}  # noqa: RUF012 - as a user writes it

    def replica(self, world: World) -> Any:
        return world.redis(socket_timeout=None)

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

    @operation()
    async def wait_for_both(self, redis: Any) -> None:
        """Waits until somebody else is there."""
        if await redis.incr("here") == 1:
            await redis.blpop("go", 0)
        else:
            await redis.rpush("go", "now")

    @operation(first=small("a", "b"))
    async def lock_both(self, redis: Any, first: str) -> str:
        """Takes two locks, in an order that the caller chooses, and waits for the second for ever."""
        for name in sorted("ab", key=lambda each: each != first):
            while not await redis.set(f"lock:{name}", "me", nx=True):
                await redis.blpop(f"freed:{name}", 0)
        await redis.delete("lock:a", "lock:b")
        await redis.rpush("freed:a", 1)
        await redis.rpush("freed:b", 1)
        return "both"

    @operation()
    async def draw(self, redis: Any) -> str:
        token = uuid.uuid4().hex
        return token if await redis.set("lock:x", token, nx=True) else ""

    @operation()
    async def write_pair(self, redis: Any) -> None:
        """Writes two keys in one plain pipeline, which promises nothing."""
        async with redis.pipeline(transaction=False) as pipe:
            await pipe.set("left", 1).set("right", 1).execute()

    @operation()
    async def read_pair(self, redis: Any) -> list[Any]:
        return list(await redis.mget("left", "right"))

    @operation()
    async def give_up_soon(self, redis: Any) -> str:
        try:
            async with asyncio.timeout(1):
                await redis.get("n")
        except TimeoutError:
            return "too late"
        return "in time"

    @operation()
    async def extend(self, redis: Any) -> str:
        """Renews a lease that it has found to be there."""
        if await redis.get("lock:x"):
            await redis.set("lock:x", "renewed", ex=10)
            return "renewed"
        return "gone"


@contextmanager
def contest(
    spelled: str, seed: int = 1, schedules_max: int = 2000, backend: Backend | None = None
) -> Iterator[Contest]:
    program = parse(spelled)
    with World(Seed(seed), backend) as world:
        performer = Performer(Races(), world, replicas_of(Races, program))
        yield Contest(performer, program, schedules_max)


def explored(spelled: str, seed: int = 1) -> Race:
    with contest(spelled, seed) as found:
        return found.explore()


@pytest.mark.parametrize("workers", [2, 3])
def test_who_checks_and_then_marks_can_be_first_with_others(workers: int) -> None:
    race = explored(f"{{ {' || '.join(f'check_then_mark r1 @{1 + n % 2}' for n in range(workers))} }}")
    assert race.explored.complete
    assert ("'first'",) * workers in [outcome.answers for outcome in race.anomalies]


@pytest.mark.parametrize(
    "spelled",
    [
        "{ mark r1 || mark r1 @2 }",
        "{ mark r1 || mark r1 || mark r1 @2 }",
        "increment ; { increment || increment @2 }",
        "acquire a ; { release a || acquire b @2 }",
        "{ acquire a || acquire b @2 }",
        "{ draw || draw @2 }",
        "{ wait_for_both || wait_for_both @2 }",
        "acquire a ; { extend || clock +9s }",
    ],
)
def test_what_is_done_in_one_step_has_only_outcomes_that_some_order_has(spelled: str) -> None:
    race = explored(spelled)
    assert race.explored.complete
    assert race.outcomes
    assert not race.anomalies


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_lost_update_is_named_by_the_two_accesses_that_raced(replicas: int) -> None:
    race = explored(f"{{ read_and_write || {parse(f'read_and_write @{replicas}').text} }}")
    who = "replica" if replicas == 2 else "client"
    (anomaly,) = race.anomalies
    (witness,) = [each for each in race.witnesses if each.outcome is anomaly]
    assert anomaly.effects == ("+ n (string) ttl none", "n = 1")
    assert anomaly.interruption is not None
    assert anomaly.interruption.sentence == f"between {who} 1's GET and SET of n, {who} 2 wrote it (SET)"
    assert [(step.client, step.commands, step.contended) for step in witness.steps if step.client == 2] == [
        (2, ("GET n",), ("n",)), (2, ("SET n 1",), ("n",)),
    ]  # fmt: skip
    assert all(step.line.startswith("test_racing.py:") and "await redis" in step.line for step in witness.steps)


def test_a_lock_can_be_released_by_a_stranger_when_looking_and_deleting_are_two_steps() -> None:
    race = explored("acquire a ; { look_and_release a || look_and_release a @2 || acquire b @2 }")
    assert any("- lock(x)" in outcome.effects and "True" in outcome.answers[2:] for outcome in race.outcomes)
    assert race.anomalies


def test_a_lease_that_expires_between_looking_and_renewing_is_renewed_all_the_same() -> None:
    race = explored("acquire a ; { extend || clock +10.001s }")
    (anomaly,) = race.anomalies
    assert anomaly.answers == ("'renewed'",)
    assert "lock(x) ttl 10s" not in anomaly.effects
    assert anomaly.schedule == "1 clock 1"
    assert anomaly.interruption is not None
    assert anomaly.interruption.sentence == "between replica 1's GET and SET of lock(x), the clock moved"


def test_clients_that_wait_for_each_other_for_ever_are_an_outcome() -> None:
    race = explored("{ lock_both a || lock_both b @2 }")
    assert ("waits for ever", "waits for ever") in [outcome.answers for outcome in race.anomalies]
    assert ("'both'", "'both'") in [outcome.answers for outcome in race.outcomes if outcome.serial]


def test_what_only_a_split_pipeline_lets_happen_is_marked() -> None:
    (anomaly,) = explored("{ write_pair || read_pair @2 }").anomalies
    assert anomaly.answers == ("None", "[b'1', None]")
    assert anomaly.split
    both = explored("{ write_pair || read_and_write || read_and_write @2 }").anomalies
    assert {outcome.split for outcome in both} == {False}, (
        "what needs no split is not marked, where there is a pipeline"
    )


def test_every_outcome_replays_from_its_schedule() -> None:
    with contest("{ check_then_mark r1 || check_then_mark r1 @2 }") as found:
        race = found.explore()
        for witness in race.witnesses:
            assert found.again(Schedule.parse(witness.outcome.schedule)).witnesses == (witness,)


def test_a_schedule_that_no_longer_fits_is_refused_and_not_bent() -> None:
    with contest("{ mark r1 || mark r1 @2 }") as found, pytest.raises(DivergedError, match="step"):
        found.again(Schedule.parse("1*5 2"))


def test_what_is_found_does_not_depend_on_the_seed() -> None:
    spelled = "{ read_and_write || check_then_mark r1 @2 || draw }"
    assert replace(explored(spelled, seed=1), seed=0) == replace(explored(spelled, seed=2), seed=0)


def test_what_is_too_large_is_sampled_and_says_so_and_is_the_same_again() -> None:
    spelled = "{ check_then_mark r1 || check_then_mark r1 @2 || read_and_write @2 }"
    with contest(spelled, seed=1, schedules_max=20) as found:
        behaviour = found.behaviour()
    with contest(spelled, seed=2, schedules_max=20) as found:
        assert found.behaviour() == behaviour
    assert behaviour.explored.mode == "sampled"
    assert behaviour.explored.classes <= 21
    assert 0 <= behaviour.explored.unseen < 1
    assert behaviour.anomalies


def test_operations_that_never_ask_redis_cannot_be_put_in_order() -> None:
    with pytest.raises(SubjectError, match="no step at the gate"):
        explored("{ nothing || nothing @2 }")
    with contest("{ nothing || nothing @2 }") as found:
        assert found.behaviour().explored.mode == "orders"


def test_a_race_starts_from_where_its_prelude_leads() -> None:
    race = explored("mark r1 ; { check_then_mark r1 || check_then_mark r1 @2 }")
    assert [outcome.answers for outcome in race.outcomes] == [("'again'", "'again'")]


def test_each_client_may_have_several_calls_and_is_told_of_each() -> None:
    race = explored("{ increment ; nothing ; increment || mark r1 @2 }")
    assert {outcome.answers for outcome in race.outcomes} == {("1", "None", "2", "'first'")}
    at_once = parse("{ increment ; nothing || mark r1 || clock +1s }").at_once
    assert at_once is not None
    assert next(orders(at_once)) == (0, 0, 1, 2)


@pytest.mark.parametrize(
    "spelled",
    [
        "{ check_then_mark r1 || check_then_mark r1 @2 || check_then_mark r1 @3 }",
        "increment ; { read_and_write || read_and_write @2 }",
        "acquire a ; { look_and_release a || look_and_release a @2 || acquire b @2 }",
        "{ wait_for_both || wait_for_both @2 }",
        "{ lock_both a || lock_both b @2 }",
    ],
)
def test_every_witness_leads_to_its_outcome_on_a_real_server_too(
    spelled: str, real_server: Callable[[str], RealServer]
) -> None:
    race = explored(spelled)
    backend = RemoteBackend.on(real_server("redis"))
    try:
        with contest(spelled, backend=backend) as found:
            again = [found.again(Schedule.parse(outcome.schedule)).outcomes for outcome in race.outcomes]
    finally:
        backend.close()
    assert again == [(outcome,) for outcome in race.outcomes]


def test_what_waits_for_time_may_be_done_waiting_before_others_have_taken_their_steps() -> None:
    patient, racing = explored("{ give_up_soon || mark r1 @2 }"), explored("{ give_up_soon || mark r1 @2 || clock }")
    assert {outcome.answers[0] for outcome in patient.outcomes} == {"'in time'"}
    assert {outcome.answers[0] for outcome in racing.outcomes} == {"'in time'", "'too late'"}


# Pinned anomalies.


def test_an_anomaly_is_found_again_and_one_that_is_mended_says_what_became_of_its_witness() -> None:
    with contest("{ check_then_mark r1 || check_then_mark r1 @2 }") as found:
        pinned = found.behaviour()
        assert found.sighting(pinned) == found.sighting(pinned, only_witnesses=True)
        assert found.sighting(pinned).behaviour == pinned
    mended = replace(pinned, anomalies=tuple(replace(each, schedule="1 2") for each in pinned.anomalies))
    with contest("{ mark r1 || mark r1 @2 }") as found:
        sighting = found.sighting(mended)
        assert sighting.behaviour.anomalies == ()
        assert sighting.lost == {"1 2": "its witness now ends as the order 1 2 does"}
        (why,) = found.sighting(pinned).lost.values()
        assert why.startswith("its witness no longer replays: ")


def test_a_witness_that_still_leads_there_stays_as_it_is_pinned_and_one_that_does_not_is_looked_for_anew() -> None:
    with contest("{ check_then_mark r1 || check_then_mark r1 @2 }") as found:
        pinned = found.behaviour()
        (anomaly,) = pinned.anomalies
        for schedule, kept in (("1 2 1 2", "1 2 1 2"), ("1*2 2*2", anomaly.schedule), ("9", anomaly.schedule)):
            known = replace(pinned, anomalies=(replace(anomaly, schedule=schedule),))
            assert [each.schedule for each in found.sighting(known).behaviour.anomalies] == [kept]


def test_an_anomaly_that_a_sample_misses_is_not_gone_while_its_witness_leads_there() -> None:
    spelled = "{ check_then_mark r1 || check_then_mark r1 @2 || check_then_mark r1 @3 }"
    with contest(spelled) as found:
        pinned = found.behaviour()
    with contest(spelled, schedules_max=1) as found:
        assert len(found.behaviour().anomalies) < len(pinned.anomalies)
        sighting = found.sighting(pinned)
    assert {each.seen for each in sighting.behaviour.anomalies} == {each.seen for each in pinned.anomalies}
    assert sighting.lost == {}


# The command.

SUBJECT = f"{__name__}:Races"


def test_explore_shows_each_outcome_and_the_line_that_shows_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["explore", SUBJECT, "check_then_mark", "check_then_mark", "--replicas", "2"])
    printed = capsys.readouterr().out
    assert code == ExitCode.AS_PINNED
    assert "ANOMALY: no order of the same calls has it" in printed
    again = next(line for line in printed.splitlines() if "--schedule '1 2" in line)
    words = shlex.split(again.partition("holdfast ")[2])
    assert words[:2] == ["replay", "races: { check_then_mark r1 || check_then_mark r1 @2 }"]
    assert run([words[0], words[1].replace("races", SUBJECT, 1), *words[2:]]) == 0
    again = capsys.readouterr().out
    assert "one schedule, again" in again
    assert "not pinned" in again


def test_explore_answers_json_and_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "lanes.svg"
    arguments = ["explore", SUBJECT, "increment", "read_and_write", "--from", "increment", "--svg", str(picture)]
    assert run([*arguments, "--json"]) == 0
    (race,) = json.loads(capsys.readouterr().out)
    assert race["explored"]["mode"] == "all"
    assert [witness["outcome"]["serial"] for witness in race["witnesses"]] == [True, True, False]
    assert picture.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["increment"], "name two calls or more"),
        (["clock +3s", "clock +3s"], "name two calls or more"),
        (["increment", ""], "is not a call"),
        (["increment", "frobnicate"], "has no operation called 'frobnicate'"),
        (["increment", "mark r9"], "has no relay called 'r9'"),
        (["increment", "clock +x"], "is not a move of the clock"),
        (["acquire", "acquire", "--svg", "picture.svg"], "spell out both calls"),
        (["nothing", "nothing"], "no step at the gate"),
        (["increment", "increment", "--from", "nonsense"], "has no operation called 'nonsense'"),
    ],
)
def test_explore_says_what_is_wrong(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["explore", SUBJECT, *arguments]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


# What a process remembers.


class Cached(Subject):
    """Counts in memory, and writes it down."""

    name = "cached"

    def replica(self, world: World) -> Any:
        return {"redis": world.redis(), "n": 0}

    @operation()
    async def count(self, replica: Any) -> None:
        seen = replica["n"]
        await replica["redis"].set("counting", "yes")
        replica["n"] = seen + 1

    @operation()
    async def forget(self, replica: Any) -> None:
        await replica["redis"].delete("n")

    @operation()
    async def write(self, replica: Any) -> None:
        await replica["redis"].set("n", replica["n"])


class Believed(Cached):
    """Says that nothing changes what it remembers, which is not so."""

    remembers = ()


class Stateless(Races):
    """Says the same, and that is so."""

    remembers = ()


def raced(subject: type[Subject], spelled: str) -> tuple[Contest, World]:
    world = World(Seed(1))
    return Contest(Performer(subject(), world, 1), parse(spelled)), world


def test_steps_of_one_process_that_remembers_nothing_commute_as_those_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("characterization.racing.CHECKED_ONE_IN", 1)
    spelled = "{ check_then_mark r1 || read_and_write ; extend }"
    shared, world = raced(Races, spelled)
    with world:
        careful = shared.behaviour()
    believed, world = raced(Stateless, spelled)
    with world:
        quick = believed.behaviour()
    assert quick.explored.classes < careful.explored.classes
    assert [each.seen for each in quick.anomalies] == [each.seen for each in careful.anomalies]
    assert quick.serial == careful.serial


def test_who_says_that_it_remembers_nothing_and_does_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("characterization.racing.CHECKED_ONE_IN", 1)
    contest, world = raced(Believed, "{ count ; write || count ; forget }")
    with (
        world,
        pytest.raises(SubjectError, match=r"that none changes what a process remembers, but `\{ count"),
    ):
        contest.behaviour()
