"""What only the refactored store does: hashes, scripts, creation, legacy records, the two new states."""

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.relay.errors import SessionRecordError, SessionStoreError, SessionTerminalError
from engine.relay.record import encode_record
from engine.relay.refactored.states import CLAIM_MISSING, CLAIM_SKIPPED, TERMINAL_STATES
from tests.engine.relay.bench import AS_IS, REFACTORED, Bench
from tests.engine.relay.commands import deleting_hash, filing_hash, reading_hash, refiling_hash
from tests.engine.relay.interleaving import ORDERS, race
from tests.engine.relay.samples import (
    FINAL_STATES,
    INDEX,
    fields_of,
    full_fields,
    full_snapshot,
    main_key,
    snapshot,
    state_key,
)

KEY = main_key("s1")
OPTIONAL = [
    *("claimed_root_hash", "claim_tx_hash", "proof_tx_hash", "last_wal_entry_id"),
    *("settlement_outcome", "settlement_height", "settlement_tx_hash"),
]
COUNTERS = ["relay_count", "total_compute_units"]
REQUIRED = [name for name in full_fields(created_at="", last_updated_at="") if name not in (*OPTIONAL, *COUNTERS)]


def names(bench: Bench) -> str:
    """The commands since the last look, without arguments."""
    return " ".join(step.split()[0] for step in bench.take_steps())


def hset_fields(step: str) -> list[str]:
    """The names of the fields that an HSET of a full snapshot writes: every second argument."""
    return step.split()[2::2]


def hash_of(bench: Bench) -> dict[bytes, bytes]:
    record = bench.record(KEY)
    assert record is not None
    assert record.kind == "hash"
    found: dict[bytes, bytes] = record.value
    return found


# The layout.


def test_a_session_is_a_hash_with_a_field_for_each_attribute(bench: Bench) -> None:
    bench.advance(0.000001)
    bench.run(bench.store(REFACTORED).save(full_snapshot()))
    assert hash_of(bench) == {
        b"session_id": b"s1",
        b"supplier_operator_address": b"sup1",
        b"service_id": b"svc",
        b"application_address": b"app",
        b"session_start_height": b"101",
        b"session_end_height": b"104",
        b"state": b"claimed",
        b"relay_count": b"7",
        b"total_compute_units": b"4200",
        b"claimed_root_hash": b"\x00\xffroot",
        b"claim_tx_hash": b"tx-claim",
        b"proof_tx_hash": b"tx-proof",
        b"last_wal_entry_id": b"1700-3",
        b"last_updated_at": bench.now_text().encode(),
        b"created_at": b"2026-02-01T10:00:00.25Z",
        b"settlement_outcome": b"settled",
        b"settlement_height": b"130",
        b"settlement_tx_hash": b"tx-settle",
    }
    assert bench.now_text().endswith("00:00:00.000001Z")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"2026-02-01T10:00:00.123456789Z", datetime(2026, 2, 1, 10, 0, 0, 123456, tzinfo=UTC)),
        (b"2026-02-01T12:00:00.5+02:00", datetime(2026, 2, 1, 10, 0, 0, 500_000, tzinfo=UTC)),
        (b"0001-01-01T00:00:00Z", None),
        (b"", None),
    ],
)
def test_timestamps_with_nanoseconds_are_read(bench: Bench, text: bytes, moment: datetime | None) -> None:
    store = bench.store(REFACTORED)
    bench.run(store.save(snapshot()))
    bench.arrange("HSET", KEY, "created_at", text)
    assert bench.run(store.get("s1")).created_at == moment


@pytest.mark.parametrize(
    ("field", "value"), [("relay_count", "many"), ("created_at", "now"), ("settlement_height", "")]
)
def test_a_field_that_cannot_be_read_is_an_error_or_nothing(bench: Bench, field: str, value: str) -> None:
    store = bench.store(REFACTORED)
    bench.run(store.save(snapshot()))
    bench.arrange("HSET", KEY, field, value)
    if value:
        with pytest.raises(SessionRecordError, match="bad session record"):
            bench.run(store.get("s1"))
        assert bench.run(store.get_by_supplier()) == []
        assert bench.take_logs() == ["warning session_lookup_failed"]
    else:
        assert bench.run(store.get("s1")).settlement_height == 0


# Commands in order.


