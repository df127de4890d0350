"""A call that a fault strikes, from one state: what it shows, what it leaves behind, and what heals that.

The call is made while the fault strikes. Then the fault is over, and the same call is made again, as a caller would who was
told of a failure; if that does not lead to where a healthy call leads, or if the replica is gone, the replica crashes and
the call is made on a new one. What a healthy call leads to is compared exactly, whatever abstractions the subject has:
a counter that is one too high is just what is looked for. Only time is taken as it comes: every moment while the fault
lasts is one moment, and a time to live may be shorter by as much as has passed. What could as well have happened before
the call or after it (the clock jumps, Redis starts again, empty) is unnoticed where all is as if it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from characterization.behaviour import Done, Ending, FaultBehaviour, Told
from characterization.errors import ProgramError, SubjectError
from characterization.outcome import CRASHED, ENDLESS, NEVER, effects
from characterization.performing import Act, NewReplica, Performer, ServerRestart, Shown
from characterization.program import Call, Move, Program, Struck
from characterization.state import Entry, State, Words, renumbered, text_of
from simulator.errors import WorldError
from simulator.faults import FOREIGN_VALUE, GARBAGE, FaultError, FaultKind, FaultPlan
from simulator.footprint import footprint_of
from simulator.gate import Step

LONG_S = 1.0
"""What takes longer than this is also held against a call that is made later, or whose end is looked at later."""

_SLACK_S = 0.002
_FRAME = (b"MULTI", b"EXEC")
_CANCELLED = frozenset((FaultKind.CANCELLED_BEFORE, FaultKind.CANCELLED_AFTER))
_GONE = "raises CancelledError("
_NO_ANSWER = {CRASHED: Told.GONE, NEVER: Told.NEVER, ENDLESS: Told.ENDLESS}
_NO_RETRY = (Told.GONE, Told.ENDLESS, Told.AS_HEALTHY)  # nobody is left to answer, or nobody would call again
_SPOILT = frozenset((FaultKind.CORRUPT, FaultKind.FOREIGN))
_PUT_THERE = (text_of(GARBAGE), text_of(FOREIGN_VALUE))
_KNOWN = frozenset(  # what the caller is told of by an error reply: the step itself was not applied
    (FaultKind.BUSY, FaultKind.LOADING, FaultKind.READ_ONLY, FaultKind.OUT_OF_MEMORY, FaultKind.SCRIPT_KILLED,
     FaultKind.REFUSED, FaultKind.CORRUPT, FaultKind.FOREIGN)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Aim:
    """Where a call may end if nothing goes wrong: its answer and the state, and what both are compared by.

    ``key`` is that of all that there is, ``key_stored`` of what is in Redis.
    """

    answer: str
    state: State
    key: str
    key_stored: str


class Trial:
    """The last call of ``program``, from where the rest leads, in the world of ``performer``, with and without faults.

    ``steps`` are those that it takes if nothing goes wrong.

    Raises:
        ProgramError: the subject has no such operation, or the program does not end with a call.
        SubjectError: its operation has no such argument, or breaks the rules of a world.
    """

    def __init__(self, performer: Performer, program: Program) -> None:
        last = program.parts[-1] if program.parts else None
        if not isinstance(last, Call):
            raise ProgramError(f"`{program.text}` does not end with a call that a fault could strike")
        for call in program.calls:  # what is not there must not be taken for something that the service raises
            performer.operation(call).bind(call)
        self._performer = performer
        self._prelude = program.prelude
        self._call = last
        self._name = type(performer.subject).name
        self._words = Words(type(performer.subject).keys)
        self._known: dict[tuple[Act, ...], _Aim] = {}
        with self._named(program):
            self._learn()

    def _learn(self) -> None:
        """The call as it is when nothing goes wrong: once, with its steps, and once more."""
        gate = self._performer.world.gate
        gate.trace = []
        try:
            self._before, (once, twice) = self._performer.endure(self._prelude, (self._call, self._call))
        finally:
            gate.trace = None
        self.steps = once.steps
        self._spelled = [once.renamed(spelled(step, self._words)) for step in once.steps]
        self._once = self._aimed(once.answer, once.state)
        self._twice = twice.state
        self._stores = self._key(_stored(once.state)) != self._key(_stored(self._before))

    def behaviour(self, plan: FaultPlan) -> FaultBehaviour:
        """What the call shows while ``plan`` strikes, and what heals it.

        Raises:
            SubjectError: the call breaks the rules of a world, or does not end although it was cancelled.
        """
        program = self._prelude.then(Struck(self._call, plan))
        with self._named(program):
            try:
                return self._judged(program, plan)
            except FaultError as error:
                return self._behaviour(program, Ending.NOT_STRUCK, why=str(error))

    def again(self, behaviour: FaultBehaviour) -> tuple[State, list[tuple[str, Shown]]]:
        """What was done for ``behaviour`` once more: the state before, and each act with what it is called."""
        struck = behaviour.program.struck
        assert struck is not None, "what was judged was struck"
        acts: list[Act] = [struck]
        anew = behaviour.ending is Ending.RESTART or behaviour.told in (Told.GONE, Told.ENDLESS)
        if behaviour.told is not Told.AS_HEALTHY:
            acts += [NewReplica(self._call.replica), self._call] if anew else [self._call]
        with self._named(behaviour.program):
            before, shown = self._performer.endure(self._prelude, acts, self._background(struck.plan))
        words = [struck.text, *(["a new replica is started"] if anew else []), f"{self._call.text} again"]
        return before, list(zip(words, shown, strict=False))

    def _judged(self, program: Program, plan: FaultPlan) -> FaultBehaviour:
        def enough(shown: Shown) -> bool:  # what it takes to know more is another run, and this one is not over
            return shown.unstruck or self._told(shown.answer, plan) in _NO_RETRY or self._same(shown, self._once)

        struck, *others = self._run(plan, self._call, enough=enough)
        if struck.unstruck:
            taken = f"{len(self.steps)} step" + "s" * (len(self.steps) != 1)
            why = f"`{plan.faults[0].text}` found nothing to strike: the call takes {taken} if nothing goes wrong"
            return self._behaviour(program, Ending.NOT_STRUCK, why=why)
        unnoticed = self._arrived(struck, plan)
        self._performer.judge_struck(program, self._before, (struck,))
        if unnoticed:
            return self._behaviour(program, Ending.UNNOTICED)
        told = self._told(struck.answer, plan)
        if others:
            self._performer.judge_struck(program, self._before, (struck, *others))
        ending, end = self._healed(plan, told, [struck, *others])
        state = self._settled(struck.state, struck.seconds, (self._once.state, self._before))
        return self._behaviour(
            program, ending, told=told, done=self._done(struck, plan), answer=struck.answer,
            effects=effects(self._before, state), events=struck.events, in_doubt=_in_doubt(plan, told),
            left=() if end is None else self._left(end, plan, anew=end not in (struck, *others)),
        )  # fmt: skip

    def _healed(self, plan: FaultPlan, told: Told, shown: Sequence[Shown]) -> tuple[Ending, Shown | None]:
        """The ending, and where nothing healed it the end that is to be told of.

        ``shown`` is the struck call and, unless nobody would make it, or nobody is left to answer it, the one after it.
        """
        if told is Told.AS_HEALTHY:
            return Ending.LEFT, shown[0]
        if len(shown) > 1 and self._arrived(shown[1], plan):
            return Ending.RETRY, None
        struck, _, anew = self._run(plan, NewReplica(self._call.replica), self._call)
        if len(shown) == 1:  # nobody was left to answer a second call: this one is it
            program = self._prelude.then(Struck(self._call, plan))
            self._performer.judge_struck(program, self._before, (struck, anew), anew=True)
        if self._arrived_anew(anew, plan):
            return Ending.RESTART, None
        return Ending.LEFT, shown[1] if len(shown) > 1 else anew

    def _run(self, plan: FaultPlan, *acts: Act, enough: Callable[[Shown], bool] | None = None) -> list[Shown]:
        lane = self._background(plan)
        return self._performer.endure(self._prelude, (Struck(self._call, plan), *acts), lane, enough)[1]

    def _background(self, plan: FaultPlan) -> tuple[object, ...] | None:
        """The lane of the step that is struck, where that is not the call's own."""
        number = plan.faults[0].step
        lane = self.steps[number - 1].lane if number <= len(self.steps) else None
        return None if lane == ("replica", self._call.replica) else lane

    def _behaviour(self, program: Program, ending: Ending, **found: object) -> FaultBehaviour:
        assert program.struck is not None, "a trial is of what is struck"
        number = program.struck.plan.faults[0].step
        step = self._spelled[number - 1] if number <= len(self._spelled) else ""
        kind = self._performer.kind_after(self._prelude)
        return FaultBehaviour(
            subject=self._name, program=program, kind=kind, step=step, ending=ending,
            **found,  # type: ignore[arg-type]  # as its callers give them
        )  # fmt: skip

    @contextmanager
    def _named(self, program: Program) -> Iterator[None]:
        """Say of what goes wrong in which program it did."""
        try:
            yield
        except WorldError as error:
            raise SubjectError(f"{self._name}, in `{program.text}`: {error}") from error

    # Where a healthy call leads.

    def _arrived(self, shown: Shown, plan: FaultPlan) -> bool:
        """Whether ``shown`` is as after a healthy call, its memory too."""
        return any(self._same(shown, aim) for aim in self._aims(plan, shown.seconds))

    def _arrived_anew(self, shown: Shown, plan: FaultPlan) -> bool:
        """The same of a new replica, whose memory is another one: as after a call of the old one, or of a new one."""
        aims = (*self._aims(plan, shown.seconds), self._aim(NewReplica(self._call.replica), self._call))
        return any(self._same(shown, aim, stored=True) for aim in aims)

    def _aims(self, plan: FaultPlan, seconds: float) -> Iterator[_Aim]:
        """Where a healthy call leads: as it is, and with what has nothing to do with it before or after it."""
        yield self._once
        beside: list[Act] = [Move(seconds)] if seconds > LONG_S else []
        beside += [ServerRestart()] * any(fault.kind is FaultKind.SERVER_RESTART for fault in plan.faults)
        for act in beside:
            yield self._aim(act, self._call)
            yield self._aim(self._call, act)

    def _aim(self, *acts: Act) -> _Aim:
        if acts not in self._known:
            _, shown = self._performer.endure(self._prelude, acts)
            answer = shown[acts.index(self._call)].answer
            self._known[acts] = self._aimed(answer, shown[-1].state)
        return self._known[acts]

    def _aimed(self, answer: str, state: State) -> _Aim:
        return _Aim(answer, state, key=self._key(state, answer), key_stored=self._key(_stored(state), answer))

    def _same(self, shown: Shown, aim: _Aim, *, stored: bool = False) -> bool:
        if shown.answer != aim.answer and "#" not in shown.answer:  # as most often, and cheaply told
            return False
        state = self._settled(shown.state, shown.seconds, (aim.state,))
        found = self._key(_stored(state) if stored else state, shown.answer)
        return found == (aim.key_stored if stored else aim.key)

    def _key(self, state: State, answer: str = "") -> str:
        text = "\n".join((answer, *(f"{path}={value}" for path, value in state.leaves())))
        return renumbered(text, self._performer.roles)

    @staticmethod
    def _settled(state: State, seconds: float, others: Sequence[State]) -> State:
        """``state``, each time to live as the first of ``others`` has it that differs by no more than ``seconds``."""
        if seconds == 0:
            return state
        entries = {word: state[word] for word in state.words()}
        for word, entry in entries.items():
            near = (known for other in others if (known := other.entry(word)) is not None)
            ttl = next((known.ttl for known in near if _near(entry.ttl, known.ttl, seconds)), entry.ttl)
            entries[word] = Entry(kind=entry.kind, ttl=ttl, value=entry.value)
        return State(entries)

    # What it did.

    @staticmethod
    def _cancelled(plan: FaultPlan) -> bool:
        return any(fault.kind in _CANCELLED for fault in plan.faults)

    def _told(self, answer: str, plan: FaultPlan) -> Told:
        if answer in _NO_ANSWER:
            return _NO_ANSWER[answer]
        if self._cancelled(plan) and self._background(plan) is None:
            return Told.GAVE_UP if answer.startswith(_GONE) else Told.GOES_ON
        if self._key(State({}), answer) == self._key(State({}), self._once.answer):
            return Told.AS_HEALTHY
        return Told.FAILED if answer.startswith("raises ") else Told.OTHERWISE

    def _done(self, struck: Shown, plan: FaultPlan) -> Done:
        """What the call did to what is stored; where a healthy one stores nothing, to what is remembered."""
        part = _stored if self._stores else lambda state: state
        before, once = part(self._before), part(self._once.state)
        state = self._settled(part(struck.state), struck.seconds, (once, before))
        if any(fault.kind in _SPOILT for fault in plan.faults) and _damaged(state, before):
            return Done.DAMAGE
        key = self._key(state)
        if key == self._key(before):
            return Done.NOTHING
        if key == self._key(once):
            return Done.ALL
        if key == self._key(part(self._twice)):
            return Done.TWICE
        return Done.HALF if _between(state, before, once) else Done.OTHER

    def _left(self, end: Shown, plan: FaultPlan, *, anew: bool) -> tuple[str, ...]:
        """The lines by which the end differs from the nearest of a healthy call."""
        return min((self._lines(end, aim, anew=anew) for aim in self._aims(plan, end.seconds)), key=len)

    def _lines(self, end: Shown, aim: _Aim, *, anew: bool) -> tuple[str, ...]:
        state = self._settled(end.state, end.seconds, (aim.state, self._before))
        ours, theirs = (_stored(aim.state), _stored(state)) if anew else (aim.state, state)
        answered = self._key(State({}), end.answer) == self._key(State({}), aim.answer)
        answer = () if answered else (f"answer {aim.answer} -> {end.answer}",)
        return (*effects(ours, theirs), *answer)


