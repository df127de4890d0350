"""Scripts that touch keys which they did not declare: a step's footprint is widened by what the script called in fact."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from redis.asyncio import Redis

from simulator.explore import Mode, systematic
from simulator.fake import FakeBackend
from simulator.footprint import footprint_of
from simulator.gate import Gate, Request
from simulator.race import Client, race
from simulator.schedule import Scheduler
from simulator.seed import Seed
from simulator.world import World
from tests.conftest import SEED

Work = Callable[[Redis], Coroutine[Any, Any, Any]]
BATCHES = 4
PROGRAMS_PER_BATCH = 10
CAUGHT_WITHIN = 50  # programs


class Telling(Gate):
    """A gate that counts what a script called among what its step touched."""

    def step(self, index: int = 0) -> None:
        door = self.parked[index]
        request = door.inbox[0]
        super().step(index)
        assert isinstance(self.backend, FakeBackend)
        if self.backend.scripted:
            commands = tuple(self.backend.scripted)
            self.touched.append((None if door.roams else door.database, Request(lane=request.lane, commands=commands)))
            self.backend.scripted.clear()


class Believing(Gate):
    """A gate that takes a script's word for its keys."""

    def step(self, index: int = 0) -> None:
        super().step(index)
        assert isinstance(self.backend, FakeBackend)
        self.backend.scripted.clear()
        self.touched.clear()


def outcomes(gate: type[Gate], mode: Mode, *works: Work) -> tuple[set[Any], int]:
    """What ``works`` can answer and leave behind, a replica each, and in how many runs that was found."""
    with World(SEED) as world:
        world.gate = gate(world.backend)

        def run(scheduler: Scheduler) -> Any:
            world.restart()
            clients = [Client(functools.partial(work, world.redis()), replica) for replica, work in enumerate(works, 1)]
            return race(world, clients, scheduler).answers, repr(sorted(world.dump().get(0, {}).items()))

        search = systematic(run, mode)
        found = {seen.value for seen in search}
        assert search.certificate.complete
        return found, search.certificate.classes


def script(source: str, *keys_and_arguments: str, keys: int) -> Work:
    async def work(redis: Redis) -> Any:
        return await redis.eval(source, keys, *keys_and_arguments)

    return work


def twice(source: str) -> Work:
    async def work(redis: Redis) -> Any:
        return str([await redis.eval(source, 1, "mine") for _ in range(2)])

    return work


def in_a_transaction(source: str) -> Work:
    async def work(redis: Redis) -> Any:
        async with redis.pipeline(transaction=True) as pipeline:
            pipeline.eval(source, 1, "mine")
            pipeline.set("own", 1)
            return str(await pipeline.execute())

    return work


def plainly(*commands: str) -> Work:
    async def work(redis: Redis) -> Any:
        return str([await redis.execute_command(*command.split()) for command in commands])

    return work


READS = "return redis.call('GET', 'shared' .. ARGV[1])"
WRITES = "redis.call('SET', 'shared', KEYS[1]) return 1"
BY_WHAT_IT_READS = "local name = redis.call('GET', 'pointer') or 'here' redis.pcall('INCR', name) return name"
DRAWS = "return math.random(1000000)"

UNDECLARED: dict[str, tuple[Work, ...]] = {
    "a script reads what another client writes": (
        script(READS, "mine", "", keys=1),
        plainly("SET shared 1", "GET other"),
    ),
    "two scripts write the same": (script(WRITES, "a", keys=1), script(WRITES, "b", keys=1)),
    "what a script touches depends on what it reads": (
        script(BY_WHAT_IT_READS, "mine", keys=1),
        plainly("SET pointer there", "GET here", "GET there"),
    ),
    "a script looks twice": (twice("return redis.call('GET', 'shared')"), plainly("INCR shared", "INCR shared")),
    "a script in a transaction": (in_a_transaction(WRITES), plainly("GET shared")),
    "two scripts draw": (script(DRAWS, "a", keys=1), script(DRAWS, "b", keys=1)),
}


@pytest.mark.parametrize("name", UNDECLARED)
def test_a_reduction_has_every_outcome_although_scripts_touch_what_they_did_not_declare(name: str) -> None:
    every, _ = outcomes(Telling, "all", *UNDECLARED[name])
    assert outcomes(Telling, "sources", *UNDECLARED[name])[0] == every
    assert outcomes(Telling, "sleep", *UNDECLARED[name])[0] == every


