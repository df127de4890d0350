"""Faults: each kind, in both halves, as an unmodified client sees it; crashes; what exists where; how one is spelled."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ExecAbortError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    WatchError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from simulator.errors import DeadlockError
from simulator.explore import replay
from simulator.fake import FakeBackend
from simulator.faults import _EXISTS, GARBAGE, ArmedPlan, Fault, FaultError, FaultKind, FaultPlan, applicable
from simulator.gate import Gate, Step
from simulator.race import Client, race
from simulator.schedule import Schedule
from simulator.world import World, answer_of

REPLICA = ("replica", 1)
COUNT = "return redis.call('INCR', KEYS[1])"
Work = Callable[[Redis], Coroutine[Any, Any, Any]]


def client(world: World, retries: int = 0, **options: Any) -> Redis:
    return world.redis(**{"socket_timeout": 5, "retry": Retry(NoBackoff(), retries), **options})


def struck(world: World, plan: str, work: Work, retries: int = 0, **options: Any) -> tuple[str, Any]:
    """How ``work`` ends when ``plan`` strikes it; everything in the plan must have struck."""
    redis = client(world, retries, **options)
    world.arm(FaultPlan.parse(plan))
    answer = answer_of(world.perform(work(redis), REPLICA))
    assert world.unstruck == ()
    assert [fault.text for fault in world.struck] == [fault.text for fault in FaultPlan.parse(plan).faults]
    world.disarm()
    return answer


def raised(world: World, plan: str, work: Work, retries: int = 0, **options: Any) -> Any:
    how, error = struck(world, plan, work, retries, **options)
    assert how == "raised", error
    return error


def stored(world: World, key: str) -> Any:
    record = world.dump().get(0, {}).get(key.encode())
    return record.value if record is not None else None


async def one(redis: Redis) -> Any:
    return await redis.incr("n")


async def two(redis: Redis) -> Any:
    await redis.set("a", 1)
    return await redis.set("b", 2)


async def piped(redis: Redis) -> Any:
    return await redis.pipeline(transaction=False).incr("a").incr("b").incr("c").execute()


async def block(redis: Redis) -> Any:
    return await redis.pipeline().set("a", 1).get("a").execute()


async def script(redis: Redis) -> Any:
    return await redis.register_script(COUNT)(keys=["n"])


async def pops(redis: Redis) -> Any:
    return await redis.blpop("q", timeout=100)


# Spelling.


@pytest.mark.parametrize(
    "text",
    [
        "reply lost @2",
        "crash before @3",
        "refused @1+",
        "out of memory @12+ of replica1",
        "cancelled after @1 of 2.0",
        "reply late 0.25s @1",
        "clock jump 86400s @7 of 1#1",
    ],
)
def test_a_fault_is_spelled_as_it_is_parsed(text: str) -> None:
    assert Fault.parse(text).text == str(Fault.parse(text)) == text


def test_seconds_have_a_default() -> None:
    assert Fault.parse("reply late @1").text == "reply late 60s @1"
    assert Fault(kind=FaultKind.CLOCK_JUMP, step=2).text == "clock jump 3600s @2"
    assert Fault.parse("reply late 1e2s @1").seconds == 100


def test_a_plan_is_faults_with_commas_between() -> None:
    plan = FaultPlan.parse("clock jump 1s @1,reply lost @2 of 1")
    assert plan.text == str(plan) == "clock jump 1s @1, reply lost @2 of 1"
    assert [fault.step for fault in plan.faults] == [1, 2]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no fault: one is spelled `reply lost @2`, and the kinds are refused, dropped, busy"),
        ("reply lost", "is no fault"),
        ("reply found @2", "'reply found @2' is no fault"),
        ("reply lost @2 of", "is no fault"),
        ("reply lost @0", "steps are counted from 1, and a fault was asked for at step 0"),
        ("reply lost @2+", "`reply lost` strikes once; what may last is busy, loading, out of memory"),
        ("reply lost 5s @2", "`reply lost` of 5.0 s: seconds, more than 0, have clock jump, reply late"),
        ("clock jump -5s @2", "`clock jump` of -5.0 s"),
        ("reply lost @2,", "is no fault"),
        ("reset @1, busy @1, reset @1", "a plan has a fault once, and `reset @1, busy @1, reset @1` has one twice"),
    ],
)
def test_what_is_no_fault_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        FaultPlan.parse(text)


def test_every_kind_has_its_place() -> None:
    assert set(_EXISTS) == set(FaultKind)
    assert set(FaultKind.__doc__.replace("\n    ", " ").split("``")) >= set(FaultKind)


# Before the effect: no connection.


@pytest.mark.parametrize("work", [one, block, script, piped, pops])
def test_a_refused_step_has_no_effect_and_drops_the_connection(servers: World, work: Work) -> None:
    error = raised(servers, "refused @1", work)
    assert type(error) is RedisConnectionError
    assert str(error) == "Error 111 connecting to the gate. Connection refused."
    assert servers.dump() == {}
    assert not any(connection.is_connected for connection in servers._connections)


def test_a_step_refused_once_is_healed_by_the_clients_own_retry(servers: World) -> None:
    assert struck(servers, "refused @1", one, retries=1) == ("returned", 1)
    assert servers.gate.steps == 2


def test_a_server_that_stays_away_accepts_no_connection(servers: World) -> None:
    error = raised(servers, "refused @2+", two, retries=3)
    assert str(error) == "Error 111 connecting to the gate. Connection refused."
    assert servers.gate.steps == 2  # nobody got as far as to send anything
    assert (stored(servers, "a"), stored(servers, "b")) == (b"1", None)
    assert servers.perform(client(servers).set("b", 2)).result() is True


def test_a_server_may_stay_away_for_one_lane_only(servers: World) -> None:
    servers.arm(FaultPlan.parse("refused @1+ of replica1"))
    first = servers.perform(one(client(servers)), REPLICA)
    assert servers.perform(one(client(servers)), ("replica", 2)).result() == 1
    again = servers.perform(one(client(servers)), REPLICA)
    assert [type(task.exception()) for task in (first, again)] == [RedisConnectionError] * 2


def test_a_pipeline_is_dropped_between_two_of_its_commands(servers: World) -> None:
    error = raised(servers, "dropped @3", piped)
    assert (type(error), str(error)) == (RedisConnectionError, "Connection closed by server.")
    assert [stored(servers, key) for key in "abc"] == [b"1", b"1", None]


def test_a_dropped_pipeline_is_tried_again_as_a_whole(servers: World) -> None:
    assert struck(servers, "dropped @3", piped, retries=1) == ("returned", [2, 2, 1])


def test_replies_that_came_before_the_connection_was_dropped_can_be_read(world: World) -> None:
    async def reads(redis: Redis) -> Any:
        connection = await redis.connection_pool.get_connection()
        await connection.send_packed_command(connection.pack_commands([("INCR", "a"), ("INCR", "b")]))
        await asyncio.sleep(1)
        first, up = await connection.read_response(), connection.is_connected
        with pytest.raises(RedisConnectionError, match=r"Connection closed by server\."):
            await connection.read_response()
        return first, up, connection.is_connected

    assert struck(world, "dropped @2", reads) == ("returned", (1, True, False))


# Before the effect: error replies.


@pytest.mark.parametrize(
    ("kind", "expected", "text"),
    [
        (
            "busy",
            ResponseError,
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        ),
        ("loading", BusyLoadingError, "Redis is loading the dataset in memory"),
        ("read only", ReadOnlyError, "You can't write against a read only replica."),
        ("out of memory", OutOfMemoryError, "command not allowed when used memory > 'maxmemory'."),
    ],
)
@pytest.mark.parametrize("work", [one, script, piped, block])
def test_a_server_refuses_in_words_that_redis_py_knows(
    servers: World, kind: str, expected: type[Exception], text: str, work: Work
) -> None:
    error = raised(servers, f"{kind} @1", work)
    assert type(error) is expected
    assert text in str(error)
    assert stored(servers, "n") is stored(servers, "a") is None
    assert stored(servers, "b") == (b"1" if work is piped and kind != "loading" else None)


def test_redis_py_tries_again_while_the_server_is_loading_and_takes_other_refusals_for_answers(servers: World) -> None:
    assert struck(servers, "loading @1", one, retries=1) == ("returned", 1)
    assert isinstance(raised(servers, "busy @1", one, retries=1), ResponseError)


def test_a_read_only_server_answers_those_who_read(servers: World) -> None:
    async def reads_and_writes(redis: Redis) -> Any:
        await redis.get("a")
        return await redis.set("a", 1)

    assert isinstance(raised(servers, "read only @1+", reads_and_writes), ReadOnlyError)
    assert stored(servers, "a") is None


def test_out_of_memory_a_server_still_deletes_but_queues_nothing(servers: World) -> None:
    async def works(redis: Redis) -> Any:
        deleted = await redis.delete("a")
        return deleted, await redis.pipeline().get("a").execute()

    assert isinstance(raised(servers, "out of memory @1+", works), OutOfMemoryError)
    assert servers.gate.steps == 2


def raw(world: World, plan: str, *flushes: list[str]) -> list[Any]:
    """The replies that the gate hands out when ``flushes`` are sent, one after another, and ``plan`` strikes."""
    heard: list[Any] = []

    async def sends(redis: Redis) -> None:
        connection = await redis.connection_pool.get_connection()
        for commands in flushes:
            await connection.send_packed_command([tuple(command.encode().split()) for command in commands])
            for _ in commands:
                try:
                    heard.append(await connection.read_response(disconnect_on_error=False))
                except (ResponseError, RedisConnectionError) as error:
                    heard.append(f"{type(error).__name__} {error}"[:80])

    assert struck(world, plan, sends)[0] == "returned"
    return heard


ABORTED = f"{ExecAbortError.__name__} Transaction discarded because of"


@pytest.mark.parametrize(
    ("kind", "first", "at_the_end"),
    [
        ("busy", "ResponseError BUSY", f"{ABORTED}: BUSY Redis is"),
        ("loading", "BusyLoadingError Redis is loading", f"{ABORTED} previous"),
        ("read only", "QUEUED", f"{ABORTED} previous"),
        ("out of memory", "OutOfMemoryError command not", f"{ABORTED} previous"),
    ],
)
def test_a_transaction_is_refused_command_by_command_and_aborted(
    servers: World, kind: str, first: str, at_the_end: str
) -> None:
    replies = raw(servers, f"{kind} @1", ["MULTI", "GET a", "SET a 1", "EXEC"], ["GET a"])
    multi, get, put, ended, after = [reply.decode() if isinstance(reply, bytes) else reply for reply in replies]
    assert (multi, after) == ("OK", None)
    assert get.startswith(first)
    assert "Error " in put
    assert ended.startswith(at_the_end)


@pytest.mark.parametrize("refused", ["SET a 1", "EXEC"])
def test_a_transaction_sent_piece_by_piece_is_aborted_by_a_refusal(servers: World, refused: str) -> None:
    commands = ["MULTI", "SET b 1", "SET a 1", "EXEC"]
    replies = raw(servers, f"busy @{commands.index(refused) + 1}", *([command] for command in commands), ["PING"])
    assert replies[3].startswith(ABORTED)
    assert replies[4] == b"PONG"
    assert servers.dump() == {}


def test_an_aborted_transaction_ends_a_watch(servers: World) -> None:
    replies = raw(servers, "busy @2", ["WATCH a"], ["MULTI", "SET a 1", "EXEC"], ["BLPOP q 1"])
    assert replies[-1] is None


SETTINGS = {
    FaultKind.OUT_OF_MEMORY: (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    FaultKind.READ_ONLY: (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
}


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize(
    "commands",
    [["SET a 1"], ["DEL a"], ["GET a"], ["SPOP a"], ["MULTI", "GET a", "EXEC"], ["MULTI", "GET a", "DEL a", "EXEC"]],
)
def test_a_server_is_refusing_as_a_real_one_does(servers: World, kind: FaultKind, commands: list[str]) -> None:
    if isinstance(servers.backend, FakeBackend):
        assert kind in SETTINGS  # it has neither state
        return
    before, after = SETTINGS[kind]
    session = servers.backend.open(0, 2)
    session.execute(tuple(word.encode() for word in before))
    try:
        real = raw(servers, "clock jump 1s @1", commands)
    finally:
        session.execute(tuple(word.encode() for word in after))
        session.close()
    step = Step(
        lane=REPLICA, connection=1, commands=tuple(tuple(each.encode().split()) for each in commands), replies=()
    )
    exists = kind in applicable((kind,), step)
    if servers.backend.name.startswith("valkey") and kind is FaultKind.OUT_OF_MEMORY and commands[0] == "MULTI":
        assert real[1] == b"QUEUED"  # Valkey 9 queues what takes no memory later; faults follow Redis
    else:
        assert raw(servers, f"{kind if exists else 'clock jump'} @1", commands) == real


# Scripts.


async def evaluates(redis: Redis) -> Any:
    return await redis.eval(COUNT, 1, "n")


async def in_a_block(redis: Redis) -> Any:
    return await redis.pipeline().incr("a").eval(COUNT, 1, "n").incr("b").execute(raise_on_error=False)


def test_a_killed_script_has_no_effect_and_is_kept(servers: World) -> None:
    error = raised(servers, "script killed @1", evaluates)
    assert type(error) is ResponseError
    assert str(error).startswith("Script killed by user with SCRIPT KILL")
    assert servers.dump() == {}
    sha = client(servers).register_script(COUNT).sha
    assert servers.perform(client(servers).script_exists(sha)).result() == [True]
    assert struck(servers, "clock jump @1", script) == ("returned", 1)
    assert sha in str(raised(servers, "script killed @1", script))
    assert stored(servers, "n") == b"1"


def test_a_script_killed_in_a_transaction_fails_alone(servers: World) -> None:
    how, (first, killed, last) = struck(servers, "script killed @1", in_a_block)
    assert (how, first, last) == ("returned", 1, 1)
    assert str(killed).startswith("Script killed by user with SCRIPT KILL")
    assert stored(servers, "n") is None


def test_a_function_can_be_killed(world: World) -> None:
    async def calls(redis: Redis) -> Any:
        return await redis.fcall("f", 0)

    assert "script: f, on @user_function:1" in str(raised(world, "script killed @1", calls))


def test_a_script_that_is_not_known_cannot_be_killed(servers: World) -> None:
    with pytest.raises(FaultError, match=r"EVALSHA .* and the server does not know the script"):
        struck(servers, "script killed @1", script)


# After the effect.


@pytest.mark.parametrize("plan", ["reply lost @1", "reset @1", "reply late @1"])
@pytest.mark.parametrize("work", [one, evaluates])
def test_a_command_whose_reply_is_lost_was_applied(servers: World, plan: str, work: Work) -> None:
    error = raised(servers, plan, work)
    reset = plan == "reset @1"
    assert type(error) is (RedisConnectionError if reset else RedisTimeoutError)
    assert ("reset by peer" in str(error)) == reset
    assert servers.clock.elapsed == (0 if reset else 5)
    assert stored(servers, "n") == b"1"
    assert not any(connection.is_connected for connection in servers._connections)


@pytest.mark.parametrize("plan", ["reply lost @1", "reset @1", "reply late @1"])
def test_redis_pys_own_retry_applies_a_command_twice(servers: World, plan: str) -> None:
    assert struck(servers, plan, one, retries=1) == ("returned", 2)
    assert stored(servers, "n") == b"2"


def test_a_client_as_redis_py_builds_it_applies_a_command_twice(world: World) -> None:
    redis = world.redis()
    world.arm(FaultPlan.parse("reset @1"))
    assert world.perform(one(redis), REPLICA).result() == 2


@pytest.mark.parametrize("plan", ["reply lost @1", "reset @1"])
def test_a_transaction_whose_replies_are_lost_was_applied(servers: World, plan: str) -> None:
    raised(servers, plan, block)
    assert stored(servers, "a") == b"1"


def test_what_follows_a_lost_reply_on_its_connection_is_lost_too_and_is_applied(servers: World) -> None:
    assert isinstance(raised(servers, "reply lost @1", piped), RedisTimeoutError)
    assert [stored(servers, key) for key in "abc"] == [b"1", b"1", b"1"]


def test_what_follows_a_reset_never_happens(servers: World) -> None:
    assert isinstance(raised(servers, "reset @2", piped), RedisConnectionError)
    assert [stored(servers, key) for key in "abc"] == [b"1", b"1", None]


@pytest.mark.parametrize("plan", ["reply lost @1", "reset @1"])
@pytest.mark.parametrize("waits", [False, True])
def test_what_was_popped_for_a_reply_that_is_lost_is_gone(servers: World, plan: str, waits: bool) -> None:
    push = client(servers).rpush("q", "x")
    if not waits:
        servers.perform(push)
        raised(servers, plan, pops)
    else:
        servers.arm(FaultPlan.parse(plan))
        task = servers.loop.start(pops(client(servers)), REPLICA)
        servers.settle()
        assert servers.struck == ()
        servers.perform(push)
        assert len(servers.struck) == 1
        servers.advance(10)
        assert isinstance(task.exception(), RedisConnectionError | RedisTimeoutError)
    assert servers.dump() == {}


def test_a_late_reply_is_only_a_delay_for_who_waits_long_enough(servers: World) -> None:
    assert struck(servers, "reply late 30s @1", piped, socket_timeout=None) == ("returned", [1, 1, 1])
    assert servers.clock.elapsed == 30
    assert struck(servers, "reply late 4s @2", piped) == ("returned", [2, 2, 2])
    assert servers.clock.elapsed == 34


def test_a_caller_with_a_time_limit_gives_up_before_a_late_reply(servers: World) -> None:
    async def limited(redis: Redis) -> Any:
        try:
            return await asyncio.wait_for(redis.incr("n"), 2)
        except TimeoutError:
            return "gave up", await redis.incr("n")

    assert struck(servers, "reply late 30s @1", limited, socket_timeout=None) == ("returned", ("gave up", 2))
    assert servers.clock.elapsed == 2
    servers.advance(60)  # what comes then comes to nobody
    assert stored(servers, "n") == b"2"


def test_two_late_replies_on_one_connection_keep_their_order(world: World) -> None:
    assert struck(world, "reply late 3s @1, reply late 1s @2", piped, socket_timeout=None) == ("returned", [1, 1, 1])
    assert world.clock.elapsed == 3


def test_after_a_late_reply_a_connection_is_as_it_was(world: World) -> None:
    assert struck(world, "reply late 1s @1", two) == ("returned", True)
    assert world.clock.elapsed == 1
    assert len(world._connections) == 1


def test_a_connection_may_be_reset_while_a_reply_is_late(world: World) -> None:
    assert isinstance(raised(world, "reply late 1s @1, reset @3", piped), RedisConnectionError)
    assert world.clock.elapsed == 0


def test_a_reply_that_is_lost_to_a_caller_without_time_limit_is_waited_for_in_vain(world: World) -> None:
    redis = client(world, socket_timeout=None)
    world.arm(FaultPlan.parse("reply lost @1"))
    with pytest.raises(DeadlockError):
        world.perform(one(redis), REPLICA)
    assert len(world.struck) == 1


# Watching, waiting, listening.


async def transfers(redis: Redis) -> Any:
    async with redis.pipeline() as pipe:
        await pipe.watch("n")
        held = int(await pipe.get("n") or 0)
        pipe.multi()
        pipe.set("n", held + 1)
        return await pipe.execute()


@pytest.mark.parametrize("plan", ["refused @2", "reset @2", "reset @3", "server restart @3"])
def test_a_connection_that_is_lost_while_it_watches_is_told_as_redis_py_tells_it(servers: World, plan: str) -> None:
    assert isinstance(raised(servers, plan, transfers, retries=3), WatchError)
    assert stored(servers, "n") == (b"1" if plan == "reset @3" else None)


def test_a_corrupt_value_under_a_watched_key_is_noticed(servers: World) -> None:
    assert isinstance(raised(servers, "corrupt @3", transfers), WatchError)
    assert stored(servers, "n") == GARBAGE


async def listens(redis: Redis) -> Any:
    async with redis.pubsub(ignore_subscribe_messages=True) as subscription:
        await subscription.subscribe("c")
        await subscription.get_message(timeout=1)
        await redis.publish("c", "x")
        return (await subscription.get_message(timeout=1) or {}).get("data")


@pytest.mark.parametrize("plan", ["refused @1", "reset @1", "server restart @2"])
def test_a_subscription_is_renewed_after_its_connection_was_lost(servers: World, plan: str) -> None:
    heard = None if plan == "server restart @2" else b"x"  # that one was renewed too late
    assert struck(servers, plan, listens, retries=2) == ("returned", heard)


def test_messages_are_lost_with_the_replies(world: World) -> None:
    assert struck(world, "reply lost @1", listens) == ("returned", None)


def test_a_late_reply_holds_up_messages_that_come_behind_it(world: World) -> None:
    async def looks_again(redis: Redis) -> Any:
        async with redis.pubsub() as subscription:
            await subscription.subscribe("c")
            await redis.publish("c", "x")
            looks = [await subscription.get_message(timeout=1) for _ in range(3)]
            return [look["type"] if look else None for look in looks]

    assert struck(world, "reply late 1.5s @1", looks_again) == ("returned", [None, "subscribe", "message"])
    assert world.clock.elapsed == 1.5


def test_whoever_waits_in_redis_learns_that_the_server_restarted(servers: World) -> None:
    servers.arm(FaultPlan.parse("server restart @2"))
    task = servers.loop.start(pops(client(servers)), REPLICA)
    servers.settle()
    pushed = servers.perform(client(servers, retries=1).rpush("q", "x"), ("replica", 2))
    assert pushed.result() == 1
    assert isinstance(task.exception(), RedisConnectionError)
    assert servers.gate.blocked == []
    assert stored(servers, "q") == (b"x",)


# The awaiting task is cancelled.


@pytest.mark.parametrize(("plan", "value"), [("cancelled before @1", None), ("cancelled after @1", b"1")])
@pytest.mark.parametrize("work", [one, evaluates])
def test_a_cancelled_task_runs_its_own_handling(servers: World, plan: str, value: Any, work: Work) -> None:
    handled = []

    async def careful(redis: Redis) -> Any:
        try:
            return await work(redis)
        except asyncio.CancelledError:
            handled.append(await redis.get("n"))
            raise

    assert isinstance(raised(servers, plan, careful), asyncio.CancelledError)
    assert handled == [value]


def test_a_pipeline_that_is_cancelled_goes_no_further(servers: World) -> None:
    assert isinstance(raised(servers, "cancelled after @2", piped), asyncio.CancelledError)
    assert [stored(servers, key) for key in "abc"] == [b"1", b"1", None]
    assert isinstance(raised(servers, "cancelled before @2", piped), asyncio.CancelledError)
    assert [stored(servers, key) for key in "abc"] == [b"2", b"1", None]


def test_who_waits_in_redis_may_be_cancelled_with_what_was_popped_for_it(servers: World) -> None:
    servers.arm(FaultPlan.parse("cancelled after @1"))
    task = servers.loop.start(pops(client(servers)), REPLICA)
    servers.settle()
    assert not task.done()
    servers.perform(client(servers).rpush("q", "x"))
    assert task.cancelled()
    assert servers.dump() == {}


def test_nobody_is_cancelled_where_nobody_waits(world: World) -> None:
    subscription = client(world).pubsub()

    async def subscribes() -> None:
        await subscription.subscribe("c")

    world.loop.start(subscribes(), REPLICA)
    world.loop.run_ready()
    world.arm(FaultPlan.parse("cancelled before @1"))
    with pytest.raises(FaultError, match="there is SUBSCRIBE c, and the task that sent it has ended"):
        world.settle()
    with pytest.raises(FaultError, match="nothing is under way in lane"):
        world.cancel(REPLICA)


# A replica crashes.


class Service:
    """A service that cleans up after itself, where it gets to."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.cleaned: list[str] = []

    async def holding_a_lock(self) -> None:
        await self.redis.set("lock", 1)
        try:
            async with asyncio.timeout(50):
                await self.redis.incr("n")
        except BaseException as error:
            self.cleaned.append(type(error).__name__)
            raise
        finally:
            self.cleaned.append("finally")
            await self.redis.delete("lock")

    async def in_background(self) -> None:
        try:
            while True:
                await asyncio.sleep(10)
                self.cleaned.append("beat")
                await self.redis.incr("beats")
        finally:
            self.cleaned.append("background")

    async def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.in_background())
        asyncio.get_running_loop().call_later(20, self.cleaned.append, "timer")


