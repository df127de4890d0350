"""What is read of a Redis, and what is said when that fails."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simulator.backend import Command, Record, Reply
from simulator.contents import read_all, read_key
from simulator.errors import BackendError
from simulator.fake import FakeBackend
from simulator.world import World


class Scripted:
    """A session that answers from a table."""

    def __init__(self, **replies: Reply) -> None:
        self._replies = replies

    def execute(self, command: Command) -> Sequence[Reply]:
        return [self._replies[command[0].decode()]]

    def pushes(self) -> Sequence[Reply]:
        return ()

    def close(self) -> None:
        """Nothing to end."""


def test_a_key_of_a_module_is_compared_by_its_bytes() -> None:
    session = Scripted(TYPE=b"module-type", PTTL=-1, DUMP=b"\x01")
    assert read_key(session, b"k") == Record(kind="module-type", value=b"\x01", ttl_ms=None)


def test_a_key_that_expired_while_it_was_read_is_not_there() -> None:
    assert read_key(Scripted(TYPE=b"string", PTTL=-2), b"k") is None
    assert read_all(Scripted(KEYS=[b"k"], TYPE=b"none", PTTL=-2)) == {}


def test_a_refusal_names_the_command() -> None:
    with pytest.raises(BackendError, match="KEYS \\* failed while reading what is stored: not allowed"):
        read_all(Scripted(KEYS=RuntimeError("not allowed")))


def test_a_score_has_one_spelling() -> None:
    session = Scripted(
        TYPE=b"zset", PTTL=-1, ZRANGE=[b"a", b"0.10000000000000001", b"b", b"3", b"c", b"inf", b"d", b"1e+20"]
    )
    record = read_key(session, b"k")
    assert record is not None
    assert record.value == {b"a": b"0.1", b"b": b"3", b"c": b"inf", b"d": b"100000000000000000000"}


def test_everything_that_is_pending_is_read(world: World) -> None:
    session = FakeBackend().open(0, 2)
    session.execute((b"XGROUP", b"CREATE", b"s", b"g", b"0", b"MKSTREAM"))
    for number in range(1, 1502):
        session.execute((b"XADD", b"s", b"%d-0" % number, b"a", b"1"))
    session.execute((b"XREADGROUP", b"GROUP", b"g", b"c", b"STREAMS", b"s", b">"))
    record = read_key(session, b"s")
    assert record is not None
    assert len(record.groups[b"g"]["pending"]) == 1501
