"""Comparing operations at once: what appeared, what vanished and why, and which of that is one interruption."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from characterization.behaviour import Explored, Interruption, RaceBehaviour, RaceOutcome, Recording
from characterization.comparing import compare
from characterization.comparing_races import RaceChange, RaceGroup, compare_races, grouped_races
from characterization.kinds import Kind
from characterization.program import parse
from tests.characterization import demo

BETWEEN = Interruption(
    client=1, operation="add", early="GET", late="SET", words=("main(s1)", "main(s1)"), by=2, other="add", came="SET"
)
SPELLED = "{ add s1 || add s1 @2 }"


def outcome(answer: str = "1", **fields: Any) -> RaceOutcome:
    """An anomaly of two clients, but for ``fields``."""
    plain: dict[str, Any] = {
        "answers": ("1", answer), "effects": (), "events": (), "schedule": f"1 2*2 1 {answer}", "interruption": BETWEEN,
    }  # fmt: skip
    return RaceOutcome(**{**plain, **fields})


def race(*anomalies: RaceOutcome, spelled: str = SPELLED, serial: str = "0a") -> RaceBehaviour:
    """What a program shows: these anomalies, and one outcome that an order has."""
    return RaceBehaviour(
        subject="demo", program=parse(spelled), kind="empty", serial=(("1 2", serial),), anomalies=anomalies,
        explored=Explored(mode="all", classes=3),
    )  # fmt: skip


def compared(old: list[RaceBehaviour], new: list[RaceBehaviour], **options: Any) -> tuple[RaceChange, ...]:
    return compare_races(
        {each.program.text: each for each in old}, {each.program.text: each for each in new}, **options
    )


def kinds(changes: tuple[RaceChange, ...]) -> list[Kind]:
    return [change.kind for change in changes]


def test_what_shows_the_same_is_no_change_however_it_was_found() -> None:
    otherwise = outcome(schedule="2 1*2 2", split=True, interruption=None)
    old, new = race(outcome()), replace(race(otherwise), explored=Explored(mode="sampled", classes=9, unseen=0.5))
    assert compared([old], [new]) == ()
    assert compared([], []) == ()


def test_an_anomaly_that_was_not_there_appeared() -> None:
    (change,) = compared([race()], [race(outcome())])
    assert (change.kind, change.before, change.after, change.why) == (Kind.APPEARED, None, outcome(), "")
    assert change.outcome == outcome()
    assert change.program.text == SPELLED


def test_an_anomaly_that_is_not_there_any_more_vanished_and_says_what_became_of_its_witness() -> None:
    lost = {(SPELLED, outcome().schedule): "its witness now ends as the order 1 2 does", (SPELLED, "1 2"): "another"}
    (change,) = compared([race(outcome())], [race()], lost=lost)
    assert (change.kind, change.before, change.after) == (Kind.VANISHED, outcome(), None)
    assert change.why == "its witness now ends as the order 1 2 does"
    assert compared([race(outcome())], [race()])[0].why == ""


def test_several_anomalies_of_one_program_are_told_one_by_one() -> None:
    one, two, three = (outcome(answer, interruption=None) for answer in "123")
    changes = compared([race(one, two)], [race(two, three)])
    assert [(change.kind, change.outcome) for change in changes] == [(Kind.APPEARED, three), (Kind.VANISHED, one)]


@pytest.mark.parametrize(
    ("before", "after"),
    [("+ main(s1) (string) ttl 60s", "+ main(s1) (hash) ttl 60s"), ("n = 1, was a string", "n = 1")],
)
def test_the_same_anomaly_stored_under_another_kind_of_key_is_no_change(before: str, after: str) -> None:
    old, new = outcome(effects=(before,)), outcome(effects=(after,), interruption=None)
    assert compared([race(old)], [race(new)]) == ()


def test_what_is_the_same_but_stored_otherwise_is_taken_before_what_came_alike() -> None:
    stored = outcome(effects=("+ n (hash) ttl none",))
    (change,) = compared([race(outcome(effects=("+ n (string) ttl none",)))], [race(stored, outcome("2"))])
    assert (change.kind, change.after) == (Kind.APPEARED, outcome("2"))


@pytest.mark.parametrize(
    ("fields", "kind"),
    [({"effects": ("n = 2",)}, Kind.EFFECT), ({"events": ("log a",)}, Kind.EFFECT), ({"answer": "2"}, Kind.RESPONSE)],
)
def test_an_anomaly_that_came_by_the_same_interruption_and_shows_something_else_is_one_change(
    fields: dict[str, Any], kind: Kind
) -> None:
    (change,) = compared([race(outcome())], [race(outcome(**fields))])
    assert (change.kind, change.before, change.after) == (kind, outcome(), outcome(**fields))
    assert change.outcome == outcome(**fields)


@pytest.mark.parametrize(
    "came",
    [None, replace(BETWEEN, late="GETSET"), replace(BETWEEN, other="drop"), replace(BETWEEN, client=2, by=1)],
)
def test_another_interruption_is_another_anomaly(came: Interruption | None) -> None:
    assert kinds(compared([race(outcome())], [race(outcome("2", interruption=came))])) == [
        Kind.APPEARED,
        Kind.VANISHED,
    ]
    assert kinds(compared([race(outcome(interruption=None))], [race(outcome("2", interruption=None))])) == [
        Kind.APPEARED, Kind.VANISHED,
    ]  # fmt: skip


def test_each_anomaly_is_in_one_pair_at_most() -> None:
    changes = compared([race(outcome("1"))], [race(outcome("2"), outcome("3"))])
    assert sorted(kinds(changes)) == sorted([Kind.APPEARED, Kind.RESPONSE])


def test_an_order_that_ends_otherwise_is_one_change_without_an_outcome() -> None:
    (change,) = compared([race(outcome(), serial="0a")], [race(outcome(), serial="0b")])
    assert (change.kind, change.outcome, change.why) == (Kind.EFFECT, None, "")
    assert kinds(compared([race(serial="0a")], [race(outcome(), serial="0b")])) == [Kind.APPEARED]


def test_which_order_has_an_outcome_does_not_matter() -> None:
    old = replace(race(), serial=(("1 2", "0a"), ("2 1", "0b")))
    assert compared([old], [replace(race(), serial=(("1 2", "0b"), ("2 1", "0a")))]) == ()


def test_a_program_on_one_side_only_is_new_or_gone_whatever_it_shows() -> None:
    changes = compared([race(outcome())], [race(outcome(), outcome("2"), spelled="{ drop s1 || add s1 }")])
    assert [(change.kind, change.outcome) for change in changes] == [(Kind.GONE, None), (Kind.NEW, None)]
    assert [change.behaviour.program.subject_of for change in changes] == ["add-x-add", "add-x-drop"]
    with pytest.raises(AssertionError, match="on one side at least"):
        RaceChange(kind=Kind.NEW, old=None, new=None).behaviour  # noqa: B018 - asking is the test


@pytest.mark.parametrize("touched", ["add", "drop", "save"])
def test_what_shows_something_else_follows_where_an_operation_does_so_one_after_another(touched: str) -> None:
    spelled = "save s1 ; { add s1 || drop s1 }"
    old = [race(outcome(), spelled=spelled), race(spelled="{ drop s1 || drop s1 }")]
    new = [race(outcome("2"), spelled=spelled), race(spelled="{ drop s1 || drop s1 }", serial="0b")]
    shown, ended = compared(old, new, touched=frozenset([touched]))
    assert shown.follows
    assert ended.follows == (touched == "drop")
    assert not any(change.follows for change in compared(old, new))


def test_what_appeared_or_vanished_never_only_follows() -> None:
    one, other = outcome(interruption=None), outcome("2", interruption=None)
    assert [change.follows for change in compared([race(one)], [race(other)], touched=frozenset(["add"]))] == [
        False,
        False,
    ]


def test_a_comparison_knows_which_operations_changed_one_after_another() -> None:
    old = Recording("demo", [demo.behaviour("add s1", answer="1")], [race(outcome())])
    new = Recording("demo", [demo.behaviour("add s1", answer="2")], [race(outcome("2"))])
    result = compare(old, new)
    assert [(change.kind, change.follows) for change in result.race_changes] == [(Kind.RESPONSE, True)]
    assert [group.follows for group in result.race_groups] == [True]
    assert (result.raced, result.anomalies, result.changed, result.count(Kind.RESPONSE)) == (1, 1, True, 2)
    dearer = compare(Recording("demo", [demo.behaviour("add s1", cost=(9, 9, 9))], [race(outcome())]), new)
    assert dearer.race_changes[0].follows
    only = Recording("demo", [demo.behaviour("add s1", answer="2", cost=(9, 9, 9))], [race(outcome())])
    assert [change.follows for change in compare(only, new).race_changes] == [False], "a cost is no other behaviour"


def test_what_was_not_run_is_neither_gone_nor_compared() -> None:
    old = Recording("demo", [], [race(outcome())])
    result = compare(old, Recording("demo", []), [(SPELLED, "over")])
    assert (result.race_changes, result.raced, result.different) == ((), 0, False)
    assert kinds(compare(old, Recording("demo", [])).race_changes) == [Kind.GONE]


# Groups.


def appeared(spelled: str, *outcomes: RaceOutcome, kind: Kind = Kind.APPEARED, follows: bool = False) -> RaceChange:
    """A change of the program spelled so."""
    after = outcomes[0] if outcomes else None
    return RaceChange(kind=kind, old=None, new=race(spelled=spelled), after=after, follows=follows)


def shown(groups: tuple[RaceGroup, ...]) -> list[tuple[str, int]]:
    return [(group.operation, len(group.changes)) for group in groups]


def test_one_interruption_is_one_group_whoever_comes_between_and_whatever_it_is_about() -> None:
    other = replace(BETWEEN, words=("main(s2)", "main(s2)"), other="drop", by=3)
    changes = [
        appeared("save s2 ; { add s2 || drop s2 }", outcome(interruption=other)),
        appeared(SPELLED, outcome()),
        appeared("{ add s1 || wipe s1 }", outcome(interruption=replace(BETWEEN, other="wipe"))),
    ]
    (group,) = grouped_races(changes)
    assert group.shown_by.program.text == SPELLED
    assert group.operation == "add"
    assert group.others == ["add", "drop", "wipe"]
    assert [change.program.text for change in group.changes][-1] == "save s2 ; { add s2 || drop s2 }"


@pytest.mark.parametrize(
    "other",
    [replace(BETWEEN, late="GETSET"), replace(BETWEEN, operation="put"), replace(BETWEEN, words=("index", "main(s1)"))],
)
def test_other_accesses_or_another_operation_are_another_group(other: Interruption) -> None:
    groups = grouped_races([appeared(SPELLED, outcome()), appeared(SPELLED, outcome(interruption=other))])
    assert len(groups) == 2


def test_what_no_interruption_explains_is_grouped_by_its_operations() -> None:
    unknown = outcome(interruption=None)
    changes = [
        appeared("{ get s1 || add s1 }", unknown),
        appeared("save s1 ; { add s1 || get s1 }", unknown),
        appeared("{ get s1 || get s1 }", unknown),
    ]
    groups = grouped_races(changes)
    assert shown(groups) == [("add-x-get", 2), ("get-x-get", 1)]
    assert groups[0].others == []


def test_what_appeared_comes_before_what_vanished_and_what_follows_is_one_group_the_last() -> None:
    changes = [
        appeared("{ a || b }", kind=Kind.EFFECT, follows=True),
        appeared("{ c || d }", kind=Kind.RESPONSE, follows=True),
        appeared("{ a || a }", kind=Kind.NEW),
        appeared("{ b || b }", kind=Kind.GONE),
        appeared(SPELLED, outcome(), kind=Kind.VANISHED),
        appeared(SPELLED, outcome(interruption=replace(BETWEEN, late="X"))),
        appeared("{ add s1 || drop s1 }", outcome(interruption=replace(BETWEEN, early="Y"))),
        appeared("save s1 ; { add s1 || drop s1 }", outcome(interruption=replace(BETWEEN, early="Y"))),
    ]
    groups = grouped_races(changes)
    assert [(group.kind, len(group.changes), group.follows) for group in groups] == [
        (Kind.APPEARED, 2, False),
        (Kind.APPEARED, 1, False),
        (Kind.VANISHED, 1, False),
        (Kind.GONE, 1, False),
        (Kind.NEW, 1, False),
        (Kind.RESPONSE, 1, True),
        (Kind.EFFECT, 1, True),
    ]


@pytest.mark.parametrize("reverse", [False, True])
def test_groups_do_not_depend_on_the_order_of_the_changes(reverse: bool) -> None:
    changes = [appeared(f"{{ add s{n} || drop s1 }}", outcome()) for n in range(4)]
    changes += [appeared(f"{{ put s{n} || drop s1 }}", outcome(interruption=None)) for n in range(4)]
    assert grouped_races(changes[::-1] if reverse else changes) == grouped_races(changes)


def test_a_group_is_split_only_where_all_of_it_is() -> None:
    both = [appeared(SPELLED, outcome(split=True)), appeared("{ add s2 || add s1 }", outcome(split=True))]
    assert grouped_races(both)[0].split
    assert not grouped_races([*both, appeared("{ add s3 || add s1 }", outcome())])[0].split
    assert not grouped_races([appeared(SPELLED, kind=Kind.NEW)])[0].split
    assert grouped_races([]) == ()
