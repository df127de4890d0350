"""Shrinking: of all programs that show a thing, the simplest that can be come by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from characterization.program import AtOnce, Program, parse
from characterization.shrinking import shrunk, simpler, size, values_of
from characterization.unfolding import parts_of
from tests.characterization import prey
from tests.characterization.properties import quick

VALUES = values_of(prey.Leasing.operations(), {})
LONG = (
    "replicas 2 ; come bob @2 ; "
    "{ come bob @2 || leave || come ann @2 || clock +60s : 1 2 3 clock 1*2 2 ! dropped @2, refused @3+ } ; "
    "crash @2 ; leave ! reset @1 ; clock +59.999s ; come bob"
)


def shortest(wanted: str) -> str:
    """What a program shrinks to of which something has to stay. It is run as it stands."""
    return shrunk(parse(LONG), lambda each: each if wanted in each.text else None, VALUES).text


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ("come bob", "come bob"),
        ("come", "come ann"),
        ("leave", "leave"),
        ("crash", "crash @1"),
        ("crash @2", "crash @2"),
        ("clock", "clock +59.999s"),
        ("! reset", "leave ! reset @1"),
        ("refused @3+", "come ann ! refused @3+"),
        ("||", "{ leave || come ann : 2 clock 1*2 }"),
        ("@2 ;", "come ann @2 ; crash @1"),
    ],
)
def test_what_is_not_needed_goes(wanted: str, left: str) -> None:
    assert shortest(wanted) == left


def test_a_thing_that_nothing_simpler_shows_stays() -> None:
    assert shrunk(parse(LONG), lambda _: None, VALUES).text == LONG.removeprefix("replicas 2 ; ")


def test_no_more_candidates_are_run_than_asked_for() -> None:
    runs: list[Program] = []

    def attempt(program: Program) -> None:
        runs.append(program)

    shrunk(parse(LONG), attempt, VALUES, runs_max=7)
    assert len(runs) == 7


def test_a_candidate_is_run_once() -> None:
    runs: list[str] = []

    def attempt(program: Program) -> Program | None:
        runs.append(program.text)
        return program if "leave" in program.text else None

    shrunk(parse(LONG), attempt, VALUES)
    assert len(set(runs)) == len(runs)


calls = st.sampled_from(["come ann", "come bob", "leave", "come ann @2", "leave @2"])
together = st.lists(calls, min_size=1, max_size=3).map(lambda each: f"{{ {' || '.join(each)} : 1 2 1 2*2 3 1 }}")
others = st.sampled_from(["clock +60s", "crash @1", "crash @2", "leave ! dropped @2, refused @3+"])
programs = st.lists(calls | together | others, min_size=1, max_size=5).map(" ; ".join).map(parse)


@quick
@given(programs)
def test_a_candidate_is_spelled_as_programs_are_and_names_no_replica_that_was_not_there(program: Program) -> None:
    for candidate in simpler(program, VALUES):
        assert parse(candidate.text) == candidate or not candidate.parts
        assert candidate.processes <= max(2, program.processes)
        for part in parts_of(candidate):
            assert not isinstance(part, AtOnce) or part.clients


@quick
@given(programs)
def test_shrinking_ends_and_never_makes_a_program_larger(program: Program) -> None:
    left = shrunk(program, lambda each: each if each.parts else None, VALUES)
    assert size(left, VALUES) <= size(program, VALUES)
    assert len(parts_of(left)) <= 1
