"""State machines made from subjects: what they find, what they say of it, and what they leave out."""

from __future__ import annotations

import shlex
import threading
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from characterization import state_machine
from characterization.command_line import run
from characterization.draws import KINDS
from characterization.errors import SubjectError
from characterization.machine import Drawn, Earlier, SubjectMachine, again
from characterization.profiles import PROFILES, VARIABLE, current
from characterization.program import AtOnce, Crash, Move, Struck
from characterization.subject import Subject
from tests.characterization import demo, prey

CI = settings(PROFILES["ci"], print_blob=False)
SHORTEST: dict[type[Subject], str] = {
    prey.LosesUpdates: "{ count || count : 1 2*2 1*2 2 }",
    prey.ForgetsToForget: "replicas 2 ; come ann ! dropped @2, refused @3+",
    prey.LosesWhatItKeeps: "put cup ; crash @1",
    prey.TakesPlainNames: "call '=\"\\x80\"'",
}


def tried(machine: type[SubjectMachine], profile: settings = CI) -> str:
    """What a machine fails with; empty: it passes."""
    try:
        run_state_machine_as_test(machine, settings=profile)
    except AssertionError as broken:
        return str(broken)
    return ""


@pytest.mark.parametrize("subject", SHORTEST)
def test_a_planted_defect_is_found_and_shrinks_to_the_shortest_program(subject: type[Subject]) -> None:
    lines = tried(state_machine(subject)).splitlines()
    (law, reason) = next(iter(subject.laws().items()))
    assert lines[0] == f"{subject.name}: {law.replace('_', ' ')}"
    assert lines[1].strip() == reason
    assert lines[3].split(None, 1) == ["program", SHORTEST[subject]]


@pytest.mark.parametrize("subject", prey.HEALTHY)
def test_a_healthy_subject_passes(subject: type[Subject]) -> None:
    assert tried(state_machine(subject)) == ""


def test_every_planted_defect_has_a_healthy_twin() -> None:
    assert {subject.__mro__[1] for subject in SHORTEST} == set(prey.HEALTHY)


@pytest.mark.parametrize("subject", SHORTEST)
def test_the_printed_line_runs_it_again(subject: type[Subject], capsys: pytest.CaptureFixture[str]) -> None:
    line = tried(state_machine(subject)).splitlines()[-1].removeprefix("again: ")
    assert line == again(subject, SHORTEST[subject])
    holdfast, *arguments = shlex.split(line)
    assert holdfast == "holdfast"
    assert run(arguments) == 0
    (law,) = subject.laws()
    assert f"BROKEN: {law.replace('_', ' ')}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("subject", "without"),
    [(prey.LosesUpdates, "concurrent"), (prey.ForgetsToForget, "faults"), (prey.LosesWhatItKeeps, "faults"),
     (prey.TakesPlainNames, "laws")],
)  # fmt: skip
def test_what_is_switched_off_is_not_tried(subject: type[Subject], without: str) -> None:
    options: dict[str, Any] = {without: False}
    assert tried(state_machine(subject, **options)) == ""


class Noting(SubjectMachine):
    """Remembers what it did."""

    runs: list[list[Any]]

    def __init__(self) -> None:
        super().__init__()
        self.runs.append([self])

    def take(self, part: Any, scheduler: Any = None, tempt: Any = None) -> None:
        super().take(part, scheduler, tempt)
        self.runs[-1].append(self.unfolding.program.parts[-1])


def noted(subject: type[Subject], **options: Any) -> list[list[Any]]:
    """The runs of a machine, each with the machine first and then the parts that it took."""
    made = state_machine(subject, **options)
    noting = type("Noted", (Noting, made), {"runs": []})
    assert tried(noting) == ""
    return list(noting.runs)


def test_some_operations_and_faults_are_left_out_of_each_run_and_all_are_in_some() -> None:
    runs = noted(prey.Leasing)
    names = set(prey.Leasing.operations())
    left_out = [machine.left_out for machine, *_ in runs]
    assert set().union(*left_out) == names
    assert all(out < names for out in left_out)
    assert {kind for machine, *_ in runs for kind in machine.kinds_out} == set(KINDS)
    for machine, *parts in runs:
        calls = [call for part in parts for call in getattr(part, "calls", (part,)) if hasattr(call, "operation")]
        assert not {call.operation for call in calls} & machine.left_out
        plans = [part.plan for part in parts if isinstance(part, Struck)]
        assert not {fault.kind for plan in plans for fault in plan.faults[:1]} & machine.kinds_out