@pytest.mark.parametrize(("plan", "value"), [("crash before @2", None), ("crash after @2", b"1")])
def test_a_crash_runs_no_clean_up(servers: World, plan: str, value: Any) -> None:
    service = Service(client(servers))
    servers.perform(service.start(), REPLICA)
    servers.arm(FaultPlan.parse(plan))
    task = servers.perform(service.holding_a_lock(), REPLICA)
    assert answer_of(task) == ("crashed", None)
    assert task.crashed
    assert not task.done()
    assert servers.unstruck == ()
    servers.advance(1000)
    gc.collect()
    assert service.cleaned == []
    assert (stored(servers, "n"), stored(servers, "lock"), stored(servers, "beats")) == (value, b"1", None)
    assert all(task.done() for task in servers.loop.tasks)
    assert servers.loop.next_timer_ns() is None


def test_another_replica_can_be_built_where_one_crashed(servers: World) -> None:
    servers.arm(FaultPlan.parse("crash after @2"))
    servers.perform(Service(client(servers)).holding_a_lock(), REPLICA)
    second = Service(client(servers))
    servers.perform(second.start(), REPLICA)
    task = servers.perform(second.holding_a_lock(), REPLICA)
    assert task.result() is None
    assert not task.crashed
    servers.advance(30)
    assert second.cleaned == ["finally", "beat", "timer", "beat", "beat"]
    assert (stored(servers, "n"), stored(servers, "lock")) == (b"2", None)
    servers.crash(1)
    servers.advance(30)
    assert stored(servers, "beats") == b"3"


