"""Comparing what two recordings found of a subject's laws: which were broken since, and which were mended. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from characterization.kinds import Kind
from characterization.laws import Findings, LawFinding, Verdict, cells_of
from characterization.program import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class LawChange:
    """One cell of the matrix whose verdict is another now.

    ``before`` is missing where the law, or the lens, was not there; ``after`` where the law is no longer declared.
    """

    kind: Kind
    before: LawFinding | None
    after: LawFinding | None

    @property
    def behaviour(self) -> LawFinding:
        """The finding as it is now, or as it was where the law is gone."""
        found = self.after or self.before
        assert found is not None, "a change has a finding on one side at least"
        return found

    @property
    def program(self) -> Program:
        """The program of the witness, now or before; the empty one where nothing was broken."""
        found = self.after if self.after is not None and self.after.witness is not None else self.before
        return found.program if found is not None else Program()

    @property
    def grave(self) -> bool:
        """Whether a check fails for it."""
        return self.kind is not Kind.LAW_VERDICT


def compare_laws(old: Findings | None, new: Findings | None) -> tuple[LawChange, ...]:
    """The cells whose verdict is another in ``new``; none at all where one side has not judged.

    What a lens that has not looked says nothing of has not changed.
    """
    if old is None or new is None:
        return ()
    before, after = cells_of(old), cells_of(new)
    declared = {each.law for each in new}
    changes = []
    for cell in sorted({*before, *after}):
        change = _change(before.get(cell), after.get(cell))
        if change is not None and (change.after is not None or cell[0] not in declared):
            changes.append(change)
    return tuple(sorted(changes, key=lambda each: (list(Kind).index(each.kind), each.behaviour.ident)))


def _change(before: LawFinding | None, after: LawFinding | None) -> LawChange | None:
    old = before.verdict if before is not None else Verdict.NOT_RUN
    new = after.verdict if after is not None else Verdict.NOT_RUN
    if old is new:
        return None
    if after is None:
        return LawChange(kind=Kind.GONE, before=before, after=None)
    if new is Verdict.BROKEN:
        return LawChange(kind=Kind.LAW_BROKEN, before=before, after=after)
    kind = Kind.LAW_MENDED if old is Verdict.BROKEN else Kind.LAW_VERDICT
    return LawChange(kind=kind, before=before, after=after)
