"""Comparisons, recordings and explanations as plain text.

Words first: what changed, in the subject's own words; then the shortest program that shows it; then the line to paste. No
line is wider than 120 columns, except one that is meant to be pasted. Colour only repeats what the text says.
"""

from __future__ import annotations

import itertools
import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence

from rich.cells import cell_len

from characterization.behaviour import Behaviour, FaultBehaviour, Recording
from characterization.comparing import GROUPS_MAX, Change, Comparison, Difference, Group
from characterization.comparing_laws import LawChange
from characterization.comparing_races import RaceGroup
from characterization.explaining import ExplainedPart, ExplainedStep, Explanation, FaultExplanation
from characterization.kinds import Kind
from characterization.outcome import Outcome
from characterization.racing import Race
from reports import anomalies, faults, laws, racing
from reports.eliding import LONGEST, apart, cut
from reports.facts import facts, summary
from reports.words import WIDTH, clipped, labelled, listed, number, padded, shown, wrapped

DIFFERENCES_MAX = 8
LAWS_MAX = 8
PROGRAMS_MAX = 5
_INDENT = 6
_HEADING_MAX = 52
_CHANGED = (Kind.RESPONSE, Kind.EFFECT)
_FOLLOWING = {
    Kind.RESPONSE: "RESPONSE CHANGED",
    Kind.EFFECT: "EFFECT CHANGED",
    Kind.GONE: "GONE",
    Kind.NEW: "NEW",
    Kind.COST: "COST CHANGED",
}
_STYLES = {"bold": "1", "red": "31", "green": "32", "dim": "2"}


def comparison(result: Comparison, *, colour: bool = False) -> str:
    """The block of one subject: one line where it is as pinned, otherwise what changed in at most twenty groups.

    What only follows from other changes stands beneath them, counted. Behaviours that could not be run are always named.
    Ends without a line break; in colour the same text with ANSI sequences in between.
    """
    direct = [group for group in result.groups if not group.follows]
    raced = [group for group in result.race_groups if not group.follows]
    following = [change for group in result.groups if group.follows for change in group.changes]
    numbered = list(enumerate(direct[:GROUPS_MAX], 1))
    heading = min(_HEADING_MAX, max((cell_len(_situation(group)) for _, group in numbered), default=0))
    lines = [
        *_painted(_first_line(result.subject, _verdict(result)), "bold", colour),
        *(line for place, group in numbered for line in _group(place, group, heading, colour)),
        *_rest(direct[GROUPS_MAX:]),
        *_following(following),
        *_races(raced[:GROUPS_MAX], len(numbered), colour),
        *_more_races(raced[GROUPS_MAX:]),
        *anomalies.following_line([group for group in result.race_groups if group.follows]),
        *_faults(result, len(numbered) + len(raced[:GROUPS_MAX]), colour),
        *_laws(result.law_changes, colour),
        *_painted(_unrun(result.unrun), "red", colour),
    ]
    return "\n".join(lines)


def recording(recording: Recording, *, colour: bool = False) -> str:
    """What was seen of a subject, on one screen: states, transitions, answers, and what is surprising about them."""
    counts = f"{number(len(recording.states()), 'state')}, {number(len(recording), 'transition')}"
    title = f"{shown(recording.subject)}    {counts}"
    if not len(recording):
        return "\n".join(_painted([f"{title}: nothing was recorded"], "bold", colour))
    lines = _painted([title], "bold", colour)
    for label, text in summary(recording):
        lines += labelled(label, [cut(text)], indent=2, column=12)
    surprising = facts(recording)
    lines += anomalies.recorded(recording)
    lines += faults.recorded(recording)
    lines += laws.recorded(recording)
    lines += ["  worth a look"] if surprising else []
    for fact in surprising:
        program = () if fact.program is None else (f"shown by  {_spelled(fact.program.text)}",)
        lines += labelled(fact.heading, [cut(fact.about), *program], indent=4, column=36)
    return "\n".join(lines)


def explanation(explanation: Explanation, *, colour: bool = False) -> str:
    """One behaviour step by step: for each part a row for each command, with its lane and reply, then what it showed.

    Commands that took effect at once stand in one bracket. The last line can be pasted.
    """
    title = f"{shown(explanation.ident)}    seed {explanation.seed}, on {shown(explanation.backend)}"
    lines = _painted([title], "bold", colour)
    lines += labelled("of", [explanation.program.text], indent=2, column=10)
    for part in explanation.parts:
        lines += ["", *_painted(wrapped(part.text, WIDTH), "bold", colour), *_steps(part), *_showed(part.outcome)]
    return "\n".join([*lines, "", f"again     holdfast replay {pasted(explanation.ident)}"])


