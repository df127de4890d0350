"""Subscriptions, on every backend: each message is there as soon as the step that published it has happened."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from simulator.world import World
from tests.conformance.running import run, start

PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3])


def words(message: dict[str, Any] | None) -> Any:
    return message and (message["type"], message["channel"], message["data"])


@PROTOCOLS
def test_a_message_reaches_those_who_subscribed_before_it(servers: World, protocol: int) -> None:
    async def work(redis: Redis, other: Redis) -> Any:
        early = await other.publish("news", "early")
        async with redis.pubsub() as subscription:
            await subscription.subscribe("news", "weather")
            seen = [words(await subscription.get_message(timeout=1)) for _ in range(2)]
            heard = await other.publish("news", "hello")
            seen.append(words(await subscription.get_message(timeout=1)))
            seen.append(words(await subscription.get_message(timeout=1)))
            return early, heard, seen

    assert run(servers, work(servers.redis(protocol=protocol), servers.redis())) == (
        0,
        1,
        [("subscribe", b"news", 1), ("subscribe", b"weather", 2), ("message", b"news", b"hello"), None],
    )


@PROTOCOLS
def test_a_pattern_hears_the_channels_that_it_fits(servers: World, protocol: int) -> None:
    async def work(redis: Redis, other: Redis) -> Any:
        async with redis.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.psubscribe("n*")
            assert await subscription.get_message(timeout=1) is None
            heard = [await other.publish("news", 1), await other.publish("weather", 1)]
            return heard, words(await subscription.get_message(timeout=1))

    assert run(servers, work(servers.redis(protocol=protocol), servers.redis())) == (
        [1, 0],
        ("pmessage", b"news", b"1"),
    )


@PROTOCOLS
def test_a_channel_and_a_pattern_bring_a_message_twice(servers: World, protocol: int) -> None:
    async def work(redis: Redis, other: Redis) -> Any:
        async with redis.pubsub() as subscription:
            await subscription.subscribe("news")
            await subscription.psubscribe("n*")
            seen = [words(await subscription.get_message(timeout=1)) for _ in range(2)]
            heard = await other.publish("news", "x")
            return heard, [*seen, *[words(await subscription.get_message(timeout=1)) for _ in range(2)]]

    assert run(servers, work(servers.redis(protocol=protocol), servers.redis())) == (
        2,
        [("subscribe", b"news", 1), ("psubscribe", b"n*", 2), ("message", b"news", b"x"), ("pmessage", b"news", b"x")],
    )


@PROTOCOLS
def test_who_unsubscribed_hears_no_more(servers: World, protocol: int) -> None:
    async def work(redis: Redis, other: Redis) -> Any:
        async with redis.pubsub() as subscription:
            await subscription.subscribe("a", "b")
            seen = [words(await subscription.get_message(timeout=1)) for _ in range(2)]
            await subscription.unsubscribe("a")
            seen.append(words(await subscription.get_message(timeout=1)))
            heard = [await other.publish("a", 1), await other.publish("b", 1)]
            seen.append(words(await subscription.get_message(timeout=1)))
            await subscription.unsubscribe()
            seen.append(words(await subscription.get_message(timeout=1)))
            return [*heard, await other.publish("b", 2)], seen

    assert run(servers, work(servers.redis(protocol=protocol), servers.redis())) == (
        [0, 1, 0],
        [
            ("subscribe", b"a", 1),
            ("subscribe", b"b", 2),
            ("unsubscribe", b"a", 1),
            ("message", b"b", b"1"),
            ("unsubscribe", b"b", 0),
        ],
    )


def test_a_subscription_that_was_only_sent_takes_its_turn_like_any_other_step(servers: World) -> None:
    async def work(redis: Redis, other: Redis) -> Any:
        async with redis.pubsub() as subscription:
            await subscription.subscribe("a")
            await subscription.unsubscribe("a")
            return await other.publish("a", 1)  # between the two, since nobody has waited for the second

    assert run(servers, work(servers.redis(), servers.redis())) == 1


@PROTOCOLS
def test_a_listener_gets_each_message_in_order(servers: World, protocol: int) -> None:
    heard: list[Any] = []

    async def listener(redis: Redis) -> None:
        async with redis.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe("news")
            async for message in subscription.listen():
                heard.append(message["data"])
                if message["data"] == b"end":
                    return

    async def speaker(redis: Redis) -> None:
        for word in ("one", "two", "end"):
            await redis.publish("news", word)

    listening, _ = start(servers, listener(servers.redis(protocol=protocol)), speaker(servers.redis()))
    assert listening.done()
    assert heard == [b"one", b"two", b"end"]


def test_a_subscription_ends_with_its_connection(servers: World) -> None:
    async def work(redis: Redis, other: Redis) -> Any:
        subscription = redis.pubsub()
        await subscription.subscribe("news")
        await subscription.aclose()
        return await other.publish("news", 1), await other.pubsub_channels()

    assert run(servers, work(servers.redis(), servers.redis())) == (0, [])


def test_a_message_published_in_a_transaction_and_in_a_script_is_heard(servers: World) -> None:
    async def work(redis: Redis, other: Redis) -> Any:
        async with redis.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe("news")
            await subscription.get_message(timeout=1)
            async with other.pipeline() as pipeline:
                await pipeline.set("a", 1).publish("news", "transaction").execute()
            await other.eval("return redis.call('PUBLISH', 'news', 'script')", 0)
            return [words(await subscription.get_message(timeout=1)) for _ in range(2)]

    assert run(servers, work(servers.redis(), servers.redis())) == [
        ("message", b"news", b"transaction"),
        ("message", b"news", b"script"),
    ]
