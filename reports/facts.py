"""What is surprising about a recording, as far as it can be computed soundly: each fact was seen, none is guessed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from characterization.behaviour import Behaviour, Recording
from characterization.program import Move, Program
from reports.words import counted, listed, number

FACTS_MAX = 5

_LASTING = re.compile(r"(?:\+ (.+?) \(\w+\) ttl none(?:, was a \w+)?|(.+) ttl \S+ -> none)")
_INSIDE = re.compile(r"\([^()]*\)")
_NAMES_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something surprising: a heading, what it is true of, and the shortest program that shows it, if one does."""

    heading: str
    about: str
    program: Program | None = None


def facts(recording: Recording) -> list[Fact]:
    """The facts that hold of ``recording``, at most five, the most surprising first."""
    found = [fact(recording) for fact in _FACTS]
    return [each for each in found if each is not None][:FACTS_MAX]


def raises(behaviour: Behaviour) -> str | None:
    """The type of what was raised; none: it returned."""
    answer = behaviour.outcome.answer
    return answer.removeprefix("raises ").partition("(")[0] if answer.startswith("raises ") else None


def _raises_yet_changes(recording: Recording) -> Fact | None:
    found = [each for each in recording if raises(each) and each.outcome.effects]
    return _fact("raise, and yet change something", found, _names(map(_raising, found)))


def _lasting_keys(recording: Recording) -> Fact | None:
    found = {each: keys for each in recording if (keys := _lasting(each))}
    return _fact("written without a time to live", list(found), _names(key for keys in found.values() for key in keys))


def _lasting(behaviour: Behaviour) -> list[str]:
    """The keys that have no time to live after this step and did not lack it before, with names left open."""
    matches = (_LASTING.fullmatch(line) for line in behaviour.outcome.effects)
    return [_INSIDE.sub("(*)", match[1] or match[2]) for match in matches if match]


def _loud(recording: Recording) -> Fact | None:
    found = [each for each in recording for line in each.outcome.events if _is_loud(line)]
    lines = (line.removeprefix("log ") for each in recording for line in each.outcome.events if _is_loud(line))
    return _fact("logged as a warning or worse", found, _names(lines))


def _is_loud(event: str) -> bool:
    return event.startswith(("log warning", "log error", "log critical"))


def _no_way_out(recording: Recording) -> Fact | None:
    """States in which every operation was tried, and none changed anything."""
    tried: dict[str, set[str]] = defaultdict(set)
    for each in recording:
        tried[each.outcome.before].add(each.program.subject_of)
    everything = {operation for names in tried.values() for operation in names} - {"clock"}
    left = {each.outcome.before for each in recording if each.outcome.effects}
    stuck = {name for name, operations in tried.items() if operations >= everything and name not in left}
    found = {each.outcome.before: each for each in recording if each.outcome.before in stuck and left}
    shortest = min((each.program.prelude for each in found.values()), key=_order, default=None)
    about = _names(each.outcome.kind for each in found.values())
    return Fact(heading="nothing leads out of", about=about, program=shortest) if shortest is not None else None


def _always_raise(recording: Recording) -> Fact | None:
    return _always(recording, "always raise", lambda each: raises(each) is not None)


def _never_change(recording: Recording) -> Fact | None:
    return _always(recording, "never change anything", lambda each: not each.outcome.effects)


def _always(recording: Recording, heading: str, holds: Callable[[Behaviour], bool]) -> Fact | None:
    """The operations of which ``holds`` is true in every situation."""
    but = {each.program.subject_of for each in recording if not holds(each)}
    names = (each.program.subject_of for each in recording if not isinstance(each.program.parts[-1], Move))
    about = _names(name for name in names if name not in but)
    return Fact(heading=heading, about=about) if about else None


_FACTS = (_raises_yet_changes, _lasting_keys, _no_way_out, _loud, _always_raise, _never_change)


def _fact(heading: str, found: Iterable[Behaviour], about: str) -> Fact | None:
    shortest = min((each.program for each in found), key=_order, default=None)
    return None if shortest is None else Fact(heading=heading, about=about, program=shortest)


def _order(program: Program) -> tuple[int, str]:
    return program.order


def _raising(behaviour: Behaviour) -> str:
    return f"{behaviour.program.subject_of} with {raises(behaviour)}"


def _names(words: Iterable[str]) -> str:
    """Words with how often each was seen, the rest counted: ``get x24, exists``."""
    return listed(counted(words), _NAMES_MAX)


def summary(recording: Recording) -> list[tuple[str, str]]:
    """What was seen, as label and text: lenses, operations, answers, events."""
    types = [kind for each in recording if (kind := raises(each))]
    returned = [each.outcome.answer for each in recording if raises(each) is None]
    values = set(returned)
    what = f"one of {len(values)} values" if len(values) > 1 else next(iter(values), "nothing")
    events = {line for each in recording for line in each.outcome.events}
    return [
        ("lenses", listed(counted(each.program.lens for each in recording))),
        ("operations", listed(counted(each.program.subject_of for each in recording))),
        ("answers", f"{len(returned)} return {what}"),
        ("", f"{len(types)} raise: {listed(counted(types))}" if types else "none raises"),
        ("events", f"{number(len(events), 'event')} of different wording" if events else "none"),
    ]
