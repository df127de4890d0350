"""Laws judged: what an author believes of a subject, held against every observation of every lens.

A verdict is of four values, and only *holds* is a pass: *undecided* where the law said nothing of any run (``Run.assume``),
*not run* where a lens has not looked. Findings add up in any order and grouping to the same sum, so that worker processes
may judge where the states are at hand.
"""

from __future__ import annotations

import enum
import linecache
import traceback
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Never

from characterization.errors import SubjectError
from characterization.program import Move, Program, parse
from characterization.state import Entry, State
from characterization.subject import Run, Subject, UndecidedError

LENSES = ("sequence", "time", "race", "fault", "random", "load")


class Verdict(enum.StrEnum):
    """What is known of a law through one lens."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNDECIDED = "undecided"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class LawWitness:
    """A run that breaks a law: its program, the schedule of what is at once in it, and what the law said.

    ``serial``: some order of what is at once breaks it, too. ``split``: it needs a plain pipeline to be split, which a real
    server seldom does. ``retried``: only once the call that was struck has been made again.
    """

    program: str
    said: str
    schedule: str = ""
    serial: bool = False
    split: bool = False
    retried: bool = False

    @property
    def order(self) -> tuple[object, ...]:
        """What no order explains comes first, what a real server seldom does last; then shorter first, then by spelling."""
        return self.order_as(parse(self.program))

    def order_as(self, program: Program) -> tuple[object, ...]:
        """The same, of a witness whose program is ``program``: where it has not to be read again."""
        rank = 2 if self.split else 1 if self.serial else 0
        at_once = len(program.at_once.moves) if program.at_once is not None else 0
        steps = len(program.calls) + at_once + sum(isinstance(part, Move) for part in program.parts)
        return rank, steps, len(program.parts), self.program, self.retried, len(self.schedule), self.schedule, self.said


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFinding:
    """What one lens found of one law: in how many observations it held, was broken, or said nothing.

    ``reason`` is what the author says for it. ``witness`` is the shortest run that breaks it. ``looked``: it looked at a
    run at least once; one that never does can only be a mistake.
    """

    subject: str
    law: str
    lens: str
    holds: int = 0
    broken: int = 0
    undecided: int = 0
    witness: LawWitness | None = None
    reason: str = ""
    looked: bool = True

    def __post_init__(self) -> None:
        assert (self.witness is None) == (not self.broken), (
            f"{self.law}: what is broken, and nothing else, has a witness"
        )
        assert self.lens in LENSES, f"{self.lens} is no lens"

    @property
    def verdict(self) -> Verdict:
        """Broken in one observation is broken; otherwise it holds if it held in one."""
        if self.broken:
            return Verdict.BROKEN
        return Verdict.HOLDS if self.holds else Verdict.UNDECIDED if self.undecided else Verdict.NOT_RUN

    @property
    def judged(self) -> int:
        """In how many observations it was decided."""
        return self.holds + self.broken

    @property
    def sentence(self) -> str:
        """The law's name as a sentence."""
        return self.law.replace("_", " ")

    @property
    def ident(self) -> str:
        """``relay.store/law/an_id_is_in_exactly_one_state_index#race``."""
        return f"{self.subject}/law/{self.law}#{self.lens}"

    @property
    def program(self) -> Program:
        """The program of its witness; the empty one where there is none."""
        return parse(self.witness.program) if self.witness is not None else Program()

    def __add__(self, other: LawFinding) -> LawFinding:
        """Both together, whoever looked first."""
        assert (self.subject, self.law, self.lens) == (other.subject, other.law, other.lens), (
            "findings of one cell add up"
        )
        found = [each for each in (self.witness, other.witness) if each is not None]
        return replace(
            self, holds=self.holds + other.holds, broken=self.broken + other.broken,
            undecided=self.undecided + other.undecided, looked=self.looked or other.looked,
            witness=min(found, key=lambda each: each.order, default=None),
        )  # fmt: skip


