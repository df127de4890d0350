"""Recordings made twice: what varies is named, whatever it varies for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from characterization.baseline import graph_text
from characterization.behaviour import Recording
from characterization.comparing import Comparison, Kind, compare
from characterization.errors import NotDeterministicError, SubjectError
from characterization.lenses.runner import Place, local_runner
from characterization.program import parse
from characterization.recording import (
    Look,
    Settings,
    check_same,
    explore,
    explore_both,
    look_again,
    look_at_pinned,
    reached_beside,
    record,
    runners,
    still_there,
    workers_for,
)
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
    refused = bare.run("record", "--no-race")
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
    refused = bare.run("record", "--no-race")
    proposal = refused.err[refused.err.index("scrubs = ") :].strip().removesuffix(".")
    bare.edit("pinning.py", "    horizons =", f"    {proposal}\n    horizons =")
    assert bare.run("record", "--no-race").code == 0
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


SETTINGS = Settings(seed=demo.SEED, workers=1)


def looked(kind: Any, pinned: Recording, look: Any = look_again, settings: Settings = SETTINGS) -> Look:
    with local_runner(kind(), demo.SEED) as runner:
        found: Look = look(Place(target=f"{DEMO}:{kind.__name__}", folders=()), pinned, runner, settings, nobody)
    return found


def compared(pinned: Recording, look: Look) -> Comparison:
    return compare(pinned, look.recording, look.unrun, look.lost)


def test_what_is_pinned_is_run_whether_or_not_a_walk_would_reach_it() -> None:
    pinned = recording(behaviour("increment ; reset ; increment", subject="demo.counter"), subject="demo.counter")
    result = compared(pinned, looked(demo.Counter, pinned))
    assert [change.program.text for change in result.changes if change.kind == "response"] == [
        "increment ; reset ; increment"
    ]
    assert result.count(Kind.NEW) == len(demo.walked(demo.Counter))
    assert len(looked(demo.Counter, pinned, look_at_pinned).recording) == 1


def test_a_space_that_cannot_be_walked_is_told_and_what_is_pinned_is_run_all_the_same() -> None:
    pinned = recording(demo.walked(demo.Counter)["increment"], subject="demo.uncapped")
    look = looked(demo.Uncapped, pinned)
    assert "demo.uncapped has more than 5 states" in look.endless
    assert compared(pinned, look).changes == ()


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("add x", True),
        ("add x @2 ; clock +1s", True),
        ("add y", False),
        ("fly", False),
        ("add x @3", False),
        ("add", False),
        ("{ add x || forget }", True),
        ("{ add x ; forget @2 || add x @3 || clock +1s }", True),
        ("{ add x || add y }", False),
        ("{ add x || fly }", False),
    ],
)
def test_a_program_is_still_there_if_all_that_it_names_is(text: str, there: bool) -> None:
    assert still_there(demo.Members(), parse(text)) is there


def test_two_implementations_run_what_either_is_brought_to() -> None:
    old, new = (Place(target=f"{DEMO}:{name}", folders=()) for name in ("Counter", "CountsByTwo"))
    one, two = explore_both(old, new, Settings(seed=demo.SEED, workers=2, faults=False), nobody)
    assert [each.program.text for each in one] == [each.program.text for each in two]
    assert one.subject == two.subject == "demo.counter"


# Operations at once.

BOTH = "{ mark a || mark a @2 }"


def recorded(kind: Any, *, races: bool = True) -> Recording:
    with local_runner(kind(), demo.SEED) as runner:
        place = Place(target=f"{DEMO}:{kind.__name__}", folders=())
        return explore(place, runner, nobody, races=races, faults=False)


def test_a_recording_holds_every_pair_from_every_start_unless_it_was_asked_not_to() -> None:
    seen = recorded(demo.Marks)
    assert list(seen.races) == [
        "mark a ; { mark a || mark a @2 }", "mark a ; { mark a || mark a }", BOTH, "{ mark a || mark a }",
    ]  # fmt: skip
    assert [len(race.anomalies) for race in seen.races.values()] == [0, 0, 1, 1]
    assert recorded(demo.Marks, races=False).races == {}


def test_a_race_that_depends_on_what_ran_before_is_not_deterministic(bare: Project) -> None:
    bare.write("engine/basket.py", COUNTS_ITS_RACES)
    refused = bare.run("record")
    assert refused.code == 4, refused.out
    assert "shop.basket is not deterministic: two recordings of `" in refused.err
    assert "differ in what its schedules lead to" in refused.err
    assert "must come from the world" in refused.err
    assert not bare.pinned.exists()
    assert bare.run("record", "--no-race").code == 0, "one after another it is the same every time"


COUNTS_ITS_RACES = """
TURNS = []


