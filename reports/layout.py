"""Where boxes and lines go: layers from left to right, by how many transitions lead there from the first box.

A line that passes a layer runs through a lane there, which it shares with all lines of its style to the same box. Boxes and
lanes are put in order by barycenter sweeps, then moved up and down until they stand near what they are joined to. The
same input gives the same places.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

SWEEPS = 16
MOVES = 40
BOX_GAP = 22.0
LANE_GAP = 9.0
LAYER_GAP_MIN = 70.0
LAYER_GAP_MAX = 220.0
LAYER_HEIGHT_MAX = 2000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line between two boxes, by number. Lines of one ``style`` to one box may share lanes."""

    source: int
    target: int
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """``boxes`` are the left upper corners, ``layers`` the layer of each box; ``lanes`` the heights at which each line
    passes the layers between its ends, in its direction; ``gaps`` the room to the right of each layer.
    """

    boxes: Mapping[int, tuple[float, float]]
    layers: Mapping[int, int]
    lanes: Sequence[Sequence[tuple[float, float]]]
    gaps: Sequence[float]
    width: float
    height: float


_Item = tuple[int, str, int]  # a box: its number, "", 0; a lane: the target's number, the style, its direction


def layout(heights: Mapping[int, float], lines: Sequence[Line], box_width: float) -> Layout:
    """Places for boxes of ``heights`` by number, the first of which is where everything starts, and for ``lines``."""
    layers = _split_layers(heights, _layers(list(heights), lines))
    items, segments, routes = _items(layers, lines)
    _sweep(items, segments)
    tops = _settle(items, segments, heights)
    loops = Counter(layers[line.source] for line in lines if layers[line.source] == layers[line.target])
    gaps = [_gap(len(segments[layer]) + loops[layer]) for layer in range(len(items))]
    lefts = [layer * box_width + sum(gaps[:layer]) for layer in range(len(items))]
    return Layout(
        boxes={number: (lefts[layer], tops[layer, (number, "", 0)]) for number, layer in layers.items()},
        layers=layers,
        lanes=[[(lefts[layer], tops[layer, item]) for layer, item in route] for route in routes],
        gaps=gaps,
        width=lefts[-1] + box_width + gaps[-1] if lefts else 0.0,
        height=max((tops[layer, item] + _height(item, heights) for layer, item in tops), default=0.0),
    )


def _gap(segments: int) -> float:
    return min(LAYER_GAP_MAX, LAYER_GAP_MIN + 2.0 * segments)


def _layers(numbers: Sequence[int], lines: Sequence[Line]) -> dict[int, int]:
    """Breadth first from the first box; what cannot be reached from it starts anew on the left."""
    leads: dict[int, list[int]] = defaultdict(list)
    for line in lines:
        leads[line.source].append(line.target)
    layers: dict[int, int] = {}
    for root in numbers:
        ring = [root] if root not in layers else []
        layers.setdefault(root, 0)
        while ring:
            found = sorted({target for number in ring for target in leads[number] if target not in layers})
            layers.update((target, layers[ring[0]] + 1) for target in found)
            ring = found
    return layers


