"""Programs: what is done to a subject, spelled so that a person can read it and paste it.

    save s1 ; update_state s1 claimed ; clock +7199.999s ; increment_relay_count s1 5 @2
    save s1 ; { update_state s1 claimed || increment_relay_count s1 5 @2 || clock +7200s }
    save s1 ; increment_relay_count s1 5 ! reply lost @2
    save =17 ; { get s1 || save s1 @2 : 1 2*3 1 } ; crash @2 ; get s1

Each part is a call of an operation with the labels of its arguments (``@2``: on the second replica), or a move of the
clock. What stands in braces, at the end, happens at once: clients, each with its calls in order, and the clock. What
stands behind ``!``, at the end, goes wrong during the call: faults, each with the step at which it strikes.

The random lens makes up one run at a time, and so its programs may hold more (they are *mixed*): what happens at once or
goes wrong in the middle, each of the former with its schedule behind ``:``; ``crash @2``, where the second replica stops
where it stands and a new one is started; ``replicas 2`` for more processes than the subject runs; and wide values, as
Python spells them behind ``=``.
"""

from __future__ import annotations

import ast
import enum
import functools
import hashlib
import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from characterization.errors import ProgramError
from simulator.faults import FaultPlan
from simulator.schedule import Schedule

SEPARATOR = " ; "
_PLAIN = re.compile(r"[A-Za-z0-9_.:/*+-]+")
_REPLICA = re.compile(r"\s@(\d+)")
_MOVE = re.compile(r"clock \+(\d+(?:\.\d+)?)s")
BESIDE = " || "
STRUCK_BY = " ! "
SCHEDULED = " : "
WIDE = "="
"""What the label of a value begins with that is not one of an argument's few."""
RESERVED = ("clock", "crash", "replicas")
_CRASH = re.compile(r"crash @([1-9]\d*)")
_REPLICAS = re.compile(r"replicas ([1-9]\d*)")
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


def wide_label(value: Any) -> str:
    """How a value is spelled that is not one of an argument's few: ``="s 1"``, ``=[b"\\xff",1]``.

    Raises:
        ProgramError: it is not plain: made of None, booleans, numbers, texts, bytes, and collections of them.
    """
    label = WIDE + _literal(value)
    try:
        same = repr(_value_of(label)) == repr(value) or _value_of(label) == value
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        same = False
    if not same:
        raise ProgramError(
            f"{value!r:.200} cannot be spelled in a program: let the wide strategy draw what Python has literals for, and "
            "make of it what the service needs in the operation"
        )
    return label


def _literal(value: Any) -> str:
    """As ``repr``, but with double quotes only, since programs stand between single ones."""
    match value:
        case bool() | None:
            return repr(value)
        case str():
            return _double(repr("'\"" + value)[4:-1]) if type(value) is str else repr(value)
        case bytes():
            return "b" + _double(repr(b"'\"" + value)[5:-1])
        case list():
            return f"[{','.join(map(_literal, value))}]"
        case tuple():
            return f"({','.join(map(_literal, value))}{',' * (len(value) == 1)})"
        case dict():
            return f"{{{','.join(f'{_literal(key)}:{_literal(part)}' for key, part in value.items())}}}"
        case set() if value:
            return f"{{{','.join(sorted(map(_literal, value)))}}}"
        case _:
            return repr(value)


def _double(inside: str) -> str:
    """What stood between single quotes, between double ones."""
    return '"' + inside.replace("\\'", "'").replace('"', '\\"') + '"'


def _value_of(label: str) -> Any:
    return ast.literal_eval(label.removeprefix(WIDE))


def wide_value(label: str) -> Any:
    """The value that ``wide_label`` has spelled.

    Raises:
        ProgramError: it is no literal.
    """
    try:
        return _value_of(label)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ProgramError(
            f"`{label}` is no value: behind {WIDE} stands a literal as Python has it, {WIDE}17 or '{WIDE}\"text\"'"
        ) from error


def told_label(label: str) -> str:
    """A label as laws are told it: a wide text or number as it is, bytes as ``0x`` and hexadecimal digits.

    Any other wide value stays as it is spelled.
    """
    if not label.startswith(WIDE):
        return label
    value = wide_value(label)
    if isinstance(value, (str, bytes)):
        return value if isinstance(value, str) else f"0x{value.hex()}"
    return label if isinstance(value, (list, tuple, dict, set)) else label.removeprefix(WIDE)


