"""Recordings: looking at a subject through the lenses, and looking again to see whether it is the same."""

from __future__ import annotations

import concurrent.futures
import re
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from characterization.behaviour import Behaviour, Recording
from characterization.comparing import Change, Comparison, Kind, compare, differences
from characterization.errors import EndlessStatesError, NotDeterministicError, ProgramError, SubjectError
from characterization.finding import imported_apart, load_subject
from characterization.lenses.runner import Place, PooledRunner, Progress, Runner, local_runner, worker_pool
from characterization.lenses.sequence import Walk, sequence
from characterization.lenses.time import time
from characterization.program import Call, Program
from characterization.subject import Subject
from simulator.backend import Backend
from simulator.seed import Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to look: the seed, and how many worker processes (1: this process)."""

    seed: Seed
    workers: int


Pool = concurrent.futures.ProcessPoolExecutor


@contextmanager
def workers_for(settings: Settings) -> Iterator[Pool | None]:
    """The worker processes that ``settings`` ask for, to be shared by the runners of several subjects; one: none."""
    if settings.workers == 1:
        yield None
        return
    with worker_pool(settings.workers, settings.seed) as pool:
        yield pool


@contextmanager
def runners(
    settings: Settings, place: Place, backend: Backend | None = None, pool: Pool | None = None
) -> Iterator[Runner]:
    """A runner on ``pool``, or as ``settings`` ask for. A backend of one's own is used from this process alone."""
    if settings.workers == 1 or backend is not None:
        with local_runner(load_subject(place.target, place.folders), settings.seed, backend) as runner:
            yield runner
        return
    with nullcontext(pool) if pool is not None else worker_pool(settings.workers, settings.seed) as own:
        try:
            yield PooledRunner(own, place, settings.seed)
        except (BrokenProcessPool, concurrent.futures.CancelledError) as error:
            raise SubjectError(
                f"a worker process ended while it ran {place.target}: {error}. With --workers 1 it runs here, where the "
                "reason can be seen."
            ) from error


def explore(place: Place, runner: Runner, done: Progress) -> Recording:
    """Everything that the sequence and time lenses see of a subject.

    Raises:
        SubjectError: it cannot be explored.
    """
    subject = load_subject(place.target, place.folders)
    walk = Walk(subject, runner, done)
    sequence(walk)
    time(walk)
    return Recording(type(subject).name, walk.behaviours.values())


def otherwise(settings: Settings) -> Settings:
    """The settings of the second recording: another seed, and so another epoch, order and hash seed; other workers."""
    return Settings(seed=settings.seed.fork("A/A"), workers=settings.workers + 1)


def record(
    place: Place, settings: Settings, done: Progress, pools: tuple[Pool | None, Pool | None] = (None, None)
) -> Recording:
    """A recording made twice (A/A), the second time otherwise. ``pools`` are workers for the one and the other.

    Raises:
        NotDeterministicError: the two differ. The message names the field.
    """
    with runners(settings, place, pool=pools[0]) as runner:
        first = explore(place, runner, done)
    with runners(otherwise(settings), place, pool=pools[1]) as runner:
        second = explore(place, runner, done)
    check_same(first, second)
    return first


def check_same(first: Recording, second: Recording) -> None:
    """Hold two recordings of the same code against each other.

    Raises:
        NotDeterministicError: they differ.
    """
    changes = compare(first, second).changes
    if changes:
        change = min(changes, key=lambda each: each.program.order)
        raise NotDeterministicError(_difference_words(first.subject, change))
    for one, two in zip(first, second, strict=True):
        if (one.outcome.before, one.outcome.after) != (two.outcome.before, two.outcome.after):
            raise NotDeterministicError(
                f"{first.subject} is not deterministic: `{one.program.text}` shows the same twice, but leads to another "
                "state: something that no effect shows varies from run to run."
            )


