"""The pytest plugin: ``pytest --holdfast=check`` makes an item of every behaviour that is pinned.

So selection, xdist, random order, JUnit and IDEs work as for any test. One more item for each subject, ``reachable``,
walks the subject anew and fails where something can be reached that is not pinned. Without the option the plugin does
nothing; everything else is imported only with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from characterization.baseline import Baseline
    from characterization.behaviour import Behaviour, FaultBehaviour, RaceBehaviour, Recording
    from characterization.finding import Project
    from characterization.laws import Findings
    from characterization.lenses.runner import Place
    from characterization.program import Program


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("holdfast", "characterization by holdfast")
    group.addoption("--holdfast", choices=["check"], help="check: run every pinned behaviour as a test")
    group.addoption("--holdfast-baselines", metavar="DIR", help="another folder of baselines")
    group.addoption("--holdfast-seed", type=int, default=20_260_201, help="from which everything random is drawn")


def pytest_configure(config: pytest.Config) -> None:
    """With the option, register what collects behaviours, and collect baselines where nothing else was named."""
    if config.getoption("--holdfast") is None or config.pluginmanager.has_plugin("holdfast-check"):
        return
    check = Check(config)
    config.pluginmanager.register(check, "holdfast-check")
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args[:] = [str(check.folder)]


class Check:
    """What ``--holdfast=check`` adds to a pytest run."""

    def __init__(self, config: pytest.Config) -> None:
        from characterization.finding import find_project

        self.project: Project = find_project(config.invocation_params.dir)
        chosen = config.getoption("--holdfast-baselines")
        self.folder = Path(chosen).resolve() if chosen else self.project.baselines
        self.seed: int = config.getoption("--holdfast-seed")
        if not self.folder.is_dir():
            raise pytest.UsageError(f"there are no baselines in {self.folder}: record them with `holdfast record`")

    def pytest_report_header(self) -> str:
        """The seed, which is all that is random."""
        return f"holdfast: seed {self.seed}, baselines {self.folder}"

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> GraphFile | None:
        """A graph.txt in the folder of baselines is a file of behaviours."""
        from characterization.baseline import HALF_WRITTEN

        folder = file_path.parent
        if file_path.name == "graph.txt" and folder.parent == self.folder and folder.suffix not in HALF_WRITTEN:
            return GraphFile.from_parent(parent, path=file_path, check=self)
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Nothing of ours is ignored, whatever the project's norecursedirs say."""
        return False if self.folder == collection_path or self.folder in collection_path.parents else None


class GraphFile(pytest.File):
    """The baseline of one subject."""

    def __init__(self, check: Check, **options: Any) -> None:
        super().__init__(**options)
        self.check = check
        self._performer: Any = None
        self._laws: Findings | None = None

    def collect(self) -> list[pytest.Item]:
        """An item for each behaviour, and ``reachable``."""
        from characterization.baseline import Baselines
        from characterization.errors import HoldfastError

        try:
            baseline = Baselines(self.check.folder).read(self._subject_name())
        except HoldfastError as error:
            raise self.CollectError(str(error)) from error
        self._laws = baseline.recording.laws
        items: list[pytest.Item] = [
            BehaviourItem.from_parent(self, name=each.ident.partition("/")[2], behaviour=each)
            for each in baseline.recording
        ]
        items += [
            RaceItem.from_parent(self, name=each.ident.partition("/")[2], behaviour=each)
            for each in baseline.recording.races.values()
        ]
        items += [
            FaultItem.from_parent(self, name=f"fault/{program.subject_of}#{program.mark}", behaviours=members)
            for program, members in _by_program(baseline.recording).items()
        ]
        items.append(ReachableItem.from_parent(self, name="reachable", baseline=baseline))
        return items

    def _subject_name(self) -> str:
        second = [*self.path.read_text(encoding="utf-8").splitlines()[:2], "", ""][1]
        return second.removeprefix("subject ").strip() or self.path.parent.name

    def place(self, subject: str) -> Place:
        """Where the subject's class is."""
        from characterization.lenses.runner import Place

        return Place(target=self.check.project.target(subject), folders=(str(self.check.project.folder),))

    def performer(self, subject: str) -> Any:
        """What runs programs of this subject and judges its laws, made once for each process."""
        if self._performer is None:
            from characterization.finding import load_subject
            from characterization.laws import Judge
            from characterization.performing import Performer
            from simulator.seed import Seed
            from simulator.world import World

            place = self.place(subject)
            world = World(Seed(self.check.seed))
            declared = load_subject(place.target, place.folders)
            self._performer = Performer(declared, world, judge=None if self._laws is None else Judge(declared))
        elif self._performer.judge is not None:
            self._performer.judge.take()  # of an item that has failed half-way
        return self._performer

    def compare(self, pinned: Recording, seen: Recording, lost: Mapping[tuple[str, str], str] | None = None) -> None:
        """Hold what an item saw against what is pinned, and what it broke of the laws.

        Raises:
            BehaviourChangedError: they differ.
        """
        from characterization.comparing import compare
        from characterization.laws import Verdict, cells_of
        from characterization.reporting import terminal

        judge = None if self._performer is None else self._performer.judge
        found, known = cells_of(() if judge is None else judge.take()), cells_of(self._laws or ())
        # Of one program it can be said that it breaks a law, never that the law holds.
        laws = {law for law, lens in known if lens != "random"}
        asked = [cell for cell in found if cell in known or (cell[0] in laws and cell[1] != "random")]
        broken = [cell for cell in asked if found[cell].verdict is Verdict.BROKEN]
        before, now = [known[cell] for cell in broken if cell in known], [found[cell] for cell in broken]
        result = compare(pinned.merged({}, laws=before), seen.merged({}, laws=now), (), lost)
        if result.different:
            raise BehaviourChangedError(terminal().comparison(result))


