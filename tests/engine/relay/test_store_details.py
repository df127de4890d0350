"""The session store beyond its twelve tests: both revisions side by side, failures at every step."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from engine.relay.errors import (
    RelayError,
    SessionNotFoundError,
    SessionRecordError,
    SessionStoreClosedError,
    SessionStoreError,
    SessionTerminalError,
)
from engine.relay.session import SessionSnapshot
from engine.relay.store import StoreConfig
from tests.engine.relay.bench import AS_IS, REFACTORED, Bench, Revision
from tests.engine.relay.interleaving import ORDERS, last_writers_count, race
from tests.engine.relay.samples import (
    FINAL_STATES,
    INDEX,
    LIVING_STATES,
    SUPPLIER,
    TEN_STATES,
    fields_of,
    full_fields,
    full_snapshot,
    main_key,
    snapshot,
    state_key,
)

Operation = Callable[[Any], Coroutine[Any, Any, Any]]
OPERATIONS: Mapping[str, Operation] = {
    "save": lambda store: store.save(snapshot(state="claimed")),
    "create_if_absent": lambda store: store.create_if_absent(snapshot("s2")),
    "get": lambda store: store.get("s1"),
    "get_by_supplier": lambda store: store.get_by_supplier(),
    "get_by_state": lambda store: store.get_by_state("active"),
    "delete": lambda store: store.delete("s1"),
    "update_state": lambda store: store.update_state("s1", "claimed"),
    "update_settlement_metadata": lambda store: store.update_settlement_metadata("s1", "settled", 120, "tx"),
    "update_wal_position": lambda store: store.update_wal_position("s1", "1-1"),
    "increment_relay_count": lambda store: store.increment_relay_count("s1", 5),
}
# What becomes of a failure at each step of an operation on an active session: it is raised, or logged under a name.
AS_IS_FAILURES = {
    "save": ["session_lookup_failed", "raised", "state_index_cleanup_failed"],
    "get": ["raised"],
    "get_by_supplier": ["raised", "raised"],
    "get_by_state": ["raised", "raised"],
    "delete": ["raised", "raised"],
    "update_state": ["raised", "raised"],
    "update_settlement_metadata": ["raised", "raised"],
    "update_wal_position": ["raised", "raised"],
    "increment_relay_count": ["raised", "raised"],
}
REFACTORED_FAILURES = {
    "save": ["session_lookup_failed", "session_lookup_failed", "raised"],
    "create_if_absent": ["raised", "session_not_indexed"],
    "get": ["raised", "raised"],
    "get_by_supplier": ["raised", "session_lookup_failed", "session_lookup_failed"],
    "get_by_state": ["raised", "session_lookup_failed", "session_lookup_failed"],
    "delete": ["raised", "raised", "raised"],
    "update_state": ["raised", "state_index_update_failed"],
    "update_settlement_metadata": ["raised"],
    "update_wal_position": ["raised"],
    "increment_relay_count": ["raised"],
}
FAILURES = [
    pytest.param(revision, operation, number, outcome, id=f"{revision.name}-{operation}-step {number}")
    for revision, table in ((AS_IS, AS_IS_FAILURES), (REFACTORED, REFACTORED_FAILURES))
    for operation, outcomes in table.items()
    for number, outcome in enumerate(outcomes, 1)
]


def both(as_is: Any, refactored: Any) -> Any:
    """One case for each revision, with what differs."""
    return [pytest.param(AS_IS, as_is, id="as-is"), pytest.param(REFACTORED, refactored, id="refactored")]


def stored_by(bench: Bench, revision: Revision, given: SessionSnapshot) -> Any:
    """A store that has saved ``given``, and a second later, with nothing to look back on."""
    store = bench.store(revision)
    bench.run(store.save(given))
    bench.advance(1)
    bench.take_steps()
    return store


# Both revisions alike.


def test_where_sessions_are_kept_and_for_how_long_by_default() -> None:
    assert (StoreConfig().key_prefix, StoreConfig().session_ttl_seconds) == ("ha:miner:sessions", 7200)


def test_prefix_and_time_to_live_are_as_configured(bench: Bench, revision: Revision) -> None:
    store = bench.store(revision, key_prefix="mine", session_ttl_seconds=9)
    bench.run(store.save(snapshot()))
    assert bench.stored() == {"mine:sup1:s1", "mine:sup1:index", "mine:sup1:state:active"}
    assert {bench.ttl_s(key) for key in bench.stored()} == {9}
    bench.advance(9.001)
    assert bench.stored() == set()


@pytest.mark.parametrize("make", [snapshot, full_snapshot])
def test_what_is_saved_is_read_back_field_by_field(
    bench: Bench, revision: Revision, make: Callable[[], SessionSnapshot]
) -> None:
    given = make()
    store = stored_by(bench, revision, given)
    record = bench.record(main_key("s1"))
    assert record is not None
    assert (record.kind, record.ttl_ms) == (revision.record_kind, 7_199_000)
    created = bench.now_text(-1) if make is snapshot else "2026-02-01T10:00:00.25Z"
    expected = (fields_of if make is snapshot else full_fields)(created_at=created, last_updated_at=bench.now_text(-1))
    assert bench.fields() == expected
    assert bench.run(store.get("s1")) == bench.run(bench.store(revision).get("s1")) == given


@pytest.mark.parametrize("fields", [{}, {"relay_count": 3, "total_compute_units": 2**60}])
def test_saving_again_rewrites_the_metadata_and_drops_what_was_cleared(
    bench: Bench, revision: Revision, fields: dict[str, Any]
) -> None:
    store = stored_by(bench, revision, full_snapshot(**fields))
    counters = {"relay_count": 7, "total_compute_units": 4200} | fields
    cleared = snapshot(state="claimed", service_id="other", **counters)
    bench.run(store.save(cleared))
    stamps = {"created_at": bench.now_text(), "last_updated_at": bench.now_text()}
    assert bench.fields() == fields_of(state="claimed", service_id="other", **counters, **stamps)
    assert bench.ttl_s(main_key("s1")) == bench.ttl_s(INDEX) == bench.ttl_s(state_key("claimed")) == 7200


def test_a_save_keeps_the_moment_of_creation_that_the_caller_gives(bench: Bench, revision: Revision) -> None:
    given = snapshot()
    store = stored_by(bench, revision, given)
    created_at = given.created_at
    bench.run(store.save(given))
    assert (given.created_at, given.last_updated_at) == (created_at, bench.world.clock.now())
    assert (bench.fields()["created_at"], bench.fields()["last_updated_at"]) == (bench.now_text(-1), bench.now_text())


@pytest.mark.parametrize("old", TEN_STATES)
def test_a_move_changes_state_time_and_index_and_nothing_else(bench: Bench, revision: Revision, old: str) -> None:
    store = stored_by(bench, revision, full_snapshot(state=old))
    for new in (state for state in (*TEN_STATES, "no such state") if state != old):
        bench.run(store.update_state("s1", new))
        assert bench.fields() == full_fields(state=new, last_updated_at=bench.now_text())
        assert bench.filed_under() == {new}
        assert (bench.ttl_s(main_key("s1")), bench.ttl_s(state_key(new)), bench.ttl_s(INDEX)) == (7200, 7200, 7199)
        bench.run(store.save(full_snapshot(state=old)))
        assert bench.filed_under() == {old}
        bench.advance(1)


def test_lists_are_sorted_leave_out_what_has_no_record_and_remove_nothing(bench: Bench, revision: Revision) -> None:
    store = bench.store(revision)
    saved = {
        name: full_snapshot(name, state=state) for name, state in {"b": "active", "c": "proved", "a": "active"}.items()
    }
    for each in saved.values():
        bench.run(store.save(each))
    for index in (INDEX, state_key("active")):
        bench.arrange("SADD", index, "gone", b"\xff")
    bench.arrange("SADD", state_key("active"), "c")
    assert bench.run(store.get_by_supplier()) == [saved["a"], saved["b"], saved["c"]]
    assert bench.run(store.get_by_state("active")) == [saved["a"], saved["b"]]
    assert bench.run(store.get_by_state("claimed")) is None
    assert bench.run(bench.store(revision, supplier="sup2").get_by_supplier()) is None
    assert bench.members(INDEX) == {"a", "b", "c", "gone", b"\xff"}
    assert bench.members(state_key("active")) == {"a", "b", "c", "gone", b"\xff"}
    for key in map(main_key, saved):
        bench.arrange("DEL", key)
    assert bench.run(store.get_by_supplier()) == [], "an index without records is not an empty index"


def test_a_deleted_session_is_gone_from_both_indexes(bench: Bench, revision: Revision) -> None:
    store = stored_by(bench, revision, full_snapshot())
    bench.run(store.delete("s1"))
    assert bench.stored() == set()
    assert bench.run(store.get("s1")) is None
    bench.run(store.delete("s1"))
    bench.arrange("SADD", INDEX, "s1")
    bench.run(store.delete("s1"))
    assert bench.members(INDEX) == {"s1"}, "without a record nothing is removed"


@pytest.mark.parametrize("operation", ["update_state", "increment_relay_count"])
def test_a_missing_session_is_neither_moved_nor_counted(bench: Bench, revision: Revision, operation: str) -> None:
    with pytest.raises(SessionNotFoundError, match=r"^session not found: s1$"):
        bench.run(OPERATIONS[operation](bench.store(revision)))
    assert bench.stored() == set()


@pytest.mark.parametrize("state", [*LIVING_STATES, "no such state"])
def test_a_living_session_counts_relays_and_units(bench: Bench, revision: Revision, state: str) -> None:
    store = stored_by(bench, revision, full_snapshot(state=state))
    for units in (0, 2**40, -3):
        bench.run(store.increment_relay_count("s1", units))
    counted = {"relay_count": 10, "total_compute_units": 4197 + 2**40, "last_updated_at": bench.now_text()}
    assert bench.fields() == full_fields(state=state, **counted)
    assert (bench.ttl_s(main_key("s1")), bench.ttl_s(INDEX), bench.filed_under()) == (7200, 7199, {state})


@pytest.mark.parametrize("state", FINAL_STATES)
def test_a_finished_session_counts_nothing(bench: Bench, revision: Revision, state: str) -> None:
    store = stored_by(bench, revision, full_snapshot(state=state))
    before = bench.world.dump()
    with pytest.raises(SessionTerminalError, match=rf"^session s1 is in terminal state {state}$") as raised:
        bench.run(store.increment_relay_count("s1", 5))
    assert (raised.value.session_id, raised.value.state) == ("s1", state)
    assert bench.world.dump() == before


def test_settlement_and_position_are_noted_in_any_state(bench: Bench, revision: Revision) -> None:
    store = stored_by(bench, revision, snapshot(state="proved"))
    bench.run(store.update_settlement_metadata("s1", "settled", 130, "tx-settle"))
    bench.run(store.update_wal_position("s1", "1700-3"))
    stamps = {"created_at": bench.now_text(-1), "last_updated_at": bench.now_text()}
    noted = {"last_wal_entry_id": "1700-3", "settlement_outcome": "settled", "settlement_height": 130}
    assert bench.fields() == fields_of(state="proved", settlement_tx_hash="tx-settle", **noted, **stamps)
    assert (bench.ttl_s(main_key("s1")), bench.ttl_s(INDEX)) == (7200, 7199)


def test_a_closed_store_refuses_to_save_and_nothing_else(bench: Bench, revision: Revision) -> None:
    store = stored_by(bench, revision, snapshot())
    assert store.closed is False
    bench.run(store.close())
    bench.run(store.close())
    assert store.closed is True
    given = snapshot("s2")
    with pytest.raises(SessionStoreClosedError, match=r"^session store is closed$"):
        bench.run(store.save(given))
    assert (bench.take_steps(), given.last_updated_at) == ([], None)
    for operation in (AS_IS_FAILURES if revision is AS_IS else REFACTORED_FAILURES).keys() - {"save", "delete"}:
        bench.run(OPERATIONS[operation](store))
    bench.run(store.delete("s1"))
    assert main_key("s1") not in bench.stored()


def test_a_record_of_another_type_is_an_error_and_stays(bench: Bench, revision: Revision) -> None:
    store = bench.store(revision)
    bench.arrange("RPUSH", main_key("s1"), "no session")
    for operation in ("get", "delete", "update_state", "increment_relay_count"):
        with pytest.raises(SessionStoreError) as raised:
            bench.run(OPERATIONS[operation](store))
        assert not isinstance(raised.value, SessionNotFoundError)
    assert bench.stored() == {main_key("s1")}


@pytest.mark.parametrize("kind", ["refuse", "drop", "lose_reply"])
@pytest.mark.parametrize(("revision", "operation", "number", "outcome"), FAILURES)
def test_a_failure_at_any_step_is_raised_or_logged(
    bench: Bench, revision: Revision, operation: str, number: int, outcome: str, kind: str
) -> None:
    store = stored_by(bench, revision, snapshot())
    before = bench.world.dump()
    getattr(bench.backend, kind)(step=number)
    if outcome == "raised":
        with pytest.raises(SessionStoreError) as raised:
            bench.run(OPERATIONS[operation](store))
        assert isinstance(raised.value, RelayError)
        assert bench.take_logs() == []
        assert (bench.world.dump() == before) or kind == "lose_reply", "what was refused has changed nothing"
    else:
        bench.run(OPERATIONS[operation](store))
        assert bench.take_logs() == [f"warning {outcome}"]
    assert bench.backend.faults == [], "the operation has that step"


@pytest.mark.parametrize(("revision", "failures"), both(AS_IS_FAILURES, REFACTORED_FAILURES))
def test_no_operation_has_a_step_that_the_table_of_failures_lacks(
    bench: Bench, revision: Revision, failures: Mapping[str, list[str]]
) -> None:
    for operation, outcomes in failures.items():
        bench.world.restart()
        store = stored_by(bench, revision, snapshot())
        bench.backend.refuse(step=len(outcomes) + 1)
        bench.run(OPERATIONS[operation](store))
        assert len(bench.backend.faults) == 1, operation


# Where they differ.


@pytest.mark.parametrize(("revision", "kept"), both((0, 0), (7, 4200)))
def test_only_the_one_as_is_writes_the_callers_counters_over_what_was_counted(
    bench: Bench, revision: Revision, kept: tuple[int, int]
) -> None:
    store = stored_by(bench, revision, full_snapshot())
    bench.run(store.save(snapshot()))
    assert (bench.fields()["relay_count"], bench.fields()["total_compute_units"]) == kept


@pytest.mark.parametrize(("revision", "ttl"), both(7199, 7200))
def test_a_move_to_the_same_state_writes_nothing_or_renews_the_record(
    bench: Bench, revision: Revision, ttl: int
) -> None:
    store = stored_by(bench, revision, snapshot())
    bench.run(store.update_state("s1", "active"))
    assert (bench.ttl_s(main_key("s1")), bench.ttl_s(state_key("active"))) == (ttl, 7199)
    assert bench.fields()["last_updated_at"] == bench.now_text(ttl - 7200)
    assert bench.filed_under() == {"active"}


@pytest.mark.parametrize(("revision", "expected"), both(last_writers_count, lambda _: 10))
@pytest.mark.parametrize("order", ORDERS)
def test_only_the_refactored_one_counts_every_one_of_ten_concurrent_relays(
    bench: Bench, revision: Revision, expected: Callable[[Any], int], order: str
) -> None:
    store = stored_by(bench, revision, snapshot())
    answers = race(bench.world, [store.increment_relay_count("s1", 5) for _ in range(10)], order)
    assert answers == [("returned", None)] * 10
    count = expected(bench.world.gate.trace)
    assert (bench.fields()["relay_count"], bench.fields()["total_compute_units"]) == (count, 5 * count)


@pytest.mark.parametrize(("revision", "lost"), both(True, False))
def test_a_relay_counted_while_a_session_moves_is_lost_or_not(bench: Bench, revision: Revision, lost: bool) -> None:
    """Consumer against worker. As it is, the count may even bring back the state that the session has left."""
    seen = set()
    for order in ORDERS:
        bench.world.restart()
        store = stored_by(bench, revision, snapshot())
        race(bench.world, [store.increment_relay_count("s1", 5), store.update_state("s1", "claiming")], order)
        seen.add((bench.fields()["relay_count"], bench.fields()["state"], *bench.filed_under()))
    good, count_lost, move_lost = (1, "claiming", "claiming"), (0, "claiming", "claiming"), (1, "active", "claiming")
    assert seen == ({good, count_lost, move_lost} if lost else {good})


@pytest.mark.parametrize("operation", ["update_settlement_metadata", "update_wal_position"])
def test_the_one_as_is_notes_nothing_of_a_session_that_does_not_exist(bench: Bench, operation: str) -> None:
    with pytest.raises(SessionNotFoundError, match=r"^session not found: s1$"):
        bench.run(OPERATIONS[operation](bench.store()))
    assert bench.stored() == set()


@pytest.mark.parametrize(
    ("operation", "noted"),
    [
        (
            "update_settlement_metadata",
            {"settlement_outcome": "settled", "settlement_height": 120, "settlement_tx_hash": "tx"},
        ),
        ("update_wal_position", {"last_wal_entry_id": "1-1"}),
    ],
)
def test_the_refactored_one_leaves_a_stump_of_a_session_that_does_not_exist(
    bench: Bench, operation: str, noted: dict[str, Any]
) -> None:
    store = bench.store(REFACTORED)
    bench.run(OPERATIONS[operation](store))
    assert bench.stored() == {main_key("s1")}
    assert bench.fields() == noted | {"last_updated_at": bench.now_text()}
    assert bench.ttl_s(main_key("s1")) == 7200
    read = bench.run(store.get("s1"))
    assert (read.session_id, read.state, read.created_at, read.relay_count) == ("", "", None, 0)
    bench.run(store.update_state("s1", "claiming"))
    assert bench.filed_under() == {"claiming"}


@pytest.mark.parametrize(("revision", "outcome"), both(("string", type(None)), ("list", SessionStoreError)))
def test_a_save_overwrites_a_record_of_another_type_or_fails(
    bench: Bench, revision: Revision, outcome: tuple[str, type]
) -> None:
    bench.arrange("RPUSH", main_key("s1"), "no session")
    error = bench.world.perform(bench.store(revision).save(snapshot())).exception()
    record = bench.record(main_key("s1"))
    assert record is not None
    assert bench.take_logs() == ["warning session_lookup_failed"]
    assert (record.kind, type(error)) == outcome
    assert bench.filed_under() == {"active"}, "the rest of the MULTI takes effect in either"


@pytest.mark.parametrize(("revision", "count"), both(1, 2))
def test_with_a_client_that_tries_again_only_the_refactored_one_counts_a_relay_twice_when_the_reply_is_lost(
    bench: Bench, revision: Revision, count: int
) -> None:
    stored_by(bench, revision, snapshot())
    bench.backend.lose_reply("SET" if revision is AS_IS else "EVAL")
    bench.run(bench.store(revision, retrying=True).increment_relay_count("s1", 5))
    assert bench.fields()["relay_count"] == count


@pytest.mark.parametrize(("revision", "stale"), both({"active", "proved"}, {"proved"}))
def test_only_the_one_as_is_can_leave_a_saved_session_in_two_indexes(
    bench: Bench, revision: Revision, stale: set[str]
) -> None:
    store = stored_by(bench, revision, snapshot())
    bench.backend.drop("SREM")
    bench.run(store.save(snapshot(state="proved")))
    assert bench.filed_under() == stale
    bench.backend.mend()
    assert bench.run(store.get_by_state("active")) == ([] if revision is AS_IS else None)


# The records of the one as is.


@pytest.mark.parametrize(
    "bad", [b"", b"no json", b"[]", b"null", b'{"relay_count":"7"}', b'{"created_at":"yesterday"}']
)
def test_a_bad_record_is_an_error_to_whoever_reads_it_and_new_to_whoever_saves(bench: Bench, bad: bytes) -> None:
    store = bench.store()
    bench.arrange("SET", main_key("s1"), bad)
    for operation in AS_IS_FAILURES.keys() - {"save", "get_by_supplier", "get_by_state"}:
        with pytest.raises(SessionRecordError, match="bad session record"):
            bench.run(OPERATIONS[operation](store))
    bench.run(store.save(snapshot()))
    assert bench.take_logs() == ["warning session_lookup_failed"]
    assert bench.fields()["supplier_operator_address"] == SUPPLIER
    assert bench.filed_under() == {"active"}


def test_a_multi_of_which_one_command_is_refused_has_taken_effect_for_the_rest(bench: Bench) -> None:
    store = bench.store()
    bench.arrange("SET", state_key("active"), "no set")
    with pytest.raises(SessionStoreError, match="WRONGTYPE"):
        bench.run(store.save(snapshot()))
    assert bench.fields()["state"] == "active"
    assert bench.members(INDEX) == {"s1"}


def test_two_saves_of_different_states_can_leave_a_session_in_two_indexes_or_the_wrong_one(bench: Bench) -> None:
    """Process against process: no failure is needed, only the right order."""
    seen = set()
    for order in ORDERS:
        bench.world.restart()
        store = stored_by(bench, AS_IS, snapshot())
        race(bench.world, [store.save(snapshot(state=state)) for state in ("claimed", "proved")], order)
        seen.add((bench.fields()["state"], frozenset(bench.filed_under())))
    assert ("proved", frozenset({"proved"})) in seen
    assert ("proved", frozenset({"claimed", "proved"})) in seen
