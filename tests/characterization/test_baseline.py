"""Baselines: text that is read back as it was written, and files of which nothing is lost."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from characterization.baseline import Baseline, Baselines, cost_text, differing, graph_text, parse_graph
from characterization.behaviour import Behaviour, Recording
from characterization.errors import BaselineError, ExitCode, NoBaselineError
from characterization.outcome import Outcome
from tests.characterization import demo
from tests.characterization.properties import lines, quick
from tests.characterization.test_program import programs

PATH = Path("graph.txt")
costs = st.tuples(*[st.integers(0, 9)] * 3)
outcomes = st.builds(
    lambda answer, effects, events, cost, kind: Outcome(
        answer=answer, effects=tuple(effects), events=tuple(events), cost=cost, before="0a", after="0b", kind=kind
    ),
    lines, st.lists(lines, max_size=3), st.lists(lines, max_size=3), costs, lines,
)  # fmt: skip
recordings = st.lists(st.tuples(programs.filter(lambda program: program.parts), outcomes), max_size=4).map(
    lambda found: Recording("demo", [Behaviour(subject="demo", program=p, outcome=o) for p, o in found])
)


@quick
@given(recordings)
def test_any_recording_is_read_back_as_it_was_written(recording: Recording) -> None:
    costs = {program: tuple(cost) for program, cost in json.loads(cost_text(recording)).items()}
    read = parse_graph(graph_text(recording), costs, PATH)
    assert list(read) == list(recording)
    assert graph_text(read) == graph_text(recording)


@pytest.mark.parametrize("kind", demo.EVERY)
def test_what_a_subject_shows_is_read_back(kind: type, tmp_path: Path) -> None:
    seen = demo.walked(kind)
    Baselines(tmp_path).write(seen.subject, Baseline(recording=seen), {})
    assert list(Baselines(tmp_path).read(seen.subject).recording) == list(seen)


def test_lines_may_be_in_any_order_after_a_merge() -> None:
    text = graph_text(demo.walked(demo.Counter))
    head, body, tail = text.split("\n")[:3], text.split("\n")[3:-2], text.split("\n")[-2:]
    assert graph_text(parse_graph("\n".join([*head, *reversed(body), *tail]), {}, PATH)) == text


def test_a_transition_is_one_line_that_a_reviewer_can_read() -> None:
    recording = demo.recording(
        demo.behaviour("put a ; take", answer="'x|y'", effects=("a 1 -> 2", "+ b"), events=("log a",))
    )
    assert graph_text(recording).splitlines()[3] == (
        "put a ; take | 'x\\py' | a 1 -> 2; + b | log a | 00000000 > 00000000 | the empty world"
    )


TEXT = graph_text(demo.recording(demo.behaviour("a"), demo.behaviour("b")))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "graph.txt is not a baseline: its first line must be `holdfast graph 1`"),
        ("nonsense\n", "graph.txt is not a baseline"),
        (TEXT.replace("graph 1", "graph 2"), "graph.txt is in format 2, this holdfast reads format 1"),
        (TEXT.removesuffix("end\n"), "graph.txt was cut short: it does not close with `end`"),
        (TEXT[: len(TEXT) // 2], "graph.txt was cut short"),
        ("holdfast graph 1\n", "graph.txt was cut short"),
        (TEXT.replace("b | None", "<<<<<<< ours\nb | None"), "graph.txt:5 holds the marks of an unfinished merge"),
        (TEXT.replace("end", "=======\nend"), "graph.txt:6 holds the marks of an unfinished merge"),
        (TEXT.replace("b | None", "b None"), "graph.txt:5 cannot be read as `program | answer"),
        (TEXT.replace("b | None", "b | No\\qne"), "graph.txt:5 cannot be read"),
        (TEXT.replace("b | None", "b | None\\"), "graph.txt:5 cannot be read"),
        (TEXT.replace("b | None", "'b | None"), "graph.txt:5 cannot be read"),
        (TEXT.replace("b | None |  |  | 00000000 >", "b | None |  |  | 00000000"), "graph.txt:5 cannot be read"),
    ],
)
def test_a_baseline_that_cannot_be_read_is_named_with_the_line_and_what_to_do(text: str, says: str) -> None:
    with pytest.raises(BaselineError, match=re.escape(says)) as caught:
        parse_graph(text, {}, PATH)
    assert re.search(r"version control|resolve it|record anew", str(caught.value))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cost.json cannot be read"),
        ("[1]", "cost.json cannot be read"),
        ('{"a": [1, 2]}', "cost.json cannot be read"),
        ('{"a": 1}', "cost.json cannot be read"),
        ('{\n<<<<<<< ours\n"a": [1, 1, 1]\n}', "cost.json:2 holds the marks of an unfinished merge"),
        (None, "cost.json cannot be read"),
        (b"\xff", "cost.json cannot be read"),
    ],
)
def test_costs_that_cannot_be_read_are_named(text: str | bytes | None, says: str, tmp_path: Path) -> None:
    place = written(tmp_path)
    cost = place / "cost.json"
    if text is None:
        cost.unlink()
    else:
        cost.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BaselineError, match=says):
        Baselines(tmp_path).read("demo")


def written(folder: Path, *texts: str) -> Path:
    """A baseline of the subject ``demo``."""
    baselines = Baselines(folder)
    baselines.write("demo", Baseline(recording=demo.recording(*map(demo.behaviour, texts or ("a", "b")))), {"seed": 1})
    return baselines.place("demo")


def test_a_baseline_that_is_not_there_says_how_to_record_it(tmp_path: Path) -> None:
    with pytest.raises(NoBaselineError, match="record one with `holdfast record demo`, and commit it") as caught:
        Baselines(tmp_path).read("demo")
    assert caught.value.exit_code == ExitCode.CHANGED


def test_the_files_hold_no_dates_and_end_with_a_line_break(tmp_path: Path) -> None:
    place = written(tmp_path)
    assert sorted(path.name for path in place.iterdir()) == ["cost.json", "graph.txt", "provenance.json"]
    assert all(path.read_bytes().endswith(b"\n") for path in place.iterdir())
    assert json.loads((place / "cost.json").read_text()) == {"a": [1, 1, 10], "b": [1, 1, 10]}
    assert Baselines(tmp_path).provenance("demo") == {"seed": 1}


@pytest.mark.parametrize("text", ["", "[1]", None])
def test_provenance_that_cannot_be_read_is_no_obstacle(text: str | None, tmp_path: Path) -> None:
    path = written(tmp_path) / "provenance.json"
    path.unlink() if text is None else path.write_text(text)
    assert Baselines(tmp_path).provenance("demo") == {}
    assert len(Baselines(tmp_path).read("demo").recording) == 2


def test_a_subjects_name_becomes_one_folder(tmp_path: Path) -> None:
    baselines = Baselines(tmp_path)
    assert baselines.place("shop/x.y:Basket").relative_to(tmp_path) == Path("shop_x.y.Basket")
    assert baselines.subjects() == []
    written(tmp_path)
    assert baselines.subjects() == ["demo"]
    baselines.remove("demo")
    assert not baselines.exists("demo")


def test_what_another_redis_shows_otherwise_is_kept_beside(tmp_path: Path) -> None:
    here = demo.recording(demo.behaviour("a"), demo.behaviour("b"))
    there = demo.recording(demo.behaviour("b", answer="2"), demo.behaviour("c"))
    baselines = Baselines(tmp_path)
    seen = demo.recording(demo.behaviour("a", cost=(9, 9, 9)), *there)
    backends = {"valkey": differing(here, seen), "redis": demo.recording()}
    baselines.write("demo", Baseline(recording=here, backends=backends), {})
    read = baselines.read("demo")
    assert sorted(read.backends) == ["valkey"]
    assert [each.program.text for each in read.on("valkey")] == ["a", "b", "c"]
    assert read.on("valkey")["b"].outcome.answer == "2"
    assert list(read.on("fakeredis")) == list(here)


def test_a_writer_that_was_killed_between_the_renames_leaves_the_old_baseline(tmp_path: Path) -> None:
    place = written(tmp_path)
    place.rename(place.with_name("demo.old"))
    assert Baselines(tmp_path).exists("demo")
    assert len(Baselines(tmp_path).read("demo").recording) == 2
    assert not place.with_name("demo.old").exists()


def test_a_writer_that_was_killed_before_it_cleared_up_does_not_stop_the_next_one(tmp_path: Path) -> None:
    place = written(tmp_path, "a")
    for left in ("demo.old", "demo.new"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "graph.txt").write_text("half a baseline")
    assert Baselines(tmp_path).subjects() == ["demo"]
    written(tmp_path, "a", "b")
    assert [each.name for each in tmp_path.iterdir()] == [place.name]
    assert len(Baselines(tmp_path).read("demo").recording) == 2


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


KILLED = """
import os, signal, sys
from pathlib import Path
from characterization.baseline import Baseline, Baselines
from tests.characterization import demo

