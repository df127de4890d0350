"""Which line of the service is at work: the innermost that is neither of the standard library, nor installed, nor ours."""

from __future__ import annotations

import functools
import sysconfig
from pathlib import Path
from types import FrameType

_OWN = Path(__file__).resolve().parents[1]
_ELSEWHERE = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *(str(_OWN / package) for package in ("simulator", "characterization")),
    "<frozen",
)


@functools.lru_cache(maxsize=4096)
def is_service(file: str) -> bool:
    """Whether ``file`` may be a service's, or its tests'."""
    return not file.startswith(_ELSEWHERE)


def service_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of the service at or outside ``frame``; none: no such code is at work."""
    while frame is not None and not is_service(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def origin_of(frame: FrameType | None) -> tuple[str, int] | None:
    """The file and the line number at which the service is at work; none: it is not known."""
    found = service_frame(frame)
    return None if found is None else (found.f_code.co_filename, found.f_lineno)
