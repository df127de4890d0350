"""Laws in files: the same bytes for equal findings, and every mistake in one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from characterization.baseline import Baseline, Baselines, differing
from characterization.errors import BaselineError
from characterization.law_text import laws_text, parse_laws
from characterization.laws import LawFinding, LawWitness, merged
from tests.characterization import demo
from tests.characterization.test_laws import WITNESSES

PATH = Path("laws.json")
HELD = LawFinding(subject="demo", law="it_holds", lens="time", holds=2, undecided=3, reason="For a reason: “so”.")
BROKEN = LawFinding(
    subject="demo", law="it_holds", lens="race", broken=1, reason=HELD.reason,
    witness=LawWitness(program="{ mark a || mark a }", schedule="1 2*2 1", said='"so"\\ it is', split=True, retried=True),
)  # fmt: skip


@pytest.mark.parametrize("findings", [(), (HELD,), (HELD, BROKEN), merged(WITNESSES)])
def test_what_was_written_is_what_is_read(findings: tuple[LawFinding, ...]) -> None:
    text = laws_text("demo", findings)
    read = parse_laws(text, PATH)
    assert [(each.law, each.lens, each.verdict, each.witness) for each in read] == [
        (each.law, each.lens, each.verdict, each.witness) for each in merged(findings)
    ]
    assert laws_text("demo", read) == text == laws_text("demo", findings[::-1])


def test_a_cell_is_a_line() -> None:
    assert laws_text("demo", (HELD, BROKEN)).splitlines() == [
        '{"format": 1, "subject": "demo", "laws": [',
        '{"law": "it_holds", "reason": "For a reason: “so”.", "lenses": {',
        '  "time": {"verdict": "holds", "holds": 2, "broken": 0, "undecided": 3},',
        (
            '  "race": {"verdict": "broken", "holds": 0, "broken": 1, "undecided": 0, "witness": {"program": '
            '"{ mark a || mark a }", "schedule": "1 2*2 1", "split": true, "retried": true, '
            '"said": "\\"so\\"\\\\ it is"}}}}'
        ),
        "]}",
    ]


MISTAKES: list[tuple[Callable[[str], str], str]] = [
    (lambda text: text[:-30], "JSONDecodeError"),
    (lambda text: text.replace('"format": 1', '"format": 9'), "in format 9, this holdfast reads format 1"),
    (
        lambda text: text.replace('"holds", "holds": 2', '"broken", "holds": 2'),
        "said to be broken, its counts say holds",
    ),
    (lambda text: text.replace('"time"', '"guess"'), "guess is no lens"),
    (lambda text: text.replace('"{ mark a || mark a }"', '"clock +x"'), "not a move of the clock"),
    (lambda text: text.replace('"said"', '"says"'), "says"),
    (lambda text: "[]", "TypeError"),
]


@pytest.mark.parametrize(("mistake", "said"), MISTAKES)
def test_a_file_that_cannot_be_read_is_named(mistake: Callable[[str], str], said: str) -> None:
    with pytest.raises(BaselineError, match=r"laws\.json .*" + said):
        parse_laws(mistake(laws_text("demo", (HELD, BROKEN))), PATH)


# In a baseline.


def test_a_baseline_keeps_what_was_found_and_what_another_redis_shows_otherwise(tmp_path: Path) -> None:
    here = demo.recording(demo.behaviour("mark a")).merged({}, laws=[HELD, BROKEN])
    there = here.merged({}, laws=[LawFinding(subject="demo", law="it_holds", lens="time", undecided=1), BROKEN])
    baselines = Baselines(tmp_path)
    baselines.write("demo", Baseline(recording=here, backends={"valkey": differing(here, there)}), {})
    read = baselines.read("demo")
    assert read.recording.laws == here.laws
    assert [each.lens for each in read.backends["valkey"].laws or ()] == ["time"]
    assert [each.verdict for each in read.on("valkey").laws or ()] == ["undecided", "broken"]
    assert read.on("redis").laws == here.laws
    assert differing(here, here).laws is None


def test_a_baseline_older_than_laws_has_none_and_one_without_any_has_an_empty_matrix(tmp_path: Path) -> None:
    baselines = Baselines(tmp_path)
    old = demo.recording(demo.behaviour("mark a"))
    for recording in (old, old.merged({}, laws=())):
        baselines.write("demo", Baseline(recording=recording), {})
        assert baselines.read("demo").recording.laws == recording.laws
    (tmp_path / "demo" / "laws.json").write_text("<<<<<<< ours\n")
    with pytest.raises(BaselineError, match="unfinished merge"):
        baselines.read("demo")
