"""States, records, timestamps, keys, errors: what the services say and write, without a Redis."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from engine.relay import errors
from engine.relay.clock import SystemClock
from engine.relay.errors import RelayError, SessionRecordError, SessionStoreError
from engine.relay.keys import SessionKeys, relays_of_session
from engine.relay.metrics import DeduplicatorMetrics
from engine.relay.record import decode_record, encode_record
from engine.relay.refactored.fields import cleared_fields, decode_session, encode_metadata, encode_session
from engine.relay.replies import as_bytes, as_ids
from engine.relay.session import SessionSnapshot, SessionState, is_failure, is_success, is_terminal
from engine.relay.timestamps import NEVER, format_timestamp, parse_timestamp
from tests.engine.relay.samples import CREATED_AT, FINAL_STATES, TEN_STATES, full_snapshot, snapshot
from tests.engine.relay.thoroughness import THOROUGHNESS

MOMENTS = st.datetimes(timezones=st.just(UTC), min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1))  # noqa: DTZ001
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
SNAPSHOTS = st.builds(
    SessionSnapshot,
    session_id=TEXTS,
    supplier_operator_address=TEXTS,
    service_id=TEXTS,
    application_address=TEXTS,
    session_start_height=st.integers(),
    session_end_height=st.integers(),
    state=st.sampled_from(TEN_STATES) | TEXTS,
    relay_count=st.integers(0),
    total_compute_units=st.integers(0),
    claimed_root_hash=st.binary(max_size=8),
    claim_tx_hash=TEXTS,
    proof_tx_hash=TEXTS,
    last_wal_entry_id=TEXTS,
    last_updated_at=st.none() | MOMENTS,
    created_at=st.none() | MOMENTS,
    settlement_outcome=st.none() | TEXTS,
    settlement_height=st.none() | st.integers(),
    settlement_tx_hash=st.none() | TEXTS,
)


# States.


def test_there_are_ten_states() -> None:
    assert tuple(SessionState) == TEN_STATES


@pytest.mark.parametrize("state", [*TEN_STATES, "no such state", "", "ACTIVE", "claim_skipped"])
def test_a_state_is_terminal_a_success_a_failure_or_none_of_it(state: str) -> None:
    success = state in ("proved", "probabilistic_proved")
    terminal = state in FINAL_STATES
    assert (is_terminal(state), is_success(state), is_failure(state)) == (terminal, success, terminal and not success)


# Records.


def test_a_record_has_its_fields_in_one_order_and_leaves_out_what_is_unset() -> None:
    given_snapshot = snapshot(created_at=CREATED_AT, last_updated_at=CREATED_AT + timedelta(seconds=1))
    assert encode_record(given_snapshot) == (
        b'{"session_id":"s1","supplier_operator_address":"sup1","service_id":"svc","application_address":"app",'
        b'"session_start_height":101,"session_end_height":104,"state":"active","relay_count":0,"total_compute_units":0,'
        b'"last_updated_at":"2026-02-01T10:00:01.25Z","created_at":"2026-02-01T10:00:00.25Z"}'
    )


def test_a_full_record_has_eighteen_fields_in_one_order() -> None:
    assert encode_record(full_snapshot()) == (
        b'{"session_id":"s1","supplier_operator_address":"sup1","service_id":"svc","application_address":"app",'
        b'"session_start_height":101,"session_end_height":104,"state":"claimed","relay_count":7,'
        b'"total_compute_units":4200,"claimed_root_hash":"AP9yb290","claim_tx_hash":"tx-claim",'
        b'"proof_tx_hash":"tx-proof","last_wal_entry_id":"1700-3","last_updated_at":"0001-01-01T00:00:00Z",'
        b'"created_at":"2026-02-01T10:00:00.25Z","settlement_outcome":"settled","settlement_height":130,'
        b'"settlement_tx_hash":"tx-settle"}'
    )


def test_a_record_escapes_what_is_unsafe_in_html_and_nothing_else() -> None:
    encoded = encode_record(snapshot(service_id='<a&b>\u2028\u2029é"\n'))
    assert b'"service_id":"\\u003ca\\u0026b\\u003e\\u2028\\u2029\xc3\xa9\\"\\n"' in encoded


@THOROUGHNESS
@given(SNAPSHOTS)
def test_a_session_survives_its_record(session: SessionSnapshot) -> None:
    assert decode_record(encode_record(session)) == session


@pytest.mark.parametrize("data", [b"{}", b'{"state":null,"unknown":[1],"settlement_height":null,"created_at":null}'])
def test_what_a_record_lacks_or_has_as_null_is_zero_empty_or_unset(data: bytes) -> None:
    empty: dict[str, Any] = {"session_id": "", "supplier_operator_address": "", "service_id": "", "state": ""}
    heights = {"application_address": "", "session_start_height": 0, "session_end_height": 0}
    assert decode_record(data) == SessionSnapshot(**empty, **heights)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"null", b"7", b"{", b'{"a":NaN}', b"[" * 100_000),
        *(b'{"state":7}', b'{"relay_count":"7"}', b'{"relay_count":true}', b'{"relay_count":1.0}'),
        *(b'{"settlement_height":"x"}', b'{"settlement_outcome":1}', b'{"claimed_root_hash":"!"}'),
        *(b'{"created_at":"2026-02-01"}', b'{"last_updated_at":5}'),
    ],
)
def test_a_bad_record_is_refused(data: bytes) -> None:
    with pytest.raises(SessionRecordError, match="bad session record"):
        decode_record(data)


# Hashes.


@THOROUGHNESS
@given(SNAPSHOTS)
def test_a_session_survives_its_hash(session: SessionSnapshot) -> None:
    stored = {str(name).encode(): _sent(value) for name, value in encode_session(session).items()}
    assert decode_session(stored) == session
    assert encode_session(session).keys() - encode_metadata(session).keys() == {"relay_count", "total_compute_units"}
    assert set(cleared_fields(session)).isdisjoint(encode_session(session))
    assert len(cleared_fields(session)) + len(encode_session(session)) == 18


def _sent(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def test_a_hash_of_nothing_is_a_session_of_nothing() -> None:
    assert decode_session({}) == decode_record(b"{}")


@pytest.mark.parametrize("field", [b"relay_count", b"settlement_height", b"session_end_height", b"created_at"])
def test_a_field_that_is_no_number_or_moment_is_refused(field: bytes) -> None:
    with pytest.raises(SessionRecordError, match="bad session record"):
        decode_session({field: b"x"})


# Timestamps.


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, NEVER),
        (datetime(2026, 2, 1, 10, tzinfo=UTC), "2026-02-01T10:00:00Z"),
        (datetime(2026, 2, 1, 10, 0, 0, 100_000, tzinfo=UTC), "2026-02-01T10:00:00.1Z"),
        (datetime(2026, 2, 1, 10, 0, 0, 1, tzinfo=UTC), "2026-02-01T10:00:00.000001Z"),
        (datetime(2026, 2, 1, 10, tzinfo=timezone(timedelta(hours=2))), "2026-02-01T08:00:00Z"),
    ],
)
def test_a_moment_is_written_in_utc_without_trailing_zeros(moment: datetime | None, text: str) -> None:
    assert format_timestamp(moment) == text
    assert parse_timestamp(text) == moment


def test_nanoseconds_are_read_and_what_is_finer_than_a_microsecond_is_dropped() -> None:
    assert parse_timestamp("2026-02-01T10:00:00.123456789Z") == datetime(2026, 2, 1, 10, 0, 0, 123456, tzinfo=UTC)
    assert parse_timestamp("2026-02-01T10:00:00-05:30") == datetime(2026, 2, 1, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-02-01", "2026-02-01T10:00:00", "2026-13-01T10:00:00Z", "9999-12-31T23:00:00-02:00"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"timestamp|month|out of range"):
        parse_timestamp(text)


@THOROUGHNESS
@given(MOMENTS)
def test_a_moment_survives_its_text(moment: datetime) -> None:
    assert parse_timestamp(format_timestamp(moment)) == moment


def test_the_machines_clock_is_aware_and_in_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


# Keys, replies, metrics, errors.


def test_keys_are_prefix_supplier_and_name_without_hash_tags() -> None:
    keys = SessionKeys(prefix="p", supplier="sup")
    assert (keys.session("s"), keys.index(), keys.state("active")) == ("p:sup:s", "p:sup:index", "p:sup:state:active")
    assert relays_of_session("p", "s") == "p:session:s"


def test_a_session_called_index_is_kept_where_the_index_is() -> None:
    keys = SessionKeys(prefix="p", supplier="sup")
    assert keys.session("index") == keys.index()
    assert keys.session("state:active") == keys.state("active")


def test_ids_come_sorted_and_mangled_where_they_are_no_text() -> None:
    assert as_ids({b"b", b"a", b"\xff"}) == ["a", "b", "\ufffd"]


def test_a_client_that_decodes_replies_is_a_bug() -> None:
    assert as_bytes(b"x") == b"x"
    with pytest.raises(AssertionError, match="decode_responses=False"):
        as_bytes("x")


def test_a_registry_takes_the_counters_once() -> None:
    registry = CollectorRegistry()
    metrics = DeduplicatorMetrics.register(registry)
    metrics.errors.labels("s1", "redis_check").inc()
    assert (
        registry.get_sample_value("ha_miner_dedup_errors_total", {"session_id": "s1", "operation": "redis_check"}) == 1
    )
    with pytest.raises(ValueError, match="Duplicated"):
        DeduplicatorMetrics.register(registry)


def test_whoever_catches_relay_errors_catches_them_all() -> None:
    raised = [each for each in vars(errors).values() if isinstance(each, type) and each.__module__ == errors.__name__]
    assert len(raised) == 12
    assert all(issubclass(each, RelayError) for each in raised)
    assert {each.__name__ for each in raised if issubclass(each, SessionStoreError)} == {
        *("SessionStoreError", "SessionStoreClosedError", "SessionRecordError"),
        *("SessionNotFoundError", "SessionTerminalError"),
    }


def test_the_root_hash_is_base64_in_a_record_and_bytes_in_a_hash() -> None:
    session = full_snapshot()
    assert base64.b64encode(session.claimed_root_hash) in encode_record(session)
    assert encode_metadata(session)["claimed_root_hash"] == b"\x00\xffroot"
