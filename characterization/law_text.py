"""Laws in a baseline: ``laws.json``, one cell of the matrix a line, so that it merges and can be read.

    {"format": 1, "subject": "relay.store", "laws": [
    {"law": "an_id_is_in_exactly_one_state_index", "reason": "That of its stored state.", "lenses": {
      "sequence": {"verdict": "holds", "holds": 1136, "broken": 0, "undecided": 0},
      "time": {"verdict": "broken", "holds": 649, "broken": 266, "undecided": 0, "witness": {"program": …, "said": …}}}}
    ]}

Laws are in the order of their names, lenses in that in which they look.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from characterization.json_text import file_text, line, parsed
from characterization.laws import Findings, LawFinding, LawWitness, Verdict, merged
from characterization.program import parse


def laws_text(subject: str, findings: Findings) -> str:
    """``findings`` as laws.json has them: the same bytes for equal findings."""
    laws = itertools.groupby(merged(findings), key=lambda each: each.law)
    return file_text(subject, "laws", (_law(name, list(cells)) for name, cells in laws))


def _law(name: str, cells: Iterable[LawFinding]) -> str:
    cells = list(cells)
    head = f'{{"law": {line(name)}, "reason": {line(cells[0].reason)}, "lenses": {{'
    return head + "\n" + ",\n".join(f"  {line(each.lens)}: {line(_cell(each))}" for each in cells) + "}}"


def _cell(finding: LawFinding) -> dict[str, Any]:
    told: dict[str, Any] = {
        "verdict": finding.verdict.value, "holds": finding.holds, "broken": finding.broken,
        "undecided": finding.undecided,
    }  # fmt: skip
    witness = finding.witness
    if witness is not None:
        told["witness"] = {"program": witness.program} | ({"schedule": witness.schedule} if witness.schedule else {})
        told["witness"] |= {mark: True for mark in ("serial", "split", "retried") if getattr(witness, mark)} | {
            "said": witness.said
        }
    return told


def parse_laws(text: str, path: Path) -> Findings:
    """The findings that ``text`` holds.

    Raises:
        BaselineError: it was written by a newer version, or cannot be read.
    """
    return parsed(text, path, _findings)


def _findings(found: Mapping[str, Any], subject: str) -> Findings:
    return merged(_parse_law(cell, subject) for law in found["laws"] for cell in _cells(law))


def _cells(law: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    return [{"law": law["law"], "reason": law["reason"], "lens": lens, **cell} for lens, cell in law["lenses"].items()]


def _parse_law(cell: Mapping[str, Any], subject: str) -> LawFinding:
    witness = cell.get("witness")
    finding = LawFinding(
        subject=subject, law=cell["law"], lens=cell["lens"], reason=cell["reason"], holds=cell["holds"],
        broken=cell["broken"], undecided=cell["undecided"], witness=None if witness is None else LawWitness(**witness),
    )  # fmt: skip
    if finding.witness is not None:
        parse(finding.witness.program)
    if finding.verdict is not Verdict(cell["verdict"]):
        raise ValueError(f"{finding.law} is said to be {cell['verdict']}, its counts say {finding.verdict}")
    return finding
