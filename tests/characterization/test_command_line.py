"""The command: what it does, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from pathlib import Path

import pytest

from characterization import command_line
from characterization.command_line import main, run
from characterization.errors import ExitCode, HoldfastError
from simulator.errors import BackendError
from tests.characterization.projects import Project, files

FIRST = "add a"


def test_the_first_recording_is_the_baseline_and_the_second_is_as_pinned(bare: Project) -> None:
    first = bare.run("record")
    assert first.code == ExitCode.AS_PINNED
    assert "first baseline written to" in first.out
    before = files(bare.pinned)
    second = bare.run("record", "shop", "--seed", "99", "--workers", "2")
    assert (second.code, "as pinned" in second.out) == (ExitCode.AS_PINNED, True)
    assert files(bare.pinned) == before
    assert json.loads(before["provenance.json"])["target"] == "pinning:BasketSubject"


def test_check_says_as_pinned_and_writes_nothing(project: Project) -> None:
    before = files(project.folder)
    checked = project.run("check")
    assert checked.code == ExitCode.AS_PINNED
    assert "shop.basket" in checked.out
    assert "as pinned" in checked.out
    assert files(project.folder) == before


def test_check_with_several_workers_says_the_same(project: Project) -> None:
    project.change_the_answer()
    checked = project.run("check", "--workers", "2")
    assert checked.code == ExitCode.CHANGED
    assert project.idents()[FIRST] in checked.out


def test_check_shows_a_change_and_leaves_it_for_a_decision(project: Project) -> None:
    before = files(project.pinned)
    project.change_the_answer()
    checked = project.run("check")
    assert checked.code == ExitCode.CHANGED
    for words in ("'added'", "'put'", FIRST, project.idents()[FIRST], "holdfast accept shop.basket"):
        assert words in checked.out
    assert files(project.pinned) == before
    assert (project.folder / ".holdfast" / ".gitignore").read_text() == "*\n"


def test_check_writes_no_tracked_file(project: Project) -> None:
    project.git("init")
    project.git("add", ".")
    project.git("commit", "-m", "one")
    project.change_the_answer()
    project.git("commit", "-am", "two")
    assert project.run("check").code == ExitCode.CHANGED
    project.git("diff", "--exit-code")
    project.git("add", ".")
    project.git("diff", "--cached", "--exit-code")


def test_what_costs_more_and_shows_the_same_has_a_softer_exit_code(project: Project) -> None:
    project.change_the_cost()
    checked = project.run("check")
    assert checked.code == ExitCode.COST_ONLY == 11
    assert "COST" in checked.out
    assert project.run("accept", "shop.basket").code == ExitCode.AS_PINNED
    assert project.run("check").code == ExitCode.AS_PINNED


def test_of_several_subjects_the_gravest_code_counts(bare: Project) -> None:
    bare.edit("pyproject.toml", '"shop.basket"', '"shop.dear" = "pinning:Dear"\n"shop.basket"')
    bare.write("pinning.py", (bare.folder / "pinning.py").read_text() + DEAR)
    bare.pin()
    dear = bare.baselines.read("shop.basket").recording
    bare.baselines.write("shop.dear", command_line.Baseline(recording=renamed(dear, "shop.dear")), {})
    bare.change_the_answer()
    for command, workers in (("check", "1"), ("record", "2")):
        done = bare.run(command, "--workers", workers, "--json")
        assert done.code == ExitCode.CHANGED, done.err
        assert {each["subject"] for each in done.json} == {"shop.dear", "shop.basket"}


DEAR = """

class Dear(BasketSubject):
    \"\"\"The same at another price.\"\"\"

    name = "shop.dear"

    @operation(item=small("a"))
    async def add(self, basket, item):
        await basket.redis.get("x")
        await basket.add(item)
        return "added"
