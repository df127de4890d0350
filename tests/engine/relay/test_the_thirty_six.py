"""The thirty-six characterization tests of the original, by the names under which they are here."""

import inspect
from types import ModuleType

import pytest

from tests.engine.relay import test_coordinator, test_deduplicator, test_store

DEDUPLICATOR = {
    "first relay not duplicate": "test_first_relay_not_duplicate",
    "duplicate detected": "test_duplicate_detected",
    "different sessions independent": "test_different_sessions_independent",
    "several relays tracked": "test_several_relays_tracked",
    "cleanup removes entries": "test_cleanup_removes_entries",
    "concurrent dedup (10 callers, one hash)": "test_concurrent_dedup",
    "batch": "test_batch",
    "local cache hit after the Redis key is deleted": "test_local_cache_hit_after_the_redis_key_is_deleted",
    "TTL on the key": "test_ttl_on_the_key",
    "start and close": "test_start_and_close",
    "local cache cleanup": "test_local_cache_cleanup",
}
STORE = {
    "save and get": "test_save_and_get",
    "update state": "test_update_state",
    "list by state": "test_list_by_state",
    "delete": "test_delete",
    "missing session": "test_missing_session",
    "concurrent updates (10 sessions)": "test_concurrent_updates",
    "state index consistency": "test_state_index_consistency",
    "increment relay count": "test_increment_relay_count",
    "increment in a terminal state": "test_increment_in_a_terminal_state",
    "WAL position": "test_wal_position",
    "settlement metadata": "test_settlement_metadata",
    "by supplier": "test_by_supplier",
}
COORDINATOR = {
    "discover a new session": "test_discover_a_new_session",
    "route to an existing one": "test_route_to_an_existing_one",
    "several suppliers": "test_several_suppliers",
    "invalid session": "test_invalid_session",
    "expired session": "test_expired_session",
    "concurrent discovery (10 callers)": "test_concurrent_discovery",
    "accumulation (10 relays)": "test_accumulation",
    "session claimed": "test_session_claimed",
    "proof submitted": "test_proof_submitted",
    "session proved": "test_session_proved",
    "terminal callbacks": "test_terminal_callbacks",
    "claim window closed": "test_claim_window_closed",
    "created callback": "test_created_callback",
}
COMPONENTS = [
    pytest.param(test_deduplicator, DEDUPLICATOR, 11, id="deduplicator"),
    pytest.param(test_store, STORE, 12, id="store"),
    pytest.param(test_coordinator, COORDINATOR, 13, id="coordinator"),
]


def names_of_tests_in(module: ModuleType) -> set[str]:
    return {name for name, _ in inspect.getmembers(module, inspect.isfunction) if name.startswith("test_")}


@pytest.mark.parametrize(("module", "listed", "count"), COMPONENTS)
def test_every_one_of_the_thirty_six_is_here_under_its_name_and_nothing_else_is(
    module: ModuleType, listed: dict[str, str], count: int
) -> None:
    assert len(listed) == count
    assert names_of_tests_in(module) == set(listed.values())


def test_the_list_is_complete() -> None:
    assert len(DEDUPLICATOR | STORE | COORDINATOR) == 36


def test_a_test_that_went_missing_would_be_noticed() -> None:
    module = ModuleType("test_deduplicator")
    for name in sorted(DEDUPLICATOR.values())[1:]:
        setattr(module, name, getattr(test_deduplicator, name))
    assert set(DEDUPLICATOR.values()) - names_of_tests_in(module) == {min(DEDUPLICATOR.values())}
