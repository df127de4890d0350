"""Threads, sockets and processes, refused inside a world with the line of the service that asked.

Refused is only what a callback of a world's event loop asks for: beside the loop, and in other threads, everything goes
on as it does without a world. A backend may reach its real server wherever it is asked from.
"""

from __future__ import annotations

import functools
import multiprocessing.process
import os
import socket
import subprocess
import sys
import threading
from asyncio import events
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any, Never

from simulator.errors import BlockingCallError, BypassedGateError, WorldError
from simulator.loop import SimulatedLoop
from simulator.origin import is_service, service_frame

Replacement = tuple[Any, str, Callable[..., Any]]

_BACKENDS = frozenset(("simulator.remote", "simulator.server"))
_HOW_ELSE = (
    "inside a world nothing but Redis commands and time is ordered. Build the client with world.redis(), and hand in what "
    "reaches further out as a callback."
)


def refusals() -> list[Replacement]:
    """What is to be put in place, as owner, name and replacement, while a world is entered."""
    rows: list[tuple[Any, str, Callable[..., str]]] = [
        (threading.Thread, "start", _thread),
        (ThreadPoolExecutor, "submit", _submitted),
        (multiprocessing.process.BaseProcess, "start", lambda *_: "a process"),
        (subprocess.Popen, "__init__", _process),
        (os, "system", lambda command: f"the process {command!r}"),
        (socket.socket, "connect", _connection),
        (socket.socket, "connect_ex", _connection),
        (socket, "create_connection", lambda address, *_, **__: f"a connection to {address}"),
        (socket, "getaddrinfo", lambda host, port, *_, **__: f"the address of {host}:{port}"),
    ]
    pools = sys.modules.get("concurrent.futures.process")
    if pools is not None:  # or no such pool runs yet, and it is refused by the processes that it starts
        rows.append((pools.ProcessPoolExecutor, "submit", _submitted))
    return [(owner, name, _outside_only(owner, name, what)) for owner, name, what in rows]


def refuse_to_block(seconds: float, /) -> Never:
    """In place of ``time.sleep``: virtual time cannot pass while the loop is held up.

    Raises:
        BlockingCallError: always, with the line that called.
    """
    where = _whereabouts(sys._getframe(1))
    _refuse(
        BlockingCallError(
            f"time.sleep({seconds}) was called in {where}: it blocks the event loop, in production too. Await "
            "asyncio.sleep instead."
        )
    )


def _outside_only(owner: Any, name: str, what: Callable[..., str]) -> Callable[..., Any]:
    """What ``owner`` calls ``name``, refused to callbacks of a world. ``what`` says what is asked for by its arguments."""
    original, call = getattr(owner, name), _spelled(owner, name)

    @functools.wraps(original)
    def guarded(*arguments: Any, **options: Any) -> Any:
        if isinstance(events._get_running_loop(), SimulatedLoop):
            caller = sys._getframe(1)
            if not _asked_by_a_backend(caller):
                asked = what(*arguments, **options)
                where = _whereabouts(caller)
                _refuse(BypassedGateError(f"{asked} was asked for by {call} in {where}: {_HOW_ELSE}"))
        return original(*arguments, **options)

    return guarded


def _refuse(refusal: WorldError) -> Never:
    loop = events._get_running_loop()
    if isinstance(loop, SimulatedLoop):
        # Remembered as well, since the code that asked may catch every exception.
        loop.failures.append({"message": "a call was refused", "exception": refusal})
    raise refusal


def _asked_by_a_backend(frame: FrameType | None) -> bool:
    while frame is not None and not is_service(frame.f_code.co_filename):
        if frame.f_globals.get("__name__") in _BACKENDS:
            return True
        frame = frame.f_back
    return False


def _whereabouts(caller: FrameType) -> str:
    """The line of the service, and the library in between; of ``caller``, where nothing is known of a service."""
    found = service_frame(caller) or caller
    place = f"{found.f_code.co_filename}:{found.f_lineno}"
    if found is caller:
        return place
    return f"{place}, through {caller.f_globals.get('__name__')}.{caller.f_code.co_qualname}"


def _spelled(owner: Any, name: str) -> str:
    of_class = f"{owner.__module__}.{owner.__qualname__}" if isinstance(owner, type) else owner.__name__
    return of_class if name == "__init__" else f"{of_class}.{name}"


# What is asked for, in words that do not vary from run to run.


def _thread(thread: Any) -> str:
    return f"a thread for {_named(getattr(thread, '_target', None) or type(thread))}"


def _submitted(_executor: Any, function: Any, *_: Any, **__: Any) -> str:
    return f"work of {_named(function)} in a pool"


def _named(function: Any) -> str:
    return repr(getattr(function, "__qualname__", type(function).__qualname__))


def _process(_popen: Any, args: Any = "", *_: Any, **__: Any) -> str:
    return f"the process {args!r}"


def _connection(sock: socket.socket, address: Any) -> str:
    sock.close()  # who asked is not prepared for this error, and would leave it open
    return f"a connection to {address}"
