"""redis-py's client on the gate: timeouts, cancellation, reuse, and what a dropped connection loses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from simulator.connection import GatedConnection
from simulator.world import World


async def connection_of(redis: Redis) -> Any:
    """A connection of the pool, connected."""
    return await redis.connection_pool.get_connection()


def test_a_connection_says_what_it_is(world: World) -> None:
    connection = world.perform(connection_of(world.redis(db=2))).result()
    assert repr(connection) == "<simulator.connection.GatedConnection(gate=1,db=2)>"


def test_connecting_twice_is_connecting_once(world: World) -> None:
    async def work(redis: Redis) -> Any:
        connection = await connection_of(redis)
        await connection.connect()
        await connection._connect()
        await connection.connect_check_health()
        return connection.is_connected, await connection.can_read(), await connection.can_read_destructive()

    assert world.perform(work(world.redis())).result() == (True, False, False)


def test_a_reply_that_does_not_come_in_time_drops_the_connection(world: World) -> None:
    async def work(redis: Redis) -> Any:
        connection = await connection_of(redis)
        with pytest.raises(RedisTimeoutError, match="Timeout reading from the gate"):
            await connection.read_response()
        return connection.is_connected

    assert world.perform(work(world.redis(socket_timeout=2))).result() is False
    assert world.clock.elapsed == 2


def test_a_reply_that_does_not_come_in_time_may_leave_the_connection_up(world: World) -> None:
    async def work(redis: Redis) -> Any:
        connection = await connection_of(redis)
        with pytest.raises(RedisTimeoutError):
            await connection.read_response(disconnect_on_error=False)
        return connection.is_connected, await connection.read_response(timeout=1)

    assert world.perform(work(world.redis(socket_timeout=2))).result() == (True, None)
    assert world.clock.elapsed == 3


def test_reading_from_a_dropped_connection_is_an_error(world: World) -> None:
    async def work(redis: Redis) -> Any:
        connection = await connection_of(redis)
        await connection.disconnect()
        await connection.read_response(disconnect_on_error=False)

    assert isinstance(world.perform(work(world.redis())).exception(), RedisConnectionError)


def test_who_reads_from_a_connection_learns_that_another_task_dropped_it(world: World) -> None:
    async def work(redis: Redis) -> Any:
        connection = await connection_of(redis)
        reading = asyncio.ensure_future(connection.read_response())
        await asyncio.sleep(1)
        await connection.disconnect()
        await reading

    error = world.perform(work(world.redis(socket_timeout=None))).exception()
    assert isinstance(error, RedisConnectionError)
    assert str(error) == "Connection closed by server."
    assert world.clock.elapsed == 1


def test_a_command_on_a_dropped_connection_connects_again(world: World) -> None:
    async def work(redis: Redis) -> Any:
        connection = await connection_of(redis)
        await connection.disconnect()
        await connection.send_command("PING")
        return await connection.read_response()

    assert world.perform(work(world.redis())).result() == b"PONG"


def test_subscriptions_are_renewed_when_a_connection_comes_back(world: World) -> None:
    async def work(redis: Redis) -> Any:
        subscription = redis.pubsub(ignore_subscribe_messages=True)
        await subscription.subscribe("news")
        await subscription.get_message(timeout=1)
        await subscription.connection.disconnect()
        lost = await redis.publish("news", 1)
        await subscription.connect()
        return lost, await subscription.get_message(timeout=1), await redis.publish("news", 2)

    assert world.perform(work(world.redis())).result() == (0, None, 1)


def test_a_callback_whose_owner_is_gone_is_passed_over(world: World) -> None:
    async def work(redis: Redis) -> Any:
        connection = await connection_of(redis)

        class Owner:
            def renew(self, _connection: Any) -> None:
                raise AssertionError("it is gone")

        owner = Owner()
        connection.register_connect_callback(owner.renew)
        del owner
        await connection.disconnect()
        await connection.connect()
        return connection.is_connected

    assert world.perform(work(world.redis())).result() is True


def test_a_callback_need_not_be_asynchronous(world: World) -> None:
    class Owner:
        connected = 0

        def count(self, _connection: Any) -> None:
            self.connected += 1

    owner = Owner()

    async def work(redis: Redis) -> None:
        connection = await connection_of(redis)
        connection.register_connect_callback(owner.count)
        await connection.disconnect()
        await connection.connect()

    world.perform(work(world.redis())).result()
    assert owner.connected == 1


def test_retries_wait_in_virtual_time(world: World) -> None:
    async def work(redis: Redis) -> Any:
        return await redis.blpop("q", timeout=0)

    retry = Retry(ConstantBackoff(10), 2)
    task = world.perform(work(world.redis(socket_timeout=1, retry=retry)))
    assert isinstance(task.exception(), RedisTimeoutError)
    assert world.clock.elapsed == 3 * 1 + 2 * 10
    assert world.gate.blocked == []


def test_a_refusal_that_ends_a_connection_is_raised_and_ends_it(world: World) -> None:
    async def work(redis: Redis) -> Any:
        connection = await connection_of(redis)
        await connection.send_command("AUTH", "wrong")
        with pytest.raises(AuthenticationError):
            await connection.read_response()
        return connection.is_connected

    assert world.perform(work(world.redis())).result() is False


def test_a_request_given_up_too_late_changes_nothing(world: World) -> None:
    async def work(redis: Redis) -> Any:
        first = await redis.blpop("q", timeout=5)
        return first, await redis.blpop("q", timeout=10)  # the first one's time runs out while this one waits

    task = world.loop.start(work(world.redis(socket_timeout=None)), ("client", 1))
    world.settle()
    world.perform(world.redis().rpush("q", "a"))
    world.advance(8)
    assert not task.done()
    world.advance(2)
    assert task.result() == ((b"q", b"a"), None)


def test_a_cancelled_command_gives_its_connection_back_to_the_pool(world: World) -> None:
    async def work(redis: Redis) -> Any:
        for _ in range(5):
            task = asyncio.ensure_future(redis.get("a"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return await redis.set("a", 1), await redis.get("a")

    assert world.perform(work(world.redis(max_connections=1))).result() == (True, b"1")


def test_replies_of_every_shape_are_decoded(world: World) -> None:
    connection: GatedConnection = world.perform(connection_of(world.redis(decode_responses=True))).result()
    assert connection._decoded({b"a": [b"b", 1, None, {b"c": b"d"}]}) == {"a": ["b", 1, None, {"c": "d"}]}


def test_bytes_are_left_alone_when_that_is_asked(world: World) -> None:
    async def work(redis: Redis) -> Any:
        await redis.set("a", b"\xff")
        connection = await connection_of(redis)
        await connection.send_command("GET", "a")
        return await connection.read_response(disable_decoding=True)

    assert world.perform(work(world.redis(decode_responses=True))).result() == b"\xff"


def test_a_command_outside_of_any_task_is_the_worlds_own(world: World) -> None:
    world.gate.trace = []
    connection = world.perform(connection_of(world.redis())).result()

    def send() -> None:
        with pytest.raises(StopIteration):
            connection.send_packed_command([(b"PING",)]).send(None)

    world.loop.call_soon(send)
    world.settle()
    assert world.gate.trace[0].lane == ("world",)


def test_words_of_a_command_are_cut_as_redis_py_does(world: World) -> None:
    connection = world.perform(connection_of(world.redis())).result()
    assert connection.pack_command("CONFIG GET", "a", 1) == [(b"CONFIG", b"GET", b"a", b"1")]
    assert connection.pack_command(b"GET", 1.5) == [(b"GET", b"1.5")]


def test_what_tells_where_a_server_is_plays_no_part(world: World) -> None:
    async def work(redis: Redis) -> Any:
        return await redis.ping()

    client = world.redis(host="nowhere.invalid", port=1, username="me", password="secret", client_name="x")
    assert world.perform(work(client)).result() is True
