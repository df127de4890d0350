"""What a process and its children hold at once, read from /proc while they run."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
EVERY_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The largest sum over all processes that were alive together, and how many these were."""

    kib: int
    processes: int

    @property
    def mb(self) -> float:
        """In millions of bytes."""
        return self.kib * 1024 / 1e6


def watch(process: subprocess.Popen[str]) -> Peak:
    """Wait for ``process`` to end, and add up what it and its descendants held.

    At each look the high-water marks of all processes alive are added. The sum is an upper bound of what they held at
    once: their peaks need not coincide, and pages that they share count for each. Without /proc it is nothing.
    """
    peak = Peak(kib=0, processes=0)
    while True:
        try:
            process.wait(timeout=EVERY_SECONDS)
        except subprocess.TimeoutExpired:
            peak = max(peak, _look(process.pid), key=lambda each: each.kib)
        else:
            return peak


def _look(pid: int) -> Peak:
    held = [_high_water_kib(each) for each in [pid, *_descendants(pid)]]
    return Peak(kib=sum(held), processes=len(held))


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for entry in PROC.glob("[0-9]*"):
        # The name of the command stands in parentheses and may hold anything; the parent is the second field behind it.
        fields = _read(entry / "stat").rpartition(")")[2].split()
        if fields:
            children[int(fields[1])].append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        born = children[waiting.pop()]
        found += born
        waiting += born
    return found


def _high_water_kib(pid: int) -> int:
    for line in _read(PROC / str(pid) / "status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def _read(path: Path) -> str:
    """The text of a file in /proc; empty where its process has ended meanwhile."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
