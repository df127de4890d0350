"""Reservations of goods, on redis-py's asyncio client."""

import json
import time
import uuid

from redis.asyncio import Redis


class OutOfStockError(Exception):
    """There is nothing left to reserve."""


class Stock:
    """Goods that are counted down as they are reserved; a reservation lasts a minute."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def fill(self, good: str, pieces: int) -> None:
        await self._redis.set(f"stock:{good}", pieces)

    async def reserve(self, good: str) -> str:
        left = int(await self._redis.get(f"stock:{good}") or 0)
        if left == 0:
            raise OutOfStockError(f"no {good} left")
        await self._redis.decr(f"stock:{good}")
        reservation = str(uuid.uuid4())
        record = json.dumps({"good": good, "since": time.time()})
        await self._redis.set(f"reservation:{reservation}", record, ex=60)
        return reservation

    async def reservations(self) -> int:
        return len(await self._redis.keys("reservation:*"))
