"""simloom on the races: ``python -m benchmarks.with_simloom``, in an environment that has it; prints JSON.

Its explorer runs redis-py on its simulated loop and network, seed after seed, by its default, a random walk. Its own
Redis knows no sets, and is taught two commands. Clients connect in every run, without a handshake. Its exhaustive search
is not measured: it knows nothing of commands that commute, so that with one delay alone it takes over a thousand runs
for the deduplication with two workers.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

import simloom
from redis.asyncio import Redis

from benchmarks.races import SAMPLED, Log, Race, explore_all

PORT = 6379
RUNS_AT_ONCE = 5
QUIET: dict[str, Any] = {"protocol": 2, "lib_name": None, "lib_version": None}


class RedisWithSets(simloom.SimRedis):
    """simloom's Redis, with SADD and SISMEMBER."""

    def __init__(self) -> None:
        super().__init__()
        self._sets: dict[bytes, set[bytes]] = {}

    def stored(self, key: str | None) -> bytes | None:
        """What is under ``key``."""
        return self._store.get(key.encode()) if key else None

    def _dispatch(self, conn: Any, name: bytes, args: list[bytes]) -> bytes:
        if name not in (b"SADD", b"SISMEMBER"):
            return super()._dispatch(conn, name, args)
        key, member = args
        members = self._sets.setdefault(key, set())
        was_there = member in members
        if name == b"SADD":
            members.add(member)
        return b":%d\r\n" % (was_there if name == b"SISMEMBER" else not was_there)


def program(race: Race, log: Log) -> Callable[[simloom.World], Coroutine[Any, Any, None]]:
    """``race`` as simloom wants it."""

    async def main(world: simloom.World) -> None:
        server = RedisWithSets()
        await world.run_service(server, host="redis", port=PORT)
        clients = [Redis(host="redis", port=PORT, **QUIET) for _ in race.workers]
        work = zip(race.workers, clients, strict=True)
        log.note(await asyncio.gather(*[worker(client) for worker, client in work]), server.stored(race.key))
        for client in clients:
            await client.aclose()

    return main


def explore(race: Race, log: Log) -> str:
    """Explore ``race`` until time is up."""
    seed = 0
    while not log.is_over:
        found = simloom.explore(
            program(race, log), runs=RUNS_AT_ONCE, start_seed=seed, stop_on_failure=False, on_unhandled="record"
        )
        if found.failed:
            raise RuntimeError(found.summary())
        seed += RUNS_AT_ONCE
    return SAMPLED


def main() -> int:
    """Explore all races, and print what came of it as one line of JSON; the exit code."""
    print(json.dumps({name: asdict(explored) for name, explored in explore_all(explore).items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
