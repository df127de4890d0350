"""Operations at once, as text."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from rich.cells import cell_len

from characterization.behaviour import Explored
from characterization.racing import Race
from reports import racing, terminal
from reports.words import WIDTH
from tests.reports.making import CROWDED, IN_ORDER, interruption, lost, race, step, witness

RECORD = {"session_id": "s1", "supplier": "sup1", "height": 101, "state": "active", "relay_count": 0}


def _spelled(**different: Any) -> str:
    return json.dumps({**RECORD, **different}, separators=(",", ":"))


def _lines(shown: Race) -> list[str]:
    return racing.text(shown).splitlines()


def _starting(shown: Race, *beginnings: str) -> list[str]:
    """The lines that begin so, without the spaces in front."""
    return [line.strip() for line in _lines(shown) if line.strip().startswith(beginnings)]


def test_a_race_is_shown_whole_with_what_no_order_explains_first() -> None:
    assert _lines(race(IN_ORDER, lost())) == [
        "counter/race/add-x-add#" + race().program.mark + "    seed 7, on fakeredis 2",
        "  from       (nothing done yet)    (an empty counter)",
        "  replica 1  add 1",
        "  replica 2  add 1",
        "  explored   all 4 classes of interleavings: 2 outcomes, 1 that no order explains",
        "",
        " 1  ANOMALY: no order of the same calls has it",
        "      between replica 1's GET and SET of n, replica 2 wrote it (SET)",
        "      answers   add 1: returns None",
        "                add 1 @2: returns None",
        "      effects   n = 1",
        "      unlike    the nearest outcome of an order (1*2 2*2) has: n = 2",
        "                and has not: n = 1",
        "",
        "      replica 1: add 1     replica 2: add 1",
        "      ------------------   ------------------",
        "    > * GET n -> None                           counter.py:8  await self._redis.get(n)",
        "                           * GET n -> None      counter.py:8  await self._redis.get(n)",
        "    >                      * SET n 1 -> b'OK'   counter.py:9  await self._redis.set(n)",
        "    > * SET n 1 -> b'OK'                        counter.py:9  await self._redis.set(n)",
        "      * its order with another client's step matters: n",
        "    >   the accesses that raced",
        "",
        "      again     holdfast replay 'counter: { add 1 || add 1 @2 }' --schedule '1 2*2 1'",
        "",
        " 2  some order has it too",
        "      answers   add 1: returns None",
        "                add 1 @2: returns None",
        "      effects   n = 2",
        "      again     holdfast replay 'counter: { add 1 || add 1 @2 }' --schedule '1*2 2*2'",
    ]


@pytest.mark.parametrize("shown", [CROWDED, race(lost(), IN_ORDER), race(lost(), again=True)])
def test_no_line_is_wider_than_a_screen_but_those_to_paste(shown: Race) -> None:
    lines = _lines(shown)
    assert [line for line in lines if cell_len(line) > WIDTH and "again     holdfast replay" not in line] == []
    assert "\x1b" not in "".join(lines)


def test_the_line_to_paste_is_one_line_that_a_shell_takes_for_the_same_words() -> None:
    program = "fill 'it'\"'\"'s' ; { add 'a b' || add 1 @2 }"
    shown = race(witness("1 2", step(1, "GET n", "None"), step(2, "GET n", "None")), program=program)
    (line,) = _starting(shown, "again ")
    words = shlex.split(line.removeprefix("again"))
    assert words == ["holdfast", "replay", f"counter: {shown.program.text}", "--schedule", "1 2"]
    (long,) = _starting(CROWDED, "again ")
    assert shlex.split(long)[3] == f"counter: {CROWDED.program.text}"


@pytest.mark.parametrize(
    ("explored", "said"),
    [
        (Explored(mode="all", classes=20), "all 20 classes of interleavings: 2 outcomes, 1 that no order explains"),
        (Explored(mode="all", classes=1), "the only class of interleavings: 2 outcomes, 1 that no order explains"),
        (
            Explored(mode="sampled", classes=1200, unseen=0.003),
            "sampled, 1200 runs, about 0.3% of further runs would show another: 2 outcomes, 1 that no order explains",
        ),
        (Explored(mode="orders", classes=0), "no step to interleave: 2 outcomes, 1 that no order explains"),
    ],
)
def test_how_it_was_explored_is_said(explored: Explored, said: str) -> None:
    assert _starting(race(lost(), IN_ORDER, explored=explored), "explored")[0].split("   ")[-1].strip() == said


def test_where_nothing_is_surprising_no_lanes_are_drawn() -> None:
    shown = race(IN_ORDER)
    assert "1 outcome, none that no order explains" in racing.text(shown)
    assert "replica 1:" not in racing.text(shown)


def test_one_schedule_again_is_drawn_even_where_some_order_has_it() -> None:
    shown = race(witness("1 2", step(1, "GET n", "None"), step(2, "GET n", "None"), serial=True), again=True)
    assert _starting(shown, "explored") == ["explored   one schedule, again"]
    assert "GET n -> None" in racing.text(shown)
    assert not _starting(shown, "*", ">"), "no mark needs to be explained"


def test_a_program_with_time_in_it_says_so() -> None:
    shown = race(program="fill ; { add 1 || clock +300s ; clock +0.5s || clock }")
    assert _lines(shown)[1:5] == [
        "  from       fill    (an empty counter)",
        "  replica 1  add 1",
        "  clock      moves by +300s, +0.5s, at any time",
        "  timers     may be due before steps that could be taken first",
    ]


def test_an_outcome_that_needs_a_split_pipeline_says_so() -> None:
    assert _starting(race(lost(split=True)), "1  ANOMALY") == [
        "1  ANOMALY: no order of the same calls has it (split pipeline: a real server seldom lets this happen)"
    ]


def test_simple_anomalies_come_first_and_split_ones_last() -> None:
    hard = witness("1 2 1 2", found=interruption(early="first"))
    odd = witness("1 2")
    shown = race(lost(split=True), odd, hard, lost(), IN_ORDER)
    assert [line.rsplit("--schedule ")[1] for line in _starting(shown, "again")] == [
        "'1 2*2 1'", "'1 2 1 2'", "'1 2'", "'1 2*2 1'", "'1*2 2*2'",
    ]  # fmt: skip


def test_beyond_six_anomalies_there_are_no_lanes_and_beyond_twenty_outcomes_a_count() -> None:
    shown = race(*(lost(effects=[f"n = {number}"]) for number in range(20)), IN_ORDER, IN_ORDER)
    assert len(_starting(shown, "replica 1: add 1")) == racing.DRAWN_MAX
    assert _lines(shown)[-1] == " and 2 more outcomes"


def test_long_lists_of_effects_are_counted_and_shorter_where_some_order_has_them() -> None:
    effects = [f"k{number} = 1" for number in range(15)]
    shown = race(lost(effects=effects), witness("1*2 2*2", effects=effects, serial=True))
    assert _starting(shown, "... and") == ["... and 3 more", "... and 11 more"]


def test_what_is_lacking_and_what_is_besides_is_said_of_the_nearest_order_alone() -> None:
    near = witness("1 2", effects=["a", "b"], serial=True)
    far = witness("2 1", effects=["c"], serial=True)
    assert _starting(race(lost(effects=["a"]), near, far), "unlike", "and has") == [
        "unlike    the nearest outcome of an order (1 2) has: b"
    ]
    assert _starting(race(lost(effects=["a", "b", "d"]), near, far), "unlike") == [
        "unlike    the nearest outcome of an order (1 2) has not: d"
    ]
    assert not _starting(race(lost()), "unlike")


def test_clients_that_share_a_replica_are_called_clients_and_start_by_an_entry_of_their_own() -> None:
    steps = lost().steps
    shown = race(witness("1*2 2*3 1", *steps, found=interruption(who="client")), program="{ add 1 || add 1 }")
    text = racing.text(shown)
    assert "client 1: add 1" in text
    assert text.count("(starts)") == 2
    assert re.search(r"\(starts\)\n    > \* GET n -> None", text)


def test_a_client_with_several_calls_has_them_all_in_its_head() -> None:
    shown = race(lost(answers=["None"] * 3), program="{ add 1 ; get || add 1 @2 }")
    assert "replica 1: add 1 ; get" in racing.text(shown)
    assert "get: returns None" in racing.text(shown)


def test_background_work_and_the_clock_have_lanes_of_their_own() -> None:
    steps = (step(1, "GET n", "None"), step(0, "SET n 1", "b'OK'"))
    text = racing.text(
        race(witness("1 clock replica1.0 timer", *steps, answers=["None"]), program="{ add 1 || clock +300s }")
    )
    head = next(line for line in text.splitlines() if "background" in line)
    assert head.split() == ["replica", "1:", "add", "1", "background", "clock"]
    rows = [next(i for i, line in enumerate(text.splitlines()) if what in line) for what in _IN_TURN]
    assert rows == sorted(rows)


_IN_TURN = ("GET n -> None", "  clock +300s", "SET n 1 ->", "(the next timer is due)")


def test_what_has_not_been_answered_waits() -> None:
    assert "BLPOP q 0 -> waits" in racing.text(race(witness("1", step(1, "BLPOP q 0"))))


def test_what_took_effect_at_once_stands_in_brackets_with_the_reply_of_exec() -> None:
    block = step(1, "MULTI ; SET n 1 ; SADD s a ; EXEC", "b'OK'", "b'QUEUED'", "b'QUEUED'", "[True, 1]", on=["n"])
    hidden = step(2, "GET a ; GET b", "1", "2", on=["unseen"])
    many = step(2, " ; ".join(f"GET {number}" for number in range(11)), "None")
    lines = _lines(race(witness("1 2*2", block, hidden, many)))
    start = next(number for number, line in enumerate(lines) if "MULTI {" in line)
    assert [line[6:28].rstrip() for line in lines[start : start + 4]] == [
        "  MULTI {", "  * SET n 1", "    SADD s a", "  } -> [True, 1]",
    ]  # fmt: skip
    second = lines[start + 4].index("* {")
    assert [line[second:] for line in lines[start + 4 : start + 8]] == ["* {", "    GET a", "    GET b", "  } -> 1, 2"]
    assert "... and 3 more" in racing.text(race(witness("2", many)))


def test_of_long_records_only_the_fields_that_differ_are_kept() -> None:
    steps = (
        step(1, "GET main(s1)", f"b'{_spelled()}'"),
        step(2, f"SET main(s1) {_spelled(state='claimed')} EX 7200", "b'OK'"),
        step(2, 'SET short {"a":1} {"broken', "b'OK'"),
    )
    text = racing.text(race(witness("1 2*2", *steps)))
    assert '-> b\'{..., "state":"active", ...}\'' in text
    assert 'SET main(s1) {..., "state":"claimed", ...} EX' in text
    assert 'SET short {"a":1} {"broken' in text
    alone = racing.text(race(witness("1", steps[0])))
    assert 'GET main(s1) -> b\'{"session_id":"s1", ...}\'' in alone


def test_the_services_own_line_stands_beneath_in_one_piece_where_there_is_no_room_beside() -> None:
    line = "store.py:82  data = await self._redis.get(self._keys.session(session_id), and_more_of_it)"
    steps = (step(1, "GET n", "x" * 60, line=line), step(2, "GET n", "y " * 60, line=line))
    first, second = [each for each in _lines(race(witness("1 2", *steps))) if "store.py" in each]
    assert first == " " * 10 + line
    assert second == line.rjust(WIDTH), "further left, so that it need not be broken"


def test_more_clients_than_there_is_room_for_stand_in_one_column() -> None:
    program = "{ " + " || ".join(f"add {number} @{number}" for number in range(1, 5)) + " }"
    steps = (*lost().steps, step(4, "MULTI ; SET n 1 ; EXEC", "[True]"))
    lines = _lines(race(witness("1 2*2 1 4", *steps, answers=["None"] * 4, found=interruption()), program=program))
    start = lines.index("      replica 4: add 4")
    assert [line for line in lines[start:] if "counter.py" not in line][2:8] == [
        "    > replica 1   * GET n -> None",
        "      replica 2   * GET n -> None",
        "    > replica 2   * SET n 1 -> b'OK'",
        "    > replica 1   * SET n 1 -> b'OK'",
        "      replica 4     MULTI {",
        "                      SET n 1",
    ]


@pytest.mark.parametrize(
    ("found", "marked"),
    [
        (interruption(), ["GET n", "SET n 1", "SET n 1"]),
        (interruption(came="MULTI {SET, SADD}"), []),
        (interruption(late="DEL"), []),
        (interruption(words=("n", "other")), []),
        (None, []),
    ],
)
def test_the_accesses_that_raced_are_marked_where_they_are_found(found: Any, marked: list[str]) -> None:
    rows = [line[6:] for line in _lines(race(lost(found=found))) if line.startswith("    > ")]
    assert [row.split("*")[1].split("->")[0].strip() for row in rows if "*" in row] == marked


def test_a_whole_block_can_be_what_came_between() -> None:
    block = step(2, "MULTI ; SET n 1 ; SADD s a ; EXEC", "[True, 1]", on=["n"])
    early, late = step(1, "GET n", "None", on=["n"]), step(1, "GET a ; GET b", "1", on=["n"])
    found = interruption(came="MULTI {SET, SADD}", late="{GET, GET}")
    rows = [
        line for line in _lines(race(witness("1 2 1", early, block, late, found=found))) if line.startswith("    >")
    ]
    assert len(rows) == 3 + 1, "and the line that says what the mark means"


@pytest.mark.parametrize("shown", [CROWDED, race(lost(), IN_ORDER)])
def test_colour_only_repeats_what_the_text_says(shown: Race) -> None:
    coloured = terminal.race(shown, colour=True)
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == terminal.race(shown) == racing.text(shown)


def test_steps_that_the_schedule_does_not_account_for_are_shown_all_the_same() -> None:
    text = racing.text(race(witness("1 2", *lost().steps)))
    assert text.count("SET n 1 ->") == 2
