"""What calls show that something goes wrong in, as text: what is left behind, what got better, what got worse."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence

from characterization.behaviour import Done, Ending, FaultBehaviour, Recording
from characterization.comparing_faults import FaultGroup, Turn, cause
from characterization.explaining import ExplainedAct, ExplainedStep, FaultExplanation
from characterization.kinds import Kind
from reports.eliding import cut
from reports.words import labelled, listed, number, padded, shown

GROUPS_MAX = 10
WORSE_MAX = 12
BETTER_MAX = 8
REST_MAX = 8
LINES_MAX = 4
LETTERS_MAX = 160
FAULTS_MAX = 8
_INDENT = 6
_COLUMN = 11
HALFWAY = (Done.HALF, Done.TWICE, Done.OTHER)
_ONE_SIDED = {Kind.NEW: "NEW", Kind.GONE: "GONE"}


# What is different.


def group_lines(place: int, group: FaultGroup) -> list[str]:
    """One group: where it goes wrong, how often, which way it turned; how it ended and ends; and the lines to paste."""
    change = group.shown_by
    head = (
        f"{padded(shown(_where(change.behaviour)), 52)}    {padded(_situations(len(group.changes)), 16)}{_what(group)}"
    )
    lines = labelled(f"{place:2}", [head], column=4)
    lines += _labelled("by", [listed(group.faults, FAULTS_MAX)])
    for label, fault in (("before", change.old), ("after", change.new)):
        lines += _labelled(label, ["(not there)"] if fault is None else _shown(fault))
    lines += _labelled("shown by", [change.program.text])
    return [*lines, _again(change.behaviour, explained=change.kind is Kind.NEW)]


def turned(groups: Sequence[FaultGroup]) -> str:
    """How many faults ended better or worse: ``, under faults 12 better and 3 worse``; nothing where none turned."""
    counts = Counter(group.turn for group in groups for _ in group.changes)
    told = [f"{counts[turn]} {turn}" for turn in (Turn.WORSE, Turn.BETTER, Turn.OTHERWISE) if counts[turn]]
    return f", under faults {listed(told)}" if told else ""


def chosen(groups: Sequence[FaultGroup]) -> list[FaultGroup]:
    """Those that are told in full: the gravest of what got worse, of what got better, then of the rest."""
    worse, better, rest = (
        [group for group in groups if group.turn is turn and not (group.follows and turn is Turn.OTHERWISE)]
        for turn in (Turn.WORSE, Turn.BETTER, Turn.OTHERWISE)
    )
    found = [*worse[:WORSE_MAX], *better[:BETTER_MAX]]
    return [*found, *rest[: REST_MAX if not found else max(0, REST_MAX - len(found))]]


def more(groups: Sequence[FaultGroup]) -> list[str]:
    """Those groups that have no room, or only follow from what the operations do when nothing goes wrong: counted."""
    if not groups:
        return []
    counts = Counter(group.turn for group in groups for _ in group.changes)
    told = listed([f"{counts[turn]} {turn}" for turn in Turn if counts[turn]])
    return labelled("  +", [f"{number(len(groups), 'more group')} of faults: {told}"], column=4)


def _situations(count: int) -> str:
    return number(count, "situation")


def _where(fault: FaultBehaviour) -> str:
    return f"{fault.program.subject_of}, at its {fault.step}" if fault.step else fault.program.subject_of


def _what(group: FaultGroup) -> str:
    change = group.shown_by
    if change.old is None or change.new is None:
        return _ONE_SIDED[change.kind] + ("" if group.turn is Turn.OTHERWISE else f", and {group.turn.upper()}")
    if group.turn is Turn.OTHERWISE:
        return "ENDS OTHERWISE"
    endings = dict.fromkeys((change.old.ending, change.new.ending))
    return f"{group.turn.upper()}: {' -> '.join(endings)}"


def _shown(fault: FaultBehaviour) -> list[str]:
    """The sentence, the answer, and what is left."""
    answer = [f"answer: {cut(fault.answer, LETTERS_MAX)}"] if fault.answer else []
    return [cut(fault.sentence, 2 * LETTERS_MAX), *answer, *_left(fault)]


def _left(fault: FaultBehaviour) -> list[str]:
    lines = [f"left: {cut(line, LETTERS_MAX)}" for line in fault.left[:LINES_MAX]]
    more = len(fault.left) - LINES_MAX
    return [*lines, *([f"... and {number(more, 'more line')}"] if more > 0 else [])]


def _labelled(label: str, texts: Sequence[str]) -> list[str]:
    return labelled(label, texts, indent=_INDENT, column=_COLUMN)


def _again(fault: FaultBehaviour, *, explained: bool) -> str:
    # What is not pinned has nothing to be held against.
    words = ["holdfast", "explain" if explained else "replay", fault.ident]
    return " " * _INDENT + padded("again", _COLUMN) + shlex.join(words)


# What was recorded.


def recorded(recording: Recording) -> list[str]:
    """How calls end that something goes wrong in, and what is left behind, or halfway until it is healed."""
    faults = list(recording.faults.values())
    if not faults:
        return []
    counts = Counter(fault.ending for fault in faults)
    told = listed([f"{counts[ending]} {ending}" for ending in Ending if counts[ending]])
    lines = labelled("under faults", [f"{number(len(faults), 'program')}: {told}"], indent=2, column=14)
    return [*lines, *_worst([fault for fault in faults if fault.ending is Ending.LEFT or fault.done in HALFWAY])]


def _worst(faults: Sequence[FaultBehaviour]) -> list[str]:
    groups: dict[object, list[FaultBehaviour]] = defaultdict(list)
    for fault in sorted(faults, key=lambda each: each.program.order):
        groups[_signature(fault)].append(fault)
    ordered = sorted(groups.values(), key=_rank)
    lines = [line for group in ordered[:GROUPS_MAX] for line in _group(group)]
    more = ordered[GROUPS_MAX:]
    rest = f"    and {number(len(more), 'more group')} ({number(sum(map(len, more)), 'program')})"
    return [*lines, rest] if more else lines


def _signature(fault: FaultBehaviour) -> object:
    return fault.program.subject_of, cause(fault), fault.ending is Ending.LEFT


def _rank(group: Sequence[FaultBehaviour]) -> tuple[object, ...]:
    """What a fault put there itself is less of a surprise than what the service did or left undone."""
    return group[0].done is Done.DAMAGE, group[0].ending is not Ending.LEFT, -len(group), group[0].program.order


def _group(group: Sequence[FaultBehaviour]) -> list[str]:
    first = group[0]
    lines = labelled(number(len(group), "program"), [f"{_where(first)}: {_said(first)}"], indent=4, column=16)
    details = [("by", [listed(sorted({fault.kinds for fault in group}), FAULTS_MAX)]), ("left", _left(first)),
               ("shown by", [first.program.text])]  # fmt: skip
    for label, texts in details:
        lines += labelled(label, [text.removeprefix("left: ") for text in texts], indent=20, column=10)
    return lines


def _said(fault: FaultBehaviour) -> str:
    return cut(fault.sentence, 2 * LETTERS_MAX)


# One of them.


def struck(fault: FaultBehaviour) -> str:
    """One call that something goes wrong in: what it shows, and what is left of it."""
    lines = [f"{shown(fault.ident)}    {fault.ending}", *labelled("", [fault.program.text], indent=2, column=2)]
    doubt = ["the caller cannot know whether it was done"] if fault.in_doubt else []
    parts = [("at", [fault.step]), ("says", [fault.sentence, *doubt]), ("answer", [fault.answer]),
             ("effects", fault.effects), ("events", fault.events), ("left", fault.left)]  # fmt: skip
    for label, texts in parts:
        lines += labelled(label, [cut(text) for text in texts if text], indent=4, column=9)
    return "\n".join(lines)


def explanation(told: FaultExplanation) -> str:
    """One call that something goes wrong in, act by act: every step, the struck ones marked, and what each showed."""
    fault = told.behaviour
    lines = [f"{shown(told.ident)}    seed {told.seed}, on {shown(told.backend)}"]
    lines += labelled("of", [fault.program.text], indent=2, column=10)
    lines += labelled("in short", [fault.sentence], indent=2, column=10)
    for act in told.acts:
        lines += ["", *_act(act)]
    left = labelled("left", [cut(line) for line in fault.left], indent=2, column=10)
    again = shlex.join(["holdfast", "replay", f"{fault.subject}: {fault.program.text}"])
    return "\n".join([*lines, "", *left, f"again     {again}"])


def _act(act: ExplainedAct) -> list[str]:
    lines = labelled("", [act.text], column=0)
    for step in act.steps:
        lines += _step(step)
    lines += labelled("answer", [cut(act.answer)], indent=2, column=10)
    lines += labelled("effects", [cut(line) for line in act.effects] or ["none"], indent=2, column=10)
    return [*lines, *labelled("events", [cut(line) for line in act.events], indent=2, column=10)]


def _step(step: ExplainedStep) -> list[str]:
    """What was sent, and what was answered; what struck it in front."""
    lines = labelled("!", [f"HERE: {step.struck}"] if step.struck else [], indent=2, column=2)
    replies = [*step.replies, *["no reply"] * (len(step.commands) - len(step.replies))]
    for command, reply in zip(step.commands, replies, strict=False):
        lines += labelled("", [f"{cut(command, LETTERS_MAX)} -> {cut(reply, LETTERS_MAX)}"], indent=4, column=0)
    return lines
