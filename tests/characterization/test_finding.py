"""Finding subjects: in a project, among entry points, by module and class."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from characterization import finding
from characterization.errors import NothingSelectedError, SubjectError
from characterization.finding import Project, find_project, imported_apart, load_subject

GOOD = """
from characterization import Subject, operation, small


class Good(Subject):
    @operation()
    async def do(self, replica): ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with imported_apart([str(tmp_path)]):
        yield tmp_path


def test_the_nearest_pyproject_that_speaks_of_holdfast_counts(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.holdfast]\n[tool.holdfast.subjects]\n"x" = "m:X"\n')
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\n")
    project = find_project(deep)
    assert (project.folder, project.baselines, project.subjects) == (tmp_path, tmp_path / "holdfast", {"x": "m:X"})
    assert project.pending == tmp_path / ".holdfast"


def test_without_one_the_folder_itself_is_the_project(tmp_path: Path) -> None:
    assert find_project(tmp_path) == Project(folder=tmp_path, baselines=tmp_path / "holdfast")


@pytest.mark.parametrize("text", ["[tool", b"\xff\xfe"])
def test_a_pyproject_that_cannot_be_read_is_named(text: Any, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SubjectError, match=r"pyproject\.toml cannot be read"):
        find_project(tmp_path)


PROJECT = Project(folder=Path("here"), baselines=Path("pins"), subjects={"a.x": "m:X", "a.y": "m:Y", "b": "m:B"})


def test_subjects_are_named_one_by_one_or_by_the_beginning_of_several() -> None:
    assert PROJECT.selected([]) == ["a.x", "a.y", "b"]
    assert PROJECT.selected(["a"]) == ["a.x", "a.y"]
    assert PROJECT.selected(["b", "n:Z"]) == ["b", "n:Z"]
    assert (PROJECT.target("b"), PROJECT.target("n:Z")) == ("m:B", "n:Z")


def test_an_unknown_subject_is_named_with_those_that_are_known() -> None:
    with pytest.raises(SubjectError, match=r"there is no subject called 'c'\. The project in here has a\.x, a\.y, b"):
        PROJECT.target("c")
    with pytest.raises(NothingSelectedError, match="no subject was named, and there is no"):
        Project(folder=Path(), baselines=Path()).selected([])


def test_a_subject_may_be_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="theirs", value="m:T", group=finding.ENTRY_POINTS)
    monkeypatch.setattr(finding, "entry_points", lambda group: [point] if group == finding.ENTRY_POINTS else [])
    assert PROJECT.target("theirs") == "m:T"
    with pytest.raises(SubjectError, match="no subject called 'other'"):
        PROJECT.target("other")


def test_a_subject_without_a_name_is_called_by_its_place(folder: Path) -> None:
    (folder / "good_one.py").write_text(GOOD)
    assert type(load_subject("good_one:Good", [str(folder)])).name == "good_one:Good"
    assert sys.path[0] == str(folder)


def test_a_folder_is_looked_in_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(folder)])
    (folder / "good_two.py").write_text(GOOD)
    load_subject("good_two:Good", [str(folder)])
    assert sys.path[0] == str(folder)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "\n1 / 0\n",
            r"cannot be imported: ZeroDivisionError: division by zero in .*bad\.py:2\. It was looked for from",
        ),
        (
            "import nothing_there\n",
            r"cannot be imported: ModuleNotFoundError: No module named 'nothing_there' in .*bad\.py:1",
        ),
        ("\n\ndef (:\n", r"cannot be imported: SyntaxError: .*\(bad\.py, line 3\)"),
        ("\nraise SystemExit(0)\n", r"cannot be imported: SystemExit: 0 in .*bad\.py:2"),
        (
            GOOD.replace("operation()", "operation(x=small(object()))"),
            r"ProgramError: .* has no short spelling.* in .*bad\.py:6",
        ),
        (GOOD.replace("operation()", "operation"), r"TypeError: .* in .*bad\.py:6"),
        ("Good = 3\n", r"bad:Good is not a subject: 'Good' must be a class derived from Subject"),
        ("class Good: ...\n", r"bad:Good is not a subject"),
        ("", r"bad:Good is not a subject"),
        (GOOD.replace("    @operation()\n", ""), r"Good has no operations: mark its async methods"),
        (GOOD.replace("async def", "def"), r"Good\.do is an operation and must be `async def`"),
        (
            GOOD.replace("operation()", "operation(x=small())"),
            r"takes nothing after the replica, but its @operation names x",
        ),
        (
            GOOD.replace("operation()", "operation(x=small())").replace("replica)", "replica, x)"),
            r"has nothing to try for x",
        ),
    ],
)
def test_a_subject_that_cannot_be_used_is_named_with_its_file_and_line(text: str, says: str, folder: Path) -> None:
    (folder / "bad.py").write_text(text)
    with pytest.raises(SubjectError, match=says):
        load_subject("bad:Good", [str(folder)])


def test_a_module_that_is_not_there_is_looked_for_where_it_says(folder: Path) -> None:
    with pytest.raises(SubjectError, match=r"No module named 'nowhere'\. It was looked for from .* onwards"):
        load_subject("nowhere:Good")


def test_two_versions_of_a_module_are_imported_one_after_the_other(tmp_path: Path) -> None:
    seen = []
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "versioned.py").write_text(GOOD + f"\n    version = {version!r}\n")
    for version in ("old", "new", "old"):
        folders = [str(tmp_path / version)]
        with imported_apart(folders):
            seen.append(load_subject("versioned:Good", folders).version)  # type: ignore[attr-defined]
        assert str(tmp_path) not in " ".join(sys.path)
        assert "versioned" not in sys.modules
    assert seen == ["old", "new", "old"]
