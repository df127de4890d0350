"""Outcomes: answers as Python spells them, effects one line for each thing, costs."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
from typing import Any, ClassVar

import pytest
from hypothesis import given

from characterization.outcome import answer_text, cost_of, effects, event_text, metrics_moved, spell
from characterization.renaming import Renamer
from characterization.state import Entry, State
from simulator.events import Event
from simulator.gate import Cost
from tests.characterization import demo
from tests.characterization.properties import quick
from tests.characterization.test_state import states

RENAMER = Renamer(1_893_456_000_000_000_000, [b"12345678"])


@quick
@given(states, states)
def test_there_are_effects_exactly_when_two_states_differ(one: State, two: State) -> None:
    assert effects(one, one) == ()
    seen_alike = list(one.leaves()) == list(two.leaves())
    assert (effects(one, two) == ()) == seen_alike


def state(**entries: Entry) -> State:
    return State(entries)


def test_a_key_that_came_shows_its_kind_its_time_to_live_and_its_fields() -> None:
    came = state(main=Entry(kind="hash", ttl="60s", value={"a": 1, "b": {"c": "x"}}))
    assert effects(state(), came) == ("+ main (hash) ttl 60s", "main.a = 1", "main.b.c = x")
    assert effects(came, state()) == ("- main",)


def test_members_come_and_go_each_on_a_line() -> None:
    one = state(index=Entry(kind="set", ttl="none", value=frozenset("ab")))
    two = state(index=Entry(kind="set", ttl="5s", value=frozenset("bc")))
    assert effects(one, two) == ("index ttl none -> 5s", "index -a", "index +c")
    assert effects(state(), one) == ("+ index (set) ttl none", "index +a", "index +b")


def test_fields_change_appear_and_go() -> None:
    one = state(main=Entry(kind="hash", ttl="none", value={"n": 1, "old": 2}))
    two = state(main=Entry(kind="hash", ttl="none", value={"n": 2, "new": 3}))
    assert effects(one, two) == ("main.n 1 -> 2", "main.new = 3", "main.old 2 -> gone")


def test_true_is_not_one_although_python_takes_them_for_equal() -> None:
    one = state(main=Entry(kind="string", ttl="none", value={"paid": True}))
    two = state(main=Entry(kind="string", ttl="none", value={"paid": 1}))
    assert effects(one, two) == ("main.paid true -> 1",)
    assert one != two


def test_a_key_of_another_kind_came_in_place_of_the_old_one() -> None:
    one = state(k=Entry(kind="string", ttl="none", value="in"))
    two = state(k=Entry(kind="list", ttl="none", value=["in"]))
    assert effects(one, two)[0] == "+ k (list) ttl none, was a string"


def test_memory_has_no_time_to_live() -> None:
    assert effects(state(), state(memory=Entry(kind="memory", ttl="none", value=1))) == (
        "+ memory (memory)",
        "memory = 1",
    )


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    label: str


Pair = collections.namedtuple("Pair", "left right")


class Attrs:
    class _Field:
        name = "size"

    __attrs_attrs__ = (_Field,)
    size = 3


class Model:
    model_fields: ClassVar = {"id": None}
    id = 4


class Plain:
    pass


class Held(collections.UserList[int]):
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (3, "3"),
        (1_893_456_060, "t+60s"),
        (1.5, "1.5"),
        ("it's", '"it\'s"'),
        (b"raw", "b'raw'"),
        (b"\xff", "b'\\xff'"),
        (b"12345678".hex().encode(), "b'token#1'"),
        (Colour.RED, "Colour.RED"),
        (datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC), "t+0s"),
        (
            datetime.datetime(1999, 1, 1, tzinfo=datetime.UTC),
            "datetime.datetime(1999, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)",
        ),
        ({"b": 1, "a": {2, 1}}, "{'a': {1, 2}, 'b': 1}"),
        (set(), "set()"),
        (frozenset("a"), "{'a'}"),
        (ValueError("no"), "ValueError('no')"),
        (Point(1, "p"), "Point(x=1, label='p')"),
        (Pair(1, 2), "Pair(left=1, right=2)"),
        (Attrs(), "Attrs(size=3)"),
        (Model(), "Model(id=4)"),
        ((1,), "(1,)"),
        ((1, 2), "(1, 2)"),
        ([1, [2]], "[1, [2]]"),
        (Held([1]), "[1]"),
        (Plain(), "<tests.characterization.test_outcome.Plain object>"),
        (Point, "<class 'tests.characterization.test_outcome.Point'>"),
    ],
)
def test_a_value_is_spelled_as_python_spells_it_without_what_varies(value: object, text: str) -> None:
    assert spell(value, RENAMER) == text


def test_what_is_raised_is_an_answer() -> None:
    assert answer_text("returned", "x", RENAMER) == "'x'"
    error = KeyError("lock 12345678 of <Lock at 0x7f00aa>".replace("12345678", b"12345678".hex()))
    assert answer_text("raised", error, RENAMER) == "raises KeyError(\"'lock token#1 of <Lock>'\")"


def test_events_are_the_callbacks_and_the_log() -> None:
    assert event_text(Event(kind="log", name="warning full at 1893456001"), RENAMER) == "log warning full at t+1s"
    assert event_text(Event(kind="callback", name="created", details=("s1", 2)), RENAMER) == "callback created('s1', 2)"


def test_metrics_are_shown_by_how_far_they_moved() -> None:
    assert metrics_moved({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 3.5, "c": 1.0}) == ["metric b +1.5", "metric c +1"]
    assert metrics_moved({"gone": 2.0}, {}) == ["metric gone -2"]


def test_the_cost_is_what_was_spent_in_between() -> None:
    assert cost_of(Cost(commands=1, trips=1, sent=10), Cost(commands=4, trips=2, sent=50)) == (3, 1, 40)


def test_what_is_seen_leaves_out_the_cost_and_the_names_of_states() -> None:
    one: Any = demo.outcome(answer="1")
    assert one.seen == dataclasses.replace(one, cost=(9, 9, 9), before="x", after="y", kind="z").seen
    assert one.seen != dataclasses.replace(one, answer="2").seen
