"""Laws: their four verdicts, findings that add up in any order, and laws that are mistakes."""

from __future__ import annotations

import asyncio
import copy
import itertools
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from characterization import Run, Subject, World, law, operation, seconds, small
from characterization.errors import NotDeterministicError, SubjectError
from characterization.laws import Guarded, Judge, LawFinding, LawWitness, Verdict, check_looked, merged
from characterization.lenses.runner import Raced, Tried, local_runner
from characterization.program import parse
from characterization.recording import check_same
from characterization.state import Entry, State
from characterization.subject import Answered
from simulator.faults import FaultPlan
from tests.characterization import demo


def state(**values: Any) -> State:
    return State({word: Entry(kind="string", ttl="9s", value=value) for word, value in values.items()})


def run(program: str = "set a", **fields: Any) -> Run:
    given: dict[str, Any] = {"before": state(n=1), "after": state(n=2), "answer": "None"}
    return Run(**{**given, "program": program, **fields})


def finding(lens: str = "race", law: str = "it_holds", **fields: Any) -> LawFinding:
    return LawFinding(subject="demo", law=law, lens=lens, **fields)


def broken(program: str = "set a", said: str = "no", **fields: Any) -> LawFinding:
    return finding(broken=1, witness=LawWitness(program=program, said=said, **fields))


class Lawful(Subject):
    """Whatever it does, its laws are looked at."""

    name = "demo.lawful"

    def replica(self, world: World) -> Any:
        return world.redis()

    @operation(value=small("a", "b"))
    async def set(self, redis: Any, value: str) -> None:
        await redis.set("n", value)


class Grows(Lawful):
    """With a law of each verdict."""

    @law
    def it_grows(self, run: Run) -> None:
        """It only grows."""
        run.assume(run.before.get("n") != 7)
        if run.after.get("n") <= run.before.get("n"):
            raise AssertionError


def judge(function: Any, *runs: Run, lens: str = "sequence") -> Judge:
    kind = type("Planted", (Lawful,), {"it_holds": law(function)})
    found = Judge(kind())
    for each in runs or (run(),):
        found.observe(each, lens)
    return found


def test_a_law_holds_is_broken_or_says_nothing() -> None:
    grows = Judge(Grows())
    for before, lens in ((1, "sequence"), (3, "time"), (7, "race"), (1, "race"), (7, "fault")):
        grows.observe(run(before=state(n=before)), lens)
    assert {each.lens: (each.verdict, each.judged) for each in grows.findings} == {
        "sequence": (Verdict.HOLDS, 1), "time": (Verdict.BROKEN, 1), "race": (Verdict.HOLDS, 1),
        "fault": (Verdict.UNDECIDED, 0),
    }  # fmt: skip
    assert finding().verdict is Verdict.NOT_RUN
    witness = grows.findings[1].witness
    assert witness is not None
    assert (witness.program, witness.said) == ("set a", "raise AssertionError")
    assert grows.findings[0].reason == "It only grows."
    assert (grows.findings[0].sentence, grows.findings[0].ident) == ("it grows", "demo.lawful/law/it_grows#sequence")
    assert grows.take()
    assert grows.take() == ()


def test_a_subject_without_laws_is_not_judged() -> None:
    nobody = Judge(Lawful())
    nobody.observe(run(), "sequence")
    assert not nobody
    assert nobody.findings == ()


WITNESSES = [
    broken("set a ; set b"), broken("set b"), broken("set a"), broken("set a", "also"), finding(holds=2),
    finding(undecided=1, looked=False), broken("{ set a || set b }", schedule="1*2 2"), finding(lens="sequence", holds=1),
    broken("{ set a || set b }", schedule="1 2", serial=True), broken("{ set a || set b }", schedule="1", split=True),
    finding(law="another", holds=1), broken("set a ; { set b || clock +9s }"), broken("set a ! busy @1", retried=True),
]  # fmt: skip


@given(st.permutations(WITNESSES), st.integers(0, len(WITNESSES)), st.integers(0, len(WITNESSES)))
def test_findings_add_up_to_the_same_in_any_order_and_grouping(found: list[LawFinding], one: int, two: int) -> None:
    one, two = sorted((one, two))
    apart = merged(merged(found[:one]), merged(merged(found[one:two]), merged(found[two:])))
    assert apart == merged(found) == merged(WITNESSES)