def test_what_crashed_is_ended_without_a_trace_when_the_next_run_begins(world: World) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        service = Service(client(world))
        world.perform(service.start(), REPLICA)
        world.arm(FaultPlan.parse("crash before @2"))
        world.perform(service.holding_a_lock(), REPLICA)
        world.restart()
        assert sorted(service.cleaned) == ["CancelledError", "background", "finally"]
        del service
        gc.collect()
        assert (world.dump(), world.loop.tasks, world.loop.failures, world.take_events()) == ({}, [], [], [])
        assert world.perform(one(client(world))).result() == 1


def test_only_the_replica_that_crashes_stops(servers: World) -> None:
    first, second = Service(client(servers)), Service(client(servers))
    servers.perform(first.start(), ("replica", 1))
    servers.perform(second.start(), ("replica", 2))
    servers.crash(1)
    servers.advance(15)
    assert (first.cleaned, second.cleaned) == ([], ["beat"])
    servers.crash(3)  # of which nothing runs
    servers.advance(10)
    assert second.cleaned == ["beat", "timer", "beat"]


def test_what_a_crashed_replica_watched_waited_for_listened_to_and_sent_ends(servers: World) -> None:
    redis = client(servers, socket_timeout=None)

    async def watches() -> None:
        async with redis.pipeline() as pipe:
            await pipe.watch("w")
            await asyncio.Event().wait()

    async def subscribes() -> None:
        async with redis.pubsub() as subscription:
            await subscription.subscribe("c")
            async for _ in subscription.listen():
                pass

    for work in (watches(), pops(redis), subscribes()):
        servers.loop.start(work, REPLICA)
    servers.settle()
    servers.loop.start(redis.incr("n"), REPLICA)
    servers.loop.run_ready()
    assert len(servers.gate.parked) == len(servers.gate.blocked) == len(servers.gate.subscribed) == 1
    servers.crash(1)
    assert servers.gate.parked == servers.gate.blocked == servers.gate.subscribed == []
    other = client(servers)
    assert servers.perform(other.rpush("q", "x")).result() == 1
    assert servers.perform(other.publish("c", "x")).result() == 0
    assert stored(servers, "q") == (b"x",)
    assert stored(servers, "n") is None


