"""Comparing two recordings: what is different, of which kind, and which differences are one and the same.

A behaviour is compared by what its last step showed, not by the state it began in: where an earlier step has changed, the
later ones are reported only as far as they do something else themselves. Pure: nothing is run here.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from characterization.behaviour import Behaviour, Recording
from characterization.comparing_faults import FaultChange, FaultGroup, compare_faults, grouped_faults
from characterization.comparing_laws import LawChange, compare_laws
from characterization.comparing_races import RaceChange, RaceGroup, compare_races, grouped_races
from characterization.kinds import Kind as Kind
from characterization.kinds import TwoSided
from characterization.program import Call, Program

GROUPS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(TwoSided[Behaviour]):
    """One behaviour that is different now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One line that stands on one side only, or differs: ``old`` and ``new`` as they are shown."""

    old: str | None
    new: str | None


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

    ``compared`` counts the transitions that both have, ``hunted`` the programs of the random lens among them, ``raced``
    the programs whose end happens at once. ``unrun`` are
    those of the old recording that could not be run here, with the reason: they are neither changed nor as pinned.
    ``anomalies`` is how many there are now, ``faulted`` counts the programs that something goes wrong in.
    """

    subject: str
    compared: int
    total: int
    changes: tuple[Change, ...]
    groups: tuple[Group, ...]
    unrun: tuple[tuple[str, str], ...] = ()
    raced: int = 0
    hunted: int = 0
    anomalies: int = 0
    race_changes: tuple[RaceChange, ...] = ()
    race_groups: tuple[RaceGroup, ...] = ()
    law_changes: tuple[LawChange, ...] = ()
    faulted: int = 0
    fault_changes: tuple[FaultChange, ...] = ()
    fault_groups: tuple[FaultGroup, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything but the cost, or what laws were seen to say, is different."""
        grave = [each for each in self.law_changes if each.grave]
        behaviours = any(change.kind is not Kind.COST for change in self.changes)
        return bool(behaviours or self.race_changes or self.fault_changes or grave)

    @property
    def different(self) -> bool:
        """Whether anything is."""
        return bool(self.changes or self.race_changes or self.fault_changes or self.law_changes)

    def count(self, *kinds: Kind) -> int:
        """How many behaviours changed in one of ``kinds``, one after another or at once."""
        everything: list[Change | RaceChange | LawChange] = [*self.changes, *self.race_changes, *self.law_changes]
        return sum(change.kind in kinds for change in everything)


def compare(
    old: Recording,
    new: Recording,
    unrun: Sequence[tuple[str, str]] = (),
    lost: Mapping[tuple[str, str], str] | None = None,
) -> Comparison:
    """What is different in ``new``. Behaviours that only ``old`` has are *gone*, unless they could not be run.

    ``lost`` says what became of the witnesses of anomalies that are no longer found, by program and schedule.
    """
    left_out = {program for program, _ in unrun}
    changes = [
        change
        for program in sorted({each.program.text for each in (*old, *new)} - left_out)
        if (change := _change(old.get(program), new.get(program))) is not None
    ]
    both = [each for each in new if each.program.text in old]
    before = {text: race for text, race in old.races.items() if text not in left_out}
    touched = frozenset(change.program.subject_of for change in changes if change.kind is not Kind.COST)
    raced = compare_races(before, new.races, touched=touched, lost=lost)
    struck = compare_faults(old.faults, new.faults, touched)
    return Comparison(
        subject=new.subject, compared=len(both), total=len(new), changes=tuple(changes), groups=grouped(changes),
        unrun=tuple(unrun), race_changes=raced, race_groups=grouped_races(raced),
        raced=sum(text in new.races for text in before), law_changes=compare_laws(old.laws, new.laws),
        hunted=sum(each.program.mixed for each in both), anomalies=sum(len(race.anomalies) for race in new.races.values()),
        faulted=sum(text in new.faults for text in old.faults), fault_changes=struck, fault_groups=grouped_faults(struck),
    )  # fmt: skip


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
    return f"{_counted(commands, 'command')} in {_counted(trips, 'round trip')}, {_counted(sent, 'byte')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


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


def _names(change: Change) -> dict[str, str]:
    """A stand-in for every argument, so that the same difference for another session is the same."""
    return {
        label: f"<{place}>"
        for part in change.program.parts
        if isinstance(part, Call)
        for place, label in enumerate(part.labels)
        if not label.isdigit()
    }


def _signature(change: Change) -> object:
    """Equal for changes that are the same difference, whatever the arguments."""
    found = differences(change)
    if not found:
        return change.kind, change.program.subject_of
    return change.kind, frozenset(_line_signature(difference, _names(change)) for difference in found)


def _line_signature(difference: Difference, names: dict[str, str]) -> object:
    return _named(difference.old, names), _named(difference.new, names)


def _named(line: str | None, names: dict[str, str]) -> str:
    if line is None:
        return ""
    return re.sub(r"(?<=[(+\[-])[\w.:]+(?=$|[)\]])", lambda match: names.get(match[0], match[0]), _general(line))


def grouped(changes: Sequence[Change]) -> tuple[Group, ...]:
    """``changes`` in groups of one difference each, gravest first.

    Behaviours that differ in the same lines are one group. Where that makes more than ``GROUPS_MAX``, as between two
    designs, there is one group for each line that differs, and a behaviour is in as many as it has such lines. What only
    follows from other changes is one group, the last.
    """
    causes = {change.program for change in changes if _leads_elsewhere(change)}
    direct = [change for change in changes if not _passes(change, causes)]
    after = [change for change in changes if _passes(change, causes)]
    alike: dict[object, list[Change]] = defaultdict(list)
    for change in direct:
        alike[_signature(change)].append(change)
    if len(alike) < GROUPS_MAX:
        groups = [_group(members, differences(min(members, key=_order))) for members in alike.values()]
    else:
        groups = _by_line(direct)
    if after:
        groups.append(replace(_group(after, ()), follows=True))
    return tuple(sorted(groups, key=_rank))


def _leads_elsewhere(change: Change) -> bool:
    """Whether a step leads to another state now, not just to the same one in another form.

    Where both sides store the same thing, and only its kind or its spelling differs, what comes later is still comparable.
    """
    if change.kind not in (Kind.RESPONSE, Kind.EFFECT):
        return False
    assert change.old is not None, "what changed its response or effect was there before"
    assert change.new is not None, "what changed its response or effect is there now"
    found = _line_differences(change.old.outcome.effects, change.new.outcome.effects)
    return any(not _only_spelled_otherwise(each) for each in found)


def _only_spelled_otherwise(difference: Difference) -> bool:
    """Whether both sides store the same thing with the same time to live, in another kind or spelling."""
    old, new = difference.old, difference.new
    if old is None or new is None or " -> " in old:
        return False
    return " = " in old or _KIND.sub("", old) == _KIND.sub("", new)


_KIND = re.compile(r" \([a-z]+\)|, was a [a-z]+")


def _passes(change: Change, causes: set[Program]) -> bool:
    parts = change.program.parts
    return any(Program(parts[:length]) in causes for length in range(1, len(parts)))


def _by_line(changes: Sequence[Change]) -> list[Group]:
    by_line: dict[object, list[tuple[Change, tuple[Difference, ...]]]] = defaultdict(list)
    for change in changes:
        for difference in differences(change):
            by_line[_line_signature(difference, _names(change))].append((change, (difference,)))
        if not differences(change):
            by_line[(change.kind, change.program.subject_of)].append((change, ()))
    groups = []
    for alike in by_line.values():
        shortest = min(alike, key=lambda member: _order(member[0]))
        groups.append(_group([change for change, _ in alike], shortest[1]))
    return groups


def _group(members: Sequence[Change], shown: tuple[Difference, ...]) -> Group:
    ordered = tuple(sorted(members, key=_order))
    gravest = min((change.kind for change in ordered), key=lambda kind: _GRAVITY[kind])
    return Group(kind=gravest, changes=ordered, differences=shown)


def _order(change: Change) -> tuple[int, str]:
    return change.program.order


_GRAVITY = {kind: place for place, kind in enumerate(Kind)}


def _rank(group: Group) -> tuple[object, ...]:
    return group.follows, _GRAVITY[group.kind], -len(group.changes), group.shown_by.program.order
