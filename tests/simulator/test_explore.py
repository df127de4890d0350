"""Exploring: a reduction has the outcomes of plain depth-first search, races are found, and what is found replays."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from redis.asyncio import Redis

from simulator.explore import (
    Certificate,
    Mode,
    NothingSeenError,
    Run,
    Search,
    Seen,
    Tree,
    preempting,
    replay,
    sample,
    shrink,
    systematic,
)
from simulator.footprint import Footprint, conflict
from simulator.race import Client, race
from simulator.schedule import DivergedError, Schedule, Scheduler, Turn
from simulator.seed import Seed
from simulator.world import World
from tests.simulator.programs import (
    Executor,
    FootprintOf,
    Outcome,
    at_the_gate,
    exact_footprint,
    interleavings,
    random_program,
)

RUNS_MAX = 100_000
BATCHES = 20
PROGRAMS_PER_BATCH = 60
INTERLEAVINGS_MAX = 150
GATE_BATCHES = 10
GATE_PROGRAMS_PER_BATCH = 30
GATE_INTERLEAVINGS_MAX = 60
GATE_SEEDS = 10_000
CAUGHT_WITHIN = 300  # programs
CAUGHT_INTERLEAVINGS_MAX = 300


def outcomes(run: Run[Outcome], mode: Mode) -> tuple[set[Outcome], int]:
    return all_of(systematic(run, mode, runs_max=RUNS_MAX))


def all_of(search: Search[Outcome]) -> tuple[set[Outcome], int]:
    found = {seen.value for seen in search}
    assert search.certificate.complete
    return found, search.certificate.classes


def on_the_executor(
    seed: int, footprint: FootprintOf = exact_footprint, interleavings_max: int = INTERLEAVINGS_MAX
) -> Run[Outcome]:
    program = random_program(seed, interleavings_max)
    return lambda scheduler: Executor(program, footprint).run(scheduler)


# The reduction against plain depth-first search.


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_reduction_has_every_outcome_that_plain_search_has(batch: int) -> None:
    for seed in range(batch * PROGRAMS_PER_BATCH, (batch + 1) * PROGRAMS_PER_BATCH):
        run = on_the_executor(seed)
        every, schedules = outcomes(run, "all")
        reduced, classes = outcomes(run, "sources")
        assert reduced == every, f"program {seed}"
        assert classes <= schedules <= INTERLEAVINGS_MAX


@pytest.mark.parametrize("batch", range(GATE_BATCHES))
def test_a_reduction_has_every_outcome_that_plain_search_has_at_the_gate(world: World, batch: int) -> None:
    first = GATE_SEEDS + batch * GATE_PROGRAMS_PER_BATCH
    for seed in range(first, first + GATE_PROGRAMS_PER_BATCH):
        run = at_the_gate(world, random_program(seed, GATE_INTERLEAVINGS_MAX))
        assert outcomes(run, "sources")[0] == outcomes(run, "all")[0], f"program {seed}"


@pytest.mark.parametrize("seed", range(0, BATCHES * PROGRAMS_PER_BATCH, 20))
def test_sleep_sets_alone_have_every_outcome_and_a_program_has_no_more_schedules_than_it_says(seed: int) -> None:
    run = on_the_executor(seed)
    every, schedules = outcomes(run, "all")
    assert outcomes(run, "sleep")[0] == every
    program = random_program(seed, INTERLEAVINGS_MAX)
    assert schedules <= interleavings(program.clients, program.replicas)


class PlainBacktracking(Tree):
    """Backtrack sets without initials: whoever raced goes first, if that is possible there and then."""

    def _reverse(self, index: int, turn: Turn, clock: int) -> None:
        node = self._nodes[index]
        if turn.lane in node.lanes:
            node.backtrack.add(turn.lane)


class Forgetful(Tree):
    """What a step took away is not tried in its place."""

    def _note_dropped(self, turns: Any) -> None:
        pass


def without_writes(commands: Any, watched: Any) -> Footprint:
    return Footprint(reads=exact_footprint(commands, watched).reads)


def keys_alone(a: Turn, b: Turn) -> bool:
    return conflict(a.footprint, b.footprint)


WRONG: dict[str, tuple[Callable[[], Tree], FootprintOf]] = {
    "plain backtrack sets": (lambda: PlainBacktracking("sources"), exact_footprint),
    "dropped steps are forgotten": (lambda: Forgetful("sources"), exact_footprint),
    "footprints without writes": (lambda: Tree("sources"), without_writes),
    "steps of one replica commute": (lambda: Tree("sources", keys_alone), exact_footprint),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_reduction_is_caught_by_the_same_comparison(wrong: str) -> None:
    tree, footprint = WRONG[wrong]

    def differs(seed: int) -> bool:
        run = on_the_executor(seed, footprint, CAUGHT_INTERLEAVINGS_MAX)
        reduced, _ = all_of(Search(run, tree(), mode=wrong, runs_max=RUNS_MAX))
        return reduced != outcomes(run, "all")[0]

    assert any(differs(seed) for seed in range(CAUGHT_WITHIN))


# Textbook races, with redis-py.

Work = Callable[[Redis], Coroutine[Any, Any, Any]]
COMPARE_AND_DELETE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"


async def check_then_act(redis: Redis) -> str:
    if await redis.sismember("seen", "m1"):
        return "duplicate"
    await redis.sadd("seen", "m1")
    return "processed"


async def add_decides(redis: Redis) -> str:
    return "processed" if await redis.sadd("seen", "m1") else "duplicate"


async def get_modify_set(redis: Redis) -> int:
    count = int(await redis.get("n") or 0) + 1
    await redis.set("n", count)
    return count


async def increment(redis: Redis) -> int:
    return int(await redis.incr("n"))


async def lease_holder(redis: Redis) -> str:
    await redis.set("lease", "A")
    for noise in range(3):
        await redis.get(f"noise:a:{noise}")
    if await redis.get("lease") == b"A":
        await redis.set("doc", "A")
    return "A"


async def lease_thief(redis: Redis) -> str | None:
    for noise in range(3):
        await redis.get(f"noise:b:{noise}")
    if await redis.get("expired") != b"1":
        return None
    await redis.set("lease", "B")
    await redis.set("doc", "B")
    return "B"


async def lease_expirer(redis: Redis) -> None:
    for noise in range(2):
        await redis.get(f"noise:c:{noise}")
    if await redis.get("lease") == b"A":
        await redis.set("expired", "1")


def locked(token: str) -> Work:
    async def work(redis: Redis) -> tuple[bool, str | None]:
        if not await redis.set("lock", token, nx=True):
            return False, None
        inside = await redis.get("lock")
        await redis.eval(COMPARE_AND_DELETE, 1, "lock", token)
        return True, None if inside is None else inside.decode()

    return work


def together(world: World, *workers: Work) -> Run[tuple[Any, ...]]:
    """Each on a replica of its own; the value is their answers and the stored document."""

    def run(scheduler: Scheduler) -> tuple[Any, ...]:
        world.restart()
        clients = [Client(_bound(work, world.redis()), replica) for replica, work in enumerate(workers, 1)]
        raced = race(world, clients, scheduler)
        doc = world.dump().get(0, {}).get(b"doc")
        return (*(answer for _, answer in raced.answers), *([doc.value] if doc else []))

    return run


def _bound(work: Work, redis: Redis) -> Callable[[], Coroutine[Any, Any, Any]]:
    return lambda: work(redis)


@pytest.mark.parametrize(("workers", "classes"), [(2, 4), (3, 21), (4, 148)])
def test_checking_before_acting_processes_twice(world: World, workers: int, classes: int) -> None:
    search = systematic(together(world, *[check_then_act] * workers))
    processed = {seen.value.count("processed") for seen in search}
    assert processed == set(range(1, workers + 1))
    assert search.certificate == Certificate(
        mode="sources", classes=classes, pruned=0, complete=True, runs_max=20_000, steps_longest=2 * workers
    )


def test_an_update_between_get_and_set_is_lost(world: World) -> None:
    assert outcomes(together(world, get_modify_set, get_modify_set), "sources")[0] == {(1, 2), (2, 1), (1, 1)}


def is_stale(value: tuple[Any, ...]) -> bool:
    return value[1] == "B" and value[-1] == b"A"


def test_a_lease_holder_that_was_slow_overwrites_the_new_one(world: World) -> None:
    run = together(world, lease_holder, lease_thief, lease_expirer)
    assert {is_stale(value) for value in outcomes(run, "sources")[0]} == {True, False}


def test_what_decides_in_one_step_has_serial_outcomes_alone(world: World) -> None:
    found, _ = outcomes(together(world, *[add_decides] * 3), "sources")
    assert {value.count("processed") for value in found} == {1}
    found, _ = outcomes(together(world, *[increment] * 3), "sources")
    assert {tuple(sorted(value)) for value in found} == {(1, 2, 3)}


def test_a_lock_that_compares_and_deletes_is_held_by_one_at_a_time(world: World) -> None:
    found, _ = outcomes(together(world, locked("a"), locked("b")), "sources")
    one, other = (True, "a"), (True, "b")
    assert found == {(one, other), (one, (False, None)), ((False, None), other)}


@pytest.mark.parametrize("seed", range(GATE_SEEDS, GATE_SEEDS + 40))
def test_every_schedule_found_replays_to_its_outcome(world: World, seed: int) -> None:
    run = at_the_gate(world, random_program(seed, GATE_INTERLEAVINGS_MAX))
    for seen in systematic(run):
        assert replay(run, Schedule.parse(seen.schedule.text)) == seen.value


# Bounds, and what is refused.


def test_a_search_that_was_not_finished_says_so(world: World) -> None:
    search = systematic(together(world, *[check_then_act] * 3), runs_max=5)
    assert len(list(search)) == 5
    assert (search.certificate.classes, search.certificate.complete) == (5, False)


def test_a_run_without_a_step_at_the_gate_is_an_error(world: World) -> None:
    async def nothing(redis: Redis) -> None:
        pass

    for explore in (systematic, lambda run: preempting(run, 2), lambda run: [sample(run, Seed(1), repr)]):
        with pytest.raises(NothingSeenError, match="the run had no step at the gate"):
            list(explore(together(world, nothing, nothing)))


def test_a_run_without_a_step_at_the_gate_is_one_of_those_that_have_some(world: World) -> None:
    closed: list[bool] = []

    async def close(redis: Redis) -> None:
        closed.append(True)

    async def work(redis: Redis) -> str:
        return "closed" if closed else str(await redis.incr("n"))

    def run(scheduler: Scheduler) -> tuple[Any, ...]:
        world.restart()
        closed.clear()
        clients = [Client(_bound(each, world.redis()), 1) for each in (close, work)]  # of one process
        return tuple(answer for _, answer in race(world, clients, scheduler).answers)

    found = [(seen.value[1], seen.schedule.text) for seen in systematic(run, "all")]
    assert found[0] == ("closed", "1 2")
    assert {answer for answer, _ in found} == {"closed", "1"}
    assert {finding.first.value[1] for finding in sample(run, Seed(1), repr).findings.values()} == {"closed", "1"}


class Fickle:
    """A run that is not the same twice: from its second time on others wait, or it ends early."""

    def __init__(self, lanes: str, then: str, steps_then: int = 9) -> None:
        self.lanes, self.then, self.steps = lanes, then, 9
        self.steps_then = steps_then

    def __call__(self, scheduler: Scheduler) -> None:
        waiting = [Turn(lane=lane, replicas=frozenset(), commands=((b"SET", b"a", b"1"),)) for lane in self.lanes]
        for _ in range(min(len(waiting), self.steps)):
            scheduler.took(waiting.pop(scheduler.choose(list(waiting))))
        self.lanes, self.steps = self.then, self.steps_then


def test_a_run_that_depends_on_something_else_is_an_error() -> None:
    with pytest.raises(DivergedError, match="after 0 steps 1 and 3 wait, where with the same choices it was 1 and 2"):
        list(systematic(Fickle("12", "13"), "all"))
    with pytest.raises(DivergedError, match="a run ended after 1 steps, where with the same choices it went on"):
        list(systematic(Fickle("123", "123", 1), "all"))
    with pytest.raises(DivergedError, match="step 1 was 2's, and with the same choices it does not wait"):
        list(preempting(Fickle("12", "13"), 0))


def test_few_preemptions_find_the_race_in_few_runs(world: World) -> None:
    run = together(world, lease_holder, lease_thief, lease_expirer)
    found = {}
    for preemptions in range(3):
        search = preempting(run, preemptions)
        stale = [is_stale(seen.value) for seen in search]
        assert search.certificate.complete
        assert search.certificate.preemptions_max == preemptions
        found[preemptions] = any(stale), len(stale)
    assert [stale for stale, _ in found.values()] == [False, True, True]
    assert found[0][1] == 6  # the orders of three workers
    assert found[1][1] < found[2][1] < 2000


def test_a_sample_says_who_found_what_and_how_much_may_be_missing(world: World) -> None:
    run = together(world, *[check_then_act] * 3)
    every, _ = outcomes(run, "sources")
    found = sample(run, Seed(1), lambda value: value, runs_max=300)
    assert set(found.findings) == every
    assert sum(finding.count for finding in found.findings.values()) == found.runs == 300
    assert sum(found.finders.values()) == len(every)
    assert found.finders["first come"] == 1
    assert set().union(*(finding.by for finding in found.findings.values())) == {
        *("first come", "random walk", "POS", "PCT 2", "PCT 3", "SURW"),
    }
    assert found.unseen < 0.02
    assert sample(run, Seed(1), lambda value: value, runs_max=2).unseen == 1
    for finding in found.findings.values():
        assert replay(run, finding.first.schedule) == finding.first.value


def test_a_sample_is_the_same_for_the_same_seed(world: World) -> None:
    run = together(world, *[check_then_act] * 3)

    def schedules(seed: int) -> list[str]:
        found = sample(run, Seed(seed), lambda value: value, runs_max=40)
        return [finding.first.schedule.text for finding in found.findings.values()]

    assert schedules(5) == schedules(5) != schedules(6)


def test_a_witness_shrinks_to_as_few_switches_as_it_needs(world: World) -> None:
    run = together(world, lease_holder, lease_thief, lease_expirer)
    found = sample(run, Seed(3), is_stale, runs_max=200)
    witness = found.findings[True].first
    short = shrink(run, witness, is_stale)
    assert is_stale(replay(run, short.schedule))
    assert short.schedule.switches == 3
    assert witness.schedule.switches > 3
    assert shrink(run, witness, is_stale, runs_max=0) == witness


def test_a_witness_keeps_the_switches_that_it_needs(world: World) -> None:
    run = together(world, check_then_act, check_then_act)
    witness = Seen(("processed", "processed"), Schedule(("1", "2", "1", "2")))
    short = shrink(run, witness, lambda value: value.count("processed") == 2)
    assert short.schedule.text in ("1 2*2 1", "2 1*2 2")
