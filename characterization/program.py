"""Programs: what is done to a subject, spelled so that a person can read it and paste it.

    save s1 ; update_state s1 claimed ; clock +7199.999s ; increment_relay_count s1 5 @2
    save s1 ; { update_state s1 claimed || increment_relay_count s1 5 @2 || clock +7200s }

Each part is a call of an operation with the labels of its arguments (``@2``: on the second replica), or a move of the
clock. What stands in braces, at the end, happens at once: clients, each with its calls in order, and the clock.
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
BESIDE = " || "
_TIMERS = "clock"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AtOnce:
    """Clients that run at once, each with its calls in order.

    ``moves`` are seconds by which the clock moves meanwhile, one after another. With ``timers`` what waits for time may
    also be done waiting before others have taken their steps.
    """

    clients: tuple[tuple[Call, ...], ...]
    moves: tuple[float, ...] = ()
    timers: bool = False

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call, the first client's first."""
        return tuple(call for client in self.clients for call in client)

    @property
    def text(self) -> str:
        """As it is spelled in a program."""
        beside = [SEPARATOR.join(call.text for call in client) for client in self.clients]
        beside += [SEPARATOR.join(Move(seconds).text for seconds in self.moves)] if self.moves else []
        return f"{{ {BESIDE.join([*beside, *[_TIMERS] * self.timers])} }}"


Part = Call | Move | AtOnce


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
        if self.at_once is not None:
            return "race"
        return "time" if any(isinstance(part, Move) for part in self.parts) else "sequence"

    @property
    def subject_of(self) -> str:
        """What the behaviour is about: the operation of the last part, ``clock``, or ``get-x-save`` at once."""
        last = self.parts[-1]
        if isinstance(last, AtOnce):
            names = [call.operation for call in last.calls]
            return "-x-".join(sorted(names if len(names) == 2 else set(names))) or "clock"
        return last.operation if isinstance(last, Call) else "clock"

    @property
    def at_once(self) -> AtOnce | None:
        """What happens at once at its end; none: everything happens in order."""
        last = self.parts[-1] if self.parts else None
        return last if isinstance(last, AtOnce) else None

    @property
    def calls(self) -> list[Call]:
        """Every call in it, also those that are made at once."""
        return [
            call
            for part in self.parts
            for call in (part.calls if isinstance(part, AtOnce) else [part] if isinstance(part, Call) else [])
        ]

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
    parts = [_part(piece.strip()) for piece in _pieces(text, ";")] if text.strip() else []
    if any(isinstance(part, AtOnce) for part in parts[:-1]):
        raise ProgramError(f"`{text}`: what happens at once comes last; put what follows into one of its clients")
    return Program(tuple(parts))


def _pieces(text: str, separator: str) -> list[str]:
    """``text`` cut where ``separator`` stands outside quotes and braces."""
    if not any(char in text for char in "'\"{}"):
        return text.split(separator)
    pieces, quote, depth, at = [""], "", 0, 0
    while at < len(text):
        char = text[at]
        quote = "" if char == quote else quote or (char if char in "'\"" else "")
        depth += 0 if quote else (char == "{") - (char == "}")
        if text.startswith(separator, at) and not quote and not depth:
            pieces.append("")
            at += len(separator)
        else:
            pieces[-1] += char
            at += 1
    return pieces


def _part(text: str) -> Part:
    if text.startswith("{"):
        return _at_once(text)
    return _move(text) if text.startswith("clock ") else _call(text)


def _move(text: str) -> Move:
    match = _MOVE.fullmatch(text)
    if match is None:
        raise ProgramError(f"`{text}` is not a move of the clock; they are spelled `clock +300s`")
    return Move(float(match[1]))


def _call(text: str) -> Call:
    replica = re.search(rf"{_REPLICA.pattern}\Z", text)  # unquoted, and so not a label
    try:
        words = shlex.split(text[: replica.start()] if replica else text)
    except ValueError as error:
        raise ProgramError(f"`{text}` cannot be read as a call: {error}") from error
    if not words:
        raise ProgramError("a program has no empty part: remove the `;` or `||` that separates nothing")
    return Call(operation=words[0], labels=tuple(words[1:]), replica=int(replica[1]) if replica else 1)


def _at_once(text: str) -> AtOnce:
    if not text.endswith("}"):
        raise ProgramError(f"`{text}` does not end with the brace that closes it: `{{ get s1 || save s1 }}`")
    clients: list[tuple[Call, ...]] = []
    moves: list[float] = []
    timers = False
    for beside in _pieces(text[1:-1], BESIDE.strip()):
        parts = [piece.strip() for piece in _pieces(beside, ";")]
        if parts == [_TIMERS]:
            timers = True
        elif all(part.startswith("clock ") for part in parts):
            moves += [_move(part).seconds for part in parts]
        elif any(part.startswith("clock ") for part in parts):
            raise ProgramError(f"`{beside.strip()}`: the clock moves beside the clients, not in one: `|| clock +300s`")
        else:
            clients.append(tuple(_call(part) for part in parts))
    return AtOnce(clients=tuple(clients), moves=tuple(moves), timers=timers)