def test_nothing_that_a_crashed_replica_waited_for_wakes_it(world: World) -> None:
    bell, woken = asyncio.Event(), []

    async def sleeper() -> None:
        await bell.wait()
        woken.append("sleeper")

    async def ringer() -> None:
        bell.set()

    world.loop.start(sleeper(), REPLICA)
    world.settle()
    world.crash(1)
    world.perform(ringer(), ("replica", 2))  # memory that two replicas should not share
    assert woken == []
    world.restart()
    assert woken == []


def test_a_task_in_a_context_of_its_own_crashes_too(world: World) -> None:
    ran = []

    async def child() -> None:
        await asyncio.sleep(1)
        ran.append("child")

    async def parent() -> None:
        asyncio.get_running_loop().create_task(child(), context=contextvars.Context())

    world.perform(parent(), REPLICA)
    world.loop.start(child(), REPLICA, context=contextvars.Context())
    world.settle()
    world.crash(1)
    world.advance(5)
    assert ran == []


def test_what_a_timer_of_a_crashed_replica_had_started_crashes_with_its_connection(world: World) -> None:
    redis = client(world, socket_timeout=None)

    async def sets_a_timer() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, lambda: loop.create_task(pops(redis)))

    world.perform(sets_a_timer(), REPLICA)
    world.advance(2)
    assert [door.lane[0] for door in world.gate.blocked] == ["world"]
    world.crash(1)
    assert world.gate.blocked == []