def _difference_words(subject: str, change: Change) -> str:
    text = change.program.text
    found = differences(change)
    if not found:
        return f"{subject} is not deterministic: `{text}` was reached in one of two recordings only."
    old, new = found[0].old, found[0].new
    where, way_out = _field(change.kind, str(old or new))
    return (
        f"{subject} is not deterministic: two recordings of `{text}` differ in {where}.\n"
        f"    once   {old or 'nothing of it'}\n"
        f"    again  {new or 'nothing of it'}\n"
        f"Hand the clock and the random numbers in, or take them from the standard library when they are needed.{way_out}"
    )


def _field(kind: Kind, line: str) -> tuple[str, str]:
    """What a line speaks of, and what to write in the subject if that is meant to vary."""
    if kind in (Kind.RESPONSE, Kind.COST):
        return ("the answer" if kind is Kind.RESPONSE else "the cost"), ""
    match = re.match(r"(\S+) (?:= |\S+ -> )", line)
    if match is None:
        return f"`{line}`", ""
    return match[1], f' If it varies for a good reason, say so in the subject: scrubs = ["{match[1]}"].'


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A second look: what was seen, what was pinned and could not be run, and why the space could not be walked."""

    recording: Recording
    comparison: Comparison
    endless: str = ""


def look_again(place: Place, pinned: Recording, runner: Runner, done: Progress, *, walk: bool = True) -> Look:
    """Run everything that is pinned, and (with ``walk``) everything else that can be reached now; compare.

    A program whose operation or argument is no longer there is *gone*. What is pinned is run whether or not a walk would
    reach it still, so that a change is seen in the very program that was approved.
    """
    endless = ""
    seen: dict[str, Behaviour] = {}
    if walk:
        try:
            seen = {each.program.text: each for each in explore(place, runner, done)}
        except EndlessStatesError as error:
            endless = str(error)
    subject = load_subject(place.target, place.folders)
    missing = [each.program for each in pinned if each.program.text not in seen and still_there(subject, each.program)]
    for program, outcome in zip(missing, runner.run(missing, done), strict=True):
        seen[program.text] = Behaviour(subject=pinned.subject, program=program, outcome=outcome)
    recording = Recording(pinned.subject, seen.values())
    return Look(recording=recording, comparison=compare(pinned, recording), endless=endless)


def still_there(subject: Subject, program: Program) -> bool:
    """Whether the subject still has every operation, argument and replica that the program names."""
    operations = type(subject).operations()
    try:
        for part in program.parts:
            if isinstance(part, Call):
                if part.operation not in operations or part.replica > type(subject).replicas:
                    return False
                operations[part.operation].bind(part)
    except (SubjectError, ProgramError):
        return False
    return True


def explore_both(old: Place, new: Place, settings: Settings, done: Progress) -> tuple[Recording, Recording]:
    """Two implementations, each walked, and each made to run what only the other's walk came upon.

    So every program is compared that either can be brought to, and none is new or gone for want of having been tried.
    Both recordings carry the name of the new one.
    """
    # Each has workers of its own, and is imported apart: two versions of a package do not fit into one process.
    with worker_pool(settings.workers, settings.seed) as older, worker_pool(settings.workers, settings.seed) as newer:
        sides = [(old, PooledRunner(older, old, settings.seed)), (new, PooledRunner(newer, new, settings.seed))]
        walked = []
        for place, runner in sides:
            with imported_apart(place.folders):
                walked.append(explore(place, runner, done))
        name = walked[1].subject
        recordings = []
        for (place, runner), own, other in zip(sides, walked, reversed(walked), strict=True):
            with imported_apart(place.folders):
                recordings.append(_completed(place, runner, name, own, other, done))
    return recordings[0], recordings[1]


def _completed(place: Place, runner: Runner, name: str, own: Recording, other: Recording, done: Progress) -> Recording:
    """``own``, and what the subject shows in the programs that only ``other`` has; under ``name``."""
    subject = load_subject(place.target, place.folders)
    missing = [each.program for each in other if each.program.text not in own and still_there(subject, each.program)]
    outcomes = {each.program: each.outcome for each in own}
    outcomes.update(zip(missing, runner.run(missing, done), strict=True))
    return Recording(name, [Behaviour(subject=name, program=p, outcome=o) for p, o in outcomes.items()])
