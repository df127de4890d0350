"""A callback that does not come to its end is stopped, by looks that the tests bring about instead of waiting for them."""

from __future__ import annotations

import bdb
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.errors import EndlessError, HaltedError
from simulator.watchdog import Watchdog
from simulator.world import World

LOOKS = 3  # the first learns what runs
NEVER_S = 1e6
HALTED = (HaltedError, EndlessError)  # an EndlessError, where whoever drives the loop has made one of it


@pytest.fixture
def dog() -> Iterator[Watchdog]:
    """One that looks only when it is told to. Asked for before the world is entered, it is the only one."""
    watchdog = Watchdog(NEVER_S)
    watchdog.start()
    assert watchdog.armed
    yield watchdog
    watchdog.stop()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def look(times: int = 1) -> None:
    for _ in range(times):
        signal.raise_signal(signal.SIGALRM)


async def spins() -> None:
    while True:
        look()


async def spins_carelessly() -> None:
    while True:
        try:
            look()
        except Exception:  # noqa: BLE001 - as careless code does
            look()


@pytest.mark.parametrize("work", [spins, spins_carelessly], ids=lambda work: work.__name__)
def test_what_runs_on_and_on_is_stopped_in_its_line(dog: Watchdog, world: World, work: Callable[[], Any]) -> None:
    where = rf"a callback has run for more than 1e\+06 s .* and is in {__file__}:\d+: "
    with pytest.raises(HALTED, match=where):
        world.perform(work())


def test_it_is_stopped_within_the_looks_that_its_time_allows(dog: Watchdog, world: World) -> None:
    looked = []

    async def counts() -> None:
        while True:
            looked.append(1)
            look()

    with pytest.raises(HALTED):
        world.perform(counts())
    assert len(looked) == LOOKS


def test_a_new_run_after_it_is_as_any_other(dog: Watchdog, world: World) -> None:
    async def works() -> str:
        look(LOOKS - 1)
        return await world.redis().set("a", 1)

    with pytest.raises(HALTED):
        world.perform(spins())
    world.restart()
    assert world.perform(works()).result() is True


def test_many_callbacks_that_each_come_to_an_end_are_let_go_on(dog: Watchdog, world: World) -> None:
    async def works() -> int:
        redis = world.redis()
        for _ in range(10):
            look(LOOKS - 1)
            await redis.incr("n")
        return int(await redis.get("n"))

    assert world.perform(works()).result() == 10


def test_what_lasts_beside_the_loop_is_let_go_on(dog: Watchdog, world: World) -> None:
    async def returns() -> int:
        return 1

    look(3 * LOOKS)
    assert world.perform(returns()).result() == 1
    look(3 * LOOKS)


def test_somebody_in_a_debugger_is_left_to_think(dog: Watchdog, world: World) -> None:
    looked = []

    class Thinks(bdb.Bdb):
        """Stands in the line that it is shown."""

        def user_line(self, frame: Any) -> None:
            look(3 * LOOKS)
            looked.append(frame.f_lineno)

    async def stops() -> None:
        debugger = Thinks()
        debugger.reset()
        debugger.dispatch_line(sys._getframe())

    assert world.perform(stops()).result() is None
    assert len(looked) == 1


def test_a_process_that_uses_the_alarm_itself_keeps_it() -> None:
    heard: list[int] = []

    def own(number: int, _frame: Any) -> None:
        heard.append(number)

    signal.signal(signal.SIGALRM, own)
    try:
        watchdog = Watchdog(NEVER_S)
        watchdog.start()
        assert not watchdog.armed
        look()
        watchdog.stop()
        assert signal.getsignal(signal.SIGALRM) is own
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert heard == [signal.SIGALRM]


def test_a_timer_that_runs_already_goes_on() -> None:
    signal.setitimer(signal.ITIMER_REAL, NEVER_S)
    try:
        watchdog = Watchdog(NEVER_S)
        watchdog.start()
        assert not watchdog.armed
        watchdog.stop()
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_an_alarm_that_somebody_takes_meanwhile_is_left_to_them() -> None:
    watchdog = Watchdog(NEVER_S)
    watchdog.start()
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        watchdog.stop()
        watchdog.stop()
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_another_thread_has_no_watchdog() -> None:
    watchdog = Watchdog(NEVER_S)
    thread = threading.Thread(target=watchdog.start)
    thread.start()
    thread.join()
    assert not watchdog.armed
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_the_timer_repeats_within_its_time() -> None:
    watchdog = Watchdog(NEVER_S)
    watchdog.start()
    left, again = signal.getitimer(signal.ITIMER_REAL)
    watchdog.stop()
    assert 0 < left <= again == NEVER_S / (LOOKS - 1)
