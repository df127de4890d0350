"""Small recordings by hand, for the tests of reports."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from characterization.behaviour import Behaviour, Recording
from characterization.outcome import Outcome
from characterization.program import Program, parse

SUBJECT = "relay.store"


def behaviour(
    program: str,
    answer: str = "None",
    effects: Iterable[str] = (),
    *,
    events: Iterable[str] = (),
    cost: tuple[int, int, int] = (1, 1, 40),
    before: str = "s0",
    after: str = "s0",
    kind: str = "the empty world",
) -> Behaviour:
    """A behaviour of the one subject of these tests."""
    outcome = Outcome(
        answer=answer, effects=tuple(effects), events=tuple(events), cost=cost, before=before, after=after, kind=kind
    )
    return Behaviour(subject=SUBJECT, program=parse(program), outcome=outcome)


def recording(*behaviours: Behaviour) -> Recording:
    """These behaviours as a recording."""
    return Recording(SUBJECT, behaviours)


def session() -> Recording:
    """A session that is saved, read, claimed, and that time takes away: three states, one of which is left unexplored."""
    new: dict[str, Any] = {"before": "s1", "kind": "a new session"}
    return recording(
        behaviour("get s1", "raises KeyError('s1')"),
        behaviour("save s1", "None", ["+ main(s1) (hash) ttl 7200s", "+ index (set) ttl none"], after="s1"),
        behaviour("save s1 ; get s1", "Session(state='new')", after="s1", **new),
        behaviour("save s1 ; claim s1", "True", ["main(s1).state new -> claimed"], after="s2", **new),
        behaviour("save s1 ; claim s2", "raises KeyError('s2')", after="s1", **new),
        behaviour("save s1 ; clock +7200s", "None", ["- main(s1)"], after="s0", **new),
    )


def ring(states: int, *, kinds: int) -> Recording:
    """As many states in a ring, each of which leads to the next and to one far away; and reads that stay."""
    found = []
    programs = [Program()]
    programs += [parse(" ; ".join(["step"] * (number % 5 + 1) + [f"enter {number}"])) for number in range(states)]
    for number, start in enumerate(programs[:states]):
        at: dict[str, Any] = {"before": f"{number:08x}", "kind": f"kind {number % kinds}"}
        for call, target in (
            ("next", number + 1),
            ("jump", number * 7 + 3),
            ("get", number),
            ("clock +300s", number // 2),
        ):
            text = " ; ".join(
                part for part in (start.text, call if call.startswith("clock") else f"{call} {number}") if part
            )
            found.append(behaviour(text, after=f"{target % states:08x}", **at))
    return recording(*found)


def shuffled(seen: Recording) -> Iterable[Recording]:
    """The same recording, put together in other orders."""
    behaviours = list(seen)
    orders = (behaviours[::-1], behaviours[1::2] + behaviours[::2])
    return [Recording(seen.subject, order) for order in itertools.islice(orders, 2)]
