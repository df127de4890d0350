"""Virtual time and chance for code that asks the standard library instead of the world.

While a world is entered, ``time``, ``datetime``, ``uuid``, ``secrets``, ``random`` and ``os.urandom`` answer from the
world's clock and seed. The calendar (``time.time``, ``datetime.now`` and their kin) is time-machine's work; the rest
are module attributes, replaced on entry and put back on exit. Code that took such a function by name before
(``from time import monotonic``) keeps the real one.
"""

from __future__ import annotations

import functools
import os
import random
import time
import traceback
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Never

import time_machine

from simulator.clock import NANOSECONDS, VirtualClock
from simulator.errors import BlockingCallError

if TYPE_CHECKING:
    from simulator.seed import Seed


NODE = 0x02_00_00_00_00_01
"""The network address of every world's machine: one that nobody administers."""

SEED_BYTES = 32


class Chance:
    """Random bytes from a seed, remembered in the order in which they were drawn.

    What was drawn is how an outcome recognises an identifier: ``draws`` holds it, oldest first.
    """

    def __init__(self) -> None:
        self.draws: list[bytes] = []
        self._source = random.Random(0)  # noqa: S311 - reproducible is the point

    def restart(self, seed: Seed) -> None:
        """Forget what was drawn and start again at ``seed``, with the module ``random`` too."""
        self.draws = []
        self._source.seed(seed.number)
        random.seed(seed.number)

    def urandom(self, size: int, /) -> bytes:
        """``size`` bytes, in place of ``os.urandom``."""
        drawn = self._source.randbytes(size)
        self.draws.append(drawn)
        return drawn


class Virtual:
    """Puts a world's clock and chance in place of the process's, and back.

    Holds for the whole process, threads included, which is why worlds of one process are entered one at a time.
    """

    def __init__(self, clock: VirtualClock, chance: Chance) -> None:
        self._clock = clock
        self._chance = chance
        self._kept: list[tuple[Any, str, Any]] = []
        self._random_state: Any = None
        self._at = clock.now()
        self._travel: time_machine.travel | None = None
        self._traveller: time_machine.Traveller | None = None

    def enter(self) -> None:
        """Replace. Entering twice is a bug of the caller."""
        assert self._travel is None, "a world is entered once"
        self._random_state = random.getstate()
        self._at = self._clock.now()
        # An aware moment also makes UTC the local time zone, so that naive local times do not name the machine.
        self._travel = time_machine.travel(self._at, tick=False)
        self._traveller = self._travel.start()
        for module, name, replacement in self._replacements():
            self._kept.append((module, name, getattr(module, name)))
            setattr(module, name, replacement)

    def leave(self) -> None:
        """Put everything back as it was before ``enter``."""
        assert self._travel is not None, "a world is left after it was entered"
        while self._kept:
            module, name, original = self._kept.pop()
            setattr(module, name, original)
        self._travel.stop()
        self._travel = self._traveller = None
        random.setstate(self._random_state)

    def restart(self) -> None:
        """Begin a new run where the clock stands now, which may be before, at or after where it stood."""
        if self._traveller is not None:
            self._traveller.shift(-timedelta(seconds=1))  # only a step back makes `uuid` forget what it made before
            self._at -= timedelta(seconds=1)
        self.clock_moved()

    def clock_moved(self) -> None:
        """Bring the calendar to where the clock stands."""
        if self._traveller is not None:
            before, self._at = self._at, self._clock.now()
            self._traveller.shift(self._at - before)  # many times faster than move_to, which sets the time zone again

    def _replacements(self) -> list[tuple[Any, str, Callable[..., Any]]]:
        clock, urandom, original = self._clock, self._chance.urandom, random.Random.seed

        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            original(generator, int.from_bytes(urandom(SEED_BYTES), "big") if a is None else a, version)

        module_wide: random.Random = random.seed.__self__  # type: ignore[attr-defined]  # a bound method
        return [
            (os, "urandom", urandom),
            (random.Random, "seed", seed),  # a generator without a seed of its own gets one here, not from the system
            (random, "seed", functools.partial(seed, module_wide)),
            (random, "_urandom", urandom),  # what SystemRandom, and so `secrets`, draws from
            (time, "monotonic", lambda: clock.now_ns / NANOSECONDS),
            (time, "monotonic_ns", lambda: clock.now_ns),
            (time, "perf_counter", lambda: clock.now_ns / NANOSECONDS),
            (time, "perf_counter_ns", lambda: clock.now_ns),
            (time, "sleep", refuse_to_block),
            (uuid, "getnode", lambda: NODE),  # or a uuid1 would name the machine
        ]


def refuse_to_block(seconds: float, /) -> Never:
    """In place of ``time.sleep``: virtual time cannot pass while the loop is held up.

    Raises:
        BlockingCallError: always, with the line that called.
    """
    caller = traceback.extract_stack(limit=2)[0]
    raise BlockingCallError(
        f"time.sleep({seconds}) was called in {caller.filename}:{caller.lineno}: it blocks the event loop, in production "
        "too. Await asyncio.sleep instead."
    )