def test_a_client_is_on_the_replica_it_was_assigned_to(servers: World) -> None:
    servers.assign(("client", 4), 2)
    assert servers.replica_of(("client", 4, 0, 1)) == 2
    assert servers.replica_of(("replica", 3, 0)) == 3
    assert (
        servers.replica_of(("client", 1)) is servers.replica_of(("replica",)) is servers.replica_of(("world",)) is None
    )
    servers.arm(FaultPlan.parse("crash before @1"))
    task = servers.perform(one(client(servers)), ("client", 4))
    assert answer_of(task) == ("crashed", None)
    servers.restart()
    assert servers.replica_of(("client", 4)) is None


def test_a_lane_without_a_replica_cannot_crash(world: World) -> None:
    world.arm(FaultPlan.parse("crash after @1"))
    with pytest.raises(FaultError, match="lane 1 was assigned to no replica"):
        world.perform(one(client(world)))


# The server, the clock, what is stored.


def test_a_server_that_restarts_is_empty_and_has_ended_every_connection(servers: World) -> None:
    other = client(servers, protocol=2)
    servers.perform(other.set("x", 1))
    error = raised(servers, "server restart @2", two)
    assert str(error) == "Connection closed by server."
    assert servers.dump() == {}
    assert servers.perform(other.set("y", 1)).result() is True  # redis-py's pool looks before it hands out a connection
    assert stored(servers, "y") == b"1"


