"""Operations at once, as text: what no order explains comes first, each with a lane for each client and how it came.

A row is an entry of the schedule: what was sent, what was answered, and the service's own line that sent it. ``*`` stands
before what touches a key whose order with another client's step matters, ``>`` in the margin of the accesses that raced.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from characterization.behaviour import RaceOutcome
from characterization.racing import Race, Witness
from reports.eliding import cut
from reports.witness import Lane, Row, at_once_of, clients_of, lanes_of, rows_of
from reports.words import WIDTH, clipped, few_lines, labelled, listed, number, padded, painted, shown, wrapped

LANES_BESIDE_MAX = 3
DRAWN_MAX = 6
OUTCOMES_MAX = 20
EFFECTS_MAX = 12
EFFECTS_SERIAL_MAX = 4
_ANSWER_MAX = 160
_INDENT = 6
_COLUMN = 10
_GAP = 3
_COMMAND_LINES = 3
_REPLY_LINES = 2
_BLOCK_MAX = 8


def text(race: Race, *, colour: bool = False) -> str:
    """What ``race`` showed: the program, how it was explored, the anomalies step by step, then what some order has too.

    At most 120 columns wide, except the lines that are meant to be pasted. The simplest anomalies come first; from the
    seventh on they are without their steps, and after twenty outcomes the rest is counted. A schedule that was run again
    is shown step by step in any case. Ends without a line break; in colour the same text with ANSI sequences in between.
    """
    title = f"{shown(race.ident)}    seed {race.seed}, on {shown(race.backend)}"
    lines = [*painted(wrapped(title, WIDTH), "bold", colour), *_head(race)]
    found = in_order(race)
    for place, witness in enumerate(found[:OUTCOMES_MAX], 1):
        lines += ["", *_outcome(race, place, witness, colour)]
    more = len(found) - OUTCOMES_MAX
    return "\n".join([*lines, "", f" and {number(more, 'more outcome')}"] if more > 0 else lines)


def in_order(race: Race) -> list[Witness]:
    """The witnesses, anomalies first: those that a real server has often, that can be explained, with few switches."""
    return sorted(race.witnesses, key=lambda witness: _rank(witness.outcome))


def _rank(outcome: RaceOutcome) -> tuple[object, ...]:
    unexplained = outcome.interruption is None
    return outcome.serial, outcome.split, unexplained, len(outcome.schedule.split()), outcome.schedule, outcome.seen


# What was run.


def told(race: Race) -> list[tuple[str, str]]:
    """The program, part by part, and how it was explored, each with its label."""
    at_once = at_once_of(race)
    moves = ", ".join(f"+{seconds:g}s" for seconds in at_once.moves)
    parts = [
        ("from", f"{shown(race.program.prelude.text) or '(nothing done yet)'}    ({shown(race.kind)})"),
        *((lane.name, lane.does) for lane in clients_of(at_once)),
        ("clock", f"moves by {moves}, at any time" if moves else ""),
        ("timers", "may be due before steps that could be taken first" if at_once.timers else ""),
        ("explored", explored(race)),
    ]
    return [(label, text) for label, text in parts if text]


def _head(race: Race) -> list[str]:
    parts = told(race)
    column = max(_COLUMN, *(cell_len(label) + 2 for label, _ in parts))
    return [line for label, text in parts for line in labelled(label, [text], indent=2, column=column)]


def explored(race: Race) -> str:
    """How the outcomes were looked for, and how many there are: ``all 4 classes of interleavings: 3 outcomes, ...``."""
    if race.again:
        return "one schedule, again"
    found = f"{number(len(race.outcomes), 'outcome')}, {_anomalies(len(race.anomalies))}"
    how = race.explored
    if how.mode == "orders":
        return f"no step to interleave: {found}"
    if how.complete:
        classes = f"all {how.classes} classes" if how.classes > 1 else "the only class"
        return f"{classes} of interleavings: {found}"
    unseen = f"about {how.unseen:.1%} of further runs would show another"
    return f"sampled, {number(how.classes, 'run')}, {unseen}: {found}"


def _anomalies(count: int) -> str:
    return f"{count or 'none'} that no order explains"


# One outcome.


def _outcome(race: Race, place: int, witness: Witness, colour: bool) -> list[str]:  # noqa: FBT001 - handed through
    outcome = witness.outcome
    lines = painted(labelled(f"{place:2}", [verdict(outcome)], column=4), "" if outcome.serial else "red", colour)
    sentence = [outcome.interruption.sentence] if outcome.interruption else []
    lines += painted(labelled("", sentence, indent=_INDENT, column=0), "bold", colour)
    for label, texts in shows(race, outcome):
        lines += labelled(label, texts, indent=_INDENT, column=_COLUMN)
    if race.again or (not outcome.serial and place <= DRAWN_MAX):
        lines += ["", *_lanes(lanes_of(race, witness), rows_of(race, witness), colour), ""]
    return [*lines, " " * _INDENT + padded("again", _COLUMN) + pasted(race, outcome)]


def verdict(outcome: RaceOutcome) -> str:
    """Whether some order has it, and if none, whether a real server does."""
    if outcome.serial:
        return "some order has it too"
    split = " (split pipeline: a real server seldom lets this happen)" if outcome.split else ""
    return f"ANOMALY: no order of the same calls has it{split}"


def shows(race: Race, outcome: RaceOutcome) -> list[tuple[str, list[str]]]:
    """What came of it, each part with its label; of an anomaly also what the order that is nearest to it has instead."""
    most = EFFECTS_SERIAL_MAX if outcome.serial and not race.again else EFFECTS_MAX
    parts = [
        ("answers", _answers(race, outcome)),
        ("effects", _few(outcome.effects, most) or ["nothing is different"]),
        ("events", _few(outcome.events, most)),
        ("unlike", _unlike(race, outcome)),
    ]
    return [(label, texts) for label, texts in parts if texts]


def _answers(race: Race, outcome: RaceOutcome) -> list[str]:
    calls = at_once_of(race).calls
    return [f"{shown(call.text)}: {_answer(answer)}" for call, answer in zip(calls, outcome.answers, strict=True)]


def _answer(answer: str) -> str:
    return clipped(shown(answer if answer.startswith("raises ") else f"returns {answer}"), _ANSWER_MAX)


def _few(texts: Sequence[str], most: int) -> list[str]:
    """The first of ``texts``, each cut to a length that can be read, and how many more there are."""
    more = [f"... and {len(texts) - most} more"] if len(texts) > most else []
    return [*(cut(shown(each), _ANSWER_MAX) for each in texts[:most]), *more]


def _unlike(race: Race, outcome: RaceOutcome) -> list[str]:
    """Where an anomaly differs from that outcome of an order with which it has most in common."""
    orders = [each for each in race.outcomes if each.serial]
    if outcome.serial or not orders:
        return []
    mine = _all(race, outcome)
    nearest = min(orders, key=lambda each: (len(mine ^ _all(race, each)), each.schedule))
    theirs = _all(race, nearest)
    lacking, besides = (_few(sorted(each), EFFECTS_SERIAL_MAX) for each in (theirs - mine, mine - theirs))
    head = f"the nearest outcome of an order ({nearest.schedule}) "
    return [
        *([f"{head}has: {listed(lacking)}"] if lacking else []),
        *([f"{'and ' if lacking else head}has not: {listed(besides)}"] if besides else []),
    ]


def _all(race: Race, outcome: RaceOutcome) -> set[str]:
    return {*_answers(race, outcome), *outcome.effects, *outcome.events}


def pasted(race: Race, outcome: RaceOutcome) -> str:
    """The line that runs this outcome's schedule again, as a shell takes it."""
    words = ["holdfast", "replay", f"{race.subject}: {race.program.text}", "--schedule", outcome.schedule]
    return shlex.join(words)


