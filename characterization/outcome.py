"""Outcomes: what one step of a program showed, in text that is the same for every run that behaves the same."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from characterization.state import Entry, State, flat

if TYPE_CHECKING:
    from characterization.renaming import Renamer
    from simulator.events import Event
    from simulator.gate import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a program's last step.

    ``answer`` is the response: a value as Python spells it, or ``raises Error('…')``. ``effects`` are the differences in
    what is stored and remembered, sorted; ``events`` the callbacks and log events in their order, then the metrics that
    moved. ``cost`` is (commands, round trips, bytes sent). ``before`` and ``after`` name the states; ``kind`` is the
    state before in the subject's words, ``kind_after`` the state after.
    """

    answer: str
    effects: tuple[str, ...]
    events: tuple[str, ...]
    cost: tuple[int, int, int]
    before: str
    after: str
    kind: str
    kind_after: str = ""

    @property
    def seen(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """What is compared: everything but the cost and the names of states."""
        return self.answer, self.effects, self.events


def effects(before: State, after: State) -> tuple[str, ...]:
    """What is different after, one line for each thing, sorted.

    A key that came: ``+ main(s1)``, its kind and time to live, and its fields. One that went: ``- main(s1)``. Otherwise
    each field, member and time to live that differs: ``main(s1).relay_count 1 -> 2``, ``index +s1``.
    """
    lines: list[str] = []
    for word in sorted({*before.words(), *after.words()}):
        lines += _entry_effects(word, before.entry(word), after.entry(word))
    return tuple(lines)


def _entry_effects(word: str, old: Entry | None, new: Entry | None) -> Iterator[str]:
    if old == new and repr(old) == repr(new):  # True is equal to 1, and not the same
        return
    if new is None:
        yield f"- {word}"
    elif old is None or old.kind != new.kind:
        ttl = "" if new.kind == "memory" else f" ttl {new.ttl}"
        was = "" if old is None else f", was a {old.kind}"
        yield f"+ {word} ({new.kind}){ttl}{was}"
        yield from (
            f"{path} = {value}" if value != "in" else _member(path, "+") for path, value in flat(word, new.value)
        )
    else:
        if old.ttl != new.ttl:
            yield f"{word} ttl {old.ttl} -> {new.ttl}"
        yield from _differences(dict(flat(word, old.value)), dict(flat(word, new.value)))


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for path in sorted({*old, *new}):
        was, now = old.get(path), new.get(path)
        if was == now:
            continue
        if "in" in (was, now) and None in (was, now):
            yield _member(path, "+" if was is None else "-")
        elif was is None:
            yield f"{path} = {now}"
        else:
            yield f"{path} {was} -> {now}" if now is not None else f"{path} {was} -> gone"


def _member(path: str, sign: str) -> str:
    place = path.rindex("[")
    return f"{path[:place]} {sign}{path[place + 1 : -1]}"


def metrics_moved(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """One line for each reading that is different: ``metric relays_total{session=s1} +1``."""
    return [
        f"metric {name} {after.get(name, 0.0) - before.get(name, 0.0):+g}"
        for name in sorted({*before, *after})
        if after.get(name, 0.0) != before.get(name, 0.0)
    ]


def event_text(event: Event, renamer: Renamer) -> str:
    """``callback created('s1')`` or ``log warning save_failed``."""
    if event.kind == "log":
        return renamer.text(f"log {event.name}")
    return f"callback {event.name}({', '.join(spell(detail, renamer) for detail in event.details)})"


def cost_of(before: Cost, after: Cost) -> tuple[int, int, int]:
    """What was spent in between: commands, round trips, bytes."""
    return after.commands - before.commands, after.trips - before.trips, after.sent - before.sent


NEVER = "waits for ever"
ENDLESS = "goes on for ever"
CRASHED = "crashed"
_ENDS_OTHERWISE = {"waits": NEVER, "endless": ENDLESS, "crashed": CRASHED}


def answer_text(how: str, value: Any, renamer: Renamer) -> str:
    """The response: a value, or what was raised, by type and message; or that there is none, and never will be."""
    if how in _ENDS_OTHERWISE:
        return _ENDS_OTHERWISE[how]
    if how == "returned":
        return spell(value, renamer)
    message = renamer.text(_address.sub("", str(value)))
    return f"raises {type(value).__name__}({message!r})"


_address = re.compile(r" at 0x[0-9a-f]+")


def spell(value: Any, renamer: Renamer) -> str:
    """A value as Python spells it, with what varies renamed, sets sorted, and no addresses."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, str):
        return repr(renamer.text(value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return renamer.number(value) or repr(value)
    if isinstance(value, bytes):
        return _bytes(value, renamer)
    if isinstance(value, datetime.datetime):
        return renamer.moment(value) or repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{spell(k, renamer)}: {spell(v, renamer)}" for k, v in _sorted(value.items())) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(spell(part, renamer) for part in value)) + "}" if value else "set()"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}({renamer.text(str(value))!r})"
    return _structure(value, renamer)


def _structure(value: Any, renamer: Renamer) -> str:
    fields = _fields(value)
    if fields is not None:
        inside = ", ".join(f"{name}={spell(part, renamer)}" for name, part in fields)
        return f"{type(value).__name__}({inside})"
    if isinstance(value, tuple):
        return "(" + ", ".join(spell(part, renamer) for part in value) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, Sequence):
        return "[" + ", ".join(spell(part, renamer) for part in value) + "]"
    return renamer.text(_address.sub("", repr(value)))


def _fields(value: Any) -> list[tuple[str, Any]] | None:
    """The fields of a dataclass, a named tuple, an attrs class or a pydantic model; none: it is none of these."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value)]
    names = getattr(value, "_fields", None) if isinstance(value, tuple) else None
    if names is None and hasattr(type(value), "__attrs_attrs__"):
        names = [each.name for each in type(value).__attrs_attrs__]
    if names is None:
        names = getattr(type(value), "model_fields", None)
    return [(name, getattr(value, name)) for name in names] if names is not None else None


def _bytes(value: bytes, renamer: Renamer) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return repr(value)
    renamed = renamer.text(text)
    return repr(value) if renamed == text else f"b{renamed!r}"


def _sorted(items: Any) -> list[tuple[Any, Any]]:
    return sorted(items, key=lambda item: (type(item[0]).__name__, str(item[0])))
