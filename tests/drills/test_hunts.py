"""Drills of the random lens: from nothing but a seed, a hunt comes upon every law break that was planted."""

from __future__ import annotations

import pytest

from characterization.draws import Table
from characterization.hunting import Hunt, Memory
from characterization.program import Program
from characterization.subject import Subject
from simulator.seed import Seed
from simulator.world import World
from tests.drills.test_laws import DRILLS

PROGRAMS_MAX = 300
SEED = 20_260_201


class Counting(Hunt):
    """A hunt that shrinks nothing."""

    def _found_broken(self, law: str, program: Program, number: int) -> None:
        self.memory.broken[law] += 1


@pytest.mark.parametrize(("law", "defect"), [(law, defect) for law, _, defect, _ in DRILLS])
def test_a_planted_law_break_is_come_upon(law: str, defect: type[Subject]) -> None:
    memory = Memory("drill")
    table = Table(defect, Seed(SEED))
    with World(Seed(SEED)) as world:
        hunt = Counting(table, world, SEED, memory)
        assert any(hunt.one(number) and memory.broken[law] for number in range(PROGRAMS_MAX))
