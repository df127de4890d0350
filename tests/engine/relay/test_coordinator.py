"""The thirteen characterization tests of the session coordinator, as it is, on the store as it is."""

from typing import Any

import pytest

from engine.relay.errors import CoordinatorClosedError, SessionNotFoundError, SessionStoreError
from engine.relay.session import SessionSnapshot
from tests.engine.relay.bench import Bench
from tests.engine.relay.commands import looking, moving, overwriting, saving
from tests.engine.relay.interleaving import ORDERS, last_writers_count, looked_before, race
from tests.engine.relay.samples import (
    FINAL_STATES,
    INDEX,
    LIVING_STATES,
    SUPPLIER,
    fields_of,
    full_fields,
    full_snapshot,
    main_key,
    snapshot,
    state_key,
)

EXTREMES = {"one after another": (1, 10), "in step": (10, 1)}
RELAY = (SUPPLIER, "svc", "app", 101, 104)
FINISHING = {
    "on_claim_window_closed": "claim_window_closed",
    "on_claim_tx_error": "claim_tx_error",
    "on_proof_window_closed": "proof_window_closed",
    "on_proof_tx_error": "proof_tx_error",
    "on_probabilistic_proved": "probabilistic_proved",
}


def test_discover_a_new_session(bench: Bench) -> None:
    coordinator = bench.coordinator()
    assert bench.run(coordinator.on_relay_processed("s1", 5, *RELAY)) is None
    assert bench.take_steps() == [*looking(), *saving(), *overwriting()]
    stamps = {"created_at": bench.now_text(), "last_updated_at": bench.now_text()}
    assert bench.fields() == fields_of(relay_count=1, total_compute_units=5, **stamps)
    assert bench.stored() == {main_key("s1"), INDEX, state_key("active")}
    assert bench.members(INDEX) == bench.members(state_key("active")) == {"s1"}
    assert {bench.ttl_s(key) for key in bench.stored()} == {7200}
    now = bench.world.clock.now()
    assert bench.take_callbacks() == [("created", snapshot(created_at=now, last_updated_at=now))]
    assert bench.take_logs() == []


@pytest.mark.parametrize("state", LIVING_STATES)
def test_route_to_an_existing_one(bench: Bench, state: str) -> None:
    store = bench.store()
    coordinator = bench.coordinator(store=store)
    bench.run(store.save(full_snapshot(state=state)))
    bench.take_steps()
    bench.advance(1)
    bench.run(coordinator.on_relay_processed("s1", 5, "another supplier", "other", "other", 7, 8))
    assert bench.take_steps() == [*looking(), *overwriting()]
    counted = {"relay_count": 8, "total_compute_units": 4205, "last_updated_at": bench.now_text()}
    assert bench.fields() == full_fields(state=state, **counted), "what the relay says of its session is not looked at"
    assert bench.filed_under() == {state}
    assert (bench.take_callbacks(), bench.take_logs()) == ([], [])

    bench.backend.drop("GET")
    bench.run(coordinator.on_relay_processed("s1", 5, *RELAY))
    assert bench.take_logs() == ["warning session_lookup_failed"]
    assert [name for name, *_ in bench.take_callbacks()] == ["created"]
    stamps = {"created_at": bench.now_text(), "last_updated_at": bench.now_text()}
    assert bench.fields() == fields_of(relay_count=1, total_compute_units=5, **stamps), "unreadable is overwritten"
    assert bench.filed_under() == {"active"}


def test_several_suppliers(bench: Bench) -> None:
    """Each supplier's coordinator has a store of its own; one session id is two sessions."""
    first, second = bench.coordinator(), bench.coordinator(supplier="sup2")
    bench.run(first.on_relay_processed("s1", 5, *RELAY))
    bench.run(second.on_relay_processed("s1", 7, "sup2", "svc", "app", 101, 104))
    bench.run(second.on_relay_processed("s1", 7, "sup2", "svc", "app", 101, 104))
    theirs = "ha:miner:sessions:sup2"
    assert bench.stored() == {
        *(main_key("s1"), INDEX, state_key("active")),
        *(f"{theirs}:s1", f"{theirs}:index", f"{theirs}:state:active"),
    }
    assert bench.fields()["total_compute_units"] == 5
    assert bench.members(INDEX) == bench.members(f"{theirs}:index") == {"s1"}
    read = bench.run(bench.store(supplier="sup2").get("s1"))
    assert (read.supplier_operator_address, read.relay_count, read.total_compute_units) == ("sup2", 2, 14)

    bench.run(first.on_relay_processed("s3", 5, "sup2", "svc", "app", 101, 104))
    assert bench.fields("s3")["supplier_operator_address"] == "sup2", "the snapshot holds what was passed in"
    assert bench.members(INDEX) == {"s1", "s3"}, "but is kept where the store keeps its own supplier's"
    assert bench.members(f"{theirs}:index") == {"s1"}
    assert [name for name, *_ in bench.take_callbacks()] == ["created"] * 3