"""


def renamed(recording: command_line.Recording, name: str) -> command_line.Recording:
    """The same of another subject."""
    behaviours = [
        command_line.Behaviour(subject=name, program=each.program, outcome=each.outcome) for each in recording
    ]
    return command_line.Recording(name, behaviours)


# Accepting.


def test_a_whole_subject_is_accepted(project: Project) -> None:
    project.change_the_answer()
    counts = project.run("check", "--json").json[0]["counts"]
    accepted = project.run("accept", "shop.basket")
    assert accepted.code == ExitCode.AS_PINNED
    assert accepted.out.count("accepted") == sum(counts.values()) > counts["response"] > 1
    assert project.run("check").code == ExitCode.AS_PINNED
    assert project.run("accept", "shop.basket").code == ExitCode.NOTHING_SELECTED


def test_one_behaviour_is_accepted_and_the_rest_stays_pending(project: Project) -> None:
    project.change_the_answer()
    changed = project.run("check", "--json").json[0]["counts"]["response"]
    accepted = project.run("accept", project.idents()[FIRST], "--json")
    assert accepted.json == [{"id": project.idents()[FIRST], "kind": "response"}]
    assert project.baselines.read("shop.basket").recording[FIRST].outcome.answer == "'put'"
    again = project.run("check", "--json")
    assert (again.code, again.json[0]["counts"]["response"]) == (ExitCode.CHANGED, changed - 1)
    assert project.run("accept", "shop.basket/sequence/add").out.count("accepted") < changed
    assert project.run("accept", "*/time/*", "shop.basket/race").code == ExitCode.AS_PINNED
    assert project.run("check").code == ExitCode.AS_PINNED


@pytest.mark.parametrize("asked", ["shop.basket/sequence", "shop.basket/sequence/add", "shop.*/sequence/add#*"])
def test_several_are_accepted_by_their_beginning_or_by_a_pattern(project: Project, asked: str) -> None:
    project.change_the_answer()
    project.run("check")
    promoted = project.run("accept", asked, "--json").json
    assert len(promoted) > 1
    assert all("/sequence/add#" in each["id"] for each in promoted)


def test_a_part_of_a_name_is_not_a_name(project: Project) -> None:
    project.change_the_answer()
    project.run("check")
    before = files(project.pinned)
    for asked in ("shop", "shop.basket/seq", "shop.basket/sequence/ad", "shop.basket/sequence/add#00"):
        refused = project.run("accept", asked)
        assert refused.code == ExitCode.NOTHING_SELECTED
        assert f"nothing pending is called {asked}: `holdfast check` shows what is pending" in refused.err
    assert files(project.pinned) == before


def test_accepting_promotes_what_was_shown_even_if_the_code_has_changed_since(project: Project) -> None:
    project.change_the_answer()
    project.run("check")
    project.edit("engine/basket.py", '"put"', '"thrown"')
    project.run("accept", "shop.basket")
    assert project.baselines.read("shop.basket").recording[FIRST].outcome.answer == "'put'"
    checked = project.run("check")
    assert checked.code == ExitCode.CHANGED
    assert "'thrown'" in checked.out


def test_accepting_runs_nothing(project: Project) -> None:
    project.change_the_answer()
    project.run("check")
    project.write("pinning.py", "raise RuntimeError('nobody runs this')")
    assert project.run("accept", "shop.basket").code == ExitCode.AS_PINNED


def test_what_is_pinned_again_is_not_pending_any_more(project: Project) -> None:
    project.change_the_answer()
    project.run("check")
    project.edit("engine/basket.py", '"put"', '"added"')
    assert project.run("check").code == ExitCode.AS_PINNED
    refused = project.run("accept", "shop.basket")
    assert (refused.code, project.run("check").code) == (ExitCode.NOTHING_SELECTED, ExitCode.AS_PINNED)


def test_behaviours_that_are_gone_are_accepted_like_any_other(project: Project) -> None:
    project.edit("pinning.py", "    @operation()\n    async def clear", "    async def clear")
    checked = project.run("check", "--json")
    gone = [
        each["id"] for group in checked.json[0]["groups"] if group["kind"] == "gone" for each in group["behaviours"]
    ]
    assert checked.code == ExitCode.CHANGED
    assert project.idents()["clear"] in gone
    project.run("accept", project.idents()["clear"])
    assert "clear" not in project.idents()
    assert "add a ; clear" in project.idents()
    project.run("accept", "shop.basket")
    assert not [text for text in project.idents() if "clear" in text]
    assert project.run("check").code == ExitCode.AS_PINNED


def test_new_behaviours_are_seen_and_accepted(project: Project) -> None:
    project.edit("pinning.py", 'small("a")', 'small("a", "b")')
    checked = project.run("check")
    assert checked.code == ExitCode.CHANGED
    assert "NEW" in checked.out
    project.run("accept", "shop.basket")
    assert "add b" in project.idents()


# Looking at one behaviour.


def test_a_behaviour_is_explained_with_every_command(project: Project) -> None:
    ident = project.idents()["add a ; add a"]
    explained = project.run("explain", ident)
    assert explained.code == ExitCode.AS_PINNED
    for words in ("SADD basket a", "EXPIRE basket 60", ident):
        assert words in explained.out
    parts = project.run("explain", ident, "--json").json["parts"]
    assert [each["part"] for each in parts] == ["add a", "add a"]
    assert [step["commands"] for step in parts[1]["steps"]] == [["SADD basket a"], ["EXPIRE basket 60"]]


def test_a_behaviour_is_replayed_by_its_name_or_spelled_by_hand(project: Project) -> None:
    ident = project.idents()["add a ; clear"]
    for asked in (ident, "shop.basket: add a ; clear", "pinning:BasketSubject: add a;clear"):
        replayed = project.run("replay", asked)
        assert replayed.code == ExitCode.AS_PINNED, replayed.err
        assert "as pinned" in replayed.out
        assert "answer   1" in replayed.out
    project.edit("engine/basket.py", "return await self.redis.delete", "await self.redis.delete")
    changed = project.run("replay", ident, "--json")
    assert changed.code == ExitCode.CHANGED
    assert (changed.json["id"], changed.json["answer"], changed.json["compared"]["counts"]["response"]) == (
        ident,
        "None",
        1,
    )


def test_what_is_pending_can_be_replayed_by_the_name_that_was_shown(project: Project) -> None:
    project.edit("pinning.py", 'small("a")', 'small("a", "b")')
    shown = re.findall(r"shop\.basket/sequence/add#\w+", project.run("check").out)
    replayed = project.run("replay", shown[0])
    assert replayed.code == ExitCode.AS_PINNED
    assert "not pinned" in replayed.out


def test_a_program_that_is_not_pinned_is_run_all_the_same(project: Project) -> None:
    replayed = project.run("replay", "shop.basket: clear ; clear ; clear")
    assert (replayed.code, "not pinned" in replayed.out) == (ExitCode.AS_PINNED, True)
    assert project.run("replay", "shop.basket: clear ; clear ; clear", "--json").json["compared"] is None


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        ("shop.basket/sequence/add#000000", 5, "there is no behaviour called shop.basket/sequence/add#000000"),
        ("nothing", 5, "there is no behaviour called nothing"),
        ("nothing: add a", 4, "there is no subject called 'nothing'. The project in"),
        ("shop.basket: fly", 4, "has no operation called 'fly'; it has add, clear"),
        ("shop.basket: add z", 4, "add has no item called 'z'; it has a"),
        ("shop.basket: add", 4, "add takes 1 arguments, `add` has 0"),
        ("shop.basket: add a @2", 4, "runs 1 replicas"),
        ("shop.basket:   ", 4, "the program is empty"),
        ("shop.basket: add 'a", 4, "cannot be read as a call"),
        ("shop.basket: clock 5", 4, "they are spelled `clock +300s`"),
    ],
)
@pytest.mark.parametrize("command", ["explain", "replay"])
def test_a_behaviour_that_is_not_there_is_named(
    project: Project, command: str, asked: str, code: int, says: str
) -> None:
    refused = project.run(command, asked)
    assert refused.code == code
    assert says in refused.err
    assert "Traceback" not in refused.err


# Graphs and lists.


def test_the_graph_is_shown_as_text_picture_and_json(project: Project) -> None:
    text = project.run("graph", "shop.basket")
    assert text.code == ExitCode.AS_PINNED
    assert "add a" in text.out
    picture = project.folder / "graph.svg"
    assert project.run("graph", "shop.basket", "--svg", str(picture)).out == f"written to {picture}\n"
    assert picture.read_text().startswith(("<?xml", "<svg"))
    rows = project.run("graph", "shop.basket", "--json").json
    assert {row["id"] for row in rows} == set(project.idents().values())


def test_a_graph_is_held_against_another_one(project: Project) -> None:
    project.pinned.parent.rename(project.folder / "older")
    project.edit("pinning.py", 'small("a")', 'small("a", "b")')
    project.pin()
    shown = project.run("graph", "shop.basket", "--against", "older")
    assert shown.code == ExitCode.AS_PINNED
    assert "add b" in shown.out


def test_a_graph_of_what_is_pending_alone(project: Project) -> None:
    project.change_the_answer()
    project.run("check")
    project.baselines.remove("shop.basket")
    assert "'put'" in project.run("graph", "shop.basket", "--json").out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nothing"], 4, "there is no subject called 'nothing'"),
        (["shop.basket", "--against", "nowhere"], 1, "shop.basket has no baseline in nowhere"),
        (["shop.basket", "--svg", "pyproject.toml/x.svg"], 4, "x.svg cannot be written"),
    ],
)
def test_a_graph_that_cannot_be_shown_says_why(project: Project, arguments: list[str], code: int, says: str) -> None:
    refused = project.run("graph", *arguments)
    assert (refused.code, says in refused.err) == (code, True), refused.err


def test_subjects_are_listed_with_their_operations_and_laws(bare: Project) -> None:
    bare.edit("pinning.py", "import Subject,", "import Subject, law,")
    bare.edit("pinning.py", "    @operation(item", "    @law\n    def it_holds(self, run): ...\n\n    @operation(item")
    bare.write(
        "plain.py", (bare.folder / "pinning.py").read_text().replace('    """What somebody is about to buy."""\n', "")
    )
    bare.edit("pyproject.toml", '"shop.basket"', '"shop.plain" = "plain:BasketSubject"\n"shop.basket"')
    listed = bare.run("subjects")
    assert listed.code == ExitCode.AS_PINNED
    for words in ("What somebody is about to buy.", "add, clear", "law: it holds", "shop.plain"):
        assert words in listed.out
    rows = bare.run("subjects", "--json").json
    assert [(row["name"], row["operations"]) for row in rows] == [
        ("shop.plain", ["add", "clear"]), ("shop.basket", ["add", "clear"]),
    ]  # fmt: skip


# Comparing.


def test_two_implementations_are_compared(bare: Project) -> None:
    bare.write("pinning.py", (bare.folder / "pinning.py").read_text() + DEAR)
    compared = bare.run("compare", "pinning:BasketSubject", "pinning:Dear", "--json", "--no-fault")
    assert compared.code == ExitCode.COST_ONLY, compared.err
    assert compared.json[0]["subject"] == "shop.dear"


def test_a_revision_is_compared_with_the_working_tree(bare: Project) -> None:
    bare.git("init")
    bare.git("add", ".")
    bare.git("commit", "-m", "one")
    bare.change_the_answer()
    bare.edit("pinning.py", 'small("a")', 'small("a", "b")')
    bare.git("commit", "-am", "two")
    here = files(bare.folder)
    changed = bare.run("compare", "--base", "HEAD~1", "shop.basket")
    assert changed.code == ExitCode.CHANGED, changed.err
    for words in ("'added'", "'put'", FIRST, "NEW"):
        assert words in changed.out
    assert {path: text for path, text in files(bare.folder).items() if not path.startswith(".git")} == {
        path: text for path, text in here.items() if not path.startswith(".git")
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--base", "nowhere", "shop.basket"], "there is no such revision"),
        (["--base", "--help", "shop.basket"], "there is no such revision"),
        (["shop.basket"], "name two subjects, `holdfast compare OLD NEW`, or a revision with --base"),
        (["a", "b", "c"], "name two subjects"),
        ([], "Missing argument"),
    ],
)
def test_a_comparison_that_cannot_be_made_says_why(bare: Project, arguments: list[str], says: str) -> None:
    bare.git("init")
    bare.git("add", ".")
    bare.git("commit", "-m", "one")
    refused = bare.run("compare", *arguments)
    assert (refused.code, says in refused.err) == (ExitCode.USAGE, True), refused.err


# Asked for what cannot be.


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fly"], "No such command 'fly'"),
        (["check", "nothing"], "there is no subject called 'nothing'. The project in"),
        (
            ["check", "nothing:Here"],
            "the subject nothing:Here cannot be imported: ModuleNotFoundError: No module named 'nothing'",
        ),
        (["check", "pinning:Basket"], "pinning:Basket is not a subject: 'Basket' must be a class derived from Subject"),
        (["check", "pinning:Nobody"], "pinning:Nobody is not a subject"),
        (["check", "--workers", "0"], "0 is not in the range x>=1"),
        (["check", "--seed", "x"], "'x' is not a valid integer"),
        (["check", "--redis", "nonsense"], "that is no address of a Redis"),
        (["check", "--redis", "redis://127.0.0.1:1/0"], "no Redis can be used at 127.0.0.1:1"),
        (["record", "--redis", "redis://127.0.0.1:1/0"], "no Redis can be used at 127.0.0.1:1"),
        (["check", "--nothing"], "No such option"),
        (["accept"], "Missing argument"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_one_message(
    project: Project, arguments: list[str], says: str
) -> None:
    before = files(project.folder)
    refused = project.run(*arguments, *(["--workers", "1"] if arguments[0] == "fly" else []))
    assert refused.code == ExitCode.USAGE == 4
    assert says in refused.err
    assert "Traceback" not in refused.err
    assert files(project.folder) == before


def test_without_a_baseline_check_fails_and_says_how_to_record_one(bare: Project) -> None:
    refused = bare.run("check")
    assert refused.code == ExitCode.CHANGED
    assert "shop.basket has no baseline in" in refused.err
    assert "holdfast record shop.basket" in refused.err


def test_without_a_project_and_a_subject_nothing_is_selected(bare: Project) -> None:
    bare.write("pyproject.toml", "")
    refused = bare.run("check")
    assert refused.code == ExitCode.NOTHING_SELECTED
    assert "no subject was named" in refused.err
    assert "holdfast record myapp.pinning:Basket" in refused.err


def test_a_pyproject_that_cannot_be_read_is_named(bare: Project) -> None:
    bare.write("pyproject.toml", "[tool")
    refused = bare.run("check")
    assert (refused.code, "pyproject.toml cannot be read" in refused.err) == (ExitCode.USAGE, True)


def test_a_subject_without_an_entry_in_the_project_is_found_again_by_what_was_recorded(bare: Project) -> None:
    bare.write("pyproject.toml", "")
    assert bare.run("record", "pinning:BasketSubject").code == ExitCode.AS_PINNED
    idents = {
        each.program.text: each.ident
        for each in command_line.Baselines(bare.folder / "holdfast").read("shop.basket").recording
    }
    replayed = bare.run("replay", idents[FIRST])
    assert (replayed.code, "as pinned" in replayed.out) == (ExitCode.AS_PINNED, True), replayed.err


def test_another_folder_of_baselines(project: Project) -> None:
    project.pinned.parent.rename(project.folder / "elsewhere")
    assert project.run("check", "--baselines", "elsewhere").code == ExitCode.AS_PINNED


@pytest.mark.parametrize("command", ["record", "accept"])
def test_a_folder_that_cannot_be_written_is_found_out_before_the_work(project: Project, command: str) -> None:
    project.change_the_answer()
    project.run("check")
    refused = project.run(command, "shop.basket", "--baselines", "pyproject.toml/beneath")
    assert refused.code == ExitCode.USAGE
    assert "cannot be written" in refused.err
    assert "name another folder with --baselines" in refused.err


@pytest.mark.parametrize(
    ("path", "old", "new", "says"),
    [
        ("graph.txt", "holdfast graph 1", "holdfast graph 2", "graph.txt is in format 2"),
        ("graph.txt", "end\n", "", "graph.txt was cut short"),
        ("graph.txt", "add a |", "<<<<<<< ours\nadd a |", "graph.txt:4 holds the marks of an unfinished merge"),
        ("graph.txt", "add a |", "add a", "graph.txt:4 cannot be read as"),
        ("graph.txt", "holdfast", "nonsense", "graph.txt is not a baseline"),
        ("cost.json", "{", "", "cost.json cannot be read"),
        ("cost.json", "{", "{\n=======", "cost.json:2 holds the marks of an unfinished merge"),
    ],
)
@pytest.mark.parametrize("command", ["check", "graph"])
def test_a_baseline_that_cannot_be_read_is_named_and_left_as_it_is(
    project: Project, command: str, path: str, old: str, new: str, says: str
) -> None:
    file = project.pinned / path
    file.write_text(file.read_text().replace(old, new, 1))
    before = files(project.folder)
    refused = project.run(command, "shop.basket")
    assert refused.code == ExitCode.USAGE
    assert says in refused.err
    assert str(file) in refused.err
    assert files(project.folder) == before


ENDLESS = (
    "        return await self.redis.delete",
    '        await self.redis.incr("total")\n        return await self.redis.delete',
)


def test_a_space_without_end_says_what_to_write_and_that_makes_it_end(bare: Project) -> None:
    bare.edit("engine/basket.py", *ENDLESS)
    bare.edit("pinning.py", "import Subject,", "import Subject, Bounds, cap, drop, few,")
    bare.edit("pinning.py", "    horizons =", "    bounds = Bounds(states=6)\n    horizons =")
    refused = bare.run("record")
    assert refused.code == ExitCode.USAGE
    assert "What grows is total" in refused.err
    proposal = next(line.strip() for line in refused.err.splitlines() if "abstractions = " in line)
    assert 'cap("total", 2)' in proposal
    bare.edit("pinning.py", "bounds = Bounds(states=6)", f"bounds = Bounds(states=60)\n    {proposal}")
    assert bare.run("record").code == ExitCode.AS_PINNED


def test_a_space_that_lost_its_end_is_no_pass(project: Project) -> None:
    project.edit("pinning.py", "import Subject,", "import Subject, Bounds,")
    project.edit("pinning.py", "    horizons =", "    bounds = Bounds(states=1)\n    horizons =")
    checked = project.run("check")
    assert checked.code == ExitCode.INCONCLUSIVE == 13
    assert "has more than 1 states" in checked.out


def test_horizons_that_are_no_time_are_refused(bare: Project) -> None:
    bare.edit("pinning.py", "seconds(60)", "seconds(0)")
    refused = bare.run("record")
    assert (refused.code, "horizons are positive numbers" in refused.err) == (ExitCode.USAGE, True)


# Ended from outside, or by a bug.


def test_an_interruption_is_no_result(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "look_again", interrupted)
    assert project.run("check").code == ExitCode.INTERRUPTED == 2


def test_a_bug_of_ours_is_told_from_a_change_of_behaviour(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(command_line, "look_again", broken)
    failed = project.run("check")
    assert failed.code == ExitCode.INTERNAL == 3
    assert "this is a bug in holdfast; seen in `holdfast check --workers 1`" in failed.err
    assert "ZeroDivisionError: ours" in failed.err


@pytest.mark.parametrize(("error", "code"), [(HoldfastError("no"), 4), (BackendError("no"), 4)])
def test_what_a_user_can_mend_is_one_message(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(command_line, "look_again", failing)
    failed = project.run("check")
    assert (failed.code, failed.err) == (code, "holdfast: no\n")


def test_the_console_script_exits_with_the_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["holdfast", "--version"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("holdfast ")


def test_help_names_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(
        name in said for name in ("record", "check", "compare", "explain", "replay", "graph", "accept", "subjects")
    )


WAITING = """
import os, pathlib
pathlib.Path("started").touch()
with open("go") as fifo:
    fifo.read()
