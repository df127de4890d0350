"""A session as the fields of a Redis HASH.

Numbers in decimal, timestamps as in :mod:`engine.relay.timestamps`, the root hash as the bytes that it is.
An optional attribute that is empty or unset has no field.
"""

from collections.abc import Callable
from typing import TypeVar

from redis.typing import EncodableT, FieldT

from engine.relay.errors import SessionRecordError
from engine.relay.session import SessionSnapshot
from engine.relay.timestamps import NEVER, format_timestamp, parse_timestamp

T = TypeVar("T")

HashFields = dict[FieldT, EncodableT]
"""Fields and their values, as the client takes them."""


def encode_metadata(snapshot: SessionSnapshot) -> HashFields:
    """All fields but the counters, which belong to the script that increments them."""
    required: HashFields = {
        "session_id": snapshot.session_id,
        "supplier_operator_address": snapshot.supplier_operator_address,
        "service_id": snapshot.service_id,
        "application_address": snapshot.application_address,
        "session_start_height": snapshot.session_start_height,
        "session_end_height": snapshot.session_end_height,
        "state": snapshot.state,
        "created_at": format_timestamp(snapshot.created_at),
        "last_updated_at": format_timestamp(snapshot.last_updated_at),
    }
    present: HashFields = {name: value for name, value in _optional(snapshot).items() if value is not None}
    return required | present


def encode_session(snapshot: SessionSnapshot) -> HashFields:
    """All fields, counters included, for a hash that does not exist yet."""
    counters: HashFields = {"relay_count": snapshot.relay_count, "total_compute_units": snapshot.total_compute_units}
    return encode_metadata(snapshot) | counters


def cleared_fields(snapshot: SessionSnapshot) -> list[str]:
    """The optional fields that ``snapshot`` does not have, and that a hash may still have."""
    return [name for name, value in _optional(snapshot).items() if value is None]


def decode_session(fields: dict[bytes, bytes]) -> SessionSnapshot:
    """The session that a hash tells. A missing field reads as zero, empty or unset.

    Raises:
        SessionRecordError: A number or a timestamp cannot be read.
    """
    try:
        return _snapshot_of(_Fields(fields))
    except ValueError as error:
        raise SessionRecordError(f"bad session record: {error}") from error


def _optional(snapshot: SessionSnapshot) -> dict[str, EncodableT | None]:
    return {
        "claimed_root_hash": snapshot.claimed_root_hash or None,
        "claim_tx_hash": snapshot.claim_tx_hash or None,
        "proof_tx_hash": snapshot.proof_tx_hash or None,
        "last_wal_entry_id": snapshot.last_wal_entry_id or None,
        "settlement_outcome": snapshot.settlement_outcome,
        "settlement_height": snapshot.settlement_height,
        "settlement_tx_hash": snapshot.settlement_tx_hash,
    }


class _Fields:
    """Typed access to the fields of a hash."""

    def __init__(self, fields: dict[bytes, bytes]) -> None:
        self._fields = fields

    def raw(self, name: str) -> bytes:
        return self._fields.get(name.encode(), b"")

    def text(self, name: str) -> str:
        return self.raw(name).decode(errors="replace")

    def number(self, name: str) -> int:
        return int(self.text(name) or "0")

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        return read(name) if name.encode() in self._fields else None


def _snapshot_of(fields: _Fields) -> SessionSnapshot:
    return SessionSnapshot(
        session_id=fields.text("session_id"),
        supplier_operator_address=fields.text("supplier_operator_address"),
        service_id=fields.text("service_id"),
        application_address=fields.text("application_address"),
        session_start_height=fields.number("session_start_height"),
        session_end_height=fields.number("session_end_height"),
        state=fields.text("state"),
        relay_count=fields.number("relay_count"),
        total_compute_units=fields.number("total_compute_units"),
        claimed_root_hash=fields.raw("claimed_root_hash"),
        claim_tx_hash=fields.text("claim_tx_hash"),
        proof_tx_hash=fields.text("proof_tx_hash"),
        last_wal_entry_id=fields.text("last_wal_entry_id"),
        last_updated_at=parse_timestamp(fields.text("last_updated_at") or NEVER),
        created_at=parse_timestamp(fields.text("created_at") or NEVER),
        settlement_outcome=fields.optional("settlement_outcome", fields.text),
        settlement_height=fields.optional("settlement_height", fields.number),
        settlement_tx_hash=fields.optional("settlement_tx_hash", fields.text),
    )
