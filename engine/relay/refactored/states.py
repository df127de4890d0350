"""The states of the refactored services: the ten, and two more."""

from engine.relay.session import TERMINAL_STATES as FIRST_TERMINAL_STATES

CLAIM_SKIPPED = "claim_skipped"
CLAIM_MISSING = "claim_missing"

TERMINAL_STATES: frozenset[str] = FIRST_TERMINAL_STATES | {CLAIM_SKIPPED, CLAIM_MISSING}