def struck(fault: FaultBehaviour) -> str:
    """One call that something goes wrong in."""
    return faults.struck(fault)


def fault(explanation: FaultExplanation) -> str:
    """The same, a row for each step, and what was tried to heal it."""
    return faults.explanation(explanation)


def race(race: Race, *, colour: bool = False) -> str:
    """Operations at once: each outcome, and for those that no order explains a lane for each client."""
    return racing.text(race, colour=colour)


def pasted(ident: str) -> str:
    """``ident`` as a shell takes it for one word; an ID as recordings have them needs no quotes."""
    return shlex.quote(ident) if " " in ident else ident


# The first line.


def _first_line(subject: str, verdict: str) -> list[str]:
    """The subject and what is to be said of it; what has no room goes on beneath."""
    first, *rest = wrapped(verdict, WIDTH - cell_len(shown(subject)) - 4)
    return [f"{shown(subject)}    {first}", *labelled("", [" ".join(rest)] if rest else [], column=4)]


def _verdict(result: Comparison) -> str:
    hunted = 0 if result.different else result.hunted
    transitions = number(result.compared - hunted, "transition")
    transitions += f" and {number(hunted, 'random program')}" if hunted else ""
    transitions += f" and {number(result.raced, 'race')}" if result.raced else ""
    transitions += f" and {number(result.faulted, 'fault')}" if result.faulted and not result.different else ""
    unrun = f", {len(result.unrun)} more could not be run" if result.unrun else ""
    if not result.different:
        return f"as pinned, {transitions}{unrun}"
    cost = result.count(Kind.COST)
    if not result.changed and not cost:
        verdicts = number(result.count(Kind.LAW_VERDICT), "verdict")
        return f"as pinned, {transitions}, {verdicts} of laws otherwise, none broken or mended{unrun}"
    if not result.changed:
        return f"as pinned but for the COST of {cost} of {transitions}{unrun}"
    dearer = f", the cost of {cost} more" if cost else ""
    new, gone = result.count(Kind.NEW), result.count(Kind.GONE)
    beside = f"{_anomalies(result)}{faults.turned(result.fault_groups)}{_lawful(result)}"
    return f"{_changed(result, transitions)}{beside}, {new} new, {gone} gone{dearer}{unrun}"


def _anomalies(result: Comparison) -> str:
    """How many interruptions make anomalies appear or vanish."""
    found = Counter(group.kind for group in result.race_groups)
    words = {Kind.APPEARED: "appeared", Kind.VANISHED: "vanished"}
    return "".join(
        f", {number(found[kind], 'anomaly', 'anomalies')} {word} (in {number(result.count(kind), 'situation')})"
        for kind, word in words.items() if found[kind]
    )  # fmt: skip


def _lawful(result: Comparison) -> str:
    """How many laws were broken or mended, through some lens."""
    words = {Kind.LAW_BROKEN: "broken", Kind.LAW_MENDED: "mended"}
    return "".join(
        f", {number(count, 'law')} {word}"
        for kind, word in words.items()
        if (count := len({change.behaviour.law for change in result.law_changes if change.kind is kind}))
    )


def _changed(result: Comparison, transitions: str) -> str:
    """How many behaviours changed of themselves, in how many transitions, and how many more follow."""
    own = [group for group in result.groups if group.kind in _CHANGED and not group.follows]
    following = {change.program for group in result.groups if group.follows for change in group.changes}
    changed = {change.program for change in result.changes if change.kind in _CHANGED}
    after = len(changed & following)
    follow = f"; {after} more follow from them" if after else ""
    where = f" ({len(changed - following)} of {transitions}{follow})" if changed else ""
    return f"{number(len(own), 'behaviour')} changed{where}"


# Groups.


def _group(place: int, group: Group, heading: int, colour: bool) -> list[str]:  # noqa: FBT001 - handed through
    return [
        *_painted(_headline(place, group, heading), "bold", colour),
        *_before_and_after(group, colour),
        *_shown_by(group.shown_by.behaviour),
    ]


def _following(changes: Sequence[Change]) -> list[str]:
    """What passes through a step that leads elsewhere now: counted by kind, with the shortest that shows it."""
    if not changes:
        return []
    kinds = Counter(change.kind for change in changes)
    counts = listed([f"{kinds[kind]} {_FOLLOWING[kind]}" for kind in Kind if kind in kinds])
    only = f"{number(len(changes), 'transition')} only follow from the above, through a step that leads elsewhere: {counts}"
    shortest = min(changes, key=lambda change: change.program.order).behaviour
    return [*labelled("  +", [only], column=4), *_shown_by(shortest)]


