"""Seeds: forked by name, alike everywhere."""

from __future__ import annotations

import subprocess
import sys

from simulator.seed import Seed


def test_the_same_name_gives_the_same_stream() -> None:
    assert Seed(1).fork("faults") == Seed(1).fork("faults")
    assert Seed(1).fork("faults").random().random() == Seed(1).fork("faults").random().random()


def test_another_name_or_number_gives_another_stream() -> None:
    assert len({Seed(number).fork(name) for number in range(10) for name in ("a", "b", "c")}) == 30


def test_a_stream_does_not_depend_on_which_others_were_forked() -> None:
    seed = Seed(1)
    before = seed.fork("faults")
    seed.fork("another").random().random()
    assert seed.fork("faults") == before


def test_a_recorded_stream_stays_what_it_was() -> None:
    assert Seed(1).fork("faults").number == 17_876_765_810_040_953_160


def test_a_stream_does_not_depend_on_the_process() -> None:
    ask = "from simulator.seed import Seed; print(Seed(1).fork('faults').number)"
    for hash_seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", ask], capture_output=True, check=True, env={"PYTHONHASHSEED": hash_seed}
        )
        assert int(told.stdout) == Seed(1).fork("faults").number
