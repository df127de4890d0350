"""What the gate asks of a Redis, whichever it is: sessions that execute commands, and a look at all that is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Command = tuple[bytes, ...]
Reply = Any  # what redis-py's parser would hand on; an error reply is an exception instance, not raised


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One key as it is stored.

    ``value`` is bytes for ``string``; a frozenset of bytes for ``set``; a dict of bytes for ``hash``; a tuple for
    ``list``; a dict of member to score for ``zset``; and for ``stream`` a tuple of (id, fields), beside ``groups``.
    ``ttl_ms`` is what is left to live, in milliseconds; none: for ever.
    """

    kind: str
    value: Any
    ttl_ms: int | None
    groups: Any = None


class Session(Protocol):
    """One connection, as the server sees it: its database, its transaction, its subscriptions."""

    def execute(self, command: Command) -> Sequence[Reply]:
        """Let ``command`` take effect; its replies in order: one, or none, or one for each channel subscribed to."""

    def pushes(self) -> Sequence[Reply]:
        """Messages that arrived for this session's subscriptions since the last look."""

    def close(self) -> None:
        """End the session as a dropped connection would; closing twice does nothing."""


class Backend(Protocol):
    """A Redis that a world may use, empty when a run begins."""

    @property
    def name(self) -> str:
        """What it is, with its version: ``fakeredis 2.40.0``."""

    @property
    def has_clock(self) -> bool:
        """Whether ``set_time`` moves the clock by which keys expire."""

    @property
    def sees_scripts(self) -> bool:
        """Whether ``scripted`` tells what scripts call."""

    @property
    def scripted(self) -> list[Command]:
        """The commands that scripts and functions called; who asks empties it. Always empty unless ``sees_scripts``."""

    def open(self, database: int, protocol: int) -> Session:
        """A new session on ``database`` that speaks RESP ``protocol``."""

    def restart(self, now_ns: int) -> None:
        """Drop every key, script and subscription, close every session, and set the clock."""

    def set_time(self, now_ns: int) -> None:
        """Move the clock by which keys expire to ``now_ns``; without effect where ``has_clock`` is false."""

    def dump(self) -> Mapping[int, Mapping[bytes, Record]]:
        """Everything that is stored now, by database. Expired keys are not in it."""

    def close(self) -> None:
        """Give back what it holds; the backend is not used again."""