class Basket:
    def __init__(self, redis):
        self.redis = redis

    async def clear(self):
        return await self.redis.delete("basket")

    async def add(self, item):
        before = await self.redis.scard("basket")
        if await self.redis.sadd("basket", item) + before == 1:
            return "added"
        if before:
            return "there"
        TURNS.append(1)
        return len(TURNS)
"""


def test_two_recordings_that_differ_in_a_race_are_told_apart() -> None:
    one, two = demo.raced(demo.Marks, BOTH), demo.raced(demo.MarksInOneStep, BOTH)
    with pytest.raises(
        NotDeterministicError, match="two recordings of `{ mark a || mark a @2 }` differ in what".replace("|", r"\|")
    ):
        check_same(one, two)
    with pytest.raises(NotDeterministicError, match="differ in what its schedules lead to"):
        check_same(one, Recording("demo.marks", []))
    check_same(one, one)


def test_a_service_that_takes_no_step_cannot_be_looked_at_at_once_and_says_what_to_do() -> None:
    with pytest.raises(SubjectError, match="took a step at the gate") as caught:
        recorded(demo.Remote)
    assert "demo.remote: none of 4 programs took a step" in str(caught.value)
    assert "if it keeps nothing in Redis, leave the race lens out with --no-race" in str(caught.value)
    assert len(recorded(demo.Remote, races=False)) > 0


def test_an_anomaly_that_was_mended_vanishes_and_says_what_became_of_its_witness() -> None:
    pinned = recorded(demo.Marks)
    result = compared(pinned, looked(demo.MarksInOneStep, pinned))
    assert [(change.kind, change.program.text) for change in result.race_changes] == [
        (Kind.VANISHED, BOTH), (Kind.VANISHED, "{ mark a || mark a }"),
    ]  # fmt: skip
    assert {change.why for change in result.race_changes} == {"its witness now ends as the order 2 1 does"}
    assert result.changes == ()
    (group,) = result.race_groups
    assert (group.operation, group.others) == ("mark", ["mark"])


def test_an_anomaly_that_came_with_a_change_appears() -> None:
    pinned = recorded(demo.MarksInOneStep)
    result = compared(pinned, looked(demo.Marks, pinned))
    assert [change.kind for change in result.race_changes] == [Kind.APPEARED, Kind.APPEARED]


@pytest.mark.parametrize("kind", [demo.Marks, demo.MarksInOneStep])
def test_what_is_as_pinned_is_no_change_however_it_is_looked_at(kind: Any) -> None:
    pinned = recorded(kind)
    for look in (look_again, look_at_pinned):
        result = compared(pinned, looked(kind, pinned, look))
        assert (result.different, result.raced) == (False, len(pinned.races))


def test_new_operations_race_from_the_starts_that_are_pinned() -> None:
    pinned = recorded(demo.Marks)
    result = compared(pinned, looked(demo.MarksMore, pinned))
    assert {change.kind for change in result.race_changes} == {Kind.NEW}
    new = [change.program for change in result.race_changes]
    assert {program.prelude.text for program in new} == {"", "mark a"}
    assert {call.text for program in new for call in program.at_once.calls if call.replica == 1} == {  # type: ignore[union-attr]
        "count", "mark a", "mark b",
    }  # fmt: skip
    assert not {program.text for program in new} & set(pinned.races)


def test_a_start_of_a_kind_that_is_not_pinned_is_new() -> None:
    pinned = recorded(demo.Marks)
    fewer = pinned.merged({}, {text: None for text in pinned.races if text.startswith("mark")})
    result = compared(fewer, looked(demo.Marks, fewer))
    assert [(change.kind, change.program.prelude.text) for change in result.race_changes] == [
        (Kind.NEW, "mark a"), (Kind.NEW, "mark a"),
    ]  # fmt: skip


def test_what_is_no_longer_there_is_gone() -> None:
    pinned = recorded(demo.MarksMore)
    result = compared(pinned, looked(demo.Marks, pinned))
    gone = {change.program.text for change in result.race_changes if change.kind is Kind.GONE}
    assert gone == {text for text in pinned.races if "count" in text or "mark b" in text}


def test_a_baseline_without_races_is_not_looked_at_through_the_race_lens() -> None:
    pinned = recorded(demo.Marks, races=False)
    assert looked(demo.Marks, pinned).recording.races == {}
    assert set(looked(demo.Marks, Recording("demo.marks", [])).recording.races) == set(recorded(demo.Marks).races)


def test_without_the_race_lens_what_is_pinned_of_it_is_taken_as_it_is() -> None:
    pinned = recorded(demo.Marks)
    look = looked(demo.MarksInOneStep, pinned, settings=replace(SETTINGS, races=False))
    assert look.recording.races == pinned.races
    assert not compared(pinned, look).different


def test_what_the_budget_was_too_short_for_is_named() -> None:
    pinned = recorded(demo.Marks)
    look = looked(demo.MarksInOneStep, pinned, settings=replace(SETTINGS, seconds_max=0))
    assert {program for program, _ in look.unrun} == set(pinned.races)
    assert {why for _, why in look.unrun} == {"there was no time left for it in the budget of 0 seconds"}
    result = compared(pinned, look)
    assert (result.different, len(result.unrun)) == (False, len(pinned.races))


def test_what_can_be_reached_beside_what_is_pinned_holds_new_races() -> None:
    pinned = recorded(demo.Marks)
    with local_runner(demo.MarksMore(), demo.SEED) as runner:
        beside = reached_beside(Place(target=f"{DEMO}:MarksMore", folders=()), pinned, runner, nobody)
        none = reached_beside(Place(target=f"{DEMO}:Marks", folders=()), pinned, runner, nobody)
    assert {each.program.subject_of for each in beside} == {"mark", "count"}
    assert set(beside.races)
    assert not set(beside.races) & set(pinned.races)
    assert (len(none), none.races) == (0, {})


def test_two_implementations_race_from_the_same_starts() -> None:
    old, new = (Place(target=f"{DEMO}:{name}", folders=()) for name in ("Marks", "MarksInOneStep"))
    one, two = explore_both(old, new, Settings(seed=demo.SEED, workers=1, faults=False), nobody)
    assert list(one.races) == list(two.races) == list(recorded(demo.Marks).races)
    assert {change.kind for change in compare(one, two).race_changes} == {Kind.VANISHED}
    without, _ = explore_both(old, new, Settings(seed=demo.SEED, workers=1, races=False), nobody)
    assert without.races == {}


def test_runners_share_the_workers_that_were_started_for_all() -> None:
    place, settings = Place(target=f"{DEMO}:Marks", folders=()), Settings(seed=demo.SEED, workers=1)
    with workers_for(settings) as none:
        assert none is None
    several = replace(settings, workers=2)
    with (
        workers_for(several) as pool,
        runners(several, place, pool=pool) as one,
        runners(several, place, pool=pool) as two,
    ):
        assert one.run([parse("mark a")], nobody) == two.run([parse("mark a")], nobody)
