"""What varies from run to run, renamed by role and first appearance, so that equal stays equal.

Moments become ``t+60s``: seconds since the run began. Identifiers that were drawn from the world's chance become
``uuid#1``, ``token#2``, numbered in the order in which they were drawn. What varies for another reason is renamed by a
scrub that the subject declares, or found by the A/A run.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

NANOSECONDS = 1_000_000_000
WINDOW_NS = 400 * 86_400 * NANOSECONDS
"""How far from the run's beginning a number may be and still be taken for a moment."""

DRAWN = ("uuid", "token")
"""The roles under which what was drawn from chance is renamed."""

_UNITS_NS = {10: NANOSECONDS, 13: 1_000_000, 16: 1_000, 19: 1}  # by the number of digits of a moment of this century
_GRAINS_NS = (NANOSECONDS, 1_000_000, 1_000, 1)
_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_MOMENT = re.compile(rf"(?P<iso>{_ISO})|(?<![\w.-])(?P<unix>\d{{10}}(?:\.\d+)?|\d{{13}}|\d{{16}}|\d{{19}})(?![\w.])")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{8,}(?![0-9a-f])")
_TOKEN = re.compile(r"[A-Za-z0-9_+/-]{11,}={0,2}")
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


class Renamer:
    """Renames the moments and identifiers of one run.

    ``origin_ns`` is the moment that becomes ``t+0s``; ``draws`` are the bytes drawn from chance so far, oldest first.
    """

    def __init__(self, origin_ns: int, draws: Sequence[bytes] = ()) -> None:
        self._origin_ns = origin_ns
        self._while_ns: tuple[int, int] | None = None
        self._draws = {draw: number for number, draw in reversed(list(enumerate(draws, 1)))}
        self._seen: dict[str, str] = {}

    def later(self, draws: Sequence[bytes]) -> Renamer:
        """A renamer for later in the same run: more was drawn by then, and what was scrubbed before keeps its number."""
        renamer = Renamer(self._origin_ns, draws)
        renamer._seen = self._seen
        return renamer

    def taking_for_one(self, start_ns: int, end_ns: int) -> Renamer:
        """This renamer, for which every moment from the one to the other is the first of them, as coarse as it is kept."""
        self._while_ns = start_ns, end_ns
        return self

    def text(self, text: str) -> str:
        """``text`` with its moments and identifiers renamed."""
        if _MOMENT.search(text):
            text = _MOMENT.sub(self._moment, text)
        if self._draws:
            text = _UUID.sub(self._uuid, text)
            text = _HEX.sub(self._hex, text)
            text = _TOKEN.sub(self._token, text)
        return text

    def number(self, number: float) -> str | None:
        """``t+60s`` where a number is a moment of this run; none: it is just a number."""
        unit_ns = _UNITS_NS.get(len(str(int(number)))) if number > 0 else None
        return self._near(round(number * unit_ns)) if unit_ns else None

    def moment(self, moment: datetime) -> str | None:
        """``t+60s``, where a moment is near this run. One without a time zone is taken as UTC."""
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return self._near((aware - _UNIX) // timedelta(microseconds=1) * 1000)

    def scrubbed(self, role: str, text: str) -> str:
        """``role#1`` for a value that a scrub names: the same value has the same number."""
        return self._seen.setdefault(
            f"{role}\0{text}", f"{role}#{1 + sum(key.startswith(role + chr(0)) for key in self._seen)}"
        )

    def _near(self, moment_ns: int) -> str | None:
        if self._while_ns is not None:
            # Whoever keeps whole seconds keeps the second that the first moment was in.
            grain = next(grain for grain in _GRAINS_NS if moment_ns % grain == 0)
            first_ns = self._while_ns[0] // grain * grain
            moment_ns = first_ns if first_ns <= moment_ns <= self._while_ns[1] else moment_ns
        since_ns = moment_ns - self._origin_ns
        return f"t{_signed(since_ns)}" if abs(since_ns) <= WINDOW_NS else None

    def _moment(self, match: re.Match[str]) -> str:
        iso = match["iso"]
        if iso is None:
            whole, _, fraction = match["unix"].partition(".")
            exact_ns = int(whole) * _UNITS_NS[len(whole)] + int((fraction + "0" * 9)[:9])
            return self._near(exact_ns) or match[0]
        try:
            return self.moment(datetime.fromisoformat(_microseconds(iso))) or iso
        except ValueError:  # 99 o'clock
            return iso

    def _uuid(self, match: re.Match[str]) -> str:
        # A UUID4 is 16 drawn bytes but for the six bits that say so.
        wanted = _unversioned(bytes.fromhex(match[0].replace("-", "")))
        for draw, number in self._draws.items():
            if len(draw) == 16 and _unversioned(draw) == wanted:
                return f"uuid#{number}"
        return match[0]

    def _hex(self, match: re.Match[str]) -> str:
        if len(match[0]) % 2:
            return match[0]
        raw = bytes.fromhex(match[0])
        if raw not in self._draws and len(raw) == 16:
            return self._uuid(match)
        return self._named(raw, match[0])

    def _token(self, match: re.Match[str]) -> str:
        text = match[0].rstrip("=")
        padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
        try:
            return self._named(base64.b64decode(padded), match[0])
        except binascii.Error:
            return match[0]

    def _named(self, raw: bytes, text: str) -> str:
        number = self._draws.get(raw)
        return f"token#{number}" if number is not None else text


def _signed(since_ns: int) -> str:
    sign = "-" if since_ns < 0 else "+"
    whole, rest = divmod(abs(since_ns), NANOSECONDS)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{sign}{whole}{fraction}s"


def _microseconds(iso: str) -> str:
    """``iso`` with at most six digits behind the second, which is what ``datetime`` reads."""
    return re.sub(r"(\.\d{6})\d+", r"\1", iso)


def _unversioned(raw: bytes) -> bytes:
    return raw[:6] + bytes([raw[6] & 0x0F]) + raw[7:8] + bytes([raw[8] & 0x3F]) + raw[9:]
