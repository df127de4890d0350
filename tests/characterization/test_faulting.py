"""A call that a fault strikes: what the caller is told, what was done, what heals it."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from characterization import Subject, World, cap, operation
from characterization.behaviour import Done, Ending, FaultBehaviour, Told
from characterization.errors import ProgramError, SubjectError
from characterization.faulting import Trial
from characterization.performing import Performer
from characterization.program import parse
from simulator.seed import Seed
from tests.characterization import demo


class Odd(demo.Ledger):
    """Operations that take faults in their own ways."""

    name = "demo.odd"
    abstractions = (cap("n", 1),)

    @operation()
    async def silent(self, redis: Redis) -> None:
        try:
            await redis.set("silent", 1)
        except RedisError:
            return

    @operation()
    async def goes_on(self, redis: Redis) -> str:
        try:
            await redis.set("first", 1)
        except asyncio.CancelledError:
            await redis.set("second", 1)
        return "done"

    @operation()
    async def later(self, redis: Redis) -> None:
        self.kept = asyncio.create_task(self._persist(redis))

    @staticmethod
    async def _persist(redis: Redis) -> None:
        for _ in range(3):
            try:
                await redis.set("later", 1)
            except RedisError:
                await asyncio.sleep(1)
            else:
                return

    @operation()
    async def insists(self, redis: Redis) -> None:
        while True:
            try:
                await redis.set("there", 1)
            except RedisError:
                await asyncio.sleep(1)
            else:
                return

    @operation()
    async def hangs(self, redis: Redis) -> None:
        reply = asyncio.get_running_loop().create_future()
        try:
            await redis.set("n", 1)
        except RedisError:
            await reply

    @operation()
    async def takes_a_token(self, redis: Redis) -> str:
        token = secrets.token_hex(8)
        await redis.set("token", token)
        return token

    @operation()
    async def spends(self, redis: Redis) -> str:
        if await redis.exists("spent"):
            return "nothing left"
        await redis.set("spent", 1)
        return "spent"

    @operation()
    async def files(self, redis: Redis) -> None:
        await redis.set(f"file:{uuid.uuid4()}", 1)

    @operation()
    async def looks(self, redis: Redis) -> bool:
        try:
            return bool(await redis.exists("n"))
        except RedisError:
            return False

    @operation()
    async def sees(self, redis: Redis) -> str:
        try:
            return str(await redis.get("n"))
        except RedisError:
            return "unknown"


class Patient(Odd):
    """The same with a client that tries again."""

    def replica(self, world: World) -> Redis:
        return world.redis()


class Stubborn(Subject):
    """Does not end, however often it is told to."""

    name = "demo.stubborn"

    def replica(self, world: World) -> Redis:
        return world.redis()

    @operation()
    async def work(self, redis: Redis) -> None:
        try:
            await redis.get("work")
        except asyncio.CancelledError:
            await self._stay()

    @staticmethod
    async def _stay() -> None:
        while True:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                continue


class Remembers:
    """Keeps in memory what it believes to have stored."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.held = False

    async def take(self) -> str:
        if self.held:
            return "busy"
        self.held = True
        await self.redis.set("taken", 1)
        self.held = False
        return "taken"


class Memory(Subject):
    """A lock in memory that is left behind where its holder fails."""

    name = "demo.memory"

    def replica(self, world: World) -> Remembers:
        return Remembers(world.redis())

    def local(self, replica: Remembers) -> Any:
        return {"held": replica.held}

    @operation()
    async def take(self, replica: Remembers) -> str:
        return await replica.take()


def seen(text: str, kind: type[Subject] = Odd, seed: Seed = demo.SEED) -> FaultBehaviour:
    (found,) = demo.struck(kind, text, seed=seed).faults.values()
    return found


@pytest.mark.parametrize(
    ("text", "told", "done", "ending"),
    [
        ("write e ! busy @1", Told.FAILED, Done.NOTHING, Ending.RETRY),
        ("write e ! busy @2", Told.FAILED, Done.HALF, Ending.RETRY),
        ("write e ! reset @2", Told.FAILED, Done.ALL, Ending.RETRY),
        ("write e ! crash after @1", Told.GONE, Done.HALF, Ending.RESTART),
        ("write e ; write e ! busy @1", Told.FAILED, Done.NOTHING, Ending.RETRY),
        ("count ! cancelled before @1", Told.GAVE_UP, Done.NOTHING, Ending.RETRY),
        ("count ! cancelled after @1", Told.GAVE_UP, Done.ALL, Ending.LEFT),
        ("count ! crash after @1", Told.GONE, Done.ALL, Ending.LEFT),
        ("count ! corrupt @1", Told.FAILED, Done.DAMAGE, Ending.LEFT),
        ("silent ! busy @1", Told.AS_HEALTHY, Done.NOTHING, Ending.LEFT),
        ("goes_on ! cancelled before @1", Told.GOES_ON, Done.OTHER, Ending.LEFT),
        ("insists ! busy @1+", Told.ENDLESS, Done.NOTHING, Ending.RESTART),
        ("hangs ! busy @1", Told.NEVER, Done.NOTHING, Ending.RETRY),
        ("sees ! busy @1", Told.OTHERWISE, Done.NOTHING, Ending.RETRY),
    ],
)
def test_what_is_told_what_is_done_and_what_heals_it(text: str, told: Told, done: Done, ending: Ending) -> None:
    found = seen(text)
    assert (found.told, found.done, found.ending) == (told, done, ending), found


