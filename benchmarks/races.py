"""Races: small programs of a few workers on one Redis, which Holdfast and others explore alike, and what comes of that.

Nothing but the standard library is imported when it runs, so that the others can have it in environments of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial

# By name: while a world is entered, `time.perf_counter` is virtual, and this one is not.
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis.asyncio import Redis

# What every worker answered, in their order, and what was stored at last under the race's key.
Outcome = tuple[tuple[str, ...], str | None]
Work = Callable[["Redis"], Coroutine[Any, Any, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """A program: its workers, each with a client of its own, the key that is read at the end, which outcome is a bug."""

    name: str
    workers: tuple[Work, ...]
    key: str | None = None
    is_bug: Callable[[Outcome], bool]
    has_bug: bool = True


# Deduplication.


async def check_then_add(redis: Redis) -> str:
    """The textbook race: what was asked for need not be so any more when it is acted upon."""
    if await redis.sismember("seen", "r"):
        return "duplicate"
    await redis.sadd("seen", "r")
    return "first"


async def add_decides(redis: Redis) -> str:
    """Correct: asking and adding are one command."""
    return "first" if await redis.sadd("seen", "r") else "duplicate"


def _is_first_twice(outcome: Outcome) -> bool:
    return outcome[0].count("first") != 1


# A counter.


async def get_modify_set(redis: Redis) -> str:
    """An increment that loses what others add between its two commands."""
    count = int(await redis.get("count") or 0) + 1
    await redis.set("count", count)
    return str(count)


def _is_lost(outcome: Outcome) -> bool:
    answers, count = outcome
    return int(count or 0) < len(answers)


# A lease: one holds it and writes late, one sees it expire, one takes it over. Fifteen commands if all goes its way.


async def hold(redis: Redis) -> str:
    """Take the lease, do something else, and write if it is still held, which may have changed by then."""
    await redis.set("lease", "A")
    for name in ("a", "b"):
        await redis.get(f"other:hold:{name}")
    if await redis.get("lease") == b"A":
        await redis.set("document", "A")
    return "A"


async def expire(redis: Redis) -> str:
    """Do something else, and mark the lease as expired if it is held."""
    for name in ("a", "b"):
        await redis.get(f"other:expire:{name}")
    if await redis.get("lease") != b"A":
        return "nothing"
    await redis.set("expired", "1")
    return "expired"


async def take_over(redis: Redis) -> str:
    """Do something else, take the lease if it has expired, and write."""
    for name in ("a", "b", "c"):
        await redis.get(f"other:take:{name}")
    if await redis.get("expired") != b"1":
        return "nothing"
    await redis.set("lease", "B")
    await redis.set("document", "B")
    return "B"


def _is_stale(outcome: Outcome) -> bool:
    answers, document = outcome
    return "B" in answers and document == "A"


def _deduplication(workers: int) -> Race:
    return Race(name=f"deduplication, {workers} workers", workers=(check_then_add,) * workers, is_bug=_is_first_twice)


RACES = (
    _deduplication(2),
    _deduplication(3),
    _deduplication(4),
    Race(name="correct deduplication, 3 workers", workers=(add_decides,) * 3, is_bug=_is_first_twice, has_bug=False),
    Race(name="counter, 2 workers", workers=(get_modify_set,) * 2, key="count", is_bug=_is_lost),
    Race(name="lease, 3 workers", workers=(hold, take_over, expire), key="document", is_bug=_is_stale),
)


# What comes of exploring one.

PATIENCE_S = 2.0  # an exploration ends after so long, on the wall's clock
SPAN_S = 0.5  # explorations are repeated for so long
EXHAUSTED, OUT_OF_TIME, INCONCLUSIVE, SAMPLED = "exhausted", "out of time", "inconclusive", "sampled"


@dataclass(slots=True, kw_only=True)
class Explored:
    """What came of exploring a race, once and then again for as long as the rate needed.

    Seconds are the process's own, but for its patience: who else uses the machine does not matter much then.
    ``rate`` is in complete runs a second, of all explorations. Everything else is of the first: complete ``runs``, those
    that were ``given_up``, ``seconds``, how it ``ended``, ``bug_run`` (from 1) and ``bug_ms`` of its first bug, and the
    ``outcomes`` as text.
    """

    rate: float
    runs: int
    given_up: int
    seconds: float
    ended: str
    bug_run: int | None
    bug_ms: float | None
    outcomes: list[str]


@dataclass(slots=True)
class Log:
    """One exploration as it goes on: ``note`` is to be called with the outcome of every complete run.

    Who explores adds those that are ``given_up``.
    """

    race: Race
    began: float = field(default_factory=process_time)
    due: float = field(default_factory=lambda: perf_counter() + PATIENCE_S)
    runs: int = 0
    given_up: int = 0
    bug_run: int | None = None
    bug_ms: float | None = None
    outcomes: set[Outcome] = field(default_factory=set)

    def note(self, answers: Sequence[str], stored: bytes | None) -> None:
        """A run has come to its end."""
        outcome = tuple(answers), None if stored is None else stored.decode()
        self.runs += 1
        self.outcomes.add(outcome)
        if self.bug_run is None and self.race.is_bug(outcome):
            self.bug_run, self.bug_ms = self.runs, self.seconds * 1000

    @property
    def seconds(self) -> float:
        """What the process has used since it began."""
        return process_time() - self.began

    @property
    def is_over(self) -> bool:
        """Whether patience is at its end."""
        return perf_counter() >= self.due


def explore_for(race: Race, explore: Callable[[Log], str]) -> Explored:
    """Explore ``race`` again and again for ``SPAN_S`` seconds; ``explore`` does so once and says how it ended."""
    log = Log(race)
    ended = explore(log)
    seconds = total_s = log.seconds
    runs = log.runs
    while total_s < SPAN_S:
        again = Log(race)
        explore(again)
        runs, total_s = runs + again.runs, total_s + again.seconds
    return Explored(
        rate=runs / total_s,
        runs=log.runs,
        given_up=log.given_up,
        seconds=seconds,
        ended=ended,
        bug_run=log.bug_run,
        bug_ms=log.bug_ms,
        outcomes=sorted(map(repr, log.outcomes)),
    )


def explore_all(explore: Callable[[Race, Log], str]) -> dict[str, Explored]:
    """Explore every race, by its name, after one that is not counted."""
    explore(RACES[0], Log(RACES[0]))
    return {race.name: explore_for(race, partial(explore, race)) for race in RACES}
