"""What a service says: heard while its world is entered, and nobody else's words."""

from __future__ import annotations

import asyncio
import logging

import pytest
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from simulator.events import Ear, Event, readings
from simulator.seed import Seed
from simulator.world import World


def names(world: World) -> list[str]:
    return [event.name for event in world.take_events()]


def test_log_events_are_known_by_level_and_name(world: World) -> None:
    structlog.get_logger().warning("session_lost", session="s1")
    logging.getLogger("service").info("took %s", "seconds")
    logging.getLogger("service").debug("too quiet")
    assert names(world) == ["warning session_lost", "info took %s"]
    assert names(world) == []


@pytest.mark.parametrize("other", ["asyncio", "redis.client", "fakeredis", "hypothesis.core"])
def test_what_others_say_is_left_out(world: World, other: str) -> None:
    logging.getLogger(other).error("not the service's own")
    assert names(world) == []


def test_a_logger_that_was_bound_before_is_heard_too() -> None:
    logger = structlog.get_logger().bind(component="early")
    with World(Seed(1)) as world:
        logger.info("heard")
        assert names(world) == ["info heard"]


def test_logging_is_put_back() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), list(structlog.get_config()["processors"]))
    with World(Seed(1)):
        assert len(root.handlers) == len(before[1]) + 1
    assert (root.level, list(root.handlers), list(structlog.get_config()["processors"])) == before


def test_an_ear_that_stops_twice_stops_once() -> None:
    ear = Ear()
    ear.listen()
    ear.stop()
    ear.stop()
    assert ear.events == []


def test_callbacks_record_what_they_were_given_and_answer(world: World) -> None:
    notify, ask = world.callback("notify"), world.callback("ask", lambda number: number + 1)

    async def work() -> list[object]:
        return [await notify("a", 1), await ask(1)]

    assert world.perform(work()).result() == [None, 2]
    assert world.take_events() == [
        Event(kind="callback", name="notify", details=("a", 1)),
        Event(kind="callback", name="ask", details=(1,)),
    ]


def test_metrics_are_read_by_their_full_name(world: World) -> None:
    registry = CollectorRegistry()
    Counter("relays", "Relays.", ["kind"], registry=registry).labels(kind="new").inc(2)
    Gauge("sessions", "Sessions.", registry=registry).set(3)
    world.watch(registry)
    assert world.metrics() == {"relays_total{kind=new}": 2, "sessions": 3}
    world.restart()
    assert world.metrics() == {}
    assert readings([]) == {}


def test_a_background_task_that_failed_is_an_event(world: World) -> None:
    async def fails() -> None:
        raise LookupError("lost")

    async def work() -> None:
        asyncio.get_running_loop().create_task(fails())
        await asyncio.sleep(1)

    world.perform(work()).result()
    assert names(world) == ["task failed: LookupError: lost"]


def test_a_callback_of_the_loop_that_failed_is_an_event(world: World) -> None:
    world.loop.call_soon(int, "x")
    world.settle()
    assert names(world) == ["loop failed: ValueError: invalid literal for int() with base 10: 'x'"]
    world.restart()
    assert names(world) == []


def test_a_future_that_nobody_asked_is_not_an_event(world: World) -> None:
    world.loop.call_exception_handler({"message": "never retrieved", "future": None, "exception": LookupError()})
    assert names(world) == []
