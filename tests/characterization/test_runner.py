"""Runners: the outcomes do not depend on the order, nor on the process."""

from __future__ import annotations

import os

import pytest

from characterization.lenses.runner import CHUNK, Place, PooledRunner, local_runner, worker_pool
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
