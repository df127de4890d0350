"""Interruptions: of steps made by hand, which two accesses raced, and in which words that is told."""

from __future__ import annotations

import pytest

from characterization.behaviour import Interruption
from characterization.interrupting import client_of, contended, interrupted_by_the_clock, interruption
from characterization.program import AtOnce, parse
from characterization.state import Words
from simulator.gate import Step

WORDS = Words({"app:{name}": "main({name})", "index": "index"})


def steps(*taken: tuple[object, str]) -> list[Step]:
    """Steps in their order: who took each, and its commands with `` ; `` between them, of one word for one argument.

    A number is a client, with a dot it is a task that the client started, anything else works in the background.
    """
    return [
        Step(
            lane=lane_of(who), connection=1, replies=(),
            commands=tuple(tuple(each.encode().split()) for each in text.split(" ; ")),
        )
        for who, text in taken
    ]  # fmt: skip


def lane_of(who: object) -> tuple[object, ...]:
    if isinstance(who, float):
        return ("client", *map(int, str(who).split(".")))
    return ("client", who) if isinstance(who, int) else ("replica", who)


def raced(spelled: str, *taken: tuple[object, str], who: str = "client") -> Interruption | None:
    """The interruption that explains the run of ``taken`` by the clients of ``spelled``."""
    at_once = parse(spelled).at_once
    assert isinstance(at_once, AtOnce)
    return interruption(steps(*taken), at_once, WORDS, who)


def told(spelled: str, *taken: tuple[object, str], who: str = "client") -> str:
    """The same as a sentence; empty: there is none."""
    found = raced(spelled, *taken, who=who)
    return "" if found is None else found.sentence


TWO = "{ add s1 || drop s1 }"


def test_an_update_that_is_lost_is_a_write_between_reading_and_writing() -> None:
    found = raced(TWO, (1, "GET app:s1"), (2, "GET app:s1"), (2, "SET app:s1 2"), (1, "SET app:s1 2"))
    assert found == Interruption(
        client=1, operation="add", early="GET", late="SET", words=("main(s1)", "main(s1)"), by=2, other="drop",
        came="SET", wrote=True, who="client",
    )  # fmt: skip
    assert found.sentence == "between client 1's GET and SET of main(s1), client 2 wrote it (SET)"


def test_who_checks_and_then_acts_on_another_key_is_interrupted_between_the_two() -> None:
    sentence = told(TWO, (1, "EXISTS index"), (2, "DEL index"), (2, "SET app:s1 x"), (1, "SET app:s1 y"))
    assert sentence == "between client 1's EXISTS of index and SET of main(s1), client 2 wrote index (DEL)"


def test_what_was_written_in_between_is_named_and_not_what_was_only_read() -> None:
    sentence = told(TWO, (1, "SMEMBERS index"), (2, "MULTI ; GET app:s1 ; SADD index s1 ; EXEC"), (1, "SET app:s1 1"))
    assert sentence == (
        "between client 1's SMEMBERS of index and SET of main(s1), client 2 wrote index (MULTI {GET, SADD})"
    )


def test_two_reads_of_two_keys_with_a_write_of_both_between_them_do_not_belong_together() -> None:
    found = raced(TWO, (1, "SMEMBERS index"), (2, "MULTI ; SET app:s1 1 ; SADD index s1 ; EXEC"), (1, "GET app:s1"))
    assert found is not None
    assert found.sentence == (
        "between client 1's SMEMBERS of index and GET of main(s1), client 2 wrote main(s1) (MULTI {SET, SADD})"
    )


def test_a_read_between_two_writes_has_seen_what_is_half_written() -> None:
    found = raced(TWO, (1, "SET app:s1 1"), (2, "GET app:s1"), (1, "SET app:s1 2"))
    assert found is not None
    assert not found.wrote
    assert found.sentence == "between client 1's SET and SET of main(s1), client 2 read it (GET)"


def test_what_was_read_and_overwritten_is_more_telling_than_what_was_read_twice() -> None:
    found = raced(TWO, (1, "GET app:s1"), (2, "SET app:s1 1"), (1, "GET app:s1"), (1, "SET app:s1 2"))
    assert found is not None
    assert (found.early, found.late) == ("GET", "SET")


