"""The command on what happens at once: recorded, checked, accepted, replayed, explained and explored."""

from __future__ import annotations

import json
import shlex

import pytest

from characterization.errors import ExitCode
from tests.characterization.projects import ADDS_IN_ONE_STEP, LOOKS_AND_ADDS, Project, files

ONE, TWO = "{ add a || add a }", "{ add a || add a @2 }"
SENTENCE = "between replica 1's SISMEMBER and SADD of basket, replica 2 wrote it (SADD)"
LOST = "1 2*2 1"
"""The schedule of TWO in which both look before either adds."""


@pytest.fixture
def right(bare: Project) -> Project:
    """A project with a baseline in which nothing goes wrong at once."""
    bare.write("engine/basket.py", ADDS_IN_ONE_STEP)
    bare.pin()
    return bare


@pytest.fixture
def wrong(bare: Project) -> Project:
    """A project with a baseline in which two at once are both told that they were first."""
    bare.write("engine/basket.py", LOOKS_AND_ADDS)
    bare.pin()
    return bare


def make_worse(project: Project) -> None:
    project.write("engine/basket.py", LOOKS_AND_ADDS)


def make_better(project: Project) -> None:
    project.write("engine/basket.py", ADDS_IN_ONE_STEP)


# Recording.


def test_a_recording_writes_a_file_for_each_pair_and_the_same_bytes_whoever_looks(bare: Project) -> None:
    bare.write("engine/basket.py", LOOKS_AND_ADDS)
    first = bare.run("record", "--seed", "1")
    assert first.code == ExitCode.AS_PINNED, first.err
    assert "at once" in first.out
    assert "add, between its SISMEMBER and SADD of basket" in first.out
    once = files(bare.pinned)
    assert {name for name in once if name.startswith("race/")} == {
        "race/add-x-add.json", "race/add-x-clear.json", "race/clear-x-clear.json",
    }  # fmt: skip
    bare.baselines.remove("shop.basket")
    assert bare.run("record", "--seed", "99", "--workers", "2").code == ExitCode.AS_PINNED
    again = files(bare.pinned)
    assert {name: again[name] for name in again if name != "provenance.json"} == {
        name: once[name] for name in once if name != "provenance.json"
    }


def test_a_recording_says_in_numbers_what_it_saw_at_once(bare: Project) -> None:
    bare.write("engine/basket.py", LOOKS_AND_ADDS)
    (found,) = bare.run("record", "--json").json
    races = found["races"]
    assert races["programs"] == races["complete"] == len(bare.races())
    assert races["anomalies"] == sum(anomalies(bare).values()) == 4
    assert races["classes"] >= races["outcomes"] - races["anomalies"] > 0


def test_a_recording_may_leave_the_race_lens_out_and_then_a_check_does_too(bare: Project) -> None:
    assert bare.run("record", "--no-race").code == ExitCode.AS_PINNED
    assert not (bare.pinned / "race").exists()
    checked = bare.run("check")
    assert checked.code == ExitCode.AS_PINNED
    assert "race" not in checked.out


def test_a_service_that_asks_redis_for_nothing_is_refused_with_a_way_out(bare: Project) -> None:
    bare.write("engine/basket.py", "class Basket:\n    def __init__(self, redis): ...\n"
               "    async def add(self, item): ...\n    async def clear(self): ...\n")  # fmt: skip
    refused = bare.run("record")
    assert refused.code == ExitCode.USAGE
    assert "took a step at the gate" in refused.err
    assert "leave the race lens out with --no-race" in refused.err
    assert bare.run("record", "--no-race").code == ExitCode.AS_PINNED


def test_a_program_by_hand_that_cannot_be_read_is_refused_by_name(bare: Project) -> None:
    bare.edit("pinning.py", "    horizons =", '    litmus = ["{ add a || fly }"]\n    horizons =')
    refused = bare.run("record")
    assert refused.code == ExitCode.USAGE
    assert "BasketSubject.litmus, `{ add a || fly }`: shop.basket has no operation called 'fly'" in refused.err


# Checking.


