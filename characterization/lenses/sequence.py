"""The sequence lens: breadth first over a subject's states.

From the empty world, every operation with every argument of its small set; the world afterwards is the next state; and
so on until no new state appears. A state is kept by the shortest program that leads to it (of equally short ones, the
first by spelling), so that what is found depends neither on the order nor on the number of workers. Behind an operation
that ends a replica it looks one step far, from one state of each kind.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from characterization.behaviour import Behaviour
from characterization.errors import EndlessStatesError
from characterization.lenses.runner import Progress, Runner
from characterization.program import Call, Part, Program
from characterization.subject import Subject

# `main(s1).relay_count 1 -> 2` and `main(s1).relay_count = 2`: a field that takes a value.
_CHANGE = re.compile(r"(?P<path>[^+\- ]\S*(?: ttl)?) (?:= |\S+ -> )(?P<value>.+)")

_CAME = re.compile(r"\+ (?P<word>\S+) \(")


class Walk:
    """A walk over the states of ``subject``: what is known so far, and a way to look at more.

    ``states`` has each state's name with the shortest program that leads to it; ``behaviours`` every transition.
    """

    def __init__(self, subject: Subject, runner: Runner, done: Progress) -> None:
        self.subject = subject
        self.states: dict[str, Program] = {}
        self.kinds: dict[str, str] = {}
        self.behaviours: dict[Program, Behaviour] = {}
        self._ended: set[tuple[Call, str]] = set()
        self._runner = runner
        self._done = done

    def expand(self, starts: Sequence[Program], parts: Sequence[Part]) -> list[Program]:
        """Take each of ``parts`` from each of ``starts``; the shortest programs to the states that were not known before.

        Raises:
            EndlessStatesError: there are more states than the subject's bound.
        """
        programs = [start.then(part) for start in starts for part in parts]
        reached: dict[str, Program] = {}
        for program, outcome in zip(programs, self._runner.run(programs, self._done), strict=True):
            self.behaviours[program] = Behaviour(subject=type(self.subject).name, program=program, outcome=outcome)
            self.states.setdefault(outcome.before, program.prelude)
            self.kinds[outcome.before] = outcome.kind
            if outcome.after not in self.states:
                reached[outcome.after] = min(program, reached.get(outcome.after, program), key=lambda each: each.order)
        self.states.update(reached)
        followed = [
            program for program in sorted(reached.values(), key=lambda each: each.order) if self._leads_on(program)
        ]
        if len(self.states) > type(self.subject).bounds.states:
            raise EndlessStatesError(self._growth())
        return followed

    def _leads_on(self, program: Program) -> bool:
        """Whether there is more to see behind ``program``: always, unless a replica was ended in it."""
        final = type(self.subject).final
        if not final:
            return True
        if any(isinstance(part, Call) and part.operation in final for part in program.prelude.parts):
            return False
        last = program.parts[-1]
        if not isinstance(last, Call) or last.operation not in final:
            return True
        ended = (last, self.behaviours[program].outcome.kind)
        new = ended not in self._ended
        self._ended.add(ended)
        return new

    def _growth(self) -> str:
        bounds = type(self.subject).bounds
        values: dict[str, set[str]] = defaultdict(set)
        words: set[str] = set()
        for behaviour in self.behaviours.values():
            for line in behaviour.outcome.effects:
                if match := _CHANGE.fullmatch(line):
                    values[match["path"]].add(match["value"])
                came = _CAME.match(line)
                if came and (word := _general_word(came["word"])) != came["word"]:
                    values[word].add(came["word"])
                    words.add(word)
        path, seen = max(
            values.items(), key=lambda item: (len(item[1]), item[0]), default=("nothing that is seen", set())
        )
        some = ", ".join(sorted(seen, key=lambda value: (len(value), value))[:5])
        way, field = ("few" if path in words else "cap"), _general(path)
        return (
            f"{type(self.subject).name} has more than {bounds.states} states, or programs of over {bounds.depth} parts. "
            f"What grows is {path} ({some}, …: {len(seen)} in all). Say how it is to be taken when states are compared, in "
            f'the subject:\n    abstractions = [{way}("{field}", 2)]   # or drop("{field}"), or Bounds(states=…)'
        )


def _general(path: str) -> str:
    """``path`` with what stands in parentheses left open: ``main(*).relay_count``."""
    word, bracket, rest = path.partition("(")
    return f"{word}(*){rest.partition(')')[2]}" if bracket else path


def _general_word(word: str) -> str:
    """A key's word with what tells it from its like left open: ``job(*)``, or ``job:*`` where it has no parentheses."""
    return _general(word) if "(" in word else re.sub(r"\d+", "*", word)


def sequence(walk: Walk) -> None:
    """Walk until no new state appears.

    Raises:
        EndlessStatesError: programs grow longer than the subject's bound, or states become too many.
    """
    calls = type(walk.subject).calls()
    starts = [Program()]
    for _ in range(type(walk.subject).bounds.depth):
        starts = walk.expand(starts, calls)
        if not starts:
            return
    raise EndlessStatesError(walk._growth())
