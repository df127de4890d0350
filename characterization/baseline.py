"""Baselines: the approved behaviours of a subject, in files that merge and that a reviewer can read.

    <baselines>/<subject>/graph.txt         one transition a line, sorted by the program's spelling
    <baselines>/<subject>/random/*.txt      programs that the random lens has found, in the form of graph.txt
    <baselines>/<subject>/cost.json         commands, round trips and bytes of each program, one a line
    <baselines>/<subject>/race/*.json       what operations at once show, a file for each pair of operations
    <baselines>/<subject>/laws.json         what each lens found of each law, a line for each
    <baselines>/<subject>/fault/*.json      what calls show that something goes wrong in, a file for each operation
    <baselines>/<subject>/backends/*.txt    transitions that another Redis shows otherwise, in the form of graph.txt
    <baselines>/<subject>/backends/*/*.json the same of operations at once; of faults one folder further down
    <baselines>/<subject>/provenance.json   when, where and with which versions; takes no part in comparing

A baseline is replaced as a whole: a process that is killed while it writes leaves the old one as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from characterization.behaviour import Behaviour, FaultBehaviour, RaceBehaviour, Recording
from characterization.errors import BaselineError, HoldfastError, NoBaselineError
from characterization.fault_text import fault_texts, parse_faults
from characterization.law_text import laws_text, parse_laws
from characterization.laws import Findings, LawFinding, Verdict, cells_of
from characterization.outcome import Outcome
from characterization.program import parse
from characterization.race_text import parse_races, race_texts

FORMAT = 1
RANDOM = Path("random", "programs.txt")
"""Where the programs of the random lens are, in the folder of a subject."""

_HEADER = "holdfast graph"
_END = "end"
HALF_WRITTEN = (".new", ".old")  # what folders end in that a writer has not finished with
_COLUMNS = "program | answer | effects | events | states | kinds of state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What is approved of one subject: its behaviours on the default backend, and where another Redis differs.

    ``backends`` maps a backend's name without its version (``valkey``) to the transitions that it shows otherwise.
    """

    recording: Recording
    backends: Mapping[str, Recording] = field(default_factory=dict)

    def on(self, backend: str) -> Recording:
        """What is approved for ``backend``."""
        differences = self.backends.get(backend)
        return (
            self.recording
            if differences is None
            else self.recording.merged(
                {b.program.text: b for b in differences},
                differences.races,
                differences.faults,
                _with(self.recording.laws, differences.laws),
            )
        )


def _with(laws: Findings | None, others: Findings | None) -> Findings | None:
    """``laws``, with those cells of ``others`` in the place of their own that are there."""
    return None if laws is None else tuple({**cells_of(laws), **cells_of(others or ())}.values())


# Text.


def graph_text(recording: Recording) -> str:
    """``recording`` as graph.txt has it: the same bytes for equal recordings."""
    lines = [f"{_HEADER} {FORMAT}", f"subject {recording.subject}", f"# {_COLUMNS}"]
    return "\n".join([*lines, *map(_line, recording), _END, ""])


def _line(behaviour: Behaviour) -> str:
    outcome = behaviour.outcome
    columns = [
        _escaped(behaviour.program.text, "|"),
        _escaped(outcome.answer, "|"),
        "; ".join(_escaped(line, "|;") for line in outcome.effects),
        "; ".join(_escaped(line, "|;") for line in outcome.events),
        f"{outcome.before} > {outcome.after}",
        " > ".join(_escaped(kind, "|>") for kind in (outcome.kind, outcome.kind_after) if kind),
    ]
    return " | ".join(columns)


_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "|": "\\p", ";": "\\s", ">": "\\g"}
_ESCAPED = {escape[1]: char for char, escape in _ESCAPES.items()}


def _escaped(text: str, special: str) -> str:
    return "".join(_ESCAPES[char] if char in special or char in "\\\n\r" else char for char in text)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    parts = iter(text)
    return "".join(char if char != "\\" else _ESCAPED[next(parts)] for char in parts)


