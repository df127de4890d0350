"""What is different about faults: better, worse, otherwise; steps that moved; many situations as one group."""

from __future__ import annotations

from typing import Any

from characterization.behaviour import Done, Ending, FaultBehaviour, Told
from characterization.comparing_faults import FaultChange, Turn, compare_faults, grouped_faults
from characterization.kinds import Kind
from characterization.program import parse


def fault(text: str, step: str = "SET a", ending: Ending = Ending.RETRY, **fields: Any) -> FaultBehaviour:
    known: dict[str, Any] = {
        "subject": "demo", "kind": "the empty world", "told": Told.FAILED, "done": Done.NOTHING, "answer": "raises E('')",
    }  # fmt: skip
    return FaultBehaviour(program=parse(text), step=step, ending=ending, **known | fields)


def compared(old: list[FaultBehaviour], new: list[FaultBehaviour], **options: Any) -> tuple[FaultChange, ...]:
    first, second = ({each.program.text: each for each in side} for side in (old, new))
    return compare_faults(first, second, **options)


def one(old: list[FaultBehaviour], new: list[FaultBehaviour]) -> FaultChange:
    (change,) = compared(old, new)
    return change


def test_the_same_is_no_change() -> None:
    assert compared([fault("save ! busy @1")], [fault("save ! busy @1")]) == ()


def test_a_step_that_has_another_number_now_is_still_that_step() -> None:
    old = [fault("save ! busy @1", "GET a"), fault("save ! busy @2")]
    assert compared(old[1:], [fault("save ! busy @3")]) == ()
    change = one(old[1:], [fault("save ! busy @3", ending=Ending.LEFT)])
    assert (change.turn, change.program.text, change.old) == (Turn.WORSE, "save ! busy @3", old[1])


def test_an_end_that_takes_less_to_heal_is_better() -> None:
    endings = [Ending.UNNOTICED, Ending.RETRY, Ending.RESTART, Ending.LEFT]
    for place, mild in enumerate(endings):
        for bad in endings[place + 1 :]:
            before, after = fault("save ! busy @1", ending=mild), fault("save ! busy @1", ending=bad)
            assert one([before], [after]).turn is Turn.WORSE
            assert one([after], [before]).turn is Turn.BETTER


def test_what_is_left_halfway_until_it_is_healed_is_worse() -> None:
    whole, half = fault("save ! busy @1"), fault("save ! busy @1", done=Done.HALF)
    assert one([whole], [half]).turn is Turn.WORSE
    assert one([half], [whole]).turn is Turn.BETTER


def test_what_is_only_told_otherwise_is_neither() -> None:
    change = one([fault("save ! busy @1")], [fault("save ! busy @1", answer="raises F('')")])
    assert (change.kind, change.turn) == (Kind.RESPONSE, Turn.OTHERWISE)
    effect = one([fault("save ! busy @1")], [fault("save ! busy @1", events=("log warning",))])
    assert (effect.kind, effect.turn) == (Kind.EFFECT, Turn.OTHERWISE)


def test_what_stands_on_one_side_only_is_held_against_the_worst_of_the_other() -> None:
    known = [fault("save ! busy @1")]
    half = fault("save ! busy @2", "SADD b", done=Done.HALF)
    assert [(each.kind, each.turn) for each in compared(known, [*known, half])] == [(Kind.NEW, Turn.WORSE)]
    assert [(each.kind, each.turn) for each in compared([*known, half], known)] == [(Kind.GONE, Turn.BETTER)]
    mild = fault("save ! busy @2", "SADD b")
    assert [each.turn for each in compared(known, [*known, mild])] == [Turn.OTHERWISE]
    other_kind = fault("save ! dropped @2", "SADD b", done=Done.HALF)
    assert [each.turn for each in compared(known, [*known, other_kind])] == [Turn.WORSE], "no fault told of failure so"
    damage = fault("save ! corrupt @1", ending=Ending.LEFT, done=Done.DAMAGE)
    assert [each.turn for each in compared(known, [*known, damage])] == [Turn.OTHERWISE]


def test_what_was_not_struck_has_not_turned() -> None:
    none = fault("save ! busy @1", ending=Ending.NOT_STRUCK)
    assert one([none], [fault("save ! busy @1", ending=Ending.LEFT)]).turn is Turn.OTHERWISE
    assert one([], [none]).turn is Turn.OTHERWISE


def test_steps_that_are_others_are_paired_by_their_end_then_by_how_bad_they_are() -> None:
    old = [fault("save ! busy @1", "GET a"), fault("save ! busy @2", "SET a", Ending.LEFT)]
    new = [fault("save ! busy @1", "TYPE a", Ending.LEFT), fault("save ! busy @2", "HSET a", Ending.RESTART)]
    pairs = {(each.old.step, each.new.step, each.turn) for each in compared(old, new) if each.old and each.new}
    assert pairs == {("GET a", "HSET a", Turn.WORSE)}, "what was left behind still is, at another step"


def test_many_situations_are_one_group() -> None:
    texts = [f"save {name} ! {kind} @1" for name in ("s1", "s2") for kind in ("busy", "loading")]
    old = [fault(text, f"SET main({text[5:7]})") for text in texts]
    new = [fault(text, f"SET main({text[5:7]})", Ending.LEFT) for text in texts]
    (group,) = grouped_faults(compared(old, new))
    assert (len(group.changes), group.turn, group.operation) == (4, Turn.WORSE, "save")
    assert group.faults == ["busy", "loading"]
    assert group.shown_by.program.text == "save s1 ! busy @1"


def test_what_got_worse_comes_first_and_what_only_follows_last() -> None:
    old = [fault("save ! busy @1"), fault("load ! busy @1", ending=Ending.LEFT), fault("move ! busy @1")]
    new = [
        fault("save ! busy @1", answer="raises F('')"), fault("load ! busy @1"),
        fault("move ! busy @1", ending=Ending.LEFT),
    ]  # fmt: skip
    groups = grouped_faults(compared(old, new, touched=frozenset({"save"})))
    assert [(group.operation, group.turn, group.follows) for group in groups] == [
        ("move", Turn.WORSE, False), ("load", Turn.BETTER, False), ("save", Turn.OTHERWISE, True),
    ]  # fmt: skip
