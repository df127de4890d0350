"""Which two accesses of a run raced: who was interrupted between them, and by what.

A run that no order explains has steps of one client before and after a step of another on which both depend (a cycle among
the clients: Adya, Liskov, O'Neil: Generalized Isolation Level Definitions, ICDE 2000, section 4). In a witness with few
context switches that is most often one client's step between two of another's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from characterization.behaviour import Interruption
from characterization.program import AtOnce
from characterization.state import Words
from simulator.footprint import Footprint, Resource, footprint_of
from simulator.gate import Step


def client_of(step: Step) -> int:
    """Which client took it, from 1; 0: work in the background."""
    kind, number = step.lane[:2] if len(step.lane) > 1 else (step.lane[0], 0)
    return int(str(number)) if kind == "client" else 0


def contended(steps: Sequence[Step], words: Words) -> list[list[str]]:
    """For each step the words of those keys whose order with a step of another client matters, sorted."""
    found: list[list[str]] = []
    prints = [_print(step) for step in steps]
    for mine, own in zip(steps, prints, strict=True):
        others = [each for step, each in zip(steps, prints, strict=True) if client_of(step) != client_of(mine)]
        found.append(sorted({_word(shared, words) for other in others for shared in _shared(own, other)}))
    return found


def interruption(steps: Sequence[Step], at_once: AtOnce, words: Words, who: str) -> Interruption | None:
    """The interruption that explains a run, the most telling one: what was read is overwritten before it is used.

    It is a cycle of two clients: an access that comes before one of the other's, and a later one that comes after one.
    Work in the background, all of it, is one more of them, and named only if no two clients explain it.
    None: no two accesses of one client have a third's between them on which both depend; what raced is then in memory,
    or more than two clients were needed.
    """
    found = min(_triples(steps), key=lambda triple: triple[0], default=None)
    if found is None:
        return None
    _, early, middle, late, first, second = found
    came = _print(steps[middle])
    # What it wrote says more than what it read; of two that it wrote, what the later access comes upon does.
    between = [(second, _print(steps[late])), (first, _print(steps[early]))]
    about = min((each for each, own in between if each in _shared(came, own)), key=lambda each: each not in came.writes)
    return Interruption(
        client=client_of(steps[early]), operation=_operation(at_once, client_of(steps[early])),
        early=_name(steps[early], first), late=_name(steps[late], second),
        words=(_word(first, words), _word(second, words)),
        by=client_of(steps[middle]), other=_operation(at_once, client_of(steps[middle])),
        came=_name(steps[middle]), wrote=about in came.writes, first=about == first != second, who=who,
    )  # fmt: skip


def interrupted_by_the_clock(
    steps: Sequence[Step], moved: Sequence[int], at_once: AtOnce, words: Words, who: str
) -> Interruption | None:
    """The two accesses of one key between which the clock moved; ``moved`` has the number of steps before each move."""
    for move, (early, late) in itertools.product(moved, itertools.combinations(range(len(steps)), 2)):
        client = client_of(steps[early])
        if not early < move <= late or not client or client != client_of(steps[late]):
            continue
        shared = sorted(_touched(_print(steps[early])) & _touched(_print(steps[late])), key=repr)
        if shared:
            word = _word(shared[0], words)
            return Interruption(
                client=client, operation=_operation(at_once, client), early=_name(steps[early], shared[0]),
                late=_name(steps[late], shared[0]), words=(word, word), by=0, other="clock", came="clock", who=who,
            )  # fmt: skip
    return None


Triple = tuple[tuple[int, ...], int, int, int, Resource, Resource]


def _triples(steps: Sequence[Step]) -> Iterator[Triple]:
    """Each early, middle and late step, with what the first two and the last two share; the most telling sorts first."""
    clients, prints = [client_of(step) for step in steps], [_print(step) for step in steps]
    shared = {
        (one, other): _shared(prints[one], prints[other])
        for one, other in itertools.combinations(range(len(steps)), 2)
        if clients[one] != clients[other]
    }
    for early, late in itertools.combinations(range(len(steps)), 2):
        if clients[early] != clients[late]:
            continue
        for middle in range(early + 1, late):
            for apart, first, second in _cycles(shared, clients, early, middle, late):
                rank = _rank(prints[early], prints[middle], prints[late], first, second)
                background = 0 in (clients[early], clients[middle])
                yield (background, apart, *rank, late - early, early, middle), early, middle, late, first, second


def _cycles(
    shared: Mapping[tuple[int, int], Sequence[Resource]], clients: Sequence[int], early: int, middle: int, late: int
) -> Iterator[tuple[int, Resource, Resource]]:
    """On what ``early`` comes before steps of the one who took ``middle``, and ``late`` after some; one by ``middle``."""
    firsts, seconds = shared.get((early, middle), ()), shared.get((middle, late), ())
    for first, second in itertools.product(firsts, seconds):
        yield 0, first, second
    if bool(firsts) == bool(seconds):
        return
    own = [place for place, client in enumerate(clients) if client == clients[middle]]
    before = firsts or [each for place in own if place > early for each in shared.get((early, place), ())]
    after = seconds or [each for place in own if place < late for each in shared.get((place, late), ())]
    for first, second in itertools.product(before, after):
        yield 1, first, second


def _rank(early: Footprint, middle: Footprint, late: Footprint, first: Resource, second: Resource) -> tuple[int, ...]:
    """Reading, being overwritten, and writing the same is what most defects are; reading twice comes next."""
    lost = first in early.reads and first in middle.writes and second in late.writes
    return int(first != second), int(not lost), int(first not in middle.writes)


def _print(step: Step) -> Footprint:
    return footprint_of(step.commands)


def _shared(one: Footprint, other: Footprint) -> list[Resource]:
    """On what the order of two steps depends, keys only."""
    found = (
        one.writes & (other.reads | other.writes | other.adds)
        | other.writes & (one.reads | one.adds)
        | (one.adds & other.reads)
        | (other.adds & one.reads)
    )
    return sorted((each for each in found if isinstance(each[0], int)), key=repr)


def _word(resource: Resource, words: Words) -> str:
    return words.of(resource[1])


def _operation(at_once: AtOnce, client: int) -> str:
    """What a client does: its operation, or all of them in turn."""
    if not client:
        return "background"
    return " ; ".join(dict.fromkeys(call.operation for call in at_once.clients[client - 1]))


def _name(step: Step, about: Resource | None = None) -> str:
    """``GET``, or ``MULTI {SET, SREM}``; of what took effect at once, with ``about``, the command that touches that."""
    commands = [command for command in step.commands if command[0].upper() not in _FRAME or len(step.commands) == 1]
    if about is not None:
        touching = [command for command in commands if about in _touched(footprint_of((command,)))]
        commands = touching[:1] or commands
    names = [command[0].decode(errors="replace").upper() for command in commands]
    if len(names) == 1:
        return names[0]
    return f"{'MULTI ' if step.commands[0][0].upper() == b'MULTI' else ''}{{{', '.join(names)}}}"


def _touched(footprint: Footprint) -> frozenset[Resource]:
    return footprint.reads | footprint.writes


_FRAME = (b"MULTI", b"EXEC")
