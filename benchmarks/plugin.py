"""Plugin: what the pytest plugin costs where it is installed and not used.

Method. `pytest --collect-only` on one trivial test file in an empty folder, with the plugin and with `-p no:holdfast`,
each as a process of its own, in pairs whose order alternates, after one pair that is not counted. Bytecode is cached, in
a folder of this run, as it is where a package was installed: a checkout whose environment forbids writing it would
compile, and have pytest rewrite, the plugin anew in each process, and that is not what users have. Of each pair the
difference is taken, in wall time and in processor time of the child (which other work on the machine disturbs less).
The median of the differences is shown with the interval that contains the true median with 95 % confidence, found by
counting (the sign test's); beside it the difference of the quickest of each, since noise only ever adds.

*None measurable* is met where this interval contains zero: then these pairs cannot tell the two apart. It is not proof of
nothing, so two more things are shown: which modules the plugin brings with it, and how long Python itself says that
importing them took (`-X importtime`, best of a few). A machine that is busy widens the interval: look at it first.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure
from benchmarks.measuring import alternate, timed

PAIRS = 25
IMPORTS = 5
CONFIDENCE = 0.95
TRIVIAL = "def test_nothing() -> None:\n    assert True\n"
PYTEST = ["--collect-only", "--quiet", "-p", "no:cacheprovider"]
WITHOUT = ["-p", "no:holdfast"]
# Collects, then prints the name of every module that is imported, on a line of its own.
NAMING = "import json, sys, pytest; pytest.main(sys.argv[1:]); print(); print(json.dumps(sorted(sys.modules)))"
_IMPORTED = re.compile(r"import time:\s+\d+ \|\s+(?P<microseconds>\d+) \|\s+characterization\.plugin$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One run of pytest, in seconds of the clock on the wall and of the processor."""

    wall: float
    processor: float


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder with a project of one trivial test, and a place for bytecode beside it."""

    folder: Path

    @property
    def project(self) -> Path:
        """Where pytest is run."""
        return self.folder / "project"

    @property
    def environment(self) -> dict[str, str]:
        """This process's, but with bytecode kept on the bench."""
        own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return own | {"PYTHONPYCACHEPREFIX": str(self.folder / "bytecode")}


@contextmanager
def set_up() -> Iterator[Bench]:
    """A bench, for as long as the context lasts."""
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        bench.project.mkdir()
        (bench.project / "test_trivial.py").write_text(TRIVIAL, encoding="utf-8")
        yield bench


def start(bench: Bench, options: Sequence[str]) -> Start:
    """Collect the trivial file once."""
    command = [sys.executable, "-m", "pytest", *PYTEST, *options]

    def run() -> float:
        process = subprocess.Popen(command, cwd=bench.project, env=bench.environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(
                f"pytest ended with {process.returncode} on a trivial test: its figure would mean nothing"
            )
        return used.ru_utime + used.ru_stime

    wall, processor = timed(run)
    return Start(wall=wall, processor=processor)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Between which two of ``values`` the true median lies, with at least 95 % confidence, whatever their distribution."""
    ordered, outside, rank = sorted(values), 0.0, 0
    while True:
        outside += 2 * math.comb(len(ordered), rank) / 2 ** len(ordered)
        if outside > 1 - CONFIDENCE:
            break
        rank += 1
    assert rank >= 1, "six pairs at least are needed for an interval"
    return ordered[rank - 1], ordered[-rank]


def modules(bench: Bench, options: Sequence[str]) -> set[str]:
    """The names of all modules that pytest has imported when it has collected."""
    printed = _run(bench, ["-c", NAMING, *PYTEST, *options]).stdout
    return set(json.loads(printed.splitlines()[-1]))


def import_ms(bench: Bench) -> float:
    """How long importing the plugin takes, beneath an imported pytest, with everything that it imports itself."""
    found = _IMPORTED.search(_run(bench, ["-X", "importtime", "-c", "import pytest, characterization.plugin"]).stderr)
    assert found is not None, "Python reports every import"
    return int(found["microseconds"]) / 1000


def _run(bench: Bench, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=bench.project,
        env=bench.environment,
        check=True,
        capture_output=True,
        text=True,
    )


def figures() -> list[Figure]:
    """The difference that the plugin makes, and what it imports."""
    with set_up() as bench:
        competitors = {"with": functools.partial(start, bench, []), "without": functools.partial(start, bench, WITHOUT)}
        alternate(competitors, 1)
        starts = alternate(competitors, PAIRS)
        brought = sorted(modules(bench, []) - modules(bench, WITHOUT))
        took_ms = min(import_ms(bench) for _ in range(IMPORTS))
    pairs = list(zip(starts["with"], starts["without"], strict=True))
    return [
        _difference("wall time", [(one.wall, other.wall) for one, other in pairs]),
        _difference("processor time", [(one.processor, other.processor) for one, other in pairs]),
        Figure(subject="unused plugin", what="modules that it brings", seen=", ".join(brought) or "none"),
        Figure(subject="unused plugin", what=f"importing them, best of {IMPORTS}", seen=f"{took_ms:.2f} ms"),
    ]


def _difference(what: str, pairs: Sequence[tuple[float, float]]) -> Figure:
    differences = [one - other for one, other in pairs]
    low, high = interval(differences)
    quickest = [min(seconds) for seconds in zip(*pairs, strict=True)]
    return Figure(
        subject="unused plugin",
        what=f"{what}, median of {len(differences)} pairs",
        seen=f"{median(differences) * 1000:+.1f} ms (95 %: {low * 1000:+.1f} to {high * 1000:+.1f}) "
        f"of {median(other for _, other in pairs) * 1000:.0f} ms; quickest {(quickest[0] - quickest[1]) * 1000:+.1f} ms",
        aim="none measurable",
        met=low <= 0 <= high,
    )