def _quoted(label: str) -> str:
    sign = label == SCHEDULED.strip() or _REPLICA.fullmatch(f" {label}")  # by itself it would mean something
    if _PLAIN.fullmatch(label.removeprefix(WIDE)) and not sign:
        return label
    return f"'{label}'" if sign else shlex.quote(label)


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
    also be done waiting before others have taken their steps. ``schedule``: they run in this order, and no other;
    ``plan`` is what goes wrong then, its steps counted in that order.
    """

    clients: tuple[tuple[Call, ...], ...]
    moves: tuple[float, ...] = ()
    timers: bool = False
    schedule: Schedule | None = None
    plan: FaultPlan | None = None

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call, the first client's first."""
        return tuple(call for client in self.clients for call in client)

    @property
    def text(self) -> str:
        """As it is spelled in a program."""
        beside = [SEPARATOR.join(call.text for call in client) for client in self.clients]
        beside += [SEPARATOR.join(Move(seconds).text for seconds in self.moves)] if self.moves else []
        inside = BESIDE.join([*beside, *[_TIMERS] * self.timers])
        if self.schedule is None:
            return f"{{ {inside} }}"
        struck = "" if self.plan is None else f"{STRUCK_BY}{self.plan.text}"
        return f"{{ {inside}{SCHEDULED}{self.schedule.text}{struck} }}"


@dataclass(frozen=True, slots=True)
class Struck:
    """A call, and what goes wrong while it is under way."""

    call: Call
    plan: FaultPlan

    @property
    def text(self) -> str:
        """As it is spelled in a program."""
        return f"{self.call.text}{STRUCK_BY}{self.plan.text}"


@dataclass(frozen=True, slots=True)
class Crash:
    """A replica stops where it stands, and a new one of its number is started."""

    replica: int

    @property
    def text(self) -> str:
        """As it is spelled in a program."""
        return f"crash @{self.replica}"


@dataclass(frozen=True, slots=True)
class Replicas:
    """There are ``count`` processes, from the beginning."""

    count: int

    @property
    def text(self) -> str:
        """As it is spelled in a program."""
        return f"replicas {self.count}"


Part = Call | Move | AtOnce | Struck | Crash | Replicas


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
        if self.mixed:
            return "random"
        if self.struck is not None:
            return "fault"
        return "time" if any(isinstance(part, Move) for part in self.parts) else "sequence"

    @property
    def subject_of(self) -> str:
        """What the behaviour is about: the operation of the last part, ``clock``, or ``get-x-save`` at once."""
        last = self.parts[-1]
        if isinstance(last, Struck):
            return last.call.operation
        if isinstance(last, AtOnce):
            names = [call.operation for call in last.calls]
            return "-x-".join(sorted(names if len(names) == 2 else set(names))) or "clock"
        if isinstance(last, (Crash, Replicas)):
            return last.text.partition(" ")[0]
        return last.operation if isinstance(last, Call) else "clock"

    @property
    def at_once(self) -> AtOnce | None:
        """What happens at once at its end, in any order; none: everything happens in order."""
        last = self.parts[-1] if self.parts else None
        return last if isinstance(last, AtOnce) and last.schedule is None else None

    @property
    def mixed(self) -> bool:
        """Whether it holds what only the random lens makes up: it is one run, of which every part is told."""
        middle = self.parts[:-1]
        return (
            any(isinstance(part, (Crash, Replicas)) or _scheduled(part) for part in self.parts)
            or any(isinstance(part, (AtOnce, Struck)) for part in middle)
            or any(label.startswith(WIDE) for call in self.calls for label in call.labels)
        )

    @property
    def processes(self) -> int:
        """How many replicas it names, or asks for."""
        asked = [part.count for part in self.parts if isinstance(part, Replicas)]
        crashed = [part.replica for part in self.parts if isinstance(part, Crash)]
        return max([1, *asked, *crashed, *(call.replica for call in self.calls)])

    @property
    def struck(self) -> Struck | None:
        """The call at its end that something goes wrong in; none: nothing goes wrong."""
        last = self.parts[-1] if self.parts else None
        return last if isinstance(last, Struck) and not self.mixed else None

    @property
    def healthy(self) -> Program:
        """The same with nothing going wrong."""
        return self if self.struck is None else self.prelude.then(self.struck.call)

    @property
    def calls(self) -> list[Call]:
        """Every call in it, also those that are made at once."""
        return [call for part in self.parts for call in calls_of(part)]

    @property
    def mark(self) -> str:
        """Eight hexadecimal digits that stand for the spelling, whatever else is recorded."""
        return hashlib.blake2b(self.text.encode(), digest_size=4).hexdigest()

    def then(self, part: Part) -> Program:
        """This program with one more part."""
        return Program((*self.parts, part))


