"""Programs as text: read, written, ordered, and refused."""

from __future__ import annotations

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from characterization.errors import ProgramError
from characterization.program import (
    AtOnce,
    Call,
    Crash,
    Move,
    Program,
    Replicas,
    Struck,
    label_of,
    parse,
    told_label,
    wide_label,
    wide_value,
)
from simulator.faults import Fault, FaultKind, FaultPlan
from simulator.schedule import Schedule
from tests.characterization.properties import labels, names, quick

calls = st.builds(
    lambda operation, labels, replica: Call(operation=operation, labels=tuple(labels), replica=replica),
    names, st.lists(labels, max_size=3), st.integers(min_value=1, max_value=12),
)  # fmt: skip
moves = st.integers(min_value=1, max_value=10**9).map(lambda ms: Move(ms / 1000))
programs = st.lists(calls | moves, max_size=5).map(lambda parts: Program(tuple(parts)))
braced = st.builds(
    lambda call, label: Call(operation=call.operation, labels=(*call.labels, label), replica=call.replica),
    calls, st.text(alphabet="{}|;'\" @+s1", max_size=8),
)  # fmt: skip
clients = st.lists(calls | braced, min_size=1, max_size=3).map(tuple)
at_once = st.builds(
    AtOnce,
    clients=st.lists(clients, min_size=1, max_size=3).map(tuple),
    moves=st.lists(moves.map(lambda move: move.seconds), max_size=2).map(tuple),
    timers=st.booleans(),
)
races = st.builds(Program.then, programs, at_once)
plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
)
literals = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(), inner)
    ),
    max_leaves=5,
)
kinds = st.sampled_from([FaultKind.RESET, FaultKind.BUSY, FaultKind.CLOCK_JUMP])
plans = st.builds(
    lambda kind, step: FaultPlan((Fault(kind=kind, step=step),)), kinds, st.integers(min_value=1, max_value=30)
)
lanes = st.lists(st.sampled_from(["1", "2", "1.0", "replica2.1", "clock", "timer"]), max_size=8)
scheduled = st.builds(
    lambda part, order, plan: AtOnce(
        clients=part.clients, moves=part.moves, timers=part.timers, schedule=Schedule(tuple(order)), plan=plan
    ),
    at_once, lanes, st.none() | plans,
)  # fmt: skip
wide_calls = st.builds(
    lambda call, value: Call(operation=call.operation, labels=(*call.labels, wide_label(value)), replica=call.replica),
    calls, literals,
)  # fmt: skip
mixed_parts = calls | wide_calls | moves | scheduled | st.builds(Struck, calls | wide_calls, plans)
mixed_parts |= st.integers(min_value=1, max_value=9).map(Crash)
mixed_programs = st.builds(
    lambda count, parts: Program((Replicas(count), *parts)),
    st.integers(min_value=1, max_value=9), st.lists(mixed_parts, max_size=5),
)  # fmt: skip


@quick
@given(programs)
def test_every_program_is_read_back_from_its_text(program: Program) -> None:
    assert parse(program.text) == program


@quick
@given(races)
def test_what_happens_at_once_is_read_back_from_its_text(program: Program) -> None:
    assert parse(program.text) == program
    assert program.lens == "race"


@quick
@given(mixed_programs)
def test_a_mixed_program_is_read_back_from_its_text(program: Program) -> None:
    assert parse(program.text) == program
    assert program.lens == "random"
    assert (program.at_once, program.struck, program.healthy) == (None, None, program)


@quick
@given(literals)
def test_a_wide_value_is_read_back_from_its_label(value: object) -> None:
    label = wide_label(value)
    assert repr(wide_value(label)) == repr(value)
    assert parse(Call(operation="put", labels=(label,)).text).calls[0].labels == (label,)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (17, "put =17"),
        (-0.5, "put =-0.5"),
        (None, "put =None"),
        ("s1", "put '=\"s1\"'"),
        (b"\xff'", "put '=b\"\\xff'\"'\"'\"'"),
        ([b"a", (1,)], "put '=[b\"a\",(1,)]'"),
        ({"a": {1}}, "put '={\"a\":{1}}'"),
    ],
)
def test_a_wide_value_is_spelled_as_python_spells_it(value: object, text: str) -> None:
    assert Call(operation="put", labels=(wide_label(value),)).text == text


@pytest.mark.parametrize("value", [object(), float("inf"), enum.Enum("E", "a").a, [object()], b"x".__class__])
def test_a_value_that_python_has_no_literal_for_cannot_be_spelled(value: object) -> None:
    with pytest.raises(ProgramError, match="cannot be spelled in a program"):
        wide_label(value)