def test_what_is_sent_on_a_connection_that_has_ended_arrives_nowhere(servers: World) -> None:
    async def keeps(redis: Redis) -> Any:
        await redis.incr("n")
        servers.restart_server()
        return await redis.incr("n")

    redis = client(servers, retries=1, single_connection_client=True)
    assert servers.perform(keeps(redis)).result() == 1
    assert (servers.gate.steps, servers.gate.cost.commands) == (2, 3)
    error = servers.perform(keeps(client(servers, single_connection_client=True))).exception()
    assert str(error) == "Connection closed by server."


def test_a_script_is_sent_again_to_a_server_that_has_restarted(servers: World) -> None:
    assert struck(servers, "clock jump @1", script) == ("returned", 1)
    assert struck(servers, "server restart @1", script, retries=1) == ("returned", 1)


def test_a_jump_of_the_clock_ends_what_had_less_to_live(servers: World) -> None:
    if not servers.backend.has_clock:
        pytest.skip("this server's clock cannot be moved")

    async def leased(redis: Redis) -> Any:
        await redis.set("lease", 1, ex=60)
        return await redis.get("lease")

    assert struck(servers, "clock jump 59s @2", leased) == ("returned", b"1")
    assert struck(servers, "clock jump 61s @2", leased) == ("returned", None)
    assert servers.clock.elapsed == 120


def test_timers_that_fall_due_in_a_jump_fire_at_its_end_and_a_reply_comes_before_a_time_limit(world: World) -> None:
    fired: list[float] = []

    async def works(redis: Redis) -> Any:
        asyncio.get_running_loop().call_later(10, lambda: fired.append(world.clock.elapsed))
        return await redis.incr("n")

    assert struck(world, "clock jump 100s @1", works) == ("returned", 1)
    assert fired == [100]


PUTS: dict[str, tuple[str, ...]] = {
    "GET k": ("SET k old", "string"),
    "HGET k f": ("HSET k e 1 f 2", "hash"),
    "HLEN k": ("HSET k f 2 e 1", "hash"),
    "SMEMBERS k": ("SADD k a", "set"),
    "LRANGE k 0 -1": ("RPUSH k a b", "list"),
    "ZRANGE k 0 -1": ("ZADD k 1 a", "zset"),
    "XLEN k": ("XADD k 1-1 a b", "stream"),
}
CORRUPTED: dict[str, Any] = {
    "string": GARBAGE,
    "set": {b"a", GARBAGE},
    "list": (GARBAGE, b"b"),
    "zset": {b"a": b"1", GARBAGE: b"0"},
}


@pytest.mark.parametrize("command", PUTS)
@pytest.mark.parametrize("there", [True, False])
def test_a_corrupt_value_has_the_type_that_the_step_is_for(servers: World, command: str, there: bool) -> None:
    put, kind = PUTS[command]
    if there:
        servers.perform(client(servers).execute_command(*put.split()))
        servers.perform(client(servers).expire("k", 100))
    how, _ = struck(servers, "corrupt @1", lambda redis: redis.execute_command(*command.split()))
    assert how == "returned"
    record = servers.dump()[0][b"k"]
    assert record.kind == kind
    if there:
        assert record.ttl_ms > 99_000
    else:
        assert record.ttl_ms is None
    if there and kind == "hash":
        assert record.value == {"HGET k f": {b"e": b"1", b"f": GARBAGE}, "HLEN k": {b"e": GARBAGE, b"f": b"2"}}[command]
    elif there and kind in CORRUPTED:
        assert record.value == CORRUPTED[kind]
    else:
        assert repr(GARBAGE) in repr(record.value)


@pytest.mark.parametrize("command", PUTS)
@pytest.mark.parametrize("there", [True, False])
def test_a_foreign_value_has_a_type_that_the_step_cannot_use(servers: World, command: str, there: bool) -> None:
    if there:
        servers.perform(client(servers).execute_command(*PUTS[command][0].split()))
        servers.perform(client(servers).expire("k", 100))
    error = raised(servers, "foreign @1", lambda redis: redis.execute_command(*command.split()))
    assert "Operation against a key holding the wrong kind of value" in str(error)
    record = servers.dump()[0][b"k"]
    assert record.kind == ("string" if command.startswith("LRANGE") else "list")
    assert (record.ttl_ms is not None) == there