def test_the_witness_that_is_kept_is_what_no_order_explains_then_the_shortest() -> None:
    order = ["set a", "set b", "set a ; set b", "set a ; { set b || clock +9s }"]
    kept = [merged(pair)[0].witness for pair in itertools.combinations([broken(text) for text in order], 2)]
    assert [each.program for each in kept if each] == ["set a"] * 3 + ["set b"] * 2 + ["set a ; set b"]
    marks: list[dict[str, Any]] = [{}, {"serial": True}, {"split": True}]
    for better, worse in itertools.combinations(marks, 2):
        assert (broken("set a ; set b", **better) + broken("set a", **worse)).witness == broken(
            "set a ; set b", **better
        ).witness


def test_findings_travel_between_processes() -> None:
    assert pickle.loads(pickle.dumps(merged(WITNESSES))) == merged(WITNESSES)


# Mistakes.


def raises(self: Any, run: Run) -> None:
    raise KeyError(run.program)


def returns(self: Any, run: Run) -> bool:
    return bool(run.answer)


def leaves(self: Any, run: Run) -> None:
    raise SystemExit(run.program)


def assigns(self: Any, run: Run) -> None:
    run.answer = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("mistake", "said"),
    [(raises, "raised KeyError: 'set a'"), (returns, "returned True"), (leaves, "raised SystemExit"),
     (assigns, "raised FrozenInstanceError")],
)  # fmt: skip
def test_a_law_that_gives_no_verdict_is_named(mistake: Any, said: str) -> None:
    with pytest.raises(SubjectError, match=f"demo.lawful: the law `it_holds`, judged by `set a`, {said}") as found:
        judge(mistake)
    assert "raises AssertionError where the run breaks it" in str(found.value)


