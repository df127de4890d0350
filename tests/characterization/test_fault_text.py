"""Faults in files: the same bytes whoever looks, read back as they were, refused where they cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from characterization.baseline import Baseline, Baselines, differing
from characterization.behaviour import Recording
from characterization.errors import BaselineError
from characterization.fault_text import fault_texts, parse_faults
from simulator.seed import Seed
from tests.characterization import demo

PROGRAMS = ("write e", "write e ; write e", "count", "count ! busy @9")


@pytest.fixture(scope="module")
def recorded() -> Recording:
    return demo.struck(demo.Ledger, *PROGRAMS)


def test_a_file_for_each_operation_with_one_outcome_a_line(recorded: Recording) -> None:
    texts = fault_texts(recorded.subject, recorded.faults.values())
    assert list(texts) == ["count", "write"]
    head, *lines, end, nothing = texts["write"].split("\n")
    assert json.loads(texts["write"])["subject"] == "demo.ledger"
    assert (head[:12], end, nothing) == ('{"format": 1', "]}", "")
    assert sum(line.startswith('{"program"') for line in lines) == 2
    alike = next(line for line in lines if '"unnoticed"' in line)
    assert '"clock jump 3600s @1": "SADD entries", "clock jump 3600s @2": "EXPIRE entries"' in alike


def test_what_is_read_is_what_was_written(recorded: Recording, tmp_path: Path) -> None:
    for text in fault_texts(recorded.subject, recorded.faults.values()).values():
        for each in parse_faults(text, tmp_path):
            assert each == recorded.faults[each.program.text]


def test_the_same_bytes_from_any_order_and_seed(recorded: Recording) -> None:
    other = demo.struck(demo.Ledger, *reversed(PROGRAMS), seed=Seed(99))
    assert fault_texts("s", reversed(list(other.faults.values()))) == fault_texts("s", recorded.faults.values())


def test_a_baseline_keeps_them(recorded: Recording, tmp_path: Path) -> None:
    baselines = Baselines(tmp_path)
    elsewhere = Recording(recorded.subject, [], (), [recorded.faults["count ! busy @1"]])
    baselines.write(recorded.subject, Baseline(recording=recorded, backends={"valkey": elsewhere}), {})
    read = baselines.read(recorded.subject)
    assert read.recording.faults == recorded.faults
    assert read.on("valkey").faults == recorded.faults
    assert read.backends["valkey"].faults == elsewhere.faults
    place = baselines.place(recorded.subject)
    assert sorted(path.name for path in (place / "fault").iterdir()) == ["count.json", "write.json"]


def test_what_another_redis_shows_otherwise_is_told_apart(recorded: Recording) -> None:
    other = demo.struck(demo.LedgerInOneStep, *PROGRAMS)
    found = differing(recorded, other)
    assert "write e ! cancelled after @1" in found.faults
    assert not {"count ! busy @1", "write e ! clock jump 3600s @1"} & set(found.faults)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "cannot be read: JSONDecodeError"),
        ('{"format": 2}', "is in format 2, this holdfast reads format 1"),
        ('{"format": 1, "subject": "s", "programs": [{"program": "a"}]}', "KeyError"),
        (
            '{"format": 1, "subject": "", "programs": [{"program": "a", "kind": "", "outcomes": [{"faults": {"x": ""}}]}]}',
            "is no fault",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=why):
        parse_faults(text, tmp_path / "get.json")


def test_an_unfinished_merge_is_named_with_its_line(recorded: Recording, tmp_path: Path) -> None:
    baselines = Baselines(tmp_path)
    baselines.write(recorded.subject, Baseline(recording=recorded), {})
    path = baselines.place(recorded.subject) / "fault" / "count.json"
    path.write_text("<<<<<<< ours\n" + path.read_text())
    with pytest.raises(BaselineError, match=r"count\.json:1 holds the marks of an unfinished merge"):
        baselines.read(recorded.subject)
