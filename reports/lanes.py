"""The lanes of a race as SVG: one file, nothing loaded from anywhere, no script.

Time runs downwards. Each client has a lane, each entry of the schedule a row with a box in one of them, and beside it the
service's own line. Between the two accesses that raced their lane is open, and what came between points into the gap.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from characterization.behaviour import Interruption
from characterization.racing import Race, Witness
from reports.racing import DRAWN_MAX, explored, in_order, pasted, shows, told, verdict
from reports.witness import Lane, Row, lanes_of, rows_of
from reports.words import clipped, few_lines, labelled, number, padded, shown, wrapped

MARGIN = 28.0
CHAR = 6.63  # of the monospaced font at 11 px
LINE = 15.0
PADDING = 8.0
NUMBERS = 34.0
CODE = 440.0
CODE_LETTERS = int((CODE - 24) / 6.03)  # at 10 px
BESIDE_MAX = 3
WIDTHS = (356.0, 276.0)  # of a lane, where there are few of them and where there are many
COMMANDS_MAX = 9
COMMAND_LINES = 3
REPLY_LINES = 2
CODE_LINES = 3
GAP = 14.0

_RED, _BLUE, _GREY, _INK = "#c62828", "#0b5cad", "#57606a", "#24292f"
_STYLE = f"""
text {{ font: 11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: {_INK}; white-space: pre; }}
.main {{ font-size: 16px; font-weight: 700; }} .head {{ font-size: 13px; font-weight: 700; }}
.sentence {{ font-size: 13px; }} .name {{ font-weight: 700; }} .reply, .quiet {{ fill: {_GREY}; }}
.key {{ fill: {_BLUE}; font-weight: 700; }} .anomaly, .raced {{ fill: {_RED}; font-weight: 700; }}
.code {{ font-size: 10px; fill: {_GREY}; }} .life {{ stroke: #b6bec8; stroke-dasharray: 2 4; }}
"""


def svg(race: Race) -> str:
    """``race`` as an SVG document: each of at most six anomalies with its lanes, the simplest first, and the rest counted.

    Where there is no anomaly, or one schedule was run again, the outcomes that there are take their place. The same race
    makes the same bytes.
    """
    every = in_order(race)
    chosen = [each for each in every if not each.outcome.serial] or every
    drawn = chosen[:DRAWN_MAX]
    plans = [_plan(race, place, witness) for place, witness in enumerate(drawn, 1)]
    above = _above(race)
    width = max([1080.0, *(plan.width for plan in plans), *(_wide(text) for text, _ in above)]) + 2 * MARGIN
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-labelledby": "title desc"})
    _beginning(root, race, drawn)
    y = _texts(root, MARGIN, MARGIN + 6, above) + 8
    y = _legend(root, y) + 14
    for plan in plans:
        y = _section(root, plan, y, width) + 30
    if more := len(chosen) - len(drawn):
        nouns = ("more outcome", None) if chosen[0].outcome.serial else ("more anomaly", "more anomalies")
        y = _texts(root, MARGIN, y, [(f"and {number(more, *nouns)}", "head")])
    shape = _spelled(width), _spelled(y + MARGIN / 2)
    root.attrib.update(width=shape[0], height=shape[1], viewBox=f"0 0 {shape[0]} {shape[1]}")
    ET.indent(root)
    return _tight(ET.tostring(root, encoding="unicode")) + "\n"


def _tight(document: str) -> str:
    """Without the white space that indenting has put between the parts of one line of text."""
    return re.sub(r">\s+(</?tspan|</text>)", r">\1", document)


# What stands above.


def _beginning(root: ET.Element, race: Race, drawn: Sequence[Witness]) -> None:
    sentences = [each.outcome.interruption.sentence for each in drawn if each.outcome.interruption]
    _put(root, "title", f"{shown(race.ident)}: {explored(race)}", id="title")
    _put(root, "desc", "; ".join([shown(race.program.text), *map(shown, sentences)]), id="desc")
    _put(root, "style", _STYLE)
    head = _put(
        _put(root, "defs"), "marker", id="head", viewBox="0 0 8 8", refX="7.5", refY="4", orient="auto",
        markerWidth="9", markerHeight="9", markerUnits="userSpaceOnUse",
    )  # fmt: skip
    _put(head, "path", d="M 0 0.6 L 8 4 L 0 7.4 z", fill=_RED)
    _put(root, "rect", width="100%", height="100%", fill="#ffffff")


def _above(race: Race) -> list[tuple[str, str]]:
    """Lines of text, each with its class: the name, the program, how it was explored."""
    lines = [line for label, text in told(race) for line in labelled(label, [text], column=11, width=150)]
    return [
        (shown(race.ident), "main"), ("", ""),
        *((line, "") for line in lines),
        (f"seed {race.seed}, on {shown(race.backend)}", "quiet"),
    ]  # fmt: skip


def _legend(root: ET.Element, y: float) -> float:
    x = MARGIN
    box = _put(root, "rect", x=_spelled(x), y=_spelled(y - 11), width="26", height="14", rx="3")
    box.attrib.update(_outline(raced=True))
    x = _beside(root, x + 34, y, "an access that raced", "raced")
    gap = _put(root, "rect", x=_spelled(x), y=_spelled(y - 11), width="8", height="14")
    gap.attrib.update(_OPEN)
    x = _beside(root, x + 16, y, "between two accesses of one client, which another came into", "")
    x = _beside(root, x, y, "main(s1)", "key", gap=8)
    _beside(root, x, y, "a key whose order with another client's step matters", "")
    return y + LINE


_OPEN = {"fill": "#f6c7c3", "stroke": _RED, "stroke-width": "1"}


def _beside(root: ET.Element, x: float, y: float, text: str, kind: str, gap: float = 30) -> float:
    _put(root, "text", text, x=_spelled(x), y=_spelled(y), class_=kind)
    return x + _wide(text) * (1.1 if kind else 1) + gap


def _outline(*, raced: bool) -> dict[str, str]:
    strong = {"fill": "#fdecea", "stroke": _RED, "stroke-width": "2.4"}
    return strong if raced else {"fill": "#f6f8fa", "stroke": "#8c959f", "stroke-width": "1.1"}


# One outcome: first all sizes, then the drawing.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """A row as it is drawn: the lines in its box, each with its class, those beside it, and how high all that is."""

    row: Row
    lines: Sequence[tuple[str, str]]
    code: Sequence[str]

    @property
    def height(self) -> float:
        return 2 * PADDING + len(self.lines) * LINE

    @property
    def room(self) -> float:
        return max(self.height, len(self.code) * LINE) + GAP


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One outcome: what is said of it, its lanes with the width of each, and its boxes from above."""

    said: Sequence[tuple[str, str]]
    lanes: Sequence[Lane]
    lane_width: float
    boxes: Sequence[_Box]
    found: Interruption | None

    @property
    def width(self) -> float:
        text = max(_wide(line) * (1.25 if kind else 1) for line, kind in self.said)
        return max(NUMBERS + len(self.lanes) * self.lane_width + CODE, text)

    def middle(self, client: int) -> float:
        """Where the lane of ``client`` has its line."""
        place = next(place for place, lane in enumerate(self.lanes) if lane.client == client)
        return MARGIN + NUMBERS + (place + 0.5) * self.lane_width

    def raced(self, part: str) -> int | None:
        """The row that is that part of the race."""
        return next((place for place, box in enumerate(self.boxes) if box.row.raced == part), None)


def _plan(race: Race, place: int, witness: Witness) -> _Plan:
    lanes = lanes_of(race, witness)
    width = WIDTHS[len(lanes) > BESIDE_MAX]
    letters = int((width - GAP - 2 * PADDING) / CHAR)
    boxes = [_Box(row=row, lines=_written(row, letters), code=_code(row)) for row in rows_of(race, witness)]
    return _Plan(
        said=list(_said(race, place, witness)), lanes=lanes, lane_width=width, boxes=boxes,
        found=witness.outcome.interruption,
    )  # fmt: skip


def _said(race: Race, place: int, witness: Witness) -> Iterator[tuple[str, str]]:
    """Lines of text, each with its class: what is surprising, the accesses that raced, what came of it, how to see it."""
    outcome = witness.outcome
    yield f"{place}  {verdict(outcome)}", "head" if outcome.serial else "head anomaly"
    if outcome.interruption:
        for line in wrapped(outcome.interruption.sentence, 130):
            yield line, "sentence"
    yield "", ""
    for label, texts in shows(race, outcome):
        for line in labelled(label, texts, column=10, width=160):
            yield line, ""
    yield padded("again", 10) + shown(pasted(race, outcome)), ""


def _written(row: Row, letters: int) -> list[tuple[str, str]]:
    """What stands in a box: commands, those that took effect at once in brackets, and the reply."""
    several = row.block or len(row.commands) > 1
    front = "  " if several else ""
    lines = [(front * bool(place) + line, kind) for place, (line, kind) in enumerate(_brackets(row, letters))]
    if row.reply:
        close = "} -> " if several else "-> "
        first, *rest = few_lines(row.reply, letters - len(close), REPLY_LINES)
        lines += [(close + first, "reply"), *((" " * len(close) + line, "reply") for line in rest)]
    return lines


def _brackets(row: Row, letters: int) -> list[tuple[str, str]]:
    several = row.block or len(row.commands) > 1
    lines = [(("MULTI {" if row.block else "{"), "")] if several else []
    for command in row.commands[:COMMANDS_MAX]:
        first, *rest = few_lines(command, letters - 4, COMMAND_LINES)
        lines += [(first, ""), *((f"  {line}", "") for line in rest)]
    more = len(row.commands) - COMMANDS_MAX
    return [*lines, (f"... and {more} more", "quiet")] if more > 0 else lines


def _code(row: Row) -> list[str]:
    """The service's own line: where it is, and what it says beneath."""
    where, _, says = row.line.partition("  ")
    return [where, *few_lines(says, CODE_LETTERS, CODE_LINES - 1)] if where else []


# Drawing.


def _section(root: ET.Element, plan: _Plan, y: float, width: float) -> float:
    _put(
        root, "line", x1=_spelled(MARGIN), x2=_spelled(width - MARGIN), y1=_spelled(y), y2=_spelled(y), stroke="#d0d7de"
    )
    group = _put(root, "g")
    y = _texts(group, MARGIN, y + 26, plan.said) + 6
    heads = [few_lines(lane.head, int((plan.lane_width - GAP - 2 * PADDING) / 7.3), 2) for lane in plan.lanes]
    top = y + 2 * PADDING + max(map(len, heads)) * LINE
    tops = [top + GAP + sum(box.room for box in plan.boxes[:place]) for place in range(len(plan.boxes) + 1)]
    for lane, head in zip(plan.lanes, heads, strict=True):
        _lane(group, plan, lane, head, (y, top, tops[-1]))
    _gap(group, plan, tops)
    code = MARGIN + NUMBERS + len(plan.lanes) * plan.lane_width + 12
    for place, box in enumerate(plan.boxes):
        _box(group, plan, place, tops[place])
        lines = [(line, "code" if below else "code name") for below, line in enumerate(box.code)]
        _texts(group, code, tops[place] + 14, lines)
    _arrow(group, plan, tops)
    return tops[-1]


def _lane(group: ET.Element, plan: _Plan, lane: Lane, head: Sequence[str], heights: tuple[float, float, float]) -> None:
    """Who it is, and the line down to the end."""
    y, top, bottom = heights
    middle = plan.middle(lane.client)
    place = {"x1": _spelled(middle), "x2": _spelled(middle), "y1": _spelled(top), "y2": _spelled(bottom)}
    _put(group, "line", class_="life", **place)
    left = middle - plan.lane_width / 2 + GAP / 2
    _put(
        group, "rect", x=_spelled(left), y=_spelled(y), width=_spelled(plan.lane_width - GAP), height=_spelled(top - y),
        rx="5", fill="#e3eefb", stroke="#3b73b9",
    )  # fmt: skip
    _texts(group, left + PADDING, y + PADDING + 11, [(line, "name") for line in head])


def _box(group: ET.Element, plan: _Plan, place: int, y: float) -> None:
    box = plan.boxes[place]
    raced = bool(box.row.raced)
    left = plan.middle(box.row.client) - plan.lane_width / 2 + GAP / 2
    mark = f"{place + 1} >" if raced else str(place + 1)
    _put(group, "text", mark, x=_spelled(MARGIN), y=_spelled(y + PADDING + 11), class_="raced" if raced else "quiet")
    holder = _put(group, "g")
    _put(holder, "title", "\n".join([*box.row.commands, *([f"-> {box.row.reply}"] if box.row.reply else [])]))
    rect = _put(holder, "rect", x=_spelled(left), y=_spelled(y), width=_spelled(plan.lane_width - GAP), rx="5")
    rect.attrib.update({"height": _spelled(box.height), **_outline(raced=raced)})
    for line, (text, kind) in enumerate(box.lines):
        keys = box.row.contended if kind != "reply" else ()
        _marked(holder, left + PADDING, y + PADDING + 11 + line * LINE, text, kind, keys)


def _marked(parent: ET.Element, x: float, y: float, text: str, kind: str, keys: Sequence[str]) -> None:
    """A line of text in which ``keys`` stand out."""
    line = _put(parent, "text", x=_spelled(x), y=_spelled(y), class_=kind)
    words = {shown(key) for key in keys}
    for part in re.split(r"( )", text):
        _put(line, "tspan", part, class_="key" if part in words else "")
    _joined(line)


def _joined(line: ET.Element) -> None:
    """Neighbours of one class become one part."""
    parts: list[ET.Element] = []
    for part in line:
        if parts and parts[-1].get("class") == part.get("class"):
            parts[-1].text = (parts[-1].text or "") + (part.text or "")
        else:
            parts.append(part)
    line[:] = parts


def _gap(group: ET.Element, plan: _Plan, tops: Sequence[float]) -> None:
    """The time between the two accesses of one client, open for others."""
    early, late = plan.raced("early"), plan.raced("late")
    if early is None or late is None:
        return
    y = tops[early] + plan.boxes[early].height
    x = plan.middle(plan.boxes[early].row.client) - 5
    gap = _put(group, "rect", x=_spelled(x), y=_spelled(y), width="10", height=_spelled(tops[late] - y))
    gap.attrib.update(_OPEN)


def _arrow(group: ET.Element, plan: _Plan, tops: Sequence[float]) -> None:
    """From what came between into the gap."""
    place = plan.raced("middle")
    early = plan.raced("early")
    if place is None or early is None or plan.found is None:
        return
    box, target = plan.boxes[place], plan.middle(plan.boxes[early].row.client)
    right = plan.middle(box.row.client) > target
    edge = plan.middle(box.row.client) + (plan.lane_width - GAP) / 2 * (-1 if right else 1)
    y = tops[place] + box.height / 2
    end = target + (6 if right else -6)
    _put(
        group, "line", x1=_spelled(edge), x2=_spelled(end), y1=_spelled(y), y2=_spelled(y), stroke=_RED,
        stroke_width="2", marker_end="url(#head)",
    )  # fmt: skip
    did = f"{'wrote' if plan.found.wrote else 'read'} {shown(plan.found.touched)}"
    said = clipped(did, int((plan.lane_width / 2 - 20) / CHAR))
    at = {"x": _spelled(end + (14 if right else -14)), "y": _spelled(y - 7)}
    _put(group, "text", said, class_="raced", text_anchor="start" if right else "end", **at)


# Elements.


def _texts(parent: ET.Element, x: float, y: float, lines: Sequence[tuple[str, str]]) -> float:
    """Lines of text, the first one's foot at ``y``; returns the height of the next one's."""
    for text, kind in lines:
        if text:
            _put(parent, "text", text, x=_spelled(x), y=_spelled(y), class_=kind)
        y += LINE * (0.5 if not text else 1.3 if kind.startswith(("head", "sentence", "main")) else 1)
    return y


def _put(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    """A new child. ``class_`` is the attribute ``class``; underscores in names become hyphens; empty ones are left out."""
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value}
    child = ET.SubElement(parent, tag, names)
    child.text = text
    return child


def _wide(text: str) -> float:
    return cell_len(text) * CHAR


def _spelled(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
