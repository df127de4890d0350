"""Virtual time and chance for code that asks the standard library instead of the world.

While a world is entered, ``time``, ``datetime``, ``uuid``, ``secrets``, ``random`` and ``os.urandom`` answer from the
world's clock and seed. The calendar (``time.time``, ``datetime.now`` and their kin) is time-machine's work; the rest
are attributes, replaced on entry and put back on exit. Code that took one of those by name before
(``from time import monotonic``) keeps the real one; of ``random`` it keeps ``random``, ``getrandbits`` and ``gauss``,
which begin at the run's seed but are one stream for everybody.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from asyncio import events
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import time_machine

from simulator.clock import NANOSECONDS, VirtualClock
from simulator.loop import LaneTask
from simulator.refusing import refusals, refuse_to_block
from simulator.seed import Seed

NODE = 0x02_00_00_00_00_01
"""The network address of every world's machine: one that nobody administers."""

SEED_BYTES = 32
Lane = tuple[object, ...]
WORLD: Final[Lane] = ("world",)
"""The lane of whatever runs outside of tasks."""

_ABSENT = object()
_MODULE_WIDE: Final[random.Random] = random.seed.__self__  # type: ignore[attr-defined]  # random's own, which it hides


def current_lane() -> Lane:
    """The lane of the task that runs now."""
    loop = events._get_running_loop()
    task = asyncio.current_task(loop) if loop is not None else None
    return task.lane if isinstance(task, LaneTask) else WORLD


class Chance:
    """Chance from a seed: a stream for each lane, so that what one draws does not depend on when others do."""

    def __init__(self) -> None:
        self._draws: list[bytes] = []
        self._lanes: list[Lane] = []  # in which each of them was drawn
        self._race_from: int | None = None
        self._bytes_from = self._numbers_from = Seed(0)
        self._begun: tuple[Seed, Seed, tuple[Any, ...]] | None = None  # a seed, that of numbers, and the module's state
        self._bytes: dict[Lane, random.Random] = {}
        self._numbers: dict[Lane, random.Random] = {}

    def restart(self, seed: Seed) -> None:
        """Forget what was drawn and start again at ``seed``, with the module ``random`` too."""
        self._draws = []
        self._lanes = []
        self._race_from = None
        self._bytes.clear()
        self._numbers.clear()
        if self._begun is None or self._begun[0] != seed:  # nearly always it is the one of the run before
            self._begun = seed, seed.fork("numbers"), seed.random().getstate()
        self._bytes_from, self._numbers_from, state = self._begun
        random.Random.setstate(_MODULE_WIDE, state)

    @property
    def draws(self) -> list[bytes]:
        """The random bytes that were drawn, oldest first: by them an outcome recognises an identifier.

        What was drawn since ``lanes_race`` is in the order of lanes instead, and within a lane oldest first.
        """
        if self._race_from is None:
            return self._draws
        late = sorted(range(self._race_from, len(self._draws)), key=lambda number: repr(self._lanes[number]))
        return [*self._draws[: self._race_from], *(self._draws[number] for number in late)]

    def lanes_race(self) -> None:
        """Let ``draws`` not depend, from now on and until the next run, on which lane comes first."""
        self._race_from = len(self._draws)

    def numbers_alike(self) -> None:
        """Let the functions of the module ``random`` answer the same from now on whatever the seed, until the next run."""
        self._numbers.clear()
        self._numbers_from = Seed(0)

    def urandom(self, size: int, /) -> bytes:
        """``size`` bytes, in place of ``os.urandom``."""
        lane = current_lane()
        drawn = _stream(self._bytes, self._bytes_from, lane).randbytes(size)
        self._draws.append(drawn)
        self._lanes.append(lane)
        return drawn

    def numbers(self) -> random.Random:
        """The generator that answers, in the lane that runs now, for the functions of the module ``random``."""
        return _stream(self._numbers, self._numbers_from, current_lane())

    def seed_numbers(self, a: Any = None, version: int = 2) -> None:
        """In place of ``random.seed``: for this lane alone, or, outside of tasks, for every lane from its beginning."""
        lane = current_lane()
        generator = random.Random(0)  # noqa: S311 - reproducible is the point
        generator.seed(int.from_bytes(self.urandom(SEED_BYTES), "big") if a is None else a, version)
        if lane == WORLD:
            self._numbers.clear()
            self._numbers_from = Seed(_copy(generator).getrandbits(64))
        self._numbers[lane] = generator


def _stream(streams: dict[Lane, random.Random], seed: Seed, lane: Lane) -> random.Random:
    stream = streams.get(lane)
    if stream is None:
        stream = streams[lane] = seed.fork(repr(lane)).random()
    return stream


def _copy(generator: random.Random) -> random.Random:
    copied = random.Random(0)  # noqa: S311 - reproducible is the point
    copied.setstate(generator.getstate())
    return copied


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
        for owner, name, replacement in (*self._clocks(), *self._chances(), *refusals()):
            self._kept.append((owner, name, vars(owner).get(name, _ABSENT)))
            setattr(owner, name, replacement)

    def leave(self) -> None:
        """Put everything back as it was before ``enter``."""
        assert self._travel is not None, "a world is left after it was entered"
        while self._kept:
            _put_back(*self._kept.pop())
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

    def _clocks(self) -> list[tuple[Any, str, Callable[..., Any]]]:
        clock = self._clock
        return [
            # As time-machine's, to the microsecond, but several times quicker: fakeredis asks with each command.
            (time, "time", lambda: clock.now_ns // 1000 * 1000 / NANOSECONDS),
            (time, "monotonic", lambda: clock.now_ns / NANOSECONDS),
            (time, "monotonic_ns", lambda: clock.now_ns),
            (time, "perf_counter", lambda: clock.now_ns / NANOSECONDS),
            (time, "perf_counter_ns", lambda: clock.now_ns),
            (time, "sleep", refuse_to_block),
            (uuid, "getnode", lambda: NODE),  # or a uuid1 would name the machine
        ]

    def _chances(self) -> list[tuple[Any, str, Callable[..., Any]]]:
        chance, urandom, original = self._chance, self._chance.urandom, random.Random.seed

        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            original(generator, int.from_bytes(urandom(SEED_BYTES), "big") if a is None else a, version)

        sources: list[tuple[str, Callable[..., Any]]] = [
            ("random", lambda: chance.numbers().random()),
            ("getrandbits", lambda bits, /: chance.numbers().getrandbits(bits)),
            ("gauss", lambda mu=0.0, sigma=1.0: chance.numbers().gauss(mu, sigma)),  # which keeps every other for later
            ("getstate", lambda: chance.numbers().getstate()),
            ("setstate", lambda state, /: chance.numbers().setstate(state)),
            ("seed", chance.seed_numbers),
        ]
        return [
            (os, "urandom", urandom),
            (random.Random, "seed", seed),  # a generator without a seed of its own gets one here, not from the system
            (random, "_urandom", urandom),  # what SystemRandom, and so `secrets`, draws from
            *((random, name, source) for name, source in sources),
            # What else the module offers is a method of the generator that it hides, and draws by these.
            *((_MODULE_WIDE, name, source) for name, source in sources),
        ]


def _put_back(owner: Any, name: str, original: Any) -> None:
    if original is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, original)
