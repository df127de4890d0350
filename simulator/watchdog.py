"""Notices a callback of a world's loop that does not come to its end, as ``while True: pass`` does, and stops it.

Nothing is counted: a repeating timer of the operating system looks, every few seconds, whether the loop still runs the
callback that it ran before. What never comes back to the interpreter (an endless loop in C) is not reached.
"""

from __future__ import annotations

import signal
import threading
import weakref
from asyncio import events
from types import FrameType
from typing import Final

from simulator.errors import HaltedError
from simulator.loop import SimulatedLoop
from simulator.origin import service_frame

WITHIN_S: Final = 10.0
_LOOKS: Final = 2  # within that time, after the first
_DEBUGGERS: Final = ("bdb", "_pydevd", "pydevd")


class Watchdog:
    """Stops callbacks that run for longer than ``within_s`` real seconds, or half as long again.

    Signals are for the main thread: a world that is entered in another one has no watchdog, nor has one in a process
    that uses SIGALRM itself.
    """

    def __init__(self, within_s: float = WITHIN_S) -> None:
        self._within_s = within_s
        self._seen: weakref.ref[events.Handle] | None = None
        self._looks = 0
        self.armed = False

    def start(self) -> None:
        """Begin to watch, where that is possible and nobody else has the alarm; see ``armed``."""
        if _alarm_is_free():
            signal.signal(signal.SIGALRM, self._look)
            signal.setitimer(signal.ITIMER_REAL, *2 * (self._within_s / _LOOKS,))
            self.armed = True

    def stop(self) -> None:
        """Put the alarm back, unless somebody else has taken it since. Stopping twice does nothing."""
        if self.armed and signal.getsignal(signal.SIGALRM) == self._look:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self.armed = False
        self._seen = None

    def _look(self, _signal: int, frame: FrameType | None) -> None:
        """Called by the alarm, wherever the main thread is.

        Raises:
            HaltedError: the loop runs the callback that it ran at the looks before; says in which line.
        """
        running = _running(frame)
        if running is None or self._seen is None or self._seen() is not running:
            # Not kept alive: when something is collected must not depend on real time.
            self._seen, self._looks = None if running is None else weakref.ref(running), 0
            return
        self._looks += 1
        if self._looks >= _LOOKS and not _is_debugged(frame):
            raise HaltedError(
                f"a callback has run for more than {self._within_s:g} s without coming back to the event loop, and is in "
                f"{_line(frame)}: it blocks everything else, in production too. Await something in that loop."
            )


def _alarm_is_free() -> bool:
    return (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    )


def _running(frame: FrameType | None) -> events.Handle | None:
    """What the loop was running when it was interrupted at ``frame``; none: the interruption was elsewhere."""
    while frame is not None:
        if frame.f_code is SimulatedLoop.run_ready.__code__:
            handle = frame.f_locals.get("handle")
            return handle if isinstance(handle, events.Handle) else None
        frame = frame.f_back
    return None


def _is_debugged(frame: FrameType | None) -> bool:
    """Whether somebody stands in a debugger and thinks."""
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(_DEBUGGERS):
            return True
        frame = frame.f_back
    return False


def _line(frame: FrameType | None) -> str:
    found = service_frame(frame) or frame
    return "an unknown line" if found is None else f"{found.f_code.co_filename}:{found.f_lineno}"
