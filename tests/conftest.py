"""Settings of all tests: property tests judge the code, not the speed of today's machine."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "leakwarden",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # In CI the same examples every time: a failure there is a failure of the change.
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("leakwarden")
