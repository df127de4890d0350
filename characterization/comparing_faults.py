"""Comparing what two recordings show of calls that something goes wrong in: what got better, what got worse.

A call from one state is compared kind of fault by kind. Faults of the same step are held against each other wherever that
step stands now; where the call takes other steps, the mildest against the mildest. Pure: nothing is run here.
"""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from characterization.behaviour import Done, Ending, FaultBehaviour, Told
from characterization.kinds import Kind, TwoSided


class Turn(enum.StrEnum):
    """Which way a fault's end has turned, the gravest first."""

    WORSE = "worse"
    BETTER = "better"
    OTHERWISE = "otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultChange(TwoSided[FaultBehaviour]):
    """One fault that ends otherwise now.

    ``turn`` says whether it got better or worse. ``follows``: the same operation also does something else when nothing
    goes wrong.
    """

    turn: Turn
    follows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultGroup:
    """Changes that are the same in several situations: of one operation, at one step, with one end.

    ``changes`` is in the order of the programs, so that the first shows it the shortest way.
    """

    kind: Kind
    turn: Turn
    changes: tuple[FaultChange, ...]

    @property
    def shown_by(self) -> FaultChange:
        """The change with the shortest program."""
        return self.changes[0]

    @property
    def operation(self) -> str:
        """The operation in which something goes wrong."""
        return self.shown_by.program.subject_of

    @property
    def faults(self) -> list[str]:
        """The kinds of fault, sorted."""
        return sorted({change.behaviour.kinds for change in self.changes})

    @property
    def follows(self) -> bool:
        """Whether they only follow from what the operation does when nothing goes wrong."""
        return self.shown_by.follows


def compare_faults(
    old: Mapping[str, FaultBehaviour], new: Mapping[str, FaultBehaviour], touched: frozenset[str] = frozenset()
) -> tuple[FaultChange, ...]:
    """What is different in ``new``. ``touched`` are the operations that do something else when nothing goes wrong, too."""
    before, after = _by_situation(old.values()), _by_situation(new.values())
    bars = _bars(old.values()), _bars(new.values())
    changes: list[FaultChange] = []
    for situation in sorted({*before, *after}):
        pairs = _paired(before.get(situation, []), after.get(situation, []))
        changes += [
            FaultChange(
                kind=_kind(one, other), turn=_turn(one, other, bars), old=one, new=other,
                follows=_operation(one, other) in touched,
            )
            for one, other in pairs
            if one is None or other is None or one.seen != other.seen
        ]  # fmt: skip
    return tuple(sorted(changes, key=lambda change: change.program.order))


Badness = tuple[int, bool]
Bars = Mapping[tuple[str, str], Badness]


def _badness(fault: FaultBehaviour) -> Badness:
    """How bad an end is: what it takes to heal it, then whether something is left halfway until that is done."""
    return fault.ending.rank, fault.done in (Done.HALF, Done.TWICE, Done.OTHER)


def _bars(faults: Iterable[FaultBehaviour]) -> Bars:
    """How badly each program ends at worst, by the kind of fault and by what the caller is told.

    What a fault put there itself is left out, and what nothing was learned of.
    """
    found: dict[tuple[str, str], Badness] = {}
    for fault in faults:
        if fault.ending is not Ending.NOT_STRUCK and fault.done is not Done.DAMAGE:
            for alike in (fault.kinds, fault.told):
                where = fault.program.healthy.text, alike
                found[where] = max(_badness(fault), found.get(where, (0, False)))
    return found


def _turn(old: FaultBehaviour | None, new: FaultBehaviour | None, bars: tuple[Bars, Bars]) -> Turn:
    """Which way a fault's end has turned. What is on one side only is held against the worst that is on the other."""
    if Ending.NOT_STRUCK in {side.ending for side in (old, new) if side is not None}:
        return Turn.OTHERWISE
    if old is not None and new is not None:
        was, now = _badness(old), _badness(new)
        return Turn.OTHERWISE if was == now else Turn.WORSE if now > was else Turn.BETTER
    only, others = (old, bars[1]) if new is None else (new, bars[0])
    assert only is not None, "a pair has one side at least"
    program = only.program.healthy.text
    bar = others.get((program, only.kinds)) or others.get((program, only.told), (0, False))
    if only.done is Done.DAMAGE or _badness(only) <= bar:
        return Turn.OTHERWISE
    return Turn.BETTER if new is None else Turn.WORSE


