"""Operations at once, as a picture."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest

from characterization import reporting
from characterization.racing import Race
from reports import lanes
from tests.reports.making import CROWDED, IN_ORDER, interruption, lost, race, step, witness

SVG = "{http://www.w3.org/2000/svg}"
MANY = race(*(lost(effects=[f"n = {number}"]) for number in range(9)), IN_ORDER)
EVERY = [race(lost(), IN_ORDER), race(IN_ORDER), race(lost(), again=True), CROWDED, MANY]


def _parsed(shown: Race) -> ET.Element:
    return ET.fromstring(lanes.svg(shown))


def _texts(shown: Race) -> list[str]:
    """Each line of text, its parts together."""
    return ["".join(each.itertext()) for each in _parsed(shown).iter(f"{SVG}text")]


def _boxes(shown: Race) -> list[ET.Element]:
    return _parsed(shown).findall(f".//{SVG}g/{SVG}g/{SVG}rect")


def _place(rect: ET.Element) -> list[float]:
    return [float(rect.get(name, "0")) for name in ("x", "y", "width", "height")]


@pytest.mark.parametrize("shown", EVERY)
def test_it_is_one_file_that_loads_nothing_runs_nothing_and_has_a_background(shown: Race) -> None:
    text = lanes.svg(shown)
    root = ET.fromstring(text)
    assert text.count("http") == 1, "only the namespace of SVG"
    assert not any(word in text for word in ("<script", "@import", "href", "<foreignObject"))
    background = root.find(f"{SVG}rect")
    assert background is not None
    assert background.attrib == {"width": "100%", "height": "100%", "fill": "#ffffff"}
    assert text == lanes.svg(shown)
    text.encode("utf-8")


@pytest.mark.parametrize("shown", EVERY)
def test_no_box_covers_another_and_all_are_inside_the_picture(shown: Race) -> None:
    places = list(map(_place, _boxes(shown)))
    assert places or not shown.witnesses[0].steps
    for (x, y, w, h), (left, top, width, height) in itertools.combinations(places, 2):
        assert x + w <= left or left + width <= x or y + h <= top or top + height <= y
    _, _, width, height = map(float, _parsed(shown).get("viewBox", "").split())
    assert all(x + w < width and y + h < height for x, y, w, h in places)


def test_those_who_cannot_see_it_are_told_what_it_shows() -> None:
    root = _parsed(race(lost(), IN_ORDER))
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("aria-labelledby") == "title desc"
    assert root.get("role") == "img"
    assert title is not None
    assert desc is not None
    assert (title.text or "").endswith("all 4 classes of interleavings: 2 outcomes, 1 that no order explains")
    assert desc.text == "{ add 1 || add 1 @2 }; between replica 1's GET and SET of n, replica 2 wrote it (SET)"


def test_an_anomaly_has_its_sentence_its_steps_in_order_and_the_services_own_lines() -> None:
    texts = _texts(race(lost(), IN_ORDER))
    for each in (
        "1  ANOMALY: no order of the same calls has it",
        "between replica 1's GET and SET of n, replica 2 wrote it (SET)",
        "replica 2: add 1",
        "counter.py:8",
        "await self._redis.get(n)",
        "again     holdfast replay 'counter: { add 1 || add 1 @2 }' --schedule '1 2*2 1'",
    ):
        assert each in texts
    assert [text for text in texts if text.startswith(("GET", "SET"))] == ["GET n", "GET n", "SET n 1", "SET n 1"]
    assert "some order has it too" not in " ".join(texts)


def test_the_accesses_that_raced_are_outlined_numbered_and_joined() -> None:
    shown = race(lost(), IN_ORDER)
    outlined = [box.get("stroke-width") for box in _boxes(shown)]
    assert outlined == ["2.4", "1.1", "2.4", "2.4"]
    assert [text for text in _texts(shown) if text.strip(" >").isdigit()] == ["1 >", "2", "3 >", "4 >"]
    (arrow,) = [each for each in _parsed(shown).iter(f"{SVG}line") if each.get("marker-end")]
    first, _, third, last = map(_place, _boxes(shown))
    x1, x2, y = (float(arrow.get(name, "0")) for name in ("x1", "x2", "y1"))
    assert x1 == third[0], "from the box of what came between"
    assert first[0] < x2 < first[0] + first[2], "into the other's lane"
    assert first[1] + first[3] < y < last[1]
    assert "wrote n" in _texts(shown)


def test_an_arrow_to_the_right_ends_left_of_the_gap() -> None:
    mirrored = [step(3 - each.client, *each.commands, *each.replies, on=["n"]) for each in lost().steps]
    found = interruption(client=2, by=1, wrote=False)
    shown = race(witness("2 1*2 2", *mirrored, found=found))
    (arrow,) = [each for each in _parsed(shown).iter(f"{SVG}line") if each.get("marker-end")]
    assert float(arrow.get("x1", "0")) < float(arrow.get("x2", "0"))
    assert "read n" in _texts(shown)


@pytest.mark.parametrize("found", [None, interruption(late="DEL")])
def test_without_accesses_to_name_nothing_is_joined(found: object) -> None:
    shown = race(lost(found=found))
    assert not [each for each in _parsed(shown).iter(f"{SVG}line") if each.get("marker-end")]
    assert {box.get("stroke-width") for box in _boxes(shown)} == {"1.1"}


def test_contended_keys_stand_out() -> None:
    shown = race(lost(), IN_ORDER)
    keys = [each.text for each in _parsed(shown).iter(f"{SVG}tspan") if each.get("class") == "key"]
    assert keys == ["n"] * 4


def test_what_took_effect_at_once_stands_in_brackets() -> None:
    block = step(1, "MULTI ; SET n 1 ; SADD s a ; EXEC", "b'OK'", "[True, 1]", on=["n"])
    many = step(2, " ; ".join(f"GET {number}" for number in range(12)), "None")
    texts = _texts(race(witness("1 2", block, many)))
    start = texts.index("MULTI {")
    assert texts[start : start + 4] == ["MULTI {", "  SET n 1", "  SADD s a", "} -> [True, 1]"]
    assert "{" in texts
    assert "  ... and 3 more" in texts


def test_at_most_six_anomalies_are_drawn_and_the_rest_counted() -> None:
    texts = _texts(MANY)
    assert sum("ANOMALY" in text for text in texts) == lanes.DRAWN_MAX
    assert texts[-1] == "and 3 more anomalies"
    assert _texts(race(*[IN_ORDER] * 7))[-1] == "and 1 more outcome"


def test_where_nothing_is_surprising_the_outcomes_that_there_are_are_drawn() -> None:
    plain = witness("1 2", step(1, "GET n", "None"), step(2, "BLPOP q 0"), serial=True)
    texts = _texts(race(plain))
    assert "1  some order has it too" in texts
    assert "-> waits" in texts


def test_the_clock_and_work_in_the_background_have_lanes() -> None:
    texts = _texts(CROWDED)
    for each in ("background", "clock", "clock +300s", "(the next timer is due)"):
        assert each in texts


def test_the_report_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "_report", {"lanes": lanes}.get)
    assert reporting.lanes().svg(race(lost())) == lanes.svg(race(lost()))
