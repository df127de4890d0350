"""Comparing what two recordings show of operations at once: which anomalies appeared, and which have vanished.

An anomaly is the same when it shows the same. Where a program has one on each side that came by the same interruption, it
is that one, which shows something else. Pure: nothing is run here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from characterization.behaviour import RaceBehaviour, RaceOutcome
from characterization.kinds import Kind, TwoSided


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceChange(TwoSided[RaceBehaviour]):
    """One outcome of operations at once that is different now.

    ``before`` is missing where an anomaly appeared, ``after`` where one has vanished. Both are there where it shows
    something else; neither where it is the whole program that is *new* or *gone*, or an order that ends otherwise. ``why``
    says what became of the witness of an anomaly that has vanished. ``follows``: the same operations also do something
    else one after another.
    """

    before: RaceOutcome | None = None
    after: RaceOutcome | None = None
    why: str = ""
    follows: bool = False

    @property
    def outcome(self) -> RaceOutcome | None:
        """The anomaly that it is about, as it is now if it is still there."""
        return self.after or self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceGroup:
    """Changes of one kind that are one and the same interruption, in the order of the programs, the shortest first."""

    kind: Kind
    changes: tuple[RaceChange, ...]

    @property
    def shown_by(self) -> RaceChange:
        """The change with the shortest program."""
        return self.changes[0]

    @property
    def operation(self) -> str:
        """The operation that is interrupted; where it is not known, all of those that are at once."""
        outcome = self.shown_by.outcome
        known = outcome.interruption if outcome is not None else None
        return known.operation if known is not None else self.shown_by.program.subject_of

    @property
    def others(self) -> list[str]:
        """The operations that come between, sorted."""
        return sorted({
            each.outcome.interruption.other for each in self.changes if each.outcome and each.outcome.interruption
        })  # fmt: skip

    @property
    def split(self) -> bool:
        """Whether every one of them needs a pipeline to be split."""
        return all(each.outcome is not None and each.outcome.split for each in self.changes)

    @property
    def follows(self) -> bool:
        """Whether they only follow from what the operations do one after another."""
        return self.shown_by.follows


def compare_races(
    old: Mapping[str, RaceBehaviour],
    new: Mapping[str, RaceBehaviour],
    *,
    touched: frozenset[str] = frozenset(),
    lost: Mapping[tuple[str, str], str] | None = None,
) -> tuple[RaceChange, ...]:
    """What is different in ``new``, by program.

    ``touched`` are the operations that do something else one after another, too. ``lost`` says what became of a witness
    that was tried again, by program and schedule.
    """
    changes: list[RaceChange] = []
    for text in sorted({*old, *new}):
        one, other = old.get(text), new.get(text)
        if one is None or other is None:
            changes.append(RaceChange(kind=Kind.NEW if one is None else Kind.GONE, old=one, new=other))
        else:
            follows = bool(touched & {call.operation for call in other.program.calls})
            changes += _changes(one, other, lost or {}, follows=follows)
    return tuple(changes)


def _changes(
    old: RaceBehaviour, new: RaceBehaviour, lost: Mapping[tuple[str, str], str], *, follows: bool
) -> list[RaceChange]:
    gone = {each.seen: each for each in old.anomalies}
    came = {each.seen: each for each in new.anomalies}
    for seen in [seen for seen in gone if seen in came]:
        del gone[seen], came[seen]
    told_otherwise, changes = _paired(list(gone.values()), list(came.values())), []
    for before, after in told_otherwise:
        if _stored(before) != _stored(after):
            kind = Kind.EFFECT if before.answers == after.answers else Kind.RESPONSE
            changes.append(RaceChange(kind=kind, old=old, new=new, before=before, after=after, follows=follows))
        del gone[before.seen], came[after.seen]
    changes += [RaceChange(kind=Kind.APPEARED, old=old, new=new, after=each) for each in came.values()]
    for each in gone.values():
        why = lost.get((old.program.text, each.schedule), "")
        changes.append(RaceChange(kind=Kind.VANISHED, old=old, new=new, before=each, why=why))
    if {mark for _, mark in old.serial} != {mark for _, mark in new.serial} and not changes:
        changes.append(RaceChange(kind=Kind.EFFECT, old=old, new=new, follows=follows))
    return changes


def _paired(gone: Sequence[RaceOutcome], came: Sequence[RaceOutcome]) -> list[tuple[RaceOutcome, RaceOutcome]]:
    """Anomalies that are the same but for how they are stored, or else came by the same interruption; each in one pair."""
    pairs: list[tuple[RaceOutcome, RaceOutcome]] = []
    left, right = list(gone), list(came)
    for alike in (_stored, _cause):
        for before in list(left):
            after = next((each for each in right if alike(each) == alike(before) is not None), None)
            if after is not None:
                pairs.append((before, after))
                left.remove(before)
                right.remove(after)
    return pairs


_KIND = re.compile(r" \([a-z]+\)|, was a [a-z]+")


def _stored(outcome: RaceOutcome) -> object:
    """What an anomaly shows, whatever kind of key it is stored under."""
    return outcome.answers, tuple(_KIND.sub("", line) for line in outcome.effects), outcome.events


def _cause(outcome: RaceOutcome) -> object:
    found = outcome.interruption
    return None if found is None else (found.client, found.operation, found.accesses, found.other, found.by)


def grouped_races(changes: Sequence[RaceChange]) -> tuple[RaceGroup, ...]:
    """``changes`` in groups of one interruption each: what appeared first, then what vanished; what follows is last."""
    alike: dict[object, list[RaceChange]] = defaultdict(list)
    for change in changes:
        alike[change.follows, change.kind, _interrupted(change)].append(change)
    groups = [
        RaceGroup(kind=members[0].kind, changes=tuple(sorted(members, key=lambda each: each.program.order)))
        for members in alike.values()
    ]
    return tuple(sorted(groups, key=_rank))


def _interrupted(change: RaceChange) -> object:
    outcome = change.outcome
    if change.follows:
        return None
    if outcome is None or outcome.interruption is None:
        return change.program.subject_of
    return outcome.interruption.place


def _rank(group: RaceGroup) -> tuple[object, ...]:
    return group.follows, list(Kind).index(group.kind), -len(group.changes), group.shown_by.program.order
