"""A witness as rows and lanes: whose each step is, which of them raced, and of long values what tells them apart.

What is sent and answered is often the same long record again and again. Of such a record, spelled as JSON, only those
fields are kept in which it differs from another one of the same run: they are what the race is about.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from characterization.behaviour import Interruption
from characterization.program import AtOnce, Call, Move
from characterization.racing import Race, RaceStep, Witness
from reports.words import shown

BACKGROUND = 0
CLOCK = -1
WAITS = "waits"
STARTS = "(starts)"
TIMER = "(the next timer is due)"
RECORD_LONG = 48

_FRAME = ("MULTI", "EXEC")
_MOVES = {"clock", "timer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One who takes steps: a client by its number from 1, ``BACKGROUND`` or ``CLOCK``; ``does`` is what it was asked to."""

    client: int
    name: str
    does: str = ""

    @property
    def head(self) -> str:
        """``client 1: increment_relay_count s1 5``."""
        return f"{self.name}: {self.does}" if self.does else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry of a schedule: ``commands`` took effect at once, in a MULTI block if ``block``, and ``reply`` was answered.

    ``reply`` is empty where there is none to come, as for the clock. ``contended`` and ``line`` are those of the step.
    ``raced`` is ``early``, ``middle`` or ``late`` for the three accesses that the interruption names. Everything prints.
    """

    client: int
    commands: tuple[str, ...]
    reply: str = ""
    block: bool = False
    contended: tuple[str, ...] = ()
    line: str = ""
    raced: str = ""

    def matters(self, command: str) -> bool:
        """Whether ``command`` touches a key whose order with another client's step matters."""
        return any(_touches(command, word) for word in self.contended)


def called(at_once: AtOnce) -> str:
    """What clients are called, as the sentence of an interruption has it: replicas, if each has one of its own in order."""
    replicas = [calls[0].replica for calls in at_once.clients]
    return "replica" if replicas == list(range(1, len(replicas) + 1)) else "client"


def lanes_of(race: Race, witness: Witness) -> list[Lane]:
    """A lane for each client, for work in the background if there is any, and for time if it may pass."""
    at_once = at_once_of(race)
    found = clients_of(at_once)
    if any(step.client == BACKGROUND for step in witness.steps):
        found.append(Lane(client=BACKGROUND, name="background"))
    if at_once.moves or at_once.timers or _MOVES & set(_picks(witness)):
        found.append(Lane(client=CLOCK, name="clock"))
    return found


def at_once_of(race: Race) -> AtOnce:
    """What happens at once."""
    assert race.program.at_once is not None, "a race is between clients"
    return race.program.at_once


def clients_of(at_once: AtOnce) -> list[Lane]:
    """A lane for each client. Where it is called after its replica, its calls need not name that."""
    who = called(at_once)
    return [
        Lane(client=number, name=f"{who} {number}", does=" ; ".join(_spelled(call, who) for call in calls))
        for number, calls in enumerate(at_once.clients, 1)
    ]


def _spelled(call: Call, who: str) -> str:
    return shown((replace(call, replica=1) if who == "replica" else call).text)


def rows_of(race: Race, witness: Witness) -> list[Row]:
    """A row for each entry of the witness's schedule, in its order, with long records abridged."""
    record = Abridged(text for step in witness.steps for text in (*step.commands, *step.replies))
    marks = raced(witness.steps, witness.outcome.interruption)
    told = [_told(step, record, marks.get(place, "")) for place, step in enumerate(witness.steps)]
    return list(_in_order(witness, told, at_once_of(race).moves))


def _told(step: RaceStep, record: Abridged, mark: str) -> Row:
    block = step.commands[0].upper() == "MULTI" and len(step.commands) > 1
    replies = step.replies[-1:] if block else step.replies
    return Row(
        client=step.client, block=block, contended=step.contended, line=shown(step.line), raced=mark,
        commands=tuple(shown(record.text(command)) for command in _sent(step)),
        reply=", ".join(shown(record.text(reply)) for reply in replies) or WAITS,
    )  # fmt: skip


def _sent(step: RaceStep) -> tuple[str, ...]:
    """Its commands, without the frame of a block that has something in it."""
    return tuple(command for command in step.commands if _verb(command) not in _FRAME) or step.commands


def _verb(command: str) -> str:
    return command.split(" ", 1)[0].upper()


# The schedule, which also has what is no step at the gate.


def _picks(witness: Witness) -> list[str]:
    """Who goes next, from first to last: ``1 2*2`` is client 1, client 2, client 2."""
    parts = (part.partition("*") for part in witness.outcome.schedule.split())
    return [lane for lane, _, times in parts for _ in range(int(times or 1))]


