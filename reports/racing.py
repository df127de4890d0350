"""Operations at once, as text: each outcome, and for those that no order explains a lane for each client."""

from __future__ import annotations

import shlex

from characterization.racing import Race, RaceOutcome, RaceStep
from reports.words import WIDTH, clipped, labelled, number, padded, shown, wrapped

_INDENT = 6


def text(race: Race) -> str:
    """What ``race`` showed: how it was explored, then its outcomes, those that some order has too first."""
    title = shown(f"{race.subject}    {'  ||  '.join(race.calls)}")
    lines = [*wrapped(title, WIDTH), *labelled("from", [race.prelude or "(nothing done yet)"], indent=2, column=10)]
    lines += labelled("on", [_replicas(race)], indent=2, column=10)
    lines += labelled("explored", [_explored(race)], indent=2, column=10)
    for place, outcome in enumerate(race.outcomes, 1):
        lines += _outcome(race, place, outcome)
    return "\n".join(lines)


def _replicas(race: Race) -> str:
    return "one replica" if race.replicas == 1 else f"{race.replicas} replicas"


def _explored(race: Race) -> str:
    certificate = race.certificate
    found = f"{number(len(race.outcomes), 'outcome')}, {_anomalies(len(race.anomalies))}"
    if certificate.mode == "replay":
        return "one schedule, again"
    if certificate.complete:
        classes = f"all {certificate.classes} classes" if certificate.classes > 1 else "the only class"
        return f"{classes} of interleavings: {found}"
    classes = number(certificate.classes, "class", "classes")
    return f"sampled, {classes} and more: {found}; about {race.unseen:.1%} of further runs would show another"


def _anomalies(count: int) -> str:
    return "none that no order explains" if not count else f"{count} that no order explains"


def _outcome(race: Race, place: int, outcome: RaceOutcome) -> list[str]:
    head = f"{place:2}  {'some order has it too' if outcome.serial else 'ANOMALY: no order of the same calls has it'}"
    answers = [f"{call}: {_answer(answer)}" for call, answer in zip(race.calls, outcome.answers, strict=True)]
    lines = [head, *labelled("answers", answers, indent=_INDENT, column=10)]
    lines += labelled("effects", outcome.effects or ["nothing is different"], indent=_INDENT, column=10)
    lines += labelled("events", outcome.events, indent=_INDENT, column=10) if outcome.events else []
    if not outcome.serial:
        lines += [*_lanes(race, outcome.steps), *labelled("", [outcome.between], indent=_INDENT, column=0)]
    return [*lines, *_again(race, outcome)]


def _answer(answer: str) -> str:
    return clipped(answer if answer.startswith("raises ") else f"returns {answer}", 160)


def _again(race: Race, outcome: RaceOutcome) -> list[str]:
    words = ["holdfast", "explore", race.subject, *race.calls]
    words += ["--from", race.prelude] if race.prelude else []
    words += ["--replicas", str(race.replicas)] if race.replicas > 1 else []
    return [" " * _INDENT + padded("again", 10) + shlex.join([*words, "--schedule", outcome.schedule])]


def _lanes(race: Race, steps: tuple[RaceStep, ...]) -> list[str]:
    """A column for each client, a row for each step."""
    clients = sorted({*range(1, len(race.calls) + 1), *(step.client for step in steps)})
    room = (WIDTH - _INDENT) // len(clients) - 2
    heads = [f"client {client}" if client else "background" for client in clients]
    rows = [_columns(heads, room), _columns(["-" * min(room, len(head)) for head in heads], room)]
    for step in steps:
        cells = [""] * len(clients)
        cells[clients.index(step.client)] = _step_words(step, room)
        rows.append(_columns(cells, room))
    return rows


def _columns(cells: list[str], room: int) -> str:
    return (" " * _INDENT + "  ".join(padded(cell, room) for cell in cells)).rstrip()


def _step_words(step: RaceStep, room: int) -> str:
    """A step in one line; of a MULTI block, what is in it and what EXEC answered."""
    sent, reply = step.commands[0], ", ".join(step.replies) or "waits"
    if len(step.commands) > 1:
        inside = [command.split(" ", 1)[0] for command in step.commands[1:-1]]
        sent, reply = f"MULTI {{{', '.join(inside)}}}", step.replies[-1] if step.replies else "waits"
    answer = f" -> {clipped(shown(reply), room // 3)}"
    return clipped(shown(sent), room - len(answer)) + answer
