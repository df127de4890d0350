"""Laws on the command line: recorded, checked, broken, mended, accepted, and shown as a matrix."""

from __future__ import annotations

import json

import pytest

from characterization.errors import ExitCode
from tests.characterization.projects import ADDS_IN_ONE_STEP, LOOKS_AND_ADDS, Project

LAWS = '''
    @law
    def one_adds_it(self, run):
        """Who adds it pays for it."""
        told = [call.answer for call in run.calls if call.operation == "add"]
        run.assume(told)
        assert told.count("'added'") <= 1, f"{told.count(chr(39) + 'added' + chr(39))} added it"

    @law
    def it_is_forgotten(self, run):
        """A basket is forgotten in time."""
        run.assume("basket" in run.after)
        assert run.after["basket"].ttl != "none"
'''


@pytest.fixture
def lawful(bare: Project) -> Project:
    """A project whose subject has two laws, and is pinned."""
    bare.edit("pinning.py", "import Subject, World, operation", "import Subject, World, law, operation")
    bare.write("pinning.py", (bare.folder / "pinning.py").read_text() + LAWS)
    bare.pin()
    return bare


def test_what_is_recorded_is_the_matrix_that_is_shown(lawful: Project) -> None:
    shown = lawful.run("laws")
    assert shown.code == ExitCode.AS_PINNED
    assert "shop.basket    2 laws: " in shown.out
    assert all(len(line) <= 120 for line in shown.out.splitlines() if "holdfast replay" not in line)
    (told,) = lawful.run("laws", "--json").json
    assert {(each["law"], each["lens"]): each["verdict"] for each in told["laws"]}[
        "it_is_forgotten", "sequence"
    ] == "holds"
    assert "| law | sequence | time | race | fault |" in lawful.run("laws", "--markdown", "shop.basket").out


def test_a_check_of_the_same_is_as_pinned(lawful: Project) -> None:
    assert lawful.run("check").code == ExitCode.AS_PINNED
    assert lawful.run("check", "--no-race").code == ExitCode.AS_PINNED
    assert lawful.run("record", "--no-fault").code == ExitCode.AS_PINNED


def test_a_law_that_is_broken_is_said_and_accepted_by_its_name(lawful: Project) -> None:
    lawful.change_the_effect()
    shown = lawful.run("check")
    assert shown.code == ExitCode.CHANGED
    assert "it is forgotten    sequence lens    LAW BROKEN" in shown.out
    assert "why        A basket is forgotten in time." in shown.out
    assert "again      holdfast replay 'shop.basket: add a'" in shown.out
    (told,) = lawful.run("check", "--json").json
    found = {each["id"]: each["kind"] for each in told["laws"]}
    assert found["shop.basket/law/it_is_forgotten#sequence"] == "law broken"
    accepted = lawful.run("accept", "shop.basket/law/it_is_forgotten")
    assert accepted.code == ExitCode.AS_PINNED
    laws = {(each.law, each.lens): each.verdict for each in lawful.baselines.read("shop.basket").recording.laws or ()}
    assert laws["it_is_forgotten", "sequence"] == laws["it_is_forgotten", "race"] == "broken"
    assert laws["one_adds_it", "sequence"] == "holds"
    assert "LAW BROKEN" not in lawful.run("check").out
    lawful.run("accept", "shop.basket")
    assert lawful.run("check").code == ExitCode.AS_PINNED


def test_a_law_that_is_mended_is_said_after_its_witness_was_run_again(lawful: Project) -> None:
    lawful.write("engine/basket.py", LOOKS_AND_ADDS)
    lawful.pin()
    assert "one adds it" in lawful.run("laws").out
    lawful.write("engine/basket.py", ADDS_IN_ONE_STEP)
    shown = lawful.run("check")
    assert shown.code == ExitCode.CHANGED
    assert "one adds it    race lens    LAW MENDED" in shown.out
    assert "witness    run again, and does not break it: it holds in" in shown.out
    assert "said       2 added it" in shown.out


def test_a_lens_that_is_left_out_changes_no_verdict_and_is_kept_by_what_is_accepted(lawful: Project) -> None:
    lawful.write("engine/basket.py", LOOKS_AND_ADDS)
    lawful.pin()
    before = lawful.baselines.read("shop.basket").recording.laws
    lawful.write("engine/basket.py", ADDS_IN_ONE_STEP)
    assert "LAW" not in lawful.run("check", "--no-race").out
    lawful.change_the_answer()
    assert lawful.run("check", "--no-race").code == ExitCode.CHANGED
    lawful.run("accept", "shop.basket")
    after = lawful.baselines.read("shop.basket").recording.laws
    assert [each for each in before or () if each.lens == "race"] == [
        each for each in after or () if each.lens == "race"
    ]