def _in_order(witness: Witness, told: Sequence[Row], moves: Sequence[float]) -> Iterator[Row]:
    """The rows of the steps, and between them where the clock moved and where a client only started.

    A client that shares its replica starts by an entry of its own, so that it has one more of them than steps.
    """
    picks = [pick for pick in _picks(witness) if pick not in _MOVES]
    clients = {_client_of(pick) for pick in picks}
    starting = {
        client for client in clients
        if sum(_client_of(pick) == client for pick in picks) == 1 + sum(row.client == client for row in told)
    }  # fmt: skip
    left, times = iter(told), iter(moves)
    for pick in _picks(witness):
        if pick in _MOVES:
            yield Row(client=CLOCK, commands=(_moved(pick, times),))
        elif _client_of(pick) in starting:
            starting.remove(_client_of(pick))
            yield Row(client=_client_of(pick), commands=(STARTS,))
        else:
            yield from itertools.islice(left, 1)
    yield from left


def _client_of(pick: str) -> int:
    """``2`` is client 2, ``2.0`` the first task that it started; all else is work in the background."""
    found = re.match(r"\d+", pick)
    return int(found[0]) if found else BACKGROUND


def _moved(pick: str, times: Iterator[float]) -> str:
    seconds = next(times, None) if pick == "clock" else None
    return TIMER if seconds is None else Move(seconds).text


# The accesses that raced.


def raced(steps: Sequence[RaceStep], found: Interruption | None) -> Mapping[int, str]:
    """Which of ``steps`` are the two accesses that ``found`` names, and what came between; the closest together."""
    if found is None:
        return {}
    first, second = found.words
    middles = [
        place for place, step in enumerate(steps)
        if step.client == found.by and _whole(step) == found.came and {first, second} & set(step.contended)
    ]  # fmt: skip
    triples = [
        (late - early, early, middle, late)
        for early in _places(steps, found.client, found.early, first)
        for late in _places(steps, found.client, found.late, second)
        for middle in middles if early < middle < late
    ]  # fmt: skip
    if not triples:
        return {}
    _, early, middle, late = min(triples)
    return {early: "early", middle: "middle", late: "late"}


def _places(steps: Sequence[RaceStep], client: int, name: str, word: str) -> list[int]:
    return [place for place, step in enumerate(steps) if step.client == client and _is(step, name, word)]


def _is(step: RaceStep, name: str, word: str) -> bool:
    named = any(_verb(command) == name and _touches(command, word) for command in step.commands)
    return word in step.contended and (named or _whole(step) == name)


def _touches(command: str, word: str) -> bool:
    return f" {shown(word)} " in f"{shown(command)} "


def _whole(step: RaceStep) -> str:
    """A step as an interruption names it: ``GET``, ``MULTI {SET, SREM}``."""
    names = [_verb(command) for command in _sent(step)]
    if len(names) == 1:
        return names[0]
    return f"{'MULTI ' if _verb(step.commands[0]) == 'MULTI' else ''}{{{', '.join(names)}}}"


# Records.


class Abridged:
    """Long JSON records with only those fields in which they differ from others like them: ``{..., "state":"new", ...}``.

    ``texts`` are all that the records are compared in. Two are alike that share half of their fields or more.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._all = [record for text in texts for _, _, record in _records(text)]

    def text(self, text: str) -> str:
        """``text`` with its long records abridged."""
        pieces, done = [], 0
        for start, end, record in _records(text):
            pieces += [text[done:start], self._short(record) if end - start > RECORD_LONG else text[start:end]]
            done = end
        return "".join([*pieces, text[done:]])

    def _short(self, record: Mapping[str, Any]) -> str:
        alike = [other for other in self._all if 2 * len(record.keys() & other.keys()) >= len(record)]
        telling = [key for key in record if any(other.get(key, ...) != record[key] for other in alike)]
        kept = telling or list(record)[:1]
        runs = itertools.groupby(record, key=lambda key: key in kept)
        parts = [part for keep, keys in runs for part in ([_field(record, key) for key in keys] if keep else ["..."])]
        return f"{{{', '.join(parts)}}}"


def _field(record: Mapping[str, Any], key: str) -> str:
    name, value = (json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in (key, record[key]))
    return f"{name}:{value}"


def _records(text: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Each JSON object in ``text`` that has fields and stands in no other: where it begins, where it ends, and itself."""
    decoder, at = json.JSONDecoder(), text.find('{"')
    while at >= 0:
        try:
            record, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            end = at + 1  # braces that are no JSON
        else:
            yield at, end, record
        at = text.find('{"', end)
