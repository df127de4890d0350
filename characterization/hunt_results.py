"""What a hunt has found: as behaviours and verdicts that may be accepted, and as text.

Programs become behaviours of the random lens, and the judged laws its column of the law matrix. They are left for a
decision beside whatever waits already; what is accepted is run by every check.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from characterization.behaviour import Behaviour, Recording
from characterization.hunting import Found
from characterization.laws import Findings, LawFinding, Verdict, cells_of, merged
from characterization.performing import Performer
from characterization.program import Program, Replicas, parse
from characterization.recording import still_there
from characterization.subject import Subject
from characterization.unfolding import perform, tidy


def mixed(program: Program, subject: type[Subject]) -> Program:
    """``program`` as the random lens has it: one that could be of another lens says how many replicas there are."""
    count = max(subject.replicas, program.processes)
    return program if program.mixed else Program((Replicas(count), *program.parts))


def recording_of(performer: Performer, found: Sequence[Found], judged: Findings, known: Recording) -> Recording:
    """``known``, with those programs of ``found`` run once more that still can be, and with what was judged in the hunt.

    Where one of them breaks a law, it is the law's witness: it was made as short as can be.
    """
    subject = performer.subject
    programs = [mixed(program, type(subject)) for each in found if still_there(subject, program := parse(each.program))]
    judge = performer.judge
    if judge is not None:
        judge.take()
    behaviours = {
        program.text: Behaviour(subject=type(subject).name, program=program, outcome=perform(performer, program))
        for program in programs
    }
    cells = cells_of(merged(known.laws or (), judged))
    for cell, now in cells_of(() if judge is None else judge.take()).items():
        cells[cell] = _shortened(cells.get(cell, now), now, type(subject))
    return known.merged(behaviours, laws=None if known.laws is None else merged(cells.values()))


def _shortened(cell: LawFinding, now: LawFinding, subject: type[Subject]) -> LawFinding:
    if now.witness is None:
        return cell
    program = mixed(tidy(parse(now.witness.program)), subject).text
    return replace(cell, broken=max(now.broken, cell.broken), witness=replace(now.witness, program=program))


def broken_in(laws: Iterable[LawFinding] | None) -> set[str]:
    """The laws that are pinned as broken, by any lens."""
    return {each.law for each in laws or () if each.verdict is Verdict.BROKEN}


def found_text(number: int, found: Found, again: str, *, pinned: bool) -> str:
    """One finding: what it is, after how many programs, the program, and the line that runs it again."""
    what = f"LAW BROKEN {found.way}: {found.law.replace('_', ' ')}" if found.law else f"NEW   {found.said}"
    mark = "   (pinned as broken)" if pinned else ""
    lines = [f"{number:3}  {what}{mark}"]
    if found.law:
        lines.append(f"     seen      {found.said}")
    lines += [
        f"     program   {found.program}",
        f"     found by  program {found.number:,} of seed {found.seed}",
        f"     again     {again}",
    ]
    return "\n".join(lines)