@pytest.mark.parametrize("label", ["=", "=x", "=f()", "=1+", "='", "=" + "(" * 300])
def test_what_is_no_literal_is_no_wide_value(label: str) -> None:
    with pytest.raises(ProgramError, match="is no value: behind = stands a literal"):
        wide_value(label)


@pytest.mark.parametrize(
    ("label", "told"),
    [("s1", "s1"), ('="s 1"', "s 1"), ("=5", "5"), ("=None", "None"), ('=b"\\xb1"', "0xb1"), ("=[1]", "=[1]")],
)
def test_laws_are_told_a_wide_value_as_it_is(label: str, told: str) -> None:
    assert told_label(label) == told


@pytest.mark.parametrize(
    ("text", "lens"),
    [
        ("save s1 ; get s1", "sequence"),
        ("save s1 ; { get s1 || save s1 }", "race"),
        ("save s1 ; { get s1 || save =7 }", "race"),
        ("save s1 ; get s1 ! reset @1", "fault"),
        ("save s1 ! reset @1 ; get s1", "random"),
        ("save s1 ; get =7 ! reset @1", "random"),
        ("save s1 ; { get s1 || save s1 : 1 2 }", "random"),
        ("save =7", "random"),
        ("crash @1", "random"),
        ("replicas 1 ; save s1 ; clock +5s", "random"),
    ],
)
def test_a_lens_looks_at_its_own_programs(text: str, lens: str) -> None:
    assert parse(text).lens == lens
    assert parse(text).text == text


@pytest.mark.parametrize(
    ("text", "processes"),
    [("", 1), ("get s1", 1), ("get s1 @3 ; crash @2", 3), ("replicas 4", 4), ("{ get s1 @2 || get s1 : }", 2)],
)
def test_a_program_says_how_many_replicas_it_needs(text: str, processes: int) -> None:
    assert parse(text).processes == processes


@quick
@given(st.lists(labels, min_size=1, max_size=4))
def test_no_label_is_taken_for_a_replica_or_a_separator(labels: list[str]) -> None:
    call = Call(operation="save", labels=tuple(labels))
    assert parse(Program((call,)).text).parts == (call,)


def test_the_empty_text_is_the_empty_program() -> None:
    assert parse("") == parse("  \n") == Program()


def test_a_program_reads_as_it_was_written() -> None:
    text = "save s1 ; clock +7199.999s ; increment s1 5 @2 ; clock +0.5s ; clock +7200s"
    assert parse(text).text == text
    assert parse(text).parts[2] == Call(operation="increment", labels=("s1", "5"), replica=2)


def test_a_person_may_leave_out_the_spaces_and_choose_the_quotes() -> None:
    assert parse("a;b x") == parse("a ; b x")
    assert parse('put "a ; b";take').parts == (
        Call(operation="put", labels=("a ; b",)),
        Call(operation="take", labels=()),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a ; ; b", "no empty part"),
        ("a ;", "no empty part"),
        ("clock 300", "spelled `clock +300s`"),
        ("clock +1 s", "spelled `clock +300s`"),
        ("clock -1s", "is not a move of the clock"),
        ("put 'a", "cannot be read as a call"),
    ],
)
def test_what_is_no_program_is_refused_with_the_piece_that_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ProgramError, match=says.replace("+", r"\+")):
        parse(text)


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("s1", "s1"),
        ("a b", '"a b"'),
        ("", '""'),
        (5, "5"),
        (None, "null"),
        (b"root", "root"),
        (b"\xff", '"\\\\xff"'),
        (Colour.RED, "red"),
        ([1, "a"], '[1,"a"]'),
    ],
)
def test_a_value_spells_itself_in_the_shortest_way(value: object, label: str) -> None:
    assert label_of(value) == label


def test_a_value_without_a_spelling_asks_for_a_label() -> None:
    with pytest.raises(ProgramError, match=r"give it a label, small\(label=object\(\.\.\.\)\)"):
        label_of(object())


def test_shorter_programs_come_first_then_spelling_decides() -> None:
    texts = ["b", "a ; a", "a", "a ; a ; a"]
    assert [each.text for each in sorted(map(parse, texts), key=lambda each: each.order)] == [
        "a",
        "b",
        "a ; a",
        "a ; a ; a",
    ]


def test_a_program_knows_its_lens_and_what_it_is_about() -> None:
    moved, still = parse("save s1 ; clock +1s"), parse("save s1 ; get s1")
    assert (moved.lens, moved.subject_of) == ("time", "clock")
    assert (still.lens, still.subject_of) == ("sequence", "get")
    assert still.prelude == parse("save s1")
    assert still.prelude.then(still.parts[-1]) == still


