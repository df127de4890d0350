"""Sessions to write down: one with nothing set that can be left out, one with everything set."""

from datetime import UTC, datetime
from typing import Any

from engine.relay.session import SessionSnapshot

SUPPLIER = "sup1"
PREFIX = f"ha:miner:sessions:{SUPPLIER}"
INDEX = f"{PREFIX}:index"
TTL_S = 7200

TEN_STATES = (
    "active",
    "claiming",
    "claimed",
    "claim_window_closed",
    "claim_tx_error",
    "proving",
    "proved",
    "probabilistic_proved",
    "proof_window_closed",
    "proof_tx_error",
)
LIVING_STATES = ("active", "claiming", "claimed", "proving")
FINAL_STATES = tuple(state for state in TEN_STATES if state not in LIVING_STATES)
CREATED_AT = datetime(2026, 2, 1, 10, 0, 0, 250_000, tzinfo=UTC)


def main_key(session_id: str) -> str:
    return f"{PREFIX}:{session_id}"


def state_key(state: str) -> str:
    return f"{PREFIX}:state:{state}"


def snapshot(session_id: str = "s1", **fields: Any) -> SessionSnapshot:
    """A session as its first relay would make it."""
    required: dict[str, Any] = {
        "session_id": session_id,
        "supplier_operator_address": SUPPLIER,
        "service_id": "svc",
        "application_address": "app",
        "session_start_height": 101,
        "session_end_height": 104,
    }
    return SessionSnapshot(**required | fields)


def full_snapshot(session_id: str = "s1", **fields: Any) -> SessionSnapshot:
    """A session whose every field differs from its default, and from every other field."""
    everything: dict[str, Any] = {
        "state": "claimed",
        "relay_count": 7,
        "total_compute_units": 4200,
        "claimed_root_hash": b"\x00\xffroot",
        "claim_tx_hash": "tx-claim",
        "proof_tx_hash": "tx-proof",
        "last_wal_entry_id": "1700-3",
        "created_at": CREATED_AT,
        "settlement_outcome": "settled",
        "settlement_height": 130,
        "settlement_tx_hash": "tx-settle",
    }
    return snapshot(session_id, **everything | fields)


def fields_of(session_id: str = "s1", **fields: Any) -> dict[str, Any]:
    """What is stored of ``snapshot(session_id)``, without timestamps, and with ``fields`` on top."""
    return {
        "session_id": session_id,
        "supplier_operator_address": SUPPLIER,
        "service_id": "svc",
        "application_address": "app",
        "session_start_height": 101,
        "session_end_height": 104,
        "state": "active",
        "relay_count": 0,
        "total_compute_units": 0,
        **fields,
    }


def full_fields(session_id: str = "s1", **fields: Any) -> dict[str, Any]:
    """What is stored of ``full_snapshot(session_id)``, without ``last_updated_at``, and with ``fields`` on top."""
    everything: dict[str, Any] = {
        "state": "claimed",
        "relay_count": 7,
        "total_compute_units": 4200,
        "claimed_root_hash": "AP9yb290",
        "claim_tx_hash": "tx-claim",
        "proof_tx_hash": "tx-proof",
        "last_wal_entry_id": "1700-3",
        "created_at": "2026-02-01T10:00:00.25Z",
        "settlement_outcome": "settled",
        "settlement_height": 130,
        "settlement_tx_hash": "tx-settle",
    }
    return fields_of(session_id, **everything | fields)
