"""What operations at once showed, as text: the anomalies of a recording, and those that appeared or vanished."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence

from characterization.behaviour import Interruption, RaceBehaviour, RaceOutcome, Recording
from characterization.comparing_races import RaceChange, RaceGroup
from characterization.kinds import Kind
from reports.eliding import cut
from reports.words import labelled, listed, number, padded, shown

GROUPS_MAX = 12
LINES_MAX = 6
LETTERS_MAX = 160
_INDENT = 6
_WHAT = {
    Kind.APPEARED: "ANOMALY APPEARED",
    Kind.VANISHED: "ANOMALY VANISHED",
    Kind.EFFECT: "ANOMALY SHOWS SOMETHING ELSE",
    Kind.RESPONSE: "ANOMALY ANSWERS SOMETHING ELSE",
    Kind.NEW: "NEW",
    Kind.GONE: "GONE",
}


# What is different.


def headline(group: RaceGroup) -> str:
    """What is interrupted where: ``increment_relay_count, between its GET and SET of main(s1)``."""
    outcome = group.shown_by.outcome
    if outcome is None or outcome.interruption is None:
        return " and ".join(group.shown_by.program.subject_of.split("-x-")) + " at once"
    return _between(outcome.interruption)


def group_lines(place: int, group: RaceGroup) -> list[str]:
    """One group: where it shows, how often, what it is; who comes between; the anomaly; and the lines to paste."""
    change = group.shown_by
    situations = number(len(group.changes), "situation")
    head = f"{padded(shown(headline(group)), 52)}    {padded(situations, 16)}{_what(change)}"
    lines = labelled(f"{place:2}", [head], column=4)
    if group.others:
        lines += labelled("by", [listed(group.others)], indent=_INDENT, column=11)
    lines += _split(group)
    for label, outcome in (("before", change.before), ("after", change.after)):
        lines += labelled(label, _shown(outcome, change), indent=_INDENT, column=11) if change.outcome else []
    lines += labelled("came by", _came(change), indent=_INDENT, column=11)
    lines += labelled("witness", [change.why] if change.why else [], indent=_INDENT, column=11)
    return [*lines, *labelled("shown by", [change.program.text], indent=_INDENT, column=11), _again(change)]


def following_line(groups: Sequence[RaceGroup]) -> list[str]:
    """Anomalies that show something else only because the operations do so one after another, too: counted."""
    changes = [change for group in groups for change in group.changes]
    if not changes:
        return []
    what = f"{number(len({change.program for change in changes}), 'program')} of what is at once only follow from the above"
    return labelled("  +", [what], column=4)


def _what(change: RaceChange) -> str:
    if change.kind is Kind.EFFECT and change.outcome is None:
        return "AN ORDER ENDS OTHERWISE"
    return _WHAT[change.kind]


def _split(group: RaceGroup) -> list[str]:
    if not group.split:
        return []
    return labelled(
        "split", ["only where a plain pipeline is split, which a real server seldom does"], indent=_INDENT, column=11
    )


def _shown(outcome: RaceOutcome | None, change: RaceChange) -> list[str]:
    if outcome is None:
        return ["(only what some order has)"]
    calls = [call.text for call in change.program.calls[-len(outcome.answers) :]]
    answers = [f"{call}: {cut(answer, LETTERS_MAX)}" for call, answer in zip(calls, outcome.answers, strict=True)]
    lines = [cut(line, LETTERS_MAX) for line in (*(outcome.effects or ["nothing is different"]), *outcome.events)]
    more = len(lines) - LINES_MAX
    return [*answers, *lines[:LINES_MAX], *([f"... and {number(more, 'more line')}"] if more > 0 else [])]


def _came(change: RaceChange) -> list[str]:
    outcome = change.outcome
    return [outcome.interruption.sentence] if outcome is not None and outcome.interruption is not None else []


def _again(change: RaceChange) -> str:
    # What is not pinned has nothing to be held against.
    words = ["holdfast", "explain" if change.kind is Kind.NEW else "replay", change.behaviour.ident]
    words += ["--schedule", change.outcome.schedule] if change.outcome is not None else []
    return " " * _INDENT + padded("again", 11) + shlex.join(words)


# What was recorded.


def recorded(recording: Recording) -> list[str]:
    """How far the race lens looked, and the anomalies that it found, one line for each interruption."""
    races = list(recording.races.values())
    if not races:
        return []
    anomalies = sum(len(race.anomalies) for race in races)
    classes = sum(race.explored.classes for race in races)
    sampled = sum(not race.explored.complete for race in races)
    how = f"all complete, {classes} classes of interleavings" if not sampled else (
        f"{len(races) - sampled} complete, {sampled} SAMPLED, {classes} runs"
    )  # fmt: skip
    told = f"{number(len(races), 'program')} ({how}), {number(sum(race.outcomes for race in races), 'outcome')}"
    lines = labelled("at once", [f"{told}, {_anomalies(anomalies)}"], indent=2, column=12)
    return [*lines, *_interrupted(races)]


def _anomalies(count: int) -> str:
    return (
        "none of which no order explains"
        if not count
        else f"{number(count, 'anomaly', 'anomalies')}: no order explains them"
    )


def _interrupted(races: Sequence[RaceBehaviour]) -> list[str]:
    alike: dict[object, list[tuple[RaceBehaviour, RaceOutcome]]] = defaultdict(list)
    for race in sorted(races, key=lambda each: each.program.order):
        for outcome in race.anomalies:
            found = outcome.interruption
            alike[outcome.split, found.place if found else race.program.subject_of].append((race, outcome))
    largest = sorted(alike.values(), key=lambda members: -len(members))
    lines = [line for members in largest[:GROUPS_MAX] for line in _one_interruption(members)]
    more = len(alike) - GROUPS_MAX
    return [*lines, *([f"    and {number(more, 'more interruption')}"] if more > 0 else [])]


def _one_interruption(members: Sequence[tuple[RaceBehaviour, RaceOutcome]]) -> list[str]:
    race, outcome = members[0]
    others = sorted({each.interruption.other for _, each in members if each.interruption})
    return [
        *labelled(number(len(members), "outcome"), [_heading(race, outcome)], indent=4, column=16),
        *labelled("by", [listed(others)] if others else [], indent=20, column=10),
        *labelled("shown by", [race.program.text], indent=20, column=10),
    ]


def _heading(race: RaceBehaviour, outcome: RaceOutcome) -> str:
    found = outcome.interruption
    what = _between(found) if found else " and ".join(race.program.subject_of.split("-x-")) + " at once"
    return what + (" (only where a plain pipeline is split)" if outcome.split else "")


def _between(found: Interruption) -> str:
    return f"{found.operation}, between its {found.accesses}"
