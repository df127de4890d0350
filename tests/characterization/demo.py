"""Small services, and subjects of them: a counter, a lock, a set with a cache of its own, a queue."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from characterization import Bounds, Run, Subject, World, cap, law, operation, seconds, small
from characterization.behaviour import Behaviour, Recording
from characterization.lenses.runner import Raced, Tried, local_runner
from characterization.lenses.sequence import Walk, sequence
from characterization.lenses.time import time
from characterization.outcome import Outcome
from characterization.performing import Performer
from characterization.program import Program, parse
from simulator.clock import VirtualClock
from simulator.seed import Seed

SEED = Seed(7)
log = logging.getLogger("demo")


class Counter(Subject):
    """Counts in one key."""

    name = "demo.counter"
    abstractions: ClassVar = (cap("count", 2),)

    def replica(self, world: World) -> Redis:
        return world.redis()

    @operation()
    async def increment(self, redis: Redis) -> int:
        return await redis.incr("count")

    @operation()
    async def reset(self, redis: Redis) -> int:
        return await redis.delete("count")

    @law
    def it_never_counts_backwards(self, run: Run) -> None:
        """Counted is counted."""
        run.assume(run.call is not None and run.call.operation == "increment")
        assert (run.after.get("count") or 0) >= (run.before.get("count") or 0)


class DearCounter(Counter):
    """The same, looking before every increment."""

    @operation()
    async def increment(self, redis: Redis) -> int:
        await redis.get("count")
        return await redis.incr("count")


class CountsByTwo(Counter):
    """The same, counting by two."""

    @operation()
    async def increment(self, redis: Redis) -> int:
        return await redis.incr("count", 2)


class Uncapped(Counter):
    """Counts without end."""

    name = "demo.uncapped"
    abstractions: ClassVar = ()
    bounds = Bounds(states=5)


class Lease(Subject):
    """A lock that is held for ten seconds under a token, with the moment at which it was taken."""

    name = "demo.lease"
    horizons = (seconds(10),)
    keys: ClassVar = {"app:lock:{name}": "lock({name})"}

    def replica(self, world: World) -> tuple[Redis, VirtualClock]:
        return world.redis(), world.clock

    @operation(name=small("a"))
    async def acquire(self, replica: tuple[Redis, VirtualClock], name: str) -> str | None:
        redis, clock = replica
        token = secrets.token_hex(8)
        held = json.dumps({"token": token, "since": clock.now().isoformat()})
        return token if await redis.set(f"app:lock:{name}", held, nx=True, ex=10) else None

    @operation(name=small("a"))
    async def release(self, replica: tuple[Redis, VirtualClock], name: str) -> int:
        return await replica[0].delete(f"app:lock:{name}")


class Cached:
    """A set in Redis, and what this process knows of it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.known: set[str] = set()

    async def add(self, member: str) -> bool:
        if member in self.known:
            return False
        self.known.add(member)
        return bool(await self.redis.sadd("members", member))


class Members(Subject):
    """A set with a cache in each of two replicas."""

    name = "demo.members"
    replicas = 2

    def replica(self, world: World) -> Cached:
        return Cached(world.redis())

    def local(self, replica: Cached) -> Any:
        return {"known": replica.known}

    @operation(member=small("x"))
    async def add(self, cached: Cached, member: str) -> bool:
        return await cached.add(member)

    @operation()
    async def forget(self, cached: Cached) -> None:
        await cached.redis.delete("members")


class Queue(Subject):
    """A queue that refuses a third job, and tells of each that is taken."""

    name = "demo.queue"
    final = ("close",)

    async def replica(self, world: World) -> dict[str, Any]:
        return {"redis": world.redis(), "taken": world.callback("taken"), "closed": False}

    def local(self, replica: dict[str, Any]) -> Any:
        return {"closed": replica["closed"]}

    def kind(self, state: Any) -> str:
        return f"{len(state.get('jobs') or [])} jobs" + (", closed" if state.get("memory")["closed"] else "")

    @operation(job=small("j", other={"id": 2}))
    async def put(self, queue: dict[str, Any], job: object) -> int:
        if await queue["redis"].llen("jobs") >= 2:
            log.warning("queue full")
            raise OverflowError("the queue is full")
        return await queue["redis"].rpush("jobs", json.dumps(job))

    @operation()
    async def take(self, queue: dict[str, Any]) -> bytes | None:
        job = await queue["redis"].lpop("jobs")
        if job is not None:
            await queue["taken"](job)
        return job

    @operation()
    async def close(self, queue: dict[str, Any]) -> None:
        queue["closed"] = True


