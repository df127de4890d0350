"""The eleven characterization tests of the deduplicator, as it is."""

from typing import Any

import pytest

from engine.relay.errors import DeduplicationError, DeduplicatorClosedError
from tests.engine.relay.bench import Bench
from tests.engine.relay.interleaving import ORDERS, looked_before, race

KEY = "ha:miner:dedup:session:s1"
OTHER_KEY = "ha:miner:dedup:session:s2"
EXTREMES = {"one after another": 1, "in step": 10}
R1, R2, R3 = b"\xb1", b"\xb2", b"\xb3"


def test_first_relay_not_duplicate(bench: Bench) -> None:
    dedup = bench.deduplicator()
    assert bench.run(dedup.is_duplicate(R1, "s1")) is False
    assert bench.take_steps() == [f"SISMEMBER {KEY} b1"]
    assert bench.stored() == set()
    assert dedup.local_entries() == {}
    assert bench.counters(dedup) == {"misses s1": 1}


def test_duplicate_detected(bench: Bench) -> None:
    marking, other = bench.deduplicator(), bench.deduplicator()
    assert bench.run(marking.mark_processed(R1, "s1")) is None
    assert bench.take_steps() == [f"SADD {KEY} b1", f"EXPIRE {KEY} 300"]

    assert bench.run(marking.is_duplicate(R1, "s1")) is True
    assert bench.take_steps() == []
    assert bench.counters(marking) == {"marked s1": 1, "local_hits s1": 1}

    assert [bench.run(other.is_duplicate(R1, "s1")) for _ in range(2)] == [True, True]
    assert bench.take_steps() == [f"SISMEMBER {KEY} b1"], "what Redis was seen to hold is kept"
    assert bench.counters(other) == {"redis_hits s1": 1, "local_hits s1": 1}
    assert other.local_entries() == {"s1": {"b1"}}


def test_different_sessions_independent(bench: Bench) -> None:
    dedup = bench.deduplicator()
    bench.run(dedup.mark_processed(R1, "s1"))
    assert bench.run(dedup.is_duplicate(R1, "s2")) is False
    assert bench.stored() == {KEY}

    bench.run(dedup.mark_processed(R1, "s2"))
    bench.run(dedup.cleanup_session("s1"))
    assert bench.stored() == {OTHER_KEY}
    assert dedup.local_entries() == {"s2": {"b1"}}
    assert bench.run(dedup.is_duplicate(R1, "s1")) is False
    assert bench.run(dedup.is_duplicate(R1, "s2")) is True
    assert bench.counters(dedup) == {"marked s1": 1, "marked s2": 1, "misses s1": 1, "misses s2": 1, "local_hits s2": 1}


def test_several_relays_tracked(bench: Bench) -> None:
    dedup, other = bench.deduplicator(), bench.deduplicator()
    relays = [R1, R2, b"", bytes(range(250, 256)), b"\xab" * 32]
    for relay in relays:
        bench.run(dedup.mark_processed(relay, "s1"))
    assert bench.members(KEY) == {"b1", "b2", "", "fafbfcfdfeff", "ab" * 32}
    assert dedup.local_entries() == {"s1": bench.members(KEY)}
    assert [bench.run(other.is_duplicate(relay, "s1")) for relay in [*relays, R3]] == [True] * 5 + [False]
    assert other.local_entries() == {"s1": bench.members(KEY)}
    assert bench.ttl_s(KEY) == 300


