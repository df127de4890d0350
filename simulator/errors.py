"""What a world refuses, each with a sentence that says what to do."""

from __future__ import annotations


class WorldError(Exception):
    """A world cannot go on as asked. The message says why, and what to do."""


class BlockingCallError(WorldError):
    """Code held up the event loop, where virtual time cannot pass."""


class BypassedGateError(WorldError):
    """Code reached for a socket, a thread or a process, which no schedule can order."""


class DeadlockError(WorldError):
    """Nothing can happen any more, and something still waits."""


class EndlessError(WorldError):
    """A bound of steps or of timers was met before the work was done."""


class BackendError(WorldError):
    """The Redis beneath a world cannot be used: not there, not empty, or not able to do what was asked."""


class HaltedError(KeyboardInterrupt):
    """A callback was stopped that did not come to its end.

    Neither ``except Exception`` nor a task holds it back: it leaves the loop at once, whose driver may make an
    ``EndlessError`` of it.
    """
