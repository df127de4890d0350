"""A package of someone else's, outside this repository, with an `engine` of its own: thirty lines pin its service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

THEIRS = Path(__file__).parent / "theirs_project"
SECONDS_MAX = 120


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Their folder, where nothing of this repository is beneath or above."""
    return Path(shutil.copytree(THEIRS, tmp_path / "project"))


def holdfast(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed command, as they run it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(Path(sys.executable).with_name("holdfast")), *arguments],
        cwd=project, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
    )  # fmt: skip


def test_their_subject_is_recorded_and_checked_although_their_package_is_called_engine(project: Path) -> None:
    recorded = holdfast(project, "record", "theirs.pinning:Subject")
    assert recorded.returncode == 0, recorded.stderr
    assert "first baseline written to" in recorded.stdout
    checked = holdfast(project, "check", "theirs.pinning:Subject")
    assert checked.returncode == 0, checked.stderr
    assert "theirs.stock    as pinned" in checked.stdout


def test_what_varies_in_their_service_is_renamed(project: Path) -> None:
    holdfast(project, "record", "theirs.pinning:Subject")
    graph = (project / "holdfast" / "theirs.stock" / "graph.txt").read_text()
    assert "| 'uuid#1' | + reservation(uuid#1) (string) ttl 60s; reservation(uuid#1).good = apple; " in graph
    assert "reservation(uuid#1).since = t+0s; stock(apple) 1 -> 0" in graph


def test_a_change_of_theirs_is_named_in_their_words(project: Path) -> None:
    holdfast(project, "record", "theirs.pinning:Subject")
    service = project / "engine" / "stock.py"
    service.write_text(service.read_text().replace("ex=60", "ex=61"))
    checked = holdfast(project, "check", "theirs.pinning:Subject")
    assert checked.returncode == 1
    assert "before  + reservation(uuid#1) (string) ttl 60s" in checked.stdout
    assert "after   + reservation(uuid#1) (string) ttl 61s" in checked.stdout
    assert "shown by   fill apple 1 ; reserve apple" in checked.stdout


def test_a_name_that_was_recorded_is_enough_from_then_on(project: Path) -> None:
    holdfast(project, "record", "theirs.pinning:Subject")
    replayed = holdfast(project, "replay", "theirs.stock: fill apple 1 ; reserve apple")
    assert replayed.returncode == 0, replayed.stderr
    assert "as pinned" in replayed.stdout


def test_the_readme_shows_their_subject_as_it_is() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = readme.partition("```python\n")[2].partition("```")[0]
    lines = [re.sub(r"\s{2,}#.*", "", line) for line in shown.splitlines()]
    assert lines == (THEIRS / "theirs" / "pinning.py").read_text().splitlines()


def test_their_subject_is_thirty_lines() -> None:
    lines = [line for line in (THEIRS / "theirs" / "pinning.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 30
