"""When a session may be claimed and proved, and what a height does to it. Pure."""

from dataclasses import dataclass
from typing import Protocol, Self

from engine.relay.session import SessionState


class WindowOffsets(Protocol):
    """The parameters of the chain that place the windows, in blocks."""

    @property
    def claim_open_offset(self) -> int: ...

    @property
    def claim_close_offset(self) -> int: ...

    @property
    def proof_open_offset(self) -> int: ...

    @property
    def proof_close_offset(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainParameters:
    """The parameters of the chain, as values."""

    claim_open_offset: int
    claim_close_offset: int
    proof_open_offset: int
    proof_close_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionWindows:
    """The heights at which a session's windows open, and those at which they are closed again."""

    claim_open: int
    claim_close: int
    proof_open: int
    proof_close: int

    @classmethod
    def after(cls, session_end_height: int, offsets: WindowOffsets) -> Self:
        """The windows of a session that ends at ``session_end_height``."""
        claim_open = session_end_height + offsets.claim_open_offset + 1
        claim_close = claim_open + offsets.claim_close_offset
        proof_open = claim_close + offsets.proof_open_offset
        proof_close = proof_open + offsets.proof_close_offset
        return cls(claim_open=claim_open, claim_close=claim_close, proof_open=proof_open, proof_close=proof_close)


def next_state(state: str, height: int, windows: SessionWindows) -> SessionState | None:
    """Where a session in ``state`` moves at ``height``; ``None`` if it stays, as every unknown state does.

    From ``claiming`` to ``claimed`` and from ``proving`` to ``proved`` no height leads: it takes a claim
    or a proof.
    """
    match state:
        case SessionState.ACTIVE if windows.claim_open <= height < windows.claim_close:
            return SessionState.CLAIMING
        case SessionState.ACTIVE | SessionState.CLAIMING if height >= windows.claim_close:
            return SessionState.CLAIM_WINDOW_CLOSED
        case SessionState.CLAIMED if windows.proof_open <= height < windows.proof_close:
            return SessionState.PROVING
        case SessionState.CLAIMED | SessionState.PROVING if height >= windows.proof_close:
            return SessionState.PROOF_WINDOW_CLOSED
        case _:
            return None
