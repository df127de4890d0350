"""Writes down what a stateful service does, and says in its own words what a change has changed.

    subject           what an author declares: replicas, operations, words, horizons, laws
    finding           subjects by name, as [tool.holdfast], an entry point or module:Class gives them
    program           what is done to a subject, spelled so that it can be read and pasted
    renaming          what varies from run to run, renamed by role and first appearance
    state             everything that is stored and remembered, with words for names
    laws              what an author believes, judged by every observation
    outcome           what one step showed: answer, effects, events, cost
    performing        programs run in a world, and what they showed
    lenses            which programs are run: the sequence, the time, the race and the fault lens
    behaviour         programs with their outcomes, and recordings of many
    recording         recordings made twice, so that what is not deterministic is named
    baseline          approved behaviours in files
    race_text         what operations at once show, as a baseline has it
    law_text          the law matrix, as a baseline has it
    json_text         what their files have in common
    fault_text        what calls show that something goes wrong in, as a baseline has it
    kinds             the kinds of change
    comparing         what is different between two recordings, in groups of one cause
    comparing_races   the same of operations at once: anomalies that appeared or vanished
    comparing_laws    the same of laws: which were broken or mended
    comparing_faults  what ends better or worse when something goes wrong
    unfolding         programs of the random lens: one run, of which every part is looked at
    draws             what the random lens draws: values, schedules, and what goes wrong
    machine           Hypothesis state machines, made from any subject
    profiles          how much Hypothesis tries: in CI, while one develops, at night
    likeness          what steps showed, but for the arguments
    shrinking         the shortest program that still shows something
    hunting           programs one after another, for as long as it pays
    hunt_results      what a hunt has found, for a decision and as text
    deciding          pending results, and their promotion to the baseline
    explaining        one behaviour with every command and reply
    racing            operations at once: every outcome, and how it came
    faulting          a call that a fault strikes: what it shows, what is left behind, what heals it
    interrupting      which two accesses raced, and what came between them
    revision          the same subject at another git revision
    servers           which Redis a subject is looked at on
    reporting         the way to the reports, which are found by name
    command_line      the command ``holdfast``
    plugin            the same from pytest, a behaviour an item
    errors            what a user can mend, and the exit codes
    subjects          the reference services as subjects

Start with ``subject``, then ``performing``. Programs become outcomes in ``performing``; everything after that is pure.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from characterization.machine import state_machine as state_machine
    from characterization.subject import (
        Bounds as Bounds,
    )
    from characterization.subject import (
        Run as Run,
    )
    from characterization.subject import (
        Subject as Subject,
    )
    from characterization.subject import (
        cap as cap,
    )
    from characterization.subject import (
        drop as drop,
    )
    from characterization.subject import (
        few as few,
    )
    from characterization.subject import (
        law as law,
    )
    from characterization.subject import (
        operation as operation,
    )
    from characterization.subject import (
        seconds as seconds,
    )
    from characterization.subject import (
        small as small,
    )
    from simulator.world import World as World

_PUBLIC = dict.fromkeys(
    ("Bounds", "Run", "Subject", "cap", "drop", "few", "law", "operation", "seconds", "small"),
    "characterization.subject",
) | {"World": "simulator.world", "state_machine": "characterization.machine"}

__all__ = [
    "Bounds", "Run", "Subject", "World", "cap", "drop", "few", "law", "operation", "seconds", "small", "state_machine",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """What subjects are written with, imported when it is asked for: an unused plugin must cost nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
