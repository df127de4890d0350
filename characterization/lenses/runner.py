"""Carrying out programs: in this process, or spread over worker processes.

The outcomes do not depend on which: every program begins in a world of its own, with the same seed.
"""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

# By name: while a world is entered, `time.monotonic` is virtual, and this one is not.
from time import monotonic as _real_seconds
from typing import Protocol

from characterization.behaviour import FaultBehaviour, RaceBehaviour
from characterization.faulting import Trial
from characterization.finding import load_subject
from characterization.laws import Findings, Judge, LawWitness, merged
from characterization.lenses.fault import plans
from characterization.lenses.race import replicas_of
from characterization.outcome import Outcome
from characterization.performing import Performer
from characterization.program import Program
from characterization.racing import Contest, Sighting
from characterization.subject import Subject
from characterization.unfolding import perform
from simulator.backend import Backend
from simulator.faults import FaultPlan
from simulator.seed import Seed
from simulator.world import World

Progress = Callable[[int], None]
CHUNK = 40
RACES_CHUNK = 8
FAULTS_CHUNK = 4
QUEUED_MAX = 8  # enough to keep the workers busy, and little to wait for when a budget is spent


@dataclass(frozen=True, slots=True)
class Raced:
    """A program whose end happens at once, and what is pinned of it, if anything.

    ``only_witnesses``: where a run is dear, only the orders and the pinned witnesses are run. ``lawless`` are pinned
    witnesses against laws, which are judged by them again.
    """

    program: Program
    pinned: RaceBehaviour | None = None
    only_witnesses: bool = False
    lawless: tuple[LawWitness, ...] = ()


@dataclass(frozen=True, slots=True)
class Tried:
    """A program in whose last call something is to go wrong: by each of ``plans``; none: whatever may."""

    program: Program
    plans: tuple[FaultPlan, ...] | None = None


class Runner(Protocol):
    """Carries out programs of one subject, and judges its laws by each."""

    @property
    def laws(self) -> Findings:
        """What was found of the laws in all that was run so far."""

    def run(self, programs: Sequence[Program], done: Progress) -> list[Outcome]:
        """The outcomes of ``programs``, in their order. ``done`` is called with how many more have been run."""

    def race(
        self, programs: Sequence[Raced], done: Progress, seconds_max: float | None = None
    ) -> list[Sighting | None]:
        """What programs whose ends happen at once show; none for what ``seconds_max`` real seconds were too short for."""

    def fault(self, programs: Sequence[Tried], done: Progress) -> list[FaultBehaviour]:
        """What programs show in whose last call something goes wrong. ``done`` is told of programs, not of faults."""


class Budget:
    """Real seconds that may be spent; none: as many as it takes. What was begun is ended."""

    def __init__(self, seconds_max: float | None) -> None:
        self._until = None if seconds_max is None else _real_seconds() + seconds_max

    @property
    def spent(self) -> bool:
        """Whether nothing more may be begun."""
        return self._until is not None and _real_seconds() >= self._until


class LocalRunner:
    """Runs programs in this process, in an order drawn from the seed: no outcome may depend on what ran before."""

    def __init__(self, performer: Performer, seed: Seed) -> None:
        self._performer = performer
        self._order = seed.fork("order").random()

    @property
    def laws(self) -> Findings:
        """See ``Runner``."""
        judge = self._performer.judge
        return judge.findings if judge is not None else ()

    def run(self, programs: Sequence[Program], done: Progress) -> list[Outcome]:
        """See ``Runner``."""
        outcomes: dict[Program, Outcome] = {}
        for program in self._order.sample(list(programs), len(programs)):
            outcomes[program] = perform(self._performer, program)
            done(1)
        return [outcomes[program] for program in programs]

    def race(
        self, programs: Sequence[Raced], done: Progress, seconds_max: float | None = None
    ) -> list[Sighting | None]:
        """See ``Runner``."""
        budget = Budget(seconds_max)
        seen: dict[Program, Sighting] = {}
        for raced in self._order.sample(list(programs), len(programs)):
            if budget.spent:
                break
            seen[raced.program] = sighting_of(self._performer, raced)
            done(1)
        return [seen.get(raced.program) for raced in programs]

    def fault(self, programs: Sequence[Tried], done: Progress) -> list[FaultBehaviour]:
        """See ``Runner``."""
        found: list[FaultBehaviour] = []
        for tried in self._order.sample(list(programs), len(programs)):
            found += behaviours_of(self._performer, tried)
            done(1)
        return found


def behaviours_of(performer: Performer, tried: Tried) -> list[FaultBehaviour]:
    """What a program shows in whose last call something goes wrong, with as many replicas as it needs."""
    fitting = performer.with_replicas(replicas_of(type(performer.subject), tried.program))
    trial = Trial(fitting, tried.program)
    return [trial.behaviour(plan) for plan in (plans(trial.steps) if tried.plans is None else tried.plans)]


def sighting_of(performer: Performer, raced: Raced) -> Sighting:
    """What a program whose end happens at once shows, with as many replicas as it needs."""
    subject = type(performer.subject)
    fitting = performer.with_replicas(replicas_of(subject, raced.program))
    contest = Contest(fitting, raced.program, subject.bounds.schedules)
    return contest.sighting(raced.pinned, only_witnesses=raced.only_witnesses, lawless=raced.lawless)


