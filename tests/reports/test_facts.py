from __future__ import annotations

from typing import Any

from characterization.behaviour import Recording
from reports.facts import Fact, facts
from tests.reports.making import behaviour, recording, session


def _fact(seen: Recording, heading: str) -> Fact | None:
    return next((fact for fact in facts(seen) if fact.heading == heading), None)


def test_keys_without_a_time_to_live_are_named_once_for_all_arguments() -> None:
    seen = recording(
        behaviour("save s1", effects=["+ main(s1) (hash) ttl none", "+ own(s1) (hash) ttl 5s"]),
        behaviour("save s2", effects=["+ main(s2) (hash) ttl none, was a string"]),
        behaviour("keep s3", effects=["lock(s3) ttl 10s -> none"]),
        behaviour("mind s3", effects=["+ memory (memory)"]),
    )
    fact = _fact(seen, "written without a time to live")
    assert fact is not None
    assert fact.about == "main(*) x2, lock(*)"
    assert fact.program is not None
    assert fact.program.text == "keep s3"


def test_an_operation_that_raises_and_yet_changes_something_comes_first() -> None:
    seen = recording(behaviour("save s1", "raises SaveError('lost')", ["+ main(s1) (hash) ttl none"]))
    assert facts(seen)[0].about == "save with SaveError"


def test_operations_that_never_change_or_always_raise_are_named() -> None:
    seen = recording(behaviour("get s1"), behaviour("put s1", effects=["x = 1"]), behaviour("bad s1", "raises E('')"))
    never, always = _fact(seen, "never change anything"), _fact(seen, "always raise")
    assert never is not None
    assert never.about == "bad, get"
    assert always is not None
    assert always.about == "bad"


def test_a_state_is_a_dead_end_only_where_every_operation_was_tried() -> None:
    tried = [behaviour("close", effects=["memory.open true -> false"], after="s1"), behaviour("get")]
    closed: dict[str, Any] = {"before": "s1", "after": "s1", "kind": "a closed one"}
    assert _fact(recording(*tried, behaviour("close ; get", **closed)), "nothing leads out of") is None
    fact = _fact(
        recording(*tried, behaviour("close ; get", **closed), behaviour("close ; close", **closed)),
        "nothing leads out of",
    )
    assert fact is not None
    assert fact.about == "a closed one"
    assert fact.program is not None
    assert fact.program.text == "close"


def test_a_recording_in_which_nothing_ever_changes_has_no_dead_end() -> None:
    assert _fact(recording(behaviour("get")), "nothing leads out of") is None


def test_warnings_are_counted() -> None:
    fact = _fact(
        recording(behaviour("get", events=["log warning slow", "log info fast"])), "logged as a warning or worse"
    )
    assert fact is not None
    assert fact.about == "warning slow"


def test_an_ordinary_recording_has_few_surprises() -> None:
    assert [fact.heading for fact in facts(session())] == ["written without a time to live", "never change anything"]
