"""The rungs of `spec.remediation.actions`: what may be done about an Exhausting pod."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.schema import Duration, Model, Rule, Within, ruled

# A scale-out without a given time to live is taken back after this.
DEFAULT_TIME_TO_LIVE = "1h"


class ActionType(StrEnum):
    EVICT_POD = "EvictPod"
    ROLLOUT_RESTART = "RolloutRestart"
    SCALE_OUT = "ScaleOut"
    ESCALATE = "Escalate"


class Action(Model):
    """One thing that may be done about an Exhausting pod."""

    RULES = (
        Rule(
            "(self.type == 'ScaleOut') == has(self.maxReplicas)",
            "maxReplicas is needed for ScaleOut and only there",
            lambda self: (self.type is ActionType.SCALE_OUT) == (self.max_replicas is not None),
        ),
        Rule(
            "self.type == 'ScaleOut' || !has(self.timeToLive)",
            "timeToLive is only for ScaleOut",
            lambda self: self.type is ActionType.SCALE_OUT or self.time_to_live is None,
        ),
    )
    model_config = ruled(RULES)

    type: ActionType = Field(
        description="EvictPod: evict the leaking pod through the Eviction API, so that PodDisruptionBudgets hold and Git"
        " sees no drift. RolloutRestart: restart all pods of the Deployment as kubectl rollout restart does; changes the"
        " pod template, which GitOps tools may revert. ScaleOut: add one replica for a while; for a leak of database"
        " connections it makes things worse and is refused. Escalate: change nothing and call for a person, once: a"
        " Warning Event, the condition Stalled and a metric."
    )
    # 1m is the least that node-healthcheck-operator allows a remediation, too.
    timeout: Annotated[Duration, Within("1m", "1d")] = Field(
        default="10m",
        description="After this long without a proof that it helped (or, for EvictPod, while a PodDisruptionBudget forbids"
        " it) the next action of the list is considered. From 1m to 1d. Default 10m.",
    )
    max_replicas: int | None = Field(
        default=None,
        ge=2,
        le=1000,
        description="For ScaleOut: never scale beyond this many replicas. From 2 to 1000. Required there, it has no default.",
    )
    time_to_live: Annotated[Duration, Within("1m", "7d")] | None = Field(
        default=None,
        description="For ScaleOut: after this long the replica is taken back, unless somebody else changed the replicas"
        " meanwhile. From 1m to 7d. Default 1h.",
    )

    @property
    def lives_for(self) -> float:
        """Seconds until a scale-out is taken back."""
        return parse_duration(self.time_to_live or DEFAULT_TIME_TO_LIVE)
