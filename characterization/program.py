"""Programs: what is done to a subject, spelled so that a person can read it and paste it.

    save s1 ; update_state s1 claimed ; clock +7199.999s ; increment_relay_count s1 5 @2

Each part is a call of an operation with the labels of its arguments (``@2``: on the second replica), or a move of the
clock.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from characterization.errors import ProgramError

SEPARATOR = " ; "
_PLAIN = re.compile(r"[A-Za-z0-9_.:/*+-]+")
_REPLICA = re.compile(r"\s@(\d+)")
_MOVE = re.compile(r"clock \+(\d+(?:\.\d+)?)s")


def label_of(value: Any) -> str:
    """How a value is spelled in a program: as it is where that is a plain word, otherwise as JSON."""
    if isinstance(value, enum.Enum):
        return label_of(value.value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except TypeError:
        raise ProgramError(
            f"{value!r} has no short spelling: give it a label, small(label={type(value).__name__}(...))"
        ) from None


def _quoted(label: str) -> str:
    if _PLAIN.fullmatch(label):
        return label
    return f"'{label}'" if _REPLICA.fullmatch(f" {label}") else shlex.quote(label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of an operation."""

    operation: str
    labels: tuple[str, ...]
    replica: int = 1

    @property
    def text(self) -> str:
        """As it is spelled in a program."""
        words = [self.operation, *map(_quoted, self.labels)]
        return " ".join(words if self.replica == 1 else [*words, f"@{self.replica}"])


@dataclass(frozen=True, slots=True)
class Move:
    """A move of the clock, by a number of seconds."""

    seconds: float

    @property
    def text(self) -> str:
        """As it is spelled in a program."""
        return (
            f"clock +{self.seconds:g}s"
            if self.seconds < 1000
            else f"clock +{self.seconds:.3f}".rstrip("0").rstrip(".") + "s"
        )


Part = Call | Move


@dataclass(frozen=True, slots=True)
class Program:
    """Parts in the order in which they happen. Programs are ordered by length, then by spelling."""

    parts: tuple[Part, ...] = ()

    @property
    def text(self) -> str:
        """As it is spelled; ``parse`` reads it."""
        return SEPARATOR.join(part.text for part in self.parts)

    @property
    def order(self) -> tuple[int, str]:
        """Shorter first."""
        return len(self.parts), self.text

    @property
    def prelude(self) -> Program:
        """All but the last part."""
        return Program(self.parts[:-1])

    @property
    def lens(self) -> str:
        """Which lens looks at such programs."""
        return "time" if any(isinstance(part, Move) for part in self.parts) else "sequence"

    @property
    def subject_of(self) -> str:
        """The operation that the behaviour is about: that of the last part, or ``clock``."""
        last = self.parts[-1]
        return last.operation if isinstance(last, Call) else "clock"

    @property
    def mark(self) -> str:
        """Eight hexadecimal digits that stand for the spelling, whatever else is recorded."""
        return hashlib.blake2b(self.text.encode(), digest_size=4).hexdigest()

    def then(self, part: Part) -> Program:
        """This program with one more part."""
        return Program((*self.parts, part))


def parse(text: str) -> Program:
    """The program that ``text`` spells.

    Raises:
        ProgramError: it does not spell one.
    """
    return Program(tuple(_part(piece.strip()) for piece in _pieces(text))) if text.strip() else Program()


def _pieces(text: str) -> list[str]:
    if "'" not in text and '"' not in text:
        return text.split(SEPARATOR.strip())
    pieces, quote = [""], ""
    for char in text:  # a semicolon inside quotes separates nothing
        quote = "" if char == quote else quote or (char if char in "'\"" else "")
        if char == ";" and not quote:
            pieces.append("")
        else:
            pieces[-1] += char
    return pieces


def _part(text: str) -> Part:
    if text.startswith("clock "):
        match = _MOVE.fullmatch(text)
        if match is None:
            raise ProgramError(f"`{text}` is not a move of the clock; they are spelled `clock +300s`")
        return Move(float(match[1]))
    replica = re.search(rf"{_REPLICA.pattern}\Z", text)  # unquoted, and so not a label
    try:
        words = shlex.split(text[: replica.start()] if replica else text)
    except ValueError as error:
        raise ProgramError(f"`{text}` cannot be read as a call: {error}") from error
    if not words:
        raise ProgramError("a program has no empty part: remove the `;` that separates nothing")
    return Call(operation=words[0], labels=tuple(words[1:]), replica=int(replica[1]) if replica else 1)
