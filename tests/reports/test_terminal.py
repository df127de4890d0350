from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from characterization.behaviour import Behaviour
from characterization.comparing import Comparison, Kind, compare
from characterization.explaining import ExplainedPart, ExplainedStep, Explanation
from reports import terminal
from tests.reports.making import SUBJECT, behaviour, recording, session, shuffled


def _claimed(program: str, *effects: str, answer: str = "None", cost: tuple[int, int, int] = (1, 1, 40)) -> Behaviour:
    return behaviour(program, answer, effects, kind="a claimed session", cost=cost)


def _compared(old: Behaviour, new: Behaviour) -> str:
    return terminal.comparison(compare(recording(old), recording(new)))


def test_a_subject_as_pinned_is_one_line() -> None:
    assert terminal.comparison(compare(session(), session())) == "relay.store    as pinned, 6 transitions"


def test_an_effect_that_changed_is_told_in_the_words_of_the_subject() -> None:
    old = _claimed("count s1 5", "main(s1).relay_count 1 -> 2")
    new = _claimed("count s1 5", "main(s1).relay_count 1 -> 2", "main(s1).state claimed -> active")
    ident = new.ident
    assert _compared(old, new).splitlines() == [
        "relay.store    1 behaviour changed (1 of 1 transition), 0 new, 0 gone",
        " 1  count of a claimed session    1 situation     response same, EFFECT CHANGED",
        "      before  (nothing of it)",
        "      after   main(s1).state claimed -> active",
        "      shown by   count s1 5",
        f"      again      holdfast replay {ident}",
    ]


def test_an_answer_that_changed_is_told_as_returned_or_raised() -> None:
    text = _compared(_claimed("get s1", answer="1"), _claimed("get s1", answer="raises KeyError('s1')"))
    assert "RESPONSE CHANGED, effect same" in text
    assert "before  returns 1\n      after   raises KeyError('s1')" in text


def test_an_answer_and_an_effect_that_changed_are_both_told() -> None:
    text = _compared(_claimed("get s1", "a = 1", "b = 1", answer="1"), _claimed("get s1", "a = 2", answer="2"))
    assert "RESPONSE CHANGED, EFFECT CHANGED" in text
    assert "before  a = 1\n      after   a = 2" in text
    assert "before  b = 1\n      after   (nothing of it)" in text


def test_lines_of_one_side_stand_together() -> None:
    text = _compared(_claimed("save s1"), _claimed("save s1", "x = 1", "y = 2"))
    assert "before  (nothing of these)\n      after   x = 1\n              y = 2" in text


def test_more_lines_than_a_screen_bears_are_counted() -> None:
    text = _compared(_claimed("save s1"), _claimed("save s1", *(f"field_{place} = 1" for place in range(12))))
    assert "... and 4 more lines" in text


@pytest.mark.parametrize(("mark", "swap"), [("NEW", False), ("GONE", True)])
def test_what_stands_on_one_side_only_is_told_whole(mark: str, swap: bool) -> None:
    sides = recording(), recording(_claimed("save s1", *(f"field_{place} = 1" for place in range(12))))
    text = terminal.comparison(compare(*(sides[::-1] if swap else sides)))
    assert f"1 situation     {mark}" in text
    assert "(not there)" in text
    assert "returns None\n              field_0 = 1" in text
    assert "... and 5 more lines" in text


def test_a_change_of_the_cost_alone_says_so() -> None:
    text = _compared(_claimed("get s1"), _claimed("get s1", cost=(2, 2, 80)))
    assert text.startswith("relay.store    as pinned but for the COST of 1 of 1 transition\n")
    assert "COST CHANGED" in text
    assert "2 commands" in text


def test_the_cost_is_counted_beside_other_changes() -> None:
    old = recording(behaviour("a"), behaviour("b"))
    new = recording(behaviour("a", "1"), behaviour("b", cost=(2, 2, 2)))
    assert "0 new, 0 gone, the cost of 1 more" in terminal.comparison(compare(old, new))


def _many(groups: int) -> Comparison:
    old = recording(*(behaviour(f"operation_{place}") for place in range(groups)))
    new = recording(*(behaviour(f"operation_{place}", f"'{chr(97 + place)}'") for place in range(groups)))
    return compare(old, new)


def test_twenty_groups_are_shown_and_the_rest_counted() -> None:
    text = terminal.comparison(_many(25))
    assert "\n20  operation_" in text
    assert "\n21  " not in text
    assert "\n and 5 more groups (5 transitions)" in text


def test_several_operations_of_one_group_are_listed() -> None:
    old = recording(behaviour("save"), behaviour("store", kind="a new session"), behaviour("clock +5s"))
    new = recording(*(behaviour(each.program.text, effects=["x = 1"], kind=each.outcome.kind) for each in old))
    assert " 1  time passing, save, store    3 situations" in terminal.comparison(compare(old, new))


def test_what_only_follows_is_counted_beneath() -> None:
    old = recording(behaviour("save", effects=["x = 1"]), behaviour("save ; get", "1"), behaviour("save ; put", "1"))
    new = recording(behaviour("save", effects=["y = 2"]), behaviour("save ; get", "2"), behaviour("save ; add", "1"))
    text = terminal.comparison(compare(old, new))
    assert "1 behaviour changed (1 of 2 transitions; 1 more follow from them), 1 new, 1 gone" in text
    assert "  + 3 transitions only follow from the above" in text
    assert "1 RESPONSE CHANGED, 1 GONE, 1 NEW" in text
    assert text.count("shown by   save ; ") == 1


