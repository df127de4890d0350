from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from characterization.behaviour import Recording
from reports import drawing, graph
from reports.states import REST_KIND, UNKNOWN_KIND
from tests.reports.making import behaviour, recording, ring, session, shuffled

SVG = "{http://www.w3.org/2000/svg}"


def _parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


def _texts(text: str) -> list[str]:
    return [(each.text or "").strip() for each in _parsed(text).iter(f"{SVG}text")]


def _boxes(text: str) -> list[list[float]]:
    """Left, top, width and height of every box."""
    rects = _parsed(text).findall(f".//{SVG}g[@id]/{SVG}rect")
    return [[float(rect.get(name, "0")) for name in ("x", "y", "width", "height")] for rect in rects]


def _without(seen: Recording, program: str) -> Recording:
    return Recording(seen.subject, [each for each in seen if each.program.text != program])


def test_text_numbers_the_states_by_their_shortest_programs() -> None:
    assert graph.text(session()).splitlines() == [
        "relay.store    3 states, 6 transitions",
        "",
        "  1  the empty world  (s0)",
        "     reached by  (nothing done yet)",
        "     stays       get; 1 raise",
        "     -> 2        save s1",
        "",
        "  2  a new session  (s1)",
        "     reached by  save s1",
        "     -> 1        clock +7200s",
        "     stays       claim, get; 1 raise",
        "     -> 3        claim s1",
        "",
        f"  3  {UNKNOWN_KIND}  (s2)",
        "     reached by  save s1 ; claim s1",
    ]


def test_many_calls_of_one_operation_are_counted() -> None:
    calls = [behaviour(f"save s{place}", after="s1") for place in range(3)] + [behaviour("put a", after="s1")]
    assert "-> 2        put a, save x3" in graph.text(recording(*calls))


def test_text_against_an_older_recording_shows_what_was_added_and_removed() -> None:
    older = _without(session(), "save s1 ; claim s1")
    assert graph.text(session(), against=older).splitlines() == [
        "relay.store    3 states, 6 transitions",
        "  added: 1 state, 1 transition; removed: 0 states, 0 transitions",
        "",
        "  2  a new session  (s1)",
        "     reached by  save s1",
        "   + -> 3        claim s1",
        "",
        f"+ 3  {UNKNOWN_KIND}  (s2)",
        "     reached by  save s1 ; claim s1",
        "",
        "1 state and what leads out of them: as before",
    ]
    back = graph.text(older, against=session())
    assert "removed: 1 state, 1 transition" in back
    assert "   - -> 3        claim s1" in back
    assert f"- 3  {UNKNOWN_KIND}  (s2)" in back


def test_text_against_itself_has_nothing_to_show() -> None:
    assert graph.text(session(), against=session()).splitlines()[-1] == "3 states and what leads out of them: as before"


@pytest.mark.parametrize("render", [graph.text, graph.svg])
def test_an_empty_recording_is_an_empty_graph(render: Callable[[Recording], str]) -> None:
    assert "0 states, 0 transitions" in render(recording())


def test_a_picture_has_a_box_for_each_state_and_a_line_for_each_pair() -> None:
    text = graph.svg(session())
    assert len(_boxes(text)) == 3
    texts = _texts(text)
    assert "1: the empty world" in texts
    assert "save s1 \N{RIGHTWARDS ARROW} 2" in texts
    assert "1 \N{LEFTWARDS ARROW} clock +7200s" in texts
    assert "stays: claim, get; 1 raise" in texts
    drawn = [each for each in _parsed(text).iter(f"{SVG}path") if each.get("marker-end")]
    assert sorted(each.get("stroke-dasharray", "") for each in drawn) == ["", "", "9 4"], "time is dashed"


def test_nothing_is_loaded_and_nothing_is_run() -> None:
    text = graph.svg(ring(40, kinds=5))
    assert "<script" not in text
    assert text.count("http") == 1, "only the namespace of SVG"
    assert "@import" not in text


@pytest.mark.parametrize(
    "seen", [session(), ring(7, kinds=2), ring(50, kinds=4), ring(60, kinds=60), ring(300, kinds=9)]
)
def test_no_box_covers_another_and_all_are_inside_the_picture(seen: Recording) -> None:
    text = graph.svg(seen)
    for (x, y, w, h), (left, top, width, height) in itertools.combinations(_boxes(text), 2):
        assert x + w <= left or left + width <= x or y + h <= top or top + height <= y
    _, _, width, height = map(float, _parsed(text).get("viewBox", "").split())
    assert all(x + w < width and y + h < height for x, y, w, h in _boxes(text))


