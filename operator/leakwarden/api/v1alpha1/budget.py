"""`spec.remediation.budget`: how much of one target may be disturbed, at once and over time."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from leakwarden.api.v1alpha1.schema import Duration, Model, Within, rules


class Quorum(StrEnum):
    MAJORITY = "Majority"
    NONE = "None"


class Budget(Model):
    """How much may be disturbed, at once and over time."""

    max_unavailable: int | str = Field(
        default=1,
        description="How many pods of a target, a number or a share such as 25% (rounded down, at least one), may be"
        " unavailable including the one that is about to be evicted. Pods that are not ready, terminating or not yet"
        " created count, whatever the cause; so do pods of which nothing is known and those an action is under way"
        " for. Pods that leak but serve do not: replicas leak together. From 1 to 1000, or 1% to 99%."
        " Default 1.",
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            **rules(
                (
                    "type(self) == int ? self >= 1 && self <= 1000 : self.matches('^([1-9]|[1-9][0-9])%$')",
                    "maxUnavailable must be a number from 1 to 1000 or a share from 1% to 99%",
                )
            ),
        },
    )
    min_ready: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="How many other pods of a target must serve while one is disturbed. A single replica is never evicted,"
        " therefore: it is scaled out first where actions has ScaleOut, or escalated. 0 says that the target may be down"
        " until its replacement is ready, as a test system may. At most 1000. Default 1.",
    )
    quorum: Quorum = Field(
        default=Quorum.MAJORITY,
        description="Of a StatefulSet, whose pods may vote. Majority: more than half of its replicas must serve, besides the"
        " pod that is disturbed, or minReady where that is more; with one or two replicas nothing is disturbed then. None:"
        " its pods do not vote, minReady alone counts. Of no meaning for other kinds. Default Majority.",
    )
    actions: int = Field(
        default=12,
        ge=1,
        le=100,
        description="How many actions a target may see within window, whatever policy took them. From 1 to 100. Default 12.",
    )
    window: Annotated[Duration, Within("10m", "7d")] = Field(
        default="24h",
        description="The time that actions counts over. From 10m to 7d. Default 24h.",
    )

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        value = self.max_unavailable
        if isinstance(value, int):
            good = 1 <= value <= 1000
        else:
            digits = value[:-1]
            good = value.endswith("%") and digits.isascii() and digits.isdigit() and 1 <= int(digits) <= 99
        if not good:
            raise ValueError(
                f"maxUnavailable is {value!r}; it must be a number from 1 to 1000 or a share from 1% to 99%"
            )
        return self
