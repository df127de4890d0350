"""Moments as text: RFC 3339 in UTC, the fraction without trailing zeros.

The records are shared with services that write nanoseconds. Ours have microseconds: finer digits are
read and dropped. A moment that was never set is the first of January of the year 1.
"""

import re
from datetime import UTC, datetime

NEVER = "0001-01-01T00:00:00Z"

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


def format_timestamp(moment: datetime | None) -> str:
    """``moment`` as ``2026-02-01T10:00:00.5Z``; :data:`NEVER` if it is ``None``."""
    if moment is None:
        return NEVER
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}Z"


def parse_timestamp(text: str) -> datetime | None:
    """The moment that ``text`` tells, in UTC; ``None`` for :data:`NEVER`.

    Raises:
        ValueError: ``text`` is not RFC 3339 with a zone.
    """
    if _RFC_3339.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not an RFC 3339 timestamp")
    if text == NEVER:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is out of range in UTC") from error
