"""The shortest program that still shows something: simpler ones are tried until none of them does.

Simpler is, in this order: fewer calls and moves, less at once, fewer faults, fewer context switches, fewer processes,
values of the few before wide ones, and those that are named first. A candidate is run as far as its schedule and its
faults fit, and what it came to is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from characterization.program import WIDE, AtOnce, Call, Crash, Move, Part, Program, Struck, calls_of
from characterization.subject import Operation
from characterization.unfolding import parts_of, tidy
from simulator.schedule import Schedule

RUNS_MAX = 600
"""How many candidates are run for one program."""

Attempt = Callable[[Program], Program | None]
"""Runs a candidate: what it came to, up to where it shows the thing; none: it does not."""

Values = Mapping[tuple[str, int], Sequence[str]]
"""By operation and argument: the labels of the few values, then those of wide ones that were drawn, shorter ones first."""


def size(program: Program, values: Values) -> tuple[object, ...]:
    """What makes a program simpler than another."""
    parts = parts_of(program)
    together = [part for part in parts if isinstance(part, AtOnce)]
    plans = [part.plan for part in parts if isinstance(part, (AtOnce, Struck)) and part.plan is not None]
    return (
        sum(_acts(part) for part in parts), len(together), sum(len(plan.faults) for plan in plans),
        sum(part.schedule.switches for part in together if part.schedule is not None),
        sum(len(part.timers * "t") + len(part.moves) for part in together),
        sum(call.replica - 1 for call in program.calls),
        sum(_rank(call, values) for call in program.calls), len(program.text), program.text,
    )  # fmt: skip


def _acts(part: Part) -> int:
    return len(calls_of(part)) + len(part.moves) if isinstance(part, AtOnce) else 1


def _rank(call: Call, values: Values) -> int:
    """The places of its values among those that there are; a wide one counts as dear."""
    known = [values.get((call.operation, place), ()) for place in range(len(call.labels))]
    places = [labels.index(label) if label in labels else 99 for label, labels in zip(call.labels, known, strict=True)]
    return sum(places) + 100 * sum(label.startswith(WIDE) for label in call.labels)


def values_of(operations: Mapping[str, Operation], drawn: Mapping[str, Sequence[str]]) -> Values:
    """The values of each argument; ``drawn`` has the labels of wide ones by what draws them."""
    return {
        (name, place): [*few.values, *sorted(drawn.get(repr(few.wide), ()), key=lambda each: (len(each), each))]
        for name, operation in operations.items()
        for place, few in enumerate(operation.arguments.values())
    }


def shrunk(program: Program, attempt: Attempt, values: Values, runs_max: int = RUNS_MAX) -> Program:
    """The simplest program that ``attempt`` can be brought to from ``program``, with at most ``runs_max`` runs."""
    best, runs, tried = program, 0, {program.text}
    while True:
        for candidate in simpler(best, values):
            if candidate.text in tried or size(candidate, values) >= size(best, values):
                continue
            tried.add(candidate.text)
            runs += 1
            came_to = attempt(candidate)
            if came_to is not None and size(came_to, values) < size(best, values):
                best = came_to
                break
            if runs >= runs_max:
                return tidy(best)
        else:
            return tidy(best)


def simpler(program: Program, values: Values) -> Iterator[Program]:
    """Programs that may be simpler than ``program``, the boldest first."""
    parts = parts_of(program)
    length = len(parts) // 2
    while length:
        for start in range(0, len(parts) - length + 1, length):
            yield Program((*parts[:start], *parts[start + length :]))
        length //= 2
    for replica in sorted({call.replica for call in program.calls}):
        yield Program(tuple(_on(part, {replica: 1, 1: replica}) for part in parts))
    for place, part in enumerate(parts):
        for instead in _instead(part, values):
            yield Program((*parts[:place], *instead, *parts[place + 1 :]))


def _on(part: Part, homes: Mapping[int, int]) -> Part:
    """``part`` with its replicas renumbered."""
    match part:
        case Call():
            return replace(part, replica=homes.get(part.replica, part.replica))
        case Struck():
            return Struck(replace(part.call, replica=homes.get(part.call.replica, part.call.replica)), part.plan)
        case Crash():
            return Crash(homes.get(part.replica, part.replica))
        case AtOnce():
            clients = tuple(
                tuple(replace(call, replica=homes.get(call.replica, call.replica)) for call in client)
                for client in part.clients
            )
            return replace(part, clients=clients)
        case _:
            return part


def _instead(part: Part, values: Values) -> Iterator[tuple[Part, ...]]:
    match part:
        case Call():
            for call in _calls(part, values):
                yield (call,)
        case Struck():
            yield (part.call,)
            for fault in part.plan.faults if len(part.plan.faults) > 1 else ():
                yield (Struck(part.call, replace(part.plan, faults=(fault,))),)
            for call in _calls(part.call, values):
                yield (Struck(call, part.plan),)
        case AtOnce():
            yield from _less_at_once(part, values)
        case Crash() if part.replica > 1:
            yield (Crash(1),)
        case _:
            return


def _calls(call: Call, values: Values) -> Iterator[Call]:
    """The same call on the first replica, or with a value that comes before one of its own."""
    if call.replica > 1:
        yield replace(call, replica=1)
    for place, label in enumerate(call.labels):
        labels = values.get((call.operation, place), ())
        before = labels[: labels.index(label)] if label in labels else labels
        for instead in before:
            yield replace(call, labels=(*call.labels[:place], instead, *call.labels[place + 1 :]))


def _less_at_once(part: AtOnce, values: Values) -> Iterator[tuple[Part, ...]]:
    yield part.calls
    yield tuple(reversed(part.calls))
    if part.moves:
        yield (*part.calls, *map(Move, part.moves))
        yield (replace(part, moves=()),)
    if part.plan is not None:
        yield (replace(part, plan=None),)
        if len(part.clients) == 1 and len(part.calls) == 1:
            yield (Struck(part.calls[0], part.plan),)
    for place in range(len(part.clients)) if len(part.clients) > 1 else ():
        yield (_without(part, place),)
    for schedule in _fewer_switches(part.schedule or Schedule(())):
        yield (replace(part, schedule=schedule),)
    for place, client in enumerate(part.clients):
        for at, call in enumerate(client):
            for other in _calls(call, values):
                calls = (*client[:at], other, *client[at + 1 :])
                yield (replace(part, clients=(*part.clients[:place], calls, *part.clients[place + 1 :])),)


def _without(part: AtOnce, place: int) -> AtOnce:
    """``part`` without one of its clients; those behind it move up, and so do their lanes in the schedule."""
    gone = str(place + 1)

    def renamed(lane: str) -> str:
        number, dot, rest = lane.partition(".")
        return f"{int(number) - 1}{dot}{rest}" if number.isdigit() and int(number) > place + 1 else lane

    lanes = part.schedule.lanes if part.schedule is not None else ()
    kept = tuple(renamed(lane) for lane in lanes if lane.partition(".")[0] != gone)
    return replace(part, clients=(*part.clients[:place], *part.clients[place + 1 :]), schedule=Schedule(kept))


def _fewer_switches(schedule: Schedule) -> Iterator[Schedule]:
    """``schedule`` with one block of a lane's steps moved to another block of the same lane."""
    blocks: list[tuple[str, ...]] = []
    for lane in schedule.lanes:
        if blocks and blocks[-1][0] == lane:
            blocks[-1] = (*blocks[-1], lane)
        else:
            blocks.append((lane,))
    for one in range(len(blocks)):
        for other in range(len(blocks)):
            if one != other and blocks[one][0] == blocks[other][0]:
                moved = [
                    block + blocks[one] if place == other else block
                    for place, block in enumerate(blocks) if place != one
                ]  # fmt: skip
                yield Schedule(tuple(lane for block in moved for lane in block))
