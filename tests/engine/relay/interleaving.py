"""Several callers at once, and who of them takes the next step."""

import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from simulator.gate import Door, Step
from simulator.world import World, answer_of

Choose = Callable[[Sequence[Door]], int]
Answer = tuple[str, Any]


def one_after_another(parked: Sequence[Door]) -> int:
    """The lowest caller goes on for as long as it can: a serial order."""
    return min(range(len(parked)), key=lambda index: str(parked[index].inbox[0].lane).zfill(40))


def in_step(_parked: Sequence[Door]) -> int:
    """Whoever has waited longest goes on: all callers take their first step, then all their second."""
    return 0


def by_chance(seed: int) -> Choose:
    """Anyone, drawn from ``seed``."""
    source = random.Random(seed)
    return lambda parked: source.randrange(len(parked))


ORDERS: dict[str, Callable[[], Choose]] = {
    "one after another": lambda: one_after_another,
    "in step": lambda: in_step,
    **{f"seed {seed}": (lambda seed=seed: by_chance(seed)) for seed in range(1, 13)},
}


def race(world: World, works: Iterable[Coroutine[Any, Any, Any]], order: str) -> list[Answer]:
    """Let all of ``works`` reach the gate, then take steps in ``order`` until none is left; their answers, in turn."""
    choose = ORDERS[order]()
    tasks = [world.loop.start(work, ("client", number)) for number, work in enumerate(works, 1)]
    world.loop.run_ready()
    while world.gate.parked:
        world.gate.step(choose(world.gate.parked))
        world.loop.run_ready()
    assert all(task.done() for task in tasks), "a caller waits for something that no step brings"
    return [answer_of(task) for task in tasks]


def last_writers_count(trace: Sequence[Step]) -> int:
    """What a counter stands at that callers read with GET, create as zero in MULTI, and set to one more than read."""
    count, read = 0, dict[object, int]()
    for step in trace:
        match step.commands[0][0]:
            case b"GET":
                read[step.lane] = count
            case b"MULTI":
                count = 0
            case b"SET":
                count = read[step.lane] + 1
    return count


def looked_before(trace: Sequence[Step], writing: bytes) -> int:
    """How many callers took their first step before the first step that begins with ``writing``."""
    written = next(place for place, step in enumerate(trace) if step.commands[0][0] == writing)
    return len({step.lane for step in trace[:written]})
