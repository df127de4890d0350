"""The gate: what a step is, who waits, and what it costs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from redis.asyncio import Redis

from simulator.backend import Command, Reply
from simulator.errors import BackendError, EndlessError
from simulator.fake import FakeBackend
from simulator.gate import STEPS_MAX, Door, Gate
from simulator.world import World

LANE = ("client", 1)


class Hearer:
    """A client that writes down what it is told."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.waits: list[float] = []

    def receive(self, reply: Reply) -> None:
        self.replies.append(reply)

    def blocked(self, seconds: float) -> None:
        self.waits.append(seconds)


def words(text: str) -> Command:
    return tuple(text.encode().split())


@pytest.fixture
def gate(world: World) -> Gate:
    return Gate(FakeBackend())


def knock(gate: Gate, *commands: str, hearer: Hearer | None = None, door: Door | None = None) -> tuple[Door, Hearer]:
    hearer = hearer or Hearer()
    door = door or gate.open(0, 2, hearer)
    gate.submit(door, LANE, [words(command) for command in commands])
    return door, hearer


def take_all(gate: Gate) -> None:
    while gate.parked:
        gate.step()


def test_a_command_waits_until_its_step_is_taken(gate: Gate) -> None:
    door, hearer = knock(gate, "SET a 1")
    assert gate.parked == [door]
    assert hearer.replies == []
    gate.step()
    assert gate.parked == []
    assert hearer.replies == [b"OK"]


def test_any_of_those_who_are_parked_may_take_the_next_step(gate: Gate) -> None:
    _, first = knock(gate, "INCR a")
    _, second = knock(gate, "INCR a")
    gate.step(1)
    gate.step(0)
    assert (first.replies, second.replies) == ([2], [1])


def test_a_plain_pipeline_is_cut_into_steps_and_a_transaction_is_not(gate: Gate) -> None:
    knock(gate, "SET a 1", "MULTI", "INCR a", "INCR a", "EXEC", "GET a")
    gate.trace = []
    take_all(gate)
    assert [len(step.commands) for step in gate.trace] == [1, 4, 1]
    assert gate.trace[1].replies == (b"OK", b"QUEUED", b"QUEUED", [2, 3])


def test_a_transaction_that_is_discarded_is_one_step(gate: Gate) -> None:
    _, hearer = knock(gate, "MULTI", "INCR a", "DISCARD", "GET a")
    take_all(gate)
    assert gate.steps == 2
    assert hearer.replies == [b"OK", b"QUEUED", b"OK", None]


def test_a_transaction_sent_piece_by_piece_takes_a_step_for_each(gate: Gate) -> None:
    door, hearer = knock(gate, "MULTI")
    take_all(gate)
    knock(gate, "BLPOP q 0", "SET a 1", door=door, hearer=hearer)
    take_all(gate)
    assert gate.blocked == []
    knock(gate, "EXEC", door=door, hearer=hearer)
    take_all(gate)
    assert hearer.replies == [b"OK", b"QUEUED", b"QUEUED", [None, b"OK"]]
    assert gate.steps == 4


def test_a_transaction_that_goes_on_in_a_later_flush_is_cut(gate: Gate) -> None:
    knock(gate, "MULTI", "INCR a")
    take_all(gate)
    assert gate.steps == 2


def test_cost_is_counted_as_it_would_be_on_a_wire(gate: Gate) -> None:
    knock(gate, "SET key value")
    knock(gate, "GET key", "GET key")
    sent = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n" + 2 * b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"
    assert (gate.cost.commands, gate.cost.trips, gate.cost.sent) == (3, 2, len(sent))


def test_a_blocked_client_says_for_how_long_and_is_answered_when_something_comes(gate: Gate) -> None:
    door, hearer = knock(gate, "BLPOP q 1.5")
    take_all(gate)
    assert gate.blocked == [door]
    assert hearer.waits == [1.5]
    knock(gate, "RPUSH q a")
    take_all(gate)
    assert hearer.replies == [[b"q", b"a"]]
    assert gate.blocked == []


@pytest.mark.parametrize(
    ("command", "seconds"),
    [
        ("BRPOP q 0", math.inf),
        ("BLMPOP 2 1 q LEFT", 2),
        ("BZMPOP 3 1 q MIN", 3),
        ("BLMOVE q r LEFT LEFT 4", 4),
        ("XREAD BLOCK 1500 STREAMS s $", 1.5),
        ("xread count 1 block 0 streams s $", math.inf),
    ],
)
def test_each_command_that_waits_has_its_own_place_for_how_long(gate: Gate, command: str, seconds: float) -> None:
    _, hearer = knock(gate, command)
    take_all(gate)
    assert hearer.waits == [seconds]


