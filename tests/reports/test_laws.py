"""The law matrix as text and Markdown: every cell, every witness, nothing wider than a screen; and the committed one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from characterization.baseline import Baselines
from characterization.comparing import compare
from characterization.comparing_laws import compare_laws
from characterization.errors import HoldfastError
from characterization.laws import Findings, LawFinding, LawWitness
from characterization.reporting import laws as report
from reports import laws, terminal
from reports.words import WIDTH
from tests.reports import making

ROOT = Path(__file__).parents[2]
WHY = "For a reason."
RACE = LawWitness(program="save s1 ; { save s1 || get s1 @2 }", schedule="1 2*2 1", said="s1 is in 2 indexes")
ORDER = LawWitness(program="{ save s1 || get s1 }", schedule="1*2 2", said="no", serial=True)
SPLIT = LawWitness(program="{ save s1 || get s1 }", schedule="1*2 2", said="no", split=True)
RETRIED = LawWitness(program="save s1 ! reply lost @2", said="twice", retried=True)


def cell(law: str, lens: str, witness: LawWitness | None = None, **counts: int) -> LawFinding:
    given = {"broken": 2, **counts} if witness is not None else counts
    return LawFinding(subject=making.SUBJECT, law=law, lens=lens, witness=witness, reason=WHY, **given)


FOUND: Findings = (
    cell("an_id_is_in_one_index", "sequence", holds=7),
    cell("an_id_is_in_one_index", "time", undecided=3),
    cell("an_id_is_in_one_index", "race", RACE, holds=4, undecided=1),
    cell("it_holds", "sequence", holds=1),
    cell("nobody_knows", "sequence", undecided=1),
    cell("x" * 90, "fault", RETRIED),
)


def test_the_matrix_has_a_row_for_each_law_and_a_column_for_each_lens() -> None:
    lines = laws.text(making.SUBJECT, FOUND).splitlines()
    assert lines[0] == "relay.store    4 laws: 2 broken, 1 hold, 1 undecided"
    assert lines[1].split() == ["sequence", "time", "race", "fault", "random"]
    assert lines[2].split("  ")[1] == "an id is in one index"
    assert lines[2].split()[-8:] == ["holds", "undecided", "BROKEN", "1", "not", "run", "not", "run"]
    assert [line.split()[-1] for line in lines[3:5]] == ["run", "run"]
    assert "..." in lines[5]
    assert lines[7:12] == [
        " 1  an id is in one index, race: broken in 2 of 6 observations, says nothing of 1",
        "      why        For a reason.",
        "      said       s1 is in 2 indexes",
        "      shown by   save s1 ; { save s1 || get s1 @2 }",
        "      again      holdfast replay 'relay.store: save s1 ; { save s1 || get s1 @2 }' --schedule '1 2*2 1'",
    ]
    assert "      only if    the call is made once more, as after a failure" in lines
    assert all(len(line) <= WIDTH for line in lines)


@pytest.mark.parametrize("lenses", [("random",), ("random", "load"), ()])
def test_a_lens_that_is_still_to_come_has_a_column_once_it_has_looked(lenses: tuple[str, ...]) -> None:
    found = (*FOUND, *(cell("it_holds", lens, holds=1) for lens in lenses))
    assert laws.lenses_of(found) == ["sequence", "time", "race", "fault", "random", *lenses[1:]]
    assert all(len(line) <= WIDTH for line in laws.text(making.SUBJECT, found).splitlines()[:6])


def test_a_witness_says_what_else_it_needs() -> None:
    assert "some order of the calls breaks it" in laws.remark_on(ORDER)
    assert "a plain pipeline is split" in laws.remark_on(SPLIT)
    assert laws.remark_on(RACE) == ""


def test_what_prints_oddly_is_spelled_out_and_what_is_long_is_cut() -> None:
    odd = LawWitness(program="save s1", said="\x1b[31m" + "9" * 900)
    text = laws.text("odd\x1bname", (cell("it_holds", "sequence", odd),))
    assert "\x1b" not in text
    assert len(text) < 1000


def test_colour_only_repeats_what_the_text_says() -> None:
    plain = laws.text(making.SUBJECT, FOUND)
    painted = laws.text(making.SUBJECT, FOUND, colour=True)
    assert painted != plain
    assert painted.replace("\x1b[1m", "").replace("\x1b[0m", "") == plain


def test_markdown_has_the_witness_in_the_cell() -> None:
    found = FOUND[:4]
    assert laws.markdown({making.SUBJECT: found, "other": None, "free": ()}).splitlines() == [
        "**`relay.store`**: 2 laws: 1 broken, 1 hold.",
        "",
        "| law | sequence | time | race | fault | random |",
        "|---|---|---|---|---|---|",
        (
            "| an id is in one index | holds | undecided | **broken** by `save s1 ; { save s1 \\|\\| get s1 @2 }`, "
            "schedule `1 2*2 1` | not run | not run |"
        ),
        "| it holds | holds | not run | not run | not run | not run |",
        "",
        "**`other`**: no law has been judged: record it anew.",
        "",
        "**`free`**: no laws are declared.",
    ]


@pytest.mark.parametrize(
    "document", ["", f"{laws.BEGIN}", f"{laws.END} {laws.BEGIN}", f"{laws.BEGIN}{laws.END}{laws.END}"]
)
def test_a_document_without_the_two_marks_is_refused(document: str) -> None:
    with pytest.raises(HoldfastError, match="must be there once each"):
        laws.placed(document, {})


def changed(before: Findings, after: Findings) -> list[str]:
    return [line for change in compare_laws(before, after) if change.grave for line in laws.change_lines(1, change)]


def test_a_law_that_is_broken_since_shows_its_witness() -> None:
    assert changed((FOUND[0],), (cell("an_id_is_in_one_index", "sequence", RACE),))[:3] == [
        "L1  an id is in one index    sequence lens    LAW BROKEN",
        "      why        For a reason.",
        "      said       s1 is in 2 indexes",
    ]


def test_a_law_that_is_mended_shows_its_old_witness_and_what_became_of_it() -> None:
    lines = changed((FOUND[2],), (cell("an_id_is_in_one_index", "race", holds=6),))
    assert lines[0] == "L1  an id is in one index    race lens    LAW MENDED"
    assert lines[-1] == "      witness    run again, and does not break it: it holds in 6 observations"
    undecided = changed((FOUND[2],), (cell("an_id_is_in_one_index", "race", undecided=1),))
    assert undecided[0].endswith("LAW NO LONGER BROKEN, but UNDECIDED")
    assert undecided[-1].endswith("the law now says nothing of any of 1 observation")


def test_a_law_that_is_gone_shows_what_it_was() -> None:
    assert changed((FOUND[2], FOUND[3]), (FOUND[3],))[-1] == "      witness    no longer judged"
    assert changed((FOUND[0], FOUND[3]), (FOUND[3],)) == [
        "L1  an id is in one index    sequence lens    LAW GONE: it is no longer declared"
    ]


def test_a_comparison_tells_of_laws_too_and_counts_those_that_have_no_room() -> None:
    old = making.recording().merged({}, laws=[cell(f"law_{n}", "sequence", holds=1) for n in range(10)])
    new = making.recording().merged(
        {}, laws=[cell(f"law_{n}", "sequence", RACE) for n in range(9)] + [cell("law_9", "sequence", undecided=1)]
    )
    text = terminal.comparison(compare(old, new))
    assert "9 laws broken" in text.splitlines()[0]
    assert " and 1 more law" in text
    assert "    law   law 9, sequence: holds before, now UNDECIDED" in text


def test_a_recording_tells_of_its_laws_in_a_few_lines() -> None:
    text = terminal.recording(making.session().merged({}, laws=FOUND))
    assert "  laws        4 laws: 2 broken, 1 hold, 1 undecided; `holdfast laws` shows the matrix" in text
    assert "    BROKEN          an id is in one index (race)" in text
    assert "laws" not in terminal.recording(making.session().merged({}, laws=()))


def test_the_matrix_in_the_architecture_is_that_of_the_baselines() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["holdfast"]
    baselines = Baselines(ROOT / project["baselines"])
    names = [name for name in project["subjects"] if name.startswith("relay")]
    assert names
    document = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    matrices = {name: baselines.read(name).recording.laws for name in names}
    assert report().placed(document, matrices) == document, "run `make laws`"


def test_a_verdict_that_is_neither_broken_nor_mended_is_no_matter_of_cost() -> None:
    held, silent = (
        making.session().merged({}, laws=[cell("it_holds", "race", **counts)])
        for counts in ({"holds": 1}, {"undecided": 1})
    )
    first = terminal.comparison(compare(held, silent)).splitlines()[0]
    assert first == "relay.store    as pinned, 6 transitions, 1 verdict of laws otherwise, none broken or mended"
