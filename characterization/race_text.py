"""Races in a baseline: one JSON file for each pair of operations, one outcome a line, so that they merge and can be read.

    {"format": 1, "subject": "relay.store", "programs": [
    {"program": "save s1 ; { get s1 || delete s1 @2 }", "kind": "an active session", "explored": "all", "classes": 3,
      "serial": {"1 2": "5d4c…", "2 1": "09aa…"}, "anomalies": [
      {"answers": […], "effects": […], "events": […], "schedule": "1 2*2 1", "interruption": {…}}]}
    ]}

Programs are in the order of their spelling, outcomes in that of what they show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from characterization.behaviour import Explored, Interruption, RaceBehaviour, RaceOutcome
from characterization.json_text import file_text, line, parsed
from characterization.program import parse

NAME_MAX = 120


def race_texts(subject: str, races: Iterable[RaceBehaviour]) -> dict[str, str]:
    """The files of ``races`` by name, without ``.json``: the same bytes for equal races."""
    files: dict[str, list[RaceBehaviour]] = defaultdict(list)
    for race in races:
        files[race.program.subject_of[:NAME_MAX]].append(race)
    return {name: _file(subject, members) for name, members in sorted(files.items())}


def _file(subject: str, races: Iterable[RaceBehaviour]) -> str:
    ordered = sorted(races, key=lambda race: race.program.text)
    return file_text(subject, "programs", map(_race, ordered))


def _race(race: RaceBehaviour) -> str:
    explored: dict[str, Any] = {"explored": race.explored.mode, "classes": race.explored.classes}
    if race.explored.unseen:
        explored["unseen"] = race.explored.unseen
    head = line({"program": race.program.text, "kind": race.kind, **explored, "serial": dict(race.serial)})
    outcomes = ",\n".join(f"  {line(_outcome(each))}" for each in race.anomalies)
    return f'{head[:-1]}, "anomalies": [{chr(10) if outcomes else ""}{outcomes}]}}'


def _outcome(outcome: RaceOutcome) -> dict[str, Any]:
    told: dict[str, Any] = {
        "answers": outcome.answers, "effects": outcome.effects, "events": outcome.events, "schedule": outcome.schedule,
    }  # fmt: skip
    if outcome.split:
        told["split"] = True
    if outcome.interruption is not None:
        told["interruption"] = asdict(outcome.interruption)
    return told


def parse_races(text: str, path: Path) -> list[RaceBehaviour]:
    """The races that ``text`` holds.

    Raises:
        BaselineError: it was written by a newer version, or cannot be read.
    """
    return parsed(text, path, _races)


def _races(found: Mapping[str, Any], subject: str) -> list[RaceBehaviour]:
    return [_parse_race(race, subject) for race in found["programs"]]


def _parse_race(race: Mapping[str, Any], subject: str) -> RaceBehaviour:
    explored = Explored(mode=race["explored"], classes=race["classes"], unseen=race.get("unseen", 0.0))
    program = parse(race["program"])
    if program.at_once is None:
        raise ValueError(f"nothing is at once in `{program.text}`")
    return RaceBehaviour(
        subject=subject, program=program, kind=race["kind"], serial=tuple(race["serial"].items()),
        anomalies=tuple(map(_parse_outcome, race["anomalies"])), explored=explored,
    )  # fmt: skip


def _parse_outcome(told: Mapping[str, Any]) -> RaceOutcome:
    interruption = told.get("interruption")
    return RaceOutcome(
        answers=tuple(told["answers"]), effects=tuple(told["effects"]), events=tuple(told["events"]),
        schedule=told["schedule"], split=told.get("split", False),
        interruption=None if interruption is None else _parse_interruption(interruption),
    )  # fmt: skip


def _parse_interruption(told: Mapping[str, Any]) -> Interruption:
    first, second = told["words"]
    return Interruption(**{**told, "words": (first, second)})