def test_where_a_program_by_hand_begins_is_no_start_for_others(bare: Project) -> None:
    bare.edit("pinning.py", "    horizons =", '    litmus = ["add a ; add a ; { add a || clear }"]\n    horizons =')
    assert bare.run("record", "--no-fault").code == ExitCode.AS_PINNED
    assert "add a ; add a ; { add a || clear }" in bare.races()
    checked = bare.run("check")
    assert checked.code == ExitCode.AS_PINNED, checked.out


def test_a_check_says_how_many_races_are_as_pinned(wrong: Project) -> None:
    checked = wrong.run("check")
    assert checked.code == ExitCode.AS_PINNED
    assert f"as pinned, {len(wrong.idents())} transitions and {len(wrong.races())} races" in checked.out
    (result,) = wrong.run("check", "--json").json
    assert (result["raced"], result["races"]) == (len(wrong.races()), [])


def anomalies(project: Project) -> dict[str, int]:
    """How many anomalies are pinned of each program."""
    races = project.baselines.read("shop.basket").recording.races
    return {text: len(race.anomalies) for text, race in races.items() if race.anomalies}


def test_a_service_that_was_made_worse_shows_an_anomaly_that_is_accepted_by_its_name(right: Project) -> None:
    make_worse(right)
    checked = right.run("check")
    assert checked.code == ExitCode.CHANGED
    for words in ("ANOMALY APPEARED", "1 anomaly appeared (in 4 situations)", SENTENCE, f"shown by   {TWO}"):
        assert words in checked.out
    assert f"holdfast replay '{right.races()[TWO]}' --schedule '{LOST}'" in checked.out
    before = right.baselines.read("shop.basket").recording
    accepted = right.run("accept", right.races()[TWO])
    assert accepted.code == ExitCode.AS_PINNED
    assert accepted.out == f"accepted   anomaly appeared {right.races()[TWO]}   {TWO}\n"
    after = right.baselines.read("shop.basket").recording
    assert {text for text in after.races if after.races[text] != before.races[text]} == {TWO}
    assert (list(after), anomalies(right)) == (list(before), {TWO: 1})
    still = right.run("check", "--json")
    assert still.code == ExitCode.CHANGED
    assert TWO not in [each["program"] for group in still.json[0]["races"] for each in group["behaviours"]]
    assert right.run("accept", "shop.basket/race/add-x-add").code == ExitCode.AS_PINNED
    assert anomalies(right) == {ONE: 1, TWO: 1}
    assert right.run("accept", "shop.basket").code == ExitCode.AS_PINNED
    assert "as pinned" in right.run("check").out


def test_the_json_of_an_anomaly_has_its_witness_and_its_sentence(right: Project) -> None:
    make_worse(right)
    (result,) = right.run("check", "--json").json
    assert result["counts"]["anomaly appeared"] == 4
    (group,) = result["races"]
    told = {key: group[key] for key in ("kind", "operation", "between", "split", "follows")}
    assert told == {
        "kind": "anomaly appeared", "operation": "add", "between": ["add", "clear"], "split": False, "follows": False,
    }  # fmt: skip
    shortest = group["behaviours"][0]
    assert (shortest["id"], shortest["program"], shortest["before"]) == (right.races()[TWO], TWO, None)
    assert shortest["after"]["answers"] == ["'added'", "'added'"]
    assert (shortest["after"]["schedule"], shortest["after"]["sentence"]) == (LOST, SENTENCE)


def test_a_service_that_was_made_better_says_what_became_of_the_witness(wrong: Project) -> None:
    make_better(wrong)
    checked = wrong.run("check")
    assert checked.code == ExitCode.CHANGED
    for words in ("ANOMALY VANISHED", "1 anomaly vanished (in 4 situations)", "(only what some order has)"):
        assert words in checked.out
    assert "witness    its witness now ends as the order 2 1 does" in checked.out
    assert wrong.run("accept", "shop.basket").code == ExitCode.AS_PINNED
    assert wrong.run("check").code == ExitCode.AS_PINNED
    assert anomalies(wrong) == {}


def test_without_the_race_lens_a_check_looks_at_what_is_in_order_and_says_what_it_left_out(wrong: Project) -> None:
    make_better(wrong)
    checked = wrong.run("check", "--no-race")
    assert checked.code == ExitCode.AS_PINNED
    assert f"shop.basket: {len(wrong.races())} programs of the race lens were left out" in checked.out
    assert wrong.run("check").code == ExitCode.CHANGED


