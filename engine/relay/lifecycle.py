"""Moves a supplier's sessions along as blocks arrive: claims them, proves them, or gives them up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import structlog

from engine.relay.errors import (
    LifecycleClosedError,
    LifecycleNotStartedError,
    LifecycleStartError,
    SessionStoreError,
)
from engine.relay.interfaces import SessionStorage
from engine.relay.pool import TransitionPool
from engine.relay.session import SessionSnapshot, SessionState, is_terminal
from engine.relay.windows import SessionWindows, WindowOffsets, next_state

ClaimCallback = Callable[[Sequence[SessionSnapshot]], Awaitable[Sequence[bytes | None]]]
"""Claims a batch, and gives each session's root hash, in the same order."""

ProofCallback = Callable[[Sequence[SessionSnapshot]], Awaitable[None]]
"""Proves a batch."""

TerminalCallback = Callable[[str, str], Awaitable[None]]
"""Told the id of a session that is given up, and the terminal state it goes to."""

ProvedCallback = Callable[[str], Awaitable[None]]
"""Told the id of a session that was proved."""

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class BlockSource(Protocol):
    """The chain, as far as the lifecycle looks at it."""

    async def latest_height(self) -> int:
        """The height of the newest block."""
        ...

    async def parameters(self, height: int) -> WindowOffsets:
        """The parameters in force at ``height``."""
        ...

    def blocks(self) -> AsyncIterator[int]:
        """Heights of the blocks that arrive from this call on, until the source ends."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleConfig:
    """How much may be under way at once."""

    max_concurrent_transitions: int = 10


@dataclass(slots=True)
class _Moves:
    """What one pass found to do."""

    claim: list[SessionSnapshot] = field(default_factory=list)
    prove: list[SessionSnapshot] = field(default_factory=list)
    give_up: list[tuple[str, SessionState]] = field(default_factory=list)


class LifecycleManager:
    """Keeps the sessions that are not finished in memory, and looks at them at each new height.

    Memory only says which sessions to look up; what happens to one is decided by its record. Memory
    learns a new state after the store has taken it.
    """

    def __init__(
        self,
        store: SessionStorage,
        *,
        blocks: BlockSource,
        on_claim: ClaimCallback,
        on_proof: ProofCallback,
        on_session_proved: ProvedCallback,
        on_terminal: TerminalCallback,
        config: LifecycleConfig,
    ) -> None:
        self._store = store
        self._blocks = blocks
        self._on_claim = on_claim
        self._on_proof = on_proof
        self._on_session_proved = on_session_proved
        self._on_terminal = on_terminal
        self._pool = TransitionPool(config.max_concurrent_transitions)
        self._sessions: dict[str, SessionSnapshot] = {}
        self._offsets: WindowOffsets | None = None
        self._height = 0
        self._followers: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Load the parameters and the unfinished sessions, run a pass if there are any, follow the blocks.

        The parameters are those of the newest height, and are kept from then on. Sessions that cannot
        be loaded are logged, and the manager starts with none.

        Raises:
            LifecycleClosedError: It was closed.
            LifecycleStartError: The parameters could not be loaded. Nothing was started.
        """
        self._check_open()
        height = await self._load_parameters()
        await self._load_sessions()
        if self._sessions:
            await self.process_height(height)
        self._followers.add(asyncio.create_task(self._follow(self._blocks.blocks())))

    async def track_session(self, snapshot: SessionSnapshot) -> None:
        """Keep the session in memory, then ``save`` it. It stays in memory if that fails.

        Raises:
            LifecycleClosedError: It was closed.
            SessionStoreError: ``save`` failed.
        """
        self._check_open()
        self._sessions[snapshot.session_id] = snapshot
        await self._store.save(snapshot)

    async def process_height(self, height: int) -> None:
        """Run one pass over the sessions in memory, unless ``height`` is no higher than the last one.

        Each session that its state in memory would let move is looked up with ``get``, one after
        another. If that fails, or the session is absent or terminal, it is forgotten. Those whose record
        lets them be claimed are moved to ``claiming`` and handed to one task, those to be proved
        likewise to ``proving``; a session whose move fails is left for the next height. Each one that is
        given up gets a task of its own. On return the tasks are under way, see :meth:`drain`.

        Raises:
            LifecycleClosedError: It was closed.
            LifecycleNotStartedError: The parameters are not loaded.
        """
        self._check_open()
        if self._offsets is None:
            raise LifecycleNotStartedError(height)
        if height <= self._height:
            return
        self._height = height
        moves = await self._find_moves(height, self._offsets)
        if claiming := await self._entered(SessionState.CLAIMING, moves.claim):
            self._pool.submit(partial(self._claim, claiming))
        if proving := await self._entered(SessionState.PROVING, moves.prove):
            self._pool.submit(partial(self._prove, proving))
        for session_id, state in moves.give_up:
            self._pool.submit(partial(self._give_up, session_id, state))

    async def drain(self) -> None:
        """Wait until the claims, proofs and terminal moves that passes have begun are done."""
        await self._pool.drain()

    async def close(self) -> None:
        """Stop following the blocks, then :meth:`drain`. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        for follower in self._followers:
            follower.cancel()
        if self._followers:
            await asyncio.wait(self._followers)
        await self.drain()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def tracked(self) -> dict[str, str]:
        """The sessions in this process's memory, each with its state there."""
        return {session_id: session.state for session_id, session in self._sessions.items()}

    def _check_open(self) -> None:
        if self._closed:
            raise LifecycleClosedError

    async def _load_parameters(self) -> int:
        try:
            height = await self._blocks.latest_height()
            self._offsets = await self._blocks.parameters(height)
        except Exception as error:
            raise LifecycleStartError(f"the chain's parameters could not be loaded: {error}") from error
        return height

    async def _load_sessions(self) -> None:
        try:
            stored = await self._store.get_by_supplier()
        except SessionStoreError as error:
            _log.warning("sessions_not_loaded", error=str(error))
            return
        for snapshot in stored or ():
            if not is_terminal(snapshot.state):
                self._sessions[snapshot.session_id] = snapshot

    async def _follow(self, heights: AsyncIterator[int]) -> None:
        try:
            async for height in heights:
                await self.process_height(height)
                # A cancellation that meets a reply is swallowed by asyncio.wait_for before Python 3.12,
                # and Redis clients write and read with it.
                if self._closed:
                    return
        except Exception as error:  # noqa: BLE001 nobody awaits the task, so this is where it would vanish
            _log.error("block_loop_failed", error=str(error))
        else:
            _log.warning("block_source_ended")

    async def _find_moves(self, height: int, offsets: WindowOffsets) -> _Moves:
        moves = _Moves()
        for session_id, remembered in list(self._sessions.items()):
            if _move_of(remembered, height, offsets) is None:
                continue
            session = await self._reload(session_id)
            if session is None:
                continue
            match _move_of(session, height, offsets):
                case None:
                    pass
                case SessionState.CLAIMING:
                    moves.claim.append(session)
                case SessionState.PROVING:
                    moves.prove.append(session)
                case terminal:
                    moves.give_up.append((session_id, terminal))
        return moves

    async def _reload(self, session_id: str) -> SessionSnapshot | None:
        """The session as it is stored, which memory has from now on; forgotten if nothing can follow."""
        try:
            session = await self._store.get(session_id)
        except SessionStoreError as error:
            _log.warning("session_lookup_failed", session_id=session_id, error=str(error))
            session = None
        if session is None or is_terminal(session.state):
            self._forget(session_id)
            return None
        self._sessions[session_id] = session
        return session

    async def _entered(self, state: SessionState, sessions: list[SessionSnapshot]) -> list[SessionSnapshot]:
        """Those of ``sessions`` that the store has taken to ``state``."""
        entered = []
        for session in sessions:
            if await self._store_state(session.session_id, state):
                session.state = state.value
                entered.append(session)
        return entered

    async def _store_state(self, session_id: str, state: SessionState) -> bool:
        try:
            await self._store.update_state(session_id, state.value)
        except SessionStoreError as error:
            _log.error("session_update_failed", session_id=session_id, state=state.value, error=str(error))
            return False
        return True

    async def _claim(self, batch: list[SessionSnapshot]) -> None:
        try:
            roots = list(await self._on_claim(batch))
        except Exception as error:  # noqa: BLE001 the callback is not ours; the sessions stay claiming
            _log.error("claim_failed", sessions=len(batch), error=str(error))
            return
        if len(roots) != len(batch):
            _log.error("claim_answer_mismatched", sessions=len(batch), roots=len(roots))
            return
        for session, root in zip(batch, roots, strict=True):
            remembered = self._sessions.get(session.session_id, session)
            remembered.claimed_root_hash = root or b""
            if await self._store_state(session.session_id, SessionState.CLAIMED):
                remembered.state = SessionState.CLAIMED.value

    async def _prove(self, batch: list[SessionSnapshot]) -> None:
        try:
            await self._on_proof(batch)
        except Exception as error:  # noqa: BLE001 the callback is not ours; the sessions stay proving
            _log.error("proof_failed", sessions=len(batch), error=str(error))
            return
        for session in batch:
            # A session whose record did not move is told and forgotten all the same.
            await self._store_state(session.session_id, SessionState.PROVED)
            await self._tell_proved(session.session_id)
            self._forget(session.session_id)

    async def _tell_proved(self, session_id: str) -> None:
        try:
            await self._on_session_proved(session_id)
        except Exception as error:  # noqa: BLE001 the callback is not ours; the session is proved all the same
            _log.warning("proved_callback_failed", session_id=session_id, error=str(error))

    async def _give_up(self, session_id: str, state: SessionState) -> None:
        try:
            await self._on_terminal(session_id, state.value)
        except Exception as error:  # noqa: BLE001 the callback is not ours; the session is given up all the same
            _log.warning("terminal_callback_failed", session_id=session_id, state=state.value, error=str(error))
        if await self._store_state(session_id, state):
            self._forget(session_id)

    def _forget(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)


def _move_of(session: SessionSnapshot, height: int, offsets: WindowOffsets) -> SessionState | None:
    return next_state(session.state, height, SessionWindows.after(session.session_end_height, offsets))
