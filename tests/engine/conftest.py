"""Hypothesis, the same for everyone who runs these tests: no clock, no database, no chance.

``HYPOTHESIS_PROFILE=deep`` looks further, with another seed each time.
"""

import os

from hypothesis import HealthCheck, settings

# A machine moves the clock that Hypothesis reads, by hours, so that its examples look slow to it.
VIRTUAL_TIME = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    stateful_step_count=25,
    suppress_health_check=VIRTUAL_TIME,
)
settings.register_profile(
    "deep", settings.get_profile("ci"), derandomize=False, max_examples=2_000, stateful_step_count=60
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
