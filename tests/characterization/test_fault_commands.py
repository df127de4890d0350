"""The fault lens from the command line: recorded, checked, compared, replayed, explained, accepted; and as pytest items."""

from __future__ import annotations

from typing import Any

import pytest

from characterization.errors import ExitCode
from tests.characterization.projects import Project, files

EXPIRE = '        await self.redis.expire("basket", 60)\n'
SUPPRESSED = """
        try:
            await self.redis.expire("basket", 60)
        except Exception:
            pass
"""
QUICK = ("--no-race",)


@pytest.fixture
def struck(project: Project) -> Project:
    project.pin(faults=True)
    return project


def make_worse(project: Project) -> None:
    project.edit("engine/basket.py", EXPIRE, SUPPRESSED.lstrip("\n"))


def test_a_recording_writes_a_file_for_each_operation_and_the_same_bytes_whoever_looks(bare: Project) -> None:
    first = bare.run("record", *QUICK, "--seed", "1")
    assert first.code == ExitCode.AS_PINNED, first.err
    assert "under faults" in first.out
    assert "left behind" in first.out
    assert [path.name for path in sorted((bare.pinned / "fault").iterdir())] == ["add.json", "clear.json"]
    before = files(bare.pinned / "fault")
    for path in (bare.pinned / "fault").iterdir():
        path.unlink()
    (bare.pinned / "fault").rmdir()
    (bare.pinned / "graph.txt").unlink()
    for path in list(bare.pinned.iterdir()):
        path.unlink()
    bare.pinned.rmdir()
    assert bare.run("record", *QUICK, "--seed", "99", "--workers", "2").code == ExitCode.AS_PINNED
    assert files(bare.pinned / "fault") == before


def test_the_lens_can_be_left_out(bare: Project) -> None:
    found = bare.run("record", *QUICK, "--no-fault", "--json").json
    assert found[0]["faults"]["programs"] == 0
    assert not (bare.pinned / "fault").exists()
    assert bare.run("check", *QUICK).code == ExitCode.AS_PINNED, "where nothing is pinned of it, nothing is missed"


def test_a_check_says_what_got_worse_and_how_to_see_it(struck: Project) -> None:
    assert struck.run("check", *QUICK).code == ExitCode.AS_PINNED
    make_worse(struck)
    quick = struck.run("check", *QUICK, "--no-fault")
    assert quick.code == ExitCode.AS_PINNED, quick.out
    assert "programs of the fault lens were left out" in quick.out
    assert quick.out.splitlines()[-1] == "shop.basket    as pinned, 14 transitions", "of the faults nothing is known"
    checked = struck.run("check", *QUICK)
    said = " ".join(checked.out.split())
    assert checked.code == ExitCode.CHANGED
    assert "add, at its EXPIRE basket" in said
    assert "WORSE: healed by retry -> left behind" in said
    assert "the caller is told it succeeded, but half of it is done" not in said
    assert "the caller is told it succeeded, and half of it is done: + basket (set) ttl none, basket +a" in said
    assert "holdfast replay shop.basket/fault/add#" in said.replace("'", "")


def test_json_has_every_fault_that_turned(struck: Project) -> None:
    make_worse(struck)
    (found,) = struck.run("check", *QUICK, "--json").json
    assert found["turns"]["worse"] > 0
    assert found["faulted"] > 0
    worse = next(group for group in found["faults"] if group["turn"] == "worse")
    assert worse["operation"] == "add"
    before, after = worse["behaviours"][0]["before"], worse["behaviours"][0]["after"]
    assert (before["ending"], after["ending"]) == ("healed by retry", "left behind")


def test_one_fault_is_accepted_and_the_rest_stays_pending(struck: Project) -> None:
    make_worse(struck)
    found = struck.run("check", *QUICK, "--json").json[0]["faults"]
    idents = [each["after"]["id"] for group in found for each in group["behaviours"] if each["after"]]
    accepted = struck.run("accept", idents[0])
    assert accepted.code == ExitCode.AS_PINNED, accepted.err
    left = struck.run("check", *QUICK, "--json").json[0]["faults"]
    assert len([each for group in left for each in group["behaviours"]]) == len(idents) - 1
    assert struck.run("accept", "shop.basket/fault").code == ExitCode.AS_PINNED
    assert struck.run("check", *QUICK).code == ExitCode.AS_PINNED


def replayed(project: Project, *arguments: str) -> Any:
    return project.run("replay", *arguments)


def test_one_fault_is_replayed_by_its_name_or_its_program(struck: Project) -> None:
    program = "add a ! busy @2"
    ident = struck.baselines.read("shop.basket").recording.faults[program].ident
    for asked in (ident, f"shop.basket: {program}"):
        again = replayed(struck, asked)
        assert again.code == ExitCode.AS_PINNED, again.err
        assert "the caller is told it failed, but half of it is done" in " ".join(again.out.split())
        assert "as pinned" in again.out
    assert replayed(struck, ident, "--json").json["step"] == "EXPIRE basket"
    make_worse(struck)
    assert replayed(struck, ident).code == ExitCode.CHANGED


