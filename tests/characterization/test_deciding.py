"""Deciding: what waits, and what is promoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from characterization.baseline import Baseline, Baselines
from characterization.behaviour import Recording
from characterization.comparing import compare
from characterization.deciding import accept, forget_pending, keep_pending, named, pending_of, provenance
from characterization.errors import NothingSelectedError
from characterization.finding import Project
from tests.characterization.demo import behaviour, recording

OLD = recording(behaviour("a"), behaviour("b"), behaviour("gone"))
NEW = recording(behaviour("a", answer="1"), behaviour("b", answer="2"), behaviour("new"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a baseline, and with other results that wait."""
    found = Project(folder=tmp_path, baselines=tmp_path / "pinned")
    Baselines(found.baselines).write(
        "demo", Baseline(recording=OLD, backends={"valkey": recording(behaviour("b"))}), {"n": 1}
    )
    keep_pending(found, NEW, {"n": 2})
    return found


def pinned(project: Project) -> Recording:
    return Baselines(project.baselines).read("demo").recording


def accepted(project: Project, *asked: str) -> list[str]:
    return [change.program.text for change in accept(Baselines(project.baselines), project, asked)]


def test_what_waits_is_ignored_by_git_and_can_be_read(project: Project) -> None:
    assert (project.pending / ".gitignore").read_text() == "*\n"
    assert list(pending_of(project).read("demo").recording) == list(NEW)
    keep_pending(project, OLD, {})
    assert list(pending_of(project).read("demo").recording) == list(OLD)


def test_a_gitignore_of_somebodys_own_is_kept(project: Project) -> None:
    (project.pending / ".gitignore").write_text("mine\n")
    keep_pending(project, NEW, {})
    assert (project.pending / ".gitignore").read_text() == "mine\n"


def test_a_subjects_name_accepts_all_of_it(project: Project) -> None:
    assert accepted(project, "demo") == ["a", "b", "gone", "new"]
    assert list(pinned(project)) == list(NEW)
    assert Baselines(project.baselines).provenance("demo") == {"n": 2}
    assert sorted(Baselines(project.baselines).read("demo").backends) == ["valkey"]


def test_one_behaviour_is_accepted_alone(project: Project) -> None:
    assert accepted(project, NEW["a"].ident) == ["a"]
    assert [(each.program.text, each.outcome.answer) for each in pinned(project)] == [
        ("a", "1"), ("b", "None"), ("gone", "None"),
    ]  # fmt: skip
    assert accepted(project, OLD["gone"].ident, NEW["new"].ident) == ["gone", "new"]
    assert [each.program.text for each in pinned(project)] == ["a", "b", "new"]


def test_without_a_baseline_everything_is_new(project: Project) -> None:
    Baselines(project.baselines).remove("demo")
    assert accepted(project, "demo") == ["a", "b", "new"]


def test_what_is_not_pending_is_refused_and_nothing_is_written(project: Project) -> None:
    for asked in ("demo/sequence/c", "other", "demo/time", "de"):
        with pytest.raises(NothingSelectedError, match=f"nothing pending is called {asked}"):
            accept(Baselines(project.baselines), project, [asked])
    assert list(pinned(project)) == list(OLD)


def test_what_is_forgotten_does_not_wait(project: Project) -> None:
    forget_pending(project, "demo")
    forget_pending(project, "demo")
    assert not pending_of(project).exists("demo")
    with pytest.raises(NothingSelectedError):
        accept(Baselines(project.baselines), project, ["demo"])


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("demo", True), ("demo/sequence", True), ("demo/sequence/a", True), ("demo/*/a#*", True), ("*", True),
        ("dem", False), ("demo/seq", False), ("demo/time", False), ("demo/sequence/aa", False), ("", False),
    ],
)  # fmt: skip
def test_a_name_means_a_change_by_its_parts(asked: str, meant: bool) -> None:
    change = next(each for each in compare(OLD, NEW).changes if each.program.text == "a")
    assert named(change, asked) is meant
    assert named(change, change.behaviour.ident)


def test_provenance_says_what_recorded_it() -> None:
    about = provenance("shop:Basket", "fakeredis", 7)
    assert (about["target"], about["backend"], about["seed"]) == ("shop:Basket", "fakeredis", 7)
    assert {"holdfast", "redis", "fakeredis"} <= set(about["versions"])  # type: ignore[call-overload]