def test_a_value_is_corrupted_in_the_database_of_its_connection(servers: World) -> None:
    async def reads(redis: Redis) -> Any:
        return await redis.get("k")

    assert struck(servers, "corrupt @1", reads, db=2) == ("returned", GARBAGE)
    assert list(servers.dump()) == [2]


def test_which_database_a_connection_is_on_after_select_is_not_known(world: World) -> None:
    async def selects(redis: Redis) -> Any:
        await redis.execute_command("SELECT", 3)
        return await redis.get("k")

    redis = client(world, single_connection_client=True)
    world.arm(FaultPlan.parse("corrupt @2"))
    with pytest.raises(FaultError, match="its connection said SELECT, and which database it is on is not known"):
        world.perform(selects(redis), REPLICA)


# Plans.


def test_a_fault_that_did_not_strike_is_reported(world: World) -> None:
    assert (world.struck, world.unstruck) == ((), ())
    world.arm(FaultPlan.parse("clock jump 1s @3, reset @4, read only @1+"))
    for _ in range(2):
        assert isinstance(world.perform(two(client(world)), ("world", 1, 2)).exception(), ReadOnlyError)
    assert [fault.text for fault in world.struck] == ["read only @1+"]
    assert [fault.text for fault in world.unstruck] == ["clock jump 1s @3", "reset @4"]
    world.restart()
    assert (world.struck, world.unstruck, world.gate.faults) == ((), (), None)


def test_several_faults_strike_one_step_until_one_takes_the_place_of_the_effect(world: World) -> None:
    world.arm(FaultPlan.parse("clock jump 1s @1, corrupt @1, busy @1, reset @1"))
    world.gate.trace = []
    assert isinstance(world.perform(one(client(world)), REPLICA).exception(), ResponseError)
    assert [fault.text for fault in world.unstruck] == ["reset @1"]
    assert world.gate.trace[0].struck == "clock jump 1s @1, corrupt @1, busy @1"
    assert (world.clock.elapsed, stored(world, "n")) == (1, GARBAGE)


def test_steps_are_counted_from_when_the_plan_was_armed_and_by_lane_where_it_says_so(world: World) -> None:
    world.perform(two(client(world)), ("client", 1))
    world.gate.trace = []
    world.arm(FaultPlan.parse("clock jump 1s @2 of 2, clock jump 2s @3"))
    for number in (1, 2):
        world.perform(two(client(world)), ("client", number))
    assert [step.struck for step in world.gate.trace] == ["", "", "clock jump 2s @3", "clock jump 1s @2 of 2"]


def test_whether_the_next_step_of_a_lane_is_struck_can_be_asked(world: World) -> None:
    plan = ArmedPlan(FaultPlan.parse("reset @1 of 2, busy @2+ of 3"), world)
    assert [plan.strikes_next(("client", number)) for number in (1, 2, 3)] == [False, True, False]


def test_a_struck_step_may_have_touched_anything(world: World) -> None:
    world.arm(FaultPlan.parse("busy @1, reset @2"))
    redis = client(world, retries=1)
    for _ in range(3):
        world.perform(one(redis), REPLICA)
    assert [(database, request.commands[0][0]) for database, request in world.gate.touched] == [(None, b"INCRBY")] * 2


def test_a_connection_has_its_client_back_after_it_was_dropped(world: World) -> None:
    redis = client(world, retries=1)
    world.arm(FaultPlan.parse("reply lost @1"))
    assert world.perform(one(redis), REPLICA).result() == 2
    assert all(connection.door.client is connection for connection in world._connections)


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (
            "dropped @1",
            "`dropped @1` cannot strike: the step of lane replica1 there is INCRBY n 1, and what exists there is",
        ),
        ("script killed @1", "exists there is refused, busy, loading, read only, out of memory, reply lost, reset,"),
        ("script killed @1 of replica1", "the step of that lane there is INCRBY n 1"),
    ],
)
def test_a_kind_that_does_not_exist_at_a_step_is_an_error(world: World, plan: str, why: str) -> None:
    with pytest.raises(FaultError, match=why):
        struck(world, plan, one)


def test_a_pipeline_is_refused_only_at_its_beginning(world: World) -> None:
    with pytest.raises(FaultError, match="what exists there is dropped, busy"):
        struck(world, "refused @2", piped)


def traced(world: World, work: Work) -> list[Step]:
    world.gate.trace = []
    world.perform(work(client(world)), REPLICA)
    return world.gate.trace


EVERYWHERE = {
    "reply lost", "reset", "reply late", "cancelled before", "cancelled after", "crash before", "crash after",
    "server restart", "clock jump",
}  # fmt: skip
REFUSING = {"busy", "loading", "read only", "out of memory"}


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("SET a 1", REFUSING | {"corrupt", "foreign"}),
        ("DEL a", REFUSING - {"out of memory"} | {"corrupt", "foreign"}),
        ("GET a", {"busy", "loading", "corrupt", "foreign"}),
        ("PING", {"busy", "loading"}),
        ("UNWATCH", set()),
        ("PUBLISH c x", {"busy"}),
        ("KEYS *", {"busy", "loading"}),
        ("SCRIPT KILL", {"loading"}),
        ("XGROUP CREATE s g 0 MKSTREAM", REFUSING | {"corrupt", "foreign"}),
        ("EVAL return(1) 1 a", REFUSING | {"script killed", "corrupt", "foreign"}),
        ("EVAL_RO return(1) 0", {"busy", "loading", "script killed"}),
        ("EVALSHA none 0", REFUSING),
    ],
)
def test_which_kinds_exist_at_a_step(world: World, command: str, more: set[str]) -> None:
    (step,) = traced(world, lambda redis: redis.execute_command(*command.split()))
    assert set(applicable(FaultKind, step)) == EVERYWHERE | more | {"refused"}
    assert applicable((), step) == ()


