"""Checking: wall time and peak memory of `holdfast check` on all relay subjects with two workers, lens by lens.

Method. The command runs as a process of its own, as CI runs it, from the start of the interpreter to its exit; the
median of the rounds is taken. While it runs, the high-water marks (VmHWM) of the main process and of every worker that
is alive with it are added up twenty times a second; the largest sum of all rounds is taken, an upper bound. A run that
does not end with *as pinned* has measured something else, and is no figure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.figure import Figure
from benchmarks.measuring import ROOT, span, timed
from benchmarks.memory import Peak, watch

WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Through which lenses to look, how often to measure, and what is aimed at."""

    options: tuple[str, ...]
    rounds: int
    seconds_aimed: int
    mb_aimed: int

    @property
    def name(self) -> str:
        """The command."""
        return " ".join(["holdfast check relay", *self.options, f"--workers {WORKERS}"])


CASES = (
    Case(options=("--no-race", "--no-fault"), rounds=3, seconds_aimed=20, mb_aimed=300),
    Case(options=("--no-fault",), rounds=1, seconds_aimed=60, mb_aimed=500),
    Case(options=(), rounds=1, seconds_aimed=90, mb_aimed=500),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One run of the command."""

    seconds: float
    peak: Peak
    exit_code: int
    last_line: str


def check(options: Sequence[str]) -> Check:
    """Run the command once, under watch."""
    command = [sys.executable, "-m", "characterization", "check", "relay", *options, "--workers", str(WORKERS)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:

        def run() -> tuple[Peak, int]:
            with subprocess.Popen(command, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT, text=True) as process:
                return watch(process), process.wait()

        seconds, (peak, exit_code) = timed(run)
        printed.seek(0)
        lines = printed.read().splitlines() or ["nothing was printed"]
    return Check(seconds=seconds, peak=peak, exit_code=exit_code, last_line=lines[-1])


def figures() -> list[Figure]:
    """Time and memory of the whole command, for each case."""
    return [figure for case in CASES for figure in _figures(case)]


def _figures(case: Case) -> list[Figure]:
    runs = [check(case.options) for _ in range(case.rounds)]
    failed = [run for run in runs if run.exit_code != 0]
    if failed:
        why = f"no figure: exit code {failed[0].exit_code}, {failed[0].last_line}"
        return [Figure(subject=case.name, what="wall time and peak memory", seen=why, met=False)]
    return [_time(case, [run.seconds for run in runs]), _memory(case, [run.peak for run in runs])]


def _time(case: Case, seconds: list[float]) -> Figure:
    return Figure(
        subject=case.name,
        what=f"wall time, median of {len(seconds)}, {os.cpu_count()} cores",
        seen=f"{median(seconds):.1f} s ({span(seconds, '.1f')} s)",
        aim=f"under {case.seconds_aimed} s",
        met=median(seconds) < case.seconds_aimed,
    )


def _memory(case: Case, peaks: list[Peak]) -> Figure:
    largest = max(peaks, key=lambda peak: peak.kib)
    seen = f"{largest.mb:.0f} MB, {largest.processes} processes ({span([peak.mb for peak in peaks], '.0f')} MB)"
    return Figure(
        subject=case.name,
        what="peak memory, sum of high-water marks",
        seen=seen if largest.kib else "not measured: there is no /proc here",
        aim=f"under {case.mb_aimed} MB",
        met=largest.mb < case.mb_aimed if largest.kib else None,
    )