before = int(sys.argv[2])
renames = 0
rename = Path.rename
def counting(path, target):
    global renames
    if renames == before:
        os.kill(os.getpid(), signal.SIGKILL)
    renames += 1
    return rename(path, target)
Path.rename = counting
Baselines(Path(sys.argv[1])).write("demo", Baseline(recording=demo.recording(demo.behaviour("new"))), {})
"""


@pytest.mark.parametrize("renames", [0, 1])
def test_a_writer_that_is_killed_before_any_rename_loses_nothing(renames: int, tmp_path: Path) -> None:
    place = written(tmp_path)
    before = files(place)
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path, str(renames)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [each.program.text for each in Baselines(tmp_path).read("demo").recording] == ["a", "b"]
    assert files(place) == before
    written(tmp_path, "c")
    assert [each.program.text for each in Baselines(tmp_path).read("demo").recording] == ["c"]


def test_only_one_may_write_at_a_time(tmp_path: Path) -> None:
    baselines = Baselines(tmp_path / "deep" / "folder")
    with (
        baselines.writing(),
        pytest.raises(BaselineError, match=r"another holdfast is writing to .*folder: wait for it to end"),
        Baselines(tmp_path / "deep" / "folder").writing(),
    ):
        pass
    with baselines.writing():
        pass


def beneath_a_file(folder: Path) -> Baselines:
    (folder / "file").write_text("in the way")
    return Baselines(folder / "file" / "baselines")


def writing(baselines: Baselines) -> None:
    with baselines.writing():
        pass


@pytest.mark.parametrize(
    "work",
    [writing, lambda baselines: baselines.write("demo", Baseline(recording=demo.recording()), {})],
    ids=["lock", "write"],
)
def test_a_folder_that_cannot_be_written_is_found_out_and_named(
    work: Callable[[Baselines], None], tmp_path: Path
) -> None:
    with pytest.raises(BaselineError, match=r"baselines.* cannot be written: .*name another folder with --baselines"):
        work(beneath_a_file(tmp_path))
