"""The way to the reports: by name, among entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from characterization import reporting
from characterization.comparing import compare
from characterization.errors import HoldfastError
from tests.characterization import demo


def test_our_reports_are_found_by_name() -> None:
    seen = demo.walked(demo.Counter)
    assert "as pinned" in reporting.terminal().comparison(compare(seen, seen))
    assert "demo.counter" in reporting.terminal().recording(seen)
    assert "increment" in reporting.graph().text(seen)
    assert "<svg" in reporting.graph().svg(seen)


def test_a_report_that_is_not_installed_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "entry_points", lambda group: [])
    with pytest.raises(HoldfastError, match=r"the report 'terminal' is not installed: install holdfast itself"):
        reporting.terminal()


def test_somebody_elses_report_is_taken_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint(name="other", value="x", group="g"), EntryPoint(name="graph", value="json", group="g")]
    monkeypatch.setattr(reporting, "entry_points", lambda group: points)
    assert getattr(reporting.graph(), "__name__", None) == "json"
