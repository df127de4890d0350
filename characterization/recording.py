"""Recordings: looking at a subject through the lenses, and looking again to see whether it is the same."""

from __future__ import annotations

import concurrent.futures
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from characterization.behaviour import Behaviour, FaultBehaviour, RaceBehaviour, Recording
from characterization.comparing import Change, Kind, compare, differences
from characterization.errors import EndlessStatesError, NotDeterministicError, ProgramError, SubjectError
from characterization.finding import imported_apart, load_subject
from characterization.laws import Findings, LawFinding, LawWitness, Verdict, cells_of, check_looked, merged
from characterization.lenses import fault, race
from characterization.lenses.runner import (
    Place,
    PooledRunner,
    Progress,
    Raced,
    Runner,
    Tried,
    local_runner,
    worker_pool,
)
from characterization.lenses.sequence import Walk, sequence
from characterization.lenses.time import time
from characterization.program import Program, parse
from characterization.subject import Subject
from simulator.backend import Backend
from simulator.faults import FaultPlan
from simulator.seed import Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to look: the seed, how many worker processes (1: this process), and through which lenses.

    ``races``: through the race lens, too; ``seconds_max`` is how long that may take for one subject. ``faults``: through
    the fault lens, too.
    """

    seed: Seed
    workers: int
    races: bool = True
    seconds_max: float | None = None
    faults: bool = True


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


def walked(place: Place, runner: Runner, done: Progress) -> Walk:
    """A walk that the sequence and time lenses have finished.

    Raises:
        SubjectError: the subject cannot be explored.
    """
    walk = Walk(load_subject(place.target, place.folders), runner, done)
    sequence(walk)
    time(walk)
    return walk


def explore(place: Place, runner: Runner, done: Progress, *, races: bool = True, faults: bool = True) -> Recording:
    """Everything that the sequence and time lenses see of a subject; with ``races`` and ``faults`` those lenses, too.

    Raises:
        SubjectError: it cannot be explored.
    """
    walk = walked(place, runner, done)
    subject = type(walk.subject)
    wanted = race.programs(subject, race.starts_of(subject, walk.states, walk.kinds)) if races else []
    seen = runner.race([Raced(program) for program in wanted], done)
    found = [each.behaviour for each in seen if each is not None]
    _check_stepped(subject.name, found)
    tried = [Tried(program) for program in fault.started(subject, walk.states, walk.kinds)] if faults else []
    struck = runner.fault(tried, done)
    return Recording(subject.name, walk.behaviours.values(), found, struck, laws=_judged(runner))


def _judged(runner: Runner) -> Findings:
    """What was found of the laws in everything that was run.

    Raises:
        SubjectError: a law never looked at anything.
    """
    check_looked(runner.laws)
    return runner.laws


def reached_beside(place: Place, pinned: Recording, runner: Runner, done: Progress) -> Recording:
    """Everything that can be reached now and is not pinned."""
    walk = walked(place, runner, done)
    wanted = _races_reached(walk, pinned) if pinned.races else []
    behaviours = [each for each in walk.behaviours.values() if each.program.text not in pinned]
    races = [each.behaviour for each in runner.race(wanted, done) if each is not None]
    struck = runner.fault(_tried_reached(walk, pinned) if pinned.faults else [], done)
    return Recording(pinned.subject, behaviours, races, struck)


def _check_stepped(name: str, races: Sequence[RaceBehaviour]) -> None:
    """A service of which no step is seen has not been looked at.

    Raises:
        SubjectError: none of ``races`` took a step at the gate.
    """
    if races and all(race.explored.mode == "orders" for race in races):
        raise SubjectError(
            f"{name}: none of {len(races)} programs took a step at the gate, so nothing can be put in order. Build the "
            "service's client with world.redis(); if it keeps nothing in Redis, leave the race lens out with --no-race."
        )


def otherwise(settings: Settings) -> Settings:
    """The settings of the second recording: another seed, and so another epoch, order and hash seed; other workers."""
    return replace(settings, seed=settings.seed.fork("A/A"), workers=settings.workers + 1)


def record(
    place: Place, settings: Settings, done: Progress, pools: tuple[Pool | None, Pool | None] = (None, None)
) -> Recording:
    """A recording made twice (A/A), the second time otherwise. ``pools`` are workers for the one and the other.

    Raises:
        NotDeterministicError: the two differ. The message names the field.
    """
    with runners(settings, place, pool=pools[0]) as runner:
        first = explore(place, runner, done, races=settings.races, faults=settings.faults)
    with runners(otherwise(settings), place, pool=pools[1]) as runner:
        second = explore(place, runner, done, races=settings.races, faults=settings.faults)
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
    _check_same_races(first, second)
    _check_same_faults(first, second)
    _check_same_laws(first, second)
    for one, two in zip(first, second, strict=True):
        if (one.outcome.before, one.outcome.after) != (two.outcome.before, two.outcome.after):
            raise NotDeterministicError(
                f"{first.subject} is not deterministic: `{one.program.text}` shows the same twice, but leads to another "
                "state: something that no effect shows varies from run to run."
            )


def _check_same_races(first: Recording, second: Recording) -> None:
    for text in sorted({*first.races, *second.races}, key=lambda text: (len(text), text)):
        if first.races.get(text) != second.races.get(text):
            raise NotDeterministicError(
                f"{first.subject} is not deterministic: two recordings of `{text}` differ in what its schedules lead to. "
                "What is read from a clock, drawn by chance, or ordered by a set must come from the world."
            )


def _check_same_faults(first: Recording, second: Recording) -> None:
    for text in sorted({*first.faults, *second.faults}, key=lambda text: (len(text), text)):
        one, two = first.faults.get(text), second.faults.get(text)
        if one != two:
            raise NotDeterministicError(
                f"{first.subject} is not deterministic: two recordings of `{text}` differ in what a fault leads to.\n"
                f"    once   {_ended(one)}\n    again  {_ended(two)}\n"
                "How long it waits before it tries again, and what it draws by chance, must come from the world."
            )


def _ended(fault: FaultBehaviour | None) -> str:
    return "not there" if fault is None else "; ".join((fault.sentence, fault.answer, *fault.effects, *fault.left))


def _check_same_laws(first: Recording, second: Recording) -> None:
    one, two = cells_of(first.laws or ()), cells_of(second.laws or ())
    for cell in sorted({*one, *two}):
        if one.get(cell) != two.get(cell):
            raise NotDeterministicError(
                f"{first.subject}: the law `{cell[0]}` is judged otherwise by the {cell[1]} lens when everything is run "
                "again. It must depend on the run alone, and name things in an order that sets do not have: "
                f"`sorted(...)`.\n    once   {_said(one.get(cell))}\n    again  {_said(two.get(cell))}"
            )


def _said(finding: LawFinding | None) -> str:
    if finding is None or finding.witness is None:
        return "not run" if finding is None else finding.verdict
    return f"{finding.verdict}, {finding.broken} times: {finding.witness.said}   ({finding.witness.program})"


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
    """A second look: what was seen, what of the pinned could not be run and why, and what became of lost witnesses.

    ``endless`` says why the space could not be walked.
    """

    recording: Recording
    unrun: tuple[tuple[str, str], ...] = ()
    lost: Mapping[tuple[str, str], str] = field(default_factory=dict)
    endless: str = ""


def look_again(place: Place, pinned: Recording, runner: Runner, settings: Settings, done: Progress) -> Look:
    """Run everything that is pinned, and everything else that can be reached now.

    A program whose operation or argument is no longer there is *gone*. What is pinned is run whether or not a walk would
    reach it still, so that a change is seen in the very program that was approved. Through the race lens it is looked at
    if something was pinned of that, or nothing was pinned at all.
    """
    endless, seen, wanted, tried = "", {}, _races_pinned(place, pinned), _tried_pinned(place, pinned)
    try:
        walk = walked(place, runner, done)
        seen = {each.program.text: each for each in walk.behaviours.values()}
        if pinned.races or not len(pinned):
            wanted += _races_reached(walk, pinned)
        if pinned.faults or not len(pinned):
            tried += _tried_reached(walk, pinned)
    except EndlessStatesError as error:
        endless = str(error)
    behaviours = _with_pinned(place, pinned, seen, runner, done)
    struck = _struck(pinned, tried, runner, settings, done)
    look = replace(_raced(pinned, behaviours, wanted, struck, runner, settings, done), endless=endless)
    return _lawful(place, pinned, runner, look)


def look_at_pinned(place: Place, pinned: Recording, runner: Runner, settings: Settings, done: Progress) -> Look:
    """Run what is pinned and nothing else; of operations at once the orders and the witnesses: for a Redis that is slow."""
    behaviours = _with_pinned(place, pinned, {}, runner, done)
    wanted = [replace(each, only_witnesses=True) for each in _races_pinned(place, pinned)]
    struck = _struck(pinned, _tried_pinned(place, pinned, only_pinned=True), runner, settings, done)
    return _lawful(place, pinned, runner, _raced(pinned, behaviours, wanted, struck, runner, settings, done))


def _with_pinned(
    place: Place, pinned: Recording, seen: Mapping[str, Behaviour], runner: Runner, done: Progress
) -> list[Behaviour]:
    """``seen``, and what those pinned programs show that are not in it."""
    subject = load_subject(place.target, place.folders)
    missing = [each.program for each in pinned if each.program.text not in seen and still_there(subject, each.program)]
    witnesses = _lawless(pinned, "sequence", "time", "random")
    lawless = [parse(text) for text in witnesses if text not in seen and text not in pinned]
    runner.run([program for program in lawless if still_there(subject, program)], done)
    return [
        *seen.values(),
        *(
            Behaviour(subject=pinned.subject, program=program, outcome=outcome)
            for program, outcome in zip(missing, runner.run(missing, done), strict=True)
        ),
    ]


def _races_pinned(place: Place, pinned: Recording) -> list[Raced]:
    subject = load_subject(place.target, place.folders)
    lawless = _lawless(pinned, "race")
    return [
        Raced(each.program, each, lawless=tuple(lawless.get(text, ())))
        for text, each in pinned.races.items() if still_there(subject, each.program)
    ]  # fmt: skip


def with_random(place: Place, settings: Settings, pinned: Recording, seen: Recording, pool: Pool | None) -> Recording:
    """``seen``, and what the programs show now that the random lens has found and that are pinned."""
    subject = load_subject(place.target, place.folders)
    pinned_texts = [each.program.text for each in pinned.random]
    texts = dict.fromkeys([*pinned_texts, *_lawless(pinned, "random")])
    programs = [program for program in map(parse, texts) if still_there(subject, program)]
    if not programs:
        return seen
    with runners(settings, place, pool=pool) as runner:
        shown = dict(zip(programs, runner.run(programs, lambda _: None), strict=True))
        cells = cells_of(each for each in runner.laws if each.lens == "random")
    behaviours = {
        program.text: Behaviour(subject=seen.subject, program=program, outcome=outcome)
        for program, outcome in shown.items() if program.text in pinned_texts
    }  # fmt: skip
    for each in pinned.laws or ():
        now = cells.get((each.law, each.lens))
        same = now is None or Verdict.BROKEN not in (each.verdict, now.verdict) or not _witness_runs(place, each)
        if each.lens == "random" and same:
            cells[each.law, each.lens] = each
    return seen.merged(behaviours, laws=None if seen.laws is None else merged(seen.laws, cells.values()))


def _witness_runs(place: Place, finding: LawFinding) -> bool:
    """Whether the witness of a broken law can still be run: without it nobody knows whether the law was mended."""
    subject = load_subject(place.target, place.folders)
    return finding.witness is None or still_there(subject, finding.program)


def with_left_out(seen: Recording, pinned: Recording, settings: Settings) -> Recording:
    """``seen``, and what is pinned of those lenses that ``settings`` leave out: what was not looked at is not gone."""
    out = [lens for lens, looks in (("race", settings.races), ("fault", settings.faults)) if not looks]
    laws = [each for each in pinned.laws or () if each.lens in out]
    return seen.merged(
        {}, {} if settings.races else pinned.races, {} if settings.faults else pinned.faults,
        None if seen.laws is None else merged(seen.laws, laws),
    )  # fmt: skip


def _lawless(pinned: Recording, *lenses: str) -> dict[str, list[LawWitness]]:
    """The pinned witnesses against laws by program, of some lenses."""
    found: dict[str, list[LawWitness]] = {}
    for each in pinned.laws or ():
        if each.witness is not None and each.lens in lenses:
            found.setdefault(each.witness.program, []).append(each.witness)
    return found


def _lawful(place: Place, pinned: Recording, runner: Runner, look: Look) -> Look:
    """``look``, with what was found of the laws in all that was run for it: it comes last.

    Where nothing of them is pinned there is nothing to hold it against. A lens that has not looked, or looked at some
    programs only and saw the law broken in none, has found nothing new: what is pinned stays.
    """
    found = _judged(runner)
    if pinned.laws is None and (len(pinned) or pinned.races):
        return look
    declared, partly = {each.law for each in found}, {parse(program).lens for program, _ in look.unrun}
    cells = cells_of(found)
    for each in pinned.laws or ():
        now = cells.get((each.law, each.lens))
        partial = each.lens in partly or (each.lens == "random" and each.verdict is not Verdict.BROKEN)
        partial = partial or not _witness_runs(place, each)
        unseen = now is None or (partial and now.verdict is not Verdict.BROKEN)
        if unseen and each.law in declared:
            cells[each.law, each.lens] = each
    return replace(look, recording=look.recording.merged({}, laws=merged(cells.values())))


def _races_reached(walk: Walk, pinned: Recording) -> list[Raced]:
    """What the race lens comes upon now beside what is pinned: new calls, and starts of a kind that is not pinned."""
    subject = type(walk.subject)
    known = {race.kind for race in pinned.races.values()}
    kinds = {program.text: walk.kinds.get(name, "") for name, program in walk.states.items()}
    starts = race.starts_of(subject, walk.states, walk.kinds)
    by_hand = {program.text for program in race.litmus(subject)}  # whose beginnings are no starts
    paired = [each.program for text, each in pinned.races.items() if text not in by_hand]
    pinned_starts = {program.prelude.text: program.prelude for program in paired}
    new = [start for start in starts if kinds[start.text] not in known and start.text not in pinned_starts]
    own = [start for start in pinned_starts.values() if still_there(walk.subject, start)]
    return [Raced(program) for program in race.programs(subject, [*own, *new]) if program.text not in pinned.races]


def _tried_pinned(place: Place, pinned: Recording, *, only_pinned: bool = False) -> list[Tried]:
    """The programs whose faults are pinned, to be struck by whatever may strike them, or by what is pinned alone."""
    subject = load_subject(place.target, place.folders)
    plans: dict[Program, list[FaultPlan]] = {}
    for each in pinned.faults.values():
        if each.program.struck is not None and still_there(subject, each.program):
            plans.setdefault(each.program.healthy, []).append(each.program.struck.plan)
    return [Tried(program, tuple(known) if only_pinned else None) for program, known in plans.items()]


def _tried_reached(walk: Walk, pinned: Recording) -> list[Tried]:
    """What the fault lens comes upon now beside what is pinned: new calls, and starts of a kind that is not pinned."""
    subject = type(walk.subject)
    pinned_starts = {each.program.prelude.text: each.program.prelude for each in pinned.faults.values()}
    known_kinds = {each.kind for each in pinned.faults.values()}
    kinds = {program.text: walk.kinds.get(name, "") for name, program in walk.states.items()}
    starts = fault.starts_of(subject, walk.states, walk.kinds)
    new = [start for start in starts if kinds[start.text] not in known_kinds and start.text not in pinned_starts]
    own = [start for start in pinned_starts.values() if still_there(walk.subject, start)]
    known = {each.program.healthy for each in pinned.faults.values()}
    return [Tried(program) for program in fault.programs(subject, [*own, *new]) if program not in known]


def _struck(
    pinned: Recording, tried: Sequence[Tried], runner: Runner, settings: Settings, done: Progress
) -> list[FaultBehaviour]:
    """What ``tried`` shows; what is left out of it is taken as it is pinned."""
    return runner.fault(tried, done) if settings.faults else list(pinned.faults.values())


def _raced(
    pinned: Recording,
    behaviours: Sequence[Behaviour],
    wanted: Sequence[Raced],
    struck: Sequence[FaultBehaviour],
    runner: Runner,
    settings: Settings,
    done: Progress,
) -> Look:
    """The look that ``behaviours`` and what ``wanted`` shows make; what is left out of it is taken as it is pinned."""
    if not settings.races:
        return Look(recording=Recording(pinned.subject, behaviours, pinned.races.values(), struck))
    sightings = runner.race(wanted, done, settings.seconds_max)
    seen = [each.behaviour for each in sightings if each is not None]
    _check_stepped(pinned.subject, seen)
    why = f"there was no time left for it in the budget of {settings.seconds_max or 0:g} seconds"
    unrun = tuple((raced.program.text, why) for raced, each in zip(wanted, sightings, strict=True) if each is None)
    return Look(
        recording=Recording(pinned.subject, behaviours, seen, struck),
        unrun=unrun,
        lost={
            (each.behaviour.program.text, schedule): why
            for each in sightings if each is not None
            for schedule, why in each.lost.items()
        },
    )  # fmt: skip


def still_there(subject: Subject, program: Program) -> bool:
    """Whether the subject still has every operation, argument and replica that the program names."""
    operations = type(subject).operations()
    try:
        for call in program.calls:
            if call.operation not in operations:
                return False
            if program.at_once is None and not program.mixed and call.replica > type(subject).replicas:
                return False
            operations[call.operation].bind(call)
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
        walks = []
        for place, runner in sides:
            with imported_apart(place.folders):
                walks.append(walked(place, runner, done))
        name = type(walks[1].subject).name
        starts = {start.text: start for walk in walks for start in _race_starts(walk)} if settings.races else {}
        tried = {start.text: start for walk in walks for start in _fault_starts(walk)} if settings.faults else {}
        recordings = []
        for (place, runner), own, other in zip(sides, walks, reversed(walks), strict=True):
            with imported_apart(place.folders):
                completed = _completed(place, runner, name, own, other, list(starts.values()), done)
                recordings.append(_with_faults(place, runner, completed, list(tried.values()), done))
    return recordings[0], recordings[1]


def _fault_starts(walk: Walk) -> list[Program]:
    return fault.starts_of(type(walk.subject), walk.states, walk.kinds)


def _with_faults(
    place: Place, runner: Runner, recording: Recording, starts: Sequence[Program], done: Progress
) -> Recording:
    """``recording`` with what the subject shows when something goes wrong, from those of ``starts`` that it can reach."""
    subject = load_subject(place.target, place.folders)
    possible = [start for start in starts if still_there(subject, start)]
    tried = [Tried(program) for program in fault.programs(type(subject), possible)] if starts else []
    struck = [replace(each, subject=recording.subject) for each in runner.fault(tried, done)]
    return recording.merged({}, {}, {each.program.text: each for each in struck})


def _race_starts(walk: Walk) -> list[Program]:
    return race.starts_of(type(walk.subject), walk.states, walk.kinds)


def _completed(
    place: Place, runner: Runner, name: str, own: Walk, other: Walk, starts: Sequence[Program], done: Progress
) -> Recording:
    """What ``own`` saw, and what the subject shows in the programs that only ``other`` has; under ``name``."""
    subject = load_subject(place.target, place.folders)
    missing = [
        program for program in other.behaviours if program not in own.behaviours and still_there(subject, program)
    ]
    outcomes = {program: each.outcome for program, each in own.behaviours.items()}
    outcomes.update(zip(missing, runner.run(missing, done), strict=True))
    possible = [start for start in starts if still_there(subject, start)]
    wanted = race.programs(type(subject), possible) if starts else []
    sightings = runner.race([Raced(program) for program in wanted], done)
    return Recording(
        name,
        [Behaviour(subject=name, program=p, outcome=o) for p, o in outcomes.items()],
        [replace(each.behaviour, subject=name) for each in sightings if each is not None],
        laws=[replace(each, subject=name) for each in _judged(runner)],
    )
