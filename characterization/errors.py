"""What went wrong outside ourselves, with a sentence that says what to do. Each kind knows its exit code."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """Exit codes: pytest's where pytest has one, and above 10 what is softer."""

    AS_PINNED = 0
    CHANGED = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING_SELECTED = 5
    COST_ONLY = 11
    INCONCLUSIVE = 13


class HoldfastError(Exception):
    """Something that a user can mend. The message says what is wrong, and what to do."""

    exit_code = ExitCode.USAGE


class SubjectError(HoldfastError):
    """A subject cannot be found, imported, or explored as it is declared."""


class NotDeterministicError(SubjectError):
    """Two recordings of one subject differ, and nothing between them was changed."""


class EndlessStatesError(SubjectError):
    """More states than the bound: some field grows."""


class ProgramError(HoldfastError):
    """A program is not spelled as programs are, or names what the subject does not have."""


class BaselineError(HoldfastError):
    """A baseline cannot be read or written."""


class NoBaselineError(BaselineError):
    """There is nothing to compare with."""

    exit_code = ExitCode.CHANGED


class HuntError(HoldfastError):
    """What was kept of a hunt cannot be read or written."""


class NothingSelectedError(HoldfastError):
    """The selection is empty."""

    exit_code = ExitCode.NOTHING_SELECTED
