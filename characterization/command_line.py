"""The command ``holdfast``.

What a command does is done elsewhere; here it is asked for, shown, and turned into an exit code.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from characterization import deciding, reporting
from characterization.baseline import Baseline, Baselines, differing
from characterization.behaviour import Behaviour, Ending, FaultBehaviour, RaceBehaviour, RaceOutcome, Recording
from characterization.comparing import Comparison, Kind, compare
from characterization.comparing_faults import FaultGroup, Turn
from characterization.comparing_laws import LawChange
from characterization.comparing_races import RaceGroup
from characterization.draws import Table
from characterization.errors import ExitCode, HoldfastError, NothingSelectedError, ProgramError, SubjectError
from characterization.explaining import explain as explain_program
from characterization.explaining import explain_fault
from characterization.finding import Project, find_project, load_subject
from characterization.hunt_results import broken_in, found_text, recording_of
from characterization.hunting import HUNTS, Hunt, Limits, Memory, memory_path, only_hunt
from characterization.laws import Findings, Judge, LawFinding
from characterization.lenses.race import replicas_of
from characterization.lenses.runner import Place, Tried, local_runner
from characterization.likeness import known_in
from characterization.machine import again, name_of
from characterization.performing import Performer
from characterization.program import AtOnce, Call, Move, Program, parse
from characterization.racing import Contest, Race
from characterization.recording import (
    Look,
    Pool,
    Settings,
    explore_both,
    look_again,
    look_at_pinned,
    otherwise,
    runners,
    still_there,
    with_left_out,
    with_random,
    workers_for,
)
from characterization.recording import record as record_twice
from characterization.revision import worktree
from characterization.servers import RedisChoice, redis_choice
from characterization.subject import Subject
from characterization.unfolding import SEED
from simulator.errors import WorldError
from simulator.schedule import Schedule
from simulator.seed import Seed
from simulator.world import World

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What every command is given: the project, where baselines are, how to look, and how to speak."""

    project: Project
    baselines: Baselines
    settings: Settings
    redis: str
    as_json: bool
    results: list[object] = field(default_factory=list)

    def place(self, target: str, folder: Path | None = None) -> Place:
        """Where workers find a subject: from here or from the project's folder, or in another one."""
        folders = (str(Path.cwd()), str(self.project.folder)) if folder is None else (str(folder),)
        return Place(target=target, folders=tuple(dict.fromkeys(folders)))

    def target(self, name: str) -> str:
        """``module:Class`` for a subject's name: as the project has it, or as it was recorded under that name.

        Raises:
            SubjectError: it is not known.
        """
        try:
            return self.project.target(name)
        except SubjectError:
            for source in (self.baselines, deciding.pending_of(self.project)):
                recorded = source.provenance(name).get("target")
                if recorded is not None:
                    return str(recorded)
            raise

    def selected(self, names: Sequence[str]) -> dict[str, str]:
        """``module:Class`` by the name it was asked for; without names, every subject of the project.

        Raises:
            SubjectError: one of them is not known.
            NothingSelectedError: no names were given, and the project has no subjects.
        """
        return {name: self.target(name) for name in self.project.selected(names)}

    def say(self, text: str) -> None:
        """Show text, unless JSON was asked for."""
        if not self.as_json:
            click.echo(text)

    def answer(self, value: object) -> None:
        """Show JSON, where it was asked for."""
        if self.as_json:
            click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command has."""
    decorators = [
        click.option("--baselines", "folder", type=click.Path(path_type=Path), help="Another folder of baselines."),
        click.option("--seed", type=int, default=SEED, show_default=True, help="From which everything random is drawn."),
        click.option("--workers", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes; as many as cores."),
        click.option("--redis", default="fake", show_default=True, metavar="fake|server|URL",
                     help="fakeredis, a real server that is started and ended here, or an empty database of yours."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON for programs to read."),
    ]  # fmt: skip
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def _looking(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of those commands that look through the lenses."""
    decorators = [
        click.option("--no-race", is_flag=True, help="Leave the race lens out: a quick look at what is in order."),
        click.option("--no-fault", is_flag=True, help="Leave the fault lens out: a look at what happens if all goes well."),
        click.option("--budget", type=click.FloatRange(0), metavar="SECONDS",
                     help="How long the race lens may take for one SUBJECT; what is not run by then is named."),
    ]  # fmt: skip
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def _session(
    folder: Path | None,
    seed: int,
    workers: int,
    redis: str,
    *,
    as_json: bool,
    no_race: bool = False,
    no_fault: bool = False,
    budget: float | None = None,
) -> Session:
    project = find_project(Path.cwd())
    return Session(
        project=project,
        baselines=Baselines(folder if folder is not None else project.baselines),
        settings=Settings(seed=Seed(seed), workers=workers, races=not no_race, faults=not no_fault, seconds_max=budget),
        redis=redis,
        as_json=as_json,
    )


def _shown_address(asked: str) -> str:
    """Where Redis is, without a password."""
    return re.sub(r"(?<=://)([^/@]*:)?[^/@]+@", lambda match: f"{match[1] or ''}***@", asked)


