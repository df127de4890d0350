"""When a session may be claimed and proved, for every state and every height."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.relay.windows import ChainParameters, SessionWindows, next_state
from tests.engine.relay.samples import TEN_STATES
from tests.engine.relay.thoroughness import THOROUGHNESS

PARAMETERS = ChainParameters(claim_open_offset=1, claim_close_offset=4, proof_open_offset=0, proof_close_offset=4)
OFFSETS = st.integers(0, 6)
PLACES = st.builds(
    ChainParameters,
    claim_open_offset=OFFSETS,
    claim_close_offset=OFFSETS,
    proof_open_offset=OFFSETS,
    proof_close_offset=OFFSETS,
)
HEIGHTS = range(100, 120)
# The table, for a session that ends at 104: what a state becomes at the heights 100, 101, ... 119.
STAYS, CLAIMING, CLAIM_CLOSED, PROVING, PROOF_CLOSED = (
    None, "claiming", "claim_window_closed", "proving", "proof_window_closed",
)  # fmt: skip
TABLE = {
    "active": [STAYS] * 6 + [CLAIMING] * 4 + [CLAIM_CLOSED] * 10,
    "claiming": [STAYS] * 10 + [CLAIM_CLOSED] * 10,
    "claimed": [STAYS] * 10 + [PROVING] * 4 + [PROOF_CLOSED] * 6,
    "proving": [STAYS] * 14 + [PROOF_CLOSED] * 6,
}


def test_the_windows_of_the_example() -> None:
    windows = SessionWindows.after(104, PARAMETERS)
    assert windows == SessionWindows(claim_open=106, claim_close=110, proof_open=110, proof_close=114)


@pytest.mark.parametrize("state", [*TEN_STATES, "no such state", ""])
def test_where_a_state_moves_at_every_height(state: str) -> None:
    windows = SessionWindows.after(104, PARAMETERS)
    assert [next_state(state, height, windows) for height in HEIGHTS] == TABLE.get(state, [STAYS] * 20)


@THOROUGHNESS
@given(st.integers(-10, 1000), PLACES)
def test_each_window_is_placed_after_the_one_before(end: int, offsets: ChainParameters) -> None:
    windows = SessionWindows.after(end, offsets)
    assert windows.claim_open - end == offsets.claim_open_offset + 1
    assert windows.claim_close - windows.claim_open == offsets.claim_close_offset
    assert windows.proof_open - windows.claim_close == offsets.proof_open_offset
    assert windows.proof_close - windows.proof_open == offsets.proof_close_offset


@THOROUGHNESS
@given(st.sampled_from([*TEN_STATES, "no such state"]), st.integers(-5, 60), st.integers(0, 20), PLACES)
def test_where_a_state_moves_is_a_total_function_of_height_and_windows(
    state: str, height: int, end: int, offsets: ChainParameters
) -> None:
    windows = SessionWindows.after(end, offsets)
    moved = next_state(state, height, windows)
    match state:
        case "active":
            expected = (
                CLAIM_CLOSED if height >= windows.claim_close else CLAIMING if height >= windows.claim_open else None
            )
        case "claiming":
            expected = CLAIM_CLOSED if height >= windows.claim_close else None
        case "claimed":
            expected = (
                PROOF_CLOSED if height >= windows.proof_close else PROVING if height >= windows.proof_open else None
            )
        case "proving":
            expected = PROOF_CLOSED if height >= windows.proof_close else None
        case _:
            expected = None
    assert moved == expected


@THOROUGHNESS
@given(PLACES)
def test_a_window_without_heights_is_never_open(offsets: ChainParameters) -> None:
    windows = SessionWindows.after(104, offsets)
    claimable = [height for height in range(100, 150) if next_state("active", height, windows) == CLAIMING]
    provable = [height for height in range(100, 150) if next_state("claimed", height, windows) == PROVING]
    assert (len(claimable), len(provable)) == (offsets.claim_close_offset, offsets.proof_close_offset)