# Lanes.


def _lanes(lanes: Sequence[Lane], rows: Sequence[Row], colour: bool) -> list[str]:  # noqa: FBT001 - handed through
    beside = len(lanes) <= LANES_BESIDE_MAX
    drawn = _columns(lanes, rows) if beside else _one_column(lanes, rows)
    lines = [line for style, text in drawn for line in painted([text], style, colour)]
    return [*lines, *_legend(rows)]


def _legend(rows: Sequence[Row]) -> list[str]:
    """What the marks mean, where there are any."""
    keys = sorted({word for row in rows for word in row.contended})
    contended = [f"its order with another client's step matters: {listed([shown(key) for key in keys])}"]
    raced = ["the accesses that raced"] if any(row.raced for row in rows) else []
    return [
        *labelled("*", contended if keys else [], indent=_INDENT, column=2),
        *labelled(">", raced, indent=_INDENT - 2, column=4),
    ]


def _columns(lanes: Sequence[Lane], rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Lanes side by side, each line with its style. The service's own lines stand at the right end if all fit there."""
    room = WIDTH - _INDENT - _GAP * (len(lanes) - 1)
    widths = _shared_out([_wanted(lane, rows) for lane in lanes], room)
    code = max((cell_len(row.line) for row in rows), default=0)
    aside = code <= room - sum(widths) - _GAP
    heads = [few_lines(lane.head, width, _REPLY_LINES) for lane, width in zip(lanes, widths, strict=True)]
    lines = [("bold", _line("", each, widths)) for each in _zipped(heads)]
    lines.append(("", _line("", ["-" * width for width in widths], widths)))
    places = {lane.client: place for place, lane in enumerate(lanes)}
    for row in rows:
        place = places[row.client]
        for line, cell in enumerate(_cell(row, widths[place])):
            cells = [*([""] * place), cell, *([""] * (len(lanes) - place - 1))]
            cells += [row.line] if aside and line == 0 else []
            lines.append(("", _line(_margin(row, line), cells, [*widths, code])))
        left = _INDENT + sum(widths[:place]) + _GAP * place
        lines += [] if aside else _code(row, left)
    return lines


def _one_column(lanes: Sequence[Lane], rows: Sequence[Row]) -> list[tuple[str, str]]:
    """One step beneath the other, each with the name of its lane in front: for more lanes than there is room for."""
    names = {lane.client: lane.name for lane in lanes}
    widths = [max(map(cell_len, names.values())), 0]
    widths[1] = WIDTH - _INDENT - widths[0] - _GAP
    lines = [("bold", line) for lane in lanes for line in labelled("", [lane.head], indent=_INDENT, column=0)]
    lines.append(("", " " * _INDENT + "-" * (sum(widths) + _GAP)))
    for row in rows:
        for line, cell in enumerate(_cell(row, widths[1])):
            lines.append(("", _line(_margin(row, line), ["" if line else names[row.client], cell], widths)))
        lines += _code(row, _INDENT + widths[0] + _GAP)
    return lines


def _code(row: Row, left: int) -> list[tuple[str, str]]:
    """The service's own line beneath a step whose lane begins at ``left``: in one piece, further left if it is too long."""
    line = clipped(row.line, WIDTH - _INDENT - 4)
    return [("dim", " " * min(left + 4, WIDTH - cell_len(line)) + line)] if line else []


def _wanted(lane: Lane, rows: Sequence[Row]) -> int:
    """How wide a lane would be if nothing of it were broken."""
    cells = [text for row in rows if row.client == lane.client for text in _cell(row, 10 * WIDTH)]
    return max(map(cell_len, (lane.head, *cells)))


def _shared_out(wanted: Sequence[int], room: int) -> list[int]:
    """``room`` for all of ``wanted``: who wants less than a fair share gets it, the others share the rest."""
    widths = [0] * len(wanted)
    for done, place in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        widths[place] = min(wanted[place], room // (len(wanted) - done))
        room -= widths[place]
    return widths


def _zipped(columns: Sequence[Sequence[str]]) -> list[list[str]]:
    longest = max(map(len, columns))
    return [[column[line] if line < len(column) else "" for column in columns] for line in range(longest)]


def _margin(row: Row, line: int) -> str:
    return "> " if row.raced and line == 0 else ""


def _line(margin: str, cells: Iterable[str], widths: Iterable[int]) -> str:
    padding = (" " * _GAP).join(padded(cell, width) for cell, width in zip(cells, widths, strict=False))
    return (" " * (_INDENT - len(margin)) + margin + padding).rstrip()


# A step in its lane.


def _cell(row: Row, width: int) -> list[str]:
    """A step's lines: what was sent and what was answered."""
    return _block(row, width) if row.block or len(row.commands) > 1 else _command(row, width)


def _command(row: Row, width: int) -> list[str]:
    (command,) = row.commands
    mark = "* " if row.contended else "  "
    answer = f" -> {row.reply}" if row.reply else ""
    if cell_len(mark + command + answer) <= width:
        return [mark + command + answer]
    lines = few_lines(command, width - 2, _COMMAND_LINES)
    return [mark + lines[0], *(f"  {line}" for line in lines[1:]), *_reply(row, "  ", width)]


def _block(row: Row, width: int) -> list[str]:
    """What took effect at once, a line for each command, in brackets."""
    marked = any(map(row.matters, row.commands)) or not row.contended
    lines = [f"{'  ' if marked else '* '}{'MULTI ' if row.block else ''}{{"]
    for command in row.commands[:_BLOCK_MAX]:
        first, *rest = few_lines(command, width - 4, _COMMAND_LINES)
        lines += [f"{'  * ' if row.matters(command) else '    '}{first}", *(f"    {line}" for line in rest)]
    more = len(row.commands) - _BLOCK_MAX
    return [*lines, *([f"    ... and {more} more"] if more > 0 else []), *_reply(row, "  } ", width)]


def _reply(row: Row, front: str, width: int) -> list[str]:
    first, *rest = few_lines(row.reply, width - len(front) - 3, _REPLY_LINES) if row.reply else [""]
    return [f"{front}-> {first}", *(" " * (len(front) + 3) + line for line in rest)] if row.reply else []