def _split_layers(heights: Mapping[int, float], layers: Mapping[int, int]) -> dict[int, int]:
    """Layers that are too tall for a screen or two become several."""
    split: dict[int, int] = {}
    column = -1
    for layer in sorted(set(layers.values())):
        members = sorted(number for number in layers if layers[number] == layer)
        total = sum(heights[number] + BOX_GAP for number in members)
        room = total / -(-total // LAYER_HEIGHT_MAX) + max(heights[number] for number in members)
        used = room
        for number in members:
            if used + heights[number] > room:
                column, used = column + 1, 0.0
            split[number] = column
            used += heights[number] + BOX_GAP
    return split


_Segments = dict[int, list[tuple[_Item, _Item]]]
_Route = list[tuple[int, _Item]]


def _items(layers: Mapping[int, int], lines: Sequence[Line]) -> tuple[list[list[_Item]], _Segments, list[_Route]]:
    """What stands in each layer, which neighbours are joined, and through which lanes each line goes."""
    items: list[list[_Item]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for number, layer in sorted(layers.items()):
        items[layer].append((number, "", 0))
    segments: dict[int, dict[tuple[_Item, _Item], None]] = defaultdict(dict)
    routes = []
    for line in lines:
        route = _route(line, layers)
        routes.append(route[1:-1])
        for layer, item in route[1:-1]:
            if item not in items[layer]:
                items[layer].append(item)
        for left, right in itertools.pairwise(sorted(route, key=lambda place: place[0])):
            if left[0] != right[0]:  # boxes of one layer are neighbours in any order
                segments[left[0]][left[1], right[1]] = None
    return items, defaultdict(list, {layer: list(pairs) for layer, pairs in segments.items()}), routes


def _route(line: Line, layers: Mapping[int, int]) -> _Route:
    start, end = layers[line.source], layers[line.target]
    step = 1 if end > start else -1
    passed = range(start + step, end, step) if start != end else ()
    lanes = [(layer, (line.target, line.style, step)) for layer in passed]
    return [(start, (line.source, "", 0)), *lanes, (end, (line.target, "", 0))]


def _neighbours(layer: int, segments: _Segments) -> dict[_Item, list[tuple[int, _Item]]]:
    """For each item of a layer what it is joined to in the layers beside it."""
    found: dict[_Item, list[tuple[int, _Item]]] = defaultdict(list)
    for left, right in segments[layer - 1]:
        found[right].append((layer - 1, left))
    for left, right in segments[layer]:
        found[left].append((layer + 1, right))
    return found


def _sweep(items: list[list[_Item]], segments: _Segments) -> None:
    """Put the items of each layer in order of the mean place of what they are joined to, back and forth."""
    for sweep in range(SWEEPS):
        order = range(len(items)) if sweep % 2 == 0 else range(len(items) - 1, -1, -1)
        side = -1 if sweep % 2 == 0 else 1
        for layer in order:
            _reorder(layer, side, items, segments)


def _reorder(layer: int, side: int, items: list[list[_Item]], segments: _Segments) -> None:
    if not 0 <= layer + side < len(items):
        return
    places = {item: (place + 0.5) / len(items[layer + side]) for place, item in enumerate(items[layer + side])}
    own = {item: (place + 0.5) / len(items[layer]) for place, item in enumerate(items[layer])}
    joined = _neighbours(layer, segments)
    means = {}
    for item in items[layer]:
        near = [places[other] for where, other in joined[item] if where == layer + side]
        means[item] = fmean(near or [own[item]])
    items[layer].sort(key=lambda item: (means[item], own[item]))


def _height(item: _Item, heights: Mapping[int, float]) -> float:
    return heights[item[0]] if item[2] == 0 else 0.0


_Tops = dict[tuple[int, _Item], float]


def _settle(items: list[list[_Item]], segments: _Segments, heights: Mapping[int, float]) -> _Tops:
    """The upper edges: near what it is joined to, in order, and nothing on top of anything else."""
    tops: _Tops = {}
    for layer, members in enumerate(items):
        tops.update(_stacked(layer, members, dict.fromkeys(members, 0.0), heights))
    for move in range(MOVES):
        for layer in range(len(items)) if move % 2 == 0 else range(len(items) - 1, -1, -1):
            joined = _neighbours(layer, segments)
            wanted = {item: _wanted(layer, item, joined[item], tops, heights) for item in items[layer]}
            tops.update(_stacked(layer, items[layer], wanted, heights))
    highest = min(tops.values(), default=0.0)
    return {place: round(top - highest, 1) for place, top in tops.items()}


def _wanted(
    layer: int, item: _Item, joined: Sequence[tuple[int, _Item]], tops: _Tops, heights: Mapping[int, float]
) -> float:
    centres = [tops[place] + _height(place[1], heights) / 2 for place in joined]
    return fmean(centres) - _height(item, heights) / 2 if centres else tops[layer, item]


def _stacked(
    layer: int, members: Sequence[_Item], wanted: Mapping[_Item, float], heights: Mapping[int, float]
) -> _Tops:
    """Where each would like to be, pushed apart: the mean of pushing everything down and pushing everything up."""
    down: dict[_Item, float] = {}
    edge = float("-inf")
    for item in members:
        down[item] = max(wanted[item], edge)
        edge = down[item] + _height(item, heights) + _space(item)
    up: dict[_Item, float] = {}
    edge = float("inf")
    for item in reversed(members):
        up[item] = min(wanted[item], edge - _height(item, heights) - _space(item))
        edge = up[item]
    return {(layer, item): (down[item] + up[item]) / 2 for item in members}


def _space(item: _Item) -> float:
    return BOX_GAP if item[2] == 0 else LANE_GAP
