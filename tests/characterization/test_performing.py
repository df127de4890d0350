"""Programs run in a world: what they show, and what a world refuses."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import pytest

from characterization import Subject, World, operation
from characterization.errors import ProgramError, SubjectError
from characterization.performing import Performer
from characterization.program import parse
from simulator.seed import Seed
from tests.characterization import demo


def test_the_outcome_is_that_of_the_last_part() -> None:
    seen = demo.performed(demo.Counter, "increment ; increment")
    assert seen.answer == "2"
    assert seen.effects == ("count 1 -> 2",)
    assert seen.kind == "count"
    assert seen.cost[:2] == (1, 1)
    assert seen.before != seen.after


def test_every_run_begins_in_an_empty_world() -> None:
    with demo.performing(demo.Counter) as perform:
        first = perform("increment")
        perform("increment ; increment")
        assert perform("increment") == first
        assert first.kind == "the empty world"


def test_an_exception_is_an_answer_and_events_come_in_order() -> None:
    seen = demo.performed(demo.Queue, "put j ; put other ; put j")
    assert seen.answer == "raises OverflowError('the queue is full')"
    assert seen.events == ("log warning queue full",)
    assert seen.kind == "2 jobs"
    assert demo.performed(demo.Queue, "put other ; take").events == ("callback taken(b'{\"id\": 2}')",)


def test_replicas_share_redis_and_nothing_else() -> None:
    with demo.performing(demo.Members) as perform:
        assert perform("add x ; add x").answer == "False"
        second = perform("add x ; add x @2")
    assert second.effects == ("memory@2.known {} -> gone", "memory@2.known +x")
    assert second.answer == "False"


def test_a_stale_cache_is_another_state_than_an_empty_one() -> None:
    with demo.performing(demo.Members) as perform:
        assert perform("add x ; forget ; add x").answer == "False"
        assert perform("forget ; add x").answer == "True"
        assert perform("add x ; forget").after != perform("forget").after


def test_states_are_named_by_their_distance_from_now_and_not_from_the_beginning() -> None:
    with demo.performing(demo.Lease) as perform:
        late, early = perform("clock +10.001s ; acquire a"), perform("acquire a")
    assert late.after == early.after
    assert late.effects != early.effects  # `since` says when


def test_the_state_that_a_program_leads_to_has_the_name_that_an_outcome_has() -> None:
    with World(demo.SEED) as world:
        performer = Performer(demo.Lease(), world)
        text = "acquire a ; clock +9.999s"
        assert performer.perform(parse(f"{text} ; clock +1s")).before == performer.perform(parse(text)).after
        assert performer.state_after(parse(text)).entry("lock(a)").ttl == "0.001s"  # type: ignore[union-attr]


def test_no_more_than_some_states_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("characterization.performing.STATES_KEPT", 1)
    with demo.performing(demo.Counter) as perform:
        texts = ["increment", "reset ; increment", "increment ; increment", "increment"]
        assert [perform(text).answer for text in texts] == ["1", "1", "2", "1"]


class Scrubbed(demo.Counter):
    """Keeps what the world knows nothing of."""

    scrubs = ("place.host",)
    hosts = iter(("box-1", "box-2"))

    @operation()
    async def note(self, redis: Any) -> None:
        await redis.hset("place", mapping={"host": next(self.hosts), "port": 1})


def test_a_scrubbed_field_is_the_same_in_every_run() -> None:
    with demo.performing(Scrubbed) as perform:
        first, second = perform("note"), perform("note")
    assert first == second
    assert "place.host = host#1" in first.effects


class OtherDatabase(demo.Counter):
    """Counts in database 3."""

    def replica(self, world: World) -> Any:
        return world.redis(db=3)


def test_a_key_of_another_database_says_so() -> None:
    assert demo.performed(OtherDatabase, "increment").effects == (
        "+ count (db 3) (string) ttl none",
        "count (db 3) = 1",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fly", "demo.members has no operation called 'fly'; it has add, forget"),
        ("add x @3", "`add x @3`: demo.members runs 2 replicas"),
        ("add x @0", "demo.members runs 2 replicas"),
    ],
)
def test_a_program_that_names_what_is_not_there_is_refused(text: str, says: str) -> None:
    with pytest.raises(ProgramError, match=says):
        demo.performed(demo.Members, text)


def does(work: Callable[[Any], Awaitable[Any]], **more: Any) -> type[Subject]:
    """A subject whose one operation is ``work``."""

    class Doing(Subject):
        name = "demo.doing"

        def replica(self, world: World) -> Any:
            return world.redis(socket_timeout=None)

        @operation()
        async def do(self, redis: Any) -> Any:
            return await work(redis)

    for name, value in more.items():
        setattr(Doing, name, value)
    return Doing


async def waits_for_ever(redis: Any) -> None:
    await redis.blpop("nobody")  # of a client without a timeout of its own


async def waits_for_nobody(redis: Any) -> None:
    await asyncio.get_running_loop().create_future()


async def polls_redis(redis: Any) -> None:
    while not await redis.get("never"):
        pass


async def polls_the_clock(redis: Any) -> None:
    while True:  # noqa: ASYNC110 - what is refused
        await asyncio.sleep(1)


async def spins(redis: Any) -> None:
    while True:  # noqa: ASYNC110 - what is refused
        await asyncio.sleep(0)


async def sleeps(redis: Any) -> None:
    time.sleep(1)  # noqa: ASYNC251 - what is refused


async def swallows_everything(redis: Any) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (
            waits_for_ever,
            r"demo\.doing, in `do`: .*waits at .*something that cannot come: client\.1 waits in BLPOP nobody 0",
        ),
        (
            waits_for_nobody,
            r"demo\.doing, in `do`: .*waits at .*\.py:\d+ for something that cannot come: nobody waits in Redis",
        ),
        (polls_redis, r"demo\.doing, in `do`: 10000 Redis steps were taken .*the last was GET never"),
        (polls_the_clock, r"demo\.doing, in `do`: 10000 timers fired"),
        (spins, r"demo\.doing, in `do`: 100000 callbacks ran without waiting for anything"),
        (swallows_everything, r"demo\.doing, in `do`: 10000 timers fired"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_operation_that_never_ends_is_refused_with_what_it_waits_for(work: Any, says: str) -> None:
    with World(demo.SEED) as world:
        performer = Performer(does(work)(), world)
        with pytest.raises(SubjectError, match=says):
            performer.perform(parse("do"))
        if work is swallows_everything:  # or it could never be ended: leave it nothing to catch
            world.loop.tasks.clear()


def test_blocking_sleep_is_refused_with_the_line() -> None:
    line = sleeps.__code__.co_firstlineno + 1
    with pytest.raises(SubjectError, match=rf"demo\.doing, in `do`: .*{__file__}:{line}.*Await asyncio.sleep instead"):
        demo.performed(does(sleeps), "do")


async def opens_a_socket(redis: Any) -> None:
    await asyncio.open_connection("example.invalid", 80)


async def starts_a_thread(redis: Any) -> None:
    await asyncio.to_thread(print)


async def hides_a_thread(redis: Any) -> str:
    try:
        await asyncio.to_thread(print)
    except Exception:  # noqa: BLE001 - as careless code does
        return "all is well"
    return "unreachable"


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (opens_a_socket, "a connection to example.invalid:80"),
        (starts_a_thread, "built-in function print"),
        (hides_a_thread, "built-in function print"),  # and answers as if all were well
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_no_schedule_can_order_is_named(work: Any, says: str) -> None:
    with pytest.raises(SubjectError, match=says):
        demo.performed(does(work), "do")


async def exits(redis: Any) -> NoReturn:
    sys.exit(0)


def test_a_service_that_ends_its_process_is_not_taken_for_a_result() -> None:
    with pytest.raises(SubjectError, match=r"in `do`: the service ends its process \(exit 0\)"):
        demo.performed(does(exits), "do")


async def nothing(redis: Any) -> None:
    return None


def failing(*_: Any) -> NoReturn:
    raise RuntimeError("boom")


async def failing_later(*_: Any) -> NoReturn:
    raise RuntimeError("boom")


async def waiting_replica(self: Any, world: World) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("replica", [failing, failing_later])
def test_a_replica_that_does_not_start_says_why(replica: Any) -> None:
    with pytest.raises(SubjectError, match=r"Doing\.replica raised RuntimeError: boom\. It must build one process"):
        demo.performed(does(nothing, replica=replica), "do")


def test_a_replica_that_never_starts_says_what_it_waits_for() -> None:
    with pytest.raises(SubjectError, match=r"demo\.doing, in `do`: .*for something that cannot come"):
        demo.performed(does(nothing, replica=waiting_replica), "do")


@pytest.mark.parametrize("name", ["kind", "local"])
def test_a_description_that_fails_is_the_subjects_fault_and_not_ours(name: str) -> None:
    with pytest.raises(SubjectError, match=rf"Doing\.{name} raised RuntimeError: boom\. It is asked in every state"):
        demo.performed(does(nothing, **{name: failing}), "do")


def test_the_seed_decides_what_is_drawn() -> None:
    def token(seed: int) -> bytes:
        with World(Seed(seed)) as world:
            Performer(demo.Lease(), world).perform(parse("acquire a"))
            return world.chance.draws[0]

    assert token(1) == token(1) != token(2)


class Varying(demo.Counter):
    """A counter something of which varies for a good reason."""

    scrubs = ("count.token",)


def test_bytes_are_not_counted_where_something_in_them_varies() -> None:
    with demo.performing(demo.Counter) as perform:
        counted = perform("increment").cost
    with demo.performing(Varying) as perform:
        assert perform("increment").cost == (*counted[:2], 0)
    assert counted[2] > 0
