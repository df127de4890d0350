"""What Redis answered, as the bytes that it is.

The client's types allow text wherever a client *may* decode replies. Ours never does, and this is the
one place that says so.
"""

from collections.abc import Iterable


def as_bytes(reply: bytes | str) -> bytes:
    """``reply``, which a client with ``decode_responses=False`` gave as bytes."""
    assert isinstance(reply, bytes), "the Redis client must be built with decode_responses=False"
    return reply


def as_ids(members: Iterable[bytes | str]) -> list[str]:
    """The session ids in an index, sorted, since Redis promises no order of a set's members.

    A member that is not UTF-8 was not written by us. It is kept, mangled, and has no record.
    """
    return sorted(as_bytes(member).decode(errors="replace") for member in members)