@pytest.mark.parametrize("seen", [session(), ring(50, kinds=4), ring(300, kinds=9), ring(200, kinds=190)])
def test_the_same_recording_makes_the_same_bytes(seen: Recording) -> None:
    for other in shuffled(seen):
        assert graph.svg(other) == graph.svg(seen)
        assert graph.text(other) == graph.text(seen)


def test_a_large_graph_has_a_box_for_each_kind_and_says_so() -> None:
    text = graph.svg(ring(300, kinds=9))
    assert len(_boxes(text)) == 9
    assert any("Each box is all states of one kind, since 300 states are too many" in each for each in _texts(text))
    assert "1: kind 0 (34 states)" in _texts(text)


def test_more_kinds_than_boxes_stand_together() -> None:
    text = graph.svg(ring(200, kinds=190))
    assert len(_boxes(text)) == graph.BOXES_MAX
    assert any(REST_KIND in each for each in _texts(text))


def test_what_was_added_and_removed_is_marked_by_more_than_colour() -> None:
    text = graph.svg(session(), against=_without(session(), "save s1 ; claim s1"))
    texts = _texts(text)
    assert f"+ 3: {UNKNOWN_KIND}" in texts
    assert "+ claim s1 \N{RIGHTWARDS ARROW} 3" in texts
    assert "added: 1 state, 1 transition; removed: 0 states, 0 transitions" in texts
    back = graph.svg(_without(session(), "save s1 ; clock +7200s"), against=session())
    assert "- 1 \N{LEFTWARDS ARROW} clock +7200s" in _texts(back)
    assert 'stroke-dasharray="3 3"' in back


def test_a_large_graph_counts_what_was_added_and_removed_in_each_kind() -> None:
    texts = _texts(graph.svg(ring(300, kinds=3), against=ring(290, kinds=3)))
    assert "1: kind 0 (100 states +3)" in texts
    assert any(each.startswith("added: 10 states") for each in texts)
    gone = _texts(graph.svg(ring(80, kinds=3), against=ring(100, kinds=90)))
    assert any(each.startswith("- ") and "(1 state)" in each for each in gone)


def test_marks_that_xml_reserves_and_letters_that_do_not_print_are_safe() -> None:
    strange = '<b> & "q" \x00\x1b \ud800 世界'
    seen = recording(
        behaviour("save '<s&1>'", "'<'", after="s1", kind=strange), behaviour("get \x07", after="s0", kind=strange)
    )
    text = graph.svg(seen)
    text.encode("utf-8")
    assert any("<b> &" in each for each in _texts(text))
    assert any("save '<s&1>'" in each for each in _texts(text))
    assert "\\x00" in graph.text(seen)


def test_labels_stay_inside_their_boxes() -> None:
    kind = "main(s1), main(s2), index, " * 20
    calls = [
        behaviour(f"an_operation_with_a_name_that_is_rather_long_{place} x", after="s1", kind=kind)
        for place in range(9)
    ]
    stay = [behaviour(f"another_operation_{place} {'y' * 60}", kind=kind) for place in range(30)]
    wide = [behaviour("z" * 80, after="s2", kind=kind)]
    group = next(
        each for each in _parsed(graph.svg(recording(*calls, *stay, *wide))).iter(f"{SVG}g") if each.get("id") == "s1"
    )
    texts = [(each.text or "").strip() for each in group.iter(f"{SVG}text")]
    assert all(len(each) <= drawing.LETTERS for each in texts)
    assert any("+8 more" in each or "+7 more" in each for each in texts)
    assert any("more" in each for each in texts if each.startswith(("stays", "another", "+")))


def test_a_tooltip_spells_every_call_up_to_a_dozen() -> None:
    titles = [
        each.text or ""
        for each in _parsed(graph.svg(recording(*(behaviour(f"save s{n}", after="s1") for n in range(15))))).iter(
            f"{SVG}title"
        )
    ]
    assert any("1 -> 2\nsave s0" in each and "... and 3 more" in each for each in titles)


def test_what_cannot_be_reached_from_the_start_is_drawn_too() -> None:
    island = [
        behaviour("a", after="s1"),
        behaviour("x ; b", before="t0", after="t1"),
        behaviour("x ; c", before="t0", after="s1"),
    ]
    assert len(_boxes(graph.svg(recording(*island)))) == 4