def cost_text(recording: Recording) -> str:
    """The costs of ``recording`` as cost.json has them."""
    rows = [f"{json.dumps(each.program.text)}: {list(each.outcome.cost)}" for each in recording]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def parse_graph(text: str, costs: Mapping[str, tuple[int, int, int]], path: Path) -> Recording:
    """The recording that ``text`` holds.

    Raises:
        BaselineError: it was written by a newer version, holds the marks of a merge, was cut short, or has a line that
            cannot be read. The message names the line.
    """
    lines = text.rstrip("\n").split("\n")  # nothing else ends a line: a text may hold any other separator
    _check_frame(lines, path)
    subject = lines[1].partition(" ")[2]
    behaviours = []
    for number, line in enumerate(lines[2:-1], 3):
        if not line.startswith("#"):
            behaviours.append(_parse_line(line, subject, costs, path, number))
    return Recording(subject, behaviours)


def _check_merged(lines: list[str], path: Path) -> None:
    for number, line in enumerate(lines, 1):
        if line.startswith(("<<<<<<< ", ">>>>>>> ", "=======")):
            raise BaselineError(
                f"{path}:{number} holds the marks of an unfinished merge: resolve it; lines may be in any order"
            )


def _check_frame(lines: list[str], path: Path) -> None:
    _check_merged(lines, path)
    if not lines or not lines[0].startswith(f"{_HEADER} "):
        raise BaselineError(f"{path} is not a baseline: its first line must be `{_HEADER} {FORMAT}`. {_RESTORE}")
    version = lines[0].removeprefix(_HEADER).strip()
    if version != str(FORMAT):
        raise BaselineError(
            f"{path} is in format {version}, this holdfast reads format {FORMAT}: use a newer one, or record anew"
        )
    if len(lines) < 2 or not lines[1].startswith("subject ") or lines[-1] != _END:
        raise BaselineError(f"{path} was cut short: it does not close with `{_END}`. {_RESTORE}")


_RESTORE = "Take it from version control again, or remove its folder and record anew."


def _parse_line(
    line: str, subject: str, costs: Mapping[str, tuple[int, int, int]], path: Path, number: int
) -> Behaviour:
    try:
        program, answer, effects, events, states, kinds = line.split(" | ")
        before, after = states.split(" > ")
        kind, _, kind_after = kinds.partition(" > ")
        spelled = _unescaped(program)
        outcome = Outcome(
            answer=_unescaped(answer), effects=_items(effects), events=_items(events), cost=costs.get(spelled, (0, 0, 0)),
            before=before, after=after, kind=_unescaped(kind), kind_after=_unescaped(kind_after),
        )  # fmt: skip
        return Behaviour(subject=subject, program=parse(spelled), outcome=outcome)
    except (ValueError, KeyError, StopIteration, RuntimeError, HoldfastError) as error:
        raise BaselineError(
            f"{path}:{number} cannot be read as `{_COLUMNS}` ({error}): {line[:80]!r}. {_RESTORE}"
        ) from error


def _items(column: str) -> tuple[str, ...]:
    return tuple(_unescaped(item) for item in column.split("; ")) if column else ()


# Files.


