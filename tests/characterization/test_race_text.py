"""Races as text: read back as they were written, the same bytes from any order, one outcome a line, and refused by name."""

from __future__ import annotations

import json
import random
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from characterization.baseline import Baseline, Baselines, differing
from characterization.behaviour import Explored, Interruption, RaceBehaviour, RaceOutcome, Recording
from characterization.errors import BaselineError
from characterization.json_text import FORMAT
from characterization.program import parse
from characterization.race_text import NAME_MAX, parse_races, race_texts
from tests.characterization import demo
from tests.characterization.properties import lines, slow
from tests.characterization.test_program import races as programs

PATH = Path("get-x-save.json")
several = st.lists(lines, max_size=3).map(tuple)
interruptions = st.builds(
    Interruption,
    client=st.integers(1, 3), operation=lines, early=lines, late=lines, words=st.tuples(lines, lines),
    by=st.integers(1, 3), other=lines, came=lines, wrote=st.booleans(), first=st.booleans(),
    who=st.sampled_from(["client", "replica"]),
)  # fmt: skip
outcomes = st.builds(
    RaceOutcome,
    answers=several, effects=several, events=several, schedule=lines, split=st.booleans(),
    interruption=st.none() | interruptions,
)  # fmt: skip
explorations = st.builds(
    Explored,
    mode=st.sampled_from(["all", "sampled", "orders"]), classes=st.integers(0, 9999), unseen=st.just(0.0) | st.floats(0, 1),
)  # fmt: skip
behaviours = st.builds(
    RaceBehaviour,
    subject=st.just("demo"), program=programs, kind=lines, explored=explorations,
    serial=st.dictionaries(lines, lines, max_size=3).map(lambda found: tuple(found.items())),
    anomalies=st.lists(outcomes, max_size=3).map(tuple),
)  # fmt: skip
recorded = st.lists(behaviours, max_size=4, unique_by=lambda each: each.program.text)


def read(texts: dict[str, str]) -> list[RaceBehaviour]:
    return [race for text in texts.values() for race in parse_races(text, PATH)]


@slow
@given(recorded)
def test_any_races_are_read_back_as_they_were_written(races: list[RaceBehaviour]) -> None:
    def spelling(race: RaceBehaviour) -> str:
        return race.program.text

    texts = race_texts("demo", races)
    assert sorted(read(texts), key=spelling) == sorted(races, key=spelling)
    assert race_texts("demo", read(texts)) == texts


@slow
@given(recorded, st.randoms(use_true_random=False))
def test_the_same_bytes_come_from_any_order(races: list[RaceBehaviour], chance: random.Random) -> None:
    shuffled = chance.sample(races, len(races))
    assert race_texts("demo", shuffled) == race_texts("demo", races)


LOST = RaceOutcome(
    answers=("1", "1"), effects=("n = 1",), events=(), schedule="1 2*2 1",
    interruption=Interruption(
        client=1, operation="get", early="GET", late="SET", words=("n", "n"), by=2, other="save", came="SET"
    ),
)  # fmt: skip
RACE = RaceBehaviour(
    subject="demo", program=parse("{ get s1 || save s1 @2 }"), kind="empty", serial=(("1 2", "0a"), ("2 1", "0b")),
    anomalies=(LOST, replace(LOST, answers=("2", "2"), split=True, interruption=None)),
    explored=Explored(mode="sampled", classes=20, unseen=0.25),
)  # fmt: skip
OTHER = replace(
    RACE, program=parse("save s1 ; { get s1 || save s1 @2 }"), anomalies=(), explored=Explored(mode="all", classes=3)
)
TEXT = race_texts("demo", [RACE, OTHER])["get-x-save"]


def test_there_is_a_file_for_each_pair_of_operations_and_a_line_for_each_outcome() -> None:
    apart = replace(RACE, program=parse("{ get s1 || get s1 @2 }"))
    assert list(race_texts("demo", [RACE, apart, OTHER])) == ["get-x-get", "get-x-save"]
    head, without, first, one, two, end, nothing = TEXT.split("\n")
    assert (head, end, nothing) == ('{"format": 1, "subject": "demo", "programs": [', "]}", "")
    assert without == (
        '{"program": "save s1 ; { get s1 || save s1 @2 }", "kind": "empty", "explored": "all", "classes": 3, '
        '"serial": {"1 2": "0a", "2 1": "0b"}, "anomalies": []},'
    )
    assert first.startswith('{"program": "{ get s1 || save s1 @2 }", ')
    assert one.startswith('  {"answers": ["1", "1"], ')
    assert (
        two == '  {"answers": ["2", "2"], "effects": ["n = 1"], "events": [], "schedule": "1 2*2 1", "split": true}]}'
    )


def test_what_is_not_so_takes_no_room() -> None:
    told = json.loads(TEXT)["programs"]
    plain, sampled = sorted(told, key=lambda each: "unseen" in each)
    assert "unseen" not in plain
    assert sampled["unseen"] == 0.25
    assert ["split" in each for each in sampled["anomalies"]] == [False, True]
    assert ["interruption" in each for each in sampled["anomalies"]] == [True, False]
    assert sampled["anomalies"][0]["interruption"] == {**asdict(LOST)["interruption"], "words": ["n", "n"]}


