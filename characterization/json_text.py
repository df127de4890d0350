"""The JSON files of a baseline: one thing a line between a first and a last one, so that they merge; and read again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from characterization.errors import BaselineError, HoldfastError

FORMAT = 1
T = TypeVar("T")


def line(value: object) -> str:
    """``value`` on one line."""
    return json.dumps(value, ensure_ascii=False)


def file_text(subject: str, what: str, members: Iterable[str]) -> str:
    """A file of ``members``, which are spelled already, under the name ``what``."""
    head = f'{{"format": {FORMAT}, "subject": {line(subject)}, "{what}": ['
    return "\n".join([head, ",\n".join(members), "]}", ""])


def parsed(text: str, path: Path, read: Callable[[Mapping[str, Any], str], T]) -> T:
    """What ``read`` makes of the file that ``text`` is, and of its subject.

    Raises:
        BaselineError: it was written by a newer version, or cannot be read.
    """
    try:
        found = json.loads(text)
        version = found["format"]
        if version == FORMAT:
            return read(found, str(found["subject"]))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, HoldfastError) as error:
        raise BaselineError(
            f"{path} cannot be read: {type(error).__name__}: {error}. Take it from version control again, or remove its "
            "folder and record anew."
        ) from error
    raise BaselineError(
        f"{path} is in format {version}, this holdfast reads format {FORMAT}: use a newer one, or record anew"
    )