@pytest.mark.parametrize("command", ["XREAD STREAMS BLOCK 0", "XREAD COUNT 1 STREAMS s 0"])
def test_a_reader_of_a_stream_without_block_does_not_wait(gate: Gate, command: str) -> None:
    _, hearer = knock(gate, command)
    take_all(gate)
    assert gate.blocked == []
    assert len(hearer.replies) == 1


def test_the_end_of_a_stream_is_settled_when_the_wait_begins(gate: Gate) -> None:
    knock(gate, "XADD s 5-1 a old", "XADD t 7-1 a old")
    take_all(gate)
    _, hearer = knock(gate, "XREAD BLOCK 0 STREAMS s t none $ $ $")
    take_all(gate)
    knock(gate, "XADD t 7-2 a new")
    take_all(gate)
    assert hearer.replies == [[[b"t", [[b"7-2", [b"a", b"new"]]]]]]


def test_a_command_that_cannot_wait_is_refused_at_once(gate: Gate) -> None:
    _, hearer = knock(gate, "BLPOP")
    take_all(gate)
    assert gate.blocked == []
    assert "wrong number of arguments" in str(hearer.replies[0])
    knock(gate, "SET a 1")
    take_all(gate)


def test_a_command_that_may_wait_is_refused_while_keys_are_watched(gate: Gate) -> None:
    door, hearer = knock(gate, "WATCH a", "BLPOP q 0")
    with pytest.raises(BackendError, match="BLPOP q 0 was sent while keys are watched"):
        take_all(gate)
    for end in ("UNWATCH", "EXEC", "DISCARD"):
        door, hearer = knock(gate, "WATCH a", *(["MULTI"] if end != "UNWATCH" else []))
        take_all(gate)
        knock(gate, end, door=door, hearer=hearer)
        take_all(gate)
        knock(gate, "RPUSH q x")
        knock(gate, "BLPOP q 0", door=door, hearer=hearer)
        take_all(gate)
        assert hearer.replies[-1] == [b"q", b"x"]


def test_a_transaction_in_one_flush_ends_a_watch(gate: Gate) -> None:
    door, hearer = knock(gate, "WATCH a")
    take_all(gate)
    knock(gate, "MULTI", "SET b 1", "EXEC", "BLPOP q 1", door=door, hearer=hearer)
    take_all(gate)
    assert gate.blocked == [door]


def test_what_was_sent_behind_a_command_that_waits_waits_too(gate: Gate) -> None:
    door, hearer = knock(gate, "BLPOP q 0", "PING")
    take_all(gate)
    knock(gate, "ECHO x", door=door, hearer=hearer)
    take_all(gate)
    assert hearer.replies == []
    knock(gate, "RPUSH q a")
    take_all(gate)
    assert hearer.replies == [[b"q", b"a"], b"PONG", b"x"]


def test_a_connection_that_is_closed_is_no_longer_waited_for(gate: Gate) -> None:
    blocked, hearer = knock(gate, "BLPOP q 0")
    take_all(gate)
    parked, _ = knock(gate, "GET a")
    subscribed, _ = knock(gate, "SUBSCRIBE c")
    gate.step(1)
    for door in (blocked, parked, subscribed):
        door.close()
        door.close()
    assert gate.parked == gate.blocked == gate.subscribed == []
    knock(gate, "RPUSH q a", "PUBLISH c x")
    take_all(gate)
    assert hearer.replies == []
    gate.restart(0)


def test_a_connection_that_never_spoke_has_no_session() -> None:
    door = Gate(FakeBackend()).open(0, 2, Hearer())
    assert door.take_pushes() == ()


def test_a_new_run_is_refused_while_connections_are_open(gate: Gate) -> None:
    knock(gate, "GET a")
    with pytest.raises(AssertionError, match="closed before a new run"):
        gate.restart(0)


def test_a_new_run_counts_from_nothing(gate: Gate) -> None:
    door, _ = knock(gate, "GET a")
    take_all(gate)
    door.close()
    gate.trace = [*(gate.trace or [])]
    gate.restart(0)
    assert (gate.steps, gate.cost.commands, gate.trace) == (0, 0, [])


def test_too_many_steps_are_an_error_that_names_the_last(gate: Gate) -> None:
    gate.steps = STEPS_MAX
    knock(gate, "GET busy")
    with pytest.raises(EndlessError, match=f"{STEPS_MAX} Redis steps were taken .* the last was GET busy"):
        gate.step()


def test_who_waits_is_told_by_lane_and_command(world: World) -> None:
    async def waiter(redis: Redis) -> Any:
        return await redis.blpop(["a", "b"], timeout=0)

    world.loop.start(waiter(world.redis(socket_timeout=None)), ("client", 7))
    world.settle()
    assert world.gate.waiting() == ["client.7 waits in BLPOP a b 0"]