def _shown_by(shortest: Behaviour) -> list[str]:
    """The shortest program, and the line to paste, which is never broken."""
    return [
        *labelled("shown by", [_spelled(shortest.program.text)], indent=_INDENT, column=11),
        " " * _INDENT + padded("again", 11) + f"holdfast replay {shortest.ident}",
    ]


def _headline(place: int, group: Group, width: int) -> list[str]:
    """Where it shows, how often, and what changed: on one line where that has room."""
    *above, last = wrapped(_situation(group), max(width, _HEADING_MAX))
    how_often = padded(number(len(group.changes), "situation"), 16)
    return labelled(f"{place:2}", [*above, f"{padded(last, width)}    {how_often}{_what(group)}"], column=4)


def _situation(group: Group) -> str:
    """The operations, and the kind of state if it is one: ``increment_relay_count of a claimed session``."""
    operations = shown(listed(["time passing" if name == "clock" else name for name in group.operations]))
    return f"{operations} of {shown(group.kinds[0])}" if len(group.kinds) == 1 else operations


def _what(group: Group) -> str:
    change = group.shown_by
    if group.kind not in _CHANGED or change.old is None or change.new is None:
        return {Kind.NEW: "NEW", Kind.GONE: "GONE"}.get(group.kind, "COST CHANGED")
    if group.kind is Kind.EFFECT:
        return "response same, EFFECT CHANGED"
    old, new = change.old.outcome.seen, change.new.outcome.seen
    return "RESPONSE CHANGED, effect same" if old[1:] == new[1:] else "RESPONSE CHANGED, EFFECT CHANGED"


def _rest(groups: Sequence[Group]) -> list[str]:
    if not groups:
        return []
    transitions = number(len({change.program for group in groups for change in group.changes}), "transition")
    return [f" and {number(len(groups), 'more group')} ({transitions})"]


def _races(groups: Sequence[RaceGroup], before: int, colour: bool) -> list[str]:  # noqa: FBT001 - handed through
    lines: list[str] = []
    for place, group in enumerate(groups, before + 1):
        first, *rest = anomalies.group_lines(place, group)
        lines += [*_painted([first], "bold", colour), *rest]
    return lines


def _more_races(groups: Sequence[RaceGroup]) -> list[str]:
    situations = number(sum(len(group.changes) for group in groups), "situation")
    return [f" and {number(len(groups), 'more group')} of what is at once ({situations})"] if groups else []


def _laws(changes: Sequence[LawChange], colour: bool) -> list[str]:  # noqa: FBT001 - handed through
    """Those that were broken or mended; verdicts that only came or went are told in a line each."""
    grave = [change for change in changes if change.grave]
    lines = [
        line
        for place, change in enumerate(grave[:LAWS_MAX], 1)
        for line in laws.change_lines(place, change, colour=colour)
    ]
    more = len(grave) - LAWS_MAX
    lines += [f" and {number(more, 'more law')}"] if more > 0 else []
    return [*lines, *laws.verdict_lines([change for change in changes if not change.grave])]


def _faults(result: Comparison, before: int, colour: bool) -> list[str]:  # noqa: FBT001 - handed through
    """What ends otherwise when something goes wrong: the gravest groups, the others counted."""
    told = faults.chosen(result.fault_groups)
    lines: list[str] = []
    for place, group in enumerate(told, before + 1):
        first, *rest = faults.group_lines(place, group)
        lines += [*_painted([first], "bold", colour), *rest]
    return [*lines, *faults.more([group for group in result.fault_groups if group not in told])]


# Before and after.


def _before_and_after(group: Group, colour: bool) -> list[str]:  # noqa: FBT001 - handed through
    if group.kind in (Kind.NEW, Kind.GONE):
        sides = [(["(not there)"], _whole(group)) if group.kind is Kind.NEW else (_whole(group), ["(not there)"])]
    else:
        sides = _sides(group)
    lines = []
    for before, after in sides:
        lines += _painted(labelled("before", before, indent=_INDENT), "red", colour)
        lines += _painted(labelled("after", after, indent=_INDENT), "green", colour)
    more = len(group.differences) - DIFFERENCES_MAX
    return [*lines, " " * (_INDENT + 8) + f"... and {number(more, 'more line')}"] if more > 0 else lines


