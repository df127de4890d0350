"""The sequence lens: every operation from every reachable state, and a way out where there is no end."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from characterization import Bounds, World, cap, drop, few, operation
from characterization.baseline import graph_text
from characterization.errors import EndlessStatesError
from characterization.state import Abstraction
from simulator.seed import Seed
from tests.characterization import demo


def test_every_operation_is_tried_from_every_state() -> None:
    seen = demo.walked(demo.Counter)
    calls = len(demo.Counter.calls())
    assert len(seen) == len(seen.states()) * calls
    assert {each.program.text for each in seen if len(each.program.parts) == 1} == {"increment", "reset"}


def test_a_state_is_kept_by_the_shortest_program_that_leads_to_it() -> None:
    assert max(len(each.program.parts) for each in demo.walked(demo.Counter)) == 3
    assert "increment ; reset ; increment" not in demo.walked(demo.Counter)


@pytest.mark.parametrize("kind", demo.EVERY)
@pytest.mark.parametrize("seed", [1, 2])
def test_any_seed_and_order_gives_the_same_bytes(kind: Any, seed: int) -> None:
    assert graph_text(demo.walked(kind, Seed(seed))) == graph_text(demo.walked(kind))


def test_behind_the_end_of_a_replica_one_step_is_looked_at() -> None:
    closed = [each.program.text for each in demo.walked(demo.Queue) if "close" in each.program.prelude.text]
    assert "close ; put j" in closed
    assert "put j ; put j ; close ; take" in closed
    assert not [text for text in closed if len(text.partition("close ; ")[2].split(" ; ")) > 1]
    assert "put j ; put other ; close ; take" not in closed  # of the same kind as the one before


class Growing(demo.Counter):
    """Keys without end."""

    name = "demo.growing"
    bounds = Bounds(states=12)

    @operation()
    async def increment(self, redis: Any) -> None:
        await redis.set(f"job({await redis.dbsize()})", "x")

    @operation()
    async def reset(self, redis: Any) -> None:
        await redis.flushdb()


class GrowingPlainly(Growing):
    """Keys without end, for which the subject has no word."""

    @operation()
    async def increment(self, redis: Any) -> None:
        await redis.set(f"job:{await redis.dbsize()}", "x")


class Deep(demo.Counter):
    """Counts further than programs go."""

    bounds = Bounds(depth=1)


class Silent(demo.Counter):
    """Grows, and shows nothing of how."""

    bounds = Bounds(states=0)
    abstractions = ()

    @operation()
    async def increment(self, redis: Any) -> None: ...


class InABasket(demo.Counter):
    """Counts in a field of a key with a word."""

    name = "demo.basket"
    keys: ClassVar = {"basket:{id}": "basket({id})"}
    abstractions = ()
    bounds = Bounds(states=6)

    @operation()
    async def increment(self, redis: Any) -> None:
        await redis.hincrby("basket:1", "items", 1)


def with_proposal(kind: Any, message: str) -> Any:
    """``kind`` with the line that ``message`` proposes, as an author would paste it."""
    line = message.partition("abstractions = ")[2].partition("#")[0].strip()
    pasted: tuple[Abstraction, ...] = tuple(eval(line, {"cap": cap, "drop": drop, "few": few}))
    return type(kind.__name__, (kind,), {"abstractions": pasted, "__module__": kind.__module__})


@pytest.mark.parametrize(
    ("kind", "field"),
    [(demo.Uncapped, "count"), (InABasket, "basket(*).items"), (Growing, "job(*)"), (GrowingPlainly, "job:*")],
    ids=lambda each: str(getattr(each, "__name__", each)),
)
def test_a_space_without_end_names_what_grows_and_what_it_proposes_makes_it_end(kind: Any, field: str) -> None:
    with pytest.raises(EndlessStatesError) as caught:
        demo.walked(kind)
    message = str(caught.value)
    assert message.startswith(f"{kind.name} has more than {kind.bounds.states} states")
    assert f'("{field}", 2)' in message
    assert len(demo.walked(with_proposal(kind, message)).states()) <= kind.bounds.states


def test_programs_longer_than_the_bound_are_refused_and_never_cut() -> None:
    with pytest.raises(EndlessStatesError, match="What grows is count"):
        demo.walked(Deep)


def test_where_nothing_is_seen_to_grow_it_says_so() -> None:
    with pytest.raises(EndlessStatesError, match="nothing that is seen"):
        demo.walked(Silent)


class Branching(demo.Counter):
    """Two ways to one state, of which the first by spelling is kept."""

    @operation()
    async def add(self, redis: Any) -> int:
        return await redis.incr("count")

    def replica(self, world: World) -> Any:
        return world.redis()


def test_of_equally_short_ways_the_first_by_spelling_is_kept() -> None:
    seen = demo.walked(Branching)
    assert "add ; increment" in seen
    assert "increment ; add" not in seen
