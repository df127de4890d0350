"""Deciding: results wait in ``.holdfast/`` until someone accepts them; accepting promotes exactly what was shown."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.metadata import version

from characterization.baseline import Baseline, Baselines
from characterization.behaviour import FaultBehaviour, Recording
from characterization.comparing import Change, compare
from characterization.comparing_faults import FaultChange
from characterization.comparing_laws import LawChange
from characterization.comparing_races import RaceChange
from characterization.errors import NothingSelectedError
from characterization.finding import Project
from characterization.laws import Findings, cells_of, merged

AnyChange = Change | RaceChange | FaultChange | LawChange
PENDING_WITHIN_S = 10
"""Several checks may run at once; each holds the folder of pending results for a moment."""


def provenance(target: str, backend: str, seed: int) -> dict[str, object]:
    """When, where and with which versions ``target`` was recorded."""
    return {
        "target": target,
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "backend": backend,
        "seed": seed,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "versions": {name: version(name) for name in ("holdfast", "redis", "fakeredis", "hypothesis")},
    }


def pending_of(project: Project) -> Baselines:
    """The folder of pending results, which git is told to ignore."""
    return Baselines(project.pending / "pending")


def keep_pending(project: Project, recording: Recording, about: dict[str, object]) -> None:
    """Leave what was seen of a subject for a decision, in place of what was left there before."""
    pending = pending_of(project)
    with pending.writing(PENDING_WITHIN_S):
        ignore_pending(project)
        pending.write(recording.subject, Baseline(recording=recording), about)


def ignore_pending(project: Project) -> None:
    """Let git ignore the folder of what is not decided on, and of what hunts have seen."""
    ignore = project.pending / ".gitignore"
    if not ignore.exists():
        project.pending.mkdir(parents=True, exist_ok=True)
        ignore.write_text("*\n", encoding="utf-8")


def hunted(project: Project, seen: Recording) -> int:
    """How many programs that a hunt has found wait for a decision, and are not in ``seen``."""
    pending = pending_of(project)
    if not pending.exists(seen.subject):
        return 0
    return sum(each.program.text not in seen for each in pending.read(seen.subject).recording.random)


def forget_pending(project: Project, subject: str) -> None:
    """Drop what was left of a subject that is as pinned now: nobody may approve what is no longer so."""
    pending = pending_of(project)
    if pending.exists(subject):
        with pending.writing(PENDING_WITHIN_S):
            pending.remove(subject)


def accept(baselines: Baselines, project: Project, asked: Sequence[str]) -> list[AnyChange]:
    """Promote pending results to the baseline: those that ``asked`` names, by ident, by pattern, or by a subject's name.

    Nothing is run: what is promoted is what was shown. The changes that were promoted are returned.

    Raises:
        NothingSelectedError: nothing pending has such a name.
    """
    promoted: list[AnyChange] = []
    with baselines.writing():
        for subject in pending_of(project).subjects():
            about_it = [each for each in asked if fnmatchcase(subject, each.partition("/")[0])]
            promoted += _accept_of(subject, baselines, project, about_it)
    if not promoted:
        raise NothingSelectedError(
            f"nothing pending is called {', '.join(asked)}: `holdfast check` shows what is pending, and under which names"
        )
    return promoted


def _accept_of(subject: str, baselines: Baselines, project: Project, asked: Sequence[str]) -> list[AnyChange]:
    pending = pending_of(project)
    shown = pending.read(subject).recording
    baseline = baselines.read(subject) if baselines.exists(subject) else Baseline(recording=Recording(subject, []))
    result = compare(baseline.recording, shown)
    changes: list[AnyChange] = [
        *result.changes, *result.race_changes, *result.fault_changes, *result.law_changes,
    ]  # fmt: skip
    chosen = [change for change in changes if any(named(change, name) for name in asked)]
    if not chosen:
        return []
    if len(chosen) == len(changes):
        promoted = shown
    else:
        promoted = baseline.recording.merged(
            {change.program.text: change.new for change in chosen if isinstance(change, Change)},
            {change.program.text: change.new for change in chosen if isinstance(change, RaceChange)},
            _faults([change for change in chosen if isinstance(change, FaultChange)]),
            _laws(baseline.recording, [change for change in chosen if isinstance(change, LawChange)]),
        )
    baselines.write(subject, Baseline(recording=promoted, backends=baseline.backends), pending.provenance(subject))
    return chosen


def _faults(chosen: Sequence[FaultChange]) -> dict[str, FaultBehaviour | None]:
    """What takes the place of what; the same step may have another number by now."""
    gone: dict[str, FaultBehaviour | None] = {each.old.program.text: None for each in chosen if each.old is not None}
    return gone | {each.new.program.text: each.new for each in chosen if each.new is not None}


def _laws(baseline: Recording, chosen: Sequence[LawChange]) -> Findings | None:
    """What is pinned of the laws once ``chosen`` is; none: that stays as it is."""
    if not chosen:
        return None
    cells = cells_of(baseline.laws or ())
    for change in chosen:
        each = change.behaviour
        cells.pop((each.law, each.lens), None)
        if change.after is not None:
            cells[each.law, each.lens] = change.after
    return merged(cells.values())


def named(change: AnyChange, asked: str) -> bool:
    """Whether ``asked`` means this change: its ident, the beginning of it up to a part, or a pattern with ``*``."""
    ident = change.behaviour.ident
    return ident == asked or ident.startswith((asked + "/", asked + "#")) or fnmatchcase(ident, asked)
