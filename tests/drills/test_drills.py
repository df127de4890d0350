"""Drills: a defect is planted in a service, and `holdfast check` has to say so, in the service's own words.

Each drill names the lines that must be printed. A healthy service passes the same check.
"""

from __future__ import annotations

import inspect

import pytest

from characterization.command_line import run
from characterization.errors import ExitCode
from characterization.subject import Subject
from tests.drills import planted

DRILLS = {
    planted.UpdateLeavesOldIndex: (
        "update_state of an active session",
        "response same, EFFECT CHANGED",
        "before  - state:active",
        "after   (nothing of it)",
        "shown by   save s1 ; update_state s1 claimed",
    ),
    planted.IncrementKeepsTtl: (
        "increment_relay_count",
        "response same, EFFECT CHANGED",
        "before  main(s1) ttl 0.001s -> 7200s",
        "after   (nothing of it)",
        "shown by   save s1 ; clock +7199.999s ; increment_relay_count s1 5",
    ),
    planted.IncrementInTerminalState: (
        "increment_relay_count of a proved session",
        "RESPONSE CHANGED, EFFECT CHANGED",
        "before  raises SessionTerminalError('session s1 is in terminal state proved')",
        "after   returns None",
        "main(s1).relay_count 0 -> 1",
        "shown by   save s1 ; update_state s1 proved ; increment_relay_count s1 5",
    ),
    planted.SaveForgetsClaimHash: (
        "save of no session",
        "response same, EFFECT CHANGED",
        "before  main(s1).claim_tx_hash = tx1",
        "after   (nothing of it)",
        "shown by   save s1-claimed",
    ),
    planted.BatchSetsNoExpiry: (
        "mark_processed_batch",
        "response same, EFFECT CHANGED",
        "before  + seen(s1) (set) ttl 300s",
        "after   + seen(s1) (set) ttl none",
        "shown by   mark_processed_batch both s1",
    ),
    planted.CleanupLeavesCache: (
        "cleanup_session",
        "response same, EFFECT CHANGED",
        "memory@1.cache.s1 -b1",
        "after   (nothing of these)",
        "shown by   mark_processed r1 s1 ; cleanup_session s1",
    ),
    planted.ProvedWithoutCallback: (
        "1  on_session_proved ",
        "response same, EFFECT CHANGED",
        "before  callback terminal('s1', 'proved')",
        "after   (nothing of it)",
        "shown by   on_session_proved s1",
    ),
    planted.SettlementCreatesUnknown: (
        "update_settlement_metadata of no session",
        "RESPONSE CHANGED, EFFECT CHANGED",
        "before  raises SessionNotFoundError('session not found: s1')",
        "after   returns None",
        "+ main(s1) (string) ttl 7200s",
        "shown by   update_settlement_metadata s1",
    ),
}
HEALTHY = ("relay.store", "relay.dedup", "relay.coordinator")


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.__name__)
def test_a_planted_defect_is_named(drill: type[Subject], capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["check", f"{drill.__module__}:{drill.__name__}", "--workers", "1", "--no-race", "--no-fault"])
    printed = capsys.readouterr().out
    assert code == ExitCode.CHANGED
    missing = [line for line in DRILLS[drill] if line not in printed]
    assert not missing, f"{missing} not in:\n{printed}"


@pytest.mark.parametrize("subject", HEALTHY)
def test_a_healthy_service_passes_the_same_check(subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", subject, "--workers", "1", "--no-race", "--no-fault"]) == ExitCode.AS_PINNED
    assert "as pinned" in capsys.readouterr().out


def test_every_planted_defect_is_drilled_and_every_drilled_subject_has_a_healthy_twin() -> None:
    defects = {
        found for _, found in inspect.getmembers(planted, inspect.isclass)
        if issubclass(found, Subject) and found.__module__ == planted.__name__
    }  # fmt: skip
    assert defects == set(DRILLS)
    assert {drill.name for drill in DRILLS} == set(HEALTHY)
