"""Programs of the random lens: one run, part by part, and the same again from its spelling."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from characterization import operation
from characterization.errors import ProgramError, SubjectError
from characterization.laws import Judge
from characterization.lenses.fault import plans_at
from characterization.performing import Performer
from characterization.program import AtOnce, Call, Crash, Move, Program, Replicas, parse
from characterization.unfolding import LENS, Unfolding, begun, parts_of, perform, tidy
from simulator.faults import FaultPlan
from simulator.gate import Step
from simulator.schedule import RandomWalk
from simulator.seed import Seed
from simulator.world import World
from tests.characterization import demo, prey


@pytest.fixture
def world() -> Iterator[World]:
    with World(Seed(3)) as world:
        yield world


def shown(world: World, subject: type[prey.Subject], text: str) -> list[str]:
    """The answers of each part."""
    program = parse(text)
    unfolding = begun(Performer(subject(), world), program)
    runs = [unfolding.take(part) for part in parts_of(program)]
    return [run.answer or " || ".join(run.answers) for run in runs]


def test_calls_at_once_follow_their_schedule_and_life_goes_on(world: World) -> None:
    text = "count ; { count || count @2 : 1 2*2 1 } ; read ; { count || read : 1*3 2*2 } ; read"
    assert shown(world, prey.LosesUpdates, text) == ["None", "None || None", "2", "None || 3", "3"]


def test_what_goes_wrong_in_a_call_is_over_behind_it(world: World) -> None:
    answers = shown(world, prey.ForgetsToForget, "come ann ! out of memory @1+ ; come ann ; leave")
    assert answers[0].startswith("raises OutOfMemoryError")
    assert answers[1:] == ["None", "None"]


def test_a_replica_that_crashes_is_another_one_in_the_next_part(world: World) -> None:
    program = parse("put cup ; put cup @2 ; crash @2 ; flush @2 ; flush")
    unfolding = begun(Performer(prey.LosesWhatItKeeps(), world), program)
    for part in parts_of(program):
        run = unfolding.take(part)
    assert run.after.get("box") == ["cup"]
    assert run.ended == ((3, 2),)
    assert [call.text for call in run.earlier] == ["put cup", "flush @2"]


def test_a_replica_that_a_fault_takes_along_is_another_one_too(world: World) -> None:
    program = parse("replicas 1 ; put cup ; flush ! crash before @1 ; flush ; put cup")
    unfolding = begun(Performer(prey.LosesWhatItKeeps(), world), program)
    answers = [unfolding.take(part).answer for part in parts_of(program)]
    assert answers == ["None", "crashed", "None", "None"]
    assert unfolding.state.get("memory") == {"kept": ["cup"]}
    assert "box" not in unfolding.state


def test_what_is_at_once_may_be_drawn_while_it_runs_and_comes_out_the_same_from_its_spelling(world: World) -> None:
    for number in range(25):
        performer = Performer(prey.ForgetsToForget(), world, 2)
        chance = Seed(number).random()

        def tempt(at: int, step: Step, chance: object = chance) -> FaultPlan | None:
            return chance.choice([None, None, *plans_at(at, step)])  # type: ignore[attr-defined]

        unfolding = Unfolding(performer)
        for text in ("come ann", "come bob @2", "leave"):
            calls = (parse(text).parts[0], parse("come ann @2").parts[0])
            unfolding.take(AtOnce(clients=tuple((call,) for call in calls)), RandomWalk(chance), tempt)  # type: ignore[misc]
            unfolding.take(calls[0], tempt=tempt)
        program, state = unfolding.program, unfolding.state
        assert parse(program.text) == program
        again = begun(performer, program)
        for part in parts_of(program):
            again.take(part)
        assert again.program == program
        assert again.state == state


def test_the_outcome_of_a_program_is_that_of_its_last_part(world: World) -> None:
    performer = Performer(prey.LosesUpdates(), world)
    outcome = perform(performer, parse("count ; { count || count @2 : 1 2*2 1 }"))
    assert outcome.answer == "None || None"
    assert outcome.effects == ("n 1 -> 2",)
    assert outcome.before != outcome.after
    assert outcome.cost[0] == 4
    plain = parse("count ; read")
    assert perform(performer, plain) == performer.perform(plain)
    assert perform(performer, Program((Replicas(1), *plain.parts))).seen == performer.perform(plain).seen


def test_a_state_is_named_as_if_there_were_no_more_processes_than_the_subject_runs(world: World) -> None:
    for text in ("replicas 1 ; put j ; close", "replicas 2 ; put j ; close", "replicas 2 ; put j ; close ; close @2"):
        assert perform(Performer(demo.Queue(), world), parse(text)).kind_after == "1 jobs, closed"
    assert perform(Performer(demo.Queue(), world), parse("replicas 2 ; close @2")).kind_after == "0 jobs"
    two = perform(Performer(demo.Members(), world), parse("replicas 3 ; add x ; add x @3"))
    assert two.kind_after == "members, memory@1, memory@2"


def test_a_schedule_or_fault_that_no_longer_fits_shows_in_the_outcome(world: World) -> None:
    performer = Performer(prey.Counting(), world)
    assert perform(performer, parse("{ count || count @2 : 1 2*2 1 }")).effects == ("+ n (string) ttl none", "n = 2")
    assert perform(performer, parse("count ; count ! dropped @4 ; read")).answer == "2"


def test_what_was_started_at_once_goes_on_in_the_background(world: World) -> None:
    text = "{ hold a || hold a @2 : 1 2 } ; { hold a || hold a @2 : 1 2 } ; clock +30s"
    assert shown(world, demo.Lease, text.replace("hold", "acquire"))[0].count("||") == 1


def test_a_law_is_told_once_where_it_is_broken_first(world: World) -> None:
    subject = prey.ForgetsToForget()
    performer = Performer(subject, world, judge=Judge(subject))
    unfolding = begun(performer, parse("replicas 1 ; read"))
    program = parse("come ann ; come ann ; leave ; come ann ! cancelled before @2 ; come bob ; come ann").parts
    broken = []
    for part in program:
        unfolding.take(part)
        broken.append(list(unfolding.broken))
    assert broken == [[], [], [], ["everything_is_forgotten_in_time"], [], []]
    (finding,) = performer.judge.findings if performer.judge is not None else ()
    assert (finding.lens, finding.holds, finding.broken) == (LENS, 2, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("replicas 2 ; count @3 ; read", None),
        ("{ count || cuont : 1 2 }", "no operation called 'cuont'"),
        ("{ count || count 7 : 1 2 }", "takes 0 arguments"),
        ("count ; crash @1 ; count =7", "takes 0 arguments"),
    ],
)
def test_what_the_subject_does_not_have_is_refused(world: World, text: str, says: str | None) -> None:
    performer = Performer(prey.Counting(), world)
    if says is None:
        assert perform(performer, parse(text)).answer == "1"
        return
    with pytest.raises((ProgramError, SubjectError), match=says):
        perform(performer, parse(text))


@pytest.mark.parametrize("part", [Call(operation="count", labels=(), replica=3), Crash(3)])
def test_a_replica_that_is_not_there_is_refused(world: World, part: Call | Crash) -> None:
    unfolding = Unfolding(Performer(prey.Counting(), world, 2))
    with pytest.raises(ProgramError, match="runs 2 replicas"):
        unfolding.take(part)


def test_how_many_replicas_there_are_is_said_first_only(world: World) -> None:
    unfolding = Unfolding(Performer(prey.Counting(), world, 2))
    with pytest.raises(ProgramError, match="said first"):
        unfolding.take(Replicas(2))


def test_how_many_replicas_there_are_is_left_out_where_it_is_clear() -> None:
    assert tidy(parse("replicas 2 ; count @2 ; crash @1")).text == "count @2 ; crash @1"
    assert tidy(parse("replicas 2 ; count @2")).text == "replicas 2 ; count @2"


def test_time_that_a_fault_takes_is_told(world: World) -> None:
    unfolding = begun(Performer(prey.Leasing(), world), parse("come ann"))
    jump = parse("come ann ! clock jump 3600s @1").parts[0]
    assert unfolding.take(jump).elapsed == 3600
    assert unfolding.take(jump).seconds == 3600
    moved = unfolding.take(Move(59.999))
    assert (moved.elapsed, moved.seconds) == (0, 59.999)


class Lingering(prey.Counting):
    """Counts in the background, once it has answered."""

    def replica(self, world: World) -> Any:
        self.tasks: set[asyncio.Task[Any]] = set()
        return super().replica(world)

    @operation()
    async def count(self, redis: Redis) -> None:
        task = asyncio.get_running_loop().create_task(redis.incr("n"))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@pytest.mark.parametrize(
    "text",
    ["count ! reset @1 ; read", "count ! refused @1 ; read", "{ count || count @2 : 1 1.0 2 2.0 ! reset @1 } ; read"],
)
def test_work_in_the_background_that_was_struck_is_waited_for(world: World, text: str) -> None:
    subject = Lingering()
    performer = Performer(subject, world, 2, judge=Judge(subject))
    unfolding = begun(performer, parse(text))
    first, second = parts_of(parse(text))
    run = unfolding.take(first)
    assert run.fault
    assert run.tasks == 0
    assert unfolding.broken == {}
    assert unfolding.take(second).before == run.after


def test_work_that_was_struck_while_its_replica_crashed_is_not_waited_for(world: World) -> None:
    unfolding = begun(Performer(Lingering(), world), parse("count"))
    assert unfolding.take(parse("count ! crash before @1").parts[0]).elapsed == 0
    assert unfolding.take(parse("read").parts[0]).answer == "0"