class BehaviourChangedError(Exception):
    """A behaviour is not as pinned. The message is the report."""


class _Item(pytest.Item):
    parent: GraphFile

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it stands."""
        return self.path, None, f"{self.path.parent.name}/{self.name}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The report alone: a traceback through holdfast says nothing about the service."""
        from characterization.errors import HoldfastError

        if isinstance(excinfo.value, (BehaviourChangedError, HoldfastError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)


class BehaviourItem(_Item):
    """One pinned behaviour."""

    def __init__(self, behaviour: Behaviour, **options: Any) -> None:
        super().__init__(**options)
        self.behaviour = behaviour

    def runtest(self) -> None:
        """Run its program, and compare."""
        from characterization.behaviour import Behaviour, Recording
        from characterization.recording import still_there
        from characterization.unfolding import perform

        pinned = self.behaviour
        performer = self.parent.performer(pinned.subject)
        seen = []
        if still_there(performer.subject, pinned.program):
            with performer.world:
                outcome = perform(performer, pinned.program)
            seen = [Behaviour(subject=pinned.subject, program=pinned.program, outcome=outcome)]
        self.parent.compare(Recording(pinned.subject, [pinned]), Recording(pinned.subject, seen))


class RaceItem(_Item):
    """What is pinned of operations at once."""

    def __init__(self, behaviour: RaceBehaviour, **options: Any) -> None:
        super().__init__(**options)
        self.behaviour = behaviour

    def runtest(self) -> None:
        """Run its program in every interleaving, and compare."""
        from characterization.behaviour import Recording
        from characterization.lenses.runner import Raced, sighting_of
        from characterization.recording import still_there

        pinned, seen, lost = self.behaviour, [], {}
        performer = self.parent.performer(pinned.subject)
        if still_there(performer.subject, pinned.program):
            with performer.world:
                sighting = sighting_of(performer, Raced(pinned.program, pinned))
            seen.append(sighting.behaviour)
            lost = {(pinned.program.text, schedule): why for schedule, why in sighting.lost.items()}
        self.parent.compare(Recording(pinned.subject, [], [pinned]), Recording(pinned.subject, [], seen), lost)


class FaultItem(_Item):
    """What is pinned of one call from one state that something goes wrong in."""

    def __init__(self, behaviours: Sequence[FaultBehaviour], **options: Any) -> None:
        super().__init__(**options)
        self.behaviours = behaviours

    def runtest(self) -> None:
        """Let go wrong whatever may, and compare."""
        from characterization.behaviour import Recording
        from characterization.lenses.runner import Tried, behaviours_of
        from characterization.recording import still_there

        first = self.behaviours[0]
        program, seen = first.program.healthy, []
        performer = self.parent.performer(first.subject)
        if still_there(performer.subject, program):
            with performer.world:
                seen = behaviours_of(performer, Tried(program))
        self.parent.compare(Recording(first.subject, [], (), self.behaviours), Recording(first.subject, [], (), seen))


def _by_program(recording: Recording) -> dict[Program, list[FaultBehaviour]]:
    """What is pinned of faults, by the program without them."""
    found: dict[Program, list[FaultBehaviour]] = {}
    for each in recording.faults.values():
        found.setdefault(each.program.healthy, []).append(each)
    return found


class ReachableItem(_Item):
    """Everything that can be reached is pinned."""

    def __init__(self, baseline: Baseline, **options: Any) -> None:
        super().__init__(**options)
        self.baseline = baseline

    def runtest(self) -> None:
        """Walk the subject anew; what is pinned is the business of the other items."""
        from characterization.behaviour import Recording
        from characterization.lenses.runner import LocalRunner
        from characterization.recording import reached_beside

        pinned = self.baseline.recording
        performer = self.parent.performer(pinned.subject)
        with performer.world as world:
            runner = LocalRunner(performer, world.seed)
            reached = reached_beside(self.parent.place(pinned.subject), pinned, runner, lambda _: None)
        self.parent.compare(Recording(pinned.subject, []), reached)
