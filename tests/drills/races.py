"""Races made by hand: seven services that are right, each with a twin that shows the same as long as nobody else is there.

The twin carries its subject's name, so that it can be checked against its baseline.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.exceptions import WatchError

from characterization import Subject, World, cap, operation, small

MOVE = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then redis.call('SREM', 'index:' .. old, ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SADD', 'index:' .. ARGV[2], ARGV[1])
"""
UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Service(Subject):
    """A subject whose replicas are nothing but a client of Redis."""

    def replica(self, world: World) -> Redis:
        return world.redis()


class Marking(Service):
    """Counts each relay once."""

    name = "drill.marking"

    @operation(relay=small("r1"))
    async def mark(self, redis: Redis, relay: str) -> str:
        return "first" if await self.add(redis, relay) else "again"

    async def add(self, redis: Redis, relay: str) -> bool:
        return bool(await redis.sadd("seen", relay))


class CheckThenAct(Marking):
    """Looks first, and marks what was not there."""

    async def add(self, redis: Redis, relay: str) -> bool:
        if await redis.sismember("seen", relay):
            return False
        await redis.sadd("seen", relay)
        return True


class Counting(Service):
    """Counts."""

    name = "drill.counting"
    abstractions = (cap("n", 2),)

    @operation()
    async def count(self, redis: Redis) -> None:
        await self.add(redis)

    async def add(self, redis: Redis) -> None:
        await redis.incr("n")

    @operation()
    async def forget(self, redis: Redis) -> None:
        await redis.delete("n")


class LostUpdate(Counting):
    """Reads, adds one, and writes."""

    async def add(self, redis: Redis) -> None:
        await redis.set("n", int(await redis.get("n") or 0) + 1)


class Filing(Service):
    """Keeps each id in the index of its state, and in no other."""

    name = "drill.filing"

    @operation(state=small("new", "done"))
    async def file(self, redis: Redis, state: str) -> None:
        await self.move(redis, "s1", state)

    async def move(self, redis: Redis, ident: str, state: str) -> None:
        await redis.eval(MOVE, 3, "states", "index:new", "index:done", ident, state)


class DoubleIndex(Filing):
    """Looks up the old state before it moves the id."""

    async def move(self, redis: Redis, ident: str, state: str) -> None:
        old = await redis.hget("states", ident)
        async with redis.pipeline(transaction=True) as pipe:
            if old:
                pipe.srem(f"index:{old.decode()}", ident)
            pipe.hset("states", ident, state)
            pipe.sadd(f"index:{state}", ident)
            await pipe.execute()


class Locking(Service):
    """A lock that expires, sooner for one owner than for the other, and that only its owner releases."""

    name = "drill.locking"
    horizons = (10, 60)
    litmus = ("acquire a ; { release a || acquire b @2 || clock +10.001s }",)

    @operation(owner=small("a", "b"))
    async def acquire(self, redis: Redis, owner: str) -> bool:
        return bool(await redis.set("lock", owner, nx=True, ex=10 if owner == "a" else 60))

    @operation(owner=small("a", "b"))
    async def release(self, redis: Redis, owner: str) -> bool:
        return await self.drop(redis, owner)

    async def drop(self, redis: Redis, owner: str) -> bool:
        return bool(await redis.eval(UNLOCK, 1, "lock", owner))


class ReleasedByAStranger(Locking):
    """Looks whose lock it is, then deletes it."""

    async def drop(self, redis: Redis, owner: str) -> bool:
        return await redis.get("lock") == owner.encode() and bool(await redis.delete("lock"))


class Paying(Service):
    """Moves money from one account to another."""

    name = "drill.paying"

    @operation()
    async def open(self, redis: Redis) -> None:
        await redis.mset({"mine": 10, "yours": 10})

    @operation()
    async def pay(self, redis: Redis) -> None:
        await self.transfer(redis)

    async def transfer(self, redis: Redis) -> None:
        async with redis.pipeline(transaction=True) as pipe:
            await pipe.setrange("mine", 0, "09").setrange("yours", 0, "11").execute()

    @operation()
    async def total(self, redis: Redis) -> int:
        return sum(int(amount or 0) for amount in await redis.mget("mine", "yours"))


class SplitMulti(Paying):
    """Takes the money in one transaction, and gives it in the next."""

    async def transfer(self, redis: Redis) -> None:
        async with redis.pipeline(transaction=True) as pipe:
            await pipe.setrange("mine", 0, "09").execute()
        async with redis.pipeline(transaction=True) as pipe:
            await pipe.setrange("yours", 0, "11").execute()


class Raising(Service):
    """Raises a price, however many do so at once."""

    name = "drill.raising"

    @operation()
    async def raise_price(self, redis: Redis) -> None:
        async with redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    await self.begin(pipe)
                    price = int(await pipe.get("price") or 0)
                    pipe.multi()
                    pipe.set("price", min(price + 1, 3))
                    await pipe.execute()
                except WatchError:
                    continue
                return

    async def begin(self, pipe: Any) -> None:
        await pipe.watch("price")


class WatchForgotten(Raising):
    """Watches another key than the one that it reads."""

    async def begin(self, pipe: Any) -> None:
        await pipe.watch("prize")


class Naming(Service):
    """Keeps a name and its address together."""

    name = "drill.naming"
    together = True

    @operation(name=small("ann", "bob"))
    async def store(self, redis: Redis, name: str) -> None:
        async with redis.pipeline(transaction=self.together) as pipe:
            await pipe.set("name", name).set("address", f"{name}.example").execute()

    @operation()
    async def read(self, redis: Redis) -> list[Any]:
        return list(await redis.mget("name", "address"))


class PipelineTakenForAtomic(Naming):
    """Sends both in one plain pipeline."""

    together = False
