"""`spec.history`: how many LeakReports are kept, and how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leakwarden.api.v1alpha1.schema import Duration, Model, Within


class ReportHistory(Model):
    """Reports of episodes that have ended. One that a cooldown, a budget or the circuit breaker still needs is kept
    beyond both bounds; one that has not ended is not deleted for its age."""

    limit: int = Field(
        default=50,
        ge=0,
        le=1000,
        description="How many LeakReports of ended episodes are kept for this policy, the newest. At most 1000. Default 50.",
    )
    time_to_live: Annotated[Duration, Within("0s", "365d")] = Field(
        default="720h",
        description="How long the LeakReport of an ended episode is kept. At most 365d. Default 720h (30 days).",
    )
