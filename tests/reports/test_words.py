from __future__ import annotations

import pytest
from rich.cells import cell_len

from reports.words import clipped, counted, labelled, listed, number, padded, shown, wrapped


@pytest.mark.parametrize(("count", "text"), [(0, "0 states"), (1, "1 state"), (2, "2 states")])
def test_a_number_has_its_noun(count: int, text: str) -> None:
    assert number(count, "state") == text


def test_an_irregular_noun_is_given() -> None:
    assert number(2, "reply", "replies") == "2 replies"


def test_what_does_not_print_is_spelled_out() -> None:
    assert shown("a\x1b[2Jb\n\ud800") == "a\\x1b[2Jb\\n\\ud800"
    assert shown("a—€") == "a—€"


def test_the_frequent_come_first_and_the_rest_is_counted() -> None:
    assert counted(["get", "save", "save"]) == ["save x2", "get"]
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert listed(["a", "b"], 2) == "a, b"


@pytest.mark.parametrize("text", ["word " * 60, "x" * 300, "世界" * 80, "a" * 119 + " " + "b" * 121])
def test_no_line_is_wider_than_asked_for(text: str) -> None:
    assert all(cell_len(line) <= 120 for line in wrapped(text, 120))


def test_wrapping_loses_nothing() -> None:
    text = "save s1 ;  get 's  1' ; " * 20
    assert " ".join(wrapped(text, 40)) == text


def test_a_wide_letter_takes_two_columns() -> None:
    assert padded("世", 4) == "世  "
    assert clipped("世界世界", 6) == "世..."
    assert clipped("short", 6) == "short"


def test_labelled_lines_begin_in_one_column() -> None:
    assert labelled("before", ["a", "b"], indent=2) == ["  before  a", "          b"]
