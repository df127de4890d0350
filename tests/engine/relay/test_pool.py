"""So many transitions at once, and no more."""

import asyncio

import pytest

from engine.relay.pool import TransitionPool
from tests.engine.relay.bench import Bench


class Works:
    """Pieces of work that end when told to, and say how many were under way at once."""

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0
        self.done = 0
        self.may_end = asyncio.Event()

    async def work(self) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.may_end.wait()
        self.under_way -= 1
        self.done += 1


@pytest.mark.parametrize("size", [0, -1])
def test_a_pool_without_room_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"room for one task at least, got {size}"):
        TransitionPool(size)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_work_is_accepted_at_once_and_at_most_so_much_of_it_runs_together(bench: Bench, size: int) -> None:
    works = Works()

    async def story() -> None:
        pool = TransitionPool(size)
        for _ in range(7):
            pool.submit(works.work)
        assert works.under_way == 0, "submitting does not wait"
        await asyncio.sleep(1)
        assert works.under_way == min(size, 7)
        works.may_end.set()
        await pool.drain()

    bench.run(story())
    assert (works.done, works.under_way, works.most) == (7, 0, min(size, 7))


def test_draining_an_empty_pool_is_done_at_once(bench: Bench) -> None:
    async def story() -> str:
        await TransitionPool(1).drain()
        return "drained"

    assert bench.run(story()) == "drained"


def test_draining_waits_for_what_is_submitted_meanwhile(bench: Bench) -> None:
    done = []

    async def story() -> None:
        pool = TransitionPool(1)

        async def second() -> None:
            await asyncio.sleep(5)
            done.append("second")

        async def first() -> None:
            await asyncio.sleep(5)
            pool.submit(second)
            done.append("first")

        pool.submit(first)
        await pool.drain()

    bench.run(story())
    assert done == ["first", "second"]
    assert bench.world.loop.time() == 10


def test_an_error_of_one_piece_is_logged_and_frees_its_room(bench: Bench) -> None:
    works = Works()

    async def broken() -> None:
        raise ValueError("broken")

    async def story() -> None:
        pool = TransitionPool(1)
        pool.submit(broken)
        pool.submit(works.work)
        works.may_end.set()
        await pool.drain()

    bench.run(story())
    assert works.done == 1
    assert bench.take_logs() == ["error transition_failed"]
