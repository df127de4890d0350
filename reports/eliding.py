"""Two long values side by side, with only what differs: ``Session(..., state='claimed', ...)``.

Values come as text, as an outcome spells them, and are taken apart by their brackets and commas. Text that cannot be taken
apart loses its common beginning and end instead.
"""

from __future__ import annotations

import itertools
import re

SHORT = 72
CONTEXT = 24
LONGEST = 400
REST = "..."

_OPEN = re.compile(r"((?:raises )?[\w.]*)([(\[{])")
_KEY = re.compile(r"([A-Za-z_]\w*)=|('[^']*'|\"[^\"]*\"|[\w.]+): ")
_CLOSES = {"(": ")", "[": "]", "{": "}"}


def apart(old: str, new: str) -> tuple[str, str]:
    """``old`` and ``new`` with what they share left out, where one of them is too long to be read at a glance."""
    if max(len(old), len(new)) <= SHORT:
        return old, new
    shorter = _fields_apart(old, new) or _ends_apart(old, new)
    return cut(shorter[0]), cut(shorter[1])


def cut(text: str, longest: int = LONGEST) -> str:
    """``text``, or its beginning with its length where it is longer than ``longest``."""
    return text if len(text) <= longest else f"{text[:longest]}{REST} ({len(text)} characters)"


def _fields_apart(old: str, new: str) -> tuple[str, str] | None:
    olds, news = _opened(old), _opened(new)
    if olds is None or news is None or olds[0] != news[0]:
        return None
    head, was, now = olds[0], dict(_keyed(olds[1])), dict(_keyed(news[1]))
    pairs = {
        key: _inner(was[key], now[key]) for key in was if key in now and was[key] != now[key]
    }  # what both have, and differs
    texts = [
        [pairs[key][side] if key in pairs else None if key in there else item for key, item in here.items()]
        for side, (here, there) in enumerate(((was, now), (now, was)))
    ]
    tail = _CLOSES[head[-1]]
    return f"{head}{_joined(texts[0])}{tail}", f"{head}{_joined(texts[1])}{tail}"


def _inner(old: str, new: str) -> tuple[str, str]:
    """Two spellings of one field, apart in turn; the key stays."""
    key = match[0] if (match := _KEY.match(old)) and new.startswith(match[0]) else ""
    was, now = apart(old[len(key) :], new[len(key) :])
    return key + was, key + now


def _joined(items: list[str | None]) -> str:
    """Items with one ``...`` for each run of those left out."""
    runs = itertools.groupby(items, key=lambda item: item is None)
    return ", ".join(
        text for left_out, run in runs for text in ([REST] if left_out else [item for item in run if item])
    )


def _opened(text: str) -> tuple[str, list[str]] | None:
    """What stands before and inside the brackets of ``text``; none: it is no structure."""
    match = _OPEN.match(text)
    if match is None or not text.endswith(_CLOSES[match[2]]):
        return None
    items = _split(text[match.end() : -1])
    return None if items is None else (match[0], items)


def _split(text: str) -> list[str] | None:
    """The parts between commas that are in no bracket and no quotes; none: brackets or quotes do not match."""
    items, depth, quote, escaped = [""], 0, "", False
    for char in text:
        if not quote and not depth and char == ",":
            items.append("")
            continue
        items[-1] += char
        if quote:
            quote = "" if char == quote and not escaped else quote
            escaped = char == "\\" and not escaped
        elif char in "'\"":
            quote = char
        else:
            depth += (char in "([{") - (char in ")]}")
        if depth < 0:
            return None
    return None if depth or quote else [item.strip() for item in items if item.strip()]


def _keyed(items: list[str]) -> list[tuple[str, str]]:
    """Each item by its key, or by its place where it has none."""
    return [(match[0] if (match := _KEY.match(item)) else str(place), item) for place, item in enumerate(items)]


def _ends_apart(old: str, new: str) -> tuple[str, str]:
    """Two texts without their common beginning and end, but for a little of each."""
    front = _common(old, new)
    back = _common(old[front:][::-1], new[front:][::-1])
    start, end = max(0, front - CONTEXT), max(0, back - CONTEXT)
    return _between(old, start, end), _between(new, start, end)


def _between(text: str, start: int, end: int) -> str:
    return (REST if start else "") + text[start : len(text) - end] + (REST if end else "")


def _common(old: str, new: str) -> int:
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))
    return sum(1 for _ in pairs)