def test_a_budget_that_was_too_short_is_no_pass_and_names_what_was_not_run(wrong: Project) -> None:
    make_better(wrong)
    checked = wrong.run("check", "--budget", "0")
    assert checked.code == ExitCode.INCONCLUSIVE == 13
    assert f"NOT RUN    {len(wrong.races())}: there was no time left for it in the budget of 0 seconds" in checked.out
    assert ONE in checked.out
    (result,) = wrong.run("check", "--budget", "0", "--json").json
    assert {each["program"] for each in result["unrun"]} == set(wrong.races())
    assert wrong.run("check", "--budget", "-1").code == ExitCode.USAGE


def test_what_was_not_run_is_not_promoted_away(wrong: Project) -> None:
    races = wrong.races()
    wrong.edit("engine/basket.py", '"there"', '"here"')
    assert wrong.run("check", "--budget", "0").code == ExitCode.CHANGED
    assert wrong.run("accept", "shop.basket").code == ExitCode.AS_PINNED
    assert wrong.races() == races


def test_a_baseline_of_races_that_cannot_be_read_is_named(wrong: Project) -> None:
    file = wrong.pinned / "race" / "add-x-add.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 2'))
    refused = wrong.run("check")
    assert refused.code == ExitCode.USAGE
    assert f"{file} is in format 2" in refused.err


def test_two_implementations_are_compared_at_once(right: Project) -> None:
    right.write("better.py", (right.folder / "pinning.py").read_text())
    right.write("worse.py", (right.folder / "pinning.py").read_text().replace("engine.basket", "looks"))
    right.write("looks.py", LOOKS_AND_ADDS)
    compared = right.run("compare", "better:BasketSubject", "worse:BasketSubject", "--json", "--no-fault")
    assert compared.code == ExitCode.CHANGED, compared.err
    assert compared.json[0]["counts"]["anomaly appeared"] == 4
    quick = right.run("compare", "better:BasketSubject", "worse:BasketSubject", "--no-race", "--no-fault")
    assert quick.code == ExitCode.AS_PINNED, quick.out


# Looking at one.


def test_a_race_is_replayed_by_its_name(wrong: Project) -> None:
    ident = wrong.races()[TWO]
    assert "as pinned, 0 transitions and 1 race" in wrong.run("replay", ident).out
    (replayed,) = [wrong.run("replay", ident, "--json")]
    assert (replayed.code, replayed.json["raced"], replayed.json["races"]) == (ExitCode.AS_PINNED, 1, [])
    make_better(wrong)
    changed = wrong.run("replay", ident)
    assert changed.code == ExitCode.CHANGED
    assert "ANOMALY VANISHED" in changed.out


def test_one_schedule_is_replayed_to_the_letter(wrong: Project) -> None:
    ident = wrong.races()[TWO]
    replayed = wrong.run("replay", ident, "--schedule", LOST)
    assert replayed.code == ExitCode.AS_PINNED
    assert "as pinned: this anomaly is in the baseline" in replayed.out
    assert SENTENCE in replayed.out
    assert "some order has this outcome too" in wrong.run("replay", ident, "--schedule", "1*2 2*2").out
    told = wrong.run("replay", ident, "--schedule", LOST, "--json").json
    assert (told["again"], [each["outcome"]["answers"] for each in told["witnesses"]]) == (
        True, [["'added'", "'added'"]],
    )  # fmt: skip


