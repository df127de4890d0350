"""A session as the services hand it around, and the states that it goes through."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SessionState(StrEnum):
    """The ten states that the services know. In storage a state is any string, see :class:`SessionSnapshot`."""

    ACTIVE = "active"
    CLAIMING = "claiming"
    CLAIMED = "claimed"
    CLAIM_WINDOW_CLOSED = "claim_window_closed"
    CLAIM_TX_ERROR = "claim_tx_error"
    PROVING = "proving"
    PROVED = "proved"
    PROBABILISTIC_PROVED = "probabilistic_proved"
    PROOF_WINDOW_CLOSED = "proof_window_closed"
    PROOF_TX_ERROR = "proof_tx_error"


SUCCESS_STATES: frozenset[str] = frozenset({SessionState.PROVED, SessionState.PROBABILISTIC_PROVED})
FAILURE_STATES: frozenset[str] = frozenset(
    {
        SessionState.CLAIM_WINDOW_CLOSED,
        SessionState.CLAIM_TX_ERROR,
        SessionState.PROOF_WINDOW_CLOSED,
        SessionState.PROOF_TX_ERROR,
    }
)
TERMINAL_STATES: frozenset[str] = SUCCESS_STATES | FAILURE_STATES


def is_terminal(state: str) -> bool:
    """Whether a session in ``state`` moves no further; false of a string that is no state."""
    return state in TERMINAL_STATES


def is_success(state: str) -> bool:
    """Whether a session in ``state`` was paid for; false of a string that is no state."""
    return state in SUCCESS_STATES


def is_failure(state: str) -> bool:
    """Whether a session in ``state`` will never be paid for; false of a string that is no state."""
    return state in FAILURE_STATES


@dataclass(slots=True, kw_only=True)
class SessionSnapshot:
    """All that is known of one session at one moment.

    Mutable, because a store's ``save`` stamps ``last_updated_at`` and ``created_at`` on the caller's
    own snapshot. ``state`` is a plain string: a newer version may have stored one that this one does
    not know. A timestamp of ``None`` was never set.
    """

    session_id: str
    supplier_operator_address: str
    service_id: str
    application_address: str
    session_start_height: int
    session_end_height: int
    state: str = SessionState.ACTIVE.value
    relay_count: int = 0
    total_compute_units: int = 0
    claimed_root_hash: bytes = b""
    claim_tx_hash: str = ""
    proof_tx_hash: str = ""
    last_wal_entry_id: str = ""
    last_updated_at: datetime | None = None
    created_at: datetime | None = None
    settlement_outcome: str | None = None
    settlement_height: int | None = None
    settlement_tx_hash: str | None = None

    def stamp(self, moment: datetime) -> None:
        """Note an update at ``moment``, which is also the creation if there was none before."""
        self.last_updated_at = moment
        if self.created_at is None:
            self.created_at = moment
