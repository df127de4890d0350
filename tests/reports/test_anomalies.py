"""What operations at once showed, as text: headlines, what is split, and how far it was looked."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len

from characterization.behaviour import Explored, Interruption, RaceBehaviour, Recording
from characterization.comparing import Comparison, compare
from characterization.comparing_races import RaceChange, RaceGroup
from characterization.kinds import Kind
from reports import anomalies, terminal
from tests.reports.making import SUBJECT, behaviour, interruption, outcome, raced, recording

SPELLED = "{ add 1 || add 1 @2 }"


def grouped(*changes: RaceChange) -> RaceGroup:
    """A group of these changes."""
    return RaceGroup(kind=changes[0].kind, changes=changes)


def change(kind: Kind = Kind.APPEARED, **fields: Any) -> RaceChange:
    """A change of the one program of these tests."""
    return RaceChange(kind=kind, old=raced(SPELLED), new=raced(SPELLED), **fields)


def told(*changes: RaceChange) -> list[str]:
    return anomalies.group_lines(1, grouped(*changes))


def compared(old: list[RaceBehaviour], new: list[RaceBehaviour], **options: Any) -> Comparison:
    return compare(Recording(SUBJECT, [], old), Recording(SUBJECT, [], new), **options)


IDENT = raced(SPELLED).ident


# What is different.


def test_an_anomaly_that_appeared_is_told_whole() -> None:
    assert told(change(after=outcome())) == [
        " 1  add, between its GET and SET of n                       1 situation     ANOMALY APPEARED",
        "      by         add",
        "      before     (only what some order has)",
        "      after      add 1: None",
        "                 add 1 @2: None",
        "                 n = 1",
        "      came by    between replica 1's GET and SET of n, replica 2 wrote it (SET)",
        f"      shown by   {SPELLED}",
        f"      again      holdfast replay '{IDENT}' --schedule '1 2*2 1'",
    ]


def test_an_anomaly_that_vanished_says_what_became_of_its_witness() -> None:
    lines = told(change(Kind.VANISHED, before=outcome(), why="its witness now ends as the order 1 2 does"))
    assert lines[0].endswith("ANOMALY VANISHED")
    assert "      after      (only what some order has)" in lines
    assert "      witness    its witness now ends as the order 1 2 does" in lines


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.APPEARED, "ANOMALY APPEARED"),
        (Kind.VANISHED, "ANOMALY VANISHED"),
        (Kind.EFFECT, "ANOMALY SHOWS SOMETHING ELSE"),
        (Kind.RESPONSE, "ANOMALY ANSWERS SOMETHING ELSE"),
        (Kind.NEW, "NEW"),
        (Kind.GONE, "GONE"),
    ],
)
def test_every_kind_of_change_at_once_has_its_words(kind: Kind, words: str) -> None:
    assert told(change(kind, before=outcome(), after=outcome()))[0].endswith(f"    {words}")
    assert {kind for kind in Kind if not kind.startswith("law ")} - {Kind.COST} == set(anomalies._WHAT)


def test_an_order_that_ends_otherwise_has_no_outcome_to_show() -> None:
    assert told(change(Kind.EFFECT)) == [
        " 1  add and add at once                                     1 situation     AN ORDER ENDS OTHERWISE",
        f"      shown by   {SPELLED}",
        f"      again      holdfast replay '{IDENT}'",
    ]


def test_what_is_new_is_explained_since_there_is_nothing_to_hold_it_against() -> None:
    assert told(change(Kind.NEW))[-1] == f"      again      holdfast explain '{IDENT}'"
    assert told(change(Kind.GONE))[-1] == f"      again      holdfast replay '{IDENT}'"


def test_what_no_interruption_explains_is_called_by_its_operations() -> None:
    unknown = change(after=outcome(interruption=None))
    assert anomalies.headline(grouped(unknown)) == "add and add at once"
    assert not [line for line in told(unknown) if line.lstrip().startswith(("by ", "came by"))]


def test_two_accesses_of_two_keys_are_both_in_the_headline() -> None:
    found = interruption(operation="get", early="SMEMBERS", late="GET", words=("index", "main(s1)"))
    assert anomalies.headline(grouped(change(after=outcome(interruption=found)))) == (
        "get, between its SMEMBERS of index and GET of main(s1)"
    )


def test_everybody_who_comes_between_is_named() -> None:
    others = [interruption(other=other) for other in ("drop", "add", "wipe")]
    lines = told(*(change(after=outcome(interruption=found)) for found in others))
    assert "      by         add, drop, wipe" in lines
    assert "3 situations" in lines[0]


def test_what_needs_a_split_pipeline_is_marked_where_all_of_it_does() -> None:
    split, whole = change(after=outcome(split=True)), change(after=outcome())
    marked = "      split      only where a plain pipeline is split, which a real server seldom does"
    assert marked in told(split, split)
    assert marked not in told(split, whole)


def test_more_lines_than_a_screen_bears_are_counted() -> None:
    many = outcome(effects=tuple(f"field_{number} = 1" for number in range(9)), events=("log a",))
    lines = told(change(after=many))
    assert "                 field_5 = 1" in lines
    assert not [line for line in lines if "field_6" in line]
    assert "                 ... and 4 more lines" in lines
    assert "                 nothing is different" in told(change(after=outcome(effects=())))


def test_what_only_follows_is_counted_by_program() -> None:
    follows = [
        change(Kind.EFFECT, follows=True),
        change(Kind.RESPONSE, before=outcome(), after=outcome(), follows=True),
    ]
    assert anomalies.following_line([grouped(each) for each in follows]) == [
        "  + 1 program of what is at once only follow from the above"
    ]
    assert anomalies.following_line([]) == []


# In a comparison.


def test_the_first_line_counts_what_appeared_and_what_vanished() -> None:
    other = outcome(interruption=interruption(late="GETSET"), effects=("n = 5",))
    text = terminal.comparison(compared([raced(SPELLED, outcome())], [raced(SPELLED, other)]))
    assert text.startswith(
        f"{SUBJECT}    0 behaviours changed, 1 anomaly appeared (in 1 situation), 1 anomaly vanished (in 1 situation), "
        "0 new, 0\n    gone\n"
    )
    assert [line[:3] for line in text.splitlines() if line[1:2].isdigit()] == [" 1 ", " 2 "]


def test_as_pinned_counts_the_races_too() -> None:
    races = [raced(SPELLED, outcome()), raced("{ add 1 || drop 1 }")]
    old = Recording(SUBJECT, [behaviour("add 1")], races)
    assert terminal.comparison(compare(old, old)) == f"{SUBJECT}    as pinned, 1 transition and 2 races"


def test_what_follows_stands_beneath_and_is_no_group_of_its_own() -> None:
    races = raced(SPELLED, outcome()), raced(SPELLED, outcome(effects=("n = 2",)))
    old = Recording(SUBJECT, [behaviour("add 1", answer="1")], [races[0]])
    new = Recording(SUBJECT, [behaviour("add 1", answer="2")], [races[1]])
    text = terminal.comparison(compare(old, new))
    assert "  + 1 program of what is at once only follow from the above" in text
    assert "ANOMALY" not in text


def test_more_groups_than_a_screen_bears_are_counted() -> None:
    spelled = [f"{{ get{chr(97 + number)} || put{chr(97 + number)} }}" for number in range(25)]
    text = terminal.comparison(compared([], [raced(each) for each in spelled]))
    assert "\n20  " in text
    assert "\n21  " not in text
    assert text.splitlines()[-1] == " and 5 more groups of what is at once (5 situations)"


def test_what_is_at_once_has_room_beside_many_other_changes() -> None:
    names = [f"op{chr(97 + number)}" for number in range(25)]
    old = recording(*(behaviour(name) for name in names))
    new = recording(*(behaviour(name, f"'{name}'") for name in names))
    races = [raced(f"{{ get{name} || put{name} }}") for name in names]
    text = terminal.comparison(compare(old, new.merged({}, {race.program.text: race for race in races})))
    assert text.count("at once   ") == terminal.GROUPS_MAX
    assert " and 5 more groups of what is at once (5 situations)" in text


LONG = "世界 <&>\x1b[2J " * 60


@pytest.mark.parametrize("kind", [Kind.APPEARED, Kind.VANISHED, Kind.NEW])
def test_no_line_but_the_one_to_paste_is_wider_than_the_screen(kind: Kind) -> None:
    found = interruption(operation="o" * 90, early="E" * 90, words=("w" * 130, LONG), other=LONG, came="C" * 130)
    wide = outcome(answers=(LONG, "x" * 400), effects=("y" * 500, LONG), events=(LONG,), split=True, interruption=found)
    spelled = f"save '{'x' * 150}' ; {{ add '{'y' * 150}' || add 1 @2 }}"
    sides: dict[Kind, tuple[list[RaceBehaviour], list[RaceBehaviour]]] = {
        Kind.APPEARED: ([raced(spelled)], [raced(spelled, wide)]),
        Kind.VANISHED: ([raced(spelled, wide)], [raced(spelled)]),
        Kind.NEW: ([], [raced(spelled, wide)]),
    }
    text = terminal.comparison(compared(*sides[kind]))
    assert all(cell_len(line) <= 120 for line in text.splitlines() if not line.lstrip().startswith("again"))
    assert "\x1b" not in text


def test_colour_adds_nothing_to_the_text() -> None:
    result = compared([raced(SPELLED)], [raced(SPELLED, outcome())])
    coloured = terminal.comparison(result, colour=True)
    assert "\x1b[1m 1  add, between its GET and SET of n" in coloured
    assert coloured.replace("\x1b[1m", "").replace("\x1b[0m", "") == terminal.comparison(result)


# What was recorded.


def recorded(*races: RaceBehaviour) -> list[str]:
    return anomalies.recorded(Recording(SUBJECT, [], races))


def test_a_recording_says_how_far_it_looked_and_that_nothing_is_unexplained() -> None:
    assert recorded(raced(SPELLED), raced("{ add 1 || drop 1 }")) == [
        "  at once     2 programs (all complete, 8 classes of interleavings), 2 outcomes, none of which no order explains"
    ]
    assert recorded() == []


def test_a_sample_is_no_certificate() -> None:
    sampled = raced("{ add 1 || drop 1 }", explored=Explored(mode="sampled", classes=100, unseen=0.1))
    assert recorded(raced(SPELLED), sampled)[0].startswith(
        "  at once     2 programs (1 complete, 1 SAMPLED, 104 runs), 2 outcomes"
    )


def test_each_interruption_is_one_line_with_who_comes_between_and_the_shortest_program() -> None:
    between: list[Interruption | None] = [interruption(), interruption(other="drop"), None]
    one, two, unknown = (outcome(interruption=each, effects=(f"n = {each}",)) for each in between)
    first, *rest = recorded(raced(f"add 1 ; {SPELLED}", one), raced(SPELLED, two, unknown))
    assert first.endswith("5 outcomes, 3 anomalies: no order explains them")
    assert rest == [
        "    2 outcomes      add, between its GET and SET of n",
        "                    by        add, drop",
        f"                    shown by  {SPELLED}",
        "    1 outcome       add and add at once",
        f"                    shown by  {SPELLED}",
    ]


def test_an_outcome_that_needs_a_split_pipeline_is_told_apart() -> None:
    lines = recorded(raced(SPELLED, outcome(split=True), outcome(effects=("n = 9",))))
    assert "    1 outcome       add, between its GET and SET of n (only where a plain pipeline is split)" in lines
    assert "    1 outcome       add, between its GET and SET of n" in lines


def test_more_interruptions_than_a_screen_bears_are_counted() -> None:
    found = [outcome(interruption=interruption(late=f"SET{n}"), effects=(f"n = {n}",)) for n in range(15)]
    lines = recorded(raced(SPELLED, *found))
    assert lines[-1] == "    and 3 more interruptions"
    assert sum(line.startswith("    1 outcome") for line in lines) == anomalies.GROUPS_MAX


def test_a_recording_tells_of_what_is_at_once_before_what_is_worth_a_look() -> None:
    seen = Recording(SUBJECT, [behaviour("add 1", effects=["+ n (string) ttl none"])], [raced(SPELLED, outcome())])
    lines = terminal.recording(seen).splitlines()
    assert [line.strip() for line in lines].index("worth a look") > next(
        place for place, line in enumerate(lines) if line.startswith("  at once")
    )


def test_the_order_in_which_a_recording_was_put_together_does_not_show() -> None:
    races = [raced(f"add {n} ; {SPELLED}", outcome()) for n in range(5)]
    assert recorded(*races) == recorded(*races[::-1])
    assert all(cell_len(line) <= 120 for line in recorded(raced(f"save '{'x' * 200}' ; {SPELLED}", outcome())))
