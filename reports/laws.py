"""The law matrix: a row for each law, a column for each lens, the shortest witness in each broken cell; and changes of it.

As text for a terminal, at most 120 columns wide but for the lines to paste, and as Markdown.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.cells import cell_len

from characterization.behaviour import Recording
from characterization.comparing_laws import LawChange
from characterization.errors import HoldfastError
from characterization.kinds import Kind
from characterization.laws import LENSES, Findings, LawFinding, LawWitness, Verdict, cells_of
from reports.eliding import cut
from reports.words import WIDTH, clipped, labelled, listed, number, padded, painted, shown

COLUMN = 11
LAW_MAX = 58
SAID_MAX = 240
_INDENT = 6
_SOON = frozenset({"load"})
"""Lenses that have a column only where one of them has looked."""
_WHAT = {
    Kind.LAW_BROKEN: "LAW BROKEN",
    Kind.LAW_MENDED: "LAW MENDED",
    Kind.GONE: "LAW GONE: it is no longer declared",
}


def lenses_of(findings: Findings) -> list[str]:
    """The columns: every lens there is, and one that is still to come where it has looked."""
    seen = {each.lens for each in findings}
    return [lens for lens in LENSES if lens in seen or lens not in _SOON]


# The terminal.


def text(subject: str, findings: Findings | None, *, colour: bool = False) -> str:
    """The matrix of one subject, each broken cell numbered, and beneath it the witness of each number."""
    if not findings:
        return f"{shown(subject)}    {nothing(findings)}"
    lenses, cells = lenses_of(findings), cells_of(findings)
    laws = list(dict.fromkeys(each.law for each in findings))
    numbers = {cell: place for place, cell in enumerate((c for c, each in cells.items() if each.witness), 1)}
    width = min(LAW_MAX, WIDTH - 4 - COLUMN * len(lenses), max(cell_len(law) for law in laws))
    lines = painted([f"{shown(subject)}    {summary(findings)}"], "bold", colour)
    lines += [f"  {padded('', width)}  {''.join(padded(lens, COLUMN) for lens in lenses)}".rstrip()]
    for law in laws:
        name = padded(clipped(law.replace("_", " "), width), width)
        row = "".join(padded(_cell(cells.get((law, lens)), numbers), COLUMN) for lens in lenses)
        lines.append(f"  {name}  {row}".rstrip())
    for cell, place in numbers.items():
        lines += ["", *_told(place, cells[cell], colour)]
    return "\n".join(lines)


def nothing(findings: Findings | None) -> str:
    """Why there is no matrix: nobody has judged, or there is nothing to be judged."""
    return "no law has been judged: record it anew" if findings is None else "no laws are declared"


def summary(findings: Findings) -> str:
    """``9 laws: 3 broken, 5 hold, 1 undecided``: each by the gravest of its cells, since only *holds* is a pass."""
    gravest: dict[str, Verdict] = {}
    for each in findings:
        gravest[each.law] = min(gravest.get(each.law, each.verdict), each.verdict, key=_GRAVITY.index)
    counts = Counter(gravest.values())
    told = [f"{counts[verdict]} {_VERB[verdict]}" for verdict in _GRAVITY if counts[verdict]]
    return f"{number(len(gravest), 'law')}: {listed(told)}"


_GRAVITY = [Verdict.BROKEN, Verdict.HOLDS, Verdict.UNDECIDED, Verdict.NOT_RUN]
_VERB = {Verdict.BROKEN: "broken", Verdict.HOLDS: "hold", Verdict.UNDECIDED: "undecided", Verdict.NOT_RUN: "not run"}


def _cell(finding: LawFinding | None, numbers: Mapping[tuple[str, str], int]) -> str:
    if finding is None:
        return Verdict.NOT_RUN.value
    place = numbers.get((finding.law, finding.lens))
    return finding.verdict.value if place is None else f"BROKEN {place}"


def _told(place: int, finding: LawFinding, colour: bool) -> list[str]:  # noqa: FBT001 - handed through
    head = f"{finding.sentence}, {finding.lens}: {_how_often(finding)}"
    return [*painted(labelled(f"{place:2}", [head], column=4), "bold", colour), *_witness(finding)]


def _how_often(finding: LawFinding) -> str:
    more = f", says nothing of {finding.undecided}" if finding.undecided else ""
    return f"broken in {finding.broken} of {finding.judged} observations{more}"


def _witness(finding: LawFinding) -> list[str]:
    """Why the law is there, what it said, the shortest program that breaks it, and the line to paste."""
    witness = finding.witness
    assert witness is not None, "what is broken has a witness"
    lines = labelled("why", [finding.reason] if finding.reason else [], indent=_INDENT, column=11)
    lines += labelled("said", [cut(witness.said, SAID_MAX)], indent=_INDENT, column=11)
    lines += labelled("shown by", [witness.program], indent=_INDENT, column=11)
    lines += labelled("only if", [remark] if (remark := remark_on(witness)) else [], indent=_INDENT, column=11)
    return [*lines, " " * _INDENT + padded("again", 11) + again(finding, witness)]


def remark_on(witness: LawWitness) -> str:
    """What else is to be known of a witness of what happens at once."""
    if witness.retried:
        return "the call is made once more, as after a failure"
    if witness.split:
        return "a plain pipeline is split, which a real server seldom does"
    return "they are at once or in that order: some order of the calls breaks it, too" if witness.serial else ""


def again(finding: LawFinding, witness: LawWitness) -> str:
    """The line that runs the witness once more."""
    words = ["holdfast", "replay", f"{finding.subject}: {witness.program}"]
    return shlex.join([*words, *(["--schedule", witness.schedule] if witness.schedule else [])])


# Markdown.


def markdown(matrices: Mapping[str, Findings | None]) -> str:
    """The matrices of several subjects, a table each, with the shortest witness in each broken cell."""
    return "\n\n".join(_table(subject, findings) for subject, findings in matrices.items())


def _table(subject: str, findings: Findings | None) -> str:
    if not findings:
        return f"**`{subject}`**: {nothing(findings)}."
    lenses, cells = lenses_of(findings), cells_of(findings)
    laws = list(dict.fromkeys(each.law for each in findings))
    lines = [f"**`{subject}`**: {summary(findings)}.", "", f"| law | {' | '.join(lenses)} |"]
    lines.append("|---" * (len(lenses) + 1) + "|")
    for law in laws:
        row = [_marked(cells.get((law, lens))) for lens in lenses]
        lines.append(f"| {law.replace('_', ' ')} | {' | '.join(row)} |")
    return "\n".join(lines)


def _marked(finding: LawFinding | None) -> str:
    if finding is None or finding.witness is None:
        return Verdict.NOT_RUN.value if finding is None else finding.verdict.value
    at = f", schedule `{finding.witness.schedule}`" if finding.witness.schedule else ""
    return f"**broken** by `{shown(finding.witness.program)}`{at}".replace("|", "\\|")


BEGIN, END = "<!-- holdfast laws -->", "<!-- end of holdfast laws -->"


def placed(document: str, matrices: Mapping[str, Findings | None]) -> str:
    """``document`` with the tables of ``matrices`` between its two marks, in place of what stands there.

    Raises:
        HoldfastError: it does not have the two marks, once each and in that order.
    """
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(BEGIN) > document.index(END):
        raise HoldfastError(
            f"the law matrix goes between the lines `{BEGIN}` and `{END}`, which must be there once each"
        )
    before, after = document.partition(BEGIN)[0], document.partition(END)[2]
    return f"{before}{BEGIN}\n\n{markdown(matrices)}\n\n{END}{after}"


# Changes.


def change_lines(place: int, change: LawChange, *, colour: bool = False) -> list[str]:
    """A law that is broken since, or mended: its name, why it is there, through which lens, and the witness."""
    finding = change.behaviour
    head = f"{finding.sentence}    {finding.lens} lens    {_what(change)}"
    lines = painted(labelled(f"L{place}", [head], column=4), "bold", colour)
    if change.kind is Kind.LAW_BROKEN:
        return [*lines, *_witness(finding)]
    if change.before is None or change.before.witness is None:
        return lines
    looked = "no longer judged" if change.after is None else f"run again, and does not break it: {_now(change.after)}"
    return [*lines, *_witness(change.before), *labelled("witness", [looked], indent=_INDENT, column=11)]


def _now(finding: LawFinding) -> str:
    if finding.verdict is Verdict.HOLDS:
        return f"it holds in {number(finding.holds, 'observation')}"
    return f"the law now says nothing of any of {number(finding.undecided, 'observation')}"


def _what(change: LawChange) -> str:
    undecided = change.kind is Kind.LAW_MENDED and change.behaviour.verdict is not Verdict.HOLDS
    return "LAW NO LONGER BROKEN, but UNDECIDED" if undecided else _WHAT[change.kind]


def verdict_lines(changes: Sequence[LawChange]) -> list[str]:
    """Verdicts that are others now without any law being broken or mended, which no check fails for: a line each."""
    lines = []
    for change in changes:
        before = Verdict.NOT_RUN if change.before is None else change.before.verdict
        finding = change.behaviour
        told = f"{finding.sentence}, {finding.lens}: {before} before, now {finding.verdict.upper()}"
        lines += labelled("law", [told], indent=_INDENT - 2, column=6)
    return lines


def recorded(recording: Recording) -> list[str]:
    """The matrix in a line, for what was recorded; `holdfast laws` shows all of it."""
    if not recording.laws:
        return []
    broken = {each.law for each in recording.laws if each.witness is not None}
    lines = labelled("laws", [f"{summary(recording.laws)}; `holdfast laws` shows the matrix"], indent=2, column=12)
    for law in sorted(broken):
        cells = [each for each in recording.laws if each.law == law and each.witness is not None]
        shortest = next(each.witness for each in cells if each.witness is not None)
        lenses = listed([each.lens for each in cells])
        lines += labelled("BROKEN", [f"{law.replace('_', ' ')} ({lenses})"], indent=4, column=16)
        lines += labelled("shown by", [shortest.program], indent=20, column=10)
    return lines