def test_a_transaction_is_told_by_the_command_that_touches_what_was_raced_for() -> None:
    found = raced(
        TWO,
        (1, "MULTI ; GET app:s1 ; GET app:s2 ; EXEC"),
        (2, "MULTI ; SET app:s1 1 ; SREM index s1 ; EXEC"),
        (1, "MULTI ; SREM index s2 ; SET app:s1 2 ; EXEC"),
    )
    assert found is not None
    assert (found.early, found.late, found.came) == ("GET", "SET", "MULTI {SET, SREM}")


def test_commands_that_took_effect_in_one_go_without_a_transaction_stand_in_braces_alone() -> None:
    found = raced(TWO, (1, "GET app:s1"), (2, "SET app:s1 1 ; SREM index s1"), (1, "SET app:s1 2"))
    assert found is not None
    assert found.came == "{SET, SREM}"


def test_a_transaction_of_one_command_is_that_command() -> None:
    found = raced(TWO, (1, "GET app:s1"), (2, "MULTI ; SET app:s1 1 ; EXEC"), (1, "SET app:s1 2"))
    assert found is not None
    assert found.came == "SET"


def test_a_cycle_may_need_two_steps_of_the_other_client() -> None:
    sentence = told(
        TWO,
        (1, "SMEMBERS index"), (2, "MULTI ; SET app:s1 1 ; SADD index s1 ; EXEC"), (1, "GET app:s1"), (2, "SREM index s1"),
    )  # fmt: skip
    assert sentence == (
        "between client 1's SMEMBERS of index and GET of main(s1), client 2 wrote main(s1) (MULTI {SET, SADD})"
    )


def test_where_what_came_between_does_not_close_the_cycle_a_later_step_of_the_same_client_may() -> None:
    found = raced(TWO, (1, "SET app:a 1"), (2, "GET app:a"), (1, "SET app:b 2"), (2, "GET app:b"))
    assert found is None, "client 1 came first as a whole"
    sentence = told(TWO, (1, "GET app:a"), (2, "SET app:b 1"), (1, "GET app:b"), (2, "SET app:a 1"))
    assert sentence == "between client 1's GET of main(a) and GET of main(b), client 2 wrote main(b) (SET)"


def test_an_earlier_step_of_the_same_client_may_close_it_too() -> None:
    found = raced(TWO, (2, "SET app:b 1"), (1, "GET app:a"), (2, "SET app:a 1"), (1, "SET app:b 2"))
    assert found is not None
    assert found.words == ("main(a)", "main(b)")
    assert (found.client, found.by) == (1, 2)


@pytest.mark.parametrize(
    "taken",
    [
        [(1, "GET app:a"), (2, "SET app:b 1"), (1, "SET app:a 1")],
        [(1, "GET app:a"), (2, "GET app:a"), (1, "GET app:a")],
        [(1, "GET app:a"), (1, "SET app:a 1"), (2, "SET app:a 2")],
        [(1, "GET app:a"), (2, "SET app:a 1")],
        [(1, "PING"), (2, "PING"), (1, "PING")],
        [],
    ],
)
def test_where_nothing_is_shared_or_nobody_came_between_there_is_none(taken: list[tuple[object, str]]) -> None:
    assert raced(TWO, *taken) is None


@pytest.mark.parametrize(
    ("taken", "sentence"),
    [
        (
            [(1, "GET app:a"), ("1", "SET app:a 1"), (1, "SET app:a 2")],
            "between client 1's GET and SET of main(a), the background work wrote it (SET)",
        ),
        (
            [("1", "GET app:a"), (1, "SET app:a 1"), ("1", "SET app:a 2")],
            "between the background work's GET and SET of main(a), client 1 wrote it (SET)",
        ),
        (
            [(1, "GET app:a"), ("1", "SET app:a 1"), (2, "SET app:a 2"), (1, "SET app:a 3")],
            "between client 1's GET and SET of main(a), client 2 wrote it (SET)",
        ),
    ],
)
def test_work_in_the_background_is_named_where_no_two_clients_explain_it(
    taken: list[tuple[object, str]], sentence: str
) -> None:
    found = raced(TWO, *taken)
    assert found is not None
    assert found.sentence == sentence


def test_tasks_that_a_client_started_are_that_client() -> None:
    found = raced(TWO, (1.1, "GET app:a"), (2.2, "SET app:a 1"), (1.3, "SET app:a 2"))
    assert found is not None
    assert (found.client, found.by) == (1, 2)
    assert [client_of(step) for step in steps((1.1, "PING"), (2, "PING"), ("1", "PING"))] == [1, 2, 0]
    assert client_of(Step(lane=("timer",), connection=1, commands=(), replies=())) == 0


