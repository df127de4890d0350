"""States: words for keys, one spelling for values, and what makes two states the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from characterization.renaming import Renamer
from characterization.state import (
    Abstraction,
    Entry,
    State,
    Words,
    entry_of,
    flat,
    matches,
    plain,
    scalar,
    scrub,
    text_of,
)
from characterization.subject import cap, drop, few
from simulator.backend import Record
from tests.characterization.properties import quick

RENAMER = Renamer(0)

scalars = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8)
values = st.recursive(
    scalars | st.frozensets(st.text(max_size=4), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
stored = st.tuples(st.sampled_from(["string", "hash"]), st.sampled_from(["none", "1s", "60s"]))
entries = st.builds(
    lambda about, value: Entry(kind=about[0], ttl=about[1], value=value), stored | st.just(("memory", "none")), values
)
states = st.dictionaries(st.sampled_from(["main(a)", "main(b)", "index", "memory"]), entries, max_size=3).map(State)


def entry(kind: str, value: object, ttl_ms: int | None = None, groups: object = None) -> Entry:
    return entry_of(Record(kind=kind, value=value, ttl_ms=ttl_ms, groups=groups), RENAMER)


@quick
@given(states, states)
def test_states_are_equal_exactly_when_nothing_tells_them_apart(one: State, two: State) -> None:
    assert (one == two) == (one.identity(()) == two.identity(()))
    assert one != two or hash(one) == hash(two)


def test_a_state_is_asked_by_word() -> None:
    state = State(
        {"b": Entry(kind="string", ttl="none", value=1), "a": Entry(kind="set", ttl="1s", value=frozenset("x"))}
    )
    assert state.words() == ["a", "b"]
    assert state.get("b") == 1
    assert state.get("c") is None
    assert state.entry("c") is None
    assert "a" in state
    assert "c" not in state
    assert state["a"].ttl == "1s"
    assert state != "a state"
    leaves = dict(state.leaves())
    assert leaves == {"a kind": "set", "a ttl": "1s", "a[x]": "in", "b kind": "string", "b ttl": "none", "b": "1"}


@pytest.mark.parametrize(
    ("key", "word"),
    [(b"ha:s1:main", "main(s1)"), (b"ha:index", "index"), (b"other", "other"), (b"ha:\xff:main", "main(\\xff)")],
)
def test_a_key_has_the_word_of_the_first_pattern_that_fits(key: bytes, word: str) -> None:
    words = Words({"ha:index": "index", "ha:{id}:main": "main({id})", "ha:{rest}": "rest"})
    assert words.of(key) == word
    assert words.of(key) == word  # from memory


def test_what_redis_stores_has_one_spelling() -> None:
    assert entry("string", b"12", 60_000) == Entry(kind="string", ttl="60s", value=12)
    assert entry("string", b"012", 1) == Entry(kind="string", ttl="0.001s", value="012")
    assert entry("string", b'{"a": [1, null, true]}').value == {"a": [1, None, True]}
    assert entry("string", b"{not json").value == "{not json"
    assert entry("string", b"\xff\x00").value == "0xff00"
    assert entry("set", frozenset([b"a", b"b"])).value == frozenset("ab")
    assert entry("hash", {b"f": b"1"}).value == {"f": 1}
    assert entry("zset", {b"m": b"1.5"}).value == {"m": "1.5"}
    assert entry("list", (b"x", b"2")).value == ["x", 2]
    assert entry("ReJSON-RL", b"raw").value == "raw"


def test_a_stream_shows_its_entries_and_who_has_not_acknowledged_them() -> None:
    groups = {b"g": {"last": b"1-0", "pending": ((b"1-0", b"c1", 2),)}}
    assert entry("stream", ((b"1-0", {b"k": b"v"}),), groups=groups).value == {
        "entries": {"1-0": {"k": "v"}},
        "groups": {"g": {"last": "1-0", "pending": {"1-0": "c1 x2"}}},
    }


def test_the_ids_of_a_stream_are_moments() -> None:
    renamer = Renamer(1_893_456_000_000_000_000)
    found = entry_of(Record(kind="stream", value=((b"1893456001000-0", {}),), ttl_ms=None), renamer)
    assert found.value["entries"] == {"t+1s-0": {}}


def test_plain_values_have_no_order_and_no_classes() -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd"

    assert plain({"b": {3, "x"}, b"k": (1, 2.5, b"raw")}, RENAMER) == {"b": frozenset({"3", "x"}), "k": [1, 2.5, "raw"]}
    assert plain(Odd(), RENAMER) == "odd"
    assert plain(False, RENAMER) is False


def test_half_a_surrogate_pair_does_not_keep_a_state_from_being_named_or_written() -> None:
    found = entry("string", b'{"a": "\\ud800"}')
    assert found.value == {"a": "\\ud800"}
    assert int(State({"k": found}).identity(()), 16) >= 0


def test_text_that_cannot_be_shown_is_shown_by_its_digits() -> None:
    assert text_of("déjà".encode()) == "déjà"
    assert text_of(b"a\nb") == "0x610a62"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("word", "word"), ("t+60s", "t+60s"), ("12", '"12"'), (12, "12"), ("true", '"true"'), (True, "true"),
        (None, "null"), ("", '""'), ("a b", '"a b"'), (frozenset(), "{}"), ({}, "{}"), ([], "[]"), (math.inf, "Infinity"),
    ],
)  # fmt: skip
def test_a_number_and_a_text_of_the_same_digits_are_spelled_apart(value: object, text: str) -> None:
    assert scalar(value) == text


def test_values_are_taken_apart_to_their_leaves() -> None:
    value = {"b": [1, {"c": 2}], "a": frozenset("yx"), "e": []}
    assert list(flat("k", value)) == [
        ("k.a[x]", "in"),
        ("k.a[y]", "in"),
        ("k.b[0]", "1"),
        ("k.b[1].c", "2"),
        ("k.e", "[]"),
    ]


def counted(count: object, **others: object) -> State:
    value = {"count": count, **others}
    return State({"main(a)": Entry(kind="hash", ttl="none", value=value)})


def test_capped_numbers_above_the_limit_are_the_same_state() -> None:
    capped = [cap("main(*).count", 2)]
    assert counted(2).identity(capped) == counted(7).identity(capped)
    assert counted(1).identity(capped) != counted(2).identity(capped)
    assert counted("x").identity(capped) != counted("y").identity(capped)


def test_a_dropped_field_is_not_looked_at() -> None:
    dropped = [drop("main(*).count")]
    assert counted(1).identity(dropped) == counted(9).identity(dropped)
    assert counted(1, other=1).identity(dropped) != counted(1, other=2).identity(dropped)


def test_of_keys_that_keep_coming_a_few_are_looked_at() -> None:
    def keys(*numbers: int) -> State:
        return State({f"job({number})": Entry(kind="string", ttl="none", value=0) for number in numbers})

    some = [few("job(*)", 2)]
    assert keys(1, 2).identity(some) == keys(1, 2, 3).identity(some)
    assert keys(1).identity(some) != keys(1, 2).identity(some)


def test_which_draw_an_identifier_came_from_makes_no_other_state() -> None:
    def held(token: str) -> State:
        return State({"lock": Entry(kind="string", ttl="none", value=token)})

    assert held("token#1").identity(()) == held("token#4").identity(())


def test_brackets_in_a_pattern_stand_for_themselves() -> None:
    assert matches("index[a]", "index[*]")
    assert not matches("indexa", "index[a]")
    assert Abstraction("a", 1) == cap("a", 1)


def test_a_scrub_replaces_what_its_path_names_and_nothing_else() -> None:
    value = {"host": "box-7", "port": 1, "inner": {"host": "box-8"}}
    assert scrub(value, "main(a)", ["main(*).host"], Renamer(0)) == {
        "host": "host#1",
        "inner": {"host": "box-8"},
        "port": 1,
    }
    assert scrub(value, "main(a)", ["elsewhere.*"], Renamer(0)) == value
    assert scrub([{"host": "a"}, {"host": "b"}], "all", ["all[*].host"], Renamer(0)) == [
        {"host": "host#1"},
        {"host": "host#2"},
    ]


def test_a_token_without_a_letter_is_a_token_and_no_number() -> None:
    drawn = Renamer(0, [bytes.fromhex("33996785")])
    record = Record(kind="string", value=b"33996785", ttl_ms=None)
    assert entry_of(record, drawn).value == "token#1"
    assert entry_of(record, Renamer(0, [bytes.fromhex("33996786")])).value == 33996785
