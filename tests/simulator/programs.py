"""Random programs of a few clients, and two ways to run them under a scheduler: at the gate, and on an executor of its own.

The executor knows nothing of asyncio, redis-py or fakeredis, and runs a program many times faster. What both run is the
same ``async`` code, which is handed a way to make calls.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import WatchError

from simulator.errors import DeadlockError
from simulator.footprint import Footprint, footprint_of
from simulator.race import Client, race
from simulator.schedule import Scheduler, Turn
from simulator.world import World

SCRIPT = "if redis.call('GET', KEYS[1]) == false then return redis.call('INCR', KEYS[2]) else return 0 end"
Op = tuple[str, ...]
Command = tuple[str, ...]
Outcome = Any


@dataclass(frozen=True)
class Program:
    """What each client does, one after another, and on which replica it does so."""

    clients: tuple[tuple[Op, ...], ...]
    replicas: tuple[int, ...]


# Random programs. How many steps each kind of operation takes at most, and how likely it is: what waits for ever hides
# the answers of others.

STEPS = {
    "get": 1, "set": 1, "incr": 1, "conditional": 1, "sadd": 1, "sismember": 1, "multi": 1, "script": 1, "rpush": 1,
    "pipeline": 2, "blpop": 1, "blpop_either": 1, "watched": 3, "once": 2, "spawn": 1, "abandon": 2,
}  # fmt: skip
RARE = ("blpop", "blpop_either")
KINDS = [kind for kind in STEPS for _ in range(1 if kind in RARE else 4)]


def interleavings(clients: Sequence[Sequence[Op]], replicas: Sequence[int]) -> int:
    """At least as many schedules as a program can have."""
    lanes = [sum(STEPS[op[0]] for op in ops if op[0] not in ("spawn", "abandon")) for ops in clients]
    lanes = [steps + (replicas.count(replica) > 1) for steps, replica in zip(lanes, replicas, strict=True)]
    lanes += [1 for ops in clients for op in ops if op[0] in ("spawn", "abandon")]
    lanes += [1 for ops in clients for op in ops if op[0] == "abandon"]
    return math.factorial(sum(lanes)) // math.prod(math.factorial(steps) for steps in lanes)


def random_program(seed: int, interleavings_max: int) -> Program:
    """A program of two to four clients with no more schedules than that, by construction."""
    chance = random.Random(seed)
    clients: list[list[Op]] = [[] for _ in range(chance.choice((2, 2, 3, 3, 4)))]
    # A few programs only have clients of one replica, a few have none that share one.
    replicas_max = chance.choice((1, 2, 2, len(clients), len(clients)))
    replicas = tuple(chance.randint(1, replicas_max) for _ in clients)
    if replicas_max == len(clients):
        replicas = tuple(range(1, len(clients) + 1))
    keys = "xyz"[: chance.randint(1, 3)]
    clients[0].append((chance.choice(("get", "set", "incr")), chance.choice(keys), ""))  # no program is without a step
    for attempt in range(1, 12 + len(clients)):
        ops = clients[attempt] if attempt < len(clients) else chance.choice(clients)
        ops.append((chance.choice(KINDS), chance.choice(keys), chance.choice(keys)))
        if interleavings(clients, replicas) > interleavings_max:
            ops.pop()
    return Program(clients=tuple(map(tuple, clients)), replicas=replicas)


# What an operation does, whoever runs it.


class Calls(Protocol):
    """How an operation reaches Redis, and starts tasks beside itself."""

    def one(self, *command: str) -> Coroutine[Any, Any, Any]: ...
    def block(self, *commands: Command) -> Coroutine[Any, Any, Any]: ...
    def pipeline(self, *commands: Command) -> Coroutine[Any, Any, Any]: ...
    def watched(self, key: str, value: str) -> Coroutine[Any, Any, Any]: ...
    def spawn(self, work: Coroutine[Any, Any, Any]) -> Any: ...


async def client(calls: Calls, number: int, ops: Sequence[Op], memory: dict[str, Any]) -> tuple[Any, ...]:
    """Perform ``ops``; ``memory`` is that of the replica, which others share."""
    seen: list[Any] = []
    for op, key, other in ops:
        seen.append(await _PERFORM[op](calls, key, other, f"{number}{len(seen)}", seen, memory))
    return tuple(seen)


async def _conditional(calls: Calls, key: str, other: str, value: str, seen: list[Any], memory: Any) -> Any:
    return await calls.one("SET", key, value) if len(str(seen)) % 2 else None


async def _once(calls: Calls, key: str, other: str, value: str, seen: list[Any], memory: Any) -> Any:
    """A local memory in front of Redis: checked, and marked only after Redis has answered."""
    if memory.get(key):
        return "remembered"
    added = await calls.one("SADD", f"set:{key}", "m")
    if not memory.get(key):
        await calls.one("INCR", other)
        memory[key] = True
    return added


async def _spawn(calls: Calls, key: str, other: str, value: str, seen: list[Any], memory: Any) -> Any:
    calls.spawn(calls.one("SET", key, value))


async def _abandon(calls: Calls, key: str, other: str, value: str, seen: list[Any], memory: Any) -> Any:
    """Start a task, take a step, and cancel the task wherever it stands."""
    task = calls.spawn(calls.one("SET", key, value))
    answer = await calls.one("GET", other)
    task.cancel()
    return answer


_PERFORM: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "get": lambda calls, key, *_: calls.one("GET", key),
    "set": lambda calls, key, other, value, *_: calls.one("SET", key, value),
    "incr": lambda calls, key, *_: calls.one("INCR", f"n:{key}"),
    "conditional": _conditional,
    "sadd": lambda calls, key, *_: calls.one("SADD", f"set:{key}", "m"),
    "sismember": lambda calls, key, *_: calls.one("SISMEMBER", f"set:{key}", "m"),
    "multi": lambda calls, key, other, *_: calls.block(("INCR", f"n:{key}"), ("INCR", f"n:{other}")),
    "script": lambda calls, key, other, *_: calls.one("EVAL", SCRIPT, "2", key, f"n:{other}"),
    "pipeline": lambda calls, key, other, *_: calls.pipeline(("INCR", f"n:{key}"), ("GET", other)),
    "blpop": lambda calls, key, *_: calls.one("BLPOP", f"list:{key}", "0"),
    "blpop_either": lambda calls, key, other, *_: calls.one("BLPOP", f"list:{key}", f"list:{other}", "0"),
    "rpush": lambda calls, key, other, value, *_: calls.one("RPUSH", f"list:{key}", value),
    "watched": lambda calls, key, other, value, *_: calls.watched(key, value),
    "once": _once,
    "spawn": _spawn,
    "abandon": _abandon,
}


# At the gate.


class RedisCalls:
    """Calls by redis-py's asyncio client."""

    def __init__(self, world: World, redis: Redis) -> None:
        self._world = world
        self._redis = redis

    async def one(self, *command: str) -> Any:
        return _plain(await self._redis.execute_command(*command))

    async def block(self, *commands: Command) -> Any:
        return await self._send(transaction=True, commands=commands)

    async def pipeline(self, *commands: Command) -> Any:
        return await self._send(transaction=False, commands=commands)

    async def _send(self, *, transaction: bool, commands: Sequence[Command]) -> Any:
        pipe = self._redis.pipeline(transaction=transaction)
        for command in commands:
            pipe.execute_command(*command)
        return _plain(await pipe.execute(raise_on_error=False))

    async def watched(self, key: str, value: str) -> Any:
        async with self._redis.pipeline() as pipe:
            await pipe.watch(key)
            before = await pipe.get(key)
            pipe.multi()
            pipe.set(key, value)
            try:
                await pipe.execute()
            except WatchError:
                return _plain(before), "refused"
            return _plain(before), "done"

    def spawn(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._world.loop.create_task(work)


def _plain(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return reply.decode()
    if isinstance(reply, list | tuple):
        return tuple(_plain(part) for part in reply)
    if isinstance(reply, Exception):
        return "error"
    return "OK" if reply is True else reply


def at_the_gate(world: World, program: Program) -> Callable[[Scheduler], Outcome]:
    """A ``Run`` of ``program`` in ``world``: the answers and all that is stored, or that it came to a deadlock."""

    def run(scheduler: Scheduler) -> Outcome:
        world.restart()
        memories: dict[int, dict[str, Any]] = {replica: {} for replica in program.replicas}
        redis = {replica: world.redis(socket_timeout=None) for replica in sorted(memories)}
        clients = [
            Client(_work(RedisCalls(world, redis[replica]), number, ops, memories[replica]), replica)
            for number, (ops, replica) in enumerate(zip(program.clients, program.replicas, strict=True), 1)
        ]
        try:
            raced = race(world, clients, scheduler)
        except DeadlockError:
            return "deadlock", _dump(world)
        return tuple(answer for _, answer in raced.answers), _dump(world)

    return run


def _work(calls: Calls, number: int, ops: Sequence[Op], memory: dict[str, Any]) -> Callable[[], Any]:
    return lambda: client(calls, number, ops, memory)


def _dump(world: World) -> Any:
    return tuple((key, record.value) for key, record in sorted(world.dump().get(0, {}).items()))


# On an executor of its own.

FootprintOf = Callable[[tuple[tuple[bytes, ...], ...], tuple[bytes, ...]], Footprint]


def exact_footprint(commands: tuple[tuple[bytes, ...], ...], watched: tuple[bytes, ...]) -> Footprint:
    return footprint_of(commands, 0, watched)


class Ask:
    """What an operation awaits: replies to steps, each one or more commands that take effect together."""

    def __init__(self, steps: Sequence[Sequence[Command]]) -> None:
        self.steps = [tuple(tuple(word.encode() for word in command) for command in step) for step in steps]

    def __await__(self) -> Generator[Ask, Any, Any]:
        return (yield self)


class Lane:
    """A coroutine, what it asks for, and what it watches."""

    def __init__(self, name: str, replica: int, work: Coroutine[Any, Any, Any]) -> None:
        self.name, self.replica, self.work = name, replica, work
        self.steps: deque[Any] = deque()
        self.replies: list[Any] = []
        self.turn: Turn | None = None
        self.answer: Any = None
        self.watched: tuple[bytes, ...] = ()
        self.spoiled = False
        self.over = False
        self.children = 0

    def cancel(self) -> None:
        """End it where it stands; a step that waits is not taken."""
        self.work.close()
        self.over, self.turn = True, None


class Executor:
    """Runs one program once. ``footprint`` may be wrong, to see whether that is noticed."""

    def __init__(self, program: Program, footprint: FootprintOf = exact_footprint) -> None:
        self._footprint = footprint
        self._data: dict[bytes, Any] = {}
        self._lanes: list[Lane] = []
        self._unborn: list[Lane] = []
        self._blocked: list[tuple[Lane, tuple[bytes, ...]]] = []
        self._touched: list[tuple[Lane, tuple[bytes, ...]]] = []
        self._taken = 0
        self._current: Lane | None = None
        memories: dict[int, dict[str, Any]] = {replica: {} for replica in program.replicas}
        for number, (ops, replica) in enumerate(zip(program.clients, program.replicas, strict=True), 1):
            self._lanes.append(Lane(str(number), replica, client(self, number, ops, memories[replica])))
        self._clients = tuple(self._lanes)
        self._shared = {replica for replica in program.replicas if program.replicas.count(replica) > 1}

    def run(self, scheduler: Scheduler) -> Outcome:
        try:
            return self._run(scheduler)
        finally:
            for lane in [*self._lanes, *self._unborn]:
                lane.work.close()

    def _run(self, scheduler: Scheduler) -> Outcome:
        for lane in self._clients:
            if lane.replica in self._shared:
                lane.turn = Turn(lane=lane.name, replicas=frozenset([lane.replica]))
            else:
                self._go_on(lane, None)
        while True:
            waiting = [lane for lane in self._lanes if lane.turn is not None]
            if not waiting:
                break
            turns = [lane.turn for lane in waiting if lane.turn is not None]
            scheduler.took(self._take(waiting[scheduler.choose(turns)]))
        answers = tuple(lane.answer for lane in self._clients)
        over = all(lane.over for lane in self._clients)
        return (answers if over else "deadlock"), tuple((key, self._data[key]) for key in sorted(self._data))

    def _take(self, lane: Lane) -> Turn:
        turn = lane.turn
        assert turn is not None
        lane.turn = None
        self._taken += 1
        self._touched.clear()
        if not turn.commands:
            self._go_on(lane, None)
        else:
            self._perform(lane, lane.steps.popleft())
            self._serve()
        for served, command in self._touched:
            turn = turn.touching(frozenset([served.replica]), self._footprint((command,), ()))
        return turn

    def _perform(self, lane: Lane, commands: tuple[tuple[bytes, ...], ...]) -> None:
        reply: Any
        if commands[0][0] == b"MULTI":
            spoiled, lane.watched, lane.spoiled = lane.spoiled, (), False
            reply = None if spoiled else tuple(self._one(command) for command in commands[1:-1])
        elif commands[0][0] == b"WATCH":
            lane.watched, reply = commands[0][1:], "OK"
        else:
            reply = self._one(commands[0])
        if commands[0][0] == b"BLPOP" and reply is None:
            self._blocked.append((lane, commands[0]))
        else:
            self._reply(lane, reply)

    def _serve(self) -> None:
        for waiting in list(self._blocked):
            lane, command = waiting
            reply = self._one(command)
            if reply is not None:
                self._blocked.remove(waiting)
                self._touched.append(waiting)
                self._reply(lane, reply)

    def _reply(self, lane: Lane, reply: Any) -> None:
        lane.replies.append(reply)
        if lane.steps:
            self._park(lane)
        else:
            replies, lane.replies = lane.replies, []
            self._go_on(lane, replies)

    def _go_on(self, lane: Lane, replies: Any) -> None:
        before, self._current = self._current, lane
        try:
            ask = lane.work.send(replies)
        except StopIteration as stop:
            lane.over, lane.answer = True, stop.value
        else:
            lane.steps.extend(ask.steps)
            self._park(lane)
        self._current = before
        while self._unborn:
            born = self._unborn.pop(0)
            if not born.over:
                self._lanes.append(born)
                self._go_on(born, None)

    def _park(self, lane: Lane) -> None:
        commands = lane.steps[0]
        footprint = self._footprint(commands, lane.watched)
        replicas = frozenset([lane.replica])
        lane.turn = Turn(lane=lane.name, replicas=replicas, footprint=footprint, born=self._taken, commands=commands)

    # What commands do.

    def _one(self, command: tuple[bytes, ...]) -> Any:
        name, key, *rest = command
        data = self._data
        before = repr(data.get(key))
        reply: Any
        match name:
            case b"GET":
                value = data.get(key)
                reply = value if value is None else value.decode()
            case b"SET":
                data[key], reply = rest[0], "OK"
            case b"INCR":
                reply = int(data.get(key, 0)) + 1
                data[key] = str(reply).encode()
            case b"SADD":
                reply = int(key not in data)
                data[key] = frozenset(rest)
            case b"SISMEMBER":
                reply = int(key in data)
            case b"RPUSH":
                data[key] = (*data.get(key, ()), rest[0])
                reply = len(data[key])
            case b"EVAL":
                reply = self._one((b"INCR", rest[2])) if rest[1] not in data else 0
            case _:
                assert name == b"BLPOP", command
                return self._pop([key, *rest[:-1]])
        if repr(data.get(key)) != before or name == b"SET":
            self._spoil(key)
        return reply

    def _pop(self, keys: Sequence[bytes]) -> Any:
        for key in keys:
            if key in self._data:
                value, *rest = self._data[key]
                self._data[key] = tuple(rest)
                if not rest:
                    del self._data[key]
                self._spoil(key)
                return key.decode(), value.decode()
        return None

    def _spoil(self, key: bytes) -> None:
        for lane in self._lanes:
            lane.spoiled |= key in lane.watched

    # Calls.

    async def one(self, *command: str) -> Any:
        return (await Ask([[command]]))[0]

    async def block(self, *commands: Command) -> Any:
        return (await Ask([[("MULTI",), *commands, ("EXEC",)]]))[0]

    async def pipeline(self, *commands: Command) -> Any:
        return tuple(await Ask([[command] for command in commands]))

    async def watched(self, key: str, value: str) -> Any:
        await self.one("WATCH", key)
        before = await self.one("GET", key)
        return before, "done" if await self.block(("SET", key, value)) else "refused"

    def spawn(self, work: Coroutine[Any, Any, Any]) -> Lane:
        assert self._current is not None
        parent = self._current
        lane = Lane(f"{parent.name}.{parent.children}", parent.replica, work)
        parent.children += 1
        self._unborn.append(lane)
        return lane
