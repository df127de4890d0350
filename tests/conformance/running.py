"""How tests of clients run them: alone, or side by side."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from simulator.loop import LaneTask
from simulator.world import World


def run(world: World, work: Coroutine[Any, Any, Any]) -> Any:
    """What ``work`` returns, or raises."""
    return world.perform(work).result()


def start(world: World, *works: Coroutine[Any, Any, Any]) -> list[LaneTask[Any]]:
    """Begin ``works``, one after another, each as a client of its own, as far as they get without time passing."""
    tasks = []
    for work in works:
        tasks.append(world.loop.start(work, ("client", len(tasks) + 1)))
        world.settle()
    return tasks
