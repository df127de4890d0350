"""The event loop: nothing happens on it that was not decided."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from simulator.clock import NANOSECONDS, VirtualClock
from simulator.errors import BypassedGateError, EndlessError
from simulator.loop import LaneTask, SimulatedLoop
from simulator.world import World


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(5 * NANOSECONDS)


@pytest.fixture
def loop(clock: VirtualClock) -> SimulatedLoop:
    return SimulatedLoop(clock)  # type: ignore[abstract]  # as in a world


def test_callbacks_run_in_the_order_in_which_they_became_ready(loop: SimulatedLoop) -> None:
    ran: list[str] = []
    loop.call_soon(ran.append, "a")
    loop.call_soon_threadsafe(ran.append, "b")
    loop.call_soon(lambda: loop.call_soon(ran.append, "d"))
    loop.call_soon(ran.append, "c")
    assert loop.ready
    loop.run_ready()
    assert ran == ["a", "b", "c", "d"]
    assert not loop.ready


def test_a_cancelled_callback_does_not_run(loop: SimulatedLoop) -> None:
    ran: list[str] = []
    loop.call_soon(ran.append, "a").cancel()
    loop.run_ready()
    assert ran == []


def test_a_timer_fires_when_the_clock_reaches_it(loop: SimulatedLoop, clock: VirtualClock) -> None:
    ran: list[str] = []
    loop.call_later(1.5, ran.append, "a")
    assert loop.next_timer_ns() == clock.now_ns + 1_500_000_000
    clock.move_to(clock.now_ns + 1_499_999_999)
    loop.fire_due()
    assert not loop.ready
    clock.move_to(clock.now_ns + 1)
    loop.fire_due()
    loop.run_ready()
    assert ran == ["a"]
    assert loop.next_timer_ns() is None


def test_timers_of_one_moment_fire_in_the_order_in_which_they_were_set(
    loop: SimulatedLoop, clock: VirtualClock
) -> None:
    ran: list[str] = []
    for name in "abc":
        loop.call_at(1, ran.append, name)
    clock.move_to(clock.now_ns + NANOSECONDS)
    loop.fire_due()
    loop.run_ready()
    assert ran == ["a", "b", "c"]


def test_a_cancelled_timer_is_not_waited_for(loop: SimulatedLoop) -> None:
    loop.call_later(1, print).cancel()
    assert loop.next_timer_ns() is None


def test_a_limit_is_a_timer_in_every_way(loop: SimulatedLoop, clock: VirtualClock) -> None:
    ran: list[str] = []
    loop.call_later(1, ran.append, "a")
    lifted = loop.limit(0.5, ran.append, "lifted before anybody looked")
    loop.limit(1, ran.append, "b")
    late = loop.limit(1, ran.append, "lifted after somebody looked")
    loop.call_later(1, ran.append, "c")
    loop.lift(lifted)
    clock.move_to(clock.now_ns + NANOSECONDS // 2)
    loop.limit(0.5, ran.append, "d")
    assert loop.next_timer_ns() == clock.started_ns + NANOSECONDS
    loop.lift(late)
    loop.lift(late)
    clock.move_to(clock.now_ns + NANOSECONDS)
    loop.fire_due()
    loop.run_ready()
    assert ran == ["a", "b", "c", "d"]
    loop.lift(late)
    loop.limit(1, ran.append, "of the run before")
    loop.restart()
    assert loop.next_timer_ns() is None


def test_a_limit_of_a_task_that_crashed_is_gone(loop: SimulatedLoop) -> None:
    async def waits() -> None:
        loop.limit(1, print)
        await asyncio.Event().wait()

    loop.start(waits(), ("replica", 1))
    loop.start(waits(), ("replica", 2))
    loop.run_ready()
    loop.crash([("replica", 1)])
    assert loop.next_timer_ns() is not None
    loop.crash([("replica", 2)])
    assert loop.next_timer_ns() is None


def test_time_is_counted_from_the_beginning_of_the_run(loop: SimulatedLoop, clock: VirtualClock) -> None:
    assert loop.time() == 0
    clock.move_to(clock.now_ns + 2 * NANOSECONDS)
    assert loop.time() == 2


def test_the_loop_is_running_only_while_it_runs(loop: SimulatedLoop) -> None:
    seen: list[bool] = []
    loop.call_soon(lambda: seen.append(loop.is_running()))
    loop.run_ready()
    assert seen == [True]
    assert not loop.is_running()
    assert not loop.is_closed()
    assert not loop.get_debug()


def test_a_callback_that_never_waits_is_an_error(loop: SimulatedLoop) -> None:
    def again() -> None:
        loop.call_soon(again)

    loop.call_soon(again)
    with pytest.raises(EndlessError, match=r"100000 callbacks ran without waiting .*again"):
        loop.run_ready()
    assert not loop.is_running()


def test_a_task_is_named_by_the_births_that_lead_to_it(loop: SimulatedLoop) -> None:
    lanes: list[tuple[object, ...]] = []

    async def child() -> None:
        task = asyncio.current_task()
        assert isinstance(task, LaneTask)
        lanes.append(task.lane)

    async def parent() -> None:
        await asyncio.gather(child(), child())

    loop.start(parent(), ("client", 1), name="parent")
    loop.create_task(child(), name="alone")
    loop.create_task(child())
    loop.run_ready()
    assert sorted(lanes, key=str) == [("client", 1, 0), ("client", 1, 1), ("world", 0), ("world", 1)]
    assert [task.get_name() for task in loop.tasks[:2]] == ["parent", "alone"]


def test_waiting_and_timeouts_work_as_in_any_asyncio(world: World) -> None:
    async def work() -> list[Any]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        lock = asyncio.Lock()
        seen: list[Any] = []

        async def producer() -> None:
            await asyncio.sleep(1)
            async with lock:
                await queue.put("late")

        async with asyncio.TaskGroup() as group:
            group.create_task(producer())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(queue.get(), 0.5)
            seen.append(await queue.get())
            async with asyncio.timeout(5):
                await asyncio.sleep(2)
        seen.append(asyncio.get_running_loop().time())
        return seen

    assert world.perform(work()).result() == ["late", 3]


def test_a_callback_that_raises_is_remembered(loop: SimulatedLoop) -> None:
    loop.call_soon(int, "x")
    loop.run_ready()
    assert isinstance(loop.failures[0]["exception"], ValueError)
    loop.default_exception_handler({"message": "another"})
    assert len(loop.failures) == 2


def test_a_service_may_handle_what_nobody_handled(loop: SimulatedLoop) -> None:
    seen: list[dict[str, Any]] = []

    def handler(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        seen.append(context)

    loop.set_exception_handler(handler)
    assert loop.get_exception_handler() is handler
    loop.call_soon(int, "x")
    loop.run_ready()
    assert isinstance(seen[0]["exception"], ValueError)
    assert loop.failures == []
    loop.restart()
    assert loop.get_exception_handler() is None


def test_nothing_is_left_in_a_new_run(loop: SimulatedLoop) -> None:
    async def fails() -> None:
        raise LookupError

    loop.create_task(fails())
    loop.run_ready()
    loop.call_soon(print)
    loop.call_later(1, print)
    loop.restart()
    assert not loop.ready
    assert loop.next_timer_ns() is None
    assert loop.tasks == loop.failures == []


async def _open() -> None:
    await asyncio.open_connection("example.org", 80)


async def _unix() -> None:
    await asyncio.open_unix_connection("/run/socket")


async def _named() -> None:
    await asyncio.get_running_loop().create_connection(asyncio.Protocol, host="example.org", port=81)


async def _look_up() -> None:
    await asyncio.get_running_loop().getaddrinfo("example.org", 80)


async def _datagrams() -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol)


async def _serve() -> None:
    await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 80)


async def _connect() -> None:
    with socket.socket() as made:
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", 80))


async def _thread() -> None:
    await asyncio.to_thread(print)


async def _executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, 7)  # type: ignore[arg-type]


async def _exec() -> None:
    await asyncio.create_subprocess_exec("true")


async def _shell() -> None:
    await asyncio.create_subprocess_shell("true")


async def _reader() -> None:
    asyncio.get_running_loop().add_reader(0, print)


async def _writer() -> None:
    asyncio.get_running_loop().add_writer(0, print)


async def _signal() -> None:
    asyncio.get_running_loop().add_signal_handler(2, print)


@pytest.mark.parametrize(
    ("reach_out", "what"),
    [
        (_open, "a connection to example.org:80"),
        (_unix, "a connection to /run/socket"),
        (_named, "a connection to example.org:81"),
        (_look_up, "the address of example.org:80"),
        (_datagrams, "a socket for datagrams"),
        (_serve, "a server on 127.0.0.1:80"),
        (_connect, r"a connection to \('127.0.0.1', 80\)"),
        (_thread, "a thread for "),
        (_executor, "a thread for 7"),
        (_exec, "a process"),
        (_shell, "a process"),
        (_reader, "a reader of a file"),
        (_writer, "a writer to a file"),
        (_signal, "a handler of a signal"),
    ],
)
def test_what_no_schedule_can_order_is_refused(
    world: World, reach_out: Callable[[], Coroutine[Any, Any, None]], what: str
) -> None:
    with pytest.raises(BypassedGateError, match=f"^{what}.* was asked of the event loop inside a world"):
        world.perform(reach_out()).result()


def test_a_refusal_that_the_service_swallows_is_seen_all_the_same(world: World) -> None:
    async def work() -> str:
        try:
            await _open()
        except Exception:  # noqa: BLE001 - as services do
            return "offline"
        return "online"

    assert world.perform(work()).result() == "offline"
    (event,) = world.take_events()
    assert event.name.startswith("loop failed: BypassedGateError: a connection to example.org:80")


def test_open_generators_end_with_their_tasks(world: World) -> None:
    assert world.perform(world.loop.shutdown_asyncgens()).done()
    assert world.loop.failures == []
