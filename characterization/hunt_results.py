"""What a hunt has found: as behaviours and verdicts that may be accepted, and as text.

Programs become behaviours of the random lens, and the judged laws its column of the law matrix. They are left for a
decision beside whatever waits already; what is accepted is run by every check.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from characterization.behaviour import Behaviour, Recording
from characterization.hunting import Found
from characterization.laws import Findings, LawFinding, LawWitness, Verdict, merged
from characterization.performing import Performer
from characterization.program import Program, Replicas, parse
from characterization.subject import Subject
from characterization.unfolding import LENS, perform


def mixed(program: Program, subject: type[Subject]) -> Program:
    """``program`` as the random lens has it: one that could be of another lens says how many replicas there are."""
    count = max(subject.replicas, program.processes)
    return program if program.mixed else Program((Replicas(count), *program.parts))


def recording_of(performer: Performer, found: Sequence[Found], judged: Findings, known: Recording) -> Recording:
    """``known``, with the programs of ``found`` run once more, and with what was judged by the random lens.

    A law's witness is the shortest program that is known to break it.
    """
    subject = type(performer.subject)
    programs = [mixed(parse(each.program), subject) for each in found]
    behaviours = {
        program.text: Behaviour(subject=subject.name, program=program, outcome=perform(performer, program))
        for program in programs
    }
    shortest = _witnesses(found, subject)
    cells = [_told(each, shortest.get(each.law)) for each in merged(known.laws or (), judged)]
    return known.merged(behaviours, laws=None if known.laws is None else cells)


def _told(cell: LawFinding, shortest: LawWitness | None) -> LawFinding:
    """``cell`` with the shortest witness, where it is of this lens; an earlier hunt may have seen the law broken.

    That one was made as short as can be; the cell's own is as it was come upon.
    """
    if shortest is None or cell.lens != LENS:
        return cell
    return replace(cell, broken=max(1, cell.broken), witness=shortest)


def _witnesses(found: Iterable[Found], subject: type[Subject]) -> dict[str, LawWitness]:
    witnesses: dict[str, LawWitness] = {}
    for each in found:
        witness = LawWitness(program=mixed(parse(each.program), subject).text, said=each.said)
        if each.law and (each.law not in witnesses or witness.order < witnesses[each.law].order):
            witnesses[each.law] = witness
    return witnesses


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