@contextmanager
def local_runner(subject: Subject, seed: Seed, backend: Backend | None = None) -> Iterator[LocalRunner]:
    """A runner in a world of its own in this process, entered for as long as the context lasts."""
    with World(seed, backend) as world:
        yield LocalRunner(Performer(subject, world, judge=Judge(subject)), seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a worker finds its subject: ``module:Class``, looked for in ``folders`` before anywhere else."""

    target: str
    folders: tuple[str, ...]


class PooledRunner:
    """Spreads programs over worker processes, each with a world of its own and its own hash seed."""

    def __init__(self, pool: concurrent.futures.ProcessPoolExecutor, place: Place, seed: Seed) -> None:
        self._pool = pool
        self._place = place
        self._seed = seed
        self._order = seed.fork("order").random()
        self._found: Findings = ()

    @property
    def laws(self) -> Findings:
        """See ``Runner``."""
        return self._found

    def run(self, programs: Sequence[Program], done: Progress) -> list[Outcome]:
        """See ``Runner``."""
        shuffled = self._order.sample(list(programs), len(programs))
        chunks = [shuffled[start : start + CHUNK] for start in range(0, len(shuffled), CHUNK)]
        work = functools.partial(_run_chunk, self._place, self._seed)
        outcomes: dict[Program, Outcome] = {}
        futures = {self._pool.submit(work, chunk): chunk for chunk in chunks}
        try:
            for future in concurrent.futures.as_completed(futures):
                shown, found = future.result()
                outcomes.update(zip(futures[future], shown, strict=True))
                self._found = merged(self._found, found)
                done(len(futures[future]))
        finally:
            for future in futures:
                future.cancel()
        return [outcomes[program] for program in programs]

    def race(
        self, programs: Sequence[Raced], done: Progress, seconds_max: float | None = None
    ) -> list[Sighting | None]:
        """See ``Runner``."""
        budget = Budget(seconds_max)
        shuffled = self._order.sample(list(programs), len(programs))
        chunks = iter([shuffled[start : start + RACES_CHUNK] for start in range(0, len(shuffled), RACES_CHUNK)])
        work = functools.partial(_race_chunk, self._place, self._seed)
        seen: dict[Program, Sighting] = {}
        futures: dict[concurrent.futures.Future[tuple[list[Sighting], Findings]], list[Raced]] = {}
        try:
            while True:
                while len(futures) < QUEUED_MAX and not budget.spent and (chunk := next(chunks, None)) is not None:
                    futures[self._pool.submit(work, chunk)] = chunk
                if not futures:
                    return [seen.get(raced.program) for raced in programs]
                finished, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in finished:
                    chunk = futures.pop(future)
                    sightings, found = future.result()
                    seen.update(zip([raced.program for raced in chunk], sightings, strict=True))
                    self._found = merged(self._found, found)
                    done(len(chunk))
        finally:
            for future in futures:
                future.cancel()

    def fault(self, programs: Sequence[Tried], done: Progress) -> list[FaultBehaviour]:
        """See ``Runner``."""
        shuffled = self._order.sample(list(programs), len(programs))
        chunks = [shuffled[start : start + FAULTS_CHUNK] for start in range(0, len(shuffled), FAULTS_CHUNK)]
        work = functools.partial(_fault_chunk, self._place, self._seed)
        found: list[FaultBehaviour] = []
        futures = {self._pool.submit(work, chunk): chunk for chunk in chunks}
        try:
            for future in concurrent.futures.as_completed(futures):
                struck, judged = future.result()
                found += struck
                self._found = merged(self._found, judged)
                done(len(futures[future]))
        finally:
            for future in futures:
                future.cancel()
        return found


@contextmanager
def worker_pool(workers: int, seed: Seed) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """Worker processes that hash strings by the seed, so that no outcome may depend on the order of a set."""
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, initializer=_end_with_the_parent)
    try:
        with _hash_seed(seed):
            for _ in range(workers):  # a process is started with each work while none is idle
                pool.submit(int)
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_the_parent() -> None:
    """Let a worker process end when the process that started it does, however suddenly: its queue would never tell."""
    threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only workers wait for their parent"
    parent.join()
    os._exit(1)


@contextmanager
def _hash_seed(seed: Seed) -> Iterator[None]:
    """Let processes that are started meanwhile hash by ``seed``."""
    kept = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = str(seed.fork("hash").number % 4_294_967_295)
    try:
        yield
    finally:
        if kept is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = kept


@functools.cache
def _world(seed: Seed) -> World:
    """The one world of a worker process, entered until the process ends."""
    return World(seed).__enter__()


@functools.cache
def _performer(place: Place, seed: Seed) -> Performer:
    subject = load_subject(place.target, place.folders)
    return Performer(subject, _world(seed), judge=Judge(subject))


def _taken(performer: Performer) -> Findings:
    """What was found of the laws since the last chunk."""
    return performer.judge.take() if performer.judge is not None else ()


def _run_chunk(place: Place, seed: Seed, programs: Sequence[Program]) -> tuple[list[Outcome], Findings]:
    performer = _performer(place, seed)
    return [perform(performer, program) for program in programs], _taken(performer)


def _race_chunk(place: Place, seed: Seed, programs: Sequence[Raced]) -> tuple[list[Sighting], Findings]:
    performer = _performer(place, seed)
    return [sighting_of(performer, raced) for raced in programs], _taken(performer)


def _fault_chunk(place: Place, seed: Seed, programs: Sequence[Tried]) -> tuple[list[FaultBehaviour], Findings]:
    performer = _performer(place, seed)
    return [each for tried in programs for each in behaviours_of(performer, tried)], _taken(performer)
