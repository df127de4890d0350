"""Keys in the last millisecond of their lives, and in the next, on every backend whose clock can be moved."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from simulator.world import World
from tests.conformance.running import run
from tests.conftest import absent


@pytest.fixture
def timed(servers: World) -> World:
    """A world whose Redis follows its clock."""
    if not servers.backend.has_clock:
        absent(f"the clock of {servers.backend.name} cannot be moved: apt install libfaketime")
    return servers


@pytest.mark.parametrize(
    ("after_ms", "seen"), [(0, (b"v", 1500)), (1499, (b"v", 1)), (1500, (b"v", 0)), (1501, (None, -2))]
)
def test_a_key_lives_through_its_last_millisecond(timed: World, after_ms: int, seen: tuple[Any, int]) -> None:
    async def work(redis: Redis) -> Any:
        await redis.set("k", "v", px=1500)
        await asyncio.sleep(after_ms / 1000)
        return await redis.get("k"), await redis.pttl("k")

    assert run(timed, work(timed.redis())) == seen
    assert (b"k" in timed.dump().get(0, {})) == (seen[0] is not None)


@pytest.mark.parametrize("start_ms", [1, 333, 1001, 86_399_999])
@pytest.mark.parametrize("ttl_ms", [1, 7, 100, 299_999])
def test_the_moment_of_expiry_is_exact_whenever_the_key_was_written(timed: World, start_ms: int, ttl_ms: int) -> None:
    async def work(redis: Redis) -> Any:
        await asyncio.sleep(start_ms / 1000)
        await redis.set("k", "v", px=ttl_ms)
        await asyncio.sleep(ttl_ms / 1000)
        last = await redis.exists("k")
        await asyncio.sleep(0.001)
        return last, await redis.exists("k"), await redis.dbsize() if timed.backend.name.startswith("fake") else 0

    assert run(timed, work(timed.redis())) == (1, 0, 0)
    assert timed.dump() == {}


@pytest.mark.parametrize("how", ["expire", "pexpire", "expireat", "pexpireat"])
def test_a_time_to_live_can_be_given_in_four_ways(timed: World, how: str) -> None:
    async def work(redis: Redis) -> Any:
        await redis.set("k", "v")
        now_ms = timed.clock.now_ns // 1_000_000
        match how:
            case "expire":
                await redis.expire("k", 2)
            case "pexpire":
                await redis.pexpire("k", 2000)
            case "expireat":
                await redis.expireat("k", now_ms // 1000 + 2)
            case "pexpireat":
                await redis.pexpireat("k", now_ms + 2000)
        return await redis.pttl("k")

    assert run(timed, work(timed.redis())) == 2000


def test_writing_again_keeps_or_forgets_the_time_to_live(timed: World) -> None:
    async def work(redis: Redis) -> list[int]:
        left = []
        for write in (lambda: redis.incr("k"), lambda: redis.set("k", 1, keepttl=True), lambda: redis.set("k", 1)):
            await redis.set("k", 1, ex=100)
            await write()
            left.append(await redis.ttl("k"))
        return left

    assert run(timed, work(timed.redis())) == [100, 100, -1]


@pytest.mark.parametrize(
    ("command", "fake", "redis", "valkey"),
    [
        (("PEXPIRE", "k", "0"), 1, 0, 0),
        (("EXPIRE", "k", "0"), 1, 0, 0),
        (("PEXPIRE", "k", "-1"), 0, 0, 0),
        (("PEXPIREAT", "k", "now"), 1, 0, 0),
        (("PEXPIREAT", "k", "1"), 0, 0, 0),
        (("SET", "k", "v", "PXAT", "now"), 1, 1, 0),
        (("SET", "k", "v", "PXAT", "1"), 0, 0, 0),
        (("GETEX", "k", "PX", "1500"), 1, 1, 1),
    ],
)
def test_a_time_to_live_that_is_over_at_once_is_pinned(
    timed: World, backend_name: str, command: tuple[str, ...], fake: int, redis: int, valkey: int
) -> None:
    now_ms = str(timed.clock.now_ns // 1_000_000)

    async def work(client: Redis) -> Any:
        await client.set("k", "v")
        await client.execute_command(*(now_ms if word == "now" else word for word in command))
        return await client.exists("k")

    assert run(timed, work(timed.redis())) == {"fakeredis": fake, "redis": redis, "valkey": valkey}[backend_name]


def test_milliseconds_of_getex_are_pinned(timed: World, backend_name: str) -> None:
    async def work(redis: Redis) -> Any:
        await redis.set("k", "v")
        await redis.getex("k", px=1500)
        return await redis.pttl("k")

    assert run(timed, work(timed.redis())) == {"fakeredis": 1000, "redis": 1500, "valkey": 1500}[backend_name]


def test_the_time_that_a_script_and_a_stream_see_is_the_clock_of_the_world(timed: World) -> None:
    async def work(redis: Redis) -> Any:
        await asyncio.sleep(12.345)
        seconds = await redis.eval("return redis.call('TIME')[1]", 0)
        return int(seconds), await redis.xadd("stream", {"a": 1})

    now_ms = timed.epoch_ns // 1_000_000 + 12_345
    assert run(timed, work(timed.redis())) == (now_ms // 1000, f"{now_ms}-0".encode())


def test_a_run_begins_at_its_epoch_whatever_the_last_one_did(timed: World) -> None:
    async def later(redis: Redis) -> None:
        await asyncio.sleep(3600)
        await redis.set("k", "v")

    async def now(redis: Redis) -> Any:
        return await redis.xadd("stream", {"a": 1})

    run(timed, later(timed.redis()))
    timed.restart()
    assert run(timed, now(timed.redis())) == f"{timed.epoch_ns // 1_000_000}-0".encode()