class Baselines:
    """A folder of baselines, one folder for each subject. Several may read it; one at a time may write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, subject: str) -> Path:
        """Where the baseline of ``subject`` is kept."""
        return self.folder / subject.replace(":", ".").replace("/", "_")

    def subjects(self) -> list[str]:
        """The names of all that have one, sorted."""
        folders = [path.parent for path in self.folder.glob("*/graph.txt")]
        return sorted(self.read(each.name).recording.subject for each in folders if each.suffix not in HALF_WRITTEN)

    def remove(self, subject: str) -> None:
        """Remove the baseline of ``subject``, if there is one."""
        shutil.rmtree(self._settled(subject), ignore_errors=True)

    def exists(self, subject: str) -> bool:
        """Whether there is one."""
        return self._settled(subject).is_dir()

    def read(self, subject: str) -> Baseline:
        """The baseline of ``subject``.

        Raises:
            NoBaselineError: there is none.
            BaselineError: it cannot be read.
        """
        place = self._settled(subject)
        if not place.is_dir():
            raise NoBaselineError(
                f"{subject} has no baseline in {self.folder}: record one with `holdfast record {subject}`, and commit it"
            )
        costs = _read_costs(place / "cost.json")
        recording = parse_graph(_read(place / "graph.txt"), costs, place / "graph.txt")
        recording = recording.merged(
            {each.program.text: each for each in _read_random(place / RANDOM, costs)},
            {race.program.text: race for race in _read_races(place / "race")},
            {fault.program.text: fault for fault in _read_faults(place / "fault")},
            _read_laws(place / "laws.json"),
        )
        others = {
            path.stem: parse_graph(_read(path), costs, path).merged(
                {},
                {race.program.text: race for race in _read_races(path.with_suffix(""))},
                {fault.program.text: fault for fault in _read_faults(path.with_suffix("") / "fault")},
                _read_laws(path.with_suffix(".laws.json")),
            )
            for path in sorted((place / "backends").glob("*.txt"))
        }
        return Baseline(recording=recording, backends=others)

    def provenance(self, subject: str) -> dict[str, object]:
        """When, where and with which versions ``subject`` was recorded; nothing where that is not known."""
        try:
            found = json.loads((self._settled(subject) / "provenance.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, subject: str, baseline: Baseline, provenance: Mapping[str, object]) -> None:
        """Replace the baseline of ``subject``.

        Raises:
            BaselineError: the folder cannot be written.
        """
        place = self._settled(subject)
        new, old = place.with_name(place.name + ".new"), place.with_name(place.name + ".old")
        try:
            for left in (new, old):  # by a writer that was killed
                shutil.rmtree(left, ignore_errors=True)
            _write_files(new, baseline, provenance)
            if place.exists():
                place.rename(old)
            new.rename(place)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise BaselineError(f"{place} cannot be written: {error.strerror or error}. {_WRITABLE}") from error

    def _settled(self, subject: str) -> Path:
        """The place of a baseline, after what a killed writer left there was put right."""
        place = self.place(subject)
        old = place.with_name(place.name + ".old")
        if old.is_dir() and not place.exists():
            old.rename(place)
        return place

    @contextmanager
    def writing(self, wait_s: float = 0) -> Iterator[None]:
        """Hold the folder for writing, on this machine; while another process holds it, wait for at most ``wait_s``.

        Raises:
            BaselineError: another process holds it, or it cannot be written.
        """
        lock = filelock.FileLock(self._lock_path())
        try:
            self._check_writable()
            lock.acquire(timeout=wait_s)
        except filelock.Timeout:
            raise BaselineError(
                f"another holdfast is writing to {self.folder}: wait for it to end, then try again"
            ) from None
        except OSError as error:
            raise BaselineError(f"{self.folder} cannot be written: {error.strerror or error}. {_WRITABLE}") from error
        try:
            yield
        finally:
            lock.release()

    def _check_writable(self) -> None:
        """Find out before the work, not after it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder):
            pass

    def _lock_path(self) -> Path:
        """Outside the folder, which belongs to version control."""
        mark = hashlib.blake2b(str(self.folder.resolve()).encode(), digest_size=8).hexdigest()
        return Path(tempfile.gettempdir()) / f"holdfast-{mark}.lock"


_WRITABLE = "Make it writable, or name another folder with --baselines."


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path} cannot be read: {error}. {_RESTORE}") from error


def _read_races(folder: Path) -> Iterator[RaceBehaviour]:
    for path in sorted(folder.glob("*.json")):
        text = _read(path)
        _check_merged(text.split("\n"), path)
        yield from parse_races(text, path)


