"""Rivals: other explorers of schedules, each in an environment of its own under ``build/rivals``, in processes of its own.

They are no dependencies of this project, so that nothing of theirs stands in its way: redis-py and fakeredis are installed
beside them in the versions that are used here. A rival that does not run on this Python gets the newest that is found on
the PATH; where there is none, or the rival cannot be installed or takes too long, the reason takes the place of its
figures.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.measuring import ROOT, timed
from benchmarks.races import Explored

FOLDER = ROOT / "build" / "rivals"
SECONDS_MAX = 60  # of each rival, over all rounds, its installation included
PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
SAY_VERSION = "import sys; print(*sys.version_info[:3], sep='.')"


class AbsentError(Exception):
    """A rival cannot be measured; says why."""


@dataclass(slots=True, kw_only=True)
class Rival:
    """A rival, and how it runs; ``adapter`` is the module that explores the races with it."""

    name: str
    version: str
    adapter: str
    python_min: tuple[int, int]
    seconds_left: float = SECONDS_MAX
    python: str = ""  # the version that it runs on
    _executable: Path | None = field(default=None)

    @property
    def title(self) -> str:
        """Its name and version, and that of its Python where it is not ours."""
        other = f", Python {self.python}" if self.python and self.python != _version_of(sys.executable) else ""
        return f"{self.name} {self.version}{other}"

    def explore_all(self, arguments: Sequence[str]) -> dict[str, Explored]:
        """Every race explored, by name.

        Raises:
            AbsentError: it cannot be, for the reason given.
        """
        if self._executable is None:
            self._executable = self._installed()
        printed = self._run([self._executable, "-W", "ignore", "-m", self.adapter, *arguments])
        return {name: Explored(**explored) for name, explored in json.loads(printed.splitlines()[-1]).items()}

    def _installed(self) -> Path:
        base = self._interpreter()
        folder = FOLDER / f"{self.name}-{self.version}-python{self.python}"
        executable, done = folder / "bin" / "python", folder / "installed"
        wanted = [f"{self.name}=={self.version}", *(f"{each}=={version(each)}" for each in ("redis", "fakeredis"))]
        if not done.exists() or done.read_text(encoding="utf-8") != " ".join(wanted):
            self._run([base, "-m", "venv", "--clear", folder])
            self._run([executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
            done.write_text(" ".join(wanted), encoding="utf-8")
        return executable

    def _interpreter(self) -> str:
        for name in (sys.executable, *PYTHONS):
            self.python = _version_of(name)
            if self.python and tuple(map(int, self.python.split(".")[:2])) >= self.python_min:
                return name
        self.python = ""
        minimum = ".".join(map(str, self.python_min))
        raise AbsentError(
            f"not run: it needs Python {minimum}, this is {_version_of(sys.executable)}, and no newer one is on the PATH"
        )

    def _run(self, command: Sequence[str | Path]) -> str:
        """What ``command`` printed, if it ends well before the rival's time is up."""
        try:
            seconds, finished = timed(lambda: self._finished(command))
        except subprocess.TimeoutExpired as error:
            self.seconds_left = 0
            raise AbsentError(f"not run: it took more than {SECONDS_MAX} s") from error
        self.seconds_left -= seconds
        if finished.returncode != 0:
            why = (finished.stderr.strip().splitlines() or ["nothing was said"])[-1]
            raise AbsentError(f"not run: {Path(command[0]).name} ended with {finished.returncode}, {why}")
        return finished.stdout

    def _finished(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        if self.seconds_left <= 0:
            raise subprocess.TimeoutExpired(list(map(str, command)), SECONDS_MAX)
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=self.seconds_left)


def _version_of(python: str) -> str:
    """The version of an interpreter by its path or name; empty: there is none that answers."""
    found = shutil.which(python)
    if found is None:
        return ""
    said = subprocess.run([found, "-c", SAY_VERSION], capture_output=True, text=True, check=False)
    return said.stdout.strip() if said.returncode == 0 else ""
