"""Hunts: what they find from a seed, that they go on where they were left, and what they say."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from characterization import deciding
from characterization.behaviour import Recording
from characterization.draws import KINDS, Drawer, Table
from characterization.errors import HuntError, ProgramError
from characterization.hunting import (
    FORMAT,
    HUNTS,
    KEPT_MAX,
    Found,
    Hunt,
    Limits,
    Memory,
    Minute,
    memory_path,
    only_hunt,
)
from characterization.laws import Verdict
from characterization.likeness import known_in, seen_by, seen_in, shape, unhurried
from characterization.performing import Performer
from characterization.program import AtOnce, Struck, calls_of, parse
from characterization.subject import Subject
from characterization.unfolding import begun, parts_of
from simulator.seed import Seed
from simulator.world import World
from tests.characterization import demo, prey
from tests.characterization.projects import Project

PROGRAMS = 60
SHORTEST: dict[type[Subject], tuple[str, str]] = {
    prey.LosesUpdates: ("at once", "{ count @2 || count : 2 1*2 2 }"),
    prey.ForgetsToForget: ("when something goes wrong", "replicas 1 ; come ann ! busy @2+"),
    prey.LosesWhatItKeeps: ("in order", "put cup ; crash @1"),
    prey.TakesPlainNames: ("in order", "call '=\"©\"'"),
}


@pytest.fixture
def world() -> Iterator[World]:
    with World(Seed(7)) as world:
        yield world


def hunted(world: World, subject: type[Subject], programs: int = PROGRAMS, number: int = 7, **options: Any) -> Hunt:
    """A hunt of so many programs."""
    memory = options.pop("memory", None) or Memory(subject.name)
    hunt = Hunt(Table(subject, Seed(number)), world, number, memory, **options)
    hunt.run(None, programs)
    return hunt


@pytest.mark.parametrize("subject", SHORTEST)
def test_a_planted_defect_is_found_and_told_by_the_shortest_program(world: World, subject: type[Subject]) -> None:
    (found,) = hunted(world, subject).memory.found
    (law,) = subject.laws()
    assert (found.law, found.way, found.program) == (law, *SHORTEST[subject])
    assert found.number < PROGRAMS
    assert found.said


@pytest.mark.parametrize("subject", prey.HEALTHY)
def test_in_a_healthy_subject_no_law_is_broken(world: World, subject: type[Subject]) -> None:
    hunt = hunted(world, subject)
    assert hunt.memory.found == []
    assert [finding.verdict for finding in hunt.judge.findings] == [Verdict.HOLDS]


def test_the_same_seed_finds_the_same_and_another_one_other_programs(world: World) -> None:
    def tried(number: int) -> list[str]:
        hunt = Hunt(Table(prey.Leasing, Seed(number)), world, number, Memory("x"))
        return [hunt.one(at).text for at in range(20)]

    assert tried(1) == tried(1)
    assert tried(1) != tried(2)


def test_a_hunt_goes_on_where_it_was_left_and_finds_what_one_long_hunt_finds(world: World, tmp_path: Path) -> None:
    whole = hunted(world, prey.LosesUpdates, 30).memory
    path = memory_path(tmp_path, "prey.counting")
    for programs in (3, 20, 7):
        memory = Memory.read(path, "prey.counting")
        hunted(world, prey.LosesUpdates, programs, memory=memory)
        memory.write(path)
    assert Memory.read(path, "prey.counting") == whole
    assert whole.positions == {7: 30}


def test_a_hunt_from_another_seed_has_a_place_of_its_own(world: World) -> None:
    memory = hunted(world, prey.Leasing, 3, number=1).memory
    hunted(world, prey.Leasing, 2, number=2, memory=memory)
    assert memory.positions == {1: 3, 2: 2}
    assert memory.programs == 5


def test_what_was_found_before_is_not_found_again(world: World) -> None:
    memory = hunted(world, prey.LosesUpdates).memory
    hunted(world, prey.LosesUpdates, memory=memory)
    assert len(memory.found) == 1
    assert memory.broken["what_was_acknowledged_is_counted"] > 1


def test_a_kind_of_outcome_that_nobody_knew_is_kept_and_what_is_pinned_is_not(world: World) -> None:
    known = known_in(demo.walked(prey.Leasing))
    found = hunted(world, prey.Leasing, known=known).memory.found
    assert 0 < len(found) <= KEPT_MAX
    assert not any(each.law for each in found)
    programs = [parse(each.program) for each in found]
    assert all(isinstance(parts_of(program)[-1], (Struck, AtOnce)) for program in programs)
    assert len({each.said for each in found}) == len(found)
    assert hunted(world, prey.Leasing).memory.found == []  # where nothing is pinned


def test_what_some_order_shows_too_is_no_new_kind(world: World) -> None:
    found = hunted(world, prey.Counting, known=set()).memory.found
    healthy = [parts_of(parse(each.program))[-1] for each in found if not _struck(each)]
    assert healthy
    assert not any(isinstance(part, AtOnce) for part in healthy)


def test_what_nobody_notices_is_no_new_kind(world: World) -> None:
    known = known_in(demo.walked(prey.Leasing))
    for each in hunted(world, prey.Leasing, known=known).memory.found:
        program = parse(each.program)
        unfolding = begun(Performer(prey.Leasing(), world), program)
        shown = [seen_by(unfolding.take(part)) for part in parts_of(program)][-1]
        assert shown.mark not in known
        assert not shown.faults or shown.healthy.mark not in known, each


def _struck(found: Found) -> bool:
    parts = parse(found.program).parts
    return any(isinstance(part, Struck) or getattr(part, "plan", None) is not None for part in parts)


# What is drawn.


def test_in_each_program_something_is_left_out_and_in_some_everything_is_tried() -> None:
    table = Table(prey.Leasing, Seed(1))
    drawers = [Drawer(table, Seed(number).random()) for number in range(200)]
    assert {len(drawer.operations) for drawer in drawers} == {1, 2}
    assert {kind for drawer in drawers for kind in drawer.kinds_out} == set(KINDS)
    assert {drawer.plain for drawer in drawers} == {True, False}
    seen = set()
    for drawer in drawers:
        parts = [drawer.part() for _ in range(drawer.length)]
        assert {call.operation for part, _, _ in parts for call in calls_of(part)} <= set(drawer.operations)
        seen |= {(type(part), tempt is not None) for part, _, tempt in parts}
    assert len(seen) == 6  # calls and calls at once, with something that goes wrong and without; moves; crashes


def test_wide_values_are_drawn_from_the_seed_and_have_a_spelling() -> None:
    table = Table(prey.Naming, Seed(1))
    (labels,) = table.wide.values()
    assert len(labels) > 10
    assert all(parse(f"call '{label}'").calls for label in labels if "'" not in label)
    assert Table(prey.Naming, Seed(1)).wide == table.wide
    assert Table(prey.Naming, Seed(2)).wide != table.wide


def test_a_wide_value_without_a_spelling_is_refused_with_what_to_do() -> None:
    class Odd(prey.Naming):
        @prey.operation(name=prey.small("ann", wide=prey.st.builds(object)))
        async def call(self, redis: Any, name: Any) -> None:
            await redis.set("name", "x")

    with pytest.raises(ProgramError, match="let the wide strategy draw what Python has literals for"):
        Table(Odd, Seed(1))


# Kinds of outcomes.


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("seen(s1) +b1", "seen(s2) +b2"),
        ("n 1 -> 2", "n 17 -> 18"),
        ("+ main(s1) (string) ttl 7200s", "+ main(x) (string) ttl 60s"),
        ("raises Error('no s1')", "raises Error(\"no 's2'\")"),
        ("metric marked{session=s1} +1", "metric marked{session=s2} -3"),
        ("memory.held false -> true", "memory@2.held false -> true"),
    ],
)
def test_lines_that_differ_in_names_and_numbers_are_of_one_shape(one: str, other: str) -> None:
    assert shape(one) == shape(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("seen(s1) +b1", "seen(s1) -b1"), ("n ttl none -> 5s", "n ttl 5s -> none"), ("raises A('x')", "raises B('x')"),
     ("+ a(s1) (set) ttl none", "+ a(s1) (set) ttl 5s"), ("metric a{x=1} +1", "metric b{x=1} +1")],
)  # fmt: skip
def test_lines_that_say_something_else_are_not(one: str, other: str) -> None:
    assert shape(one) != shape(other)


def test_values_of_the_program_are_names_wherever_they_stand() -> None:
    first = seen_in(["call"], "", ["ann"], ["cache.ann +1", "x = ann"], [], ["ann"])
    assert first == seen_in(["call"], "", ["ü!"], ["cache.ü! +1", "x = ü!"], [], ['="ü!"'])
    assert first != seen_in(["call"], "", ["ann"], ["cache.ann +1", "x = bob"], [], ["ann"])


def test_time_that_has_passed_is_left_out_and_nothing_else() -> None:
    lines = ["n ttl 60s -> 57.5s", "n ttl none -> 60s", "n ttl 60s -> none", "+ m (set) ttl 60s", "x 1 -> 2s"]
    assert unhurried(lines) == tuple(lines[1:])


# What is kept.


def test_the_estimate_is_the_share_of_programs_with_a_kind_that_no_other_has_shown() -> None:
    memory = Memory("x", programs=10)
    assert memory.unseen == 0
    memory.kinds.update({"a": 1, "b": 3, "c": 1})
    assert memory.unseen == 0.2


def test_a_minute_is_told_in_one_line() -> None:
    told = Minute(minutes=2, programs=1234, steps=30_000, new_states=5, new_kinds=6, broken=1, unseen=0.004, seconds=60)
    assert told.text == (
        "   2 min  1,234 programs, 30,000 steps (500/s): 5 new states, 6 new kinds of outcomes, 1 laws newly broken; one "
        "program in 250 shows a new kind"
    )
    assert Limits(600, 5).text == "for 600 seconds, 5 programs"


def test_a_hunt_tells_of_itself_at_its_end(world: World) -> None:
    told: list[Minute] = []
    Hunt(Table(prey.LosesUpdates, Seed(7)), world, 7, Memory("x")).run(None, 20, told.append)
    assert [(minute.programs, minute.broken) for minute in told] == [(20, 1)]
    assert told[0].new_states > 3


def test_a_hunt_for_no_time_tries_nothing(world: World) -> None:
    memory = Memory("x")
    Hunt(Table(prey.Counting, Seed(7)), world, 7, memory).run(0)
    assert memory == Memory("x")


def written(path: Path, **told: object) -> Path:
    """What a hunt has kept, with something else in it."""
    memory = Memory("x", positions={1: 2}, found=[Found(law="l", said="s", program="p", number=1, seed=1)])
    memory.write(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **told}))
    return path


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"format": FORMAT + 1}, f"in format {FORMAT + 1}"),
        ({"hypothesis": "5.0"}, "with Hypothesis 5.0"),
        ({"subject": "y"}, "for y; this is"),
        ({"positions": 3}, "cannot be read: AttributeError"),
        ({"found": [{}]}, "cannot be read: TypeError"),
    ],
)
def test_what_another_version_has_kept_is_refused(tmp_path: Path, told: dict[str, object], says: str) -> None:
    path = written(tmp_path / "x.json", **told)
    with pytest.raises(HuntError, match=says) as raised:
        Memory.read(path, "x")
    assert "holdfast hunt --anew" in str(raised.value)


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"\xff", b"null"])
def test_garbage_is_refused(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(garbage)
    with pytest.raises(HuntError, match="cannot be read"):
        Memory.read(path, "x")


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file")
    with pytest.raises(HuntError, match="cannot be written"):
        Memory("x").write(tmp_path / "x" / "x.json")


# The command.

LAW = '''
    @law
    def a_basket_expires(self, run):
        """Nobody comes back for it."""
        run.assume("basket" in run.after)
        assert run.after["basket"].ttl != "none", "it is kept for ever"
'''


@pytest.fixture
def lawful(bare: Project) -> Project:
    """A project with a law that a fault breaks, and a baseline."""
    bare.edit("pinning.py", "import Subject,", "import Subject, law,")
    bare.write("pinning.py", (bare.folder / "pinning.py").read_text() + LAW)
    bare.pin()
    return bare


def test_a_hunt_prints_its_seed_first_and_what_it_found_last(lawful: Project) -> None:
    said = lawful.run("hunt", "--programs", "40", "--seed", "5")
    assert said.code == 1
    lines = said.out.splitlines()
    assert lines[0].startswith("seed 5, 40 programs")
    assert "LAW BROKEN when something goes wrong: a basket expires" in said.out
    assert "it is kept for ever" in said.out
    (line, *_) = [line.split("again", 1)[1].strip() for line in lines if line.strip().startswith("again")]
    again = lawful.run(*shlex.split(line)[1:])
    assert "BROKEN: a basket expires: it is kept for ever" in again.out


def test_a_hunt_goes_on_and_says_what_it_knew(lawful: Project) -> None:
    lawful.run("hunt", "--programs", "40")
    again = lawful.run("hunt", "--programs", "5")
    assert "from program 40" in again.out
    assert "found by earlier hunts" in again.out
    assert again.code == 0
    anew = lawful.run("hunt", "--programs", "40", "--anew")
    assert "from program 0" in anew.out
    assert anew.code == 1
    assert (lawful.folder / ".holdfast" / ".gitignore").read_text() == "*\n"


def test_what_was_found_is_pending_until_it_is_accepted_and_then_checked(lawful: Project) -> None:
    lawful.run("hunt", "--programs", "40")
    assert lawful.run("check").code == 0  # nothing of it is pinned yet
    lawful.run("hunt", "--programs", "40", "--anew")
    accepted = lawful.run("accept", "shop.basket/random*", "shop.basket/law/*#random")
    assert accepted.code == 0
    text = (lawful.pinned / "random" / "programs.txt").read_text()
    assert "busy" in text or "refused" in text or "cancelled" in text
    graph = (lawful.pinned / "graph.txt").read_text()
    assert "!" not in graph
    assert lawful.run("check").code == 0
    recorded = lawful.run("record").out
    assert "0 behaviours changed" in recorded
    assert "0 new, 0 gone" in recorded
    read = lawful.baselines.read("shop.basket").recording
    assert read.random
    (cell,) = [each for each in read.laws or () if each.lens == "random"]
    assert cell.verdict is Verdict.BROKEN


def test_a_defect_that_is_mended_is_a_change_of_what_was_accepted(lawful: Project) -> None:
    lawful.run("hunt", "--programs", "40")
    lawful.run("accept", "shop.basket/random*", "shop.basket/law/*#random")
    added = '        await self.redis.sadd("basket", item)\n'
    lawful.edit("engine/basket.py", added, "        pipe = self.redis.pipeline()\n")
    lawful.edit(
        "engine/basket.py", '        await self.redis.expire("basket", 60)\n',
        '        await pipe.sadd("basket", item).expire("basket", 60).execute()\n',
    )  # fmt: skip
    said = lawful.run("check")
    assert said.code == 1
    assert "law mended" in said.out or "holds now" in said.out or "MENDED" in said.out.upper()


def test_a_law_that_is_pinned_as_broken_is_no_news(lawful: Project) -> None:
    lawful.run("hunt", "--programs", "40")
    lawful.run("accept", "shop.basket/random*", "shop.basket/law/*#random")
    again = lawful.run("hunt", "--programs", "40", "--anew")
    assert again.code == 0
    assert "(pinned as broken)" in again.out


def test_without_a_baseline_only_laws_are_told(bare: Project) -> None:
    said = bare.run("hunt", "--programs", "10")
    assert said.code == 0
    assert "nothing new was found" in said.out
    assert not (bare.folder / ".holdfast" / "pending").exists()


def test_in_ci_a_hunt_is_the_same_every_time(lawful: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HUNTS, "ci", replace(HUNTS["ci"], programs=60))
    first, second = (lawful.run("hunt", "--profile", "ci") for _ in range(2))
    assert [first.code, second.code] == [1, 1]
    assert first.out.splitlines()[3:] == second.out.splitlines()[3:]
    assert "60 programs" in first.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--for", "soon"], "is not how long: 90s, 10m, 1h"),
        (["--for", "0s"], "is not how long"),
        (["--profile", "weekly"], "Invalid value"),
        (["shop.none"], "there is no subject called"),
    ],
)
def test_a_hunt_that_cannot_begin_says_why(bare: Project, arguments: list[str], says: str) -> None:
    said = bare.run("hunt", *arguments)
    assert said.code == 4
    assert says in said.err


def test_what_another_version_kept_ends_a_hunt_with_its_own_code(lawful: Project) -> None:
    lawful.run("hunt", "--programs", "1")
    path = memory_path(lawful.folder / ".holdfast", "shop.basket")
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "hypothesis": "5.0"}))
    said = lawful.run("hunt", "--programs", "1")
    assert said.code == 4
    assert "Begin anew with `holdfast hunt --anew`" in said.err
    assert lawful.run("hunt", "--programs", "1", "--anew").code == 0


def test_what_was_found_is_kept_outside_of_the_world_where_one_may_wait_for_who_else_writes(
    lawful: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks, real = [], time.monotonic

    def keep(*_: object) -> None:
        clocks.append(time.monotonic)  # in a world it is another one

    monkeypatch.setattr(deciding, "keep_pending", keep)
    assert lawful.run("hunt", "--programs", "40").code == 1
    assert clocks == [real]


MEND = [
    ('        await self.redis.sadd("basket", item)\n', "        pipe = self.redis.pipeline()\n"),
    ('        await self.redis.expire("basket", 60)\n',
     '        await pipe.sadd("basket", item).expire("basket", 60).execute()\n'),
]  # fmt: skip
FOUND = ("shop.basket/random*", "shop.basket/law/*#random")


def verdicts(lawful: Project) -> list[Verdict]:
    laws = lawful.baselines.read("shop.basket").recording.laws
    return [each.verdict for each in laws or () if each.lens == "random"]


def test_a_law_that_was_mended_is_not_pinned_as_broken_because_of_what_an_earlier_hunt_found(lawful: Project) -> None:
    lawful.run("hunt", "--programs", "40")
    for old, new in MEND:
        lawful.edit("engine/basket.py", old, new)
    lawful.run("check")
    lawful.run("accept", "shop.basket")
    lawful.run("hunt", "--programs", "30")
    lawful.run("accept", *FOUND)
    assert verdicts(lawful) == [Verdict.HOLDS]
    assert lawful.run("check").code == 0


def test_what_a_check_has_dropped_comes_back_and_is_accepted_whole(lawful: Project) -> None:
    lawful.run("hunt", "--programs", "40")
    checked = lawful.run("check")
    assert "programs that a hunt had left for a decision are no longer pending" in checked.out
    again = lawful.run("hunt", "--programs", "0")
    assert "accept with" in again.out
    assert lawful.run("accept", *FOUND).code == 0
    assert verdicts(lawful) == [Verdict.BROKEN]
    assert lawful.run("check").code == 0
    assert "accept with" not in lawful.run("hunt", "--programs", "0").out


def test_a_witness_that_can_no_longer_be_run_mends_no_law(lawful: Project) -> None:
    lawful.run("hunt", "--programs", "40")
    lawful.run("accept", *FOUND)
    lawful.edit("pinning.py", "async def add(", "async def put(")
    checked = lawful.run("check")
    assert checked.code == 1
    assert "MENDED" not in checked.out
    assert lawful.run("hunt", "--programs", "5").code in (0, 1)  # what names it is left out


def test_an_interrupted_hunt_tells_what_it_has_found_and_comes_upon_the_rest_again(
    lawful: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lawful.run("hunt", "--programs", "20", "--json").json[0]["found"]
    with monkeypatch.context() as patch:
        calls = iter(range(16))
        shows = Hunt._shows

        def interrupted(*arguments: Any) -> Any:
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return shows(*arguments)

        patch.setattr(Hunt, "_shows", interrupted)
        said = lawful.run("hunt", "--programs", "20", "--anew")
    assert said.code == 2
    assert "LAW BROKEN" in said.out
    assert "accept with" in said.out
    went_on = lawful.run("hunt", "--programs", "20", "--json").json[0]["found"]
    assert {each["program"] for each in whole} <= {each["program"] for each in went_on}


def test_what_was_accepted_takes_no_room_from_what_is_new(lawful: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("characterization.hunting.KEPT_MAX", 1)
    found = []
    for _ in range(2):
        lawful.run("hunt", "--programs", "40", "--anew")
        lawful.run("accept", *FOUND)
        found.append(len(lawful.baselines.read("shop.basket").recording.random))
    assert found[0] < found[1]


def test_who_hunts_before_there_is_a_baseline_misses_nothing_afterwards(bare: Project) -> None:
    bare.run("hunt", "--programs", "40")
    bare.pin()
    assert bare.run("hunt", "--programs", "40").out.count("NEW") > 0


def test_of_one_subject_there_is_one_hunt_at_a_time(lawful: Project) -> None:
    with only_hunt(memory_path(lawful.folder / ".holdfast", "shop.basket"), "shop.basket"):
        said = lawful.run("hunt", "--programs", "5")
    assert said.code == 4
    assert "another hunt of shop.basket is under way" in said.err


def test_every_command_of_a_finding_is_explained(lawful: Project) -> None:
    said = lawful.run("explain", "shop.basket: replicas 2 ; add a ; crash @1 ; add a @2").out
    assert said.count("SADD basket a") == 2


def test_json_has_every_finding(lawful: Project) -> None:
    (told,) = json.loads(lawful.run("hunt", "--programs", "40", "--json").out)
    assert told["subject"] == "shop.basket"
    assert told["programs"] == 40
    assert {"law", "said", "program", "number", "seed", "way"} <= set(told["found"][0])


def test_findings_can_be_explained_and_stay_out_of_the_graph(lawful: Project) -> None:
    lawful.run("hunt", "--programs", "40")
    lawful.run("accept", "shop.basket/random*")
    read: Recording = lawful.baselines.read("shop.basket").recording
    (first, *_) = read.random
    assert first.ident.startswith("shop.basket/random/")
    told = lawful.run("explain", first.ident)
    assert told.code == 0
    assert parts_of(first.program)[-1].text.partition(" ")[0] in told.out
    assert not any(each.program.text in lawful.run("graph").out for each in read.random)
