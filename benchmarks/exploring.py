"""Exploring: schedules a second, runs and time to the first bug and to exhaustion, beside frontrun and simloom.

All three explore the same races (``benchmarks.races``) on redis-py's unmodified asyncio client, each worker with a client
of its own, on one core: Holdfast with its systematic search in a world that is entered before, the others as the
docstrings of their adapters say. Beneath Holdfast and frontrun is fakeredis, beneath simloom its own Redis.

Method. In each round each of them explores every race in a process that has explored one before, and repeats that for
half a second for its rate; the rounds alternate. Times are processor time of that process. An exploration ends after
two seconds on the wall at the latest. Complete runs are counted as schedules; those that were given up, since they could
only repeat others, are told beside them. Of rates and times the best round is taken, with the range of all of them
beside a rate; runs are those of that round. The first bug's time ends with the run that had it. A witness is found and
then shrunk, from an empty search on. Outcomes are counted against all that anyone has found. The ratio of rates is taken
race by race, to the quicker way of using frontrun.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

# By name: it would be virtual while a world is entered.
from time import process_time
from typing import Any

from benchmarks import races
from benchmarks.figure import Figure
from benchmarks.measuring import SEED, alternate, span
from benchmarks.races import RACES, Explored, Log, Race
from benchmarks.rivals import AbsentError, Rival
from simulator.explore import Run, shrink, systematic
from simulator.race import Client, race
from simulator.schedule import Scheduler
from simulator.seed import Seed
from simulator.world import World

ROUNDS = 3
RATES_AIMED = {"deduplication, 2 workers": 5000, "counter, 2 workers": 5000, "lease, 3 workers": 1500}
BUG_MS_AIMED = 10
TEXTBOOK = tuple(each for each in RACES if each.name.startswith(("deduplication", "counter")))
EXHAUSTED_AIMED = "deduplication, 4 workers"
CLASSES_AIMED = 148
EXHAUSTED_MS_AIMED = 100
SHRUNK_MS_AIMED = 100
TIMES_AIMED = 50
OURS = "holdfast"
SUBJECT = "exploring schedules"


# A race's name, and what came of it.
Round = Mapping[str, Explored]


# Ours.


def run_of(world: World, program: Race) -> Run[races.Outcome]:
    """``program`` as our explorer wants it."""

    def run(scheduler: Scheduler) -> races.Outcome:
        world.restart()
        clients = [Client(partial(work, world.redis()), number) for number, work in enumerate(program.workers, 1)]
        raced = race(world, clients, scheduler)
        answers = tuple([value for _, value in raced.answers])
        if program.key is None:
            return answers, None
        record: Any = world.dump().get(0, {}).get(program.key.encode())
        return answers, None if record is None else record.value.decode()

    return run


def explore(world: World, program: Race, log: Log) -> str:
    """Explore ``program`` once."""
    search = systematic(run_of(world, program))
    for seen in search:
        answers, stored = seen.value
        log.note(answers, None if stored is None else stored.encode())
        if log.is_over:
            return races.OUT_OF_TIME
    log.given_up = search.certificate.pruned
    return races.EXHAUSTED


def shrunk_ms(world: World, program: Race) -> float:
    """How long it takes to find the first witness of the bug of ``program``, and to shrink it."""
    began = process_time()
    run = run_of(world, program)
    witness = next(seen for seen in systematic(run) if program.is_bug(seen.value))
    shrink(run, witness, program.is_bug)
    return 1000 * (process_time() - began)


def ours() -> Round:
    """Every race explored, in one world."""
    with World(Seed(SEED)) as world:
        return races.explore_all(partial(explore, world))


def shrunk() -> dict[str, float]:
    """``shrunk_ms`` of every race that has a bug."""
    with World(Seed(SEED)) as world:
        return {each.name: shrunk_ms(world, each) for each in RACES if each.has_bug}


# All of them.


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """An explorer by its title, and its rounds; without any, ``absent`` says why."""

    title: str
    rounds: list[Round]
    absent: str = ""

    def of(self, program: Race) -> list[Explored]:
        """What came of ``program`` in each round."""
        return [each[program.name] for each in self.rounds]


def contest() -> list[Contender]:
    """The rounds of all of them: ours, frontrun twice, simloom."""
    frontrun = Rival(name="frontrun", version="0.7.0", adapter="benchmarks.with_frontrun", python_min=(3, 11))
    simloom = Rival(name="simloom", version="0.5.0", adapter="benchmarks.with_simloom", python_min=(3, 12))
    rivals = {"kept connections": (frontrun, "kept"), "new connections": (frontrun, "new"), "": (simloom, "")}
    theirs = {way: partial(_theirs, rival, argument) for way, (rival, argument) in rivals.items()}
    rounds: dict[str, list[Round | str]] = alternate({OURS: ours, **theirs}, ROUNDS)
    titles = {way: f"{rival.title} {way}".strip() for way, (rival, _) in rivals.items()}
    return [_contender(title, rounds[way]) for way, title in {OURS: OURS, **titles}.items()]


def _theirs(rival: Rival, argument: str) -> Round | str:
    try:
        return rival.explore_all([argument])
    except AbsentError as error:
        return str(error)


def _contender(title: str, rounds: Sequence[Round | str]) -> Contender:
    there = [each for each in rounds if not isinstance(each, str)]
    return Contender(title, there, "" if there else str(rounds[0]))


# What is shown.


def figures() -> list[Figure]:
    """Every race explored by everyone, and what was aimed at besides rates."""
    everyone = contest()
    shrunk_rounds = [shrunk() for _ in range(ROUNDS)]
    mine, *others = everyone
    return [
        *_rows([each for each in everyone if each.rounds]),
        *[Figure(subject=SUBJECT, what=each.title, seen=each.absent) for each in everyone if each.absent],
        _first_bugs(mine),
        _exhausted(mine),
        _shrunk(shrunk_rounds),
        _times(mine, [each for each in others if each.title.startswith("frontrun")]),
    ]


def _rows(everyone: Sequence[Contender]) -> list[Figure]:
    """A row for each race and each explorer, their cells under one another."""
    cells = {(program, each): _cells(program, each, everyone) for program in RACES for each in everyone}
    widths = [max(map(len, column)) for column in zip(*cells.values(), strict=True)]
    return [
        Figure(
            subject=program.name,
            what=each.title,
            seen="  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(),
            **_aim(program, each),
        )
        for (program, each), row in cells.items()
    ]


def _aim(program: Race, each: Contender) -> dict[str, Any]:
    aimed = RATES_AIMED.get(program.name) if each.title == OURS else None
    return {} if aimed is None else {"aim": f"{aimed:,}/s", "met": _rate(each, program) >= aimed}


def _rate(each: Contender, program: Race) -> float:
    return max(explored.rate for explored in each.of(program))


def _cells(program: Race, each: Contender, everyone: Sequence[Contender]) -> list[str]:
    rounds = each.of(program)
    every = set().union(*(explored.outcomes for other in everyone for explored in other.of(program)))
    found = set().union(*(explored.outcomes for explored in rounds))
    return [
        f"{_rate(each, program):,.0f} schedules/s ({span([explored.rate for explored in rounds], ',.0f')})",
        _bug_cell(rounds),
        _end_cell(rounds),
        f"{len(found)} of {len(every)} outcomes",
    ]


def _bug_cell(rounds: Sequence[Explored]) -> str:
    found = [(explored.bug_ms, explored.bug_run) for explored in rounds if explored.bug_ms is not None]
    if not found:
        return "no bug"
    bug_ms, bug_run = min(found)
    return f"bug in run {bug_run}, {bug_ms:.1f} ms"


def _end_cell(rounds: Sequence[Explored]) -> str:
    """How exploring ended: exhausted as quickly as in any round, or else after as many runs as in any."""
    exhausted = [explored for explored in rounds if explored.ended == races.EXHAUSTED]
    best = min(exhausted or rounds, key=lambda each: each.seconds if exhausted else -each.runs)
    more = f" and {best.given_up} given up" if best.given_up else ""
    return f"{best.ended} after {best.runs} runs{more}, {1000 * best.seconds:,.1f} ms"


def _first_bugs(mine: Contender) -> Figure:
    slowest, name = max((min(_bug_ms(explored) for explored in mine.of(program)), program.name) for program in TEXTBOOK)
    return Figure(
        subject=SUBJECT,
        what=f"{OURS}: first bug, slowest of {len(TEXTBOOK)} textbook races",
        seen=f"{slowest:.1f} ms ({name})",
        aim=f"{BUG_MS_AIMED} ms",
        met=slowest <= BUG_MS_AIMED,
    )


def _bug_ms(explored: Explored) -> float:
    return math.inf if explored.bug_ms is None else explored.bug_ms


def _exhausted(mine: Contender) -> Figure:
    rounds = [each[EXHAUSTED_AIMED] for each in mine.rounds]
    best = min(rounds, key=lambda explored: explored.seconds)
    took_ms = [1000 * explored.seconds for explored in rounds]
    return Figure(
        subject=SUBJECT,
        what=f"{OURS}: {EXHAUSTED_AIMED}, exhausted",
        seen=f"{best.runs} classes, {min(took_ms):.0f} ms ({span(took_ms, '.0f')} ms)",
        aim=f"{CLASSES_AIMED} classes, {EXHAUSTED_MS_AIMED} ms",
        met=best.runs == CLASSES_AIMED and min(took_ms) <= EXHAUSTED_MS_AIMED,
    )


def _shrunk(rounds: Sequence[Mapping[str, float]]) -> Figure:
    best = {name: min(each[name] for each in rounds) for name in rounds[0]}
    slowest = max(best, key=lambda name: best[name])
    return Figure(
        subject=SUBJECT,
        what=f"{OURS}: a witness found and shrunk, slowest race",
        seen=f"{best[slowest]:.1f} ms ({slowest})",
        aim=f"{SHRUNK_MS_AIMED} ms",
        met=best[slowest] <= SHRUNK_MS_AIMED,
    )


def _times(mine: Contender, theirs: Sequence[Contender]) -> Figure:
    ran = [each for each in theirs if each.rounds]
    ratios = {
        program.name: _rate(mine, program) / max(_rate(each, program) for each in ran) for program in RACES if ran
    }
    return Figure(
        subject=SUBJECT,
        what=f"{OURS} to the quicker frontrun, smallest of all races",
        seen=f"{min(ratios.values()):.0f} times ({span(list(ratios.values()), '.0f')})"
        if ran
        else "frontrun did not run",
        aim=f"{TIMES_AIMED} times",
        met=min(ratios.values()) >= TIMES_AIMED if ran else None,
    )
