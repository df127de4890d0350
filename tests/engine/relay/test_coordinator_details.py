"""The coordinator beyond its thirteen tests: both revisions side by side, failures at every step."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from engine.relay.errors import (
    CoordinatorClosedError,
    RelayError,
    SessionNotFoundError,
    SessionStoreError,
)
from tests.engine.relay.bench import AS_IS, REFACTORED, Bench, Revision
from tests.engine.relay.commands import filing_hash, reading_hash
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

RELAY = (SUPPLIER, "svc", "app", 101, 104)
Operation = Callable[[Any], Coroutine[Any, Any, Any]]
OPERATIONS: dict[str, Operation] = {
    "on_relay_processed": lambda coordinator: coordinator.on_relay_processed("s1", 5, *RELAY),
    "on_session_created": lambda coordinator: coordinator.on_session_created("s1", *RELAY),
    "on_session_claimed": lambda coordinator: coordinator.on_session_claimed("s1", b"root", "tx-1"),
    "on_proof_submitted": lambda coordinator: coordinator.on_proof_submitted("s1", "tx-2"),
    "on_session_proved": lambda coordinator: coordinator.on_session_proved("s1"),
    "on_claim_window_closed": lambda coordinator: coordinator.on_claim_window_closed("s1"),
    "on_claim_tx_error": lambda coordinator: coordinator.on_claim_tx_error("s1"),
    "on_proof_window_closed": lambda coordinator: coordinator.on_proof_window_closed("s1"),
    "on_proof_tx_error": lambda coordinator: coordinator.on_proof_tx_error("s1"),
    "on_probabilistic_proved": lambda coordinator: coordinator.on_probabilistic_proved("s1"),
}
FINISHING = {
    "on_session_proved": "proved",
    "on_claim_window_closed": "claim_window_closed",
    "on_claim_tx_error": "claim_tx_error",
    "on_proof_window_closed": "proof_window_closed",
    "on_proof_tx_error": "proof_tx_error",
    "on_probabilistic_proved": "probabilistic_proved",
}


def both(as_is: Any, refactored: Any) -> Any:
    """One case for each revision, with what differs."""
    return [pytest.param(AS_IS, as_is, id="as-is"), pytest.param(REFACTORED, refactored, id="refactored")]


def on_session(bench: Bench, revision: Revision, **fields: Any) -> Any:
    """A coordinator whose store holds a session that is not claimed, a second later."""
    store = bench.store(revision)
    bench.run(store.save(full_snapshot(claim_tx_hash="", proof_tx_hash="", **fields)))
    bench.advance(1)
    bench.take_steps()
    return bench.coordinator(revision, store=store)


# Both revisions alike.


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_closed_coordinator_refuses_everything_before_it_looks(
    bench: Bench, revision: Revision, operation: str
) -> None:
    coordinator = on_session(bench, revision, state="active")
    before = bench.world.dump()
    assert coordinator.closed is False
    bench.run(coordinator.close())
    bench.run(coordinator.close())
    assert coordinator.closed is True
    with pytest.raises(CoordinatorClosedError, match=r"^session coordinator is closed$") as raised:
        bench.run(OPERATIONS[operation](coordinator))
    assert isinstance(raised.value, RelayError)
    assert (bench.take_steps(), bench.take_callbacks(), bench.take_logs()) == ([], [], [])
    assert bench.world.dump() == before


def test_a_call_under_way_goes_on_when_the_coordinator_is_closed(bench: Bench, revision: Revision) -> None:
    coordinator = bench.coordinator(revision)
    under_way = bench.world.loop.start(coordinator.on_session_created("s1", *RELAY), ("client", 1))
    bench.world.loop.run_ready()
    bench.run(coordinator.close())
    bench.world.settle()
    assert under_way.result() is None
    assert bench.filed_under() == {"active"}
    assert [name for name, *_ in bench.take_callbacks()] == ["created"]


def test_a_relay_processed_of_a_new_session_creates_and_counts(bench: Bench, revision: Revision) -> None:
    coordinator = bench.coordinator(revision)
    for _ in range(3):
        bench.run(coordinator.on_relay_processed("s1", 5, *RELAY))
    stamps = {"created_at": bench.now_text(), "last_updated_at": bench.now_text()}
    assert bench.fields() == fields_of(relay_count=3, total_compute_units=15, **stamps)
    assert bench.members(INDEX) == bench.members(state_key("active")) == {"s1"}
    now = bench.world.clock.now()
    assert bench.take_callbacks() == [("created", snapshot(created_at=now, last_updated_at=now))]


def test_a_coordinator_without_callbacks_tells_nobody(bench: Bench, revision: Revision) -> None:
    coordinator = revision.coordinator(bench.store(revision), supplier=SUPPLIER)
    for operation in OPERATIONS.values():
        bench.run(operation(coordinator))
    assert bench.take_callbacks() == []
    late_errors = ["warning session_failure_suppressed"] * 2
    assert bench.take_logs() == ([] if revision is AS_IS else late_errors), "nor does it warn that there is nobody"
    assert bench.stored() >= {main_key("s1"), INDEX}


@pytest.mark.parametrize("state", LIVING_STATES)
@pytest.mark.parametrize(("operation", "final"), FINISHING.items())
def test_finishing_moves_the_session_and_then_tells(
    bench: Bench, revision: Revision, state: str, operation: str, final: str
) -> None:
    if revision is REFACTORED and (operation, state) == ("on_claim_tx_error", "claimed"):
        state = "proving"  # suppressed, which has a test of its own
    coordinator = on_session(bench, revision, state=state)
    bench.run(OPERATIONS[operation](coordinator))
    absent = {"claim_tx_hash", "proof_tx_hash"}
    expected = full_fields(state=final, last_updated_at=bench.now_text())
    assert bench.fields() == {name: value for name, value in expected.items() if name not in absent}
    assert bench.filed_under() == {final}
    assert bench.take_callbacks() == [("terminal", "s1", final)]


@pytest.mark.parametrize("operation", FINISHING)
def test_finishing_a_missing_session_is_an_error_but_for_proved(
    bench: Bench, revision: Revision, operation: str
) -> None:
    coordinator = bench.coordinator(revision)
    if operation == "on_session_proved":
        bench.run(OPERATIONS[operation](coordinator))
        assert bench.take_callbacks() == [("terminal", "s1", "proved")]
    else:
        with pytest.raises(SessionNotFoundError, match=r"^session not found: s1$"):
            bench.run(OPERATIONS[operation](coordinator))
        assert bench.take_callbacks() == []
    assert bench.take_logs() == ["warning session_update_failed"]
    assert bench.stored() == set()


@pytest.mark.parametrize("state", TEN_STATES)
def test_a_claim_and_a_proof_are_noted_in_any_state(bench: Bench, revision: Revision, state: str) -> None:
    coordinator = on_session(bench, revision, state=state)
    bench.run(coordinator.on_proof_submitted("s1", "tx-2"))
    assert (bench.fields()["state"], bench.fields()["proof_tx_hash"]) == (state, "tx-2")
    bench.run(coordinator.on_session_claimed("s1", b"new", "tx-1"))
    noted = {"claimed_root_hash": "bmV3", "claim_tx_hash": "tx-1", "proof_tx_hash": "tx-2"}
    assert bench.fields() == full_fields(**noted, last_updated_at=bench.now_text())
    assert bench.filed_under() == {"claimed"}
    assert bench.take_callbacks() == []


@pytest.mark.parametrize("operation", ["on_session_claimed", "on_proof_submitted"])
def test_a_claim_or_a_proof_of_a_missing_session_is_an_error(bench: Bench, revision: Revision, operation: str) -> None:
    with pytest.raises(SessionNotFoundError, match=r"^session not found: s1$"):
        bench.run(OPERATIONS[operation](bench.coordinator(revision)))
    assert (bench.stored(), bench.take_logs()) == (set(), [])


def test_a_finished_session_counts_no_relay_and_nobody_hears(bench: Bench, revision: Revision) -> None:
    for state in FINAL_STATES:
        coordinator = on_session(bench, revision, state=state)
        before = bench.fields()
        bench.run(coordinator.on_relay_processed("s1", 5, *RELAY))
        assert bench.fields() == before
        assert bench.take_logs() == ["warning relay_not_counted"]


@pytest.mark.parametrize("kind", ["refuse", "drop", "lose_reply"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_fails_at_any_step_a_caller_meets_only_errors_of_the_relay_core(
    bench: Bench, revision: Revision, operation: str, kind: str
) -> None:
    """And of a relay that cannot be counted as it is, no error at all."""
    for step in range(1, 12):
        bench.world.restart()
        coordinator = on_session(bench, revision, state="active")
        getattr(bench.backend, kind)(step=step)
        done = bench.world.perform(OPERATIONS[operation](coordinator))
        error = done.exception()
        if bench.backend.faults:
            assert (error, step > 1) == (None, True)
            return
        raised_or_logged = isinstance(error, SessionStoreError) or bench.take_logs()
        assert raised_or_logged, "no failure goes by without a word"
        assert error is None or not (revision is AS_IS and operation == "on_relay_processed")
        assert error is None or operation != "on_session_proved"
    pytest.fail("an operation has fewer steps than that")


# Where they differ.


@pytest.mark.parametrize(("revision", "raises"), both(False, True))
def test_only_the_refactored_one_raises_what_keeps_a_relay_from_being_counted(
    bench: Bench, revision: Revision, raises: bool
) -> None:
    coordinator = on_session(bench, revision, state="active")
    bench.backend.drop("EVAL" if raises else "SET")
    counting = bench.world.perform(coordinator.on_relay_processed("s1", 5, *RELAY))
    assert isinstance(counting.exception(), SessionStoreError) is raises
    assert bench.take_logs() == ([] if raises else ["warning relay_not_counted"])
    invalid = bench.world.perform(coordinator.on_relay_processed("s2", 5, "", "", "app", 101, 104))
    assert isinstance(invalid.exception(), SessionNotFoundError) is raises
    assert bench.take_logs() == ["warning session_not_created", *([] if raises else ["warning relay_not_counted"])]


@pytest.mark.parametrize(("revision", "outcome"), both(type(None), SessionNotFoundError))
def test_a_session_that_cannot_be_created_loses_its_relay_and_only_the_refactored_one_says_so(
    bench: Bench, revision: Revision, outcome: type
) -> None:
    coordinator = bench.coordinator(revision)
    bench.backend.refuse("EXEC" if revision is AS_IS else "EVAL")
    counting = bench.world.perform(coordinator.on_relay_processed("s1", 5, *RELAY))
    assert type(counting.exception()) is outcome
    lost = ["warning relay_not_counted"] if revision is AS_IS else []
    assert bench.take_logs() == ["warning session_creation_failed", *lost]
    assert (bench.stored(), bench.take_callbacks()) == (set(), [])


@pytest.mark.parametrize(("revision", "kept"), both((0, 2), (7, 0)))
def test_only_the_one_as_is_overwrites_a_session_that_another_created(
    bench: Bench, revision: Revision, kept: tuple[int, int]
) -> None:
    coordinator = on_session(bench, revision, state="active")
    for _ in range(2):
        bench.run(coordinator.on_session_created("s1", *RELAY))
    relays, callbacks = kept
    assert bench.fields()["relay_count"] == relays
    assert len(bench.take_callbacks()) == callbacks, "who loses returns quietly"
    assert bench.take_logs() == []


@pytest.mark.parametrize(("revision", "expected"), both(last_writers_count, lambda _: 10))
@pytest.mark.parametrize("order", ORDERS)
def test_only_the_refactored_one_counts_all_of_ten_concurrent_relays_of_a_new_session(
    bench: Bench, revision: Revision, expected: Callable[[Any], int], order: str
) -> None:
    """In two processes. Of the refactored one, exactly one caller runs the created callback."""
    processes = [bench.coordinator(revision) for _ in range(2)]
    answers = race(bench.world, [processes[n % 2].on_relay_processed("s1", 5, *RELAY) for n in range(10)], order)
    assert answers == [("returned", None)] * 10
    count = expected(bench.world.gate.trace)
    assert (bench.fields()["relay_count"], bench.fields()["total_compute_units"]) == (count, 5 * count)
    assert (bench.members(INDEX), bench.filed_under()) == ({"s1"}, {"active"})
    assert revision is AS_IS or len(bench.take_callbacks()) == 1


@pytest.mark.parametrize(("revision", "lost"), both(True, False))
def test_a_relay_counted_while_its_session_is_claimed_is_lost_or_not(
    bench: Bench, revision: Revision, lost: bool
) -> None:
    """Consumer against worker: a claim is a read and a write of the whole session, and so is a count."""
    seen = set()
    for order in ORDERS:
        bench.world.restart()
        coordinator = on_session(bench, revision, state="claiming")
        works = [coordinator.on_relay_processed("s1", 5, *RELAY), coordinator.on_session_claimed("s1", b"r", "tx-1")]
        assert race(bench.world, works, order) == [("returned", None)] * 2
        stored = bench.fields()
        seen.add((stored["relay_count"], stored["state"], stored.get("claim_tx_hash")))
    good, relay_lost, claim_lost = (8, "claimed", "tx-1"), (7, "claimed", "tx-1"), (8, "claiming", None)
    assert seen == ({good, relay_lost, claim_lost} if lost else {good})


TX_ERRORS = [
    ("on_claim_tx_error", {"state": "claimed"}, True),
    ("on_claim_tx_error", {"state": "claiming", "claim_tx_hash": "tx-1"}, True),
    ("on_claim_tx_error", {"state": "claiming", "claim_tx_hash": ""}, False),
    ("on_claim_tx_error", {"state": "proved", "claim_tx_hash": ""}, False),
    ("on_proof_tx_error", {"state": "proved"}, True),
    ("on_proof_tx_error", {"state": "probabilistic_proved"}, True),
    ("on_proof_tx_error", {"state": "proving", "proof_tx_hash": "tx-2"}, True),
    ("on_proof_tx_error", {"state": "proving", "proof_tx_hash": "", "claim_tx_hash": "tx-1"}, False),
    ("on_proof_tx_error", {"state": "claimed", "proof_tx_hash": ""}, False),
]


@pytest.mark.parametrize(("operation", "fields", "suppressed"), TX_ERRORS)
def test_only_the_refactored_one_suppresses_a_late_error_of_what_succeeded(
    bench: Bench, revision: Revision, operation: str, fields: dict[str, Any], suppressed: bool
) -> None:
    store = bench.store(revision)
    bench.run(store.save(snapshot(**fields)))
    before = bench.world.dump()
    coordinator = bench.coordinator(revision, store=store)
    bench.run(OPERATIONS[operation](coordinator))
    if suppressed and revision is REFACTORED:
        assert bench.world.dump() == before
        assert (bench.take_callbacks(), bench.take_logs()) == ([], ["warning session_failure_suppressed"])
    else:
        assert bench.fields()["state"] == FINISHING[operation]
        assert bench.filed_under() == {FINISHING[operation]}
        assert bench.take_callbacks() == [("terminal", "s1", FINISHING[operation])]


@pytest.mark.parametrize("operation", ["on_claim_tx_error", "on_proof_tx_error"])
def test_a_late_error_is_not_suppressed_when_redis_cannot_be_asked(bench: Bench, operation: str) -> None:
    coordinator = on_session(bench, REFACTORED, state="claimed")
    bench.backend.drop("TYPE")
    bench.run(OPERATIONS[operation](coordinator))
    assert bench.take_logs() == ["warning session_lookup_failed"]
    assert bench.take_callbacks() == [("terminal", "s1", FINISHING[operation])]


def test_the_refactored_one_creates_by_one_script_and_counts_by_another(bench: Bench) -> None:
    coordinator = bench.coordinator(REFACTORED)
    bench.run(coordinator.on_relay_processed("s1", 5, *RELAY))
    looked, created, *filed, counted = bench.take_steps()
    assert looked == f"TYPE {main_key('s1')}"
    assert created.split()[:2] == ["EVAL", "<create_if_absent>"]
    assert filed == filing_hash()
    assert counted.split()[:2] == ["EVAL", "<increment_relay_count>"]
    bench.run(coordinator.on_claim_tx_error("s1"))
    assert bench.take_steps()[:2] == reading_hash(), "it looks before it gives up"
