"""Subjects: what an author declares, and what is refused before anything runs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import characterization
from characterization import Subject, operation, small
from characterization.errors import ProgramError, SubjectError
from characterization.program import Call
from characterization.state import Entry, State
from characterization.subject import moves
from tests.characterization import demo
from tests.characterization.properties import quick


def test_operations_are_those_of_the_class_and_of_its_bases_in_order() -> None:
    class More(demo.Counter):
        @operation()
        async def look(self, redis: Any) -> None:
            """Look at it.

            And nothing else.
            """

    assert list(More.operations()) == ["increment", "reset", "look"]
    assert More.operations()["look"].summary == "Look at it."


def test_laws_are_named_with_their_reason() -> None:
    assert demo.Counter.laws() == {"it_never_counts_backwards": "Counted is counted."}


def test_every_operation_is_called_with_every_value_on_every_replica() -> None:
    assert [call.text for call in demo.Members.calls()] == ["add x", "forget", "add x @2", "forget @2"]
    assert [call.text for call in demo.Queue.calls()] == ["put j", "put other", "take", "close"]


class Odd(Subject):
    """For arguments that do not fit."""

    @operation(one=small("a"), two=small(1, 2))
    async def do(self, replica: Any, one: str, two: int) -> None: ...


def test_a_call_is_bound_to_the_values_that_its_labels_stand_for() -> None:
    assert Odd.operations()["do"].bind(Call(operation="do", labels=("a", "2"))) == {"one": "a", "two": 2}


@pytest.mark.parametrize(
    ("labels", "says"),
    [(("a",), "do takes 2 arguments, `do a` has 1"), (("a", "3"), "has no two called '3'; it has 1, 2")],
)
def test_a_call_that_does_not_fit_is_refused(labels: tuple[str, ...], says: str) -> None:
    with pytest.raises(SubjectError, match=says):
        Odd.operations()["do"].bind(Call(operation="do", labels=labels))


@pytest.mark.parametrize("values", [("1", 1), (b"x", "x"), ("a", "a"), (None, "null")])
def test_two_values_that_are_spelled_alike_do_not_hide_one_another(values: tuple[object, ...]) -> None:
    with pytest.raises(SubjectError, match="spelled alike, and one would be lost: give them labels"):
        small(*values)


def test_a_label_may_not_be_given_twice() -> None:
    with pytest.raises(SubjectError, match="spelled alike"):
        small("a", a="b")


def test_a_value_without_a_spelling_is_given_by_label() -> None:
    thing = object()
    assert small(thing=thing).values == {"thing": thing}
    with pytest.raises(ProgramError, match="has no short spelling"):
        small(thing)


@quick
@given(st.data())
def test_the_wide_strategy_is_the_few_values_where_there_is_none(data: st.DataObject) -> None:
    assert data.draw(small("a", "b").strategy()) in ("a", "b")
    assert data.draw(small("a", wide=st.just("z")).strategy()) == "z"


class NothingDeclared(Subject):
    pass


class NotAsync(Subject):
    @operation()
    def do(self, replica: Any) -> None: ...


class EmptySmall(Subject):
    @operation(one=small())
    async def do(self, replica: Any, one: str) -> None: ...


class OtherArguments(Subject):
    @operation(one=small("a"))
    async def do(self, replica: Any, two: str) -> None: ...


class TooFewArguments(Subject):
    @operation()
    async def do(self, replica: Any, two: str) -> None: ...


class OtherOrder(Subject):
    @operation(two=small("a"), one=small("a"))
    async def do(self, replica: Any, one: str, two: str) -> None: ...


class CalledClock(Subject):
    @operation()
    async def clock(self, replica: Any) -> None: ...


class CalledCrash(Subject):
    @operation()
    async def crash(self, replica: Any) -> None: ...


class CalledReplicas(Subject):
    @operation()
    async def replicas(self, replica: Any) -> None: ...


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (NothingDeclared, r"NothingDeclared has no operations: mark its async methods with @operation\(\.\.\.\)"),
        (NotAsync, "NotAsync.do is an operation and must be `async def`"),
        (EmptySmall, r"EmptySmall.do has nothing to try for one: give small\(\) some values"),
        (
            OtherArguments,
            "takes two after the replica, but its @operation names one: give each argument its few values",
        ),
        (TooFewArguments, "takes two after the replica, but its @operation names nothing"),
        (OtherOrder, "takes one, two after the replica, but its @operation names two, one"),
        (CalledClock, "CalledClock.clock: `clock` has a meaning of its own in programs"),
        (CalledCrash, "CalledCrash.crash: `crash` has a meaning of its own"),
        (CalledReplicas, "CalledReplicas.replicas: `replicas` has a meaning of its own"),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused(kind: type[Subject], says: str) -> None:
    with pytest.raises(SubjectError, match=says):
        kind.operations()


def test_the_default_replica_says_what_to_write() -> None:
    with pytest.raises(
        SubjectError, match=r"Subject does not say how to start a replica: write `def replica\(self, world\)`"
    ):
        Subject().replica(None)  # type: ignore[arg-type]


def test_by_default_nothing_is_seen_of_memory_and_a_state_is_named_by_its_words() -> None:
    state = State({"b": Entry(kind="string", ttl="none", value=1), "a": Entry(kind="string", ttl="none", value=1)})
    assert Subject().local(object()) is None
    assert Subject().kind(state) == "a, b"
    assert Subject().kind(State({})) == "the empty world"


def test_the_clock_moves_to_just_before_and_after_each_horizon() -> None:
    assert moves([10, 0.5]) == [0.499, 0.5, 0.501, 9.999, 10, 10.001]
    assert moves([]) == []


@pytest.mark.parametrize("horizon", [0, -1, 0.001, math.inf, math.nan])
def test_horizons_that_no_clock_can_reach_are_refused(horizon: float) -> None:
    with pytest.raises(SubjectError, match="horizons are positive numbers of seconds, longer than a millisecond"):
        moves([horizon])


def test_what_subjects_are_written_with_is_imported_from_one_place() -> None:
    assert characterization.Subject is Subject
    assert characterization.seconds(3) == 3
    assert set(characterization.__all__) == set(characterization._PUBLIC)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        characterization.nothing  # noqa: B018 - asking is the test
