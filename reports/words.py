"""Lines that fit a screen: widths, wrapping, numbers with their nouns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, chop_cells

WIDTH = 120
_STYLES = {"bold": "1", "red": "31", "green": "32", "dim": "2"}


def shown(text: str) -> str:
    """``text`` with everything that does not print spelled out: one line, and nothing a terminal or XML would obey."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def number(count: int, noun: str, many: str | None = None) -> str:
    """A number with its noun: ``1 situation``, ``6 situations``, ``2 replies``."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def listed(words: Sequence[str], most: int | None = None) -> str:
    """Words with commas in between; where there are more than ``most``, the rest is counted: ``a, b and 3 more``."""
    if most is None or len(words) <= most:
        return ", ".join(words)
    return f"{', '.join(words[:most])} and {len(words) - most} more"


def counted(words: Iterable[str]) -> list[str]:
    """Each word with how often it comes, if more than once, the most frequent first: ``save x4``, ``get``."""
    counts = sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))
    return [word if count == 1 else f"{word} x{count}" for word, count in counts]


def padded(text: str, width: int) -> str:
    """``text`` with spaces up to ``width`` columns of a terminal, where a wide letter takes two."""
    return text + " " * (width - cell_len(text))


def clipped(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns; what is cut off is marked by ``...``."""
    if cell_len(text) <= width:
        return text
    return chop_cells(text, max(1, width - 3))[0].rstrip() + "..."


def wrapped(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` columns, broken between words where there is a space to break at.

    Joined with spaces the lines are the text again, but for words that alone are too wide: those are cut.
    """
    lines = [""]
    for word in shown(text).split(" "):
        if cell_len(lines[-1]) + 1 + cell_len(word) <= width and lines != [""]:
            lines[-1] += " " + word
        else:
            lines += chop_cells(word, width) or [""]
    return lines[1:]


def few_lines(text: str, width: int, most: int) -> list[str]:
    """``text`` wrapped, in at most ``most`` lines; what has no room is marked by ``...``."""
    lines = wrapped(text, width)
    return lines if len(lines) <= most else [*lines[: most - 1], clipped(" ".join(lines[most - 1 :]), width)]


def labelled(label: str, texts: Iterable[str], *, indent: int = 0, column: int = 8, width: int = WIDTH) -> list[str]:
    """Lines with a label in front of the first; all of them begin in the same column, ``indent + column``."""
    room = width - indent - column
    found = [line for text in texts for line in wrapped(text, room)]
    first = " " * indent + padded(label, column)
    return [(first if place == 0 else " " * (indent + column)) + line for place, line in enumerate(found)]


def painted(lines: Sequence[str], style: str, colour: bool) -> list[str]:  # noqa: FBT001 - handed through
    """``lines`` in a style, ``bold``, ``red``, ``green`` or ``dim``, if there is to be colour; none leaves them alone."""
    return [f"\x1b[{_STYLES[style]}m{line}\x1b[0m" for line in lines] if colour and style else list(lines)