def _operation(old: FaultBehaviour | None, new: FaultBehaviour | None) -> str:
    found = new or old
    assert found is not None, "a pair has one side at least"
    return found.program.subject_of


def _by_situation(faults: Iterable[FaultBehaviour]) -> dict[tuple[str, str], list[FaultBehaviour]]:
    """Faults of one kind in one program, the first step's first."""
    found: dict[tuple[str, str], list[FaultBehaviour]] = defaultdict(list)
    for fault in faults:
        found[fault.program.healthy.text, fault.kinds].append(fault)
    return {situation: sorted(members, key=_number) for situation, members in found.items()}


def _number(fault: FaultBehaviour) -> int:
    assert fault.program.struck is not None, "a fault is in the program"
    return fault.program.struck.plan.faults[0].step


Pair = tuple[FaultBehaviour | None, FaultBehaviour | None]


def _paired(old: Sequence[FaultBehaviour], new: Sequence[FaultBehaviour]) -> Iterator[Pair]:
    """Those of one step first, those with the same end next, then the rest by how bad they are."""
    gone, came = list(old), list(new)
    for alike in (_step, _end):
        for one in list(gone):
            other = next((each for each in came if alike(each) == alike(one)), None)
            if other is not None:
                gone.remove(one)
                came.remove(other)
                yield one, other
    gone.sort(key=lambda fault: fault.ending.rank)
    came.sort(key=lambda fault: fault.ending.rank)
    yield from zip(gone, came, strict=False)
    yield from ((one, None) for one in gone[len(came) :])
    yield from ((None, other) for other in came[len(gone) :])


def _step(fault: FaultBehaviour) -> object:
    return fault.step


def _end(fault: FaultBehaviour) -> object:
    return fault.ending, fault.told, fault.done


def _kind(old: FaultBehaviour | None, new: FaultBehaviour | None) -> Kind:
    if old is None or new is None:
        return Kind.NEW if old is None else Kind.GONE
    return Kind.RESPONSE if (old.told, old.answer) != (new.told, new.answer) else Kind.EFFECT


_NAMES = re.compile(r"(?<=\()[^()]*(?=\))|(?<=\w:)\S+")


def grouped_faults(changes: Iterable[FaultChange]) -> tuple[FaultGroup, ...]:
    """``changes`` in groups: what got worse first, then what got better; what only follows is last."""
    alike: dict[object, list[FaultChange]] = defaultdict(list)
    for change in changes:
        alike[_signature(change)].append(change)
    groups = []
    for members in alike.values():
        ordered = tuple(sorted(members, key=lambda change: change.program.order))
        gravest = min((change.kind for change in ordered), key=list(Kind).index)
        groups.append(FaultGroup(kind=gravest, turn=ordered[0].turn, changes=ordered))
    return tuple(sorted(groups, key=_rank))


def _signature(change: FaultChange) -> object:
    """What changes of one group have in common: operation, step, and how both ends are told; names and numbers aside."""
    if change.follows and change.turn is Turn.OTHERWISE:
        return change.follows, change.turn, change.program.subject_of
    ending = change.behaviour.ending
    return (
        change.follows,
        change.turn,
        change.program.subject_of,
        cause(change.behaviour),
        ending,
        change.kind is Kind.NEW,
    )


def cause(fault: FaultBehaviour) -> object:
    """By what faults are one and the same to a reader: step, deed, and whether the caller thinks that all is well."""
    return _NAMES.sub("*", fault.step), fault.done, fault.told is Told.AS_HEALTHY


def _rank(group: FaultGroup) -> tuple[object, ...]:
    worst = group.shown_by.new or group.shown_by.old
    assert worst is not None, "a change has a behaviour on one side at least"
    order = list(Turn).index(group.turn), worst.done is Done.DAMAGE, -worst.ending.rank, -len(group.changes)
    return group.follows and group.turn is Turn.OTHERWISE, *order, group.shown_by.program.order
