"""The plugin: with its option every behaviour is an item, without it nothing happens."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from characterization import plugin
from tests.characterization.projects import ADDS_IN_ONE_STEP, LOOKS_AND_ADDS, Project, environment

NOTHING = """
import sys
import characterization.plugin
wanted = ("characterization.subject", "characterization.program", "simulator", "hypothesis", "redis", "structlog")
print([name for name in wanted if name in sys.modules])
"""


@pytest.fixture
def pinned(project: Project, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a baseline, in which pytest runs."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    pytester._path = project.folder
    return project


def checked(pinned: Project, pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """What pytest says in the project, in this process."""
    with pinned.imported():
        return pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider", *arguments)


def counts(result: pytest.RunResult) -> dict[str, int]:
    """How many items ended how; what did not happen is left out."""
    return {how: count for how, count in result.parseoutcomes().items() if how != "warnings"}


def items(pinned: Project) -> int:
    """How many items there are: each behaviour, each race, and what can be reached."""
    return len(pinned.idents()) + len(pinned.races()) + 1


def test_a_behaviour_is_an_item_and_what_can_be_reached_is_one_more(pinned: Project, pytester: pytest.Pytester) -> None:
    result = checked(pinned, pytester, "--holdfast=check", "-v")
    assert result.ret == 0
    assert counts(result) == {"passed": items(pinned)}
    for ident in (*pinned.idents().values(), *pinned.races().values()):
        assert f"pinned/shop.basket/graph.txt::{ident.partition('/')[2]} PASSED" in result.stdout.str()
    result.stdout.fnmatch_lines(["*graph.txt::reachable PASSED*"])
    result.stdout.fnmatch_lines([f"holdfast: seed 20260201, baselines {pinned.folder / 'pinned'}"])


def test_items_are_selected_by_word_and_by_node_id(pinned: Project, pytester: pytest.Pytester) -> None:
    adds = [text for text in pinned.idents() if text.split(" ; ")[-1].startswith("add")]
    assert counts(checked(pinned, pytester, "--holdfast=check", "-k", "add and not race")) == {
        "passed": len(adds),
        "deselected": items(pinned) - len(adds),
    }
    name = pinned.idents()["clear"].partition("/")[2]
    result = checked(pinned, pytester, "--holdfast=check", f"pinned/shop.basket/graph.txt::{name}")
    assert counts(result) == {"passed": 1}


def adds_of(pinned: Project) -> dict[str, str]:
    """The names of everything whose end is an addition, or has one in it, by program."""
    adds = {text: ident for text, ident in pinned.idents().items() if text.split(" ; ")[-1].startswith("add")}
    return adds | {text: ident for text, ident in pinned.races().items() if "add" in ident}


def test_a_changed_service_fails_exactly_the_changed_items_with_a_report(
    pinned: Project, pytester: pytest.Pytester
) -> None:
    adds = adds_of(pinned)
    pinned.change_the_answer()
    result = checked(pinned, pytester, "--holdfast=check", "-rf")
    said = result.stdout.str()
    assert result.ret == 1
    assert counts(result) == {"failed": len(adds), "passed": items(pinned) - len(adds)}
    for text, ident in adds.items():
        assert re.search(rf"holdfast replay '?{re.escape(ident)}", said)
        assert text in said
    assert "'added'" in said
    assert "'put'" in said
    assert "characterization/plugin.py" not in said
    assert "Traceback" not in said


def test_what_is_newly_reachable_fails_and_names_it(pinned: Project, pytester: pytest.Pytester) -> None:
    pinned.edit("pinning.py", 'small("a")', 'small("a", "b")')
    result = checked(pinned, pytester, "--holdfast=check")
    assert counts(result) == {"failed": 1, "passed": items(pinned) - 1}
    assert "add b" in result.stdout.str()
    assert "{ add a || add b @2 }" in result.stdout.str()


def test_what_is_gone_fails_where_it_was(pinned: Project, pytester: pytest.Pytester) -> None:
    pinned.edit("pinning.py", "    @operation()\n    async def clear", "    async def clear")
    gone = [text for text in (*pinned.idents(), *pinned.races()) if "clear" in text]
    result = checked(pinned, pytester, "--holdfast=check")
    assert counts(result) == {"failed": len(gone), "passed": items(pinned) - len(gone)}
    assert "GONE" in result.stdout.str()


def test_a_subject_that_breaks_the_rules_is_reported_without_a_traceback(
    pinned: Project, pytester: pytest.Pytester
) -> None:
    pinned.write("pinning.py", "1 / 0")
    result = checked(pinned, pytester, "--holdfast=check", "-k", "clear and not add")
    assert result.ret == 1
    assert "the subject pinning:BasketSubject cannot be imported: ZeroDivisionError" in result.stdout.str()
    assert "plugin.py" not in result.stdout.str()


def test_a_bug_of_ours_keeps_its_traceback(
    pinned: Project, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(plugin.GraphFile, "compare", broken)
    result = checked(pinned, pytester, "--holdfast=check", "-k", "reachable")
    assert "plugin.py" in result.stdout.str()


@pytest.mark.parametrize("new", ["", "<<<<<<< ours\n"])
def test_a_baseline_that_cannot_be_read_is_an_error_that_names_the_line(
    pinned: Project, pytester: pytest.Pytester, new: str
) -> None:
    graph = pinned.pinned / "graph.txt"
    graph.write_text(graph.read_text().replace("end\n", new))
    result = checked(pinned, pytester, "--holdfast=check")
    assert result.ret == 2
    assert ("was cut short" if not new else "holds the marks of an unfinished merge") in result.stdout.str()
    assert "characterization/baseline.py" not in result.stdout.str()


def test_what_a_killed_writer_left_is_not_collected(pinned: Project, pytester: pytest.Pytester) -> None:
    left = pinned.pinned.with_name("shop.basket.new")
    left.mkdir()
    (left / "graph.txt").write_text("half")
    assert counts(checked(pinned, pytester, "--holdfast=check", "-k", "reachable")) == {
        "passed": 1,
        "deselected": items(pinned) - 1,
    }


def test_another_folder_and_another_seed(pinned: Project, pytester: pytest.Pytester) -> None:
    every = items(pinned)
    pinned.pinned.parent.rename(pinned.folder / "norecurse.egg")
    options = ("--holdfast=check", "--holdfast-baselines", "norecurse.egg", "--holdfast-seed", "5")
    result = checked(pinned, pytester, *options)
    assert counts(result) == {"passed": every}
    result.stdout.fnmatch_lines(["holdfast: seed 5, *norecurse.egg"])


def test_without_baselines_it_says_how_to_record_them(pinned: Project, pytester: pytest.Pytester) -> None:
    result = checked(pinned, pytester, "--holdfast=check", "--holdfast-baselines", "nowhere")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*there are no baselines in *nowhere: record them with `holdfast record`*"])


def test_ordinary_tests_are_collected_beside_it(pinned: Project, pytester: pytest.Pytester) -> None:
    pinned.write("test_own.py", "def test_own(): ...")
    assert counts(checked(pinned, pytester, "--holdfast=check", "test_own.py", "pinned")) == {
        "passed": items(pinned) + 1
    }


def test_without_the_option_nothing_is_collected(pinned: Project, pytester: pytest.Pytester) -> None:
    result = checked(pinned, pytester)
    assert result.ret == 5
    assert "holdfast: seed" not in result.stdout.str()
    assert sorted(path.name for path in pinned.folder.iterdir()) == ["engine", "pinned", "pinning.py", "pyproject.toml"]


def test_without_the_option_nothing_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOTHING], capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout == "[]\n"


def test_workers_of_xdist_see_the_same_items(pinned: Project, pytester: pytest.Pytester) -> None:
    pinned.change_the_answer()
    adds = adds_of(pinned)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--holdfast=check", "-n", "2", "-p", "no:cacheprovider"],
        cwd=pinned.folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert f"{len(adds)} failed, {items(pinned) - len(adds)} passed" in done.stdout
    assert Path(pinned.folder / ".holdfast").exists() is False


# What happens at once.


def test_a_race_that_goes_wrong_now_fails_where_it_was_pinned_with_the_report_alone(
    pinned: Project, pytester: pytest.Pytester
) -> None:
    pinned.write("engine/basket.py", ADDS_IN_ONE_STEP)
    pinned.pin()
    assert counts(checked(pinned, pytester, "--holdfast=check", "-k", "race"))["passed"] == len(pinned.races())
    pinned.write("engine/basket.py", LOOKS_AND_ADDS)
    result = checked(pinned, pytester, "--holdfast=check", "-k", "race", "-rf")
    said = result.stdout.str()
    assert counts(result)["failed"] == 4
    for words in ("ANOMALY APPEARED", "between replica 1's SISMEMBER and SADD of basket", "--schedule '1 2*2 1'"):
        assert words in said
    assert "plugin.py" not in said


def test_a_race_that_was_mended_fails_and_says_what_became_of_its_witness(
    pinned: Project, pytester: pytest.Pytester
) -> None:
    pinned.write("engine/basket.py", LOOKS_AND_ADDS)
    pinned.pin()
    pinned.write("engine/basket.py", ADDS_IN_ONE_STEP)
    result = checked(pinned, pytester, "--holdfast=check", "-k", "race")
    assert counts(result)["failed"] == 4
    assert "ANOMALY VANISHED" in result.stdout.str()
    assert "its witness now ends as the order 2 1 does" in result.stdout.str()


def test_where_no_race_is_pinned_none_is_run_nor_missed(pinned: Project, pytester: pytest.Pytester) -> None:
    shutil.rmtree(pinned.pinned / "race")
    assert counts(checked(pinned, pytester, "--holdfast=check")) == {"passed": len(pinned.idents()) + 1}


def test_races_that_cannot_be_read_are_an_error_that_names_the_file(pinned: Project, pytester: pytest.Pytester) -> None:
    file = pinned.pinned / "race" / "add-x-add.json"
    file.write_text(file.read_text()[:-9])
    result = checked(pinned, pytester, "--holdfast=check")
    assert result.ret == 2
    assert "add-x-add.json cannot be read" in result.stdout.str()


def test_the_faults_of_each_call_are_an_item(pinned: Project, pytester: pytest.Pytester) -> None:
    pinned.pin(faults=True)
    faults = pinned.baselines.read("shop.basket").recording.faults
    programs = {each.program.healthy for each in faults.values()}
    result = checked(pinned, pytester, "--holdfast=check", "-v")
    assert counts(result) == {"passed": items(pinned) + len(programs)}
    names = [f"fault/{program.subject_of}#{program.mark}" for program in programs]
    assert all(f"::{name} PASSED" in result.stdout.str() for name in names)
    pinned.edit("engine/basket.py", 'await self.redis.delete("basket")', "0")
    broken = checked(pinned, pytester, "--holdfast=check", "-k", "fault")
    assert broken.ret == 1
    broken.stdout.fnmatch_lines(["*under faults*"])


LAW = '''
    @law
    def who_adds_is_thanked(self, run):
        """It costs nothing."""
        run.assume(run.call is not None and run.call.operation == "add")
        assert not run.call.acknowledged or run.call.answer == "'added'", f"told {run.call.answer}"
'''


def test_an_item_that_breaks_a_law_fails_and_says_which(pinned: Project, pytester: pytest.Pytester) -> None:
    pinned.edit("pinning.py", "import Subject,", "import Subject, law,")
    pinned.write("pinning.py", (pinned.folder / "pinning.py").read_text() + LAW)
    pinned.pin(faults=True)
    assert checked(pinned, pytester, "--holdfast=check").ret == 0
    pinned.change_the_answer()
    result = checked(pinned, pytester, "--holdfast=check")
    assert result.ret == 1
    for lens in ("sequence", "time", "fault"):
        result.stdout.fnmatch_lines([f"*who adds is thanked*{lens} lens*LAW BROKEN*"])
    result.stdout.fnmatch_lines(["*told 'put'*"])
