"""Boxes and lines as SVG: one file, nothing loaded from anywhere, no script.

A box lists the lines that leave it, each where it leaves: to the right for what lies ahead, to the left for what goes back.
So every label has a place of its own, and the picture can be read without following a line.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from reports.layout import Layout, Line, layout
from reports.states import Edge, Graph, Node
from reports.words import clipped, number, shown, wrapped

BOX_WIDTH = 290.0
CHAR = 6.63  # of the monospaced font at 11 px
ROW = 16.0
MARGIN = 28.0
LETTERS = int((BOX_WIDTH - 20) / CHAR)
TITLE_LETTERS = int((BOX_WIDTH - 20) / 7.3)
TITLE_LINES_MAX = 3
STAYS_LINES_MAX = 4
LINES_SPELLED_MAX = 12

_FILLS = ("#e3eefb", "#e6f4e4", "#fdf0d9", "#f3e6f6", "#fde7e4", "#e0f4f3", "#f5f1c9", "#ebe6df", "#e2e4f7", "#fbe4ef")
_STROKES = (
    "#3b73b9",
    "#4a8a43",
    "#b3781b",
    "#8d4fa0",
    "#bd5245",
    "#26827d",
    "#8a7d16",
    "#7a6548",
    "#5a61b0",
    "#b04a7c",
)
_SIGNS = {"+": "#1a7f37", "-": "#c62828"}
_DASHES = {"-": "3 3", "time": "9 4"}
_STYLE = """
text { font: 11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #24292f; }
.title { font-size: 12px; font-weight: 700; } .name { fill: #57606a; } .main { font-size: 16px; font-weight: 700; }
.line { fill: none; stroke-width: 1.3; } .line:hover { stroke: #000; stroke-width: 3; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """A node as it is drawn: its place, what is written in it from above, and the edges that leave it."""

    node: Node
    left: float
    top: float
    title: Sequence[str]
    stays: Sequence[tuple[str, str]]
    leaving: Sequence[Edge]

    @property
    def height(self) -> float:
        return _height(self.title, self.stays, self.leaving)

    def row(self, edge: Edge) -> float:
        """The height at which ``edge`` leaves."""
        above = len(self.title) + 1 + len(self.stays) + self.leaving.index(edge)
        return self.top + 10 + (above + 0.5) * ROW + (5 if self.leaving else 0)

    @property
    def entry(self) -> float:
        """The height at which lines arrive."""
        return self.top + 10 + 0.5 * ROW


def _height(title: Sequence[str], stays: Sequence[object], leaving: Sequence[object]) -> float:
    return 16 + (len(title) + 1 + len(stays) + len(leaving)) * ROW + (5 if leaving else 0)


def draw(graph: Graph, legend: Sequence[str], *, compared: bool = False) -> str:
    """``graph`` as an SVG document. ``legend`` are sentences that stand above it, beside those that explain the lines."""
    edges = [edge for edge in graph.edges if not edge.stays]
    lines = [Line(source=edge.source, target=edge.target, style=_style(edge)) for edge in edges]
    heights = {node.number: _height(_title(node), _stays(graph, node), _leaving(edges, node)) for node in graph.nodes}
    places = layout(heights, lines, BOX_WIDTH)
    boxes = _boxes(graph, edges, places)
    colours = _colours(graph)
    top = MARGIN + 30 + (len(legend) + 1) * (ROW + 4) + 20
    width, height = max(places.width + 2 * MARGIN, 1060.0), places.height + top + MARGIN
    root = _document(width, height, boxes, graph)
    _legend(root, legend, _samples(compared=compared))
    moved = _element(root, "g", transform=f"translate({_text_of(MARGIN)} {_text_of(top)})")
    for edge, lanes in zip(edges, places.lanes, strict=True):
        _draw_line(moved, edge, _path(edge, lanes, boxes, places), boxes, colours)
    for box in boxes.values():
        _draw_box(moved, box, colours[box.node.kind], places.layers)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _style(edge: Edge) -> str:
    return edge.sign or ("time" if edge.timed else "")


def _colours(graph: Graph) -> dict[str, int]:
    """A place in the palette for each kind, in the order of the nodes."""
    kinds = dict.fromkeys(node.kind for node in graph.nodes)
    return {kind: place % len(_FILLS) for place, kind in enumerate(kinds)}


# What is written in a box.


def _title(node: Node) -> list[str]:
    size = "" if node.name else f" ({_size(node)})"
    lines = wrapped(f"{node.sign and node.sign + ' '}{node.number}: {node.kind}{size}", TITLE_LETTERS)
    if len(lines) > TITLE_LINES_MAX:
        lines = [
            *lines[: TITLE_LINES_MAX - 1],
            clipped(lines[TITLE_LINES_MAX - 1], TITLE_LETTERS - 4 - len(size)) + " ..." + size,
        ]
    return lines


def _size(node: Node) -> str:
    changed = "" if node.sign else "".join(f" {sign}{n}" for sign, n in (("+", node.added), ("-", node.removed)) if n)
    return number(node.size or node.removed, "state") + changed


def _stays(graph: Graph, node: Node) -> list[tuple[str, str]]:
    """Lines of small text, each with its sign: what leads back to the same box."""
    return [(edge.sign, line) for edge in graph.out_of(node.number) if edge.stays for line in _staying(edge, node)]


def _staying(edge: Edge, node: Node) -> list[str]:
    """The operations of an edge that leads nowhere, as many as have room on a few lines, the rest counted."""
    label = f"{edge.sign and edge.sign + ' '}{'stays' if node.name else 'within'}: "
    raising = f"; {edge.raising} raise" if edge.raising else ""
    words = edge.short if edge.timed else edge.operations
    lines: list[str] = []
    for kept in range(len(words), 0, -1):
        more = f", +{len(words) - kept} more" if kept < len(words) else ""
        lines = wrapped(label + ", ".join(words[:kept]) + more + raising, LETTERS)
        if len(lines) <= STAYS_LINES_MAX:
            break
    return lines


def _leaving(edges: Sequence[Edge], node: Node) -> list[Edge]:
    return [edge for edge in edges if edge.source == node.number]


def _label(edge: Edge) -> str:
    """The operations of an edge, as many as have room, the rest counted."""
    room = LETTERS - 8
    words = edge.short if len(", ".join(edge.short)) <= room else edge.operations
    for kept in range(len(words), 0, -1):
        text = ", ".join(words[:kept]) + (f", +{len(words) - kept} more" if kept < len(words) else "")
        if cell_len(text) <= room:
            return shown(text)
    more = f", +{len(words) - 1} more" if len(words) > 1 else ""
    return clipped(shown(words[0]), room - len(more)) + more


def _tooltip(node: Node) -> str:
    reached = f"shortest program: {node.program.text or 'nothing done yet'}"
    return "\n".join(shown(line) for line in (f"{node.number}: {node.kind}", node.name, reached) if line)


def _edge_tooltip(edge: Edge) -> str:
    spelled = edge.spelled
    more = [f"... and {len(spelled) - LINES_SPELLED_MAX} more"] if len(spelled) > LINES_SPELLED_MAX else []
    mark = {"+": " (added)", "-": " (removed)"}.get(edge.sign, "")
    return "\n".join([f"{edge.source} -> {edge.target}{mark}", *map(shown, spelled[:LINES_SPELLED_MAX]), *more])


# Where things are.


def _boxes(graph: Graph, edges: Sequence[Edge], places: Layout) -> dict[int, _Box]:
    """Boxes with the edges that leave them in the order of where they lead, so that they cross little."""
    next_stop = {
        edge: lanes[0][1] if lanes else places.boxes[edge.target][1]
        for edge, lanes in zip(edges, places.lanes, strict=True)
    }
    return {
        node.number: _Box(
            node=node,
            left=places.boxes[node.number][0],
            top=places.boxes[node.number][1],
            title=_title(node),
            stays=_stays(graph, node),
            leaving=sorted(_leaving(edges, node), key=lambda edge: (next_stop[edge], edge.target, edge.sign)),
        )
        for node in graph.nodes
    }


def _goes_back(edge: Edge, layers: Mapping[int, int]) -> bool:
    return layers[edge.target] < layers[edge.source]


def _path(edge: Edge, lanes: Sequence[tuple[float, float]], boxes: Mapping[int, _Box], places: Layout) -> str:
    """Curves between layers, straight lines along lanes."""
    source, target = boxes[edge.source], boxes[edge.target]
    if places.layers[edge.source] == places.layers[edge.target]:
        right, rank = source.left + BOX_WIDTH, edge.target % 7 / 7
        return _loop(
            right, source.row(edge), target.entry, (0.3 + 0.6 * rank) * places.gaps[places.layers[edge.source]]
        )
    back = _goes_back(edge, places.layers)
    near, far = (0.0, BOX_WIDTH) if back else (BOX_WIDTH, 0.0)
    path = f"M {_text_of(source.left + near)} {_text_of(source.row(edge))}"
    x, y = source.left + near, source.row(edge)
    for left, height in [*lanes, (target.left, target.entry)]:
        path += _curve(x, y, left + far, height)
        x, y = left + near, height
        path += f" H {_text_of(x)}" if (left, height) != (target.left, target.entry) else ""
    return path


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f" C {_text_of(middle)} {_text_of(y)} {_text_of(middle)} {_text_of(to_y)} {_text_of(to_x)} {_text_of(to_y)}"


def _loop(x: float, y: float, to_y: float, bulge: float) -> str:
    """A line to a box above or below, around through the gap to the right."""
    out = _text_of(x + bulge)
    return f"M {_text_of(x)} {_text_of(y)} C {out} {_text_of(y)} {out} {_text_of(to_y)} {_text_of(x)} {_text_of(to_y)}"


def _text_of(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


# Elements.


def _element(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    """A new child. ``class_`` is the attribute ``class``; underscores in names become hyphens."""
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    child = ET.SubElement(parent, tag, names)
    child.text = text
    return child


def _document(width: float, height: float, boxes: Mapping[int, _Box], graph: Graph) -> ET.Element:
    size = {
        "width": _text_of(width),
        "height": _text_of(height),
        "viewBox": f"0 0 {_text_of(width)} {_text_of(height)}",
    }
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size})
    hover = [
        f"svg:has(#s{n}:hover) .f{n}, svg:has(#s{n}:hover) .t{n} {{ stroke: #000; stroke-width: 2.5; }}" for n in boxes
    ]
    _element(root, "style", _STYLE + "\n".join(hover))
    heads = _element(root, "defs")
    for name, colour in _heads().items():
        head = _element(heads, "marker", id=name, viewBox="0 0 8 8", refX="7.5", refY="4", markerWidth="8")
        head.attrib.update(markerHeight="8", orient="auto", markerUnits="userSpaceOnUse")
        _element(head, "path", d="M 0 0.8 L 8 4 L 0 7.2 z", fill=colour)
    _element(root, "rect", width="100%", height="100%", fill="#ffffff")
    counts = f"{number(graph.states, 'state')}, {number(graph.transitions, 'transition')}"
    _element(root, "text", f"{shown(graph.subject)}: {counts}", x=_text_of(MARGIN), y="40", class_="main")
    return root


def _heads() -> dict[str, str]:
    """The colours of the arrow heads, by the name of their marker."""
    plain = {_head("", place): colour for place, colour in enumerate(_STROKES)}
    return plain | {_head(sign, 0): colour for sign, colour in _SIGNS.items()}


def _head(sign: str, place: int) -> str:
    return {"+": "head-added", "-": "head-removed"}.get(sign, f"head-{place}")


def _samples(*, compared: bool) -> list[tuple[str, str, str]]:
    plain = [("operation", "", "#57606a"), ("time passing", "time", "#57606a")]
    return [*plain, ("+ added", "+", _SIGNS["+"]), ("- removed", "-", _SIGNS["-"])] if compared else plain


def _legend(root: ET.Element, sentences: Sequence[str], samples: Sequence[tuple[str, str, str]]) -> None:
    """Samples of the lines in one row, then the sentences."""
    x, y = MARGIN, 66.0
    for text, style, colour in samples:
        _element(root, "path", d=f"M {_text_of(x)} {y - 4} h 40", class_="line", stroke=colour, **_dash(style))
        _element(root, "text", text, x=_text_of(x + 48), y=_text_of(y))
        x += 48 + len(text) * CHAR + 32
    for place, sentence in enumerate(sentences, 1):
        _element(root, "text", sentence, x=_text_of(MARGIN), y=_text_of(y + place * (ROW + 4)), class_="name")


def _dash(style: str) -> dict[str, str]:
    return {"stroke_dasharray": _DASHES[style]} if style in _DASHES else {}


def _draw_line(
    parent: ET.Element, edge: Edge, path: str, boxes: Mapping[int, _Box], colours: Mapping[str, int]
) -> None:
    """A line in the colour of the box that it leads to, unless it was added or removed."""
    place = colours[boxes[edge.target].node.kind]
    line = _element(
        parent, "path", d=path, class_=f"line f{edge.source} t{edge.target}", stroke=_SIGNS.get(edge.sign, _STROKES[place]),
        marker_end=f"url(#{_head(edge.sign, place)})", **_dash(_style(edge)),
    )  # fmt: skip
    _element(line, "title", _edge_tooltip(edge))


def _draw_box(parent: ET.Element, box: _Box, colour: int, layers: Mapping[int, int]) -> None:
    group = _element(parent, "g", id=f"s{box.node.number}")
    _element(group, "title", _tooltip(box.node))
    sign = box.node.sign
    _element(
        group, "rect", x=_text_of(box.left), y=_text_of(box.top), width=_text_of(BOX_WIDTH), height=_text_of(box.height),
        rx="6", fill=_FILLS[colour], stroke=_SIGNS.get(sign, _STROKES[colour]),
        stroke_width="3" if sign or box.node.number == 1 else "1.3", **_dash(sign),
    )  # fmt: skip
    y = box.top + 10
    for text, kind, fill in _written(box):
        y += ROW
        _element(group, "text", text, x=_text_of(box.left + 10), y=_text_of(y - 4.5), class_=kind, **fill)
    for edge in box.leaving:
        _draw_row(group, box, edge, layers)


def _written(box: _Box) -> list[tuple[str, str, dict[str, str]]]:
    """What is written from above down to the edges: text, class, and colour where it is marked."""
    second = box.node.name or _from(box.node)
    lines = [(line, "title", box.node.sign) for line in box.title]
    lines += [(clipped(second, LETTERS), "name", "")]
    lines += [(line, "name", sign) for sign, line in box.stays]
    return [(text, kind, {"style": f"fill: {_SIGNS[sign]}"} if sign else {}) for text, kind, sign in lines]


def _from(node: Node) -> str:
    """How the nearest state of a node is reached."""
    return "from " + (shown(node.program.text) or "the start")


def _draw_row(parent: ET.Element, box: _Box, edge: Edge, layers: Mapping[int, int]) -> None:
    """One edge in its box: at the side on which it leaves."""
    sign = edge.sign and edge.sign + " "
    back = _goes_back(edge, layers)
    label = _label(edge)
    arrow = f"{edge.target} \N{LEFTWARDS ARROW} {label}" if back else f"{label} \N{RIGHTWARDS ARROW} {edge.target}"
    text = sign + arrow
    anchor = {} if back else {"text_anchor": "end"}
    fill = {"style": f"fill: {_SIGNS[edge.sign]}"} if edge.sign else {}
    x = box.left + (8 if back else BOX_WIDTH - 8)
    row = _element(parent, "text", text, x=_text_of(x), y=_text_of(box.row(edge) + 3.5), **anchor, **fill)
    _element(row, "title", _edge_tooltip(edge))