def test_cleanup_removes_entries(bench: Bench) -> None:
    dedup, other = bench.deduplicator(), bench.deduplicator()
    bench.run(dedup.mark_processed_batch([R1, R2], "s1"))
    assert bench.run(other.is_duplicate(R1, "s1")) is True
    bench.take_steps()

    bench.run(dedup.cleanup_session("s1"))
    assert bench.take_steps() == [f"DEL {KEY}"]
    assert bench.stored() == set()
    assert dedup.local_entries() == {}
    assert [bench.run(dedup.is_duplicate(relay, "s1")) for relay in (R1, R2)] == [False, False]
    assert bench.run(other.is_duplicate(R1, "s1")) is True, "no other process's cache is invalidated"
    bench.run(dedup.cleanup_session("s1"))  # nothing is left, which is no error

    bench.run(dedup.mark_processed(R1, "s1"))
    bench.backend.refuse("DEL")
    with pytest.raises(DeduplicationError, match="cleanup of session s1 failed"):
        bench.run(dedup.cleanup_session("s1"))
    assert bench.members(KEY) == {"b1"}
    assert dedup.local_entries() == {"s1": {"b1"}}
    bench.backend.lose_reply("DEL")
    with pytest.raises(DeduplicationError, match="Connection closed"):
        bench.run(dedup.cleanup_session("s1"))
    assert bench.stored() == set()
    assert bench.run(dedup.is_duplicate(R1, "s1")) is True, "its own cache still knows what it could not clean up"


@pytest.mark.parametrize("order", ORDERS)
def test_concurrent_dedup(bench: Bench, order: str) -> None:
    """Ten callers, one hash: all who look before the first mark are told *not duplicate*, so up to ten."""
    dedup = bench.deduplicator()

    async def caller() -> bool:
        duplicate: bool = await dedup.is_duplicate(R1, "s1")
        if not duplicate:
            await dedup.mark_processed(R1, "s1")
        return duplicate

    answers = race(bench.world, [caller() for _ in range(10)], order)
    told_new = looked_before(bench.world.gate.trace or [], b"SADD")
    assert told_new == EXTREMES.get(order, told_new)
    assert answers.count(("returned", False)) == told_new
    assert answers.count(("returned", True)) == 10 - told_new
    assert sorted(bench.take_steps()) == sorted(
        [f"SISMEMBER {KEY} b1"] * 10 + [f"SADD {KEY} b1", f"EXPIRE {KEY} 300"] * told_new
    )
    assert bench.members(KEY) == {"b1"}
    assert bench.ttl_s(KEY) == 300
    assert bench.counters(dedup)["misses s1"] == bench.counters(dedup)["marked s1"] == told_new
    assert bench.run(dedup.is_duplicate(R1, "s1")) is True


def test_batch(bench: Bench) -> None:
    dedup = bench.deduplicator()
    bench.run(dedup.mark_processed_batch([], "s1"))
    assert bench.take_steps() == []
    assert (bench.counters(dedup), dedup.local_entries()) == ({}, {})

    bench.run(dedup.mark_processed_batch([R2, R1, R2, b""], "s1"))
    assert bench.take_steps() == [f"SADD {KEY} b2 b1 b2 ", f"EXPIRE {KEY} 300"]
    assert bench.members(KEY) == {"b1", "b2", ""}
    assert dedup.local_entries() == {"s1": {"b1", "b2", ""}}
    assert bench.counters(dedup) == {"marked s1": 4}, "duplicates inside the batch are counted"

    bench.backend.refuse("EXPIRE")
    with pytest.raises(DeduplicationError, match="redis_batch_mark in session s2 failed"):
        bench.run(dedup.mark_processed_batch([R1, R3], "s2"))
    assert bench.members(OTHER_KEY) == {"b1", "b3"}
    assert bench.ttl_s(OTHER_KEY) is None, "SADD and EXPIRE are not atomic: the set stays for ever"
    assert "s2" not in dedup.local_entries()
    assert bench.counters(dedup) == {"marked s1": 4, "errors redis_batch_mark s2": 1}


def test_local_cache_hit_after_the_redis_key_is_deleted(bench: Bench) -> None:
    marking, looking, late = (bench.deduplicator() for _ in range(3))
    bench.run(marking.mark_processed(R1, "s1"))
    bench.run(looking.is_duplicate(R1, "s1"))
    bench.arrange("DEL", KEY)
    bench.take_steps()
    assert bench.run(marking.is_duplicate(R1, "s1")) is True
    assert bench.run(looking.is_duplicate(R1, "s1")) is True
    assert bench.take_steps() == []
    assert bench.run(late.is_duplicate(R1, "s1")) is False
    assert bench.take_steps() == [f"SISMEMBER {KEY} b1"]
    assert bench.counters(marking) == {"marked s1": 1, "local_hits s1": 1}
    assert bench.stored() == set(), "an answer from the cache restores nothing"


