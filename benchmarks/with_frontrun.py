"""frontrun on the races: ``python -m benchmarks.with_frontrun kept|new``, in an environment that has it; prints JSON.

Its exploration of asyncio tasks (DPOR, without a bound on preemptions) runs redis-py's commands on fakeredis, whose
clients are given one fixed ``host``: by host and port it tells whether two clients are on one server. Nothing that costs
time is switched on: no replay of what it found, and redis-py sends no handshake. ``kept``: the clients' connections are
open before it begins, and survive every run, which is quickest. With more than two workers it then gives runs up as
deadlocked that are not, and calls its search inconclusive. ``new``: clients connect anew in every run.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

import frontrun
from fakeredis import FakeAsyncRedis, FakeServer

from benchmarks.races import EXHAUSTED, INCONCLUSIVE, OUT_OF_TIME, PATIENCE_S, Log, Race, Work, explore_all

State = list[str]
QUIET: dict[str, Any] = {"host": "127.0.0.1", "protocol": 2, "lib_name": None, "lib_version": None}


class Bench:
    """A race's server and clients, and the state of each run, which is the list of answers."""

    def __init__(self, race: Race, *, kept: bool) -> None:
        self.race = race
        self.kept = kept
        self.server = FakeServer()
        self.clients = self._new_clients()

    def _new_clients(self) -> list[FakeAsyncRedis]:
        return [FakeAsyncRedis(server=self.server, **QUIET) for _ in self.race.workers]

    async def connect(self) -> None:
        """Open all connections."""
        for client in self.clients:
            await client.ping()

    def set_up(self) -> State:
        """Begin a run."""
        with self.server.lock:
            for database in self.server.dbs.values():
                database.clear()
        if not self.kept:
            self.clients = self._new_clients()
        return [""] * len(self.race.workers)

    def worker(self, number: int, work: Work) -> Callable[[State], Coroutine[Any, Any, None]]:
        """One of the race's workers as frontrun wants it."""

        async def worker(answers: State) -> None:
            answers[number] = await work(self.clients[number])

        return worker

    def stored(self) -> bytes | None:
        """What is under the race's key."""
        item = self.server.dbs[0].get(self.race.key.encode()) if self.race.key else None
        return None if item is None else item.value


async def explore(race: Race, log: Log, *, kept: bool) -> str:
    """Explore ``race`` once."""
    bench = Bench(race, kept=kept)
    await bench.connect()

    def note(answers: State) -> bool:
        log.note(answers, bench.stored())
        return True

    result = await frontrun.explore(
        setup=bench.set_up,
        workers=[bench.worker(number, work) for number, work in enumerate(race.workers)],
        invariant=note,
        preemption_bound=None,
        stop_on_first=False,
        reproduce_on_failure=0,
        total_timeout=PATIENCE_S,
    )
    log.given_up = result.num_explored - log.runs
    if log.is_over:
        return OUT_OF_TIME
    return EXHAUSTED if result.property_holds else INCONCLUSIVE


def main(mode: str) -> int:
    """Explore all races, and print what came of it as one line of JSON; the exit code."""
    with asyncio.Runner() as runner:
        every = explore_all(lambda race, log: runner.run(explore(race, log, kept=mode == "kept")))
    print(json.dumps({name: asdict(explored) for name, explored in every.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
