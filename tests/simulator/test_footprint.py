"""Footprints: what a command touches, by its arguments, and by what a real server says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from simulator.footprint import EVERYTHING, NOTHING, SCRIPT_DRAWS, Footprint, conflict, footprint_of, runs_scripts
from simulator.server import RealServer


def of(text: str, *more: str, database: int = 0, watched: tuple[bytes, ...] = ()) -> Footprint:
    commands = tuple(tuple(line.encode().split(b" ")) for line in (text, *more))
    return footprint_of(commands, database, watched)


def keys(touched: frozenset[Any]) -> str:
    return " ".join(sorted(name.decode() for where, name in touched if isinstance(where, int)))


@pytest.mark.parametrize(
    ("command", "reads", "writes"),
    [
        ("GET a", "a", ""),
        ("get a", "a", ""),
        ("SET a 1 NX GET", "", "a"),
        ("GETSET a 1", "", "a"),
        ("MGET a b c", "a b c", ""),
        ("EXISTS a b", "a b", ""),
        ("DEL a b", "", "a b"),
        ("MSET a 1 b 2", "", "a b"),
        ("WATCH a b", "a b", ""),
        ("RENAME a b", "", "a b"),
        ("SMOVE a b m", "", "a b"),
        ("COPY a b", "a", "b"),
        ("SUNIONSTORE a b c", "b c", "a"),
        ("BITOP AND a b c", "b c", "a"),
        ("ZUNIONSTORE a 2 b c WEIGHTS 1 2", "b c", "a"),
        ("ZINTER 2 a b WITHSCORES", "a b", ""),
        ("ZRANGESTORE a b 0 -1", "b", "a"),
        ("LMPOP 2 a b LEFT", "", "a b"),
        ("BLMPOP 0 2 a b LEFT", "", "a b"),
        ("BLPOP a b 0", "", "a b"),
        ("BLMOVE a b LEFT LEFT 0", "", "a b"),
        ("XREAD COUNT 1 BLOCK 0 STREAMS a b 0 $", "a b", ""),
        ("XREADGROUP GROUP g c STREAMS a >", "", "a"),
        ("XGROUP CREATE a g 0", "", "a"),
        ("XINFO STREAM a", "a", ""),
        ("OBJECT ENCODING a", "a", ""),
        ("SORT a LIMIT 0 1", "a", ""),
        ("SORT a ALPHA STORE b", "a", "b"),
        ("GEORADIUS a 0 0 1 m STORE b", "a", "b"),
        ("GEORADIUSBYMEMBER a m 1 m STOREDIST b", "a", "b"),
        ("EVAL return 2 a b x", "", "a b"),
        ("EVAL_RO return 1 a x", "a", ""),
        ("EVALSHA 0f 1 a", "", "a"),
        ("FCALL f 1 a", "", "a"),
        ("KEYS *", "", ""),
        ("PUBLISH c m", "", ""),
    ],
)
def test_a_command_touches_the_keys_that_it_names(command: str, reads: str, writes: str) -> None:
    footprint = of(command)
    assert not footprint.everything
    assert (keys(footprint.reads), keys(footprint.writes)) == (reads, writes)


@pytest.mark.parametrize(
    "command",
    [
        *(
            "FLUSHALL",
            "FLUSHDB",
            "SWAPDB 0 1",
            "SCRIPT FLUSH",
            "SCRIPT",
            "INFO",
            "CONFIG SET a b",
            "NONESUCH a",
            "MOVE a 1",
        ),
        *(
            "EVAL return 0",
            "FCALL f 0",
            "SORT a BY w_*",
            "SORT a GET #",
            "COPY a b DB 1",
            "EXEC",
            "CLIENT KILL x",
            "CLIENT",
        ),
        *("GET", "EVAL x", "LMPOP two a b LEFT", "XREAD COUNT 1", "UNSUBSCRIBE", "SELECT 1", "MIGRATE h 1 a 0 1"),
    ],
)
def test_what_cannot_be_told_conflicts_with_everything(command: str) -> None:
    assert of(command) == EVERYTHING
    assert conflict(EVERYTHING, of("GET a"))
    assert conflict(NOTHING, EVERYTHING)


@pytest.mark.parametrize("command", ["PING", "ECHO a", "CLIENT SETNAME a", "TIME", "DISCARD", "UNWATCH"])
def test_some_commands_touch_nothing(command: str) -> None:
    assert of(command) == NOTHING


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("GET a", "SET a 1"), ("SET a 1", "SET a 2"), ("MGET a b", "DEL b"), ("WATCH a", "INCR a")],
        *[("KEYS *", "SET a 1"), ("DBSIZE", "DEL a"), ("RANDOMKEY", "SPOP a"), ("SPOP a", "SRANDMEMBER b")],
        *[("PUBLISH c m", "PUBLISH c n"), ("PUBLISH c m", "SUBSCRIBE c"), ("PUBLISH c m", "PSUBSCRIBE d*")],
        *[("SUNIONSTORE a b", "SADD b m"), ("SUNIONSTORE a b", "SCARD a"), ("RENAME a b", "GET b")],
        ("EVALSHA 63143b6f8007b98c53ca2149822777b3566f9241 1 a", "EVAL return 1 b"),
        ("SCRIPT EXISTS 63143B6F8007B98C53CA2149822777B3566F9241", "SCRIPT LOAD return"),
    ],
)
def test_commands_conflict_when_one_writes_what_the_other_touches(one: str, other: str) -> None:
    assert conflict(of(one), of(other))
    assert conflict(of(other), of(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[
            ("GET a", "GET a"),
            ("SET a 1", "SET b 1"),
            ("MGET a b", "EXISTS b"),
            ("KEYS *", "DBSIZE"),
            ("KEYS *", "GET a"),
        ],
        *[("PUBLISH c m", "PUBLISH d m"), ("SUBSCRIBE c", "SUBSCRIBE c"), ("PUBLISH c m", "SUBSCRIBE d")],
        *[("SUNIONSTORE a b", "SCARD b"), ("SUNIONSTORE a c", "SUNIONSTORE b c"), ("SCRIPT LOAD x", "SCRIPT LOAD x")],
        *[("EVAL x 1 a", "EVAL x 1 b"), ("EVALSHA 0f 1 a", "EVALSHA 0f 1 b"), ("PING", "SET a 1")],
    ],
)
def test_commands_commute_otherwise(one: str, other: str) -> None:
    assert not conflict(of(one), of(other))
    assert not conflict(of(other), of(one))


def test_a_database_is_part_of_the_key() -> None:
    assert not conflict(of("SET a 1"), of("SET a 1", database=1))
    assert not conflict(of("KEYS *"), of("SET a 1", database=1))


def test_a_block_touches_what_its_commands_touch_and_reads_what_is_watched() -> None:
    block = of("MULTI", "SET a 1", "GET b", "EXEC", watched=(b"c",))
    assert (keys(block.reads), keys(block.writes)) == ("b c", "a")
    assert of("MULTI", "SET a 1", "FLUSHALL", "EXEC") == EVERYTHING
    assert not of("MULTI", "SET a 1", "DISCARD", watched=(b"c",)).reads


# Redis' own word.

WORDS = 9
COMPARED_MIN = 140


def plain(value: Any) -> Any:
    """A reply of names and values as a dictionary."""
    if isinstance(value, list) and value and isinstance(value[0], bytes) and len(value) % 2 == 0:
        return {key.decode(): plain(item) for key, item in zip(value[::2], value[1::2], strict=True)}
    return value.decode() if isinstance(value, bytes) else value


def places(spec: dict[str, Any]) -> list[int]:
    """Where keys stand among ``WORDS`` words by one key specification that goes by places."""
    at, find = spec["begin_search"]["spec"]["index"], spec["find_keys"]
    if find["type"] == "keynum":
        return [at + 1, at + 2]  # of two keys, as `spelled` has it
    last, step = find["spec"]["lastkey"], find["spec"]["keystep"]
    return list(range(at, (WORDS + last if last < 0 else at + last) + 1, step))


def spelled(name: bytes, specs: list[dict[str, Any]]) -> tuple[bytes, ...]:
    """The command with words that name their places, but for numbers of keys."""
    words = [name, *(b"word%d" % place for place in range(1, WORDS))]
    for spec in specs:
        if spec["find_keys"]["type"] == "keynum":
            words[spec["begin_search"]["spec"]["index"]] = b"2"
    return tuple(words)


def test_the_table_is_no_smaller_than_what_a_server_says(real_server: Callable[[str], RealServer]) -> None:
    with redis.Redis(port=real_server("redis").port, protocol=2) as client:
        connection = client.connection_pool.get_connection()
        connection.send_command("COMMAND")
        entries = connection.read_response()
        client.connection_pool.release(connection)
    compared = 0
    for entry in entries:
        specs = [
            {**plain(spec), "words": {plain(flag) for flag in spec[1 + spec.index(b"flags")]}} for spec in entry[8]
        ]
        fixed = all(
            spec["begin_search"]["type"] == "index" and spec["find_keys"]["type"] != "unknown" for spec in specs
        )
        footprint = footprint_of((spelled(entry[0].upper(), specs),)) if specs and fixed else EVERYTHING
        if footprint.everything or any("not_key" in spec["words"] for spec in specs):
            continue
        compared += 1
        for spec in specs:
            named = {(0, spelled(entry[0], specs)[place]) for place in places(spec)}
            assert named <= (footprint.reads | footprint.writes), entry[0]
            assert "RO" in spec["words"] or named <= footprint.writes
    assert compared >= COMPARED_MIN


@pytest.mark.parametrize(
    "command", ["EVAL x 1 a", "evalsha 0f 1 a", "EVAL_RO x 1 a", "EVALSHA_RO 0f 1 a", "FCALL f 1 a", "fcall_ro f 1 a"]
)
def test_what_runs_a_script_is_told_from_what_does_not(command: str) -> None:
    script, other = tuple(command.encode().split()), (b"GET", b"EVAL")
    assert runs_scripts((script,))
    assert runs_scripts(((b"MULTI",), script, (b"EXEC",)))
    assert not runs_scripts((other,))
    assert not runs_scripts(((b"SCRIPT", b"LOAD", b"x"), (b"FUNCTION", b"LIST")))


def test_scripts_that_draw_share_chance_with_each_other_and_not_with_keys() -> None:
    drawing = footprint_of((SCRIPT_DRAWS,))
    assert conflict(drawing, drawing)
    assert not conflict(drawing, of("SET a 1"))
