"""The plugin: with its option every behaviour is an item, without it nothing happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from characterization import plugin
from tests.characterization.projects import Project, environment

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


def test_a_behaviour_is_an_item_and_what_can_be_reached_is_one_more(pinned: Project, pytester: pytest.Pytester) -> None:
    result = checked(pinned, pytester, "--holdfast=check", "-v")
    assert result.ret == 0
    assert counts(result) == {"passed": len(pinned.idents()) + 1}
    for ident in pinned.idents().values():
        assert f"pinned/shop.basket/graph.txt::{ident.partition('/')[2]} PASSED" in result.stdout.str()
    result.stdout.fnmatch_lines(["*graph.txt::reachable PASSED*"])
    result.stdout.fnmatch_lines([f"holdfast: seed 20260201, baselines {pinned.folder / 'pinned'}"])


def test_items_are_selected_by_word_and_by_node_id(pinned: Project, pytester: pytest.Pytester) -> None:
    adds = [text for text in pinned.idents() if text.split(" ; ")[-1].startswith("add")]
    assert counts(checked(pinned, pytester, "--holdfast=check", "-k", "add")) == {
        "passed": len(adds),
        "deselected": len(pinned.idents()) + 1 - len(adds),
    }
    name = pinned.idents()["clear"].partition("/")[2]
    result = checked(pinned, pytester, "--holdfast=check", f"pinned/shop.basket/graph.txt::{name}")
    assert counts(result) == {"passed": 1}


def test_a_changed_service_fails_exactly_the_changed_items_with_a_report(
    pinned: Project, pytester: pytest.Pytester
) -> None:
    adds = {text: ident for text, ident in pinned.idents().items() if text.split(" ; ")[-1].startswith("add")}
    pinned.change_the_answer()
    result = checked(pinned, pytester, "--holdfast=check", "-rf")
    said = result.stdout.str()
    assert result.ret == 1
    assert counts(result) == {"failed": len(adds), "passed": len(pinned.idents()) + 1 - len(adds)}
    for text, ident in adds.items():
        assert f"holdfast replay {ident}" in said
        assert text in said
    assert "'added'" in said
    assert "'put'" in said
    assert "characterization/plugin.py" not in said
    assert "Traceback" not in said


def test_what_is_newly_reachable_fails_and_names_it(pinned: Project, pytester: pytest.Pytester) -> None:
    pinned.edit("pinning.py", 'small("a")', 'small("a", "b")')
    result = checked(pinned, pytester, "--holdfast=check")
    assert counts(result) == {"failed": 1, "passed": len(pinned.idents())}
    assert "add b" in result.stdout.str()


def test_what_is_gone_fails_where_it_was(pinned: Project, pytester: pytest.Pytester) -> None:
    pinned.edit("pinning.py", "    @operation()\n    async def clear", "    async def clear")
    gone = [text for text in pinned.idents() if "clear" in text]
    result = checked(pinned, pytester, "--holdfast=check")
    assert counts(result) == {"failed": len(gone), "passed": len(pinned.idents()) + 1 - len(gone)}
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

    monkeypatch.setattr(plugin, "_compare", broken)
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
        "deselected": len(pinned.idents()),
    }


def test_another_folder_and_another_seed(pinned: Project, pytester: pytest.Pytester) -> None:
    pinned.pinned.parent.rename(pinned.folder / "norecurse.egg")
    options = ("--holdfast=check", "--holdfast-baselines", "norecurse.egg", "--holdfast-seed", "5")
    result = checked(pinned, pytester, *options)
    assert counts(result) == {
        "passed": len((pinned.folder / "norecurse.egg/shop.basket/graph.txt").read_text().splitlines()) - 4 + 1
    }
    result.stdout.fnmatch_lines(["holdfast: seed 5, *norecurse.egg"])


def test_without_baselines_it_says_how_to_record_them(pinned: Project, pytester: pytest.Pytester) -> None:
    result = checked(pinned, pytester, "--holdfast=check", "--holdfast-baselines", "nowhere")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*there are no baselines in *nowhere: record them with `holdfast record`*"])


def test_ordinary_tests_are_collected_beside_it(pinned: Project, pytester: pytest.Pytester) -> None:
    pinned.write("test_own.py", "def test_own(): ...")
    assert counts(checked(pinned, pytester, "--holdfast=check", "test_own.py", "pinned")) == {
        "passed": len(pinned.idents()) + 2
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
    adds = [text for text in pinned.idents() if text.split(" ; ")[-1].startswith("add")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--holdfast=check", "-n", "2", "-p", "no:cacheprovider"],
        cwd=pinned.folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert f"{len(adds)} failed, {len(pinned.idents()) + 1 - len(adds)} passed" in done.stdout
    assert Path(pinned.folder / ".holdfast").exists() is False
