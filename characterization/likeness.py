"""What steps showed, but for the arguments: two steps are alike if they show the same with names and numbers left open.

By how many kinds of outcomes were seen in a single program one can tell how much is left to see (Good and Turing).
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from characterization.behaviour import Recording
from characterization.outcome import effects
from characterization.program import AtOnce, Program, Struck, calls_of, told_label
from characterization.subject import Run

_NUMBERS = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_NAMED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_MEMBER = re.compile(r"(?<= [+-])(?!> ).*$")
_WHOSE_MEMORY = re.compile(r"\bmemory@\d+")
_SHORTER = re.compile(r".* ttl [\d.]+s -> [\d.]+s")
_READING = re.compile(r"(?P<metric>metric [^\s{]+).*")


def shape(line: str, named: re.Pattern[str] | None = None) -> str:
    """A line of an outcome with arguments (``named`` finds them), members, numbers and the replica left open."""
    reading = _READING.fullmatch(line)
    if reading is not None:
        return reading["metric"]
    if named is not None:
        line = named.sub("*", line)
    line = _MEMBER.sub("*", _WHOSE_MEMORY.sub("memory", line))
    previous = ""
    while previous != line:
        previous, line = line, _NAMED.sub("*", line)
    return _NUMBERS.sub("N", line)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one step showed: which operations, what went wrong in it, and the outcome's lines, but for the arguments."""

    operations: tuple[str, ...]
    faults: str
    answers: tuple[str, ...]
    effects: tuple[str, ...]
    events: tuple[str, ...]

    @property
    def mark(self) -> str:
        """Ten hexadecimal digits for it."""
        return hashlib.blake2b(repr(self).encode(), digest_size=5).hexdigest()

    @property
    def healthy(self) -> Seen:
        """The same, with nothing that went wrong: where that is known too, nobody noticed."""
        return replace(self, faults="")

    @property
    def sentence(self) -> str:
        """``mark_processed, reply lost: raises DeduplicationError*; + seen* (set) ttl none``."""
        struck = f", {self.faults}" if self.faults else ""
        told = "; ".join([" || ".join(self.answers), *self.effects])
        return f"{' beside '.join(self.operations)}{struck}: {told}"


def seen_in(
    operations: Iterable[str],
    faults: str,
    answers: Iterable[str],
    changed: Iterable[str],
    events: Iterable[str],
    labels: Iterable[str] = (),
) -> Seen:
    """What a step shows that is made of these, in a program with these labels."""
    named = _finding(labels)
    told = sorted(zip(operations, (shape(answer, named) for answer in answers), strict=False))
    return Seen(
        operations=tuple(name for name, _ in told), faults=faults, answers=tuple(answer for _, answer in told),
        effects=tuple(sorted({shape(line, named) for line in changed})),
        events=tuple(sorted({shape(line, named) for line in events})),
    )  # fmt: skip


def unhurried(changed: Iterable[str]) -> tuple[str, ...]:
    """Those lines that say more than that time has passed, as it does where something goes wrong."""
    return tuple(line for line in changed if not _SHORTER.fullmatch(line))


def seen_by(run: Run) -> Seen:
    """What the last step of ``run`` shows."""
    last = run.parts.parts[-1]
    calls = run.calls
    operations = [call.operation for call in calls] or [last.text.partition(" ")[0]]
    answers = [call.answer for call in calls] or [run.answer]
    events = run.events if len(calls) < 2 else ()  # which of those at once was heard first says little
    plan = last.plan if isinstance(last, (Struck, AtOnce)) else None
    struck = "" if plan is None else ", ".join(dict.fromkeys(str(fault.kind) for fault in plan.faults))
    changed = effects(run.before, run.after)
    if plan is not None:
        changed = unhurried(changed)
    return seen_in(operations, struck, answers, changed, events, labels_of(run.parts))


def known_in(recording: Recording) -> set[str]:
    """The marks of everything that a recording shows in full."""
    found = {
        seen_in([each.program.subject_of], "", [each.outcome.answer], each.outcome.effects, each.outcome.events,
                labels_of(each.program)).mark
        for each in recording if not each.program.mixed
    }  # fmt: skip
    for race in recording.races.values():
        names, labels = [call.operation for call in calls_of(race.program.parts[-1])], labels_of(race.program)
        found |= {seen_in(names, "", each.answers, each.effects, (), labels).mark for each in race.anomalies}
    for fault in recording.faults.values():
        kinds = ", ".join(dict.fromkeys(kind.removesuffix(" from then on") for kind in fault.kinds.split(", ")))
        name, labels = fault.program.subject_of, labels_of(fault.program)
        found.add(seen_in([name], kinds, [fault.answer], fault.effects, fault.events, labels).mark)
    return found


def labels_of(program: Program) -> frozenset[str]:
    """The labels of what is done last, or else of every call in it."""
    last = calls_of(program.parts[-1]) if program.parts else ()
    return frozenset(label for call in last or program.calls for label in call.labels)


def _finding(labels: Iterable[str]) -> re.Pattern[str] | None:
    return _pattern(labels if isinstance(labels, frozenset) else frozenset(labels))


@functools.lru_cache(maxsize=4096)
def _pattern(labels: frozenset[str]) -> re.Pattern[str] | None:
    """Finds values in text by their labels, as they are and as they are spelled; whole, the longest first."""
    texts = {text for label in labels for text in _texts(label)} - {""}
    if not texts:
        return None
    longest = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)")


def _texts(label: str) -> Iterator[str]:
    told = told_label(label)
    yield told
    yield repr(told)[1:-1]
    yield json.dumps(told, ensure_ascii=False)[1:-1]
    yield told.removeprefix("0x")
