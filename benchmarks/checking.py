"""Checking: wall time and peak memory of `holdfast check` on all relay subjects with two workers.

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
from dataclasses import dataclass
from statistics import median

from benchmarks.figure import Figure
from benchmarks.measuring import ROOT, alternate, span, timed
from benchmarks.memory import Peak, watch

ROUNDS = 3
WORKERS = 2
SECONDS_AIMED = 20
MB_AIMED = 300
COMMAND = [sys.executable, "-m", "characterization", "check", "relay", "--workers", str(WORKERS)]
NAME = f"holdfast check relay --workers {WORKERS}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One run of the command."""

    seconds: float
    peak: Peak
    exit_code: int
    last_line: str


def check() -> Check:
    """Run the command once, under watch."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:

        def run() -> tuple[Peak, int]:
            with subprocess.Popen(COMMAND, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT, text=True) as process:
                return watch(process), process.wait()

        seconds, (peak, exit_code) = timed(run)
        printed.seek(0)
        lines = printed.read().splitlines() or ["nothing was printed"]
    return Check(seconds=seconds, peak=peak, exit_code=exit_code, last_line=lines[-1])


def figures() -> list[Figure]:
    """Time and memory of the whole command."""
    runs = alternate({NAME: check}, ROUNDS)[NAME]
    failed = [run for run in runs if run.exit_code != 0]
    if failed:
        why = f"no figure: exit code {failed[0].exit_code}, {failed[0].last_line}"
        return [Figure(subject=NAME, what="wall time and peak memory", seen=why, met=False)]
    return [_time([run.seconds for run in runs]), _memory([run.peak for run in runs])]


def _time(seconds: list[float]) -> Figure:
    return Figure(
        subject=NAME,
        what=f"wall time, median of {len(seconds)}, {os.cpu_count()} cores",
        seen=f"{median(seconds):.1f} s ({span(seconds, '.1f')} s)",
        aim=f"under {SECONDS_AIMED} s",
        met=median(seconds) < SECONDS_AIMED,
    )


def _memory(peaks: list[Peak]) -> Figure:
    largest = max(peaks, key=lambda peak: peak.kib)
    seen = f"{largest.mb:.0f} MB, {largest.processes} processes ({span([peak.mb for peak in peaks], '.0f')} MB)"
    return Figure(
        subject=NAME,
        what="peak memory, sum of high-water marks",
        seen=seen if largest.kib else "not measured: there is no /proc here",
        aim=f"under {MB_AIMED} MB",
        met=largest.mb < MB_AIMED if largest.kib else None,
    )