def test_a_schedule_that_shows_what_is_not_pinned_says_so(right: Project) -> None:
    make_worse(right)
    replayed = right.run("replay", right.races()[TWO], "--schedule", LOST)
    assert replayed.code == ExitCode.CHANGED
    assert "NOT PINNED: this anomaly is not in the baseline" in replayed.out
    unknown = right.run("replay", "shop.basket: add a ; { add a || add a @3 }", "--schedule", "1*2 2*2")
    assert (unknown.code, "not pinned: there is no such program" in unknown.out) == (ExitCode.AS_PINNED, True)


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("1*3 2", "step 3"),
        ("1*2", "the schedule ends after 2 steps, and 2 would go on"),
        ("1*2 2*2 1", "the run ended after 4 of the 5 steps of the schedule"),
        ("3", "step 1"),
    ],
)
def test_a_schedule_that_no_longer_fits_is_refused_from_the_step_on(wrong: Project, schedule: str, says: str) -> None:
    refused = wrong.run("replay", wrong.races()[TWO], "--schedule", schedule)
    assert refused.code == ExitCode.USAGE == 4
    assert says in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["shop.basket: add a", "--schedule", "1"], ExitCode.USAGE, "has one schedule only: nothing in it happens at"),
        ([f"shop.basket: {ONE}", "--schedule", "1**2"], ExitCode.USAGE, "is neither a lane nor lane*count"),
        (["shop.basket: clear ; clear ; { add a || clear }"], ExitCode.NOTHING_SELECTED, "name a schedule with --sche"),
        (["shop.basket: { add a || fly }", "--schedule", "1"], ExitCode.USAGE, "has no operation called 'fly'"),
        (["shop.basket: { add a || add a ", "--schedule", "1"], ExitCode.USAGE, "does not end with the brace"),
        (["shop.basket/race/add-x-add#00000000"], ExitCode.NOTHING_SELECTED, "there is no behaviour called"),
    ],
)
def test_what_cannot_be_replayed_says_why(wrong: Project, arguments: list[str], code: ExitCode, says: str) -> None:
    refused = wrong.run("replay", *arguments)
    assert (refused.code, says in refused.err) == (code, True), refused.err


def test_without_a_baseline_a_race_is_replayed_by_a_schedule_only(bare: Project) -> None:
    bare.write("engine/basket.py", LOOKS_AND_ADDS)
    assert bare.run("replay", f"shop.basket: {TWO}").code == ExitCode.NOTHING_SELECTED
    replayed = bare.run("replay", f"shop.basket: {TWO}", "--schedule", LOST)
    assert (replayed.code, "not pinned" in replayed.out) == (ExitCode.AS_PINNED, True)


def test_what_is_pending_is_replayed_by_the_line_that_was_printed(right: Project) -> None:
    make_worse(right)
    right.edit("pinning.py", 'small("a")', 'small("a", "b")')
    checked = right.run("check")
    assert "NEW" in checked.out
    lines = [line.partition("holdfast ")[2] for line in checked.out.splitlines() if line.lstrip().startswith("again")]
    assert lines
    for line in lines:
        replayed = right.run(*shlex.split(line))
        assert replayed.code in (ExitCode.AS_PINNED, ExitCode.CHANGED), replayed.err


def test_a_race_is_explained_and_drawn(wrong: Project) -> None:
    ident, picture = wrong.races()[TWO], wrong.folder / "lanes.svg"
    explained = wrong.run("explain", ident, "--svg", str(picture))
    assert explained.code == ExitCode.AS_PINNED
    for words in ("SISMEMBER basket a", SENTENCE, f"written to {picture}"):
        assert words in explained.out
    assert picture.read_text().startswith("<svg")
    (told,) = wrong.run("explain", ident, "--json").json
    assert [each["outcome"]["serial"] for each in told["witnesses"]] == [True, True, False]
    refused = wrong.run("explain", wrong.idents()["add a"], "--svg", str(picture))
    assert (refused.code, "--svg draws what happens at once" in refused.err) == (ExitCode.USAGE, True)


def test_few_schedules_are_a_sample_and_say_so(wrong: Project) -> None:
    arguments = ["explore", "shop.basket", "add a", "add a", "add a", "--schedules", "5"]
    explored = wrong.run(*arguments)
    assert explored.code == ExitCode.AS_PINNED
    assert "sampled" in explored.out.lower()
    (told,) = wrong.run(*arguments, "--json").json
    assert told["explored"]["mode"] == "sampled"
    assert json.dumps(told) == json.dumps(wrong.run(*arguments, "--json", "--seed", "20260201").json[0])


def test_the_clock_alone_is_nothing_at_once(wrong: Project) -> None:
    refused = wrong.run("explain", "shop.basket: add a ; { clock +5s }")
    assert refused.code == ExitCode.USAGE
    assert "had no step at the gate" in refused.err