def test_save_of_a_new_session_writes_all_fields_at_once(bench: Bench) -> None:
    bench.run(bench.store(REFACTORED).save(full_snapshot()))
    looked, multi, hset, *rest = bench.take_steps()
    assert [looked, multi, *rest] == [
        f"TYPE {KEY}",
        "MULTI",
        f"EXPIRE {KEY} 7200",
        *filing_hash(state="claimed")[1:],
    ]
    assert hset_fields(hset) == [*REQUIRED, *OPTIONAL, *COUNTERS]


def test_save_of_an_existing_one_writes_metadata_removes_what_is_cleared_and_moves_it_inside_its_multi(
    bench: Bench,
) -> None:
    store = bench.store(REFACTORED)
    bench.run(store.save(full_snapshot()))
    bench.take_steps()
    bench.run(store.save(full_snapshot(state="proved", claim_tx_hash="", settlement_height=None)))
    looked, read, multi, hset, *rest = bench.take_steps()
    *filing, _exec = filing_hash(state="proved")[1:]
    assert [looked, read] == reading_hash()
    assert [multi, *rest] == [
        "MULTI",
        f"HDEL {KEY} claim_tx_hash settlement_height",
        f"EXPIRE {KEY} 7200",
        *filing,
        f"SREM {state_key('claimed')} s1",
        "EXEC",
    ]
    cleared = {"claim_tx_hash", "settlement_height"}
    assert hset_fields(hset) == [*REQUIRED, *(name for name in OPTIONAL if name not in cleared)]
    assert full_fields().keys() - bench.fields().keys() == cleared


def test_commands_of_the_other_operations_in_order(bench: Bench) -> None:
    store = bench.store(REFACTORED)
    bench.run(store.save(snapshot()))
    bench.run(store.save(snapshot("s2")))
    bench.take_steps()
    now = bench.now_text()
    noted = {
        store.update_wal_position("s1", "1-1"): f"HSET {KEY} last_wal_entry_id 1-1 last_updated_at {now}",
        store.update_settlement_metadata("s1", "ok", 9, "tx"): (
            f"HSET {KEY} settlement_outcome ok settlement_height 9 settlement_tx_hash tx last_updated_at {now}"
        ),
    }
    for work, hset in noted.items():
        bench.run(work)
        assert bench.take_steps() == ["MULTI", hset, f"EXPIRE {KEY} 7200", "EXEC"]
    everything: list[tuple[Any, list[str]]] = [
        (store.get("s1"), reading_hash()),
        (store.get("s9"), [f"TYPE {main_key('s9')}"]),
        (store.get_by_supplier(), [f"SMEMBERS {INDEX}", *reading_hash("s1"), *reading_hash("s2")]),
        (store.get_by_state("proved"), [f"SMEMBERS {state_key('proved')}"]),
        (
            store.update_state("s1", "claiming"),
            [f"EVAL <update_state> 1 {KEY} claiming {now} 7200", *refiling_hash(old="active", new="claiming")],
        ),
        (store.update_state("s1", "claiming"), [f"EVAL <update_state> 1 {KEY} claiming {now} 7200"]),
        (
            store.increment_relay_count("s1", 5),
            [f"EVAL <increment_relay_count> 1 {KEY} 5 {now} 7200 {' '.join(sorted(TERMINAL_STATES))}"],
        ),
        (store.delete("s1"), deleting_hash(state="claiming")),
        (store.delete("s1"), [f"TYPE {KEY}"]),
    ]
    for work, steps in everything:
        bench.run(work)
        assert bench.take_steps() == steps


# Creation.


def test_the_winner_of_a_creation_writes_all_fields_and_files_the_session(bench: Bench) -> None:
    given = full_snapshot()
    assert bench.run(bench.store(REFACTORED).create_if_absent(given)) is True
    script, *rest = bench.take_steps()
    assert script.startswith(f"EVAL <create_if_absent> 1 {KEY} 7200 session_id s1 ")
    assert rest == filing_hash(state="claimed")
    assert bench.fields() == full_fields(last_updated_at=bench.now_text())
    assert {bench.ttl_s(key) for key in bench.stored()} == {7200}
    assert given.last_updated_at == bench.world.clock.now()


def test_the_loser_of_a_creation_changes_nothing_but_the_timestamps_of_its_own_snapshot(bench: Bench) -> None:
    store = bench.store(REFACTORED)
    bench.run(store.save(full_snapshot()))
    before = bench.world.dump()
    bench.take_steps()
    losing = snapshot()
    assert bench.run(store.create_if_absent(losing)) is False
    assert [step.split()[:2] for step in bench.take_steps()] == [["EVAL", "<create_if_absent>"]]
    assert bench.world.dump() == before
    assert losing.created_at == bench.world.clock.now()