Findings = tuple[LawFinding, ...]
Cells = Mapping[tuple[str, str], LawFinding]


def merged(*findings: Iterable[LawFinding]) -> Findings:
    """The sum of ``findings``, one for each law and lens, by the law's name and in the order of the lenses."""
    cells: dict[tuple[str, str], LawFinding] = {}
    for each in (each for part in findings for each in part):
        known = cells.get((each.law, each.lens))
        cells[each.law, each.lens] = each if known is None else known + each
    return tuple(sorted(cells.values(), key=lambda each: (each.law, LENSES.index(each.lens))))


def cells_of(findings: Iterable[LawFinding]) -> dict[tuple[str, str], LawFinding]:
    """``findings`` by law and lens."""
    return {(each.law, each.lens): each for each in findings}


def check_looked(findings: Findings) -> None:
    """A law that never looks at a run can only hold, and says nothing.

    Raises:
        SubjectError: there is one among ``findings``.
    """
    looked = {each.law for each in findings if each.looked}
    for each in findings:
        if each.law not in looked:
            raise SubjectError(
                f"{each.subject}: the law `{each.law}` looks at nothing: it must read the run that it is given "
                "(run.before, run.after, run.calls, ...), and assert what it states"
            )


# Judging.


@dataclass(slots=True)
class _Tally:
    """The counts of one cell while it is being filled."""

    holds: int = 0
    broken: int = 0
    undecided: int = 0
    witness: LawWitness | None = None
    order: tuple[object, ...] = field(default=())

    def breaks(self, witness: LawWitness, program: Program) -> None:
        order = witness.order_as(program)
        self.broken += 1
        if self.witness is None or order < self.order:
            self.witness, self.order = witness, order


class Judge:
    """Holds the laws of ``subject`` against runs, and counts. Truth value: whether there are laws at all."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._name = type(subject).name
        self._laws = type(subject).laws()
        self._functions = {name: getattr(subject, name) for name in self._laws}
        self._looked: set[str] = set()
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def __bool__(self) -> bool:
        return bool(self._laws)

    def observe(self, run: Run, lens: str, but: Collection[str] = ()) -> dict[str, LawWitness]:
        """Judge every law ``but`` some by ``run``, which ``lens`` has observed; those that it breaks.

        Raises:
            SubjectError: a law raises something else than its verdict, returns a value, or changes the state.
        """
        assert lens in LENSES, f"{lens} is no lens"
        if not self._laws:
            return {}
        broken: dict[str, LawWitness] = {}
        guarded = replace(run, before=Guarded(run.before), after=Guarded(run.after), known=run.calls)
        for name, function in self._functions.items():
            if name in but:
                continue
            if name in self._looked:
                witness = self._judge(name, function, guarded, guarded, lens)
            else:
                watched = _Watched(guarded)
                witness = self._judge(name, function, watched, guarded, lens)
                if watched.looked():
                    self._looked.add(name)
            if witness is not None:
                broken[name] = witness
        return broken

    def _judge(self, name: str, function: Any, shown: Run, run: Run, lens: str) -> LawWitness | None:
        tally = self._tallies.get((name, lens))
        if tally is None:
            tally = self._tallies[name, lens] = _Tally()
        try:
            returned = function(shown)
        except AssertionError as broken:
            witness = _witness(run, broken)
            tally.breaks(witness, run.parts)
            return witness
        except UndecidedError:
            tally.undecided += 1
        except StateChangedError as error:
            self._refuse(name, run, f"changes the state ({error}): a law only looks; take a copy, `dict(...)`", error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is no verdict, and the law is named
            self._refuse(name, run, f"raised {type(error).__name__}: {error}. {_VERDICTS}", error)
        else:
            tally.holds += 1
            if returned is not None:
                self._refuse(name, run, f"returned {returned!r}. {_VERDICTS}", None)
        return None

    def _refuse(self, name: str, run: Run, what: str, error: BaseException | None) -> Never:
        raise SubjectError(f"{self._name}: the law `{name}`, judged by `{run.program}`, {what}") from error

    @property
    def findings(self) -> Findings:
        """What was found so far."""
        return merged(
            LawFinding(
                subject=self._name, law=law, lens=lens, holds=tally.holds, broken=tally.broken, undecided=tally.undecided,
                witness=tally.witness, reason=self._laws[law], looked=law in self._looked,
            )
            for (law, lens), tally in self._tallies.items()
        )  # fmt: skip

    def take(self) -> Findings:
        """What was found since it was taken last."""
        found = self.findings
        self._tallies.clear()
        return found


_VERDICTS = (
    "A law raises AssertionError where the run breaks it, calls run.assume(...) for what it says nothing of, and returns "
    "nothing where it holds"
)


def _witness(run: Run, broken: AssertionError) -> LawWitness:
    return LawWitness(
        program=run.program, schedule=run.schedule, serial=run.serial, split=run.split,
        retried=run.repeated > 0, said=str(broken).partition("\n")[0] or _line(broken),
    )  # fmt: skip


def _line(error: BaseException) -> str:
    """The line that raised ``error``, for an assertion without a message of its own."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return linecache.getline(frame.filename, frame.lineno or 0).strip() or "it is broken"


