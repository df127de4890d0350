"""Race drills: each twin passes every sequential check, and the race lens names what makes it wrong."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from characterization.command_line import run
from characterization.errors import ExitCode
from characterization.subject import Subject
from tests.drills import races
from tests.drills.twins import healthy, record

DRILLS = {
    races.CheckThenAct: ("mark", "between replica 1's SISMEMBER and SADD of seen, replica 2 wrote it (SADD)"),
    races.LostUpdate: ("count", "between replica 1's GET and SET of n, replica 2 wrote it (SET)"),
    races.DoubleIndex: ("file", "between replica 1's HGET and HSET of states, replica 2 wrote it (MULTI {HSET, SADD})"),
    races.ReleasedByAStranger: ("release", "between replica 1's GET and DEL of lock, replica 2 wrote it (SET)"),
    races.SplitMulti: (
        "pay", "between replica 2's SETRANGE of mine and SETRANGE of yours, replica 1 wrote yours (MSET)"
    ),
    races.WatchForgotten: ("raise_price", "between replica 1's GET and SET of price, replica 2 wrote it (SET)"),
    races.PipelineTakenForAtomic: (
        "store", "between replica 2's SET of name and SET of address, replica 1 read address (MGET)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.__name__)
def test_a_race_made_by_hand_is_found_and_worded(
    drill: type[Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    baseline = record(healthy(drill), tmp_path, races=True).read(drill.name)
    assert not [each for race in baseline.recording.races.values() for each in race.anomalies]
    assert all(race.explored.complete for race in baseline.recording.races.values())
    code = run(["check", f"{drill.__module__}:{drill.__name__}", "--workers", "1", "--baselines", str(tmp_path)])
    printed = capsys.readouterr().out
    operation, sentence = DRILLS[drill]
    assert code == ExitCode.CHANGED
    assert "0 behaviours changed, 1 anomal" in printed or "0 behaviours changed, 2 anomal" in printed, printed
    assert f"{operation}, between its" in printed
    assert "ANOMALY APPEARED" in printed
    assert " ".join(sentence.split()) in " ".join(printed.split()), printed


def test_every_twin_is_drilled() -> None:
    subjects = [found for _, found in inspect.getmembers(races, inspect.isclass) if issubclass(found, races.Service)]
    twins = {found for found in subjects if races.Service not in (found, *found.__bases__)}
    assert twins == set(DRILLS)