@pytest.mark.parametrize(
    "text",
    [
        "insists ! busy @1",  # it tries again by itself
        "later ! busy @1",  # so does what it leaves to the background, a second later
        "looks ! busy @1",  # it says what it would have said
        "write e ; write e ! server restart @1",  # as if Redis had been empty before
        "count ; count ! clock jump 3600s @1",
        "write e ; count ! clock jump 3600s @1",  # what expires does so without a fault, too
    ],
)
def test_what_nobody_notices(text: str) -> None:
    found = seen(text)
    assert (found.ending, found.sentence) == (Ending.UNNOTICED, "nobody notices")
    assert (found.answer, found.effects, found.left) == ("", (), ())


def test_an_increment_that_a_client_repeats_is_done_twice() -> None:
    found = seen("count ! reset @1", Patient)
    assert found.sentence == "the caller is told something else, and it was done twice; it is left behind"
    assert found.effects == ("+ count (string) ttl none", "count = 2")
    assert found.left == ("count 1 -> 3", "answer 1 -> 3")


def test_the_end_is_held_against_that_of_a_healthy_call() -> None:
    assert seen("count ! cancelled after @1").left == ("count 1 -> 2", "answer 1 -> 2")
    assert seen("silent ! busy @1").left == ("- silent",)
    assert seen("count ; count ! server restart @1").ending is not Ending.NOT_STRUCK


def test_what_the_caller_cannot_know_is_in_doubt() -> None:
    assert seen("count ! reset @1").in_doubt
    assert seen("count ! cancelled before @1").in_doubt
    assert not seen("count ! busy @1").in_doubt
    assert not seen("silent ! reset @1").in_doubt


def test_a_token_that_is_drawn_again_is_no_difference() -> None:
    assert seen("takes_a_token ! busy @1").ending is Ending.RETRY


def test_what_a_replica_alone_remembers_is_healed_by_a_new_one() -> None:
    found = seen("take ! busy @1", Memory)
    assert (found.ending, found.told) == (Ending.RESTART, Told.FAILED)
    assert found.sentence == "the caller is told it failed, nothing is changed; only a new replica heals it"


def test_the_step_is_named_in_the_words_of_the_subject() -> None:
    assert seen("write e ! busy @2").step == "EXPIRE entries"
    assert seen("write e ! busy @1", demo.LedgerInOneStep).step == "MULTI {SADD, EXPIRE}"


def test_whatever_the_seed_the_same_is_seen() -> None:
    text = "write e ! refused @1+"  # its client waits for times that are drawn
    assert seen(text, Patient, Seed(1)) == seen(text, Patient, Seed(2))


def test_how_long_it_takes_does_not_matter_to_what_heals_it() -> None:
    # What it is held against is run for the first time here, or again.
    texts = ("spends ! refused @1+", "spends ! loading @1+", "spends ! busy @1")
    for order in (texts, texts[::-1]):
        found = demo.struck(Patient, *order).faults
        assert {text: found[text].ending for text in texts} == dict.fromkeys(texts, Ending.RETRY)


def test_a_key_that_was_drawn_is_renamed_in_the_step_too() -> None:
    assert seen("files ! busy @1").step == "SET file:uuid#1"
    assert seen("files ; files ! busy @1", seed=Seed(1)) == seen("files ; files ! busy @1", seed=Seed(2))


def test_a_fault_that_finds_nothing_to_strike_is_recorded_as_such() -> None:
    none = seen("count ! busy @7")
    assert (none.ending, none.step) == (Ending.NOT_STRUCK, "")
    assert none.sentence == (
        "it could not strike: `busy @7` found nothing to strike: the call takes 1 step if nothing goes wrong"
    )
    missing = seen("count ! dropped @1")
    assert missing.ending is Ending.NOT_STRUCK
    assert "`dropped @1` cannot strike: the step of lane replica1 there is" in missing.why
    assert "the call takes 0 steps" in seen("rest ! busy @1").why


def test_a_task_that_does_not_end_is_an_error_that_names_program_and_line() -> None:
    with pytest.raises(SubjectError, match=r"demo\.stubborn, in `work ! cancelled before @1`") as caught:
        seen("work ! cancelled before @1", Stubborn)
    assert "goes on although it was cancelled" in str(caught.value)
    assert "test_faulting.py:" in str(caught.value)


def test_a_trial_is_of_a_call_that_the_subject_has() -> None:
    with World(demo.SEED) as world:
        performer = Performer(Odd(), world)
        with pytest.raises(ProgramError, match="does not end with a call"):
            Trial(performer, parse("count ; clock +1s"))
        with pytest.raises(ProgramError, match="has no operation called 'cuont'"):
            Trial(performer, parse("cuont"))