"""


def held(project: Project) -> None:
    """Let the subject wait, once it is imported, until somebody opens the fifo."""
    os.mkfifo(project.folder / "go")
    project.edit("pinning.py", "\nfrom characterization import", WAITING + "\nfrom characterization import")


def wait_for(path: Path) -> None:
    """Return when there is such a file."""
    seen = threading.Event()
    for _ in range(3000):
        if path.exists():
            return
        seen.wait(0.01)
    pytest.fail(f"{path} never came")


def test_a_recording_that_is_killed_half_way_loses_nothing_and_two_at_once_is_one_too_many(project: Project) -> None:
    before = files(project.pinned)
    held(project)
    first = project.start("record", "--workers", "1")
    wait_for(project.folder / "started")
    second = project.start("record", "--workers", "1")
    out, err = second.communicate(timeout=60)
    assert second.returncode == ExitCode.USAGE
    assert re.fullmatch(
        r"holdfast: another holdfast is writing to \S+pinned: wait for it to end, then try again\n", err
    )
    assert "Traceback" not in out
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert files(project.pinned) == before
    project.edit("pinning.py", WAITING, "")
    assert project.run("check").code == ExitCode.AS_PINNED
    assert project.run("record", "--no-fault").code == ExitCode.AS_PINNED


def test_a_worker_process_that_dies_is_named(project: Project) -> None:
    before = files(project.pinned)
    project.edit("engine/basket.py", '        return "added"', "        import os\n        os._exit(7)")
    refused = project.run("check", "--workers", "2")
    assert refused.code == ExitCode.USAGE, refused.err
    assert "a worker process ended while it ran pinning:BasketSubject" in refused.err
    assert "With --workers 1 it runs here, where the reason can be seen" in refused.err
    assert files(project.pinned) == before


def test_a_service_that_exits_is_not_taken_for_as_pinned(project: Project) -> None:
    project.edit("engine/basket.py", '        return "added"', "        raise SystemExit(0)")
    for workers in ("1", "2"):
        refused = project.run("check", "--workers", workers)
        assert (refused.code, "the service ends its process (exit 0)" in refused.err) == (ExitCode.USAGE, True), (
            refused.err
        )


def test_a_module_that_exits_is_not_taken_for_as_pinned(project: Project) -> None:
    project.edit("pinning.py", "\nfrom characterization", "\nraise SystemExit(0)\nfrom characterization")
    refused = project.run("check")
    assert refused.code == ExitCode.USAGE
    assert "cannot be imported: SystemExit: 0" in refused.err


@pytest.mark.parametrize("address", ["redis://us:secret@127.0.0.1:1/0", "redis://:secret@127.0.0.1:1/0"])
def test_a_password_is_not_shown(address: str, project: Project) -> None:
    checked = project.run("check", "--redis", address)
    assert checked.code == ExitCode.USAGE
    assert "***@127.0.0.1:1/0" in checked.out
    assert "secret" not in checked.out + checked.err
