"""How long Hypothesis looks: shortly in CI, long with RUNCORD_HYPOTHESIS_PROFILE=long."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "short", max_examples=120, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", settings.get_profile("short"), max_examples=5000, stateful_step_count=80)
settings.load_profile(os.environ.get("RUNCORD_HYPOTHESIS_PROFILE", "short"))