def test_ttl_on_the_key(bench: Bench) -> None:
    dedup, other = bench.deduplicator(), bench.deduplicator()
    bench.run(dedup.mark_processed(R1, "s1"))
    assert bench.ttl_s(KEY) == 300
    bench.advance(100)
    bench.run(other.is_duplicate(R2, "s1"))
    assert bench.ttl_s(KEY) == 200, "looking does not renew"
    bench.run(dedup.mark_processed(R1, "s1"))
    assert bench.ttl_s(KEY) == 300, "marking does, also of a relay that is in the set"
    bench.advance(250)
    bench.run(dedup.mark_processed_batch([R2], "s1"))
    bench.advance(300)
    assert bench.ttl_s(KEY) == 0, "a key lives through its last millisecond"
    assert bench.members(KEY) == {"b1", "b2"}
    bench.advance(0.001)
    assert bench.stored() == set()
    assert bench.run(other.is_duplicate(R1, "s1")) is False
    assert bench.run(dedup.is_duplicate(R1, "s1")) is True, "a cache entry does not expire"


def test_start_and_close(bench: Bench) -> None:
    dedup = bench.deduplicator()
    assert bench.tasks_alive() == 0
    bench.run(dedup.start())
    assert bench.tasks_alive() == 1

    async def closing() -> int:
        await dedup.close()
        return bench.tasks_alive()

    assert bench.run(closing()) == 1, "close waits for the end of its task: only the caller's own is left"
    assert dedup.closed is True
    bench.run(dedup.close())
    with pytest.raises(DeduplicatorClosedError, match="deduplicator is closed"):
        bench.run(dedup.start())

    bench.run(dedup.mark_processed(R1, "s1"))
    bench.run(dedup.mark_processed_batch([R2], "s1"))
    assert bench.run(dedup.is_duplicate(R2, "s1")) is True, "no other operation looks at closed"
    bench.run(dedup.cleanup_session("s1"))
    assert bench.stored() == set()
    assert bench.take_logs() == []


def test_local_cache_cleanup(bench: Bench) -> None:
    """Every interval, sessions with more than twice ``local_cache_size`` relays are dropped from the cache."""
    dedup = bench.deduplicator(local_cache_size=2, cleanup_interval_seconds=60)
    bench.run(dedup.mark_processed_batch([R1, R2, R3], "s1"))
    assert {session: len(kept) for session, kept in dedup.local_entries().items()} == {"s1": 2}, "the third is not kept"
    bench.run(dedup.start())
    _hoard(dedup, four={"a", "b", "c", "d"}, five={"a", "b", "c", "d", "e"})
    bench.advance(59.999)
    assert set(dedup.local_entries()) == {"s1", "four", "five"}
    bench.advance(0.001)
    assert set(dedup.local_entries()) == {"s1", "four"}, "twice the size is not yet too many"
    assert bench.take_logs() == ["debug dedup_local_cache_cleaned"]
    _hoard(dedup, six={"a", "b", "c", "d", "e", "f"})
    bench.advance(60)
    assert set(dedup.local_entries()) == {"s1", "four"}
    assert bench.members(KEY) == {"b1", "b2", "b3"}, "Redis is left alone"
    bench.run(dedup.close())
    _hoard(dedup, seven={"a", "b", "c", "d", "e", "f", "g"})
    bench.advance(600)
    assert "seven" in dedup.local_entries()


def _hoard(dedup: Any, **sessions: set[str]) -> None:
    """Put more into the cache than its bound lets any sequence of calls put there."""
    dedup._local.update(sessions)