def _whole(group: Group) -> list[str]:
    """All that a behaviour shows that stands on one side only."""
    outcome = group.shown_by.behaviour.outcome
    lines = [_response(outcome.answer), *outcome.effects, *outcome.events]
    more = [f"... and {number(len(lines) - DIFFERENCES_MAX, 'more line')}"] if len(lines) > DIFFERENCES_MAX else []
    return [*(cut(line, LONGEST // 2) for line in lines[:DIFFERENCES_MAX]), *more]


def _sides(group: Group) -> list[tuple[list[str], list[str]]]:
    """Before and after: differences with two sides one by one, those with one side together."""
    kept = group.differences[:DIFFERENCES_MAX]
    pairs = [_pair(each, group) for each in kept if each.old is not None and each.new is not None]
    gone = [cut(each.old) for each in kept if each.old is not None and each.new is None]
    came = [cut(each.new) for each in kept if each.old is None and each.new is not None]
    sides = [([old], [new]) for old, new in pairs]
    sides += [(gone, [_nothing(gone)])] if gone else []
    sides += [([_nothing(came)], came)] if came else []
    return sides


def _nothing(other: Sequence[str]) -> str:
    return "(nothing of it)" if len(other) == 1 else "(nothing of these)"


def _pair(difference: Difference, group: Group) -> tuple[str, str]:
    assert difference.old is not None, "a pair has two sides"
    assert difference.new is not None, "a pair has two sides"
    old, new = apart(difference.old, difference.new)
    answers = {
        (change.old.outcome.answer, change.new.outcome.answer) for change in group.changes if change.old and change.new
    }
    is_answer = (difference.old, difference.new) in answers
    return (_response(old), _response(new)) if is_answer else (old, new)


def _response(answer: str) -> str:
    return answer if answer.startswith("raises ") else f"returns {answer}"


# What could not be run.


def _unrun(unrun: Sequence[tuple[str, str]]) -> list[str]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for program, reason in unrun:
        by_reason[reason].append(program)
    lines: list[str] = []
    for reason, programs in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        shortest = sorted(programs, key=lambda program: (len(program), program))[:PROGRAMS_MAX]
        more = len(programs) - len(shortest)
        rest = [f"... and {more} more"] if more else []
        lines += labelled(" NOT RUN", [f"{len(programs)}: {cut(reason)}"], column=_INDENT + 6)
        lines += labelled("", [*map(_spelled, shortest), *rest], indent=_INDENT, column=9)
    return lines


def _spelled(program: str) -> str:
    return program or "(nothing done yet)"


# Explanations.


def _steps(part: ExplainedPart) -> list[str]:
    rows = [row for step in part.steps for row in _rows(step)]
    if not rows:
        return ["  (no command)"]
    lane = max(cell_len(row[0]) for row in rows)
    command = max((size for row in rows if (size := cell_len(row[1])) <= _COMMAND_MAX), default=0)
    return [line for row in rows for line in _row(row, lane, command)]


_COMMAND_MAX = 64


def _row(row: tuple[str, str, str], lane: int, command: int) -> list[str]:
    """A lane, a command and its reply in one line; where they do not fit, the reply goes on a line of its own."""
    name, sent, reply = row
    if cell_len(sent) <= command and cell_len(reply) <= WIDTH - lane - command - 9:
        return [f"  {padded(name, lane)}  {padded(sent, command)}  -> {reply}".rstrip()]
    room = WIDTH - lane - 8
    first, *rest = wrapped(sent, room)
    indent = " " * (lane + 8)
    answer = [("-> " if place == 0 else "   ") + line for place, line in enumerate(wrapped(reply, room - 3))]
    return [f"  {padded(name, lane)}  {first}", *(indent + line for line in (*rest, *answer))]


def _rows(step: ExplainedStep) -> list[tuple[str, str, str]]:
    """Lane, command and reply; several commands of one step stand in a bracket."""
    pairs = list(itertools.zip_longest(step.commands, step.replies, fillvalue=""))
    last = len(pairs) - 1
    marks = [
        "  " if not last else "[ " if not place else "] " if place == last else "| " for place in range(len(pairs))
    ]
    return [
        (clipped(shown(step.lane), 24) if place == 0 else "", mark + cut(shown(command)), cut(shown(reply)))
        for place, (mark, (command, reply)) in enumerate(zip(marks, pairs, strict=True))
    ]


def _showed(outcome: Outcome) -> list[str]:
    commands, trips, sent = outcome.cost
    cost = f"{number(commands, 'command')} in {number(trips, 'round trip')}, {number(sent, 'byte')}"
    return [
        *labelled("answer", [cut(_response(outcome.answer))], indent=2, column=9),
        *labelled("effects", map(cut, outcome.effects or ["none"]), indent=2, column=9),
        *labelled("events", map(cut, outcome.events or ["none"]), indent=2, column=9),
        *labelled("cost", [cost], indent=2, column=9),
    ]


# Colour.


def _painted(lines: Sequence[str], style: str, colour: bool) -> list[str]:  # noqa: FBT001 - handed through
    return [f"\x1b[{_STYLES[style]}m{line}\x1b[0m" for line in lines] if colour else list(lines)
