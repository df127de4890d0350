"""Turns what happens to a supplier's relays, claims and proofs into changes of its sessions."""

from collections.abc import Awaitable, Callable

import structlog

from engine.relay.errors import CoordinatorClosedError, SessionNotFoundError
from engine.relay.interfaces import SessionCoordination, SessionStorage
from engine.relay.session import SessionSnapshot, SessionState

CreatedCallback = Callable[[SessionSnapshot], Awaitable[None]]
TerminalCallback = Callable[[str, str], Awaitable[None]]

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class SessionCoordinator:
    """Creates sessions as their first relay arrives, counts relays, and records claims and proofs.

    No lock spans an operation: each is one or more calls of the store, and others act in between.
    Every ``on_*`` raises :class:`CoordinatorClosedError`, and does nothing, once it is closed.
    """

    def __init__(self, store: SessionStorage, *, supplier: str) -> None:
        self._store = store
        self._supplier = supplier
        self._on_created: CreatedCallback | None = None
        self._on_terminal: TerminalCallback | None = None
        self._closed = False

    def set_on_session_created_callback(self, callback: CreatedCallback) -> None:
        """Call ``callback(snapshot)`` after each creation, in place of any callback set before."""
        self._on_created = callback

    def set_on_session_terminal_callback(self, callback: TerminalCallback) -> None:
        """Call ``callback(session_id, state)`` after each terminal move, in place of any set before."""
        self._on_terminal = callback

    async def on_relay_processed(
        self,
        session_id: str,
        compute_units: int,
        supplier: str,
        service_id: str,
        application: str,
        start_height: int,
        end_height: int,
    ) -> None:
        """Count a relay in its session, which is created if the store has none.

        ``get``; if absent (or the ``get`` failed) :meth:`on_session_created`; then
        ``increment_relay_count`` in any case. A session without supplier or service is not created;
        heights and application are not looked at. The snapshot holds the ``supplier`` passed in, but is
        kept where the store keeps its own supplier's. Failures are logged and lose the relay silently.

        Raises:
            CoordinatorClosedError: It was closed. Nothing else is raised.
        """
        self._check_open()
        if not await self._is_stored(session_id):
            if supplier and service_id:
                await self._try_create(session_id, supplier, service_id, application, start_height, end_height)
            else:
                self._warn("session_not_created", session_id, reason="supplier or service is empty")
        await self._count(session_id, compute_units)

    async def on_session_created(
        self,
        session_id: str,
        supplier: str,
        service_id: str,
        application: str,
        start_height: int,
        end_height: int,
    ) -> None:
        """Save a new active session with zero counters, then run the created callback.

        A session that exists already is overwritten, counters included. An error of the callback is
        logged.

        Raises:
            SessionStoreError: ``save`` failed. The callback did not run.
        """
        self._check_open()
        snapshot = SessionSnapshot(
            session_id=session_id,
            supplier_operator_address=supplier,
            service_id=service_id,
            application_address=application,
            session_start_height=start_height,
            session_end_height=end_height,
        )
        if await self._create(snapshot):
            await self._tell_created(snapshot)

    async def on_session_claimed(self, session_id: str, root_hash: bytes, tx_hash: str) -> None:
        """Record the claim and move the session to ``claimed``, whatever its state: ``get``, ``save``.

        Relays that are counted between the two are lost.

        Raises:
            SessionNotFoundError: It has no record.
            SessionStoreError: ``get`` or ``save`` failed.
        """
        self._check_open()
        snapshot = await self._existing(session_id)
        snapshot.claimed_root_hash = root_hash
        snapshot.claim_tx_hash = tx_hash
        snapshot.state = SessionState.CLAIMED.value
        await self._store.save(snapshot)

    async def on_proof_submitted(self, session_id: str, tx_hash: str) -> None:
        """Record the proof's transaction and leave the state as it is: ``get``, ``save``.

        Raises:
            SessionNotFoundError: It has no record.
            SessionStoreError: ``get`` or ``save`` failed.
        """
        self._check_open()
        snapshot = await self._existing(session_id)
        snapshot.proof_tx_hash = tx_hash
        await self._store.save(snapshot)

    async def on_session_proved(self, session_id: str) -> None:
        """Move the session to ``proved`` and run the terminal callback, even if the move failed.

        A failed move is logged. What the callback raises is passed on.
        """
        self._check_open()
        try:
            await self._store.update_state(session_id, SessionState.PROVED.value)
        except Exception as error:  # noqa: BLE001 whatever went wrong, the callback must run
            self._warn("session_update_failed", session_id, state=SessionState.PROVED.value, error=str(error))
        await self._tell_terminal(session_id, SessionState.PROVED)

    async def on_claim_window_closed(self, session_id: str) -> None:
        """Move the session to ``claim_window_closed``, then run the terminal callback.

        The callback runs again when the session was in that state already. What it raises is passed on.

        Raises:
            SessionStoreError: The move failed. The callback did not run.
        """
        await self._finish(session_id, SessionState.CLAIM_WINDOW_CLOSED)

    async def on_claim_tx_error(self, session_id: str) -> None:
        """Move the session to ``claim_tx_error``; otherwise as :meth:`on_claim_window_closed`."""
        await self._finish(session_id, SessionState.CLAIM_TX_ERROR)

    async def on_proof_window_closed(self, session_id: str) -> None:
        """Move the session to ``proof_window_closed``; otherwise as :meth:`on_claim_window_closed`."""
        await self._finish(session_id, SessionState.PROOF_WINDOW_CLOSED)

    async def on_proof_tx_error(self, session_id: str) -> None:
        """Move the session to ``proof_tx_error``; otherwise as :meth:`on_claim_window_closed`."""
        await self._finish(session_id, SessionState.PROOF_TX_ERROR)

    async def on_probabilistic_proved(self, session_id: str) -> None:
        """Move the session to ``probabilistic_proved``; otherwise as :meth:`on_claim_window_closed`."""
        await self._finish(session_id, SessionState.PROBABILISTIC_PROVED)

    async def close(self) -> None:
        """Refuse all further ``on_*`` calls. Calls under way go on."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise CoordinatorClosedError

    async def _is_stored(self, session_id: str) -> bool:
        try:
            return await self._store.get(session_id) is not None
        except Exception as error:  # noqa: BLE001 a session that cannot be read counts as absent
            self._warn("session_lookup_failed", session_id, error=str(error))
            return False

    async def _try_create(
        self, session_id: str, supplier: str, service_id: str, application: str, start_height: int, end_height: int
    ) -> None:
        try:
            await self.on_session_created(session_id, supplier, service_id, application, start_height, end_height)
        except Exception as error:  # noqa: BLE001 the relay is counted in any case; that tells if there is a session
            self._warn("session_creation_failed", session_id, error=str(error))

    async def _create(self, snapshot: SessionSnapshot) -> bool:
        """Store a new session; whether it is ours to announce."""
        await self._store.save(snapshot)
        return True

    async def _count(self, session_id: str, compute_units: int) -> None:
        try:
            await self._store.increment_relay_count(session_id, compute_units)
        except Exception as error:  # noqa: BLE001 a relay that cannot be counted must not stop the consumer
            self._warn("relay_not_counted", session_id, error=str(error))

    async def _existing(self, session_id: str) -> SessionSnapshot:
        snapshot = await self._store.get(session_id)
        if snapshot is None:
            raise SessionNotFoundError(session_id)
        return snapshot

    async def _finish(self, session_id: str, state: SessionState) -> None:
        self._check_open()
        try:
            await self._store.update_state(session_id, state.value)
        except Exception as error:
            self._warn("session_update_failed", session_id, state=state.value, error=str(error))
            raise
        await self._tell_terminal(session_id, state)

    async def _tell_created(self, snapshot: SessionSnapshot) -> None:
        if self._on_created is None:
            return
        try:
            await self._on_created(snapshot)
        except Exception as error:  # noqa: BLE001 the session exists, whoever wanted to know of it
            self._warn("created_callback_failed", snapshot.session_id, error=str(error))

    async def _tell_terminal(self, session_id: str, state: SessionState) -> None:
        if self._on_terminal is not None:
            await self._on_terminal(session_id, state.value)

    def _warn(self, event: str, session_id: str, **context: str) -> None:
        _log.warning(event, supplier=self._supplier, session_id=session_id, **context)


# Checked by mypy: whoever takes the interface can be given this.
_conforms: type[SessionCoordination] = SessionCoordinator
