"""Which Redis to look at a subject on: ``fake``, ``server``, or the URL of an empty database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from simulator.backend import Backend
from simulator.fake import FakeBackend


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisChoice:
    """A Redis to run on. ``flavour`` is its name in baselines; ``why`` says why its clock cannot be moved, if so."""

    backend: Backend
    flavour: str
    real: bool
    why: str = ""

    @property
    def has_clock(self) -> bool:
        """Whether time can be made to pass on it."""
        return self.backend.has_clock


@contextmanager
def redis_choice(asked: str) -> Iterator[RedisChoice]:
    """The Redis that ``asked`` means, for as long as the context lasts; a server that was started here is ended.

    Raises:
        BackendError: no server is installed, it cannot be reached, or its database is not empty.
    """
    if asked == "fake":
        yield RedisChoice(backend=FakeBackend(), flavour="fakeredis", real=False)
        return
    # Real servers are imported only where one is asked for.
    from simulator.remote import RemoteBackend
    from simulator.server import RealServer

    if asked == "server":
        with RealServer.start() as server, RemoteBackend.on(server) as remote:
            yield RedisChoice(backend=remote, flavour=server.flavour, real=True, why=server.why_no_clock or "")
        return
    with RemoteBackend.at(asked) as remote:
        yield RedisChoice(backend=remote, flavour=remote.flavour, real=True, why="it is not ours to start")