def test_no_races_are_no_files() -> None:
    assert race_texts("demo", []) == {}


def test_many_operations_at_once_still_have_a_name_that_a_file_can_bear() -> None:
    called = " || ".join(f"operation_with_a_long_name_{number}" for number in range(9))
    (name,) = race_texts("demo", [replace(RACE, program=parse(f"{{ {called} }}"))])
    assert len(name) == NAME_MAX


def spoiled(**fields: object) -> str:
    """The file with other things in its first program."""
    found = json.loads(TEXT)
    found["programs"][0].update(fields)
    return json.dumps(found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read: JSONDecodeError"),
        ("nonsense", "cannot be read: JSONDecodeError"),
        (TEXT[: len(TEXT) // 2], "cannot be read: JSONDecodeError"),
        ("[]", "cannot be read: TypeError"),
        ("{}", "cannot be read: KeyError: 'format'"),
        (f'{{"format": {FORMAT}}}', "cannot be read: KeyError: 'subject'"),
        (f'{{"format": {FORMAT}, "subject": "demo", "programs": {{"a": 1}}}}', "cannot be read: TypeError"),
        (spoiled(serial=["1 2"]), "cannot be read: AttributeError"),
        (spoiled(anomalies=["x"]), "cannot be read: AttributeError"),
        (spoiled(anomalies=[{}]), "cannot be read: KeyError: 'answers'"),
        (spoiled(program="{ get s1"), "cannot be read: ProgramError"),
        (spoiled(program="get s1"), "cannot be read: ValueError: nothing is at once in `get s1`"),
        (spoiled(anomalies=[{**asdict(LOST), "interruption": {"words": ["n"]}}]), "cannot be read: ValueError"),
        (spoiled(anomalies=[{**asdict(LOST), "interruption": {"words": ["n", "n"]}}]), "cannot be read: TypeError"),
        (TEXT.replace('"format": 1', '"format": 2'), "is in format 2, this holdfast reads format 1: use a newer one"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(text: str, says: str) -> None:
    with pytest.raises(BaselineError, match=says) as caught:
        parse_races(text, PATH)
    assert str(caught.value).startswith(str(PATH))
    assert "record anew" in str(caught.value)


# In a folder.


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The file of a baseline that holds races."""
    seen = Recording("demo", [demo.behaviour("a")], [RACE, OTHER])
    Baselines(tmp_path).write("demo", Baseline(recording=seen), {})
    return tmp_path / "demo" / "race" / PATH


def test_races_are_kept_beside_the_graph_and_read_back(kept: Path, tmp_path: Path) -> None:
    assert kept.read_text() == TEXT
    found = Baselines(tmp_path).read("demo").recording
    assert list(found.races.values()) == sorted([RACE, OTHER], key=lambda race: race.program.text)
    assert [each.program.text for each in found] == ["a"]


def test_what_another_redis_shows_at_once_is_kept_beside(tmp_path: Path) -> None:
    here = Recording("demo", [demo.behaviour("a")], [RACE, OTHER])
    there = Recording(
        "demo", [demo.behaviour("a")], [replace(RACE, anomalies=()), replace(OTHER, kind="told otherwise")]
    )
    beside = {"valkey": differing(here, there), "redis": differing(here, here)}
    Baselines(tmp_path).write("demo", Baseline(recording=here, backends=beside), {})
    read = Baselines(tmp_path).read("demo")
    assert list(read.backends) == ["valkey"], "what is the same is not kept twice"
    assert (len(read.backends["valkey"]), list(read.backends["valkey"].races)) == (0, [RACE.program.text])
    assert read.on("valkey").races == {RACE.program.text: replace(RACE, anomalies=()), OTHER.program.text: OTHER}
    assert read.on("fakeredis").races == here.races


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('{"program": "save', '<<<<<<< ours\n{"program": "save', ":2 holds the marks of an unfinished merge"),
        ("\n]}", "\n=======\n]}", ":6 holds the marks of an unfinished merge"),
        ('"programs": [', "", " cannot be read: JSONDecodeError"),
        ('"format": 1', '"format": 9', " is in format 9"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_folder(
    kept: Path, tmp_path: Path, old: str, new: str, says: str
) -> None:
    text = kept.read_text()
    assert old in text
    kept.write_text(text.replace(old, new, 1))
    with pytest.raises(BaselineError, match=re.escape(str(kept)) + f"({says})"):
        Baselines(tmp_path).read("demo")


def test_a_file_that_was_cut_short_is_named(kept: Path, tmp_path: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:-20])
    with pytest.raises(BaselineError, match=re.escape(f"{kept} cannot be read")):
        Baselines(tmp_path).read("demo")
    kept.write_bytes(b"\xff")
    with pytest.raises(BaselineError, match=re.escape(f"{kept} cannot be read")):
        Baselines(tmp_path).read("demo")
