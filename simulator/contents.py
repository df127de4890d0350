"""Everything that a Redis holds, read through one of its own sessions.

The read is not atomic: it is for moments at which no one else sends commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.backend import Record, Session
from simulator.errors import BackendError


def read_all(session: Session) -> Mapping[bytes, Record]:
    """Every key of the session's database. The session must speak RESP 2."""
    found = {key: read_key(session, key) for key in sorted(_ask(session, b"KEYS", b"*"))}
    return {key: record for key, record in found.items() if record is not None}


def read_key(session: Session, key: bytes) -> Record | None:
    """One key; none: it does not exist, or it expired while it was being read."""
    kind = bytes(_ask(session, b"TYPE", key)).decode()
    ttl_ms = int(_ask(session, b"PTTL", key))
    if kind == "none" or ttl_ms == -2:
        return None
    value, groups = _value(session, kind, key)
    return Record(kind=kind, value=value, ttl_ms=None if ttl_ms == -1 else ttl_ms, groups=groups)


def _ask(session: Session, *command: bytes) -> Any:
    (reply,) = session.execute(command)
    if isinstance(reply, Exception):
        raise BackendError(
            f"{b' '.join(command).decode(errors='replace')} failed while reading what is stored: {reply}"
        )
    return reply


def _value(session: Session, kind: str, key: bytes) -> tuple[Any, Any]:
    match kind:
        case "string":
            return _ask(session, b"GET", key), None
        case "set":
            return frozenset(_ask(session, b"SMEMBERS", key)), None
        case "list":
            return tuple(_ask(session, b"LRANGE", key, b"0", b"-1")), None
        case "hash":
            return _pairs(_ask(session, b"HGETALL", key)), None
        case "zset":
            scored = _pairs(_ask(session, b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"))
            return {member: _score(score) for member, score in scored.items()}, None
        case "stream":
            return _entries(session, key), _groups(session, key)
    return _ask(session, b"DUMP", key), None  # of a module: its bytes are all that there is to compare


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _score(raw: bytes) -> bytes:
    """One spelling of a score, since servers differ in how many digits they give."""
    score = float(raw)
    return (str(int(score)) if score.is_integer() else repr(score)).encode()


def _entries(session: Session, key: bytes) -> tuple[Any, ...]:
    return tuple((ident, _pairs(fields)) for ident, fields in _ask(session, b"XRANGE", key, b"-", b"+"))


def _groups(session: Session, key: bytes) -> dict[bytes, Any]:
    groups = {}
    for row in _ask(session, b"XINFO", b"GROUPS", key):
        about: dict[bytes, Any] = dict(_pairs(row))
        name = about[b"name"]
        waiting = _ask(session, b"XPENDING", key, name, b"-", b"+", b"%d" % max(1, int(about[b"pending"])))
        groups[name] = {
            "last": about[b"last-delivered-id"],
            "pending": tuple((ident, consumer, times) for ident, consumer, _idle, times in waiting),
        }
    return groups