def test_a_fault_that_is_not_pinned_is_shown_all_the_same(project: Project) -> None:
    shown = replayed(project, "shop.basket: add a ! reset @1, busy @2")
    assert shown.code == ExitCode.AS_PINNED, shown.err
    assert "not pinned" in shown.out
    assert replayed(project, "shop.basket: add a ! busy @1", "--json").json["compared"] is None


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("add a ! bsy @1", "'bsy @1' is no fault"),
        ("add a ! dropped @1", "`dropped @1` cannot strike"),
        ("add a ! busy @9", "`busy @9` found nothing to strike: the call takes 2 steps if nothing goes wrong"),
        ("ad a ! busy @1", "has no operation called 'ad'"),
    ],
)
@pytest.mark.parametrize("command", ["replay", "explain"])
def test_what_cannot_be_struck_is_refused_with_the_reason(
    project: Project, command: str, program: str, why: str
) -> None:
    refused = project.run(command, f"shop.basket: {program}")
    assert refused.code == ExitCode.USAGE
    assert why in refused.err
    assert "Traceback" not in refused.err


def test_an_explanation_has_every_step_with_the_struck_one_marked_and_what_healed_it(project: Project) -> None:
    told = project.run("explain", "shop.basket: add a ! busy @2")
    said = " ".join(told.out.split())
    assert told.code == ExitCode.AS_PINNED, told.err
    assert "! HERE: busy @2 EXPIRE basket 60 -> ResponseError" in said
    assert "add a again SADD basket a -> 0 EXPIRE basket 60 -> True" in said or "add a again" in said
    crashed = project.run("explain", "shop.basket: add a ! crash after @1")
    assert "a new replica is started" in crashed.out
    acts = project.run("explain", "shop.basket: add a ! busy @2", "--json").json["acts"]
    assert [act["text"] for act in acts] == ["add a ! busy @2", "add a again"]


def test_two_implementations_are_compared_when_something_goes_wrong(bare: Project) -> None:
    bare.write("older.py", (bare.folder / "pinning.py").read_text())
    bare.write("worse.py", (bare.folder / "pinning.py").read_text().replace("engine.basket", "careless"))
    careless = (bare.folder / "engine" / "basket.py").read_text().replace(EXPIRE, SUPPRESSED.lstrip("\n"))
    bare.write("careless.py", careless)
    compared = bare.run("compare", "older:BasketSubject", "worse:BasketSubject", *QUICK)
    assert compared.code == ExitCode.CHANGED, compared.err
    assert "WORSE" in compared.out
    better = bare.run("compare", "worse:BasketSubject", "older:BasketSubject", *QUICK)
    assert "BETTER" in better.out


def test_a_new_call_is_new_under_faults_too(struck: Project) -> None:
    struck.edit("pinning.py", 'small("a")', 'small("a", "b")')
    (found,) = struck.run("check", *QUICK, "--json").json
    kinds = {each["kind"] for each in found["faults"]}
    assert "new" in kinds


def test_what_no_longer_strikes_is_gone(struck: Project) -> None:
    struck.edit("engine/basket.py", EXPIRE, "")
    (found,) = struck.run("check", *QUICK, "--json").json
    gone = [each["before"]["program"] for group in found["faults"] for each in group["behaviours"] if not each["after"]]
    assert any("@2" in program for program in gone)


STUBBORN = """while True:
            try:
                {}
            except BaseException:
                pass
"""
IMPORTING = "import asyncio\n\n\nclass B"


@pytest.mark.parametrize("raising", ["return await self.redis.delete('basket')", "await asyncio.sleep(1)"])
def test_a_service_that_catches_whatever_there_is_ends_with_a_message_and_ends(bare: Project, raising: str) -> None:
    for old, new in [('return await self.redis.delete("basket")', STUBBORN.format(raising)), ("class B", IMPORTING)]:
        bare.edit("engine/basket.py", old, new)
    with bare.start("record", *QUICK, "--workers", "1") as started:  # to its very end, where coroutines are collected
        _, err = started.communicate(timeout=120)
    assert started.returncode == ExitCode.USAGE, err
    assert "shop.basket, in `" in err
    assert "basket.py:" in err


def test_who_records_without_a_lens_takes_nothing_away_of_it(struck: Project) -> None:
    recorded = struck.run("record", "--no-race", "--no-fault")
    assert recorded.code == ExitCode.AS_PINNED, recorded.out
    assert "0 gone" in recorded.out or "as pinned" in recorded.out