@pytest.mark.parametrize("name", UNDECLARED)
def test_a_reduction_that_takes_their_word_for_it_misses_some(name: str) -> None:
    every, _ = outcomes(Telling, "all", *UNDECLARED[name])
    assert len(every) > 1
    assert outcomes(Believing, "sources", *UNDECLARED[name])[0] < every


# What a script touches depends on what it finds: random ones, against plain depth-first search.

LOOKS_AND_WRITES = """
local found = redis.call('GET', ARGV[1])
if found == ARGV[2] then redis.call('SET', ARGV[3], ARGV[4]) elseif found then redis.call('APPEND', ARGV[4], 'x') end
return found
"""


def at_random(chance: random.Random) -> Work:
    arguments = [[chance.choice("abc") for _ in range(4)] for _ in range(2)]

    async def work(redis: Redis) -> Any:
        return str([await redis.eval(LOOKS_AND_WRITES, 1, "declared", *each) for each in arguments])

    async def plain(redis: Redis) -> Any:
        return str([await redis.set(each[0], each[1]) for each in arguments])

    return chance.choice([work, work, plain])


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_reduction_has_every_outcome_of_random_scripts(batch: int) -> None:
    for number in range(PROGRAMS_PER_BATCH):
        chance = Seed(batch * PROGRAMS_PER_BATCH + number).random()
        works = [at_random(chance) for _ in range(chance.choice([2, 2, 3]))]
        every, schedules = outcomes(Telling, "all", *works)
        reduced, classes = outcomes(Telling, "sources", *works)
        assert reduced == every, f"program {number} of batch {batch}"
        assert classes <= schedules


def test_random_scripts_are_caught_where_their_word_is_taken() -> None:
    def missed(number: int) -> bool:
        chance = Seed(number).random()
        works = [at_random(chance) for _ in range(2)]
        return outcomes(Believing, "sources", *works)[0] < outcomes(Telling, "all", *works)[0]

    assert any(missed(number) for number in range(CAUGHT_WITHIN))


def test_scripts_that_keep_to_what_they_declared_still_commute() -> None:
    increments = "redis.call('SET', KEYS[1], 1) return redis.call('INCR', KEYS[1])"
    works = [script(increments, key, keys=1) for key in "ab"]
    assert outcomes(Telling, "sources", *works)[1] == 1
    assert outcomes(Telling, "all", *works)[1] > 1


def test_a_function_tells_what_it_calls_too(world: World) -> None:
    backend = FakeBackend()
    session = backend.open(0, 2)
    source = (
        "#!lua name=mine\nredis.register_function('f', function(k) math.random() return redis.pcall('GET', 'x') end)"
    )
    session.execute((b"FUNCTION", b"LOAD", source.encode()))
    session.execute((b"FCALL", b"f", b"1", b"k"))
    assert backend.scripted == [(b"MATH.RANDOM",), (b"GET", b"x")]
    assert footprint_of(tuple(backend.scripted)).reads == {(0, b"x")}


def test_what_a_script_called_is_told_as_a_server_would_have_got_it(world: World) -> None:
    backend = FakeBackend()
    session = backend.open(0, 2)
    session.execute(
        (b"EVAL", b"redis.call('set', 'a', 1.5) redis.pcall('NONESUCH') return redis.pcall('GET', {})", b"0")
    )
    assert backend.scripted == [(b"set", b"a", b"1.5"), (b"NONESUCH",)]
    backend.restart(0)
    assert backend.scripted == []


def test_what_is_no_script_tells_nothing(world: World) -> None:
    async def work() -> None:
        await world.redis().set("a", 1)

    world.perform(work()).result()
    assert isinstance(world.backend, FakeBackend)
    assert world.backend.scripted == []


def test_a_server_that_does_not_tell_says_so(servers: World, backend_name: str) -> None:
    async def work() -> Any:
        return await servers.redis().eval("return redis.call('GET', 'a')", 0)

    assert servers.perform(work()).result() is None
    backend: Any = servers.backend
    assert backend.sees_scripts == (backend_name == "fakeredis")
    if not backend.sees_scripts:
        assert backend.scripted == []
