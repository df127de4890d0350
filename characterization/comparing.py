"""Comparing two recordings: what is different, of which kind, and which differences are one and the same.

A behaviour is compared by what its last step showed, not by the state it began in: where an earlier step has changed, the
later ones are reported only as far as they do something else themselves. Pure: nothing is run here.
"""

from __future__ import annotations

import enum
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from characterization.behaviour import Behaviour, Recording
from characterization.program import Call, Program

GROUPS_MAX = 20


class Kind(enum.StrEnum):
    """The kinds of change, the gravest first. (Anomalies and laws are compared by the lenses that know them.)"""

    RESPONSE = "response"
    EFFECT = "effect"
    GONE = "gone"
    NEW = "new"
    COST = "cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One behaviour that is different now. ``old`` is missing where it is *new*, ``new`` where it is *gone*."""

    kind: Kind
    old: Behaviour | None
    new: Behaviour | None

    @property
    def behaviour(self) -> Behaviour:
        """The behaviour as it is now, or as it was where it is gone."""
        found = self.new or self.old
        assert found is not None, "a change has a behaviour on one side at least"
        return found

    @property
    def program(self) -> Program:
        """The program that shows the change."""
        return self.behaviour.program


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One line that stands on one side only, or differs: ``old`` and ``new`` as they are shown."""

    old: str | None
    new: str | None

    @property
    def pattern(self) -> tuple[str, str]:
        """The difference without its names and numbers: equal for differences that are the same in another situation."""
        return _general(self.old), _general(self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Changes of one kind that are the same difference in several situations.

    ``changes`` is in the order of the programs, so that the first shows it the shortest way. ``follows`` is true where
    every one of them passes through a step that itself has changed.
    """

    kind: Kind
    changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    follows: bool = False

    @property
    def shown_by(self) -> Change:
        """The change with the shortest program."""
        return self.changes[0]

    @property
    def operations(self) -> list[str]:
        """The operations in which it shows, sorted."""
        return sorted({change.program.subject_of for change in self.changes})

    @property
    def kinds(self) -> list[str]:
        """The kinds of state in which it shows, in the subject's words, sorted."""
        return sorted({change.behaviour.outcome.kind for change in self.changes})

    @property
    def idents(self) -> list[str]:
        """The behaviours that are different, by ident."""
        return [change.behaviour.ident for change in self.changes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that is different between two recordings of a subject.

    ``compared`` counts the behaviours that both have. ``unrun`` are those of the old recording that could not be run here,
    with the reason: they are neither changed nor as pinned.
    """

    subject: str
    compared: int
    total: int
    groups: tuple[Group, ...]
    unrun: tuple[tuple[str, str], ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything but the cost is different."""
        return any(group.kind is not Kind.COST for group in self.groups)

    @property
    def changes(self) -> list[Change]:
        """Every change, by the spelling of its program."""
        return sorted((c for group in self.groups for c in group.changes), key=lambda change: change.program.text)

    def count(self, *kinds: Kind) -> int:
        """How many behaviours changed in one of ``kinds``."""
        return sum(len(group.changes) for group in self.groups if group.kind in kinds)


def compare(old: Recording, new: Recording, unrun: Sequence[tuple[str, str]] = ()) -> Comparison:
    """What is different in ``new``. Behaviours that only ``old`` has are *gone*, unless they could not be run."""
    left_out = {program for program, _ in unrun}
    changes = [
        change
        for program in sorted({each.program.text for each in (*old, *new)} - left_out)
        if (change := _change(old.get(program), new.get(program))) is not None
    ]
    total = sum(1 for each in new if each.program.text in old)
    groups = grouped(changes)
    return Comparison(subject=new.subject, compared=total, total=len(new), groups=groups, unrun=tuple(unrun))


def _change(old: Behaviour | None, new: Behaviour | None) -> Change | None:
    if old is None or new is None:
        return Change(kind=Kind.NEW if old is None else Kind.GONE, old=old, new=new)
    if old.outcome.answer != new.outcome.answer:
        return Change(kind=Kind.RESPONSE, old=old, new=new)
    if old.outcome.seen != new.outcome.seen:
        return Change(kind=Kind.EFFECT, old=old, new=new)
    if old.outcome.cost != new.outcome.cost:
        return Change(kind=Kind.COST, old=old, new=new)
    return None


def differences(change: Change) -> tuple[Difference, ...]:
    """The lines in which a change shows itself; for what is new or gone, there are none."""
    if change.old is None or change.new is None:
        return ()
    old, new = change.old.outcome, change.new.outcome
    found = [] if old.answer == new.answer else [Difference(old=old.answer, new=new.answer)]
    if change.kind is Kind.COST:
        return (Difference(old=_cost(old.cost), new=_cost(new.cost)),)
    return (*found, *_line_differences(old.effects, new.effects), *_line_differences(old.events, new.events))


def _cost(cost: tuple[int, int, int]) -> str:
    commands, trips, sent = cost
    return f"{commands} commands in {trips} round trips, {sent} bytes"


def _line_differences(old: Sequence[str], new: Sequence[str]) -> list[Difference]:
    """Lines on one side only; two of them that speak of the same thing are one difference."""
    gone, came = Counter(old) - Counter(new), Counter(new) - Counter(old)
    by_path = {_path(line): line for line in came}
    paired = [Difference(old=line, new=by_path.pop(_path(line), None)) for line in gone]
    return sorted([*paired, *(Difference(old=None, new=line) for line in by_path.values())], key=str)


def _path(line: str) -> str:
    """What a line speaks of: ``main(s1).relay_count``, ``main(s1) ttl``, or the line itself for members and events."""
    match = re.match(r"(.+? ttl|[^ ]+) (?:= |\S+ -> )", line)
    if match:
        return match[1]
    match = re.match(r"[+] (\S+) \(", line)
    return match[1] if match else line


_NUMBER = re.compile(r"(?<![\w#])\d+(?:\.\d+)?|(?<=#)\d+")
_INSIDE = re.compile(r"\(([^()]*)\)")


def _general(line: str | None) -> str:
    return "" if line is None else _NUMBER.sub("N", line)


def _signature(change: Change) -> tuple[object, ...]:
    """Equal for changes that are the same difference, whatever the arguments."""
    names = {
        label: f"<{place}>"
        for part in change.program.parts
        if isinstance(part, Call)
        for place, label in enumerate(part.labels)
        if not label.isdigit()
    }
    found = differences(change)
    if not found:
        return change.kind, change.program.subject_of
    return change.kind, frozenset((_named(d.old, names), _named(d.new, names)) for d in found)


def _named(line: str | None, names: dict[str, str]) -> str:
    if line is None:
        return ""
    text = _general(line)
    return re.sub(r"(?<=[(+\[-])[\w.:]+(?=$|[)\]])", lambda match: names.get(match[0], match[0]), text)


def grouped(changes: Sequence[Change]) -> tuple[Group, ...]:
    """``changes`` in groups of one difference each, gravest first; those that only follow from others come last."""
    changed = {change.program for change in changes if change.kind in (Kind.RESPONSE, Kind.EFFECT)}
    direct = [change for change in changes if not _follows(change, changed)]
    after = [change for change in changes if _follows(change, changed)]
    groups = [*_groups(direct, follows=False), *_groups(after, follows=True)]
    return tuple(sorted(groups, key=_rank))


def _follows(change: Change, changed: set[Program]) -> bool:
    parts = change.program.parts
    return any(Program(parts[:length]) in changed for length in range(1, len(parts)))


def _groups(changes: Iterable[Change], *, follows: bool) -> list[Group]:
    by_signature: dict[tuple[object, ...], list[Change]] = defaultdict(list)
    for change in changes:
        by_signature[_signature(change)].append(change)
    if len(by_signature) > GROUPS_MAX:
        return _by_line(changes := [c for group in by_signature.values() for c in group], follows=follows)
    return [_group(members, follows=follows) for members in by_signature.values()]


def _by_line(changes: Sequence[Change], *, follows: bool) -> list[Group]:
    """One group for each line that differs: a change with two of them is in two groups. For comparisons of two designs."""
    by_line: dict[tuple[object, ...], list[tuple[Change, Difference | None]]] = defaultdict(list)
    for change in changes:
        for difference in differences(change) or (None,):
            shape = difference.pattern if difference is not None else change.program.subject_of
            by_line[(change.kind, shape)].append((change, difference))
    return [
        Group(
            kind=members[0][0].kind,
            changes=tuple(sorted((change for change, _ in members), key=lambda change: change.program.order)),
            differences=() if members[0][1] is None else (members[0][1],),
            follows=follows,
        )
        for members in by_line.values()
    ]


def _group(members: Sequence[Change], *, follows: bool) -> Group:
    ordered = tuple(sorted(members, key=lambda change: change.program.order))
    return Group(kind=ordered[0].kind, changes=ordered, differences=differences(ordered[0]), follows=follows)


_GRAVITY = {kind: place for place, kind in enumerate(Kind)}


def _rank(group: Group) -> tuple[object, ...]:
    return group.follows, _GRAVITY[group.kind], -len(group.changes), group.shown_by.program.order
