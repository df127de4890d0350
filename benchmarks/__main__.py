"""``python -m benchmarks [FIGURE...]``: measure all figures, or those that are named, and print them in one table."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from benchmarks.figure import Figure, table
from benchmarks.measuring import timed

# From the quickest to the slowest.
NAMES = ("hypothesis_machine", "random_machine", "walking", "faulting", "plugin", "checking", "exploring")
EXIT_USAGE = 4


def main(wanted: Sequence[str]) -> int:
    """Measure, say on standard error what is being measured, and print the table; the exit code."""
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"there is no figure called {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return EXIT_USAGE
    measured: list[Figure] = []
    for name in wanted or NAMES:
        print(f"measuring {name} ...", end=" ", file=sys.stderr, flush=True)
        seconds, figures = timed(importlib.import_module(f"benchmarks.{name}").figures)
        print(f"{seconds:.0f} s", file=sys.stderr)
        measured += figures
    print(table(measured))
    print(
        "\nTaken on this machine, with whatever else it was doing. The methods are the docstrings of benchmarks/*.py."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
