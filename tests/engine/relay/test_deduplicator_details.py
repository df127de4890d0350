"""The deduplicator beyond its eleven tests: both revisions side by side, bounds of the cache, failures at every step."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from engine.relay.deduplicator import DeduplicatorConfig
from engine.relay.errors import DeduplicationError, DeduplicatorClosedError, RelayError
from tests.engine.relay.bench import AS_IS, REFACTORED, Bench, Revision
from tests.engine.relay.interleaving import ORDERS, race

KEY = "ha:miner:dedup:session:s1"
R1, R2, R3 = b"\xb1", b"\xb2", b"\xb3"

Operation = Callable[[Any], Coroutine[Any, Any, Any]]
OPERATIONS: dict[str, tuple[Operation, tuple[str, ...], str]] = {
    "is_duplicate": (lambda dedup: dedup.is_duplicate(R2, "s1"), ("SISMEMBER",), "redis_check"),
    "mark_processed": (lambda dedup: dedup.mark_processed(R2, "s1"), ("SADD", "EXPIRE"), "redis_mark"),
    "mark_processed_batch": (
        lambda dedup: dedup.mark_processed_batch([R2, R3], "s1"),
        ("SADD", "EXPIRE"),
        "redis_batch_mark",
    ),
    "cleanup_session": (lambda dedup: dedup.cleanup_session("s1"), ("DEL",), ""),
}
STEPS = [(name, number) for name, (_, steps, _) in OPERATIONS.items() for number in range(1, len(steps) + 1)]


# Configuration.


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("key_prefix", "ha:miner:dedup"),
        ("ttl_blocks", 10),
        ("block_time_seconds", 30),
        ("cleanup_interval_seconds", 60),
        ("local_cache_size", 0),
    ],
)
def test_a_field_of_the_configuration_takes_its_default_where_it_is_exactly_zero(field: str, default: Any) -> None:
    given: Any = "mine" if field == "key_prefix" else -1
    assert getattr(DeduplicatorConfig().with_defaults(), field) == default
    assert getattr(DeduplicatorConfig(**{field: given}).with_defaults(), field) == given


def test_the_time_to_live_is_blocks_times_seconds_of_a_block() -> None:
    assert DeduplicatorConfig().with_defaults().ttl_seconds == 300
    assert DeduplicatorConfig(ttl_blocks=3, block_time_seconds=7).with_defaults().ttl_seconds == 21


def test_prefix_and_time_to_live_of_the_key_are_as_configured(bench: Bench, revision: Revision) -> None:
    dedup = bench.deduplicator(revision, key_prefix="mine", ttl_blocks=2, block_time_seconds=3)
    bench.run(dedup.mark_processed(R1, "s1"))
    assert bench.stored() == {"mine:session:s1"}
    assert bench.ttl_s("mine:session:s1") == 6


# Both revisions.


def test_commands_of_each_operation_in_order(bench: Bench, revision: Revision) -> None:
    dedup = bench.deduplicator(revision)
    relay, other = (revision.member(each).decode(errors="backslashreplace") for each in (R1, R2))
    for operation, expected in (
        (dedup.is_duplicate(R1, "s1"), [f"SISMEMBER {KEY} {relay}"]),
        (dedup.mark_processed(R1, "s1"), [f"SADD {KEY} {relay}", f"EXPIRE {KEY} 300"]),
        (dedup.mark_processed_batch([R2, R1], "s1"), [f"SADD {KEY} {other} {relay}", f"EXPIRE {KEY} 300"]),
        (dedup.mark_processed_batch([], "s1"), []),
        (dedup.cleanup_session("s1"), [f"DEL {KEY}"]),
    ):
        bench.run(operation)
        assert bench.take_steps() == expected


def test_members_are_kept_as_hex_or_as_the_bytes_that_they_are(bench: Bench, revision: Revision) -> None:
    relays = [b"", b"\x00\xff", b"\xab" * 32]
    bench.run(bench.deduplicator(revision).mark_processed_batch(relays, "s1"))
    record = bench.record(KEY)
    assert record is not None
    assert record.value == {revision.member(relay) for relay in relays}
    assert record.ttl_ms == 300_000


def test_a_relay_is_a_duplicate_in_its_session_alone_until_it_is_cleaned_up(bench: Bench, revision: Revision) -> None:
    dedup = bench.deduplicator(revision)
    looks = [(R1, "s1"), (R2, "s1"), (R1, "s2")]
    bench.run(dedup.mark_processed(R1, "s1"))
    assert [bench.run(dedup.is_duplicate(*look)) for look in looks] == [True, False, False]
    bench.run(dedup.cleanup_session("s1"))
    assert [bench.run(dedup.is_duplicate(*look)) for look in looks] == [False, False, False]


@pytest.mark.parametrize(
    ("revision", "answers"),
    [pytest.param(AS_IS, [None, None], id="as-is"), pytest.param(REFACTORED, [True, False], id="refactored")],
)
def test_only_the_refactored_one_tells_who_marked_first(bench: Bench, revision: Revision, answers: list[Any]) -> None:
    dedup = bench.deduplicator(revision)
    assert [bench.run(dedup.mark_processed(R1, "s1")) for _ in range(2)] == answers
    assert bench.run(dedup.mark_processed_batch([R1, R2], "s1")) is None
    assert bench.counters(dedup) == {"marked s1": 4}, "whoever was first, both are counted as marked"


@pytest.mark.parametrize(
    ("revision", "still_known"),
    [pytest.param(AS_IS, True, id="as-is"), pytest.param(REFACTORED, False, id="refactored")],
)
def test_only_the_one_as_is_remembers_what_redis_forgot(bench: Bench, revision: Revision, still_known: bool) -> None:
    dedup = bench.deduplicator(revision)
    bench.run(dedup.mark_processed(R1, "s1"))
    bench.advance(300.001)
    assert bench.stored() == set()
    assert bench.run(dedup.is_duplicate(R1, "s1")) is still_known


@pytest.mark.parametrize(("operation", "number"), STEPS)
@pytest.mark.parametrize("kind", ["refuse", "drop", "lose_reply"])
def test_a_failure_at_any_step_is_raised_and_counted(
    bench: Bench, revision: Revision, operation: str, number: int, kind: str
) -> None:
    run, steps, label = OPERATIONS[operation]
    dedup = bench.deduplicator(revision)
    bench.run(dedup.mark_processed(R1, "s1"))
    cache = dedup.local_entries() if revision is AS_IS else None
    getattr(bench.backend, kind)(step=number)
    with pytest.raises(DeduplicationError, match="s1") as raised:
        bench.run(run(dedup))
    assert isinstance(raised.value, RelayError)
    assert bench.counters(dedup) == {"marked s1": 1} | ({f"errors {label} s1": 1} if label else {})
    assert bench.backend.faults == [], f"{operation} has step {number}, {steps[number - 1]}"
    if revision is AS_IS:
        assert dedup.local_entries() == cache, "what failed is not kept in the cache"
    assert bench.take_logs() == []


def test_a_refused_sadd_does_not_keep_expire_from_renewing_the_set(bench: Bench, revision: Revision) -> None:
    """A plain pipeline goes on after a refusal."""
    dedup = bench.deduplicator(revision)
    bench.run(dedup.mark_processed(R1, "s1"))
    bench.advance(100)
    bench.backend.refuse("SADD")
    with pytest.raises(DeduplicationError, match="OOM"):
        bench.run(dedup.mark_processed(R2, "s1"))
    assert bench.ttl_s(KEY) == 300
    record = bench.record(KEY)
    assert record is not None
    assert record.value == {revision.member(R1)}


def test_a_refused_expire_leaves_a_set_that_never_goes(bench: Bench, revision: Revision) -> None:
    dedup = bench.deduplicator(revision)
    bench.backend.refuse("EXPIRE")
    with pytest.raises(DeduplicationError, match="OOM"):
        bench.run(dedup.mark_processed(R1, "s1"))
    assert bench.ttl_s(KEY) is None
    assert bench.run(dedup.is_duplicate(R1, "s1")) is True, "so that a relay nobody counted is a duplicate"


def test_a_key_of_another_type_fails_every_operation_but_the_cleanup(bench: Bench, revision: Revision) -> None:
    dedup = bench.deduplicator(revision)
    bench.arrange("SET", KEY, "no set")
    for work in (dedup.is_duplicate(R1, "s1"), dedup.mark_processed(R1, "s1"), dedup.mark_processed_batch([R1], "s1")):
        with pytest.raises(DeduplicationError, match="WRONGTYPE"):
            bench.run(work)
    assert bench.ttl_s(KEY) == 300, "EXPIRE went through"
    bench.run(dedup.cleanup_session("s1"))
    assert bench.stored() == set()


def test_a_closed_one_cannot_be_started_and_does_everything_else(bench: Bench, revision: Revision) -> None:
    dedup = bench.deduplicator(revision)
    bench.run(dedup.start())
    bench.run(dedup.close())
    bench.run(dedup.close())
    assert (dedup.closed, bench.tasks_alive()) == (True, 0)
    with pytest.raises(DeduplicatorClosedError, match="deduplicator is closed"):
        bench.run(dedup.start())
    bench.run(dedup.mark_processed(R1, "s1"))
    assert bench.run(dedup.is_duplicate(R1, "s1")) is True


def test_a_deduplicator_that_was_never_started_can_be_closed(bench: Bench, revision: Revision) -> None:
    dedup = bench.deduplicator(revision)
    assert dedup.closed is False
    bench.run(dedup.close())
    assert dedup.closed is True


# Interleavings.


@pytest.mark.parametrize("order", ORDERS)
def test_of_ten_concurrent_marks_in_two_processes_exactly_one_hears_that_it_was_first(bench: Bench, order: str) -> None:
    processes = [bench.deduplicator(REFACTORED) for _ in range(2)]
    answers = race(bench.world, [processes[n % 2].mark_processed(R1, "s1") for n in range(10)], order)
    assert answers.count(("returned", True)) == 1
    assert answers.count(("returned", False)) == 9
    assert bench.ttl_s(KEY) == 300


def test_a_cleanup_between_the_two_commands_of_a_mark_leaves_the_cache_with_what_redis_lost(bench: Bench) -> None:
    dedup, other = bench.deduplicator(), bench.deduplicator()
    mark = bench.world.loop.start(dedup.mark_processed(R1, "s1"), ("client", 1))
    cleanup = bench.world.loop.start(dedup.cleanup_session("s1"), ("client", 2))
    bench.world.loop.run_ready()
    for _ in range(3):  # the mark queues up behind the cleanup after its first command
        bench.world.gate.step()
        bench.world.loop.run_ready()
    assert (mark.result(), cleanup.result()) == (None, None)
    assert [step.split()[0] for step in bench.take_steps()] == ["SADD", "DEL", "EXPIRE"]
    assert bench.stored() == set()
    assert bench.run(dedup.is_duplicate(R1, "s1")) is True
    assert bench.run(other.is_duplicate(R1, "s1")) is False


# The cache of the one as is.


@pytest.mark.parametrize(("size", "kept"), [(1, 1), (2, 2), (3, 3), (0, 5), (-1, 5)])
def test_a_full_cache_silently_keeps_no_more_and_redis_answers_instead(bench: Bench, size: int, kept: int) -> None:
    dedup = bench.deduplicator(local_cache_size=size)
    relays = [bytes([number]) for number in range(5)]
    for relay in relays:
        bench.run(dedup.mark_processed(relay, "s1"))
    assert dedup.local_entries() == {"s1": {relay.hex() for relay in relays[:kept]}}
    assert [bench.run(dedup.is_duplicate(relay, "s1")) for relay in relays] == [True] * 5
    counted = bench.counters(dedup)
    assert (counted["local_hits s1"], counted.get("redis_hits s1", 0)) == (kept, 5 - kept)
    assert dedup.local_entries() == {"s1": {relay.hex() for relay in relays[:kept]}}


def test_the_bound_is_for_each_session(bench: Bench) -> None:
    dedup = bench.deduplicator(local_cache_size=1)
    for session in ("s1", "s2", "s3"):
        bench.run(dedup.mark_processed_batch([R1, R2], session))
    assert dedup.local_entries() == {"s1": {"b1"}, "s2": {"b1"}, "s3": {"b1"}}


def test_the_copy_of_the_cache_is_a_copy(bench: Bench) -> None:
    dedup = bench.deduplicator()
    bench.run(dedup.mark_processed(R1, "s1"))
    dedup.local_entries().clear()
    assert dedup.local_entries() == {"s1": {"b1"}}


@pytest.mark.parametrize(("size", "left"), [(0, {"s1"}), (1, {"s1"}), (-1, set())])
def test_the_cleaner_finds_something_only_where_the_size_is_negative(bench: Bench, size: int, left: set[str]) -> None:
    """No session can hold more than the size, let alone twice that, so with a positive size there is nothing to do."""
    dedup = bench.deduplicator(local_cache_size=size)
    bench.run(dedup.start())
    bench.run(dedup.mark_processed_batch([R1, R2, R3], "s1"))
    bench.advance(60)
    assert set(dedup.local_entries()) == left
    assert bench.take_logs() == ([] if left else ["debug dedup_local_cache_cleaned"])


def test_the_cleaner_comes_at_the_interval_that_was_configured(bench: Bench) -> None:
    dedup = bench.deduplicator(local_cache_size=-1, cleanup_interval_seconds=2.5)
    bench.run(dedup.start())
    for seconds, left in ((2.4, {"s1"}), (0.1, set()), (2.4, {"s1"}), (0.1, set())):
        bench.run(dedup.mark_processed(R1, "s1"))
        bench.advance(seconds)
        assert set(dedup.local_entries()) == left


def test_a_second_start_is_not_guarded_and_close_ends_only_the_second_task(bench: Bench) -> None:
    dedup = bench.deduplicator(local_cache_size=-1)
    bench.run(dedup.start())
    bench.run(dedup.start())
    assert bench.tasks_alive() == 2
    bench.run(dedup.close())
    assert bench.tasks_alive() == 1
    bench.run(dedup.mark_processed(R1, "s1"))
    bench.advance(60)
    assert dedup.local_entries() == {}, "the first goes on cleaning for ever"


# Clients that try again.


@pytest.mark.parametrize(
    ("revision", "answer"), [pytest.param(AS_IS, None, id="as-is"), pytest.param(REFACTORED, False, id="refactored")]
)
def test_with_a_client_that_tries_again_nobody_is_first_when_a_reply_is_lost(
    bench: Bench, revision: Revision, answer: bool | None
) -> None:
    dedup = bench.deduplicator(revision, retrying=True)
    bench.backend.lose_reply("SADD")
    assert bench.run(dedup.mark_processed(R1, "s1")) is answer
    assert [step.split()[0] for step in bench.take_steps()] == ["SADD", "SADD", "EXPIRE"]
    assert bench.counters(dedup) == {"marked s1": 1}
