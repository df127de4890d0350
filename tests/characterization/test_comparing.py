"""Comparing: which kind of change, and which changes are one and the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given

from characterization.comparing import GROUPS_MAX, Change, Difference, Kind, compare, differences
from tests.characterization import demo
from tests.characterization.demo import behaviour, recording
from tests.characterization.properties import quick
from tests.characterization.test_baseline import recordings


@quick
@given(recordings)
def test_a_recording_does_not_differ_from_itself(one: Any) -> None:
    result = compare(one, one)
    assert (result.changes, result.groups, result.changed) == ((), (), False)
    assert result.compared == result.total == len(one)


@quick
@given(recordings, recordings)
def test_a_comparison_read_backwards_turns_new_into_gone_and_keeps_the_rest(one: Any, two: Any) -> None:
    there, back = compare(one, two), compare(two, one)
    assert there.count(Kind.NEW) == back.count(Kind.GONE)
    assert there.count(Kind.RESPONSE, Kind.EFFECT, Kind.COST) == back.count(Kind.RESPONSE, Kind.EFFECT, Kind.COST)
    grouped = {change.program for group in there.groups for change in group.changes}
    assert grouped == {change.program for change in there.changes}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"answer": "1"}, Kind.RESPONSE),
        ({"answer": "1", "effects": ("+ a",), "cost": (2, 2, 2)}, Kind.RESPONSE),
        ({"effects": ("+ a",)}, Kind.EFFECT),
        ({"events": ("log a",), "cost": (2, 2, 2)}, Kind.EFFECT),
        ({"cost": (2, 1, 10)}, Kind.COST),
        ({"before": "1", "after": "2", "kind": "other"}, None),
    ],
)
def test_a_change_is_of_the_gravest_kind_that_it_shows(fields: dict[str, Any], kind: Kind | None) -> None:
    result = compare(recording(behaviour("a")), recording(behaviour("a", **fields)))
    assert [change.kind for change in result.changes] == ([] if kind is None else [kind])
    assert result.changed == (kind not in (None, Kind.COST))


def test_what_is_on_one_side_only_is_new_or_gone() -> None:
    result = compare(recording(behaviour("a")), recording(behaviour("b")))
    assert [(change.kind, change.program.text) for change in result.changes] == [(Kind.GONE, "a"), (Kind.NEW, "b")]
    assert [change.behaviour.program.text for change in result.changes] == ["a", "b"]
    assert all(differences(change) == () for change in result.changes)


def test_what_could_not_be_run_is_neither_changed_nor_gone() -> None:
    result = compare(recording(behaviour("a"), behaviour("b")), recording(behaviour("b")), [("a", "no clock")])
    assert result.changes == ()
    assert result.unrun == (("a", "no clock"),)


def shown(old: dict[str, Any], new: dict[str, Any], kind: Kind = Kind.EFFECT) -> tuple[Difference, ...]:
    return differences(Change(kind=kind, old=behaviour("a", **old), new=behaviour("a", **new)))


def test_two_lines_that_speak_of_the_same_thing_are_one_difference() -> None:
    assert shown({"effects": ("m.n 1 -> 2", "m ttl 1s -> 2s")}, {"effects": ("m.n 1 -> 3", "m ttl 1s -> 9s")}) == (
        Difference(old="m ttl 1s -> 2s", new="m ttl 1s -> 9s"),
        Difference(old="m.n 1 -> 2", new="m.n 1 -> 3"),
    )
    assert shown({"effects": ("+ k (string) ttl 1s",)}, {"effects": ("+ k (hash) ttl 1s",)}) == (
        Difference(old="+ k (string) ttl 1s", new="+ k (hash) ttl 1s"),
    )
    assert shown({"effects": ("m +x",)}, {"events": ("log y",)}) == (
        Difference(old="m +x", new=None),
        Difference(old=None, new="log y"),
    )


def test_a_line_that_stands_twice_on_one_side_is_a_difference() -> None:
    assert shown({"events": ("log a",)}, {"events": ("log a", "log a")}) == (Difference(old=None, new="log a"),)


def test_a_cost_is_spelled_out() -> None:
    assert shown({}, {"cost": (2, 2, 30)}, Kind.COST) == (
        Difference(old="1 command in 1 round trip, 10 bytes", new="2 commands in 2 round trips, 30 bytes"),
    )


def test_the_same_difference_for_other_arguments_is_one_group() -> None:
    old = [behaviour(f"save {name}", effects=(f"main({name}).n 1 -> 2",), kind=name) for name in ("s1", "s2")]
    new = [behaviour(f"save {name}", effects=(f"main({name}).n 1 -> 3",), kind=name) for name in ("s1", "s2")]
    (group,) = compare(recording(*old), recording(*new)).groups
    assert group.shown_by.program.text == "save s1"
    assert group.operations == ["save"]
    assert group.kinds == ["s1", "s2"]
    assert len(group.idents) == 2
    assert not group.follows


def test_another_kind_of_change_is_another_group_and_graver_ones_come_first() -> None:
    old = recording(behaviour("a"), behaviour("b"), behaviour("c"), behaviour("d", answer="1"))
    new = recording(
        behaviour("b", cost=(9, 9, 9)), behaviour("c", effects=("+ x",)), behaviour("d", answer="2"), behaviour("e")
    )
    assert [group.kind for group in compare(old, new).groups] == [
        Kind.RESPONSE,
        Kind.EFFECT,
        Kind.GONE,
        Kind.NEW,
        Kind.COST,
    ]


def test_what_passes_through_a_changed_step_only_follows() -> None:
    old = recording(behaviour("a", effects=("n 1 -> 2",)), behaviour("a ; b", answer="1"), behaviour("c", answer="1"))
    new = recording(behaviour("a", effects=("n 1 -> 3",)), behaviour("a ; b", answer="2"), behaviour("c", answer="2"))
    groups = compare(old, new).groups
    assert [(group.shown_by.program.text, group.follows) for group in groups] == [
        ("c", False),
        ("a", False),
        ("a ; b", True),
    ]


def test_what_comes_after_a_mere_answer_or_another_form_does_not_follow() -> None:
    old = recording(behaviour("a", answer="1", effects=("+ k (string) ttl none",)), behaviour("a ; b", answer="1"))
    new = recording(behaviour("a", answer="2", effects=("+ k (hash) ttl none",)), behaviour("a ; b", answer="2"))
    assert not [group for group in compare(old, new).groups if group.follows]


def test_between_two_designs_there_is_a_group_for_each_line() -> None:
    names = [f"op{chr(97 + number)}" for number in range(GROUPS_MAX + 1)]
    old = recording(*[behaviour(name, effects=(f"{name} = 1", "same = 1")) for name in names], behaviour("zz"))
    new = recording(*[behaviour(name, effects=(f"{name} = 2", "same = 2")) for name in names])
    groups = compare(old, new).groups
    assert [
        len(group.changes) for group in groups if group.differences[:1] == (Difference(old="same = 1", new="same = 2"),)
    ] == [len(names)]
    assert len(groups) == len(names) + 2  # one for each own line, the shared one, and what is gone


def test_a_change_without_sides_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="on one side at least"):
        Change(kind=Kind.NEW, old=None, new=None).behaviour  # noqa: B018 - asking is the test


@pytest.mark.parametrize(("kind", "found"), [(demo.CountsByTwo, Kind.RESPONSE), (demo.DearCounter, Kind.COST)])
def test_a_change_of_the_code_is_seen(kind: Any, found: Kind) -> None:
    result = compare(demo.walked(demo.Counter), demo.walked(kind))
    assert result.groups[0].kind is found
    assert result.groups[0].shown_by.program.text == "increment"


def test_a_recording_can_be_merged_with_others() -> None:
    one = recording(behaviour("a"), behaviour("b"))
    merged = one.merged({"a": None, "c": behaviour("c")})
    assert [each.program.text for each in merged] == ["b", "c"]
    assert ("b" in merged, merged.get("a"), merged["c"].ident) == (True, None, merged["c"].ident)
    assert one.states() == {"00000000"}
    assert dataclasses.replace(one["a"], subject="x").ident == f"x/sequence/a#{one['a'].program.mark}"
