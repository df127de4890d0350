"""Faults as text: what is left behind, what turned, one of them in full; no line wider than a screen."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len

from characterization.behaviour import Done, Ending, FaultBehaviour, Recording, Told
from characterization.comparing_faults import FaultGroup, Turn, compare_faults, grouped_faults
from characterization.explaining import ExplainedAct, ExplainedStep, FaultExplanation
from characterization.program import parse
from reports import faults

LONG = "x" * 400


def fault(text: str, **fields: Any) -> FaultBehaviour:
    known: dict[str, Any] = {
        "subject": "demo", "kind": "the empty world", "step": "SET a", "ending": Ending.LEFT, "told": Told.FAILED,
        "done": Done.ALL, "answer": "raises E('')", "left": ("n 1 -> 2",),
    }  # fmt: skip
    return FaultBehaviour(program=parse(text), **known | fields)


def groups(*pairs: tuple[FaultBehaviour | None, FaultBehaviour | None], **options: Any) -> list[FaultGroup]:
    first, second = ({each.program.text: each for each in side if each} for side in zip(*pairs, strict=True))
    return list(grouped_faults(compare_faults(first, second, **options)))


def narrow(lines: list[str]) -> bool:
    return all(cell_len(line) <= 120 for line in lines if "holdfast" not in line)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "the caller is told it failed, but it was done; it is left behind"),
        ({"done": Done.NOTHING, "ending": Ending.RETRY},
         "the caller is told it failed, nothing is changed; calling again heals it"),
        ({"told": Told.AS_HEALTHY, "done": Done.NOTHING},
         "the caller is told it succeeded, and nothing was done; it is left behind"),
        ({"told": Told.AS_HEALTHY, "done": Done.TWICE},
         "the caller is told it succeeded, and it was done twice; it is left behind"),
        ({"done": Done.HALF, "effects": ("+ a (set) ttl none", "a +x", "b = 1"), "ending": Ending.RESTART},
         "the caller is told it failed, but half of it is done: + a (set) ttl none, a +x; only a new replica heals it"),
        ({"told": Told.NEVER}, "the caller is never told, but it was done; it is left behind"),
        ({"told": Told.GAVE_UP, "done": Done.OTHER, "effects": ("c = 1",)},
         "the caller gave up, and something else is done: c = 1; it is left behind"),
        ({"told": Told.GONE, "ending": Ending.RESTART}, "the replica is gone, but it was done; a new one heals it"),
        ({"done": Done.DAMAGE}, "the caller is told it failed, and the damage stays; it is left behind"),
        ({"ending": Ending.UNNOTICED}, "nobody notices"),
        ({"ending": Ending.NOT_STRUCK, "why": "no such step"}, "it could not strike: no such step"),
    ],
)  # fmt: skip
def test_a_sentence_says_what_is_told_what_is_done_and_what_heals_it(fields: dict[str, Any], sentence: str) -> None:
    assert fault("save ! busy @1", **fields).sentence == sentence


def test_a_recording_counts_how_faults_end_and_groups_what_is_left_behind() -> None:
    members = [
        fault("save s1 ! busy @1"), fault("save s2 ! reset @1, refused @2+"),
        fault("load ! corrupt @1", done=Done.DAMAGE), fault("load ! busy @1", ending=Ending.UNNOTICED),
    ]  # fmt: skip
    lines = faults.recorded(Recording("demo", [], (), members))
    assert lines[0] == "  under faults  4 programs: 1 unnoticed, 3 left behind"
    assert lines[1].split(": ")[0] == "    2 programs      save, at its SET a"
    assert lines[1].endswith("the caller is told it failed, but it was done; it is left behind")
    assert lines[2].split() == ["by", "busy,", "reset,", "refused", "from", "then", "on"]
    assert lines[4].split() == ["shown", "by", "save", "s1", "!", "busy", "@1"]
    assert "the damage stays" in lines[5], "what a fault put there itself comes last"
    assert faults.recorded(Recording("demo", [])) == []


def test_what_has_no_room_is_counted() -> None:
    members = [fault(f"save{number} ! busy @1") for number in range(faults.GROUPS_MAX + 2)]
    assert faults.recorded(Recording("demo", [], (), members))[-1] == "    and 2 more groups (2 programs)"


def test_a_group_says_which_way_it_turned_and_how_to_see_it() -> None:
    old, new = fault("save ! busy @1", ending=Ending.RETRY, done=Done.NOTHING, left=()), fault("save ! busy @1")
    (group,) = groups((old, new))
    lines = faults.group_lines(3, group)
    assert lines[0].startswith(" 3  save, at its SET a ")
    assert lines[0].endswith("1 situation     WORSE: healed by retry -> left behind")
    assert any(line.split() == ["left:", "n", "1", "->", "2"] for line in lines)
    assert lines[-1].strip().startswith("again      holdfast replay ")
    assert faults.turned([group]) == ", under faults 1 worse"
    (back,) = groups((new, old))
    assert faults.group_lines(1, back)[0].endswith("BETTER: left behind -> healed by retry")


def test_what_is_new_or_gone_or_only_ends_otherwise_is_said() -> None:
    one = fault("save ! busy @1")
    (new,) = groups((None, one))
    assert faults.group_lines(1, new)[0].endswith("NEW, and WORSE")
    assert "holdfast explain" in faults.group_lines(1, new)[-1], "what is not pinned has nothing to be held against"
    (gone,) = groups((one, None))
    assert faults.group_lines(1, gone)[0].endswith("GONE, and BETTER")
    (other,) = groups((one, fault("save ! busy @1", answer="raises F('')")))
    assert faults.group_lines(1, other)[0].endswith("ENDS OTHERWISE")


def test_of_many_groups_the_gravest_are_told_and_the_rest_is_counted() -> None:
    mild = {"ending": Ending.RETRY, "done": Done.NOTHING}
    worse = [(fault(f"a{n} ! busy @1", **mild), fault(f"a{n} ! busy @1")) for n in range(20)]
    better = [(fault(f"b{n} ! busy @1"), fault(f"b{n} ! busy @1", **mild)) for n in range(20)]
    same = [(fault(f"c{n} ! busy @1"), fault(f"c{n} ! busy @1", answer="raises F('')")) for n in range(20)]
    found = groups(*worse, *better, *same)
    told = faults.chosen(found)
    assert [group.turn for group in told] == [Turn.WORSE] * faults.WORSE_MAX + [Turn.BETTER] * faults.BETTER_MAX
    (rest,) = faults.more([group for group in found if group not in told])
    assert rest == "  + 40 more groups of faults: 8 worse, 12 better, 20 otherwise"
    assert len(faults.chosen(groups(*same))) == faults.REST_MAX
    assert faults.more([]) == []


def test_one_fault_in_full() -> None:
    text = faults.struck(fault("save ! reset @1", in_doubt=True, effects=("n = 1",), events=("log w",)))
    assert text.splitlines()[0].endswith("left behind")
    for words in ("SET a", "the caller cannot know whether it was done", "raises E('')", "n = 1", "log w", "n 1 -> 2"):
        assert words in text


def test_an_explanation_marks_the_struck_step_and_goes_on_to_what_was_tried() -> None:
    steps = (
        ExplainedStep(lane="replica 1", commands=("SET a 1",), replies=(), struck="crash before @1"),
        ExplainedStep(lane="replica 1", commands=("MULTI", "EXEC"), replies=("'OK'", "[]")),
    )
    acts = (ExplainedAct(text="save ! busy @1", steps=steps, answer="crashed", effects=(), events=("log w",)),)
    told = FaultExplanation(ident="demo: save", behaviour=fault("save ! busy @1"), seed=1, backend="fake", acts=acts)
    lines = faults.explanation(told).splitlines()
    assert "  ! HERE: crash before @1" in lines
    assert "    SET a 1 -> no reply" in lines
    assert "    EXEC -> []" in lines
    assert lines[-1] == "again     holdfast replay 'demo: save ! busy @1'"


def test_no_line_is_wider_than_a_screen() -> None:
    wide = fault(f"save '{LONG}' ! busy @1", answer=LONG, left=(LONG,) * 9, effects=(LONG,), done=Done.OTHER, step=LONG)
    (group,) = groups((fault(f"save '{LONG}' ! busy @1", step=LONG, ending=Ending.RETRY), wide))
    assert narrow(faults.group_lines(1, group))
    assert narrow(faults.recorded(Recording("demo", [], (), [wide])))
    assert narrow(faults.struck(wide).splitlines())
    assert any("... and 5 more lines" in line for line in faults.group_lines(1, group))
