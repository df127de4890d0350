"""Faults made by hand: services that are right when something goes wrong, each with a twin that is not.

As long as nothing goes wrong, the two show the same.

The twin carries its subject's name, so that it can be checked against its baseline.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from characterization import Subject, World, cap, drop, operation, small
from characterization.subjects.relay import SESSION_KEYS, SUPPLIER
from engine.relay.coordinator import SessionCoordinator
from engine.relay.errors import SessionStoreError
from engine.relay.store import SessionStore, StoreConfig

MARK = "redis.call('SADD', KEYS[1], ARGV[1]) return redis.call('EXPIRE', KEYS[1], 300)"
MOVE = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then redis.call('SREM', 'index:' .. old, ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SADD', 'index:' .. ARGV[2], ARGV[1])
"""


class Service(Subject):
    """A subject whose replicas are a client of Redis that tries once."""

    retries = 0

    def replica(self, world: World) -> Any:
        return world.redis(retry=Retry(NoBackoff(), self.retries), socket_timeout=5)


class Remembering(Service):
    """Remembers what was seen, for five minutes."""

    name = "drill.remembering"

    @operation(relay=small("r1"))
    async def mark(self, redis: Redis, relay: str) -> None:
        await self.remember(redis, relay)

    async def remember(self, redis: Redis, relay: str) -> None:
        await redis.eval(MARK, 1, "seen", relay)


class ExpiryLost(Remembering):
    """Sends both in one plain pipeline."""

    async def remember(self, redis: Redis, relay: str) -> None:
        async with redis.pipeline(transaction=False) as pipe:
            await pipe.sadd("seen", relay).expire("seen", 300).execute()


class Filing(Service):
    """Keeps each id in the index of its state, and in no other."""

    name = "drill.filing"

    @operation(state=small("new", "done"))
    async def file(self, redis: Redis, state: str) -> None:
        await self.move(redis, "s1", state)

    async def move(self, redis: Redis, ident: str, state: str) -> None:
        await redis.eval(MOVE, 3, "states", "index:new", "index:done", ident, state)


class OldIndexKept(Filing):
    """Leaves the old index last, and takes its failure lightly."""

    async def move(self, redis: Redis, ident: str, state: str) -> None:
        old = await redis.hget("states", ident)
        await redis.pipeline().hset("states", ident, state).sadd(f"index:{state}", ident).execute()
        if old and old.decode() != state:
            with contextlib.suppress(RedisError):
                await redis.srem(f"index:{old.decode()}", ident)


class Counting(Service):
    """Counts in a way that may be tried again: it says what the count is to be, not by how much it grows."""

    name = "drill.counting"
    abstractions = (cap("n", 2),)
    retries = 1

    @operation()
    async def count(self, redis: Redis) -> None:
        await self.add(redis)

    async def add(self, redis: Redis) -> None:
        await redis.set("n", int(await redis.get("n") or 0) + 1)


class CountedTwice(Counting):
    """Says by how much it grows; its client tries again by itself."""

    async def add(self, redis: Redis) -> None:
        await redis.incr("n")


class Locking(Service):
    """Holds a lock while it works, and releases it whatever happens."""

    name = "drill.locking"

    @operation()
    async def work(self, redis: Redis) -> str:
        if not await redis.set("lock", "mine", nx=True):
            return "busy"
        return await self.guarded(redis)

    async def guarded(self, redis: Redis) -> str:
        try:
            await redis.incr("done")
        finally:
            await asyncio.shield(redis.delete("lock"))
        return "worked"

    abstractions = (cap("done", 1),)


class LockLeftBehind(Locking):
    """Releases it unless it was cancelled."""

    async def guarded(self, redis: Redis) -> str:
        try:
            await redis.incr("done")
        except Exception:  # which a cancellation is not
            await redis.delete("lock")
            raise
        await redis.delete("lock")
        return "worked"


class Storing(Service):
    """Tells its caller what became of it."""

    name = "drill.storing"

    @operation()
    async def store(self, redis: Redis) -> None:
        await self.put(redis)

    async def put(self, redis: Redis) -> None:
        await redis.set("value", 1)


class LostError(Storing):
    """Tells its caller that all is well."""

    async def put(self, redis: Redis) -> None:
        with contextlib.suppress(RedisError):
            await redis.set("value", 1)


class Claiming(Service):
    """Says that it is claiming only once the claim is made, which the chain takes twice as once."""

    name = "drill.claiming"

    def replica(self, world: World) -> Any:
        return super().replica(world), world.callback("claim")

    @operation()
    async def claim(self, replica: Any) -> None:
        await self.proceed(*replica)

    async def proceed(self, redis: Redis, chain: Any) -> None:
        if await redis.get("state") != b"claimed":
            await chain("s1")
            await redis.set("state", "claimed")


class ClaimNeverMade(Claiming):
    """Says so first, and takes whoever said so for one who will do it."""

    async def proceed(self, redis: Redis, chain: Any) -> None:
        if await redis.set("state", "claiming", nx=True):
            await chain("s1")
            await redis.set("state", "claimed")


class CarefulStore(SessionStore):
    """A store that writes nothing where it could not look."""

    async def _stored_state(self, session_id: str) -> str | None:
        stored = await self.get(session_id)
        return None if stored is None else stored.state


class CarefulCoordinator(SessionCoordinator):
    """A coordinator that creates no session where it could not look."""

    async def _is_stored(self, session_id: str) -> bool:
        try:
            return await self._store.get(session_id) is not None
        except SessionStoreError:
            return True


class Coordinating(Service):
    """Counts the relays of a session; a session that cannot be read is not created anew."""

    name = "drill.coordinating"
    keys = SESSION_KEYS
    abstractions = (cap("main(*).relay_count", 2), drop("main(*).total_compute_units"))
    parts: Any = (CarefulStore, CarefulCoordinator)

    def replica(self, world: World) -> SessionCoordinator:
        store, coordinator = self.parts
        kept = store(super().replica(world), supplier=SUPPLIER, config=StoreConfig(), clock=world.clock)
        return coordinator(kept, supplier=SUPPLIER)

    @operation(session=small("s1"))
    async def relay(self, coordinator: SessionCoordinator, session: str) -> None:
        await coordinator.on_relay_processed(session, 5, SUPPLIER, "svc", "app", 101, 104)


class SessionReset(Coordinating):
    """The reference services: what cannot be read counts as new."""

    parts = (SessionStore, SessionCoordinator)
