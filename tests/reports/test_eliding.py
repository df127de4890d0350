from __future__ import annotations

import pytest

from reports.eliding import LONGEST, apart, cut


def _session(**changed: str) -> str:
    fields = {f"field_{place}": f"'value {place}'" for place in range(18)} | changed
    return f"Session({', '.join(f'{name}={value}' for name, value in fields.items())})"


def test_short_values_stand_whole() -> None:
    assert apart("Pair(a=1, b=2)", "Pair(a=1, b=3)") == ("Pair(a=1, b=2)", "Pair(a=1, b=3)")


def test_only_the_fields_that_differ_are_shown() -> None:
    assert apart(_session(), _session(field_3="'it\\'s, (other)'", field_17="None")) == (
        "Session(..., field_3='value 3', ..., field_17='value 17')",
        "Session(..., field_3='it\\'s, (other)', ..., field_17=None)",
    )


def test_a_field_of_one_side_only_is_shown_there() -> None:
    assert apart(_session(), _session(added="1")) == ("Session(...)", "Session(..., added=1)")


def test_a_field_that_itself_is_long_is_taken_apart_too() -> None:
    old, new = apart(_session(inner=_session()), _session(inner=_session(field_0="9")))
    assert old == "Session(..., inner=Session(field_0='value 0', ...))"
    assert new == "Session(..., inner=Session(field_0=9, ...))"


def test_mappings_and_lists_are_taken_apart() -> None:
    same = ", ".join(f"'key {place}': {place}" for place in range(20))
    assert apart(f"{{{same}, 'a': 1}}", f"{{{same}, 'a': 2}}") == ("{..., 'a': 1}", "{..., 'a': 2}")
    items = ", ".join(f"'item {place}'" for place in range(20))
    assert apart(f"[{items}]", f"[{items}, 'x']") == ("[...]", "[..., 'x']")


@pytest.mark.parametrize(
    "broken", ["Open(" + "a" * 90 + "]", "f(" + "a)(" * 40 + ")", "f('" + "a" * 90 + ")", "f((" + "a" * 90 + ")"]
)
def test_text_that_cannot_be_taken_apart_loses_what_it_shares(broken: str) -> None:
    old, new = apart("same " * 30 + "one" + broken, "same " * 30 + "two" + broken)
    assert old.startswith("...")
    assert "one" in old
    assert "two" in new
    assert len(old) < 80
    assert apart(broken, broken + "x")[0].startswith("...")


def test_different_types_are_shown_from_where_they_differ() -> None:
    old, new = apart(_session(), "raises SessionNotFoundError('s1')")
    assert old.startswith("Session(field_0")
    assert new == "raises SessionNotFoundError('s1')"


def test_what_is_still_too_long_says_how_long_it_is() -> None:
    assert cut("x" * 1000) == "x" * LONGEST + "... (1000 characters)"