def test_a_race_that_no_time_was_left_for_mends_no_law(lawful: Project) -> None:
    lawful.write("engine/basket.py", LOOKS_AND_ADDS)
    lawful.pin()
    lawful.write("engine/basket.py", ADDS_IN_ONE_STEP)
    shown = lawful.run("check", "--budget", "0")
    assert "LAW MENDED" not in shown.out
    assert shown.code == ExitCode.INCONCLUSIVE


def test_a_law_that_is_no_longer_declared_is_gone(lawful: Project) -> None:
    lawful.edit(
        "pinning.py",
        '    @law\n    def it_is_forgotten(self, run):\n        """A basket is forgotten',
        '    def no(self, run):\n        """Is',
    )
    shown = lawful.run("check")
    assert shown.code == ExitCode.CHANGED
    assert "LAW GONE" in shown.out
    lawful.run("accept", "shop.basket/law")
    assert lawful.run("check").code == ExitCode.AS_PINNED


def test_a_law_that_is_new_and_holds_is_shown_and_fails_nothing(lawful: Project) -> None:
    lawful.edit(
        "pinning.py",
        "    @law\n    def it_is_forgotten",
        "    @law\n    def a_new_one(self, run):\n        assert run.after\n\n    @law\n    def it_is_forgotten",
    )
    shown = lawful.run("check")
    assert shown.code == ExitCode.AS_PINNED
    assert "a new one, sequence: not run before, now HOLDS" in shown.out


def test_a_baseline_older_than_laws_says_how_to_judge_them(lawful: Project) -> None:
    (lawful.pinned / "laws.json").unlink()
    shown = lawful.run("check")
    assert shown.code == ExitCode.AS_PINNED
    assert "nothing is pinned of its 2 laws; `holdfast record` judges them" in shown.out
    assert "no law has been judged: record it anew" in lawful.run("laws").out
    (lawful.pinned / "laws.json").write_text('{"format": 1, "subject": "shop.basket", "laws": []}\n')
    assert "no laws are declared" in lawful.run("laws").out


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("        raise KeyError(run.program)", "raised KeyError"),
        ("        run.after.get('basket')", "looks at nothing"),
        ("        return run.answer", "returned"),
    ],
)
def test_a_law_that_is_a_mistake_is_named_with_its_exit_code(bare: Project, mistake: str, said: str) -> None:
    bare.edit("pinning.py", "import Subject, World, operation", "import Subject, World, law, operation")
    body = "        pass" if said == "looks at nothing" else mistake
    bare.write(
        "pinning.py", (bare.folder / "pinning.py").read_text() + f"\n    @law\n    def it_holds(self, run):\n{body}\n"
    )
    shown = bare.run("record")
    assert shown.code == ExitCode.USAGE
    assert "the law `it_holds`" in shown.err
    assert said in shown.err


def test_replaying_says_which_law_the_run_breaks(lawful: Project) -> None:
    lawful.write("engine/basket.py", LOOKS_AND_ADDS)
    lawful.pin()
    (told,) = lawful.run("laws", "--json").json
    witnesses = {(each["law"], each["lens"]): each["witness"] for each in told["laws"] if each["witness"]}
    race = witnesses["one_adds_it", "race"]
    shown = lawful.run("replay", f"shop.basket: {race['program']}", "--schedule", race["schedule"])
    assert "law      BROKEN: one adds it: 2 added it" in shown.out
    assert shown.code == ExitCode.AS_PINNED
    again = lawful.run("replay", f"shop.basket: {witnesses['it_is_forgotten', 'sequence']['program']}")
    assert "law      BROKEN: it is forgotten" in again.out
    assert json.loads(lawful.run("replay", "shop.basket: add a", "--json").out)["laws"][0]["law"] == "it_is_forgotten"


def test_the_matrix_goes_between_the_marks_of_a_document(lawful: Project) -> None:
    document = lawful.write(
        "NOTES.md", "Before.\n<!-- holdfast laws -->\nthree days ago\n<!-- end of holdfast laws -->\nAfter.\n"
    )
    for _ in range(2):
        assert lawful.run("laws", "--into", str(document)).code == ExitCode.AS_PINNED
    text = document.read_text()
    assert "three days ago" not in text
    assert text.count("**`shop.basket`**: 2 laws:") == 1
    assert text.startswith("Before.\n<!-- holdfast laws -->\n\n")
    assert text.endswith("\n\n<!-- end of holdfast laws -->\nAfter.\n")
    document.write_text("no marks")
    assert lawful.run("laws", "--into", str(document)).code == ExitCode.USAGE
    assert "cannot be read" in lawful.run("laws", "--into", str(document.parent / "none.md")).err
