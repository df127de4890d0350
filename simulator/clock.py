"""Time that moves only when told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NANOSECONDS = 1_000_000_000
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


class VirtualClock:
    """The time inside a world, in whole nanoseconds since 1970.

    It stands still while code runs and commands take effect; only the world moves it, and never backwards within a
    run. ``now`` is all that a service is handed.
    """

    __slots__ = ("_started_ns", "now_ns")

    def __init__(self, epoch_ns: int) -> None:
        self.now_ns = epoch_ns
        self._started_ns = epoch_ns

    def now(self) -> datetime:
        """The present moment in UTC; what is finer than a microsecond is cut off, as ``datetime`` has no place for it."""
        return _UNIX + timedelta(microseconds=self.now_ns // 1000)

    @property
    def started_ns(self) -> int:
        """When this run began, in nanoseconds since 1970."""
        return self._started_ns

    @property
    def elapsed(self) -> float:
        """Seconds since this run began: the event loop's own time."""
        return (self.now_ns - self._started_ns) / NANOSECONDS

    def restart(self, epoch_ns: int) -> None:
        """Begin a new run at ``epoch_ns``."""
        self.now_ns = self._started_ns = epoch_ns

    def move_to(self, moment_ns: int) -> None:
        """Move forwards to ``moment_ns``; a moment that has passed already leaves the clock where it is."""
        self.now_ns = max(self.now_ns, moment_ns)
