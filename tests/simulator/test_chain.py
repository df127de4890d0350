"""A chain shows blocks when told to, and tells parameters by height."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from simulator.chain import Chain


async def taken(heights: AsyncIterator[int]) -> list[int]:
    return [height async for height in heights]


def test_a_chain_begins_at_the_height_it_was_given() -> None:
    chain = Chain({0: "p"}, height=100)
    assert chain.height == 100
    assert asyncio.run(chain.latest_height()) == 100


def test_produce_gives_the_next_height_or_the_one_asked_for() -> None:
    chain = Chain({0: "p"})
    assert [chain.produce(), chain.produce(), chain.produce(10), chain.produce()] == [1, 2, 10, 11]
    assert chain.height == 11


def test_a_follower_sees_every_block_from_its_call_on_and_none_from_before() -> None:
    async def scenario() -> list[int]:
        chain = Chain({0: "p"})
        chain.produce(1)
        heights = chain.blocks()
        chain.produce(2)
        chain.produce(3)
        chain.end()
        return await taken(heights)

    assert asyncio.run(scenario()) == [2, 3]


def test_a_follower_that_waits_is_woken_by_the_next_block() -> None:
    async def scenario() -> int:
        chain = Chain({0: "p"})
        heights = chain.blocks()
        waiting = asyncio.ensure_future(anext(heights))
        await asyncio.sleep(0)
        assert not waiting.done()
        chain.produce(7)
        return await waiting

    assert asyncio.run(scenario()) == 7


def test_every_follower_sees_every_block_in_the_order_of_production() -> None:
    async def scenario() -> list[list[int]]:
        chain = Chain({0: "p"})
        followers = [chain.blocks(), chain.blocks()]
        for height in (5, 5, 4, 9):
            chain.produce(height)
        chain.end()
        return [await taken(follower) for follower in followers]

    assert asyncio.run(scenario()) == [[5, 5, 4, 9], [5, 5, 4, 9]]


def test_a_cancelled_follower_is_given_no_more_blocks() -> None:
    async def scenario() -> int:
        chain = Chain({0: "p"})
        task = asyncio.ensure_future(taken(chain.blocks()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        chain.produce()
        return chain.followers

    assert asyncio.run(scenario()) == 0


def test_who_follows_a_chain_that_has_ended_sees_nothing() -> None:
    async def scenario() -> list[int]:
        chain = Chain({0: "p"})
        chain.end()
        return await taken(chain.blocks())

    assert asyncio.run(scenario()) == []


def test_a_chain_that_has_ended_produces_nothing() -> None:
    chain = Chain({0: "p"}, height=3)
    chain.end()
    with pytest.raises(RuntimeError, match="ended at height 3"):
        chain.produce()


@pytest.mark.parametrize(("height", "expected"), [(10, "first"), (19, "first"), (20, "second"), (1000, "second")])
def test_parameters_hold_from_their_height_on(height: int, expected: str) -> None:
    chain = Chain({20: "second", 10: "first"})
    assert asyncio.run(chain.parameters(height)) == expected


def test_there_are_no_parameters_before_the_first() -> None:
    with pytest.raises(LookupError, match="no parameters at height 9: the first are for 10"):
        asyncio.run(Chain({10: "first"}).parameters(9))


def test_a_chain_without_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="one height at least"):
        Chain({})


def test_parameters_fail_until_they_are_mended() -> None:
    chain = Chain({0: "p"})
    chain.fail_parameters(ConnectionError("no node"))
    for _ in range(2):
        with pytest.raises(ConnectionError, match="no node"):
            asyncio.run(chain.parameters(0))
    chain.mend_parameters()
    assert asyncio.run(chain.parameters(0)) == "p"
