"""The state graph of a recording, as text and as picture; with an older recording, what was added and removed."""

from __future__ import annotations

from collections.abc import Iterator

from characterization.behaviour import Recording
from reports.drawing import draw
from reports.states import Edge, Graph, Node, by_kind, graph
from reports.words import labelled, number, shown

BOXES_MAX = 60


def text(recording: Recording, *, against: Recording | None = None) -> str:
    """Every state with where its transitions lead; those that lead nowhere are counted by operation.

    With ``against``, an older recording: only what was added (``+``) and removed (``-``), and how much is as before.
    """
    whole = graph(recording, against)
    shown_nodes = [node for node in whole.nodes if against is None or _differs(whole, node)]
    lines = [_head(whole, compared=against is not None)]
    for node in shown_nodes:
        lines += ["", *_state(whole, node, compared=against is not None)]
    as_before = len(whole.nodes) - len(shown_nodes)
    if as_before:
        lines += ["", f"{number(as_before, 'state')} and what leads out of them: as before"]
    return "\n".join(lines)


def svg(recording: Recording, *, against: Recording | None = None) -> str:
    """The graph as one SVG document. With more than sixty states, all states of one kind stand in one box.

    With ``against``, an older recording: what was added is green and marked ``+``, what was removed red, dashed and ``-``.
    """
    whole = graph(recording, against)
    drawn = by_kind(whole, BOXES_MAX) if len(whole.nodes) > BOXES_MAX else whole
    return draw(drawn, _legend(drawn, compared=against is not None), compared=against is not None)


def _legend(drawn: Graph, *, compared: bool) -> list[str]:
    boxes = (
        f"Each box is all states of one kind, since {drawn.states} states are too many for one picture. "
        "within: transitions between states of the kind."
        if drawn.by_kind
        else "Each box is a state, numbered by its shortest program. stays: operations that lead back to the same state."
    )
    lines = "A row with an arrow is a line that leaves there; it has the colour of the box that it leads to."
    start = "The start has a thick border. Boxes of one kind have one colour."
    return [boxes, lines, start, *([_difference(drawn)] if compared else [])]


def _difference(whole: Graph) -> str:
    added, removed = whole.count("+"), whole.count("-")
    return (
        f"added: {number(added[0], 'state')}, {number(added[1], 'transition')}; "
        f"removed: {number(removed[0], 'state')}, {number(removed[1], 'transition')}"
    )


def _differs(whole: Graph, node: Node) -> bool:
    return bool(node.sign) or any(edge.sign for edge in whole.out_of(node.number))


def _head(whole: Graph, *, compared: bool) -> str:
    counts = f"{number(whole.states, 'state')}, {number(whole.transitions, 'transition')}"
    return f"{shown(whole.subject)}    {counts}" + (f"\n  {_difference(whole)}" if compared else "")


def _state(whole: Graph, node: Node, *, compared: bool) -> Iterator[str]:
    title = [f"{node.number}  {node.kind}  ({node.name})"]
    yield from labelled(f"{node.sign or ' '}", title, column=2)
    yield from labelled("reached by", [node.program.text or "(nothing done yet)"], indent=5, column=12)
    for edge in whole.out_of(node.number):
        if edge.sign or not compared:
            yield from _edge(edge)


def _edge(edge: Edge) -> list[str]:
    words = edge.operations if edge.stays and not edge.timed else edge.short
    raising = f"; {edge.raising} raise" if edge.raising else ""
    where = "stays" if edge.stays else f"-> {edge.target}"
    return labelled(f"{edge.sign or ' '} {where}", [", ".join(words) + raising], indent=3, column=14)