def test_of_three_clients_the_two_that_raced_are_named() -> None:
    found = raced(
        "{ add s1 || get s1 || drop s1 }",
        (1, "GET app:a"), (2, "GET app:b"), (3, "SET app:a 1"), (1, "SET app:a 2"),
    )  # fmt: skip
    assert found is not None
    assert (found.client, found.operation, found.by, found.other) == (1, "add", 3, "drop")


def test_replicas_are_called_replicas_where_each_client_has_one_of_its_own() -> None:
    sentence = told(TWO, (1, "GET app:a"), (2, "SET app:a 1"), (1, "SET app:a 2"), who="replica")
    assert sentence == "between replica 1's GET and SET of main(a), replica 2 wrote it (SET)"


def test_a_client_of_several_calls_is_told_by_all_of_them_each_once() -> None:
    found = raced("{ get s1 ; add s1 ; get s2 || drop s1 }", (1, "GET app:a"), (2, "DEL app:a"), (1, "SET app:a 2"))
    assert found is not None
    assert (found.operation, found.other, found.came) == ("get ; add", "drop", "DEL")


def test_of_several_interruptions_the_closest_one_on_one_key_is_told() -> None:
    taken: list[tuple[object, str]] = [
        (1, "GET index"), (1, "GET app:a"), (2, "SET app:a 1"), (2, "SET index 1"), (1, "SET app:a 2"), (1, "SET index 2"),
    ]  # fmt: skip
    assert told(TWO, *taken) == "between client 1's GET and SET of main(a), client 2 wrote it (SET)"


def test_a_command_is_named_in_capitals_whatever_was_sent() -> None:
    assert told(TWO, (1, "get app:a"), (2, "set app:a 1"), (1, "set app:a 2")).endswith("wrote it (SET)")


def test_keys_are_contended_where_their_order_with_another_client_matters() -> None:
    found = contended(
        steps((1, "GET app:a"), (2, "SET app:a 1"), (1, "SET app:b 1"), (2, "GET app:c"), ("1", "GET app:b")), WORDS
    )
    assert found == [["main(a)"], ["main(a)"], ["main(b)"], [], ["main(b)"]]


def test_to_look_at_which_keys_there_are_is_no_access_of_a_key() -> None:
    assert contended(steps((1, "KEYS *"), (2, "SET app:a 1")), WORDS) == [[], []]
    assert raced(TWO, (1, "KEYS *"), (2, "SET app:a 1"), (1, "KEYS *")) is None


# The clock.


def ticked(moved: list[int], *taken: tuple[object, str]) -> str:
    """The sentence of what the clock came between, where it moved before each of these steps; empty: nothing."""
    at_once = parse("{ add s1 ; get s1 || drop s1 || clock +5s }").at_once
    assert isinstance(at_once, AtOnce)
    found = interrupted_by_the_clock(steps(*taken), moved, at_once, WORDS, "replica")
    return "" if found is None else found.sentence


def test_the_clock_may_come_between_two_accesses_of_one_key() -> None:
    taken: list[tuple[object, str]] = [(1, "GET app:a"), (2, "GET app:a"), (1, "SET app:a 1")]
    for before in (1, 2):
        assert ticked([before], *taken) == "between replica 1's GET and SET of main(a), the clock moved"
    assert ticked([0, 1], *taken) == "between replica 1's GET and SET of main(a), the clock moved"


@pytest.mark.parametrize(
    ("moved", "taken"),
    [
        ([], [(1, "GET app:a"), (1, "SET app:a 1")]),
        ([0], [(1, "GET app:a"), (1, "SET app:a 1")]),
        ([2], [(1, "GET app:a"), (1, "SET app:a 1")]),
        ([1], [(1, "GET app:a"), (1, "SET app:b 1")]),
        ([1], [(1, "GET app:a"), (2, "SET app:a 1")]),
        ([1], [("1", "GET app:a"), ("1", "SET app:a 1")]),
    ],
)
def test_where_the_clock_came_between_no_two_accesses_of_a_client_there_is_none(
    moved: list[int], taken: list[tuple[object, str]]
) -> None:
    assert ticked(moved, *taken) == ""
