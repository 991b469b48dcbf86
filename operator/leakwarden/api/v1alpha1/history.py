"""`spec.history`: how many LeakReports are kept, and how long."""

from __future__ import annotations

from pydantic import Field

from leakwarden.api.v1alpha1.schema import Duration, Model


class ReportHistory(Model):
    """Reports of episodes that have ended. One that a cooldown, a budget or the circuit breaker still needs is kept
    beyond both bounds; one that has not ended is not deleted for its age."""

    limit: int = Field(
        default=50,
        ge=0,
        le=1000,
        description="How many LeakReports of ended episodes are kept for this policy, the newest. Default 50.",
    )
    time_to_live: Duration = Field(
        default="720h", description="How long the LeakReport of an ended episode is kept. Default 720h (30 days)."
    )