@pytest.mark.parametrize("order", ORDERS)
def test_of_ten_concurrent_creators_exactly_one_wins(bench: Bench, order: str) -> None:
    stores = [bench.store(REFACTORED) for _ in range(2)]
    given = [snapshot(service_id=f"svc{number}") for number in range(10)]
    answers = race(bench.world, [stores[n % 2].create_if_absent(each) for n, each in enumerate(given)], order)
    winners = [number for number, answer in enumerate(answers) if answer == ("returned", True)]
    assert len(winners) == 1
    assert answers.count(("returned", False)) == 9
    assert bench.fields()["service_id"] == f"svc{winners[0]}"
    assert (bench.members(INDEX), bench.filed_under()) == ({"s1"}, {"active"})


def test_a_winner_whose_filing_fails_has_won_and_is_in_no_index(bench: Bench) -> None:
    store = bench.store(REFACTORED)
    bench.backend.refuse("EXEC")
    assert bench.run(store.create_if_absent(snapshot())) is True
    assert bench.take_logs() == ["warning session_not_indexed"]
    assert bench.stored() == {KEY}, "so that no one who lists sessions will ever claim it"
    assert bench.run(store.create_if_absent(snapshot())) is False


def test_a_closed_store_still_creates(bench: Bench) -> None:
    store = bench.store(REFACTORED)
    bench.run(store.close())
    assert bench.run(store.create_if_absent(snapshot())) is True


# Scripts.


@pytest.mark.parametrize("state", [CLAIM_SKIPPED, CLAIM_MISSING])
def test_the_two_new_states_are_terminal(bench: Bench, state: str) -> None:
    assert set(TERMINAL_STATES) == {*FINAL_STATES, "claim_skipped", "claim_missing"}
    store = bench.store(REFACTORED)
    bench.run(store.save(full_snapshot(state=state)))
    with pytest.raises(SessionTerminalError, match=f"in terminal state {state}"):
        bench.run(store.increment_relay_count("s1", 5))
    legacy = bench.store(AS_IS, supplier="sup2")
    bench.run(legacy.save(snapshot(state=state)))
    bench.run(legacy.increment_relay_count("s1", 5))
    assert bench.run(legacy.get("s1")).relay_count == 1, "to the store as is they are unknown, and count"


def test_a_move_whose_refiling_fails_is_a_move_and_stays_filed_where_it_was(bench: Bench) -> None:
    store = bench.store(REFACTORED)
    bench.run(store.save(snapshot()))
    bench.backend.drop("EXEC")
    bench.run(store.update_state("s1", "claiming"))
    assert bench.take_logs() == ["warning state_index_update_failed"]
    assert (bench.fields()["state"], bench.filed_under()) == ("claiming", {"active"})
    bench.run(store.update_state("s1", "claiming"))
    assert bench.filed_under() == {"active"}, "the same move again does not mend it"


def test_a_count_that_overflows_in_its_second_half_has_counted_in_its_first(bench: Bench) -> None:
    store = bench.store(REFACTORED)
    bench.run(store.save(snapshot(total_compute_units=2**63 - 1)))
    with pytest.raises(SessionStoreError, match="overflow"):
        bench.run(store.increment_relay_count("s1", 5))
    assert (bench.fields()["relay_count"], bench.fields()["total_compute_units"]) == (1, 2**63 - 1)


# Records of the first layout.


def legacy(bench: Bench, **fields: Any) -> None:
    """A session as the store as is has left it."""
    given = full_snapshot(**fields)
    given.last_updated_at = bench.world.clock.now()
    bench.arrange("SET", KEY, encode_record(given), "EX", 7200)
    bench.arrange("SADD", INDEX, "s1")
    bench.arrange("SADD", state_key(given.state), "s1")
    bench.advance(1)


def test_a_legacy_record_is_read_and_left_as_it_is(bench: Bench) -> None:
    legacy(bench)
    store, before = bench.store(REFACTORED), bench.world.dump()
    expected = full_snapshot(last_updated_at=bench.run(store.get("s1")).last_updated_at)
    assert bench.take_steps() == [f"TYPE {KEY}", f"GET {KEY}"]
    assert bench.run(store.get("s1")) == expected
    assert bench.run(store.get_by_supplier()) == bench.run(store.get_by_state("claimed")) == [expected]
    assert bench.world.dump() == before


