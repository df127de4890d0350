"""What these tests share: a project as somebody else would have it, and pytest within pytest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from characterization.baseline import Baselines
from tests.characterization.projects import Project


def pytest_configure(config: pytest.Config) -> None:
    """`pytest_plugins` is for the topmost conftest alone, and nobody else needs pytest within pytest."""
    if not config.pluginmanager.has_plugin("pytester"):
        config.pluginmanager.import_plugin("pytester")


@pytest.fixture(autouse=True)
def locks(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of folders that will not be there tomorrow are kept where the folders are."""
    folder = tmp_path_factory.getbasetemp()

    def path(baselines: Baselines) -> Path:
        return folder / f"{hashlib.sha256(str(baselines.folder.resolve()).encode()).hexdigest()[:16]}.lock"

    monkeypatch.setattr(Baselines, "_lock_path", path)


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project without a baseline."""
    return Project(tmp_path, capsys, monkeypatch)


@pytest.fixture
def project(bare: Project) -> Project:
    """A project whose baseline is as its code is."""
    bare.pin()
    return bare