def calls_of(part: Part) -> tuple[Call, ...]:
    """The calls that are made in a part."""
    match part:
        case AtOnce():
            return part.calls
        case Struck():
            return (part.call,)
        case Call():
            return (part,)
        case Move() | Crash() | Replicas():
            return ()


def _scheduled(part: Part) -> bool:
    return isinstance(part, AtOnce) and part.schedule is not None


def parse(text: str) -> Program:
    """The program that ``text`` spells.

    Raises:
        ProgramError: it does not spell one.
    """
    parts = [_part(piece.strip()) for piece in _pieces(text, ";")] if text.strip() else []
    if any(isinstance(part, AtOnce) and not _scheduled(part) for part in parts[:-1]):
        raise ProgramError(
            f"`{text}`: what happens at once comes last; put what follows into one of its clients, or say in which order "
            "the steps are taken: `{ get s1 || save s1 : 1 2*2 }`"
        )
    if any(isinstance(part, Replicas) for part in parts[1:]):
        raise ProgramError(f"`{text}`: how many replicas there are is said first: `replicas 2 ; get s1 @2`")
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


@functools.lru_cache(maxsize=65536)  # a baseline spells the same few parts thousands of times
def _part(text: str) -> Part:
    if text.startswith("{"):
        return _at_once(text)
    if text.startswith("clock "):
        return _move(text)
    if crashed := _CRASH.fullmatch(text):
        return Crash(int(crashed[1]))
    if asked := _REPLICAS.fullmatch(text):
        return Replicas(int(asked[1]))
    called, *plan = _pieces(text, STRUCK_BY.strip())
    return _struck(_call(called.strip()), plan) if plan else _call(text)


def _struck(call: Call, plan: list[str]) -> Struck:
    spelled = STRUCK_BY.join(each.strip() for each in plan)
    return Struck(call, _plan(",".join(plan), f"{call.text}{STRUCK_BY}{spelled}"))


def _plan(spelled: str, within: str) -> FaultPlan:
    try:
        return FaultPlan.parse(spelled)
    except ValueError as error:
        raise ProgramError(f"`{within}`: {error}") from error


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
    inside, *ordered = _pieces(text[1:-1], SCHEDULED)
    schedule, plan = _ordered(ordered, text)
    clients: list[tuple[Call, ...]] = []
    moves: list[float] = []
    timers = False
    for beside in _pieces(inside, BESIDE.strip()):
        parts = [piece.strip() for piece in _pieces(beside, ";")]
        if parts == [_TIMERS]:
            timers = True
        elif all(part.startswith("clock ") for part in parts):
            moves += [_move(part).seconds for part in parts]
        elif any(part.startswith("clock ") for part in parts):
            raise ProgramError(f"`{beside.strip()}`: the clock moves beside the clients, not in one: `|| clock +300s`")
        else:
            clients.append(tuple(_call(part) for part in parts))
    return AtOnce(clients=tuple(clients), moves=tuple(moves), timers=timers, schedule=schedule, plan=plan)


def _ordered(spelled: list[str], within: str) -> tuple[Schedule | None, FaultPlan | None]:
    """The schedule of what is at once, and what goes wrong in it, from what stands behind the colon, if one does."""
    if not spelled:
        return None, None
    schedule, *plan = _pieces(SCHEDULED.join(spelled), STRUCK_BY.strip())
    try:
        ordered = Schedule.parse(schedule)
    except ValueError as error:
        raise ProgramError(f"`{within}`: {error}") from error
    return ordered, _plan(",".join(plan), within) if plan else None
