"""How much Hypothesis tries: ``ci`` the same few programs every time, ``dev`` other ones each time, ``nightly`` many.

A machine runs under the profile that ``HOLDFAST_PROFILE`` names; without it under ``ci`` where ``CI`` is set, else ``dev``.
They stand beside Hypothesis' own profiles, which are the project's that is being tested, and leave these alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from hypothesis import HealthCheck, Phase, settings

from characterization.errors import SubjectError

VARIABLE: Final = "HOLDFAST_PROFILE"

# A step is many commands and a look at all that is stored, and time stands still meanwhile for whoever measures it.
# To explain is to trace every line, and takes minutes.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink)
_ANY = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True, phases=_PHASES)

PROFILES: Final[Mapping[str, settings]] = {
    "ci": settings(_ANY, derandomize=True, database=None, max_examples=50, stateful_step_count=30),
    # Said of each, since Hypothesis itself chooses otherwise where it finds that it runs in CI.
    "dev": settings(_ANY, derandomize=False, max_examples=100, stateful_step_count=30),
    "nightly": settings(_ANY, derandomize=False, max_examples=5_000, stateful_step_count=50),
}


def current() -> settings:
    """The settings of the profile that the environment asks for.

    Raises:
        SubjectError: there is no such profile.
    """
    asked = os.environ.get(VARIABLE) or ("ci" if os.environ.get("CI") else "dev")
    found = PROFILES.get(asked)
    if found is None:
        raise SubjectError(f"{VARIABLE} is {asked!r}; the profiles are {', '.join(PROFILES)}")
    return found
