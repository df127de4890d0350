"""The way to the reports, which know this package while this package does not know them.

A report is found by name among the entry points of the group ``holdfast.reports``; someone else's replaces ours by
carrying the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Protocol, cast

from characterization.behaviour import FaultBehaviour, Recording
from characterization.comparing import Comparison
from characterization.errors import HoldfastError
from characterization.explaining import Explanation, FaultExplanation
from characterization.laws import Findings
from characterization.racing import Race

GROUP = "holdfast.reports"


class TerminalReport(Protocol):
    """Plain text for a terminal, at most 120 columns wide, one block for each subject."""

    def comparison(self, result: Comparison, *, colour: bool = False) -> str:
        """What is different, in groups."""

    def recording(self, recording: Recording) -> str:
        """What was seen of one subject, on one screen."""

    def race(self, race: Race, *, colour: bool = False) -> str:
        """Operations at once: each outcome, and for those that no order explains how it came."""

    def struck(self, fault: FaultBehaviour) -> str:
        """One call that something goes wrong in."""

    def fault(self, explanation: FaultExplanation) -> str:
        """The same, a row for each step, and what was tried to heal it."""

    def explanation(self, explanation: Explanation) -> str:
        """One behaviour, a row for each step."""


class GraphReport(Protocol):
    """The state graph of a recording, and with an older one what was added and removed."""

    def text(self, recording: Recording, *, against: Recording | None = None) -> str:
        """As text."""

    def svg(self, recording: Recording, *, against: Recording | None = None) -> str:
        """As one SVG file."""


class LanesReport(Protocol):
    """The interleavings of operations at once as a picture."""

    def svg(self, race: Race) -> str:
        """As one SVG file: the anomalies, with a lane for each client."""


class LawsReport(Protocol):
    """The law matrix: a row for each law, a column for each lens, the shortest witness where a law is broken."""

    def text(self, subject: str, findings: Findings | None, *, colour: bool = False) -> str:
        """Of one subject, for a terminal. None: its baseline is older than laws are."""

    def markdown(self, matrices: Mapping[str, Findings | None]) -> str:
        """Of several subjects, a table each."""

    def placed(self, document: str, matrices: Mapping[str, Findings | None]) -> str:
        """``document`` with the tables between its marks."""


def terminal() -> TerminalReport:
    """The report called ``terminal``."""
    return cast("TerminalReport", _report("terminal"))


def graph() -> GraphReport:
    """The report called ``graph``."""
    return cast("GraphReport", _report("graph"))


def lanes() -> LanesReport:
    """The report called ``lanes``."""
    return cast("LanesReport", _report("lanes"))


def laws() -> LawsReport:
    """The report called ``laws``."""
    return cast("LawsReport", _report("laws"))


def _report(name: str) -> object:
    for point in entry_points(group=GROUP):
        if point.name == name:
            return point.load()
    raise HoldfastError(
        f"the report {name!r} is not installed: install holdfast itself, with `pip install -e .` in a checkout"
    )
