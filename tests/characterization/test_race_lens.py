"""The race lens: from which states it starts, which pairs it takes, and what a subject may add by hand."""

from __future__ import annotations

from typing import Any

import pytest

from characterization import Bounds, Subject, World, operation, small
from characterization.errors import SubjectError
from characterization.lenses.race import litmus, pairs, programs, replicas_of, starts_of
from characterization.program import Program, parse
from tests.characterization import demo


class Basket(Subject):
    """Two operations, one of which takes an argument."""

    name = "demo.basket"
    final = ("close",)

    def replica(self, world: World) -> Any:
        return world.redis()

    @operation(item=small("a", "b"))
    async def add(self, redis: Any, item: str) -> int:
        return int(await redis.sadd("basket", item))

    @operation()
    async def close(self, redis: Any) -> None:
        """Ends the replica."""


class Two(Basket):
    """The same on two processes."""

    replicas = 2


STATES = {"00": "", "0a": "add a", "0b": "add b", "0c": "add a ; add b", "0d": "add a ; clock +5s", "0e": "close"}
KINDS = {
    "00": "empty",
    "0a": "one",
    "0b": "one",
    "0c": "two",
    "0d": "expired",
    "0e": "closed",
}


def started(
    states: dict[str, str] = STATES, kinds: dict[str, str] = KINDS, starts: int = 8, subject: type[Subject] = Basket
) -> list[str]:
    """The starts of a subject with these states and that bound."""

    class Bounded(subject):  # type: ignore[misc, valid-type]  # a bound of its own
        bounds = Bounds(starts=starts)

    return [each.text for each in starts_of(Bounded, {name: parse(text) for name, text in states.items()}, kinds)]


# Starts.


def test_every_state_is_a_start_where_there_are_few() -> None:
    assert started() == ["", "add a", "add b", "add a ; add b"]


@pytest.mark.parametrize(
    ("starts", "texts"),
    [(1, [""]), (2, ["", "add a"]), (3, ["", "add a", "add a ; add b"]), (4, ["", "add a", "add b", "add a ; add b"])],
)
def test_one_of_each_kind_comes_first_and_then_the_shortest(starts: int, texts: list[str]) -> None:
    assert started(starts=starts) == texts


def test_no_time_has_passed_in_a_start_and_no_replica_has_ended() -> None:
    assert started({"0a": "clock +5s", "0b": "close", "0c": "add a ; close", "0d": "clock +5s ; add a"}) == []
    assert started({"0a": "close"}, subject=demo.Counter) == ["close"]


def test_a_state_whose_kind_is_not_known_is_no_start() -> None:
    assert started(kinds={"0c": "two"}) == ["add a ; add b"]
    assert started({}) == []


def test_starts_do_not_depend_on_the_order_in_which_states_were_found() -> None:
    assert started(dict(reversed(STATES.items())), starts=3) == started(starts=3)


# Pairs.


def paired(subject: type[Subject], *starts: str) -> list[str]:
    return [each.text for each in pairs(subject, [parse(start) for start in starts])]


def test_every_two_calls_meet_on_one_replica_and_on_two() -> None:
    assert paired(Basket, "") == [
        "{ add a || add a }", "{ add a || add a @2 }",
        "{ add a || add b }", "{ add a || add b @2 }",
        "{ add a || close }", "{ add a || close @2 }",
        "{ add b || add b }", "{ add b || add b @2 }",
        "{ add b || close }", "{ add b || close @2 }",
        "{ close || close }", "{ close || close @2 }",
    ]  # fmt: skip


def test_where_a_process_may_remember_each_call_is_made_on_either() -> None:
    both = paired(Two, "")
    assert [text for text in both if "add a" in text and "close" in text] == [
        "{ add a || close }", "{ add a || close @2 }", "{ close || add a @2 }",
    ]  # fmt: skip
    assert both.count("{ add a || add a @2 }") == 1
    assert set(both) > set(paired(Basket, ""))


def test_every_pair_meets_from_every_start() -> None:
    found = paired(Basket, "", "add b")
    assert found[len(found) // 2 :] == [f"add b ; {text}" for text in found[: len(found) // 2]]
    assert paired(Basket) == []


# By hand.


def declaring(*spelled: str, subject: type[Subject] = Basket) -> type[Subject]:
    """A subject that declares these programs."""

    class Declaring(subject):  # type: ignore[misc, valid-type]  # with programs of its own
        litmus = spelled

    return Declaring


def test_a_subject_adds_programs_with_more_clients_more_calls_and_the_clock() -> None:
    texts = ["add a ; { add a ; add b || add b @2 || close || clock +5s }", "{add a||add b}"]
    found = litmus(declaring(*texts))
    assert [each.text for each in found] == [texts[0], "{ add a || add b }"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{ add a || add b", "does not end with the brace"),
        ("{ add a || fly }", "has no operation called 'fly'; it has add, close"),
        ("fly ; { add a || add b }", "has no operation called 'fly'"),
        ("{ add a || add z }", "add has no item called 'z'; it has a, b"),
        ("{ add a || add }", "add takes 1 arguments, `add` has 0"),
        ("add a ; add b", "nothing in it is at once, as in `save s1 ; { get s1 || save s1 }`"),
        ("", "nothing in it is at once"),
    ],
)
def test_a_program_by_hand_that_cannot_be_looked_at_is_named(text: str, says: str) -> None:
    with pytest.raises(SubjectError, match=says) as caught:
        litmus(declaring("{ add a || add a }", text))
    assert f"Declaring.litmus, `{text}`: " in str(caught.value)


def test_a_program_by_hand_that_is_a_pair_is_looked_at_once() -> None:
    plain, declared = programs(Basket, [Program()]), programs(declaring("{ add a || close @2 }"), [Program()])
    assert declared == plain
    assert [each.text for each in plain] == sorted(paired(Basket, ""))
    assert len(programs(declaring("{ add a || add a || add a }"), [Program()])) == len(plain) + 1


@pytest.mark.parametrize(
    ("subject", "text", "count"),
    [
        (Basket, "{ add a || add b }", 1),
        (Basket, "{ add a || add b @2 }", 2),
        (Basket, "add a @3 ; { add a || add b @2 }", 3),
        (Two, "{ add a || add b }", 2),
        (Two, "{ add a ; add a @4 || add b }", 4),
        (Two, "{ clock +5s }", 2),
    ],
)
def test_a_program_has_as_many_replicas_as_the_subject_or_more_if_it_names_more(
    subject: type[Subject], text: str, count: int
) -> None:
    assert replicas_of(subject, parse(text)) == count
