"""Fault drills: each twin passes every check in which nothing goes wrong, and the fault lens says what it leaves behind."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from characterization.command_line import run
from characterization.errors import ExitCode
from characterization.subject import Subject
from tests.drills import faults
from tests.drills.twins import healthy, record

OTHERWISE = "the caller is told it failed, and something else is done"
DRILLS = {
    faults.ExpiryLost: (
        "mark, at its EXPIRE seen",
        "the caller is told it failed, but half of it is done: + seen (set) ttl none, seen +r1; calling again heals it",
    ),
    faults.OldIndexKept: (
        "file, at its SREM index:done",
        "the caller is told it succeeded, and half of it is done: + index:new (set) ttl none, index:new +s1",
    ),
    faults.CountedTwice: (
        "count, at its INCRBY n",
        "the caller is told it succeeded, and it was done twice; it is left behind",
    ),
    faults.LockLeftBehind: (
        "work, at its INCRBY done",
        "the caller gave up, and something else is done: + done (string) ttl none, done = 1; it is left behind",
    ),
    faults.LostError: (
        "store, at its SET value",
        "the caller is told it succeeded, and nothing was done; it is left behind",
    ),
    faults.ClaimNeverMade: (
        "claim, at its SET state",
        f"{OTHERWISE}: + state (string) ttl none, state = claiming; it is left behind",
    ),
    faults.SessionReset: (
        "relay, at its GET main(s1)",
        "and something else is done: main(s1).relay_count 2 -> 1, main(s1).total_compute_units 10 -> 5; it is left behind",
    ),
}


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.__name__)
def test_what_a_fault_leaves_behind_is_found_and_worded(
    drill: type[Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    record(healthy(drill), tmp_path, faults=True)
    asked = ["--no-race", "--workers", "1", "--baselines", str(tmp_path)]
    assert run(["check", f"{drill.__module__}:{healthy(drill).__name__}", *asked]) == ExitCode.AS_PINNED
    capsys.readouterr()
    code = run(["check", f"{drill.__module__}:{drill.__name__}", *asked])
    printed = " ".join(capsys.readouterr().out.split())
    where, sentence = DRILLS[drill]
    assert code == ExitCode.CHANGED
    assert "0 behaviours changed" in printed, printed
    assert "WORSE" in printed
    assert where in printed
    assert sentence in printed, printed


def test_every_twin_is_drilled() -> None:
    subjects = [found for _, found in inspect.getmembers(faults, inspect.isclass) if issubclass(found, faults.Service)]
    twins = {found for found in subjects if faults.Service not in (found, *found.__bases__)}
    assert twins == set(DRILLS)