@pytest.mark.parametrize(("supplier", "service"), [("", "svc"), (SUPPLIER, ""), ("", "")])
def test_invalid_session(bench: Bench, supplier: str, service: str) -> None:
    """Without supplier or service no session is created, and the relay is lost without an error."""
    coordinator = bench.coordinator()
    bench.run(coordinator.on_relay_processed("s1", 5, supplier, service, "app", 101, 104))
    assert bench.take_steps() == [*looking(), *looking()], "it tries to count all the same"
    assert bench.take_logs() == ["warning session_not_created", "warning relay_not_counted"]
    assert (bench.stored(), bench.take_callbacks()) == (set(), [])

    bench.run(coordinator.on_relay_processed("", 5, SUPPLIER, "svc", "", -1, -5))
    assert bench.fields(""), "id, application and heights are not validated"
    bench.run(coordinator.on_relay_processed("s2", 5, *RELAY))
    bench.take_callbacks()
    bench.run(coordinator.on_relay_processed("s2", 5, supplier, service, "app", 101, 104))
    assert bench.fields("s2")["relay_count"] == 2, "an existing session needs neither"
    assert (bench.take_callbacks(), bench.take_logs()) == ([], [])


def test_expired_session(bench: Bench) -> None:
    """A relay of a session long over is not refused: where the record is gone, it begins a new one."""
    store = bench.store()
    coordinator = bench.coordinator(store=store)
    bench.run(coordinator.on_relay_processed("s1", 5, *RELAY))
    bench.advance(7200)
    assert bench.stored() == {main_key("s1"), INDEX, state_key("active")}, "each lives through its last millisecond"
    bench.advance(0.001)
    assert bench.stored() == set()
    bench.take_callbacks()
    bench.run(coordinator.on_relay_processed("s1", 7, *RELAY))
    stamps = {"created_at": bench.now_text(), "last_updated_at": bench.now_text()}
    assert bench.fields() == fields_of(relay_count=1, total_compute_units=7, **stamps)
    assert [name for name, *_ in bench.take_callbacks()] == ["created"]

    for state in FINAL_STATES:
        bench.run(store.save(full_snapshot(state=state)))
        before = bench.fields()
        bench.take_steps()
        bench.run(coordinator.on_relay_processed("s1", 5, *RELAY))
        assert bench.take_steps() == [*looking(), *looking()]
        assert bench.take_logs() == ["warning relay_not_counted"], "a finished session counts no more, and nobody hears"
        assert bench.fields() == before
    assert bench.take_callbacks() == []


@pytest.mark.parametrize("order", ORDERS)
def test_concurrent_discovery(bench: Bench, order: str) -> None:
    """Ten callers, one new session: everyone who looks before the first save creates it, and wipes what was counted."""
    coordinator = bench.coordinator()
    answers = race(bench.world, [coordinator.on_relay_processed("s1", 5, *RELAY) for _ in range(10)], order)
    assert answers == [("returned", None)] * 10, "nobody is told that a relay was lost"
    trace = bench.world.gate.trace or []
    creators, count = looked_before(trace, b"MULTI"), last_writers_count(trace)
    assert (creators, count) == EXTREMES.get(order, (creators, count))
    assert [name for name, *_ in bench.take_callbacks()] == ["created"] * creators
    stamps = {"created_at": bench.now_text(), "last_updated_at": bench.now_text()}
    assert bench.fields() == fields_of(relay_count=count, total_compute_units=5 * count, **stamps)
    assert bench.members(INDEX) == {"s1"}
    assert bench.filed_under() == {"active"}
    assert bench.take_logs() == []