def test_what_could_not_be_run_is_always_named_by_reason() -> None:
    unrun = [(f"touch s{place}", "no operation called 'touch'") for place in range(7)] + [("", "broken\x1b[2J")]
    text = terminal.comparison(compare(session(), session(), unrun))
    assert text.splitlines()[0] == "relay.store    as pinned, 6 transitions, 8 more could not be run"
    assert " NOT RUN    7: no operation called 'touch'\n               touch s0" in text
    assert "... and 2 more" in text
    assert "1: broken\\x1b[2J\n               (nothing done yet)" in text
    assert "\x1b" not in text


def test_a_long_answer_shows_only_what_differs() -> None:
    fields = ", ".join(f"field_{place}='value {place}'" for place in range(18))
    old, new = (f"Session({fields}, state='{state}')" for state in ("new", "claimed"))
    text = _compared(_claimed("get s1", answer=old), _claimed("get s1", answer=new))
    assert "before  returns Session(..., state='new')\n" in text
    assert "after   returns Session(..., state='claimed')\n" in text


def test_no_line_but_the_one_to_paste_is_wider_than_the_screen() -> None:
    wide = "世界 <&> " * 60
    program = " ; ".join(f"save '{'x' * 150}'" for _ in range(4))
    old, new = (
        behaviour(program, f"'{wide}a'", kind=wide),
        behaviour(program, f"'{wide}b'", [wide, "y" * 500], kind=wide),
    )
    text = terminal.comparison(compare(recording(old), recording(new), [(program, wide)]))
    assert all(cell_len(line) <= 120 for line in text.splitlines())
    assert f"holdfast replay {new.ident}" in text


def test_a_long_verdict_goes_on_beneath() -> None:
    result = Comparison(
        subject="s" * 60,
        compared=123456,
        total=1,
        changes=_many(5).changes,
        groups=_many(5).groups,
        unrun=(("a", "b"),),
    )
    assert terminal.comparison(result).splitlines()[1].startswith("    ")


def test_colour_adds_nothing_to_the_text() -> None:
    plain, coloured = terminal.comparison(_many(25)), terminal.comparison(_many(25), colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert "\x1b[31m" in coloured


def test_a_recording_is_summed_up() -> None:
    assert terminal.recording(session()).splitlines() == [
        "relay.store    3 states, 6 transitions",
        "  lenses      sequence x5, time",
        "  operations  claim x2, get x2, clock, save",
        "  answers     4 return one of 3 values",
        "              2 raise: KeyError x2",
        "  events      none",
        "  worth a look",
        "    written without a time to live      index",
        "                                        shown by  save s1",
        "    never change anything               get x2",
    ]


def test_one_value_is_shown_instead_of_counted() -> None:
    text = terminal.recording(recording(behaviour("a", effects=["x = 1"], events=["log info done"])))
    assert "  answers     1 return None\n              none raises\n  events      1 event of different wording" in text
    assert "worth a look" not in text
    assert "0 return nothing" in terminal.recording(recording(behaviour("a", "raises E('')")))


def test_an_empty_recording_says_so() -> None:
    assert terminal.recording(recording()) == "relay.store    0 states, 0 transitions: nothing was recorded"


def test_the_order_in_which_a_recording_was_put_together_does_not_show() -> None:
    for other in shuffled(session()):
        assert terminal.recording(other) == terminal.recording(session())


def _explanation(*parts: ExplainedPart) -> Explanation:
    shown = behaviour("save s1 ; get s1")
    return Explanation(
        subject=SUBJECT, ident=shown.ident, program=shown.program, seed=7, backend="fakeredis", parts=parts
    )


def test_an_explanation_has_a_row_for_each_command_and_brackets_what_happens_at_once() -> None:
    block = ExplainedStep(lane="replica 1", commands=("HSET m", "EXPIRE m 5", "SADD i s1"), replies=("2", "1", "1"))
    single = ExplainedStep(lane="replica 2", commands=("GET m",), replies=())
    outcome = behaviour("save s1", effects=["+ m (hash) ttl 5s"], events=["log info saved"], cost=(3, 1, 90)).outcome
    parts = (
        ExplainedPart(text="save s1", steps=(block, single), outcome=outcome),
        ExplainedPart(text="clock +5s", steps=(), outcome=behaviour("clock +5s").outcome),
    )
    ident = _explanation().ident
    assert terminal.explanation(_explanation(*parts)).splitlines() == [
        f"{ident}    seed 7, on fakeredis",
        "  of        save s1 ; get s1",
        "",
        "save s1",
        "  replica 1  [ HSET m      -> 2",
        "             | EXPIRE m 5  -> 1",
        "             ] SADD i s1   -> 1",
        "  replica 2    GET m       ->",
        "  answer   returns None",
        "  effects  + m (hash) ttl 5s",
        "  events   log info saved",
        "  cost     3 commands in 1 round trip, 90 bytes",
        "",
        "clock +5s",
        "  (no command)",
        "  answer   returns None",
        "  effects  none",
        "  events   none",
        "  cost     1 command in 1 round trip, 40 bytes",
        "",
        f"again     holdfast replay {ident}",
    ]


def test_long_commands_and_replies_are_wrapped_in_their_own_columns() -> None:
    step = ExplainedStep(
        lane="a lane with a name that is far too long", commands=("SET " + "k" * 200,), replies=("v" * 300,)
    )
    part = ExplainedPart(text="save s1", steps=(step,), outcome=behaviour("save s1").outcome)
    text = terminal.explanation(_explanation(part))
    assert all(cell_len(line) <= 120 for line in text.splitlines())
    assert text.count("v") - text.count("save") >= 300


def test_every_kind_of_change_has_its_words() -> None:
    at_once = {Kind.APPEARED, Kind.VANISHED}  # these do not follow from what is done one after another
    assert set(terminal._FOLLOWING) == {kind for kind in Kind if not kind.startswith("law ")} - at_once
