"""Replies as they come from a session, before any client has seen them."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import BackendError
from simulator.world import World
from tests.conformance.replies import CASES, DIFFERENCES, Replies


def plain(reply: Any) -> Any:
    """Errors compare by type and words, and 1 is neither 1.0 nor True."""
    if isinstance(reply, Exception):
        return type(reply), str(reply)
    if isinstance(reply, list):
        return [plain(part) for part in reply]
    if isinstance(reply, dict):
        return {key: plain(part) for key, part in reply.items()}
    return type(reply), reply


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_replies_are_as_pinned(servers: World, backend_name: str, case: str, protocol: int) -> None:
    session = servers.backend.open(0, protocol)
    for place, sent in enumerate(CASES[case]):
        difference = DIFFERENCES.get((case, place))
        expected = (difference.of(backend_name) if difference else None) or sent.replies
        try:
            replies = list(session.execute(sent.command))
        except BackendError as error:
            replies = [error]
        assert plain(replies) == plain(expected.in_protocol(protocol)), sent.words
    session.close()


@pytest.mark.parametrize("key", DIFFERENCES, ids=str)
def test_what_is_pinned_as_a_difference_is_one(key: tuple[str, int]) -> None:
    case, place = key
    usual = CASES[case][place].replies
    pinned = [replies for name in ("fakeredis", "valkey") if (replies := DIFFERENCES[key].of(name)) is not None]
    assert pinned
    for replies in pinned:
        assert any(differ(replies, usual, protocol) for protocol in (2, 3))


def differ(one: Replies, other: Replies, protocol: int) -> bool:
    return bool(plain(one.in_protocol(protocol)) != plain(other.in_protocol(protocol)))
