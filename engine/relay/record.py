"""The JSON record of a session.

Fields in one fixed order, no spaces, timestamps as in :mod:`engine.relay.timestamps`, the root hash in
base64. Empty texts and hashes of the optional fields are left out, and so is a settlement that is unset.
Other readers of the records are written in Go: what its encoder escapes is escaped here too, and what
its decoder forgives (unknown fields, missing fields, ``null``) is forgiven.
"""

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from engine.relay.errors import SessionRecordError
from engine.relay.session import SessionSnapshot
from engine.relay.timestamps import NEVER, format_timestamp, parse_timestamp

T = TypeVar("T")

# Safe inside HTML and JavaScript, as Go's encoder has it. These only ever occur inside strings.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

_OMITTED_WHEN_EMPTY = ("claimed_root_hash", "claim_tx_hash", "proof_tx_hash", "last_wal_entry_id")
_OMITTED_WHEN_UNSET = ("settlement_outcome", "settlement_height", "settlement_tx_hash")


def encode_record(snapshot: SessionSnapshot) -> bytes:
    """``snapshot`` as JSON in UTF-8."""
    fields: dict[str, Any] = {
        "session_id": snapshot.session_id,
        "supplier_operator_address": snapshot.supplier_operator_address,
        "service_id": snapshot.service_id,
        "application_address": snapshot.application_address,
        "session_start_height": snapshot.session_start_height,
        "session_end_height": snapshot.session_end_height,
        "state": snapshot.state,
        "relay_count": snapshot.relay_count,
        "total_compute_units": snapshot.total_compute_units,
        "claimed_root_hash": base64.b64encode(snapshot.claimed_root_hash).decode(),
        "claim_tx_hash": snapshot.claim_tx_hash,
        "proof_tx_hash": snapshot.proof_tx_hash,
        "last_wal_entry_id": snapshot.last_wal_entry_id,
        "last_updated_at": format_timestamp(snapshot.last_updated_at),
        "created_at": format_timestamp(snapshot.created_at),
        "settlement_outcome": snapshot.settlement_outcome,
        "settlement_height": snapshot.settlement_height,
        "settlement_tx_hash": snapshot.settlement_tx_hash,
    }
    kept = {name: value for name, value in fields.items() if not _is_omitted(name, value)}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES).encode()


def decode_record(data: bytes) -> SessionSnapshot:
    """The session that ``data`` tells.

    Raises:
        SessionRecordError: ``data`` is not a JSON object, or a field has a value of the wrong type.
    """
    try:
        return _snapshot_of(_Fields(_parsed(data)))
    except (ValueError, RecursionError) as error:
        raise SessionRecordError(f"bad session record: {error}") from error


def _is_omitted(name: str, value: object) -> bool:
    return (name in _OMITTED_WHEN_EMPTY and not value) or (name in _OMITTED_WHEN_UNSET and value is None)


def _parsed(data: bytes) -> dict[str, Any]:
    parsed = json.loads(data.decode(errors="replace"), parse_constant=_refuse_constant)
    if not isinstance(parsed, dict):
        raise ValueError(f"expected a JSON object, got {type(parsed).__name__}")  # noqa: TRY004 one kind of bad record
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class _Fields:
    """Typed access to the fields of a record."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        return self._typed(name, str, "")

    def number(self, name: str) -> int:
        return self._typed(name, int, 0)

    def moment(self, name: str) -> datetime | None:
        return parse_timestamp(self._typed(name, str, NEVER))

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        return None if self._fields.get(name) is None else read(name)

    def _typed(self, name: str, kind: type[T], absent: T) -> T:
        value = self._fields.get(name)
        if value is None:
            return absent
        # The exact type: true is no number, although Python has it otherwise.
        if type(value) is not kind:
            raise ValueError(f"{name} is {value!r}, expected {kind.__name__}")
        return value


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
        claimed_root_hash=base64.b64decode(fields.text("claimed_root_hash"), validate=True),
        claim_tx_hash=fields.text("claim_tx_hash"),
        proof_tx_hash=fields.text("proof_tx_hash"),
        last_wal_entry_id=fields.text("last_wal_entry_id"),
        last_updated_at=fields.moment("last_updated_at"),
        created_at=fields.moment("created_at"),
        settlement_outcome=fields.optional("settlement_outcome", fields.text),
        settlement_height=fields.optional("settlement_height", fields.number),
        settlement_tx_hash=fields.optional("settlement_tx_hash", fields.text),
    )
