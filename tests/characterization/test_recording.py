"""Recordings made twice: what varies is named, whatever it varies for."""

from __future__ import annotations

from typing import Any

import pytest

from characterization.baseline import graph_text
from characterization.comparing import Kind
from characterization.errors import NotDeterministicError
from characterization.lenses.runner import Place, local_runner
from characterization.program import parse
from characterization.recording import Settings, check_same, explore_both, look_again, record, still_there
from simulator.seed import Seed
from tests.characterization import demo
from tests.characterization.demo import behaviour, recording
from tests.characterization.projects import Project

DEMO = "tests.characterization.demo"


def nobody(_: int) -> None: ...


def test_workers_and_seeds_do_not_change_a_byte() -> None:
    place = Place(target=f"{DEMO}:Lease", folders=())
    seen = record(place, Settings(seed=Seed(11), workers=1), nobody)
    assert graph_text(seen) == graph_text(demo.walked(demo.Lease))


HEAD = """
import os
from time import monotonic, time

STARTED, UP = time(), monotonic()
CALLS = []


class Basket:
    def __init__(self, redis):
        self.redis = redis

    async def clear(self):
        return await self.redis.delete("basket")

    async def add(self, item):
        await self.redis.sadd("items", item)
"""
VARIES = {
    "id": ("return id(self)", "the answer"),
    "set": ("return ','.join({str(number) for number in range(40)})", "the answer"),
    "counter": ("CALLS.append(item); return len(CALLS)", "the answer"),
    "time": ("await self.redis.hset('basket', 'since', STARTED)", "basket.since"),
    "monotonic": ("await self.redis.hset('basket', mapping={'n': 1, 'since': UP})", "basket.since"),
    "key": ("await self.redis.set(f'owner:{os.getpid()}', 1)", "`+ owner:"),
}


@pytest.mark.parametrize("what", VARIES)
def test_what_varies_from_run_to_run_is_named(what: str, bare: Project) -> None:
    body, where = VARIES[what]
    bare.write("engine/basket.py", f"{HEAD}        {body}\n")
    bare.edit("pinning.py", 'small("a")', 'small("a", "b", "c")')
    refused = bare.run("record")
    assert refused.code == 4, refused.out
    assert "shop.basket is not deterministic: two recordings of `add " in refused.err
    assert f"differ in {where}" in refused.err
    assert "    once   " in refused.err
    assert "    again  " in refused.err
    assert ('scrubs = ["basket.since"]' in refused.err) == (where == "basket.since")
    assert not bare.pinned.exists()


def test_a_field_that_varies_for_a_reason_is_scrubbed_as_proposed(bare: Project) -> None:
    bare.write(
        "engine/basket.py", f"{HEAD}        await self.redis.hset('basket', 'pid', f'process {{os.getpid()}}')\n"
    )
    refused = bare.run("record")
    proposal = refused.err[refused.err.index("scrubs = ") :].strip().removesuffix(".")
    bare.edit("pinning.py", "    horizons =", f"    {proposal}\n    horizons =")
    assert bare.run("record").code == 0
    assert "pid = pid#1" in (bare.pinned / "graph.txt").read_text()


def differs(**fields: Any) -> str:
    with pytest.raises(NotDeterministicError) as caught:
        check_same(recording(behaviour("a")), recording(behaviour("a", **fields)))
    return str(caught.value)


def test_every_kind_of_difference_has_its_words() -> None:
    assert "differ in the answer" in differs(answer="1")
    assert "differ in the cost" in differs(cost=(2, 2, 2))
    assert "differ in main.n" in differs(effects=("main.n = 1",))
    assert "differ in `log a`" in differs(events=("log a",))
    assert "leads to another state: something that no effect shows varies" in differs(after="11111111")
    with pytest.raises(NotDeterministicError, match="`b` was reached in one of two recordings only"):
        check_same(recording(behaviour("a")), recording(behaviour("a"), behaviour("b")))
    check_same(recording(behaviour("a")), recording(behaviour("a")))


def test_the_shortest_program_that_differs_is_named() -> None:
    one = recording(behaviour("a ; a ; a", answer="1"), behaviour("b ; b", answer="1"))
    two = recording(behaviour("a ; a ; a", answer="2"), behaviour("b ; b", answer="2"))
    with pytest.raises(NotDeterministicError, match="two recordings of `b ; b` differ"):
        check_same(one, two)


def looked(kind: Any, pinned: Any, **options: Any) -> Any:
    with local_runner(kind(), demo.SEED) as runner:
        return look_again(Place(target=f"{DEMO}:{kind.__name__}", folders=()), pinned, runner, nobody, **options)


def test_what_is_pinned_is_run_whether_or_not_a_walk_would_reach_it() -> None:
    pinned = recording(behaviour("increment ; reset ; increment", subject="demo.counter"), subject="demo.counter")
    look = looked(demo.Counter, pinned)
    assert [change.program.text for change in look.comparison.changes if change.kind == "response"] == [
        "increment ; reset ; increment"
    ]
    assert look.comparison.count(Kind.NEW) == len(demo.walked(demo.Counter))
    assert len(looked(demo.Counter, pinned, walk=False).recording) == 1


def test_a_space_that_cannot_be_walked_is_told_and_what_is_pinned_is_run_all_the_same() -> None:
    pinned = recording(demo.walked(demo.Counter)["increment"], subject="demo.uncapped")
    look = looked(demo.Uncapped, pinned)
    assert "demo.uncapped has more than 5 states" in look.endless
    assert look.comparison.changes == ()


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("add x", True),
        ("add x @2 ; clock +1s", True),
        ("add y", False),
        ("fly", False),
        ("add x @3", False),
        ("add", False),
    ],
)
def test_a_program_is_still_there_if_all_that_it_names_is(text: str, there: bool) -> None:
    assert still_there(demo.Members(), parse(text)) is there


def test_two_implementations_run_what_either_is_brought_to() -> None:
    old, new = (Place(target=f"{DEMO}:{name}", folders=()) for name in ("Counter", "CountsByTwo"))
    one, two = explore_both(old, new, Settings(seed=demo.SEED, workers=2), nobody)
    assert [each.program.text for each in one] == [each.program.text for each in two]
    assert one.subject == two.subject == "demo.counter"
