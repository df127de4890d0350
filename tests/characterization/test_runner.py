"""Runners: the outcomes do not depend on the order, nor on the process."""

from __future__ import annotations

import os

import pytest

from characterization.lenses.runner import (
    CHUNK,
    RACES_CHUNK,
    Budget,
    Place,
    PooledRunner,
    Raced,
    local_runner,
    worker_pool,
)
from characterization.program import parse
from simulator.seed import Seed
from tests.characterization import demo

TEXTS = ["increment", "increment ; increment", "reset", "increment ; reset", "increment ; increment ; increment"]


def test_outcomes_come_in_the_order_of_the_programs() -> None:
    done: list[int] = []
    with local_runner(demo.Counter(), demo.SEED) as runner:
        seen = runner.run([parse(text) for text in TEXTS], done.append)
    assert [each.answer for each in seen] == ["1", "2", "0", "1", "3"]
    assert sum(done) == len(TEXTS)


@pytest.mark.parametrize("seed", range(3))
def test_another_order_shows_the_same(seed: int) -> None:
    programs = [parse(text) for text in TEXTS]
    with local_runner(demo.Counter(), Seed(seed)) as runner:
        once, again = runner.run(programs, lambda _: None), runner.run(programs[::-1], lambda _: None)
    assert once == again[::-1]


def test_worker_processes_show_what_this_process_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    place = Place(target="tests.characterization.demo:Lease", folders=())
    programs = [each.program for each in demo.walked(demo.Lease)]
    programs = programs[: CHUNK + 5]
    done: list[int] = []
    with worker_pool(2, demo.SEED) as pool:
        seeds = set(pool.map(os.getenv, ["PYTHONHASHSEED"] * 8))
        assert len(seeds) == 1
        assert seeds != {"7"}
        there = PooledRunner(pool, place, demo.SEED).run(programs, done.append)
    with local_runner(demo.Lease(), Seed(1)) as runner:
        here = runner.run(programs, lambda _: None)
    assert there == here
    assert sum(done) == len(programs)
    assert os.environ["PYTHONHASHSEED"] == "7"


# What happens at once.

MARKS = Place(target="tests.characterization.demo:Marks", folders=())
RACES = [
    "{ mark a || mark a }", "{ mark a || mark a @2 }", "mark a ; { mark a || mark a @2 }",
    "{ mark a ; mark a || mark a @3 }", "{ mark a || clock +5s }",
]  # fmt: skip


def test_what_happens_at_once_comes_in_the_order_of_the_programs_whatever_was_run_first() -> None:
    programs = [Raced(parse(text)) for text in RACES]
    done: list[int] = []
    with local_runner(demo.Marks(), demo.SEED) as runner:
        seen = runner.race(programs, done.append)
    assert [each.behaviour.program.text for each in seen if each is not None] == RACES
    assert sum(done) == len(RACES)
    with local_runner(demo.Marks(), Seed(99)) as runner:
        assert runner.race(programs[::-1], lambda _: None) == seen[::-1]


def test_worker_processes_see_what_this_process_sees_of_what_happens_at_once() -> None:
    programs = [Raced(parse(text)) for text in RACES * 2][: RACES_CHUNK + 1]
    programs = [*programs, Raced(parse("mark a ; mark a ; { mark a || mark a }"))]
    done: list[int] = []
    with worker_pool(1, demo.SEED) as pool:
        runner = PooledRunner(pool, MARKS, demo.SEED)
        there = runner.race(programs, done.append)
        assert runner.race(programs, done.append, 0) == [None] * len(programs)
    assert sum(done) == len(programs)
    with local_runner(demo.Marks(), Seed(1)) as local:
        assert local.race(programs, lambda _: None) == there


def test_what_the_budget_is_too_short_for_is_not_run() -> None:
    done: list[int] = []
    programs = [Raced(parse(text)) for text in RACES]
    with local_runner(demo.Marks(), demo.SEED) as runner:
        assert runner.race(programs, done.append, 0) == [None] * len(RACES)
        assert done == []
        assert None not in runner.race(programs, done.append, 3600)
    assert runner.race([], done.append, 0) == []


def test_a_budget_is_spent_when_its_seconds_are_over_and_none_never_is() -> None:
    assert [Budget(seconds).spent for seconds in (0, -1, 3600, None)] == [True, True, False, False]


def test_what_is_pinned_is_held_against_what_a_program_shows_now() -> None:
    (pinned,) = demo.raced(demo.Marks, RACES[1]).races.values()
    with local_runner(demo.MarksInOneStep(), demo.SEED) as runner:
        (whole,) = runner.race([Raced(pinned.program, pinned)], lambda _: None)
        (quick,) = runner.race([Raced(pinned.program, pinned, only_witnesses=True)], lambda _: None)
    assert whole is not None
    assert quick is not None
    assert whole.behaviour.anomalies == quick.behaviour.anomalies == ()
    assert whole.lost == quick.lost == {pinned.anomalies[0].schedule: "its witness now ends as the order 2 1 does"}
    assert quick.behaviour.explored == pinned.explored
