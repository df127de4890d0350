"""What varies from run to run, renamed; what does not, left alone."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from characterization.renaming import NANOSECONDS, Renamer
from simulator.seed import Seed
from tests.characterization import demo
from tests.characterization.properties import quick, slow

ORIGIN = datetime(2030, 1, 1, tzinfo=UTC)
ORIGIN_NS = 1_893_456_000 * NANOSECONDS


@pytest.fixture
def renamer() -> Renamer:
    return Renamer(ORIGIN_NS)


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("at 1893456060", "at t+60s"),
        ("1893456060.25", "t+60.25s"),
        ("1893456000500", "t+0.5s"),
        ("1893456000000001", "t+0.000001s"),
        ("1893455999000000000", "t-1s"),
        ("2030-01-01T00:01:00Z", "t+60s"),
        ("2030-01-01T01:00:00.123456789+01:00", "t+0.123456s"),
        ("from 2030-01-01 00:00:00 on", "from t+0s on"),
    ],
)
def test_moments_become_the_distance_from_the_beginning(renamer: Renamer, text: str, renamed: str) -> None:
    assert renamer.text(text) == renamed


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "120",
        "1600000000",
        "v1893456060",
        "0.1893456060",
        "2030-01-01T99:00:00Z",
        "2010-01-01T00:00:00Z",
        "18934560001",
    ],
)
def test_numbers_that_are_no_moment_of_this_run_stay(renamer: Renamer, text: str) -> None:
    assert renamer.text(text) == text


def test_a_number_is_a_moment_only_by_its_size(renamer: Renamer) -> None:
    assert renamer.number(1_893_456_060) == "t+60s"
    assert renamer.number(1_893_456_000.5) == "t+0.5s"
    assert renamer.number(0) is None
    assert renamer.number(-1_893_456_060) is None
    assert renamer.number(12) is None


def test_a_moment_without_a_zone_is_taken_as_utc(renamer: Renamer) -> None:
    assert renamer.moment(ORIGIN.replace(tzinfo=None)) == "t+0s"
    assert renamer.moment(ORIGIN.astimezone(timezone(timedelta(hours=5)))) == "t+0s"
    assert renamer.moment(datetime(1999, 1, 1, tzinfo=UTC)) is None


@quick
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=32))
def test_what_was_drawn_is_known_in_every_spelling(raw: bytes, other: bytes) -> None:
    made = uuid.UUID(bytes=raw, version=4)
    renamer = Renamer(ORIGIN_NS, [raw])
    assert renamer.text(f"id {made}") == "id uuid#1"
    assert renamer.text(made.hex) in ("uuid#1", "token#1")
    if other != raw:
        token = Renamer(ORIGIN_NS, [raw, other])
        assert token.text(f"<{other.hex()}>") == "<token#2>"
        assert token.text(base64.urlsafe_b64encode(other).decode()) == "token#2"
        assert token.text(base64.urlsafe_b64encode(other).rstrip(b"=").decode()) == "token#2"


def test_a_value_that_was_drawn_twice_has_the_number_of_the_first() -> None:
    assert Renamer(ORIGIN_NS, [b"a" * 8, b"b" * 8, b"a" * 8]).text((b"a" * 8).hex()) == "token#1"


@pytest.mark.parametrize(
    "text",
    ["deadbeefdeadbeef", "deadbeef1", "not-a-token-at-all", "abcdefghijklm", "00000000-0000-4000-8000-000000000000"],
)
def test_what_was_not_drawn_stays(text: str) -> None:
    assert Renamer(ORIGIN_NS, [b"12345678"]).text(text) == text


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("1893456002.25", "t+1.25s"),
        ("1893456004.999", "t+1.25s"),
        ("1893456003", "t+1s"),
        ("1893456003100", "t+1.25s"),
        ("1893456001", "t+1s"),
        ("1893456001.1", "t+1.1s"),
        ("1893456005.1", "t+5.1s"),
    ],
)
def test_moments_may_be_taken_for_one_each_as_coarse_as_it_is_kept(renamer: Renamer, text: str, renamed: str) -> None:
    renamer.taking_for_one(ORIGIN_NS + 1_250_000_000, ORIGIN_NS + 5_000_000_000)
    assert renamer.text(text) == renamed


def test_scrubbed_values_are_numbered_by_first_appearance(renamer: Renamer) -> None:
    assert [renamer.scrubbed("host", text) for text in ("b", "a", "b")] == ["host#1", "host#2", "host#1"]
    assert renamer.scrubbed("port", "b") == "port#1"


PROGRAM = "acquire a ; acquire a ; release a ; clock +10s ; acquire a ; clock +9.999s ; acquire a"


@slow
@given(st.integers(min_value=0, max_value=2**63), st.integers(min_value=1, max_value=7))
def test_runs_with_other_seeds_and_epochs_have_equal_outcomes(seed: int, length: int) -> None:
    text = " ; ".join(PROGRAM.split(" ; ")[:length])
    assert demo.performed(demo.Lease, text, Seed(seed)) == demo.performed(demo.Lease, text)


def test_a_token_and_a_moment_are_told_from_the_rest() -> None:
    seen = demo.performed(demo.Lease, "acquire a")
    assert seen.answer == "'token#1'"
    assert seen.effects == ("+ lock(a) (string) ttl 10s", "lock(a).since = t+0s", "lock(a).token = token#1")
