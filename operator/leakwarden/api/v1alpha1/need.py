"""`spec.remediation.scaleOutOnNeed`: more replicas for a Deployment that is loaded and does not leak."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leakwarden.api.v1alpha1.action import Action, ActionType
from leakwarden.api.v1alpha1.schema import Duration, Model, Within


class ScaleOutOnNeed(Model):
    """When a Deployment that does not leak is given replicas, and how many at most."""

    max_replicas: int = Field(
        ge=2, le=1000, description="Never scale beyond this many replicas. From 2 to 1000. Required, it has no default."
    )
    p99_above: Annotated[Duration, Within("1ms", "1m")] = Field(
        default="200ms",
        alias="p99Above",
        description="More replicas are needed while the 99th percentile of more than half of the pods stays above this."
        " Needs a signal of type LatencyP99. From 1ms to 1m. Default 200ms.",
    )
    memory_above_percent: int = Field(
        default=80,
        ge=10,
        le=100,
        description="More replicas are needed while the working set of more than half of the pods stays above this share of"
        " its limit, in percent. Needs a signal of type WorkingSet. From 10 to 100. Default 80.",
    )
    for_: Annotated[Duration, Within("1m", "30m")] = Field(
        default="5m",
        alias="for",
        description="How long one of the two must have held, by readings without a hole. From 1m to 30m. Default 5m.",
    )
    time_to_live: Annotated[Duration, Within("1m", "7d")] = Field(
        default="1h",
        description="After this long an added replica is taken back, unless somebody else changed the replicas meanwhile;"
        " if it is needed then, it is added again. From 1m to 7d. Default 1h.",
    )

    @property
    def action(self) -> Action:
        """What is done: one replica at a time, as every ScaleOut."""
        return Action(type=ActionType.SCALE_OUT, max_replicas=self.max_replicas, time_to_live=self.time_to_live)