def _read_faults(folder: Path) -> Iterator[FaultBehaviour]:
    for path in sorted(folder.glob("*.json")):
        text = _read(path)
        _check_merged(text.split("\n"), path)
        yield from parse_faults(text, path)


def _read_random(path: Path, costs: Mapping[str, tuple[int, int, int]]) -> Recording:
    """What the random lens has found; nothing, where nobody has hunted."""
    return parse_graph(_read(path), costs, path) if path.exists() else Recording("", [])


def _read_laws(path: Path) -> Findings | None:
    """What is pinned of the laws; none: the baseline is older than they are."""
    if not path.exists():
        return None
    text = _read(path)
    _check_merged(text.split("\n"), path)
    return parse_laws(text, path)


def _read_costs(path: Path) -> dict[str, tuple[int, int, int]]:
    text = _read(path)
    _check_merged(text.split("\n"), path)
    try:
        return {program: (commands, trips, sent) for program, (commands, trips, sent) in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise BaselineError(f"{path} cannot be read: {error}. {_RESTORE}") from error


def _write_files(folder: Path, baseline: Baseline, provenance: Mapping[str, object]) -> None:
    folder.mkdir(parents=True)
    _write(folder / "graph.txt", graph_text(Recording(baseline.recording.subject, baseline.recording.graph)))
    if baseline.recording.random:
        (folder / RANDOM).parent.mkdir()
        _write(folder / RANDOM, graph_text(Recording(baseline.recording.subject, baseline.recording.random)))
    _write(folder / "cost.json", cost_text(baseline.recording))
    _write(folder / "provenance.json", json.dumps(provenance, indent=2, sort_keys=True) + "\n")
    _write_races(folder / "race", baseline.recording)
    _write_faults(folder / "fault", baseline.recording)
    _write_laws(folder / "laws.json", baseline.recording)
    backends = baseline.backends.items()
    differing = {name: each for name, each in backends if len(each) or each.races or each.faults or each.laws}
    if differing:
        (folder / "backends").mkdir()
    for name, recording in differing.items():
        _write(folder / "backends" / f"{name}.txt", graph_text(recording))
        _write_races(folder / "backends" / name, recording)
        _write_faults(folder / "backends" / name / "fault", recording)
        _write_laws(folder / "backends" / f"{name}.laws.json", recording)


def _write_races(folder: Path, recording: Recording) -> None:
    texts = race_texts(recording.subject, recording.races.values())
    if texts:
        folder.mkdir()
    for name, text in texts.items():
        _write(folder / f"{name}.json", text)


def _write_faults(folder: Path, recording: Recording) -> None:
    texts = fault_texts(recording.subject, recording.faults.values())
    if texts:
        folder.mkdir(parents=True)
    for name, text in texts.items():
        _write(folder / f"{name}.json", text)


def _write_laws(path: Path, recording: Recording) -> None:
    if recording.laws is not None:
        _write(path, laws_text(recording.subject, recording.laws))


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def differing(baseline: Recording, seen: Recording) -> Recording:
    """That of ``seen`` which shows something else than ``baseline`` has."""
    transitions = [
        each
        for each in seen
        if (known := baseline.get(each.program.text)) is None or known.outcome.seen != each.outcome.seen
    ]
    races = [
        race
        for text, race in seen.races.items()
        if (pinned := baseline.races.get(text)) is None or _shown(pinned) != _shown(race)
    ]
    known_laws = cells_of(baseline.laws or ())
    laws = [each for each in seen.laws or () if _verdict(known_laws.get((each.law, each.lens))) is not each.verdict]
    faults = [
        each
        for text, each in seen.faults.items()
        if (approved := baseline.faults.get(text)) is None or approved.seen != each.seen
    ]
    return Recording(baseline.subject, transitions, races, faults, laws or None)


def _verdict(finding: LawFinding | None) -> Verdict:
    return Verdict.NOT_RUN if finding is None else finding.verdict


def _shown(race: RaceBehaviour) -> object:
    return {mark for _, mark in race.serial}, {each.seen for each in race.anomalies}