def test_which_kinds_exist_at_steps_of_several_commands(world: World) -> None:
    steps = traced(world, piped)
    assert [FaultKind.REFUSED in applicable(FaultKind, step) for step in steps] == [True, False, False]
    assert [FaultKind.DROPPED in applicable(FaultKind, step) for step in steps] == [False, True, True]
    (step,) = traced(world, in_a_block)
    assert set(applicable(FaultKind, step)) == EVERYWHERE | REFUSING | {
        "refused",
        "script killed",
        "corrupt",
        "foreign",
    }
    (step,) = traced(world, lambda redis: redis.pipeline().get("a").execute())
    assert set(applicable(REFUSING, step)) == REFUSING - {"read only"}
    steps = traced(world, lambda redis: _sent(redis, "MULTI", "GET a", "EVAL return(1) 0", "EXEC"))
    assert ["out of memory" in applicable(FaultKind, step) for step in steps] == [False, True, True, False]
    assert not any("script killed" in applicable(FaultKind, step) for step in steps)


async def _sent(redis: Redis, *commands: str) -> None:
    async with redis.client() as connection:
        for command in commands:
            await connection.execute_command(*command.split())


def test_outside_of_any_task_nobody_is_cancelled_and_nothing_crashes() -> None:
    step = Step(lane=("world",), connection=1, commands=((b"PING",),), replies=())
    assert set(applicable(FaultKind, step)) == EVERYWHERE - {
        "cancelled before", "cancelled after", "crash before", "crash after",
    } | {"refused", "busy", "loading"}  # fmt: skip


async def pushes_and_pops(redis: Redis) -> Any:
    await redis.rpush("q", "x")
    return await redis.blpop("q", timeout=1)


@pytest.mark.parametrize("work", [one, block, script, piped, pushes_and_pops, transfers, listens])
def test_every_kind_that_exists_at_a_step_of_a_run_strikes_there(world: World, work: Work) -> None:
    for number, step in enumerate(traced(world, work), 1):
        for kind in applicable(FaultKind, step):
            world.restart()
            redis = client(world, retries=1)
            world.arm(FaultPlan((Fault(kind=kind, step=number),)))
            world.perform(work(redis), REPLICA)
            world.settle()
            assert world.unstruck == (), f"{kind} @{number}"


def test_the_same_plan_strikes_in_the_same_way_again(world: World) -> None:
    def run() -> Any:
        world.restart()
        redis = world.redis()
        world.gate.trace = []
        world.arm(FaultPlan.parse("refused @2+"))
        answer = answer_of(world.perform(two(redis), REPLICA))
        return str(answer), world.clock.elapsed, [step.struck for step in world.gate.trace], len(world.chance.draws)

    assert run() == run()


def test_without_a_plan_a_gate_asks_nobody(world: World) -> None:
    gate = Gate(world.backend)
    assert gate.faults is None
    world.gate.trace = []
    world.perform(one(client(world)))
    assert (world.gate.trace[0].struck, world.gate.trace[0].place) == ("", 0)


# Clients at once.


def test_a_fault_strikes_one_of_several_clients_by_its_lane(servers: World) -> None:
    clients = [Client(lambda: one(client(servers, retries=1)), replica) for replica in (1, 2)]
    servers.arm(FaultPlan.parse("reset @1 of 2"))
    found = replay(lambda scheduler: race(servers, clients, scheduler), Schedule.parse("2 1 2"))
    assert found.answers == (("returned", 2), ("returned", 3))
    assert found.steps[0].footprint.everything
    assert not found.steps[1].footprint.everything


# Plans that are made up as the run goes.


async def three(redis: Redis) -> int:
    return await redis.incr("a") + await redis.incr("a") + await redis.incr("a")


def test_a_tempter_is_asked_at_each_step_until_something_strikes(world: World) -> None:
    asked: list[tuple[int, bytes]] = []

    def tempt(number: int, step: Step) -> FaultPlan | None:
        asked.append((number, step.commands[0][0]))
        return FaultPlan.parse("reset @2") if number == 2 else None

    redis = client(world)
    armed = world.tempt(tempt)
    how, error = answer_of(world.perform(three(redis), REPLICA))
    assert (how, type(error)) == ("raised", RedisConnectionError)
    assert asked == [(1, b"INCRBY"), (2, b"INCRBY")]
    assert armed.plan.text == "reset @2"
    assert world.unstruck == ()
    assert stored(world, "a") == b"2"


def test_what_does_not_exist_at_a_step_does_not_tempt(world: World) -> None:
    redis = client(world)
    armed = world.tempt(lambda number, _: FaultPlan((Fault(kind=FaultKind.SCRIPT_KILLED, step=number),)))
    assert world.perform(three(redis), REPLICA).result() == 6
    assert armed.plan.faults == ()


def test_what_belongs_to_a_fault_strikes_with_it(world: World) -> None:
    redis = client(world, 3)
    armed = world.tempt(lambda number, _: FaultPlan.parse("reset @2, refused @3+") if number == 2 else None)
    how, error = answer_of(world.perform(three(redis), REPLICA))
    assert (how, type(error)) == ("raised", RedisConnectionError)
    assert armed.plan.text == "reset @2, refused @3+"


def test_a_plan_that_was_made_up_strikes_the_same_when_it_is_armed(world: World) -> None:
    redis = client(world)
    world.tempt(lambda number, _: FaultPlan.parse("busy @3") if number == 3 else None)
    first = answer_of(world.perform(three(redis), REPLICA))
    world.restart()
    world.arm(FaultPlan.parse("busy @3"))
    assert repr(answer_of(world.perform(three(client(world)), REPLICA))) == repr(first)


def test_work_in_a_lane_that_was_renamed_crashes_with_its_replica(world: World) -> None:
    world.assign(("client", 1), 1)
    waits = world.perform(idle(), ("client", 1)).result()
    world.rename(("client", 1), ("before", 1))
    world.assign(("client", 1), 2)
    assert waits.lane[:2] == ("before", 1)
    world.crash(2)
    assert not waits.crashed
    world.crash(1)
    assert waits.crashed


async def idle() -> Any:
    return asyncio.create_task(asyncio.Event().wait())
