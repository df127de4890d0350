"""Threads, sockets and processes: refused to callbacks of a world, with the line that asked, and to nobody else."""

from __future__ import annotations

import asyncio
import http.client
import multiprocessing.process
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from simulator.backend import Backend
from simulator.errors import BlockingCallError, BypassedGateError
from simulator.refusing import refusals
from simulator.seed import Seed
from simulator.virtual import refuse_to_block
from simulator.world import World

NOWHERE = ("127.0.0.1", 9)


def starts_a_thread() -> None:
    threading.Thread(target=starts_a_thread, name="never").start()


def submits() -> None:
    ThreadPoolExecutor(1).submit(starts_a_thread)


def submits_to_processes() -> None:
    ProcessPoolExecutor(1).submit(starts_a_thread)


def starts_a_process() -> None:
    multiprocessing.Process(target=starts_a_thread).start()


def runs_a_process() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def runs_a_shell() -> None:
    os.system("true")


def connects() -> None:
    with socket.socket() as sock:
        sock.connect(NOWHERE)


def asks_whether_it_connects() -> None:
    with socket.socket() as sock:
        sock.connect_ex(NOWHERE)


def creates_a_connection() -> None:
    socket.create_connection(NOWHERE)


def looks_up() -> None:
    socket.getaddrinfo("example.invalid", 80)


def asks_a_synchronous_client() -> None:
    redis.Redis(host="127.0.0.1", port=9).get("a")


def asks_a_synchronous_client_on_a_unix_socket() -> None:
    redis.Redis(unix_socket_path="/nonexistent/redis.sock").get("a")


def opens_a_url() -> None:
    http.client.HTTPConnection("127.0.0.1", 9).request("GET", "/")


REFUSED: list[tuple[Callable[[], None], str, str]] = [
    (starts_a_thread, "a thread for 'starts_a_thread' was asked for by threading.Thread.start in ", ""),
    (submits, "work of 'starts_a_thread' in a pool was asked for by concurrent.futures.thread.ThreadPoolExecutor.", ""),
    (submits_to_processes, "work of 'starts_a_thread' in a pool was asked for by concurrent.futures.process.", ""),
    (starts_a_process, "a process was asked for by multiprocessing.process.BaseProcess.start in ", ""),
    (runs_a_process, "was asked for by subprocess.Popen in ", ", through subprocess.run: "),
    (runs_a_shell, "the process 'true' was asked for by os.system in ", ""),
    (connects, "a connection to ('127.0.0.1', 9) was asked for by socket.socket.connect in ", ""),
    (asks_whether_it_connects, "was asked for by socket.socket.connect_ex in ", ""),
    (creates_a_connection, "a connection to ('127.0.0.1', 9) was asked for by socket.create_connection in ", ""),
    (looks_up, "the address of example.invalid:80 was asked for by socket.getaddrinfo in ", ""),
    (asks_a_synchronous_client, "127.0.0.1:9 was asked for by ", ", through redis.connection.Connection._connect: "),
    (
        asks_a_synchronous_client_on_a_unix_socket,
        "a connection to /nonexistent/redis.sock was asked for by ",
        ", through redis.connection.UnixDomainSocketConnection._connect: ",
    ),
    (opens_a_url, "a connection to ('127.0.0.1', 9) was asked for by ", ", through http.client.HTTPConnection.connect: "),
]  # fmt: skip


async def calling(function: Callable[[], Any]) -> Any:
    return function()


def _line(function: Callable[[], None], word: str) -> str:
    """Where in ``function`` its last line is."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    first = function.__code__.co_firstlineno
    last = next(number for number in range(first, len(lines)) if not lines[number].strip())
    return f"{word}{__file__}:{last}"


@pytest.mark.parametrize(("function", "says", "through"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_no_schedule_can_order_is_refused_with_the_line_of_the_service(
    world: World, function: Callable[[], None], says: str, through: str
) -> None:
    with pytest.raises(BypassedGateError) as refused:
        world.perform(calling(function)).result()
    message = str(refused.value)
    assert says in message
    assert _line(function, " in ") + (through or ": ") in message
    assert message.endswith("hand in what reaches further out as a callback.")


@pytest.mark.parametrize("function", [case[0] for case in REFUSED], ids=lambda function: function.__name__)
def test_a_refusal_is_remembered_where_the_service_hides_it(world: World, function: Callable[[], None]) -> None:
    async def hides() -> str:
        try:
            function()
        except Exception:  # noqa: BLE001 - as careless code does
            return "all is well"
        return "unreachable"

    assert world.perform(hides()).result() == "all is well"
    (event,) = world.take_events()
    assert event.name.startswith("loop failed: BypassedGateError: ")


def test_a_sleep_that_is_hidden_is_remembered_too(world: World) -> None:
    async def hides() -> None:
        with pytest.raises(BlockingCallError, match=r"test_refusing\.py:\d+: it blocks the event loop"):
            refuse_to_block(1.0)

    world.perform(hides()).result()
    (event,) = world.take_events()
    assert event.name.startswith("loop failed: BlockingCallError: time.sleep(1.0) was called in ")


def test_beside_the_loop_and_in_other_threads_everything_goes_on(world: World) -> None:
    """A runner of tests, a progress bar or a measurement of coverage may live in the same process."""
    answers: list[object] = []

    def elsewhere() -> None:
        subprocess.run([sys.executable, "-c", ""], check=True)
        with ThreadPoolExecutor(1) as pool, socket.create_server(("127.0.0.1", 0)) as server:
            answers.append(pool.submit(socket.getaddrinfo, "127.0.0.1", 80).result()[0][4])
            socket.create_connection(server.getsockname()).close()

    elsewhere()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert answers == [("127.0.0.1", 80)] * 2
    assert world.take_events() == []


def test_another_loop_is_left_alone(world: World) -> None:
    async def work() -> str:
        return await asyncio.to_thread(str, 7)

    assert asyncio.run(work()) == "7"


def test_a_world_on_a_real_server_reaches_it_from_inside_an_operation(servers: World) -> None:
    """Its sockets are the world's, not the service's."""

    async def looks() -> Any:
        await servers.redis().set("a", 1)
        return {number: servers.backend.open(number, 3).execute((b"DBSIZE",)) for number in (0, 7)}

    assert servers.perform(looks()).result() == {0: [1], 7: [0]}
    assert servers.take_events() == []


def test_everything_refused_is_put_back_as_it_was(backend: Backend) -> None:
    def held() -> list[Any]:
        return [vars(owner).get(name, "inherited") for owner, name, _ in refusals()]

    before = held()
    with World(Seed(1), backend):
        assert [ours for ours, theirs in zip(held(), before, strict=True) if ours is theirs] == []
    assert held() == before
    assert "connect" not in vars(socket.socket)
