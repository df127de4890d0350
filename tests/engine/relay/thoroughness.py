"""How far Hypothesis looks: the same for everyone, without chance and without a memory.

Applied to each test by hand, since a profile would hold for every other test of the process. ``ENGINE_EXAMPLES=2000``
looks further, with another seed each time.
"""

import os

from hypothesis import HealthCheck, settings

_EXAMPLES = int(os.environ.get("ENGINE_EXAMPLES", "0"))

THOROUGHNESS = settings(
    derandomize=not _EXAMPLES,
    database=None,
    deadline=None,
    max_examples=_EXAMPLES or 50,
    stateful_step_count=25,
    # A machine moves the clock that Hypothesis reads, by hours, so that its examples look slow.
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
)
