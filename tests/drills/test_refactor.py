"""The real refactor of the relay store, told in groups that a person can read."""

from __future__ import annotations

import json

import pytest

from characterization.command_line import run
from characterization.errors import ExitCode


def test_the_refactor_of_the_store_is_told_in_fewer_than_twenty_groups(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["compare", "relay.store", "relay.store_refactored", "--json", "--no-race", "--no-fault"])
    (result,) = json.loads(capsys.readouterr().out)
    told = [group for group in result["groups"] if not group["follows"]]
    lines = {(line["old"], line["new"]) for group in told for line in group["differences"]}
    assert code == ExitCode.CHANGED
    assert len(result["groups"]) < 20
    assert (result["counts"]["new"], result["counts"]["gone"]) == (0, 0)
    assert {
        ("main(s1).relay_count 1 -> 0", None),  # save no longer resets what was counted
        ("+ main(s1) (string) ttl 7200s", "+ main(s1) (hash) ttl 7200s"),
        ("raises SessionNotFoundError('session not found: s1')", "None"),  # an update of nothing leaves a stump
        (None, "main(s1) ttl 0.001s -> 7200s"),  # a move to the same state keeps the session alive
    } <= lines