def test_a_run_has_calls_at_once_faults_crashes_and_time_on_every_replica() -> None:
    runs = noted(prey.Leasing)
    kinds = {type(part) for _, *parts in runs for part in parts}
    assert {AtOnce, Struck, Crash, Move} <= kinds
    together = [part for _, *parts in runs for part in parts if isinstance(part, AtOnce)]
    assert {len(part.clients) for part in together} == {2, 3}
    assert any(part.moves for part in together)
    assert any(part.plan is not None for part in together)
    assert {call.replica for part in together for call in part.calls} == {1, 2}


def test_a_subject_without_horizons_has_no_time_to_pass() -> None:
    assert not any(isinstance(part, Move) for _, *parts in noted(prey.Counting) for part in parts)


def test_there_are_as_many_replicas_as_asked_for_and_never_fewer_than_the_subject_runs() -> None:
    def homes(subject: type[Subject], replicas: int) -> set[int]:
        runs = noted(subject, replicas=replicas, faults=False, concurrent=False, laws=False)
        return {part.replica for _, *parts in runs for part in parts if hasattr(part, "replica")}

    assert homes(prey.Counting, 1) == {1}
    assert homes(prey.Counting, 3) == {1, 2, 3}
    assert homes(demo.Members, 1) == {1, 2}


def test_a_value_that_was_drawn_before_comes_again() -> None:
    labels = [part.labels[0] for _, *parts in noted(prey.Naming) for part in parts if hasattr(part, "labels")]
    wide = [label for label in labels if label.startswith("=")]
    assert len(set(wide)) > 1
    assert "ann" in labels


def test_an_earlier_value_is_the_first_of_the_few_where_there_is_none() -> None:
    machine = state_machine(prey.Naming)()
    try:
        assert machine.named(Drawn("call", 1, (Earlier(2),))).labels == ("ann",)
        assert machine.named(Drawn("call", 1, ("=7",))).labels == ("=7",)
        assert machine.named(Drawn("call", 2, (Earlier(2),))).text == "call =7 @2"
    finally:
        machine.teardown()


def test_what_was_drawn_is_shown_as_it_is_spelled() -> None:
    assert repr(Drawn("call", 2, ("ann", Earlier(1)))) == "call ann earlier(1) @2"


def test_the_world_is_left_also_where_the_service_cannot_be_started() -> None:
    class Unborn(prey.Counting):
        def replica(self, world: Any) -> Any:
            raise RuntimeError("not today")

    with pytest.raises(SubjectError, match="replica raised RuntimeError: not today"):
        run_state_machine_as_test(state_machine(Unborn), settings=CI)
    assert tried(state_machine(prey.Counting)) == ""  # which enters a world of its own


def test_an_operation_that_breaks_the_rules_of_a_world_is_named_with_its_program() -> None:
    class Threaded(prey.Counting):
        @prey.operation()
        async def read(self, redis: Any) -> int:
            await redis.get("n")
            threading.Thread(target=print).start()
            return 1

    with pytest.raises(SubjectError, match=r"prey\.counting, in `.*read.*`"):
        run_state_machine_as_test(state_machine(Threaded), settings=settings(CI, report_multiple_bugs=False))


def test_a_machine_runs_under_the_profile_that_the_environment_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("CI", raising=False)
    assert current() == PROFILES["dev"]
    monkeypatch.setenv("CI", "true")
    assert current() == PROFILES["ci"]
    monkeypatch.setenv(VARIABLE, "nightly")
    assert state_machine(prey.Counting).TestCase.settings == PROFILES["nightly"]
    monkeypatch.setenv(VARIABLE, "sometimes")
    with pytest.raises(SubjectError, match="the profiles are ci, dev, nightly"):
        current()


def test_in_ci_the_same_is_tried_every_time_and_nothing_is_kept() -> None:
    assert PROFILES["ci"].derandomize
    assert PROFILES["ci"].database is None
    assert not PROFILES["nightly"].derandomize
    first, second = ([[part.text for part in parts] for _, *parts in noted(prey.Counting)] for _ in range(2))
    assert first == second


def test_a_subclass_has_rules_of_its_own_beside() -> None:
    made = state_machine(prey.Counting)

    class Mine(made):  # type: ignore[misc, valid-type]
        seen: list[str] = []  # noqa: RUF012

        def teardown(self) -> None:
            self.seen.append(self.unfolding.program.text)
            super().teardown()

    case = Mine.TestCase
    case.settings = settings(CI, max_examples=5)
    case("runTest").runTest()
    assert len(Mine.seen) >= 5