def test_the_mark_depends_on_the_spelling_alone() -> None:
    assert parse("save s1").mark == parse(" save  s1 ").mark
    assert parse("save s1").mark != parse("save s2").mark
    assert int(parse("save s1").mark, 16) >= 0


# What happens at once.


@pytest.mark.parametrize("label", [":", "@2", "!", "||", ";", "{", "}", "a : 1 2", "clock"])
def test_a_label_that_would_mean_something_is_read_as_the_label_that_it_is(label: str) -> None:
    one, other = (Call(operation="get", labels=(each,)) for each in (label, "s1"))
    for program in (Program((one, other)), Program((AtOnce(clients=((one,), (other,))),))):
        assert parse(program.text) == program


def test_what_happens_at_once_reads_as_it_was_written() -> None:
    text = "save s1 ; { get s1 ; save s1 || increment s1 5 @2 || clock +5s ; clock +7200s || clock }"
    program = parse(text)
    assert program.text == text
    assert program.at_once == AtOnce(
        clients=(
            (Call(operation="get", labels=("s1",)), Call(operation="save", labels=("s1",))),
            (Call(operation="increment", labels=("s1", "5"), replica=2),),
        ),
        moves=(5.0, 7200.0),
        timers=True,
    )
    assert program.prelude == parse("save s1")


@pytest.mark.parametrize(
    ("spelled", "moves", "timers"),
    [
        ("{ get s1 || clock +5s }", (5.0,), False),
        ("{ clock +5s || get s1 || clock +6s }", (5.0, 6.0), False),
        ("{ get s1 || clock }", (), True),
        ("{ clock || clock +5s || get s1 }", (5.0,), True),
        ("{ get s1 }", (), False),
    ],
)
def test_the_clock_stands_beside_the_clients_wherever_it_is_written(
    spelled: str, moves: tuple[float, ...], timers: bool
) -> None:
    found = parse(spelled).at_once
    assert found is not None
    assert (found.moves, found.timers) == (moves, timers)
    assert found.calls == (Call(operation="get", labels=("s1",)),)


def test_the_spaces_around_braces_and_bars_may_be_left_out() -> None:
    assert parse("{get s1||save s1;get s1||clock +5s}") == parse("{ get s1 || save s1 ; get s1 || clock +5s }")


@pytest.mark.parametrize("label", ["{", "}", "||", ";", "{ a || b }", "a ; b", "'", '"{"', "@2"])
def test_a_label_may_hold_what_separates_clients(label: str) -> None:
    clients = ((Call(operation="put", labels=(label,)),), (Call(operation="put", labels=(label, "x"), replica=2),))
    program = parse("take").then(AtOnce(clients=clients))
    assert parse(program.text) == program


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{ get s1 || save s1 } ; get s1", "what happens at once comes last"),
        ("{ get s1 } ; { save s1 }", "what happens at once comes last"),
        ("save s1 ; { get s1 || save s1", "does not end with the brace that closes it"),
        ("{ get s1 || save '}'", "does not end with the brace that closes it"),
        ("{ get s1 ; clock +5s || save s1 }", "the clock moves beside the clients, not in one"),
        ("{ get s1 || clock ; save s1 || clock +x }", "is not a move of the clock"),
        ("{ get s1 ||  }", "no empty part: remove the `;` or `||`"),
        ("{ get s1 ; || save s1 }", "no empty part: remove the `;` or `||`"),
        ("{ }", "no empty part"),
        ("{ get 's1 || save s1 }", "cannot be read as a call"),
        ("{ get s1 || save s1 : 1*0 }", "is neither a lane nor lane"),
        ("{ get s1 || save s1 : 1 ! rest @1 }", "is no fault"),
        ("get s1 ; replicas 2", "is said first"),
    ],
)
def test_what_cannot_happen_at_once_is_refused_with_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ProgramError, match=says.replace("||", r"\|\|")):
        parse(text)


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("{ save s1 || get s1 }", "get-x-save"),
        ("{ save s1 || save s1 @2 }", "save-x-save"),
        ("{ save s1 || get s1 || save s2 }", "get-x-save"),
        ("{ save s1 ; get s1 || delete s1 }", "delete-x-get-x-save"),
        ("{ save s1 || clock +5s }", "save"),
    ],
)
def test_operations_at_once_are_named_together_in_one_order(text: str, about: str) -> None:
    assert parse(text).subject_of == about


def test_a_program_has_the_calls_of_every_client_and_of_what_comes_before() -> None:
    program = parse("save s1 ; clock +5s ; { get s1 ; save s2 || delete s1 @2 || clock +5s }")
    assert [call.text for call in program.calls] == ["save s1", "get s1", "save s2", "delete s1 @2"]
    assert program.lens == "race"
    assert (parse("save s1").at_once, Program().at_once) == (None, None)
