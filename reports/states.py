"""A recording as states, numbered by their shortest programs, and the transitions between them.

With an older recording beside it, everything is marked: ``+`` was added, ``-`` was removed, nothing: it is in both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from characterization.behaviour import Behaviour, Recording
from characterization.program import Call, Move, Part, Program
from reports.words import counted

UNKNOWN_KIND = "nothing was tried from here"
REST_KIND = "other kinds of state"
SPELLED_MAX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A state, or all states of one kind. ``program`` is the shortest that leads to it.

    ``size`` is how many states it is now, ``added`` how many of them are new, ``removed`` how many more it once was.
    """

    number: int
    name: str
    kind: str
    program: Program
    sign: str = ""
    size: int = 1
    added: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """All transitions from one state to another that are marked alike; ``raising`` counts those that raise."""

    source: int
    target: int
    sign: str
    timed: bool
    parts: tuple[Part, ...]
    raising: int = 0

    @property
    def stays(self) -> bool:
        """Whether it leads nowhere."""
        return self.source == self.target

    @property
    def spelled(self) -> list[str]:
        """Every call, as it is spelled in a program, sorted."""
        return sorted({part.text for part in self.parts})

    @property
    def operations(self) -> list[str]:
        """Each operation with its number of calls, the most frequent first."""
        return counted(part.operation if isinstance(part, Call) else "clock" for part in self.parts)

    @property
    def short(self) -> list[str]:
        """Calls as they are spelled, but an operation with more than two of them once, with their number."""
        return [text for word in self._by_operation() for text in word]

    def _by_operation(self) -> Iterator[list[str]]:
        calls: dict[str, list[str]] = defaultdict(list)
        for part in sorted(self.parts, key=lambda each: each.text):
            calls[part.operation if isinstance(part, Call) else "clock"].append(part.text)
        for operation, spelled in sorted(calls.items()):
            yield (
                spelled
                if len(spelled) <= SPELLED_MAX and len(spelled) == len(set(spelled))
                else [f"{operation} x{len(spelled)}"]
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """States and transitions. ``states`` and ``transitions`` count what is there now, whatever stands together."""

    subject: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    states: int
    transitions: int
    by_kind: bool = False

    def out_of(self, number: int) -> list[Edge]:
        """The edges that leave a node, by where they lead."""
        return [edge for edge in self.edges if edge.source == number]

    def count(self, sign: str) -> tuple[int, int]:
        """How many states and transitions are marked with ``sign``, which is ``+`` or ``-``."""
        nodes = sum(node.added if sign == "+" else node.removed for node in self.nodes)
        return nodes, sum(len(edge.parts) for edge in self.edges if edge.sign == sign)


_Transition = tuple[str, str, str]


def graph(recording: Recording, against: Recording | None = None) -> Graph:
    """The state graph of ``recording``, marked with what is different from ``against``."""
    old = recording if against is None else against
    now, was = _transitions(recording), _transitions(old)
    nodes = _nodes(recording, old)
    edges = _edges(now, was, {node.name: node.number for node in nodes})
    states = len(recording.states())
    return Graph(subject=recording.subject, nodes=nodes, edges=edges, states=states, transitions=len(now))


def _transitions(recording: Recording) -> dict[_Transition, Behaviour]:
    """One behaviour, that with the shortest program, for each state before, call, and state after."""
    found: dict[_Transition, Behaviour] = {}
    for each in sorted(recording, key=lambda each: each.program.order):
        found.setdefault((each.outcome.before, each.program.parts[-1].text, each.outcome.after), each)
    return found


def _nodes(recording: Recording, old: Recording) -> tuple[Node, ...]:
    """The states of now by their shortest programs, then those that are gone."""
    now, was = _shortest(recording), _shortest(old)
    kinds = {**_kinds(old), **_kinds(recording)}
    gone = {name: program for name, program in was.items() if name not in now}
    names = [name for part in (now, gone) for name in sorted(part, key=lambda name: (part[name].order, name))]
    return tuple(
        Node(
            number=number,
            name=name,
            kind=kinds.get(name, UNKNOWN_KIND),
            program=now[name] if name in now else gone[name],
            sign=_sign(name in now, name in was),
            size=int(name in now),
            added=int(name not in was),
            removed=int(name not in now),
        )
        for number, name in enumerate(names, 1)
    )


def _sign(is_now: bool, was: bool) -> str:  # noqa: FBT001 - the two halves of one question
    return "" if is_now and was else "+" if is_now else "-"


def _shortest(recording: Recording) -> dict[str, Program]:
    """Every state with the shortest program that leads to it."""
    found: dict[str, Program] = {}
    for each in recording:
        for name, program in ((each.outcome.before, each.program.prelude), (each.outcome.after, each.program)):
            if name not in found or program.order < found[name].order:
                found[name] = program
    return found


def _kinds(recording: Recording) -> dict[str, str]:
    """The kind of every state that was met, as the shortest program met it."""
    ordered = sorted(recording, key=lambda each: each.program.order, reverse=True)
    after = {each.outcome.after: each.outcome.kind_after for each in ordered if each.outcome.kind_after}
    return after | {each.outcome.before: each.outcome.kind for each in ordered}


def _edges(
    now: dict[_Transition, Behaviour], was: dict[_Transition, Behaviour], numbers: dict[str, int]
) -> tuple[Edge, ...]:
    found: dict[tuple[int, int, str, bool], list[Behaviour]] = defaultdict(list)
    for key in sorted({*now, *was}):
        behaviour = now[key] if key in now else was[key]
        timed = isinstance(behaviour.program.parts[-1], Move)
        found[numbers[key[0]], numbers[key[2]], _sign(key in now, key in was), timed].append(behaviour)
    return tuple(
        Edge(
            source=source,
            target=target,
            sign=sign,
            timed=timed,
            parts=tuple(each.program.parts[-1] for each in members),
            raising=sum(each.outcome.answer.startswith("raises ") for each in members),
        )
        for (source, target, sign, timed), members in sorted(found.items())
    )


def by_kind(whole: Graph, most: int) -> Graph:
    """``whole`` with all states of one kind as one node, at most ``most`` nodes: the smallest kinds stand together."""
    kinds = _kept_kinds(whole, most)
    members: dict[str, list[Node]] = defaultdict(list)
    for node in whole.nodes:
        members[node.kind if node.kind in kinds else REST_KIND].append(node)
    nodes = [_joined(number, kind, each) for number, (kind, each) in enumerate(members.items(), 1)]
    numbers = {one.number: node.number for node, each in zip(nodes, members.values(), strict=True) for one in each}
    return replace(whole, nodes=tuple(nodes), edges=_merged(whole.edges, numbers), by_kind=True)


def _kept_kinds(whole: Graph, most: int) -> set[str]:
    sizes: dict[str, int] = defaultdict(int)
    for node in whole.nodes:
        sizes[node.kind] += 1
    if len(sizes) <= most:
        return set(sizes)
    first = whole.nodes[0].kind
    return set(sorted(sizes, key=lambda kind: (kind != first, -sizes[kind]))[: most - 1])


def _joined(number: int, kind: str, members: list[Node]) -> Node:
    signs = {node.sign for node in members}
    sign = signs.pop() if len(signs) == 1 else ""
    size, added, removed = (
        sum(values) for values in zip(*((m.size, m.added, m.removed) for m in members), strict=True)
    )
    return replace(members[0], number=number, name="", kind=kind, sign=sign, size=size, added=added, removed=removed)


def _merged(edges: Iterable[Edge], numbers: dict[int, int]) -> tuple[Edge, ...]:
    found: dict[tuple[int, int, str, bool], list[Edge]] = defaultdict(list)
    for edge in edges:
        found[numbers[edge.source], numbers[edge.target], edge.sign, edge.timed].append(edge)
    return tuple(
        Edge(
            source=source,
            target=target,
            sign=sign,
            timed=timed,
            parts=tuple(part for edge in members for part in edge.parts),
            raising=sum(edge.raising for edge in members),
        )
        for (source, target, sign, timed), members in sorted(found.items())
    )