def test_accumulation(bench: Bench) -> None:
    coordinator, other = bench.coordinator(), bench.coordinator()
    created = bench.now_text()
    for number in range(1, 11):
        bench.advance(1)
        bench.run((coordinator if number % 2 else other).on_relay_processed("s1", number, *RELAY))
        stamps = {"created_at": bench.now_text(1 - number), "last_updated_at": bench.now_text()}
        counted = {"relay_count": number, "total_compute_units": number * (number + 1) // 2}
        assert bench.fields() == fields_of(**counted, **stamps)
    assert bench.now_text(-10) == created
    assert [name for name, *_ in bench.take_callbacks()] == ["created"]
    assert (bench.ttl_s(main_key("s1")), bench.ttl_s(INDEX), bench.ttl_s(state_key("active"))) == (7200, 7191, 7191)
    bench.backend.refuse("SET")
    bench.run(coordinator.on_relay_processed("s1", 11, *RELAY))
    assert bench.take_logs() == ["warning relay_not_counted"]
    assert bench.fields()["relay_count"] == 10, "lost, and the caller is told nothing"


@pytest.mark.parametrize("state", [*LIVING_STATES, *FINAL_STATES])
def test_session_claimed(bench: Bench, state: str) -> None:
    store = bench.store()
    coordinator = bench.coordinator(store=store)
    bench.run(store.save(full_snapshot(state=state)))
    bench.take_steps()
    bench.advance(1)
    bench.run(coordinator.on_session_claimed("s1", b"\x00new root\xff", "tx-2"))
    old = state if state != "claimed" else ""
    assert bench.take_steps() == [*looking(), *saving(state="claimed", old=old)]
    claim = {"claimed_root_hash": "AG5ldyByb290/w==", "claim_tx_hash": "tx-2", "state": "claimed"}
    assert bench.fields() == full_fields(**claim, last_updated_at=bench.now_text())
    assert bench.filed_under() == {"claimed"}, "whatever the state was, a final one included"
    assert bench.take_callbacks() == []

    bench.backend.refuse("EXEC")
    with pytest.raises(SessionStoreError, match="save of session s1 failed"):
        bench.run(coordinator.on_session_claimed("s1", b"root", "tx-3"))
    with pytest.raises(SessionNotFoundError, match=r"^session not found: s2$"):
        bench.run(coordinator.on_session_claimed("s2", b"root", "tx-3"))
    assert bench.fields()["claim_tx_hash"] == "tx-2"
    assert bench.take_logs() == []


@pytest.mark.parametrize("state", [*LIVING_STATES, *FINAL_STATES])
def test_proof_submitted(bench: Bench, state: str) -> None:
    store = bench.store()
    coordinator = bench.coordinator(store=store)
    bench.run(store.save(full_snapshot(state=state)))
    bench.take_steps()
    bench.advance(1)
    bench.run(coordinator.on_proof_submitted("s1", "tx-2"))
    assert bench.take_steps() == [*looking(), *saving(state=state)]
    assert bench.fields() == full_fields(state=state, proof_tx_hash="tx-2", last_updated_at=bench.now_text())
    assert bench.filed_under() == {state}
    assert bench.take_callbacks() == []
    bench.backend.drop("EXEC")
    with pytest.raises(SessionStoreError, match="save of session s1 failed"):
        bench.run(coordinator.on_proof_submitted("s1", "tx-3"))
    with pytest.raises(SessionNotFoundError, match=r"^session not found: s2$"):
        bench.run(coordinator.on_proof_submitted("s2", "tx-3"))
    assert bench.fields()["proof_tx_hash"] == "tx-2"


def test_session_proved(bench: Bench) -> None:
    """The terminal callback runs in any case, also when nothing moved."""
    store = bench.store()
    coordinator = bench.coordinator(store=store)
    bench.run(store.save(full_snapshot(state="proving")))
    bench.take_steps()
    bench.advance(1)
    bench.run(coordinator.on_session_proved("s1"))
    assert bench.take_steps() == moving(old="proving", new="proved")
    assert bench.fields() == full_fields(state="proved", last_updated_at=bench.now_text())
    assert bench.filed_under() == {"proved"}
    bench.run(coordinator.on_session_proved("s1"))
    assert bench.take_steps() == looking()
    assert bench.take_callbacks() == [("terminal", "s1", "proved")] * 2
    assert bench.take_logs() == []

    bench.run(coordinator.on_session_proved("missing"))
    bench.backend.drop("GET")
    bench.run(coordinator.on_session_proved("s1"))
    assert bench.take_logs() == ["warning session_update_failed"] * 2
    assert bench.take_callbacks() == [("terminal", "missing", "proved"), ("terminal", "s1", "proved")]


@pytest.mark.parametrize(("operation", "state"), FINISHING.items())
def test_terminal_callbacks(bench: Bench, operation: str, state: str) -> None:
    store = bench.store()
    coordinator = bench.coordinator(store=store)
    bench.run(store.save(full_snapshot(state="active")))
    bench.take_steps()
    bench.advance(1)
    bench.run(getattr(coordinator, operation)("s1"))
    assert bench.take_steps() == moving(old="active", new=state)
    assert bench.fields() == full_fields(state=state, last_updated_at=bench.now_text())
    bench.run(getattr(coordinator, operation)("s1"))
    assert bench.take_steps() == looking(), "the same state again changes nothing"
    assert bench.take_callbacks() == [("terminal", "s1", state)] * 2, "but is told again"

    for break_it in (lambda: bench.backend.refuse("GET"), lambda: bench.arrange("DEL", main_key("s1"))):
        break_it()
        with pytest.raises(SessionStoreError):
            bench.run(getattr(coordinator, operation)("s1"))
        assert bench.take_logs() == ["warning session_update_failed"]
        assert bench.take_callbacks() == []

    bench.run(store.save(snapshot()))
    coordinator.set_on_session_terminal_callback(bench.world.callback("told", _refuse))
    with pytest.raises(CallbackRefusedError):
        bench.run(getattr(coordinator, operation)("s1"))
    assert bench.take_callbacks() == [("told", "s1", state)], "the last callback that was set is the one"
    assert bench.filed_under() == {state}, "the move stands, whatever the callback says"


def test_claim_window_closed(bench: Bench) -> None:
    store = bench.store()
    coordinator = bench.coordinator(store=store)
    for old in (*LIVING_STATES, *FINAL_STATES):
        bench.run(store.save(full_snapshot(state=old)))
        bench.advance(1)
        bench.run(coordinator.on_claim_window_closed("s1"))
        closed = {"state": "claim_window_closed"}
        expected_at = bench.now_text(-1 if old == "claim_window_closed" else 0)
        assert bench.fields() == full_fields(**closed, last_updated_at=expected_at), "even from success"
        assert bench.filed_under() == {"claim_window_closed"}
        assert bench.take_callbacks() == [("terminal", "s1", "claim_window_closed")]
    bench.run(coordinator.on_relay_processed("s1", 5, *RELAY))
    assert bench.take_logs() == ["warning relay_not_counted"]

    bench.run(coordinator.close())
    before = bench.world.dump()
    bench.take_steps()
    for operation in FINISHING:
        with pytest.raises(CoordinatorClosedError, match=r"^session coordinator is closed$"):
            bench.run(getattr(coordinator, operation)("s1"))
    assert (bench.take_steps(), bench.take_callbacks(), bench.take_logs()) == ([], [], [])
    assert bench.world.dump() == before


def test_created_callback(bench: Bench) -> None:
    store = bench.store()
    coordinator = bench.coordinator(store=store)
    bench.run(coordinator.on_session_created("s1", *RELAY))
    assert bench.take_steps() == saving()
    now = bench.world.clock.now()
    assert bench.take_callbacks() == [("created", snapshot(created_at=now, last_updated_at=now))]

    bench.run(coordinator.on_relay_processed("s1", 5, *RELAY))
    bench.run(coordinator.on_session_created("s1", *RELAY))
    assert bench.fields()["relay_count"] == 0, "what exists is overwritten, counters included"
    assert len(bench.take_callbacks()) == 1

    bench.backend.refuse("EXEC")
    with pytest.raises(SessionStoreError, match="save of session s2 failed"):
        bench.run(coordinator.on_session_created("s2", *RELAY))
    assert bench.take_callbacks() == []
    coordinator.set_on_session_created_callback(bench.world.callback("told", _refuse))
    bench.run(coordinator.on_session_created("s2", *RELAY))
    assert [name for name, *_ in bench.take_callbacks()] == ["told"]
    assert bench.take_logs() == ["warning created_callback_failed"], "an error of the callback is a warning"

    async def track(created: SessionSnapshot) -> None:
        await store.save(created)

    coordinator.set_on_session_created_callback(track)
    bench.take_steps()
    bench.run(coordinator.on_relay_processed("s3", 5, *RELAY))
    in_production = [*looking("s3"), *saving("s3"), *saving("s3"), *overwriting("s3")]
    assert bench.take_steps() == in_production, "whoever tracks sessions saves the same snapshot again"
    assert bench.fields("s3")["relay_count"] == 1


class CallbackRefusedError(Exception):
    """What a callback may raise."""


def _refuse(*_: Any) -> None:
    raise CallbackRefusedError("no")