CHANGES: list[Any] = [
    lambda found: found["d"].update(a=2), lambda found: found["d"].pop("a"), lambda found: found["d"].__setitem__("a", 2),
    lambda found: found["d"]["deep"].append(3), lambda found: found["l"].sort(), lambda found: found["l"].__delitem__(0),
    lambda found: found["l"][1].clear(), lambda found: found["d"].setdefault("b", 1),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_law_that_changes_the_state_is_named(change: Any) -> None:
    values = {"d": {"a": 1, "deep": [1]}, "l": [1, {"x": 2}]}

    def changes(self: Any, run: Run) -> None:
        change({word: run.after.get(word) for word in run.after.words()})

    with pytest.raises(SubjectError, match=r"the law `it_holds`, judged by `set a`, changes the state"):
        judge(changes, run(after=state(**copy.deepcopy(values))))


def test_what_a_law_is_shown_can_be_read_and_copied_like_what_it_is() -> None:
    values = {"d": {"a": 1, "deep": [1, {"x": 2}]}, "l": [1, [2]], "s": frozenset("ab")}
    seen = state(**values)
    shown = Guarded(seen)
    assert shown == seen
    assert {word: shown.get(word) for word in shown.words()} == values
    assert (shown["d"].ttl, shown.entry("l"), shown.entry("none"), shown.get("none")) == ("9s", seen["l"], None, None)
    for copied in (copy.deepcopy(shown.get("d")), copy.deepcopy({"d": shown.get("d")})["d"]):
        copied["deep"][1]["x"] = 3
    copied_list = copy.deepcopy(shown.get("l"))
    copied_list[1].append(3)
    own, own_list = copy.copy(shown.get("d")), copy.copy(shown.get("l"))
    own["a"], own_list[0] = 9, 9
    assert dict(shown.get("d")) | {"a": 1} == values["d"]
    assert seen == state(**values)


@pytest.mark.parametrize("blind", [lambda self, run: None, lambda self, run: run.assume(True)])
def test_a_law_that_looks_at_nothing_is_named(blind: Any) -> None:
    with pytest.raises(SubjectError, match=r"demo.lawful: the law `it_holds` looks at nothing"):
        check_looked(judge(blind).findings)


def test_a_law_that_looks_at_one_run_of_many_looks() -> None:
    def once(self: Any, run: Run) -> None:
        assert next(seen) or run.answer

    seen = iter([True, True, False, True])
    check_looked(judge(once, *[run()] * 4).findings)


def generates(self: Any, run: Run) -> Any:
    yield run


async def waits(self: Any, run: Run) -> None: ...


def alone(self: Any) -> None: ...


@pytest.mark.parametrize(
    ("mistake", "said"), [(generates, "judged at once"), (waits, "at once"), (alone, "takes a run")]
)
def test_a_law_that_cannot_be_called_is_refused_where_it_is_declared(mistake: Any, said: str) -> None:
    with pytest.raises(SubjectError, match=said):
        judge(mistake)


def test_a_law_that_depends_on_more_than_the_run_is_named() -> None:
    one, two = demo.recording().merged({}, laws=[finding(holds=1)]), demo.recording().merged({}, laws=[broken()])
    with pytest.raises(
        NotDeterministicError, match=r"the law `it_holds` is judged otherwise by the race lens"
    ) as found:
        check_same(one, two)
    assert "once   holds\n    again  broken, 1 times: no   (set a)" in str(found.value)
    with pytest.raises(NotDeterministicError, match=r"once   holds\n    again  not run"):
        check_same(one, demo.recording())


# What a law is given.


def test_a_run_tells_its_calls_and_what_became_of_them() -> None:
    one = run("set a ; set b @2")
    assert one.call == Answered(operation="set", labels=("b",), replica=2, client=1, answer="None")
    assert [call.text for call in one.earlier] == ["set a"]
    assert (one.failed, one.fault, one.seconds, one.tampered) == (False, "", 0.0, False)
    moved = run("set a ; clock +9s")
    assert (moved.calls, moved.call, moved.seconds) == ((), None, 9.0)
    both = run("{ set a || set b ; set a @2 || clock +9s }", answers=("None", "raises KeyError()", "waits for ever"))
    assert [(call.client, call.acknowledged, call.raised, call.in_doubt) for call in both.calls] == [
        (1, True, False, False), (2, False, True, False), (2, False, False, True),
    ]  # fmt: skip
    assert (both.call, both.failed, both.seconds) == (None, True, 9.0)


def test_a_struck_run_tells_its_fault_and_the_call_that_was_made_again() -> None:
    struck = run("set a ! reply lost @1", answers=("raises TimeoutError()", "None"), repeated=1, elapsed=0.5)
    assert [(call.in_doubt, call.again, call.acknowledged) for call in struck.calls] == [
        (True, False, False), (False, True, True),
    ]  # fmt: skip
    assert (struck.fault, struck.failed, struck.seconds, struck.tampered) == ("reply lost @1", True, 0.0, False)
    assert run("set a ! corrupt @1").tampered
    assert run("set a ! clock jump 60s @1", elapsed=60.0).seconds == 60.0  # what it began with lives for nine seconds
    assert run("set a ! clock jump 60s @1", elapsed=8.0).seconds == 0.0


# Through the lenses.


class Knows(demo.Marks):
    """Believes of its marks what is not so."""

    horizons = (seconds(9),)

    @law
    def one_is_first(self, run: Run) -> None:
        """Who is first does the work."""
        run.assume(run.calls)
        told = sum(call.answer == "'first'" for call in run.calls)
        assert told <= 1, f"{told} were first"

    @law
    def nothing_goes_on(self, run: Run) -> None:
        """What goes on is not counted."""
        assert (run.tasks_before, run.tasks) == (0, 0)


def test_every_lens_judges_and_its_witness_is_what_shows_it_again() -> None:
    with local_runner(Knows(), demo.SEED) as runner:
        runner.run([parse("mark a"), parse("mark a ; clock +9s")], lambda _: None)
        (sighting,) = runner.race([Raced(parse("{ mark a || mark a }"))], lambda _: None)
        runner.fault([Tried(parse("mark a"))], lambda _: None)
        laws = {(each.law, each.lens): each for each in runner.laws}
    assert sighting is not None
    assert {lens: each.verdict.value for (name, lens), each in laws.items() if name == "one_is_first"} == {
        "sequence": "holds", "time": "undecided", "race": "broken", "fault": "holds",
    }  # fmt: skip
    assert laws["one_is_first", "race"].witness == LawWitness(
        program="{ mark a || mark a }", schedule=sighting.behaviour.anomalies[0].schedule, said="2 were first"
    )
    assert laws["one_is_first", "race"].judged == sighting.behaviour.outcomes
    assert laws["nothing_goes_on", "race"].verdict is Verdict.HOLDS


class Follows(demo.Cached):
    """Looks what others have added, until it is closed; what looks once more at what was added outlives that."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.closed = False
        self.follower: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        if self.closed:
            raise RuntimeError("closed")
        await self.redis.smembers("members")
        self.follower = asyncio.create_task(asyncio.sleep(60))

    async def close(self) -> None:
        self.closed = True
        if self.follower is not None:
            self.follower.cancel()


class Following(demo.Members):
    """The same, with laws."""

    name = "demo.following"
    replicas = 1

    def replica(self, world: World) -> Follows:
        return Follows(world.redis())

    def local(self, replica: Follows) -> Any:
        return {"closed": replica.closed}

    @operation()
    async def follow(self, replica: Follows) -> None:
        await replica.follow()

    @operation()
    async def close(self, replica: Follows) -> None:
        await replica.close()

    @law
    def nothing_goes_on_behind_a_close(self, run: Run) -> None:
        """What goes on keeps the process from ending."""
        run.assume(any(call.operation == "close" and call.acknowledged for call in run.calls))
        assert not run.tasks, f"{run.tasks} tasks go on"

    @law
    def who_follows_begins_one_task(self, run: Run) -> None:
        """And waits for none."""
        run.assume(run.call is not None and run.call.operation == "follow" and run.call.acknowledged)
        assert (run.tasks_before, run.tasks) == (1, 2)

    @law
    def who_is_added_again_is_added_once(self, run: Run) -> None:
        """Whoever adds it."""
        run.assume([call.operation for call in run.calls] == ["add", "add"] and run.calls[1].again)
        assert run.calls[1].answer == "True", f"told {' and '.join(call.answer for call in run.calls)}"


def plan(text: str) -> FaultPlan:
    struck = parse(text).struck
    assert struck is not None
    return struck.plan


def test_a_task_that_some_schedule_leaves_behind_is_seen_although_another_shows_the_same_without() -> None:
    with local_runner(Following(), demo.SEED) as runner:
        runner.race([Raced(parse("{ close || follow }"))], lambda _: None)
        (found,) = [each for each in runner.laws if each.law == "nothing_goes_on_behind_a_close"]
    assert found.witness is not None
    assert (found.witness.said, found.witness.schedule) == ("1 tasks go on", "2 1 2")


def test_a_call_that_is_made_again_by_a_new_replica_is_judged_with_the_one_that_crashed() -> None:
    with local_runner(Following(), demo.SEED) as runner:
        runner.fault([Tried(parse("add x"), (plan("add x ! crash after @1"),))], lambda _: None)
        (found,) = [each for each in runner.laws if each.law == "who_is_added_again_is_added_once"]
    assert found.witness is not None
    assert (found.witness.program, found.witness.said) == ("add x ! crash after @1", "told crashed and False")
    assert found.witness.retried


def test_a_struck_call_tells_of_the_tasks_before_and_after_it() -> None:
    with local_runner(Following(), demo.SEED) as runner:
        runner.fault([Tried(parse("follow ; follow"), (plan("follow ! reply lost @1"),))], lambda _: None)
        (found,) = [each for each in runner.laws if each.law == "who_follows_begins_one_task"]
    assert (found.holds, found.broken) == (1, 0)


def test_a_pinned_witness_is_judged_again_and_one_that_cannot_be_followed_is_passed_over() -> None:
    program = parse("{ mark a || mark a }")
    with local_runner(Knows(), demo.SEED) as runner:
        (first,) = runner.race([Raced(program)], lambda _: None)
        lawless = (
            LawWitness(program=program.text, schedule="1 2 1 2", said=""),
            LawWitness(program="", schedule="9", said=""),
        )
        assert first is not None
        runner.race([Raced(program, first.behaviour, only_witnesses=True, lawless=lawless)], lambda _: None)
        (found,) = [each for each in runner.laws if each.law == "one_is_first" and each.lens == "race"]
    assert found.broken == 2  # once in each look
