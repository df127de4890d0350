"""Figures, beside what was aimed at, and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure as it is shown. ``met`` is whether the aim was reached; none: there is no aim, or no verdict."""

    subject: str
    what: str
    seen: str
    aim: str = ""
    met: bool | None = None


HEADINGS = ("of", "what", "seen", "aim", "")
VERDICTS = {True: "met", False: "missed", None: ""}


def table(figures: Sequence[Figure]) -> str:
    """The figures under one another, in columns as wide as they need to be."""
    rows = [HEADINGS, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _cells(figure: Figure) -> tuple[str, ...]:
    return figure.subject, figure.what, figure.seen, figure.aim, VERDICTS[figure.met]
