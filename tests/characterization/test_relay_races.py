"""The anomalies of the as-is relay core that can be named by reading its steps: the lens has found each of them.

Read from the approved baselines, where each stands with its witness.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from characterization.baseline import Baselines
from characterization.behaviour import RaceBehaviour, RaceOutcome

BASELINES = Baselines(Path(__file__).resolve().parents[2] / "characterization" / "baselines")

# Who is interrupted, between which of its accesses, by whom, and a line of what comes of it.
NAMED = {
    "relay.store": [
        ("increment_relay_count", "GET and SET of main(s1)", "increment_relay_count", "main(s1).relay_count 0 -> 1"),
        ("increment_relay_count", "GET and SET of main(s1)", "update_state", "main(s1).relay_count 0 -> 1"),
        (
            "increment_relay_count",
            "GET and SET of main(s1)",
            "update_settlement_metadata",
            "main(s1).relay_count 0 -> 1",
        ),
        ("increment_relay_count", "GET and SET of main(s1)", "update_wal_position", "main(s1).relay_count 0 -> 1"),
        ("increment_relay_count", "GET and SET of main(s1)", "delete", "- index"),  # the record lives, in no index
        ("update_settlement_metadata", "GET and SET of main(s1)", "increment_relay_count", ""),  # a relay is forgotten
        ("update_wal_position", "GET and SET of main(s1)", "increment_relay_count", ""),
        ("update_state", "GET and SET of main(s1)", "increment_relay_count", ""),
        ("update_state", "GET and SET of main(s1)", "delete", "- index"),
        ("update_state", "GET and SET of main(s1)", "update_state", "state:claimed +s1"),  # the id is in two indexes
        ("save", "GET and SET of main(s1)", "update_state", "state:claimed +s1"),
        ("delete", "GET and DEL of main(s1)", "update_state", "state:claimed +s1"),  # an id without a record
        ("get_by_state", "SMEMBERS of state:active and GET of main(s1)", "delete", ""),
        ("get_by_supplier", "SMEMBERS of index and GET of main(s1)", "delete", ""),
    ],
    "relay.coordinator": [
        ("on_relay_processed", "GET and SET of main(s1)", "on_relay_processed", ""),  # counted once instead of twice
        ("on_relay_processed", "GET and SET of main(s1)", "on_session_claimed", ""),  # the claim is undone
        ("on_session_claimed", "GET and SET of main(s1)", "on_relay_processed", ""),  # a relay is forgotten
        ("on_proof_submitted", "GET and SET of main(s1)", "on_session_proved", ""),
        ("on_session_created", "GET and SET of main(s1)", "on_session_claimed", ""),
    ],
    "relay.lifecycle": [
        ("another_process_moves", "GET and SET of main(s1)", "background", ""),
        ("track_session", "GET and SET of main(s1)", "another_process_moves", ""),
    ],
}


def races_of(subject: str) -> list[tuple[RaceBehaviour, RaceOutcome]]:
    """Every anomaly that is pinned of ``subject``."""
    races = BASELINES.read(subject).recording.races.values()
    return [(race, anomaly) for race in races for anomaly in race.anomalies]


@pytest.mark.parametrize("subject", NAMED)
def test_every_race_that_can_be_named_from_the_steps_is_found(subject: str) -> None:
    found = races_of(subject)
    missing = [
        named for named in NAMED[subject]
        if not any(
            anomaly.interruption is not None
            and (anomaly.interruption.operation, anomaly.interruption.accesses, anomaly.interruption.other) == named[:3]
            and (not named[3] or named[3] in anomaly.effects)
            for _, anomaly in found
        )
    ]  # fmt: skip
    assert not missing


def test_a_relay_that_is_marked_while_its_session_is_forgotten_stays_in_the_cache() -> None:
    stale = [
        anomaly for race, anomaly in races_of("relay.dedup")
        if race.program.text == "{ cleanup_session s1 || mark_processed r1 s1 }"
    ]  # fmt: skip
    assert [(each.split, "memory@1.cache.s1 +b1" in each.effects) for each in stale] == [(True, True)]
    assert not any("seen(s1)" in line for line in stale[0].effects)


def test_a_pipeline_that_is_split_is_marked() -> None:
    split = [anomaly.interruption for _, anomaly in races_of("relay.dedup") if anomaly.split]
    assert {found.accesses for found in split if found is not None} == {"SADD and EXPIRE of seen(s1)"}
    assert {found.other for found in split if found is not None} == {"cleanup_session", "is_duplicate"}


def test_two_processes_that_create_a_session_both_say_that_they_did() -> None:
    twice = [
        anomaly for race, anomaly in races_of("relay.coordinator")
        if sum(event.startswith("callback created(") for event in anomaly.events) == 2
    ]  # fmt: skip
    assert twice


def test_the_refactored_counter_loses_nothing() -> None:
    losing = [
        anomaly for race, anomaly in races_of("relay.store_refactored")
        if anomaly.interruption is not None and anomaly.interruption.operation == "increment_relay_count"
    ]  # fmt: skip
    assert not losing
