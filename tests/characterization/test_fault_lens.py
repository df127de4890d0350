"""Which calls are struck by what; how a program says so."""

from __future__ import annotations

import pytest

from characterization.errors import ProgramError
from characterization.lenses import fault
from characterization.performing import Performer
from characterization.program import parse
from simulator.gate import Step
from simulator.world import World
from tests.characterization import demo


def step(*commands: str, place: int = 0) -> Step:
    return Step(
        lane=("replica", 1), connection=1, commands=tuple(tuple(each.encode().split()) for each in commands), replies=(),
        place=place,
    )  # fmt: skip


def test_a_program_says_what_goes_wrong_in_its_last_call() -> None:
    program = parse("save s1 ; get 'a ! b' @2 ! reply lost @2, refused @3+")
    assert program.text == "save s1 ; get 'a ! b' @2 ! reply lost @2, refused @3+"
    assert (program.lens, program.subject_of) == ("fault", "get")
    assert program.healthy.text == "save s1 ; get 'a ! b' @2"
    assert [call.operation for call in program.calls] == ["save", "get"]
    assert (program.healthy.struck, program.healthy.healthy) == (None, program.healthy)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("get s1 ! lost @1", "`get s1 ! lost @1`: 'lost @1' is no fault"),
        ("get s1 ! ", "is no fault"),
        ("get s1 ! reply lost @1+", "`reply lost` strikes once"),
    ],
)
def test_what_is_no_fault_is_refused(text: str, why: str) -> None:
    with pytest.raises(ProgramError, match=why):
        parse(text)


def test_a_program_of_another_lens_is_not_struck() -> None:
    with World(demo.SEED) as world, pytest.raises(ProgramError, match="comes last in a program of the fault lens"):
        Performer(demo.Counter(), world).perform(parse("increment ! busy @1"))


def test_each_step_is_struck_by_each_fault_that_there_is_at_it() -> None:
    plans = [plan.text for plan in fault.plans([step("GET a"), step("SET a 1", place=1)])]
    assert len(plans) == len(set(plans))
    assert {plan for plan in plans if "@1" in plan} == {
        "refused @1", "refused @1+", "busy @1", "busy @1+", "loading @1", "loading @1+", "reply lost @1", "reset @1",
        "reset @1, refused @2+", "reply late 60s @1", "cancelled before @1", "cancelled after @1", "crash before @1",
        "crash after @1", "server restart @1", "clock jump 3600s @1", "corrupt @1", "foreign @1",
    }  # fmt: skip
    assert {"dropped @2", "dropped @2, refused @3+", "read only @2+", "out of memory @2+"} <= set(plans)
    assert not {"refused @2", "read only @1+", "read only @2", "out of memory @2", "script killed @2"} & set(plans)


def test_every_call_is_made_from_every_start_on_the_first_replica() -> None:
    programs = fault.programs(demo.Ledger, [parse(""), parse("count")])
    texts = [program.text for program in programs]
    assert texts == sorted(["count", "rest", "write e", "count ; count", "count ; rest", "count ; write e"])


def test_starts_are_one_of_each_kind_as_many_as_the_bounds_say() -> None:
    seen = demo.walked(demo.Ledger)
    states = {each.outcome.before: each.program.prelude for each in seen}
    kinds = {each.outcome.before: each.outcome.kind for each in seen}
    starts = fault.starts_of(demo.Ledger, states, kinds)
    assert [start.text for start in starts] == ["", "count", "write e", "count ; write e"]