@contextmanager
def _progress(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while something runs; none where nobody looks."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


class _InOrder(click.Group):
    """Lists commands as they are used: record, check, ..."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="holdfast", message="holdfast %(version)s")
def holdfast() -> None:
    """Pin down what a stateful, Redis-backed service does today; say tomorrow what has changed.

    A SUBJECT is a name from [tool.holdfast.subjects] in pyproject.toml (or the beginning of several: `relay`), or
    module:Class.
    """


@holdfast.command()
@click.argument("subjects", nargs=-1)
@click.option("--no-race", is_flag=True, help="Leave the race lens out.")
@click.option("--no-fault", is_flag=True, help="Leave the fault lens out.")
@_options
def record(subjects: tuple[str, ...], **options: Any) -> int:
    """Look at SUBJECTs twice, and keep what was seen: as the first baseline, or pending a decision.

    With --redis server or a URL, what is pinned already is run there, and where that Redis shows something else, this is
    pinned beside it.
    """
    session = _session(**options)
    session.say(
        f"seed {session.settings.seed.number}, {session.settings.workers} workers, redis {_shown_address(session.redis)}"
    )
    places = {name: session.place(target) for name, target in session.selected(subjects).items()}
    if session.redis != "fake":
        codes = [_record_elsewhere(session, place) for place in places.values()]
    else:
        shared = [] if session.settings.workers == 1 else [session.settings, otherwise(session.settings)]
        with ExitStack() as stack:
            # Not where one recording is made in this process: its virtual time would hold for the pool's threads, too.
            first, second = [stack.enter_context(workers_for(each)) for each in shared] or (None, None)
            codes = [_record_here(session, name, place, (first, second)) for name, place in places.items()]
    session.answer(session.results)
    return _gravest(codes)


def _record_here(session: Session, name: str, place: Place, pools: tuple[Pool | None, Pool | None]) -> ExitCode:
    with session.baselines.writing(), _progress(f"record {name}") as done:
        recording = record_twice(place, session.settings, done, pools)
        about = deciding.provenance(place.target, "fakeredis", session.settings.seed.number)
        if not session.baselines.exists(recording.subject):
            session.baselines.write(recording.subject, Baseline(recording=recording), about)
            session.say(reporting.terminal().recording(recording))
            session.say(f"first baseline written to {session.baselines.place(recording.subject)}")
            session.results.append(
                {
                    "subject": recording.subject,
                    "transitions": len(recording),
                    "races": races_json(recording),
                    "laws": [law_json(each) for each in recording.laws or ()],
                    "faults": faults_json(recording),
                    "written": True,
                    "behaviours": [{"id": each.ident, "program": each.program.text} for each in recording],
                }
            )
            return ExitCode.AS_PINNED
    pinned = session.baselines.read(recording.subject).recording
    recording = with_left_out(recording, pinned, session.settings)
    recording = with_random(place, session.settings, pinned, recording, pools[0])
    result = compare(pinned, recording)
    code = _conclude(session, result)
    _leave_for_a_decision(session, result, recording, about)
    return code


def _record_elsewhere(session: Session, place: Place) -> ExitCode:
    subject = type(load_subject(place.target, place.folders)).name
    with session.baselines.writing(), redis_choice(session.redis) as choice:
        baseline = session.baselines.read(subject)
        result, look = _look(session, place, baseline, choice)
        recording = look.recording
        pinned = differing(baseline.recording, recording).merged(*_still_pinned(baseline, choice.flavour, result))
        backends = {**baseline.backends, choice.flavour: pinned}
        about = deciding.provenance(place.target, choice.backend.name, session.settings.seed.number)
        session.baselines.write(subject, Baseline(recording=baseline.recording, backends=backends), about)
    session.say(
        f"{subject} on {choice.backend.name}: {len(pinned)} of {len(recording)} transitions and {len(pinned.races)} of "
        f"{len(recording.races)} races differ; pinned"
    )
    for each in (*pinned, *pinned.races.values()):
        session.say(f"    {each.program.text}")
    _say_unrun(session, result)
    session.results.append(comparison_json(result))
    return ExitCode.INCONCLUSIVE if result.unrun else ExitCode.AS_PINNED


def _still_pinned(
    baseline: Baseline, flavour: str, result: Comparison
) -> tuple[dict[str, Behaviour | None], dict[str, RaceBehaviour | None]]:
    """What was pinned of a Redis before, and could not be run on it this time: that does not unpin it."""
    unrun = {program for program, _ in result.unrun}
    known = baseline.backends.get(flavour, Recording(result.subject, []))
    return (
        {each.program.text: each for each in known if each.program.text in unrun},
        {text: race for text, race in known.races.items() if text in unrun},
    )


@holdfast.command()
@click.argument("subjects", nargs=-1)
@_looking
@_options
def check(subjects: tuple[str, ...], **options: Any) -> int:
    """Look at SUBJECTs again, and compare with their baselines. For CI: writes no tracked file."""
    session = _session(**options)
    codes = []
    session.say(
        f"seed {session.settings.seed.number}, {session.settings.workers} workers, redis {_shown_address(session.redis)}"
    )
    targets = session.selected(subjects).values()
    with redis_choice(session.redis) as choice, _pool_for(session, choice) as pool:
        for place in map(session.place, targets):
            subject = type(load_subject(place.target, place.folders)).name
            baseline = session.baselines.read(subject)
            result, look = _look(session, place, baseline, choice, pool)
            code = _conclude(session, result)
            codes.append(ExitCode.INCONCLUSIVE if look.endless and code is not ExitCode.CHANGED else code)
            if not choice.real:
                about = deciding.provenance(place.target, choice.backend.name, session.settings.seed.number)
                _leave_for_a_decision(session, result, _with_unrun(look.recording, baseline, result), about)
            elif result.different:  # what another Redis shows is never promoted in place of the baseline
                session.say("    `holdfast record` with the same --redis pins what it shows, beside the baseline")
    session.answer(session.results)
    return _gravest(codes)


def _pool_for(session: Session, choice: RedisChoice) -> AbstractContextManager[Pool | None]:
    return nullcontext() if choice.real else workers_for(session.settings)


def _look(
    session: Session, place: Place, baseline: Baseline, choice: RedisChoice, pool: Pool | None = None
) -> tuple[Comparison, Look]:
    pinned = baseline.on(choice.flavour)
    unrun: tuple[tuple[str, str], ...] = ()
    if not choice.has_clock:
        moved = [each.program.text for each in pinned if each.program.lens == "time"]
        unrun = tuple(
            (program, f"{choice.backend.name} has no clock that can be moved: {choice.why}") for program in moved
        )
        pinned = pinned.merged(dict.fromkeys(moved))
    total = len(pinned) + (len(pinned.races) if session.settings.races else 0)
    total += len({each.program.healthy for each in pinned.faults.values()}) if session.settings.faults else 0
    with (
        _progress(f"check {pinned.subject}", total) as done,
        runners(session.settings, place, choice.backend if choice.real else None, pool) as runner,
    ):
        again = look_at_pinned if choice.real else look_again
        look = again(place, pinned, runner, session.settings, done)
    if look.endless:
        session.say(look.endless)
    if pinned.races and not session.settings.races:
        session.say(f"{pinned.subject}: {len(pinned.races)} programs of the race lens were left out")
    declared = type(load_subject(place.target, place.folders)).laws()
    if pinned.laws is None and declared:
        session.say(f"{pinned.subject}: nothing is pinned of its {len(declared)} laws; `holdfast record` judges them")
    if pinned.faults and not session.settings.faults:
        session.say(f"{pinned.subject}: {len(pinned.faults)} programs of the fault lens were left out")
    result = compare(pinned, look.recording, (*unrun, *look.unrun), look.lost)
    settings = session.settings
    # What was left out is not as pinned.
    raced, faulted = result.raced * settings.races, result.faulted * settings.faults
    return replace(result, raced=raced, faulted=faulted), look


def _with_unrun(seen: Recording, baseline: Baseline, result: Comparison) -> Recording:
    """``seen``, and those pinned races that were not run this time: accepting what was shown does not unpin them."""
    races = baseline.recording.races
    return seen.merged({}, {program: races[program] for program, _ in result.unrun if program in races})


def _leave_for_a_decision(session: Session, result: Comparison, recording: Recording, about: dict[str, object]) -> None:
    hunted = deciding.hunted(session.project, recording)
    if result.different:
        deciding.keep_pending(session.project, recording, about)
        session.say(f"    accept with `holdfast accept {result.subject}`, or by the names above")
    else:
        deciding.forget_pending(session.project, recording.subject)
    if hunted:
        again_line = f"`holdfast hunt {result.subject} --programs 0` runs them again, and leaves them anew"
        session.say(f"    {hunted} programs that a hunt had left for a decision are no longer pending: {again_line}")


def _conclude(session: Session, result: Comparison) -> ExitCode:
    session.say(reporting.terminal().comparison(result, colour=sys.stdout.isatty()))
    session.results.append(comparison_json(result))
    if result.changed:
        return ExitCode.CHANGED
    if result.groups:
        return ExitCode.COST_ONLY
    return ExitCode.INCONCLUSIVE if result.unrun else ExitCode.AS_PINNED


def _say_unrun(session: Session, result: Comparison) -> None:
    if result.unrun:
        session.say(f"    {len(result.unrun)} could not be run there: {result.unrun[0][1]}")


def _gravest(codes: Sequence[ExitCode]) -> ExitCode:
    order = [ExitCode.CHANGED, ExitCode.COST_ONLY, ExitCode.INCONCLUSIVE, ExitCode.AS_PINNED]
    return min(codes, key=order.index)


def races_json(recording: Recording) -> dict[str, object]:
    """What the race lens saw of a subject, in numbers."""
    races = recording.races.values()
    return {
        "programs": len(races),
        "complete": sum(race.explored.complete for race in races),
        "classes": sum(race.explored.classes for race in races),
        "outcomes": sum(race.outcomes for race in races),
        "anomalies": sum(len(race.anomalies) for race in races),
    }


def faults_json(recording: Recording) -> dict[str, object]:
    """What the fault lens saw of a subject, in numbers."""
    faults = recording.faults.values()
    endings = {ending.value: sum(fault.ending is ending for fault in faults) for ending in Ending}
    return {"programs": len(faults), **endings}


def fault_json(fault: FaultBehaviour | None) -> dict[str, object] | None:
    """A call that something goes wrong in, as JSON."""
    if fault is None:
        return None
    return {
        "id": fault.ident, "program": fault.program.text, "state": fault.kind, "step": fault.step,
        "sentence": fault.sentence, "ending": fault.ending, "told": fault.told, "done": fault.done,
        "in doubt": fault.in_doubt, "answer": fault.answer, "effects": fault.effects, "events": fault.events,
        "left": fault.left, "why": fault.why,
    }  # fmt: skip


def _fault_group_json(group: FaultGroup) -> dict[str, object]:
    return {
        "kind": group.kind.value,
        "turn": group.turn.value,
        "follows": group.follows,
        "operation": group.operation,
        "faults": group.faults,
        "behaviours": [{"before": fault_json(change.old), "after": fault_json(change.new)} for change in group.changes],
    }


def comparison_json(result: Comparison) -> dict[str, object]:
    """A comparison as JSON: its counts, and every group with the programs that show it."""
    return {
        "subject": result.subject,
        "compared": result.compared,
        "hunted": result.hunted,
        "raced": result.raced,
        "counts": {kind.value: result.count(kind) for kind in Kind},
        "unrun": [{"program": program, "why": why} for program, why in result.unrun],
        "groups": [
            {
                "kind": group.kind.value,
                "follows": group.follows,
                "operations": group.operations,
                "states": group.kinds,
                "differences": [{"old": each.old, "new": each.new} for each in group.differences],
                "behaviours": [{"id": c.behaviour.ident, "program": c.program.text} for c in group.changes],
            }
            for group in result.groups
        ],
        "races": [_race_group_json(group) for group in result.race_groups],
        "laws": [_law_change_json(change) for change in result.law_changes],
        "faulted": result.faulted,
        "turns": {turn.value: sum(each.turn is turn for each in result.fault_changes) for turn in Turn},
        "faults": [_fault_group_json(group) for group in result.fault_groups],
    }


def _race_group_json(group: RaceGroup) -> dict[str, object]:
    return {
        "kind": group.kind.value,
        "follows": group.follows,
        "operation": group.operation,
        "between": group.others,
        "split": group.split,
        "behaviours": [
            {"id": change.behaviour.ident, "program": change.program.text, "why": change.why,
             "before": _outcome_json(change.before), "after": _outcome_json(change.after)}
            for change in group.changes
        ],
    }  # fmt: skip


def _law_change_json(change: LawChange) -> dict[str, object]:
    sides = {"before": change.before, "after": change.after}
    return {"kind": change.kind.value, "id": change.behaviour.ident} | {
        side: None if finding is None else law_json(finding) for side, finding in sides.items()
    }


def law_json(finding: LawFinding) -> dict[str, object]:
    """One cell of the law matrix as JSON, with the line that runs its witness again."""
    witness = None if finding.witness is None else asdict(finding.witness)
    return {
        "law": finding.law, "lens": finding.lens, "verdict": finding.verdict.value, "reason": finding.reason,
        "holds": finding.holds, "broken": finding.broken, "undecided": finding.undecided, "witness": witness,
    }  # fmt: skip


def _outcome_json(outcome: RaceOutcome | None) -> dict[str, object] | None:
    if outcome is None:
        return None
    raced = outcome.interruption
    return {**asdict(outcome), "sentence": "" if raced is None else raced.sentence}


@holdfast.command("compare")
@click.argument("subjects", nargs=-1, required=True)
@click.option("--base", metavar="REV", help="Compare the code at this git revision with the working tree.")
@click.option("--no-race", is_flag=True, help="Leave the race lens out.")
@click.option("--no-fault", is_flag=True, help="Leave the fault lens out.")
@_options
def compare_command(subjects: tuple[str, ...], base: str | None, **options: Any) -> int:
    """Compare two implementations, OLD and NEW, or with --base the SUBJECTs at a git revision and now."""
    session = _session(**options)
    if base is None:
        if len(subjects) != 2:
            raise click.UsageError("name two subjects, `holdfast compare OLD NEW`, or a revision with --base")
        old, new = (session.place(session.target(name)) for name in subjects)
        code = _compare_places(session, old, new)
        session.answer(session.results)
        return code
    codes = []
    with worktree(session.project.folder, base) as folder:
        targets = session.selected(subjects).values()
        codes += [_compare_places(session, session.place(target, folder), session.place(target)) for target in targets]
    session.answer(session.results)
    return _gravest(codes)


def _compare_places(session: Session, old: Place, new: Place) -> ExitCode:
    # In worker processes even if it is one: two versions of a package do not fit into this process.
    settings = replace(session.settings, workers=max(2, session.settings.workers))
    with _progress(f"compare {old.target} {new.target}") as done:
        first, second = explore_both(old, new, settings, done)
    return _conclude(session, compare(first, second))


@holdfast.command()
@click.argument("ident")
@click.option(
    "--svg", metavar="FILE", type=_FILE, help="Of what happens at once, write the lanes there, as one SVG file."
)
@_options
def explain(ident: str, svg: Path | None, **options: Any) -> int:
    """Show one behaviour, by its ID or by SUBJECT and program: every command, every reply, every effect.

    Of what happens at once: a lane for each client, and the accesses that raced.
    """
    session = _session(**options)
    place, program, name = _located(session, ident)
    if program.at_once is not None:
        races = _raced(session, place, [program], None)
        _draw(session, races, svg)
        session.answer([asdict(race) for race in races])
        return ExitCode.AS_PINNED
    if program.struck is not None:
        return _explain_fault(session, place, program, name)
    if svg is not None:
        raise click.UsageError("--svg draws what happens at once; the state graph is `holdfast graph --svg`")
    with redis_choice(session.redis) as choice, World(session.settings.seed, choice.backend) as world:
        performer = Performer(load_subject(place.target, place.folders), world)
        explanation = explain_program(performer, program, name)
    session.say(reporting.terminal().explanation(explanation))
    session.answer({
        "id": name, "program": program.text, "seed": explanation.seed, "backend": explanation.backend,
        "parts": [
            {"part": part.text, "answer": part.outcome.answer, "effects": part.outcome.effects,
             "events": part.outcome.events,
             "steps": [{"lane": s.lane, "commands": s.commands, "replies": s.replies} for s in part.steps]}
            for part in explanation.parts
        ],
    })  # fmt: skip
    return ExitCode.AS_PINNED


def _explain_fault(session: Session, place: Place, program: Program, name: str) -> int:
    subject = load_subject(place.target, place.folders)
    with redis_choice(session.redis) as choice, World(session.settings.seed, choice.backend) as world:
        performer = Performer(subject, world, replicas_of(type(subject), program))
        explanation = explain_fault(performer, program, name)
    _check_struck(explanation.behaviour)
    session.say(reporting.terminal().fault(explanation))
    session.answer({**(fault_json(explanation.behaviour) or {}), "acts": [asdict(act) for act in explanation.acts]})
    return ExitCode.AS_PINNED


def _check_struck(fault: FaultBehaviour) -> None:
    if fault.ending is Ending.NOT_STRUCK:
        raise ProgramError(f"{fault.subject}, in `{fault.program.text}`: {fault.why}")


def _raced(session: Session, place: Place, programs: Sequence[Program], schedules_max: int | None) -> list[Race]:
    """Each of ``programs``, which end at once, explored here and told."""
    races = []
    subject = load_subject(place.target, place.folders)
    with redis_choice(session.redis) as choice, World(session.settings.seed, choice.backend) as world:
        for program in programs:
            performer = Performer(subject, world, replicas_of(type(subject), program))
            races.append(Contest(performer, program, schedules_max or type(subject).bounds.schedules).explore())
    for race in races:
        session.say(reporting.terminal().race(race, colour=sys.stdout.isatty()))
    return races


def _draw(session: Session, races: Sequence[Race], svg: Path | None) -> None:
    if svg is not None:
        if len(races) != 1:
            raise click.UsageError(f"--svg draws one program, and these are {len(races)}: spell out both calls")
        _write(svg, reporting.lanes().svg(races[0]))
        session.say(f"written to {svg}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HoldfastError(f"{path} cannot be written: {error.strerror}") from error


@holdfast.command()
@click.argument("ident")
@click.option("--schedule", metavar="SCHEDULE", help="Of what happens at once, this one, as it was printed: '1 2*2 1'.")
@_options
def replay(ident: str, schedule: str | None, **options: Any) -> int:
    """Run one behaviour again, by its ID or by SUBJECT and program, and say whether it is as pinned."""
    session = _session(**options)
    place, program, name = _located(session, ident)
    if program.at_once is not None:
        return _replay_race(session, place, program, schedule)
    if schedule is not None:
        raise click.UsageError(f"`{program.text}` has one schedule only: nothing in it happens at once")
    if program.struck is not None:
        return _replay_fault(session, place, program)
    subject = load_subject(place.target, place.folders)
    with redis_choice(session.redis) as choice, local_runner(subject, session.settings.seed, choice.backend) as runner:
        (outcome,) = runner.run([program], lambda _: None)
        broken = [each for each in runner.laws if each.witness is not None]
    seen = Recording(type(subject).name, [Behaviour(subject=type(subject).name, program=program, outcome=outcome)])
    known = session.baselines.exists(seen.subject)
    pinned = session.baselines.read(seen.subject).on(choice.flavour).get(program.text) if known else None
    lines = [f"{name}    seed {session.settings.seed.number}, {choice.backend.name}", f"    {program.text}",
             f"    answer   {outcome.answer}", *(f"    effect   {line}" for line in outcome.effects),
             *(f"    event    {line}" for line in outcome.events), *map(_broken_line, broken)]  # fmt: skip
    session.say("\n".join(lines))
    shown = {"id": name, "program": program.text, "answer": outcome.answer, "effects": outcome.effects,
             "events": outcome.events, "laws": [law_json(each) for each in broken]}  # fmt: skip
    if pinned is None:
        session.say("not pinned: there is no such program in the baseline")
        session.answer({**shown, "compared": None})
        return ExitCode.AS_PINNED
    result = compare(Recording(seen.subject, [pinned]), seen)
    session.say(reporting.terminal().comparison(result))
    session.answer({**shown, "compared": comparison_json(result)})
    return ExitCode.CHANGED if result.changed else ExitCode.AS_PINNED


def _broken_line(finding: LawFinding) -> str:
    assert finding.witness is not None, "what is broken has a witness"
    return f"    law      BROKEN: {finding.sentence}: {finding.witness.said}"


def _replay_race(session: Session, place: Place, program: Program, schedule: str | None) -> int:
    """One schedule, to the letter; or without one, the orders and every pinned witness."""
    subject = load_subject(place.target, place.folders)
    name = type(subject).name
    known = session.baselines.exists(name)
    with redis_choice(session.redis) as choice, World(session.settings.seed, choice.backend) as world:
        pinned = session.baselines.read(name).on(choice.flavour).races.get(program.text) if known else None
        judge = Judge(subject)
        contest = Contest(Performer(subject, world, replicas_of(type(subject), program), judge), program)
        if schedule is not None:
            race = contest.again(_schedule(schedule))
        else:
            sighting = contest.sighting(_needed(pinned, name, program), only_witnesses=True)
    if schedule is not None:
        session.say(reporting.terminal().race(race, colour=sys.stdout.isatty()))
        for each in (each for each in judge.findings if each.witness is not None):
            session.say(_broken_line(each))
        session.say(_as_pinned(race.outcomes[0], pinned))
        session.answer(asdict(race))
        anomalies = {each.seen for each in pinned.anomalies} if pinned is not None else set()
        (outcome,) = race.outcomes
        other = pinned is not None and not outcome.serial and outcome.seen not in anomalies
        return ExitCode.CHANGED if other else ExitCode.AS_PINNED
    assert pinned is not None, "what is not pinned was refused"
    lost = {(program.text, witness): why for witness, why in sighting.lost.items()}
    result = compare(Recording(name, [], [pinned]), Recording(name, [], [sighting.behaviour]), (), lost)
    session.say(reporting.terminal().comparison(result))
    session.answer(comparison_json(result))
    return ExitCode.CHANGED if result.changed else ExitCode.AS_PINNED


def _replay_fault(session: Session, place: Place, program: Program) -> int:
    """A call that something goes wrong in, once more, held against what is pinned of it."""
    assert program.struck is not None, "something goes wrong in the program"
    subject = load_subject(place.target, place.folders)
    name, tried = type(subject).name, Tried(program.healthy, (program.struck.plan,))
    with redis_choice(session.redis) as choice, local_runner(subject, session.settings.seed, choice.backend) as runner:
        (seen,) = runner.fault([tried], lambda _: None)
    known = session.baselines.exists(name)
    pinned = session.baselines.read(name).on(choice.flavour).faults.get(program.text) if known else None
    if pinned is None:
        _check_struck(seen)
    session.say(reporting.terminal().struck(seen))
    if pinned is None:
        session.say("not pinned: there is no such program in the baseline")
        session.answer({**(fault_json(seen) or {}), "compared": None})
        return ExitCode.AS_PINNED
    result = compare(Recording(name, [], (), [pinned]), Recording(name, [], (), [seen]))
    session.say(reporting.terminal().comparison(result))
    session.answer({**(fault_json(seen) or {}), "compared": comparison_json(result)})
    return ExitCode.CHANGED if result.changed else ExitCode.AS_PINNED


def _needed(pinned: RaceBehaviour | None, name: str, program: Program) -> RaceBehaviour:
    if pinned is None:
        raise NothingSelectedError(
            f"`{program.text}` is not pinned for {name}: name a schedule with --schedule, or see all outcomes with "
            f"`holdfast explain '{name}: {program.text}'`"
        )
    return pinned


def _as_pinned(outcome: RaceOutcome, pinned: RaceBehaviour | None) -> str:
    """Whether the outcome of one schedule is one that is pinned."""
    if pinned is None:
        return "not pinned: there is no such program in the baseline"
    if outcome.serial:
        return "some order has this outcome too"
    known = any(each.seen == outcome.seen for each in pinned.anomalies)
    return "as pinned: this anomaly is in the baseline" if known else "NOT PINNED: this anomaly is not in the baseline"


def _located(session: Session, ident: str) -> tuple[Place, Program, str]:
    """A behaviour by its ID, from what is pending or pinned; or by ``SUBJECT: program``."""
    subject, colon, spelled = ident.partition(": ")
    if colon:
        program = parse(spelled)
        if not program.parts:
            raise click.UsageError(
                "the program is empty: name a subject and a program, 'relay.store: save s1 ; get s1'"
            )
        place = session.place(session.target(subject))
        name = type(load_subject(place.target, place.folders)).name
        return place, program, f"{name}: {program.text}"
    subject = ident.partition("/")[0]
    for source in (deciding.pending_of(session.project), session.baselines):
        if source.exists(subject):
            recording = source.read(subject).recording
            for behaviour in (*recording, *recording.races.values(), *recording.faults.values()):
                if behaviour.ident == ident:
                    return session.place(session.target(subject)), behaviour.program, ident
    raise NothingSelectedError(
        f"there is no behaviour called {ident} in {session.baselines.folder}: `holdfast check` and `holdfast graph` show "
        "their names; or spell a program, `holdfast explain 'SUBJECT: save s1 ; get s1'`"
    )


@holdfast.command("explore")
@click.argument("subject")
@click.argument("calls", nargs=-1, required=True, metavar="CALL CALL...")
@click.option("--from", "prelude", default="", metavar="PROGRAM", help="What is done first: 'save s1 ; get s1'.")
@click.option(
    "--replicas", type=click.IntRange(1), default=1, show_default=True, help="Spread the calls over processes."
)
@click.option("--schedules", type=click.IntRange(1), metavar="N", help="How many schedules are run at most.")
@click.option("--svg", metavar="FILE", type=_FILE, help="Write the lanes there, as one SVG file.")
@_options
def explore_command(
    subject: str,
    calls: tuple[str, ...],
    prelude: str,
    replicas: int,
    schedules: int | None,
    svg: Path | None,
    **options: Any,
) -> int:
    """Run CALLs at once, in every interleaving: their outcomes, and which of them no order of the same calls explains.

    A CALL is spelled as in a program, `'increment_relay_count s1 5'`, or is the name of an operation: then every
    call of it is tried. `'clock +7200s'` lets the clock move meanwhile.
    """
    session = _session(**options)
    place = session.place(session.target(subject))
    loaded = load_subject(place.target, place.folders)
    programs = [parse(prelude).then(each) for each in _at_once(loaded, calls, replicas)]
    session.say(f"seed {session.settings.seed.number}, redis {_shown_address(session.redis)}")
    races = _raced(session, place, programs, schedules)
    _draw(session, races, svg)
    session.answer([asdict(race) for race in races])
    return ExitCode.AS_PINNED


def _at_once(subject: Subject, spelled: Sequence[str], replicas: int) -> list[AtOnce]:
    """What to run at once: for each of ``spelled`` the call, or every call of the operation, the n-th on replica n."""
    moves = [
        part.seconds
        for text in spelled
        if text.startswith("clock ")
        for part in parse(text).parts
        if isinstance(part, Move)
    ]
    named = [text for text in spelled if not text.startswith("clock ")]
    if len(named) + len(moves) < 2 or not named:
        raise click.UsageError("name two calls or more: `holdfast explore SUBJECT 'get s1' 'save s1'`")
    choices = [_calls_of(subject, text, place % replicas + 1) for place, text in enumerate(named)]
    return [
        AtOnce(clients=tuple((call,) for call in calls), moves=tuple(moves)) for calls in itertools.product(*choices)
    ]


def _calls_of(subject: Subject, text: str, replica: int) -> list[Call]:
    operations = type(subject).operations()
    if text in operations and operations[text].arguments:
        return list(operations[text].calls(replica))
    part = next(iter(parse(text).parts), None)
    if not isinstance(part, Call):
        raise click.UsageError(f"`{text}` is not a call: they are spelled as in a program, 'save s1'")
    type(subject).operation(part.operation).bind(part)
    return [replace(part, replica=max(part.replica, replica))]


def _schedule(text: str) -> Schedule:
    try:
        return Schedule.parse(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@holdfast.command()
@click.argument("subject")
@click.option(
    "--against",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Mark what was added and removed since these baselines.",
)
@click.option(
    "--svg",
    metavar="FILE",
    type=_FILE,
    help="Write the picture there, as one SVG file.",
)
@_options
def graph(subject: str, against: Path | None, svg: Path | None, **options: Any) -> int:
    """Show the state graph of a SUBJECT's baseline (of what is pending, if that is all there is), as text and picture."""
    session = _session(**options)
    name = _subject_name(session, subject)
    pending = deciding.pending_of(session.project)
    source = pending if pending.exists(name) and not session.baselines.exists(name) else session.baselines
    read = source.read(name).recording
    recording = Recording(read.subject, read.graph)  # what the random lens has found is no part of it
    older = Recording(name, Baselines(against).read(name).recording.graph) if against is not None else None
    if svg is not None:
        _write(svg, reporting.graph().svg(recording, against=older))
        session.say(f"written to {svg}")
    else:
        session.say(reporting.graph().text(recording, against=older))
    session.answer([
        {"id": each.ident, "program": each.program.text, "before": each.outcome.before, "after": each.outcome.after,
         "answer": each.outcome.answer, "effects": each.outcome.effects, "events": each.outcome.events}
        for each in recording
    ])  # fmt: skip
    return ExitCode.AS_PINNED


@holdfast.command("laws")
@click.argument("subjects", nargs=-1)
@click.option("--markdown", is_flag=True, help="As tables in Markdown.")
@click.option("--into", metavar="FILE", type=_FILE, help="Put the Markdown between the marks in FILE.")
@_options
def laws_command(subjects: tuple[str, ...], markdown: bool, into: Path | None, **options: Any) -> int:  # noqa: FBT001 - click's
    """Show what is pinned of SUBJECTs' laws: a row for each law, a column for each lens, the shortest witness where broken.

    Nothing is run. FILE has two lines of its own, `<!-- holdfast laws -->` and `<!-- end of holdfast laws -->`.
    """
    session = _session(**options)
    found: dict[str, Findings | None] = {}
    for name in session.selected(subjects):
        subject = _subject_name(session, name)
        found[subject] = session.baselines.read(subject).recording.laws
    if into is not None:
        _write(into, reporting.laws().placed(_read(into), found))
        session.say(f"written to {into}")
    elif markdown:
        session.say(reporting.laws().markdown(found))
    else:
        for subject, findings in found.items():
            session.say(reporting.laws().text(subject, findings, colour=sys.stdout.isatty()))
    session.answer([
        {"subject": subject, "laws": None if findings is None else [law_json(each) for each in findings]}
        for subject, findings in found.items()
    ])  # fmt: skip
    return ExitCode.AS_PINNED


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HoldfastError(f"{path} cannot be read: {error}") from error


def _subject_name(session: Session, asked: str) -> str:
    place = session.place(session.target(asked))
    return type(load_subject(place.target, place.folders)).name


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")


def _seconds(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """``90s``, ``10m`` or ``1h`` in seconds."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None or float(match[1]) == 0:
        raise click.BadParameter(f"{text!r} is not how long: 90s, 10m, 1h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


@holdfast.command()
@click.argument("subjects", nargs=-1)
@click.option("--for", "seconds", metavar="TIME", callback=_seconds, help="How long for each SUBJECT: 90s, 10m, 1h.")
@click.option("--programs", type=click.IntRange(0), metavar="N", help="How many programs of each SUBJECT at most.")
@click.option(
    "--profile",
    type=click.Choice(list(HUNTS)),
    default="dev",
    show_default=True,
    help="ci: the same 300 programs each time; dev: one minute; nightly: ten.",
)
@click.option("--anew", is_flag=True, help="Forget what earlier hunts have seen.")
@_options
def hunt(
    subjects: tuple[str, ...],
    seconds: float | None,
    programs: int | None,
    profile: str,
    anew: bool,  # noqa: FBT001 - click's
    **options: Any,
) -> int:
    """Try long random programs of SUBJECTs, at once and with faults, and tell what nobody knew: broken laws, new outcomes.

    A hunt goes on where the last one with its seed ended. What it finds becomes short programs, which wait for a decision.
    """
    session = _session(**options)
    limits = HUNTS[profile] if seconds is None and programs is None else Limits(seconds, programs)
    session.say(f"seed {session.settings.seed.number}, {limits.text}, redis {_shown_address(session.redis)}")
    forgotten = anew or limits.forgets
    codes = [
        _hunt(session, session.place(target), limits, anew=forgotten) for target in session.selected(subjects).values()
    ]
    session.answer(session.results)
    return _gravest(codes)


def _hunt(session: Session, place: Place, limits: Limits, *, anew: bool) -> ExitCode:
    subject = type(load_subject(place.target, place.folders))
    pinned = session.baselines.read(subject.name).recording if session.baselines.exists(subject.name) else None
    path = memory_path(session.project.pending, subject.name)
    deciding.ignore_pending(session.project)
    with only_hunt(path, subject.name):
        return _hunt_alone(session, place, pinned, path, limits, anew=anew)


def _hunt_alone(
    session: Session, place: Place, pinned: Recording | None, path: Path, limits: Limits, *, anew: bool
) -> ExitCode:
    declared, seed = load_subject(place.target, place.folders), session.settings.seed
    subject = type(declared)
    accepted = [] if pinned is None else [e.program for e in pinned.random if still_there(declared, e.program)]
    memory = Memory(subject.name) if anew else Memory.read(path, subject.name)
    earlier, table = len(memory.found), Table(subject, seed)
    session.say(f"{subject.name}    from program {memory.positions.get(seed.number, 0):,}")
    known = broken_in(pinned.laws if pinned is not None else ())
    recording, ended = None, None
    with redis_choice(session.redis) as choice, World(seed, choice.backend) as world:
        marks = None if pinned is None else known_in(pinned)
        hunting = Hunt(table, world, seed.number, memory, marks, accepted)
        try:
            hunting.run(limits.seconds, limits.programs, lambda minute: session.say(minute.text))
        except (KeyboardInterrupt, HoldfastError) as error:  # what was found until then is told all the same
            ended = error
        finally:
            if pinned is None:
                memory.kinds.clear()  # none was kept, so that none is known
            memory.write(path)
        _say_found(session, subject, memory, earlier, known)
        if not choice.real:  # what another Redis shows is none of the baseline's
            recording = _found_beside(session, hunting, pinned)
    # Outside of the world, in which nobody may wait for another who writes.
    if pinned is not None and recording is not None and compare(pinned, recording).different:
        about = deciding.provenance(place.target, "fakeredis", seed.number)
        deciding.keep_pending(session.project, recording, about)
        session.say(f"    accept with `holdfast accept '{subject.name}/random*' '{subject.name}/law/*#random'`")
    if ended is not None:
        raise ended
    new = {each.law for each in memory.found[earlier:] if each.law} - known
    return ExitCode.CHANGED if new else ExitCode.AS_PINNED


def _found_beside(session: Session, hunting: Hunt, pinned: Recording | None) -> Recording | None:
    """What was found, beside what waits for a decision already; nothing, where nothing is pinned."""
    memory, pending = hunting.memory, deciding.pending_of(session.project)
    if pinned is None or not memory.found:
        return None
    waiting = pending.read(memory.subject).recording if pending.exists(memory.subject) else pinned
    return recording_of(hunting.performer, memory.found, hunting.judge.findings, waiting)


def _say_found(session: Session, subject: type[Subject], memory: Memory, earlier: int, known: set[str]) -> None:
    if earlier:
        session.say(f"{earlier} found by earlier hunts")
    laws_first = sorted(memory.found[earlier:], key=lambda each: not each.law)
    for number, found in enumerate(laws_first, earlier + 1):
        line = again(subject, found.program, session.settings.seed.number)
        session.say(found_text(number, found, line, pinned=found.law in known))
    if len(memory.found) == earlier:
        session.say("nothing new was found")
    elif not session.baselines.exists(subject.name):
        session.say(f"    without a baseline nothing is kept: record one with `holdfast record {name_of(subject)}`")
    session.results.append({
        "subject": subject.name, "seed": session.settings.seed.number, "programs": memory.programs, "steps": memory.steps,
        "states": len(memory.states), "kinds": len(memory.kinds), "unseen": memory.unseen,
        "found": [asdict(each) for each in memory.found],
    })  # fmt: skip


@holdfast.command()
@click.argument("idents", nargs=-1, required=True, metavar="ID...")
@_options
def accept(idents: tuple[str, ...], **options: Any) -> int:
    """Promote pending results to the baseline: exactly what was shown, nothing is run.

    An ID names one behaviour; its beginning (`relay.store`, `relay.store/sequence/save`) or a pattern with * several.
    """
    session = _session(**options)
    promoted = deciding.accept(session.baselines, session.project, idents)
    for change in promoted:
        session.say(f"accepted   {change.kind.value:8} {change.behaviour.ident}   {change.program.text}")
    session.answer([{"id": change.behaviour.ident, "kind": change.kind.value} for change in promoted])
    return ExitCode.AS_PINNED


@holdfast.command("subjects")
@_options
def subjects_command(**options: Any) -> int:
    """List the subjects of this project, with their operations and laws."""
    session = _session(**options)
    rows = []
    for name, target in session.selected(()).items():
        subject = load_subject(target, (str(session.project.folder),))
        operations, laws = list(type(subject).operations()), type(subject).laws()
        rows.append({"name": name, "target": target, "operations": operations, "laws": laws})
        session.say(f"{name:28} {(type(subject).__doc__ or '').strip().partition(chr(10))[0]}".rstrip())
        session.say(f"{'':28} {', '.join(operations)}")
        for law in laws:
            session.say(f"{'':28} law: {law.replace('_', ' ')}")
    session.answer(rows)
    return ExitCode.AS_PINNED


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code. Every error that a user can mend becomes one message on standard error."""
    # A third party's own packages come before whatever is installed beside holdfast.
    sys.path.insert(0, str(Path.cwd()))
    try:
        code = holdfast.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except (HoldfastError, WorldError) as error:
        click.echo(f"holdfast: {error}", err=True)
        return getattr(error, "exit_code", ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("holdfast: interrupted; nothing that was approved has changed", err=True)
        return ExitCode.INTERRUPTED
    except Exception:  # noqa: BLE001 - the last resort, which must not look like a change of behaviour
        traceback.print_exc()
        said = shlex.join(sys.argv[1:] if arguments is None else arguments)
        click.echo(f"holdfast: this is a bug in holdfast; seen in `holdfast {said}`", err=True)
        return ExitCode.INTERNAL
    return int(code or 0)


def main() -> None:
    """The console script."""
    sys.exit(run())
