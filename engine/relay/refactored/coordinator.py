"""The coordinator on a store that creates and counts atomically."""

from collections.abc import Callable

from engine.relay.coordinator import SessionCoordinator
from engine.relay.errors import SessionStoreError, SessionTerminalError
from engine.relay.interfaces import CreatingSessionStorage, SessionCoordination
from engine.relay.session import SessionSnapshot, SessionState, is_success


class GuardedSessionCoordinator(SessionCoordinator):
    """Overwrites neither a session that another created nor a success that another reached.

    Differs from :class:`SessionCoordinator` in this:

    * ``on_session_created`` asks the store to ``create_if_absent``. Who loses returns quietly, and runs
      no callback.
    * ``on_relay_processed`` raises what ``increment_relay_count`` raises, except that the session is
      terminal.
    * ``on_claim_tx_error`` and ``on_proof_tx_error`` look first, and change nothing and run no callback
      when the store shows that the claim or the proof was made.
    """

    def __init__(self, store: CreatingSessionStorage, *, supplier: str) -> None:
        super().__init__(store, supplier=supplier)
        self._creating_store = store

    async def on_claim_tx_error(self, session_id: str) -> None:
        """Move the session to ``claim_tx_error``, unless ``get`` shows it claimed or with a claim transaction.

        If the ``get`` fails, that is logged and the move is made.

        Raises:
            SessionStoreError: The move failed. The callback did not run.
        """
        await self._finish_unless(_is_claimed, session_id, SessionState.CLAIM_TX_ERROR)

    async def on_proof_tx_error(self, session_id: str) -> None:
        """Move the session to ``proof_tx_error``, unless ``get`` shows it proved or with a proof transaction.

        If the ``get`` fails, that is logged and the move is made.

        Raises:
            SessionStoreError: The move failed. The callback did not run.
        """
        await self._finish_unless(_is_proved, session_id, SessionState.PROOF_TX_ERROR)

    async def _create(self, snapshot: SessionSnapshot) -> bool:
        return await self._creating_store.create_if_absent(snapshot)

    async def _count(self, session_id: str, compute_units: int) -> None:
        try:
            await self._store.increment_relay_count(session_id, compute_units)
        except SessionTerminalError as error:
            self._warn("relay_not_counted", session_id, error=str(error))

    async def _finish_unless(
        self, succeeded: Callable[[SessionSnapshot], bool], session_id: str, state: SessionState
    ) -> None:
        self._check_open()
        try:
            current = await self._store.get(session_id)
        except SessionStoreError as error:
            self._warn("session_lookup_failed", session_id, error=str(error))
            current = None
        if current is not None and succeeded(current):
            self._warn("session_failure_suppressed", session_id, state=state.value, current_state=current.state)
            return
        await self._finish(session_id, state)


def _is_claimed(session: SessionSnapshot) -> bool:
    return session.state == SessionState.CLAIMED or bool(session.claim_tx_hash)


def _is_proved(session: SessionSnapshot) -> bool:
    return is_success(session.state) or bool(session.proof_tx_hash)


# Checked by mypy: whoever takes the interface can be given this.
_conforms: type[SessionCoordination] = GuardedSessionCoordinator