class Marks(Subject):
    """Looks whether a thing was marked, and then marks it: two at once may both be the first."""

    name = "demo.marks"

    def replica(self, world: World) -> Redis:
        return world.redis()

    @operation(thing=small("a"))
    async def mark(self, redis: Redis, thing: str) -> str:
        known = await redis.sismember("marked", thing)
        await redis.sadd("marked", thing)
        return "again" if known else "first"


class MarksInOneStep(Marks):
    """The same done right, with the same commands."""

    @operation(thing=small("a"))
    async def mark(self, redis: Redis, thing: str) -> str:
        await redis.sismember("marked", thing)
        return "first" if await redis.sadd("marked", thing) else "again"


class MarksMore(Marks):
    """The same with one more thing to mark, and one more operation."""

    @operation(thing=small("a", "b"))
    async def mark(self, redis: Redis, thing: str) -> str:
        return await Marks.mark(self, redis, thing)

    @operation()
    async def count(self, redis: Redis) -> int:
        return int(await redis.scard("marked"))


class Remote(Subject):
    """Keeps nothing in Redis."""

    name = "demo.remote"

    def replica(self, world: World) -> list[str]:
        return []

    def local(self, replica: list[str]) -> Any:
        return replica[:1]

    @operation()
    async def put(self, replica: list[str]) -> None:
        replica.append("put")


class Ledger(Subject):
    """Writes an entry and its time to live in one plain pipeline, and counts; a client that tries once."""

    name = "demo.ledger"
    abstractions: ClassVar = (cap("count", 1),)

    def replica(self, world: World) -> Redis:
        return world.redis(retry=Retry(NoBackoff(), 0), socket_timeout=5)

    @operation(entry=small("e"))
    async def write(self, redis: Redis, entry: str) -> None:
        async with redis.pipeline(transaction=False) as pipe:
            await pipe.sadd("entries", entry).expire("entries", 60).execute()

    @operation()
    async def count(self, redis: Redis) -> int:
        return await redis.incr("count")

    @operation()
    async def rest(self, redis: Redis) -> None:
        """Asks Redis for nothing."""


class LedgerInOneStep(Ledger):
    """The same in one step."""

    @operation(entry=small("e"))
    async def write(self, redis: Redis, entry: str) -> None:
        async with redis.pipeline(transaction=True) as pipe:
            await pipe.sadd("entries", entry).expire("entries", 60).execute()


EVERY = (Counter, Lease, Members, Queue)


def walked(kind: type[Subject], seed: Seed = SEED) -> Recording:
    """What the lenses see of a subject in this process."""
    subject = kind()
    with local_runner(subject, seed) as runner:
        walk = Walk(subject, runner, lambda _: None)
        sequence(walk)
        time(walk)
    return Recording(kind.name, walk.behaviours.values())


@contextmanager
def performing(kind: type[Subject], seed: Seed = SEED) -> Iterator[Callable[[str], Outcome]]:
    """A function that runs a program, spelled as text, of a subject in a world of its own."""
    with World(seed) as world:
        performer = Performer(kind(), world)
        yield lambda text: performer.perform(parse(text))


def performed(kind: type[Subject], text: str, seed: Seed = SEED) -> Outcome:
    """The outcome of one program."""
    with performing(kind, seed) as perform:
        return perform(text)


def raced(kind: type[Subject], *texts: str) -> Recording:
    """What the programs spelled ``texts``, which end at once, show of a subject in this process."""
    with local_runner(kind(), SEED) as runner:
        seen = runner.race([Raced(parse(text)) for text in texts], lambda _: None)
    return Recording(kind.name, [], [each.behaviour for each in seen if each is not None])


def struck(kind: type[Subject], *texts: str, seed: Seed = SEED) -> Recording:
    """What the programs spelled ``texts`` show of a subject in this process: with their faults, or with whatever may be."""
    with local_runner(kind(), seed) as runner:
        tried = [_tried(parse(text)) for text in texts]
        return Recording(kind.name, [], (), runner.fault(tried, lambda _: None))


def _tried(program: Program) -> Tried:
    return Tried(program) if program.struck is None else Tried(program.healthy, (program.struck.plan,))


def outcome(**fields: Any) -> Outcome:
    """An outcome that says nothing, but for ``fields``."""
    nothing: dict[str, Any] = {
        "answer": "None", "effects": (), "events": (), "cost": (1, 1, 10), "before": "00000000", "after": "00000000",
        "kind": "the empty world",
    }  # fmt: skip
    return Outcome(**nothing | fields)


def behaviour(text: str, subject: str = "demo", **fields: Any) -> Behaviour:
    """The behaviour of a program spelled as text."""
    return Behaviour(subject=subject, program=parse(text), outcome=outcome(**fields))


def recording(*behaviours: Behaviour, subject: str = "demo") -> Recording:
    """A recording of ``behaviours``."""
    return Recording(subject, behaviours)


def program(text: str) -> Program:
    """The program that ``text`` spells."""
    return parse(text)
