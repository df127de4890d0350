"""Comparing laws: what was broken, mended or let go, and what says nothing."""

from __future__ import annotations

import pytest

from characterization.comparing import compare
from characterization.comparing_laws import compare_laws
from characterization.kinds import Kind
from characterization.laws import LawFinding, LawWitness
from tests.characterization import demo

WITNESS = LawWitness(program="mark a ; mark a", said="no")


def cell(verdict: str, lens: str = "sequence", law: str = "it_holds") -> LawFinding:
    counts = {"holds": {"holds": 3}, "undecided": {"undecided": 3}, "broken": {"broken": 3, "holds": 1}}[verdict]
    witness = WITNESS if verdict == "broken" else None
    return LawFinding(subject="demo", law=law, lens=lens, witness=witness, **counts)


@pytest.mark.parametrize(
    ("before", "after", "kind", "grave"),
    [
        ("holds", "broken", Kind.LAW_BROKEN, True),
        ("undecided", "broken", Kind.LAW_BROKEN, True),
        (None, "broken", Kind.LAW_BROKEN, True),
        ("broken", "holds", Kind.LAW_MENDED, True),
        ("broken", "undecided", Kind.LAW_MENDED, True),
        ("holds", "undecided", Kind.LAW_VERDICT, False),
        ("undecided", "holds", Kind.LAW_VERDICT, False),
        (None, "holds", Kind.LAW_VERDICT, False),
    ],
)
def test_a_verdict_that_is_another_is_a_change(before: str | None, after: str, kind: Kind, grave: bool) -> None:
    old = () if before is None else (cell(before),)
    (change,) = compare_laws(old, (cell(after),))
    assert (change.kind, change.grave) == (kind, grave)
    assert change.behaviour == cell(after)
    assert change.program.text == (WITNESS.program if "broken" in (before, after) else "")
    result = compare(demo.recording().merged({}, laws=old), demo.recording().merged({}, laws=(cell(after),)))
    assert (result.changed, result.different, result.count(kind)) == (grave, True, 1)


@pytest.mark.parametrize("verdict", ["holds", "broken", "undecided"])
def test_counts_and_witnesses_are_not_compared(verdict: str) -> None:
    again = cell(verdict) + cell(verdict)
    assert compare_laws((cell(verdict),), (again,)) == ()


def test_a_lens_that_has_not_looked_says_nothing_and_a_law_that_is_no_longer_declared_is_gone() -> None:
    old = (cell("broken"), cell("broken", "race"), cell("holds", "race", "another"))
    assert compare_laws(old, (cell("broken"), cell("holds", "sequence", "another"))) != ()
    assert [each.kind for each in compare_laws(old, (cell("broken"), cell("holds", "race", "another")))] == []
    (gone,) = compare_laws(old, old[:2])
    assert (gone.kind, gone.grave, gone.behaviour, gone.program.text) == (Kind.GONE, True, old[2], "")


def test_where_one_side_has_not_judged_there_is_nothing_to_compare() -> None:
    assert compare_laws(None, (cell("broken"),)) == ()
    assert compare_laws((cell("broken"),), None) == ()


def test_what_was_broken_comes_first() -> None:
    old = (cell("broken", "race"), cell("holds", "time"), cell("undecided", "fault"))
    new = (cell("holds", "race"), cell("broken", "time"), cell("holds", "fault"))
    assert [each.behaviour.lens for each in compare_laws(old, new)] == ["time", "race", "fault"]
