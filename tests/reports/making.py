"""Small recordings by hand, for the tests of reports."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from characterization.behaviour import Behaviour, Explored, Interruption, RaceBehaviour, RaceOutcome, Recording
from characterization.outcome import Outcome
from characterization.program import Program, parse
from characterization.racing import Race, RaceStep, Witness

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


# Operations at once.


def step(client: int, command: str, *replies: str, on: Iterable[str] = (), line: str = "") -> RaceStep:
    """A step of one command, or of several with `` ; `` between them; ``on`` are the keys whose order matters."""
    return RaceStep(
        client=client, commands=tuple(command.split(" ; ")), replies=replies, contended=tuple(on), line=line
    )


def witness(
    schedule: str,
    *steps: RaceStep,
    answers: Iterable[str] = ("None", "None"),
    effects: Iterable[str] = (),
    events: Iterable[str] = (),
    found: Interruption | None = None,
    **marks: bool,
) -> Witness:
    """An outcome with its steps; ``marks`` are ``serial`` and ``split``."""
    outcome = RaceOutcome(
        answers=tuple(answers), effects=tuple(effects), events=tuple(events), schedule=schedule, interruption=found, **marks
    )  # fmt: skip
    return Witness(outcome=outcome, steps=steps)


def interruption(**different: Any) -> Interruption:
    """``between replica 1's GET and SET of n, replica 2 wrote it (SET)``, but for what is ``different``."""
    plain: dict[str, Any] = {
        "client": 1, "operation": "add", "early": "GET", "late": "SET", "words": ("n", "n"), "by": 2, "other": "add",
        "came": "SET", "who": "replica",
    }  # fmt: skip
    return Interruption(**{**plain, **different})


def outcome(**different: Any) -> RaceOutcome:
    """An update that was lost, as a recording has it, but for what is ``different``."""
    plain: dict[str, Any] = {
        "answers": ("None", "None"), "effects": ("n = 1",), "events": (), "schedule": "1 2*2 1",
        "interruption": interruption(),
    }  # fmt: skip
    return RaceOutcome(**{**plain, **different})


def raced(program: str, *anomalies: RaceOutcome, explored: Explored | None = None) -> RaceBehaviour:
    """What a program shows, as a recording has it: one outcome that an order has, and these."""
    return RaceBehaviour(
        subject=SUBJECT, program=parse(program), kind="an empty counter", serial=(("1 2", "0a"),), anomalies=anomalies,
        explored=explored or Explored(mode="all", classes=4),
    )  # fmt: skip


def lost(**different: Any) -> Witness:
    """An update that is lost: both read before either writes."""
    line = "counter.py:9  await self._redis.set(n)"
    steps = (
        step(1, "GET n", "None", on=["n"], line="counter.py:8  await self._redis.get(n)"),
        step(2, "GET n", "None", on=["n"], line="counter.py:8  await self._redis.get(n)"),
        step(2, "SET n 1", "b'OK'", on=["n"], line=line),
        step(1, "SET n 1", "b'OK'", on=["n"], line=line),
    )
    given: dict[str, Any] = {"effects": ["n = 1"], "found": interruption(), **different}
    return witness("1 2*2 1", *steps, **given)


IN_ORDER = witness("1*2 2*2", effects=["n = 2"], serial=True)


def race(
    *witnesses: Witness,
    program: str = "{ add 1 || add 1 @2 }",
    explored: Explored | None = None,
    again: bool = False,
    kind: str = "an empty counter",
) -> Race:
    """Operations at once with these outcomes."""
    return Race(
        subject="counter", program=parse(program), kind=kind, witnesses=witnesses, backend="fakeredis 2", seed=7,
        explored=explored or Explored(mode="all", classes=4), again=again,
    )  # fmt: skip


_LONG = "9" * 300
CROWDED = race(
    witness(
        "1*2 2 replica1.0 3 4 timer clock 4",
        step(1, f"SET main(s1) {_LONG}", _LONG, on=["main(s1)"], line=f"file.py:1  {_LONG}"),
        step(2, f"MULTI{(' ; SET n 世界 ' + 'x ' * 90) * 11} ; EXEC", "b'OK'", "[True]", line="a.py:1  pipe()"),
        step(0, "BLPOP q 0"),
        step(3, "GET 世界", "世" * 200, on=["世界"], line="b.py:1  " + "世界 " * 60),
        step(4, "GET \x1b[31m", "None"),
        step(4, "GET n", "None"),
        answers=[_LONG, "raises ValueError('x')", "None", "None"],
        effects=[f"{number} {_LONG}" for number in range(40)],
        events=[_LONG],
        found=interruption(words=("世" * 80, "n")),
        split=True,
    ),
    program=f"fill {'x' * 150} ; {{ add 1 || add 2 || add {'z' * 100} || add 4 || clock +300s || clock }}",
)  # fmt: skip
"""All that is hard to fit into a line at once: long, wide and unprintable text, and every kind of lane."""