@pytest.mark.parametrize(
    ("operation", "arguments", "changed"),
    [
        ("update_state", ("s1", "proving"), {"state": "proving"}),
        ("increment_relay_count", ("s1", 5), {"relay_count": 8, "total_compute_units": 4205}),
        ("update_wal_position", ("s1", "9-9"), {"last_wal_entry_id": "9-9"}),
        (
            "update_settlement_metadata",
            ("s1", "ok", 9, "tx"),
            {"settlement_outcome": "ok", "settlement_height": 9, "settlement_tx_hash": "tx"},
        ),
    ],
)
def test_the_first_write_migrates_a_legacy_record(
    bench: Bench, operation: str, arguments: tuple[Any, ...], changed: dict[str, Any]
) -> None:
    legacy(bench)
    bench.run(getattr(bench.store(REFACTORED), operation)(*arguments))
    record = bench.record(KEY)
    assert record is not None
    assert record.kind == "hash"
    assert bench.fields() == full_fields(**changed, last_updated_at=bench.now_text())
    assert bench.filed_under() == {changed.get("state", "claimed")}
    assert bench.ttl_s(KEY) == 7200
    attempt = "EVAL" if operation in ("update_state", "increment_relay_count") else "MULTI HSET EXPIRE EXEC"
    migration = "TYPE GET MULTI DEL HSET EXPIRE SADD EXPIRE SADD EXPIRE EXEC"
    refiling = " MULTI SADD EXPIRE SREM EXEC" if operation == "update_state" else ""
    assert names(bench) == f"{attempt} {migration} {attempt}{refiling}"


def test_a_save_migrates_a_legacy_record_with_the_callers_counters(bench: Bench) -> None:
    legacy(bench, state="active")
    bench.run(bench.store(REFACTORED).save(snapshot(state="claiming")))
    stamps = {"created_at": bench.now_text(), "last_updated_at": bench.now_text()}
    assert bench.fields() == fields_of(state="claiming", **stamps)
    assert bench.filed_under() == {"claiming"}
    assert names(bench) == "TYPE GET MULTI DEL HSET EXPIRE SADD EXPIRE SADD EXPIRE SREM EXEC"


def test_a_legacy_record_is_deleted_and_is_no_room_for_a_creation(bench: Bench) -> None:
    legacy(bench)
    store = bench.store(REFACTORED)
    assert bench.run(store.create_if_absent(snapshot())) is False
    bench.run(store.delete("s1"))
    assert bench.stored() == set()


def test_a_legacy_record_that_cannot_be_read_is_not_migrated(bench: Bench) -> None:
    bench.arrange("SET", KEY, "no json")
    with pytest.raises(SessionRecordError, match="bad session record"):
        bench.run(bench.store(REFACTORED).increment_relay_count("s1", 5))
    assert bench.stored() == {KEY}


def test_a_write_refused_for_another_reason_migrates_nothing(bench: Bench) -> None:
    legacy(bench)
    bench.backend.refuse("EVAL")
    with pytest.raises(SessionStoreError, match="OOM"):
        bench.run(bench.store(REFACTORED).increment_relay_count("s1", 5))
    assert len(bench.take_steps()) == 1


def test_a_legacy_record_that_vanishes_before_it_is_migrated_is_missing(bench: Bench) -> None:
    legacy(bench)
    counting = bench.world.loop.start(bench.store(REFACTORED).increment_relay_count("s1", 5), ("client", 1))
    bench.world.loop.run_ready()
    bench.world.gate.step()  # the script meets the legacy record
    bench.world.loop.run_ready()
    bench.arrange("DEL", KEY)
    bench.world.settle()
    with pytest.raises(SessionStoreError, match="session not found: s1"):
        counting.result()


@pytest.mark.parametrize("kind", ["hash", "string"])
def test_a_session_that_vanishes_between_type_and_read_is_absent(bench: Bench, kind: str) -> None:
    if kind == "hash":
        bench.run(bench.store(REFACTORED).save(snapshot()))
    else:
        legacy(bench)
    reading = bench.world.loop.start(bench.store(REFACTORED).get("s1"), ("client", 1))
    bench.world.loop.run_ready()
    bench.world.gate.step()
    bench.world.loop.run_ready()
    bench.arrange("DEL", KEY)
    bench.world.settle()
    assert reading.result() is None
    assert len(bench.take_steps()) >= 2