def _in_doubt(plan: FaultPlan, told: Told) -> bool:
    """Whether the caller cannot know what became of the step that was struck."""
    return told not in (Told.AS_HEALTHY, Told.OTHERWISE) and not all(fault.kind in _KNOWN for fault in plan.faults)


def _stored(state: State) -> State:
    """What of a state is in Redis."""
    return State({word: state[word] for word in state.words() if state[word].kind != "memory"})


def _near(ttl: str, other: str, seconds: float) -> bool:
    if "none" in (ttl, other) or ttl == other:
        return ttl == other
    return abs(float(ttl[:-1]) - float(other[:-1])) <= seconds + _SLACK_S


def _between(state: State, before: State, once: State) -> bool:
    """Whether each part of ``state`` is as before or as after a healthy call; a key that came may lack its time to live."""
    found, old, new = (dict(each.leaves()) for each in (state, before, once))
    return all(
        found.get(path) in (old.get(path), new.get(path)) or (path.endswith(" ttl") and path in new and path not in old)
        for path in {*found, *old, *new}
    )


def _damaged(state: State, before: State) -> bool:
    """Whether what a fault put there is still there."""
    return any(put in line for put in _PUT_THERE for line in effects(before, state))


def spelled(step: Step, words: Words) -> str:
    """What a step is, without its values: ``EXPIRE seen(s1)``, ``MULTI {SET, SADD, EXPIRE}``."""
    if len(step.commands) == 1:
        return _command(step.commands[0], words)
    names = [
        command[0].decode(errors="replace").upper() for command in step.commands if command[0].upper() not in _FRAME
    ]
    return f"MULTI {{{', '.join(dict.fromkeys(names))}}}"


def _command(command: tuple[bytes, ...], words: Words) -> str:
    touched = footprint_of((command,))
    keys = {name for place, name in touched.reads | touched.writes | touched.adds if isinstance(place, int)}
    named = [words.of(word) for word in command[1:] if word in keys]
    return " ".join([command[0].decode(errors="replace").upper(), *named[:1]])
