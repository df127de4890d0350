"""What the parts of the relay core may expect of each other.

Each interface has two implementations: one in this package, one in :mod:`engine.relay.refactored`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from engine.relay.session import SessionSnapshot


class RelayDeduplication(Protocol):
    """Remembers which relays were already counted."""

    async def is_duplicate(self, relay_hash: bytes, session_id: str) -> bool: ...

    async def mark_processed(self, relay_hash: bytes, session_id: str) -> bool | None:
        """Remember the relay; tell whether it was new, or ``None`` where that is not known."""
        ...

    async def mark_processed_batch(self, relay_hashes: Sequence[bytes], session_id: str) -> None: ...

    async def cleanup_session(self, session_id: str) -> None: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class SessionStorage(Protocol):
    """Keeps the sessions of one supplier."""

    async def save(self, snapshot: SessionSnapshot) -> None: ...

    async def get(self, session_id: str) -> SessionSnapshot | None: ...

    async def get_by_supplier(self) -> list[SessionSnapshot] | None: ...

    async def get_by_state(self, state: str) -> list[SessionSnapshot] | None: ...

    async def delete(self, session_id: str) -> None: ...

    async def update_state(self, session_id: str, new_state: str) -> None: ...

    async def update_settlement_metadata(self, session_id: str, outcome: str, height: int, tx_hash: str) -> None: ...

    async def update_wal_position(self, session_id: str, entry_id: str) -> None: ...

    async def increment_relay_count(self, session_id: str, compute_units: int) -> None: ...

    async def close(self) -> None: ...


class CreatingSessionStorage(SessionStorage, Protocol):
    """A storage in which of several creators of one session exactly one wins."""

    async def create_if_absent(self, snapshot: SessionSnapshot) -> bool: ...


class SessionCoordination(Protocol):
    """Turns events into changes of sessions."""

    def set_on_session_created_callback(self, callback: Callable[[SessionSnapshot], Awaitable[None]]) -> None: ...

    def set_on_session_terminal_callback(self, callback: Callable[[str, str], Awaitable[None]]) -> None: ...

    async def on_relay_processed(
        self,
        session_id: str,
        compute_units: int,
        supplier: str,
        service_id: str,
        application: str,
        start_height: int,
        end_height: int,
    ) -> None: ...

    async def on_session_created(
        self,
        session_id: str,
        supplier: str,
        service_id: str,
        application: str,
        start_height: int,
        end_height: int,
    ) -> None: ...

    async def on_session_claimed(self, session_id: str, root_hash: bytes, tx_hash: str) -> None: ...

    async def on_proof_submitted(self, session_id: str, tx_hash: str) -> None: ...

    async def on_session_proved(self, session_id: str) -> None: ...

    async def on_claim_window_closed(self, session_id: str) -> None: ...

    async def on_claim_tx_error(self, session_id: str) -> None: ...

    async def on_proof_window_closed(self, session_id: str) -> None: ...

    async def on_proof_tx_error(self, session_id: str) -> None: ...

    async def on_probabilistic_proved(self, session_id: str) -> None: ...

    async def close(self) -> None: ...
