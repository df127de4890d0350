"""Faults in a baseline: one JSON file for each operation, one outcome a line, so that they merge and can be read.

    {"format": 1, "subject": "relay.store", "programs": [
    {"program": "save s1 ; get s1", "kind": "an active session", "outcomes": [
      {"faults": {"busy @1": "GET main(s1)"}, "ending": "healed by retry", "told": "the caller is told it failed", …},
      {"faults": {"clock jump 3600s @1": "GET main(s1)", "reply lost @1": "GET main(s1)"}, "ending": "unnoticed"}]}
    ]}

Each program stands once, with nothing going wrong in it; faults of it that show the same share a line. Programs and faults
are in the order of their spelling, outcomes in that of their faults.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from characterization.behaviour import Done, Ending, FaultBehaviour, Told
from characterization.json_text import file_text, line, parsed
from characterization.program import STRUCK_BY, Program, parse

_LINES = ("effects", "events", "left")


def fault_texts(subject: str, faults: Iterable[FaultBehaviour]) -> dict[str, str]:
    """The files of ``faults`` by name, without ``.json``: the same bytes for equal faults."""
    files: dict[str, list[FaultBehaviour]] = defaultdict(list)
    for fault in faults:
        files[fault.program.subject_of].append(fault)
    return {name: _file(subject, members) for name, members in sorted(files.items())}


def _file(subject: str, faults: Iterable[FaultBehaviour]) -> str:
    programs: dict[tuple[str, str], list[FaultBehaviour]] = defaultdict(list)
    for fault in faults:
        programs[fault.program.healthy.text, fault.kind].append(fault)
    told = [_program(program, kind, members) for (program, kind), members in sorted(programs.items())]
    return file_text(subject, "programs", told)


def _program(program: str, kind: str, faults: Iterable[FaultBehaviour]) -> str:
    alike: dict[str, dict[str, str]] = defaultdict(dict)
    for fault in sorted(faults, key=lambda each: each.fault):
        alike[line(_outcome(fault))][fault.fault] = fault.step
    lines = sorted(f'{{"faults": {line(steps)}, {told[1:]}' for told, steps in alike.items())
    head = line({"program": program, "kind": kind})
    return f'{head[:-1]}, "outcomes": [\n  ' + ",\n  ".join(lines) + "]}"


def _outcome(fault: FaultBehaviour) -> dict[str, Any]:
    told: dict[str, Any] = {"ending": fault.ending.value}
    if fault.ending is Ending.NOT_STRUCK:
        return {**told, "why": fault.why}
    if fault.ending is Ending.UNNOTICED:
        return told
    told |= {"told": fault.told.value, "done": fault.done.value, "answer": fault.answer}
    told |= {name: lines for name in _LINES if (lines := getattr(fault, name))}
    return {**told, "in doubt": True} if fault.in_doubt else told


def parse_faults(text: str, path: Path) -> list[FaultBehaviour]:
    """The faults that ``text`` holds.

    Raises:
        BaselineError: it was written by a newer version, or cannot be read.
    """
    return parsed(text, path, _faults)


def _faults(found: Mapping[str, Any], subject: str) -> list[FaultBehaviour]:
    return [each for told in found["programs"] for each in _parse_program(told, subject)]


def _parse_program(told: Mapping[str, Any], subject: str) -> Iterator[FaultBehaviour]:
    for outcome in told["outcomes"]:
        for fault, step in outcome["faults"].items():
            program = parse(f"{told['program']}{STRUCK_BY}{fault}")
            yield _parse_outcome(outcome, subject, program, told["kind"], step)


def _parse_outcome(told: Mapping[str, Any], subject: str, program: Program, kind: str, step: str) -> FaultBehaviour:
    lines: dict[str, Sequence[str]] = {name: tuple(told.get(name, ())) for name in _LINES}
    return FaultBehaviour(
        subject=subject, program=program, kind=kind, step=step, ending=Ending(told["ending"]),
        told=Told(told.get("told", Told.AS_HEALTHY)), done=Done(told.get("done", Done.ALL)),
        answer=told.get("answer", ""), in_doubt=told.get("in doubt", False), why=told.get("why", ""),
        **lines,  # type: ignore[arg-type]  # named by `_LINES`
    )  # fmt: skip
