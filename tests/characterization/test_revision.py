"""A project as it was at another revision, laid out beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from characterization.errors import ExitCode, HoldfastError
from characterization.revision import worktree
from tests.characterization.projects import Project


@pytest.fixture
def committed(bare: Project) -> Project:
    """A project with two commits."""
    bare.git("init")
    bare.git("add", ".")
    bare.git("commit", "-m", "one")
    bare.change_the_answer()
    bare.git("commit", "-am", "two")
    return bare


def test_the_files_are_those_of_the_revision_and_go_away_again(committed: Project) -> None:
    with worktree(committed.folder, "HEAD~1") as folder:
        assert '"added"' in (folder / "engine" / "basket.py").read_text()
        assert '"put"' in (committed.folder / "engine" / "basket.py").read_text()
    assert not folder.exists()


def test_of_a_project_in_a_part_of_a_repository_that_part_is_laid_out(committed: Project) -> None:
    with worktree(committed.folder / "engine", "HEAD") as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["__init__.py", "basket.py"]


@pytest.mark.parametrize("revision", ["nowhere", "--help", "-x", ""])
def test_a_revision_that_is_not_there_is_named(committed: Project, revision: str) -> None:
    with (
        pytest.raises(HoldfastError, match="there is no such revision") as caught,
        worktree(committed.folder, revision),
    ):
        pass
    assert caught.value.exit_code == ExitCode.USAGE


def test_outside_a_repository_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(HoldfastError, match="not a git repository"), worktree(tmp_path, "HEAD"):
        pass


def test_without_git_it_says_what_is_missing(committed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with (
        pytest.raises(HoldfastError, match="git is not installed, and --base needs it"),
        worktree(committed.folder, "HEAD"),
    ):
        pass