# What a law is shown: it may look, and that it looked is seen; it may not change anything.


class StateChangedError(Exception):
    """A law tried to change what it was shown."""


def _refused(self: object, *_: object, **__: object) -> Never:
    raise StateChangedError(f"it writes to {self!r:.80}")


class _Dict(dict[Any, Any]):
    """A dict that refuses to be changed. Its copies may be changed."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refused

    def __reduce__(self) -> tuple[object, ...]:
        return dict, (dict(self),)

    def __deepcopy__(self, memo: object) -> dict[Any, Any]:
        return {key: _thawed(value) for key, value in self.items()}


class _List(list[Any]):
    """A list that refuses to be changed. Its copies may be changed."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refused
    append = clear = extend = insert = pop = remove = reverse = sort = _refused

    def __reduce__(self) -> tuple[object, ...]:
        return list, (list(self),)

    def __deepcopy__(self, memo: object) -> list[Any]:
        return [_thawed(value) for value in self]


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return _Dict({key: _frozen(part) for key, part in value.items()})
    return _List(map(_frozen, value)) if isinstance(value, list) else value


def _thawed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _thawed(part) for key, part in value.items()}
    return [_thawed(part) for part in value] if isinstance(value, list) else value


class Guarded(State):
    """A state that can be looked at, and whose values refuse to be changed."""

    __slots__ = ("_shown",)

    def __init__(self, state: State) -> None:
        self._entries = state._entries
        self._identities = state._identities
        self._shown: dict[str, Entry] = {}

    def __getitem__(self, word: str) -> Entry:
        shown = self._shown.get(word)
        if shown is None:
            entry = self._entries[word]
            if isinstance(entry.value, (dict, list)):
                entry = Entry(kind=entry.kind, ttl=entry.ttl, value=_frozen(entry.value))
            shown = self._shown[word] = entry
        return shown

    def entry(self, word: str) -> Entry | None:
        """See ``State``."""
        return self[word] if word in self._entries else None

    def get(self, word: str) -> Any:
        """See ``State``."""
        return self[word].value if word in self._entries else None


class _Watched(Run):
    """A run that knows whether it was looked at."""

    __slots__ = ("_looked",)
    _looked: bool

    def __init__(self, run: Run) -> None:
        for name in Run.__dataclass_fields__:
            object.__setattr__(self, name, getattr(run, name))
        object.__setattr__(self, "_looked", False)

    def __getattribute__(self, name: str) -> Any:
        if name[0] != "_" and name not in ("looked", "assume"):
            object.__setattr__(self, "_looked", True)
        return object.__getattribute__(self, name)

    def looked(self) -> bool:
        """Whether anything of it was read since it was made."""
        return self._looked
