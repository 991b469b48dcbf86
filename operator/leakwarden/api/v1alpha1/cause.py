"""`status.cause` of a LeakReport: why users got errors while the episode went on, as far as it can be told."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from leakwarden.api.v1alpha1.schema import LenientModel

MAX_FACTS = 8
MAX_PODS = 5
MAX_LOG_LINES = 9
FACT = 200
LINE = 300


class Confidence(StrEnum):
    CLEAR = "Clear"
    LIKELY = "Likely"
    UNTOLD = "Untold"


class LogCount(LenientModel):
    """How many lines of one kind the logs hold."""

    kind: str = Field(
        max_length=32,
        description="TooManyOpenFiles, ConnectionRefused, WaitingForAConnection, DeadlineExceeded or ClientGone.",
    )
    count: int = Field(ge=0, description="How many lines of the time say so, of those that were looked at.")


class LogEvidenceStatus(LenientModel):
    """What the configured Loki, or the logs of at most three pods, say. Nothing else of them is kept."""

    counts: list[LogCount] = Field(
        default_factory=list,
        max_length=8,
        description="Lines with known errors, counted by kind.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["kind"]},
    )
    lines: list[Annotated[str, Field(max_length=LINE)]] = Field(
        default_factory=list,
        max_length=MAX_LOG_LINES,
        description="The first few of them, without what looks like a secret.",
    )
    message: str = Field(default="", max_length=256, description="What was looked at, or why nothing was.")


class CauseStatus(LenientModel):
    """Which of five causes the readings of the proxy and of the pods speak for."""

    kind: str = Field(
        max_length=32,
        description="Exhaustion, SlowDependency, RolloutWithoutDraining, ProxyTimeoutTooShort or Overload; Unknown where it"
        " cannot be told, NoErrors where hardly a request failed and it was not slow.",
    )
    confidence: Confidence = Field(
        description="Clear: this cause is far ahead of the others. Likely: ahead of them by little. Untold: none is."
    )
    message: str = Field(default="", max_length=512, description="The answer in one line.")
    measured_at: str = Field(json_schema_extra={"format": "date-time"}, description="When it was read.")
    since: str | None = Field(
        default=None,
        json_schema_extra={"format": "date-time"},
        description="The beginning of the time that was looked at.",
    )
    until: str | None = Field(default=None, json_schema_extra={"format": "date-time"}, description="Its end.")
    counted: str = Field(default="", max_length=320, description="Where the errors were counted.")
    facts: list[Annotated[str, Field(max_length=FACT)]] = Field(
        default_factory=list,
        max_length=MAX_FACTS,
        description="What speaks for it; where it is Unknown, what speaks against the likeliest.",
    )
    unknown: list[Annotated[str, Field(max_length=FACT)]] = Field(
        default_factory=list, max_length=MAX_FACTS, description="What was not read, and would help to tell."
    )
    pods: list[Annotated[str, Field(max_length=2 * FACT)]] = Field(
        default_factory=list, max_length=MAX_PODS, description="Pods that are behind it, each with what is seen of it."
    )
    logs: LogEvidenceStatus | None = Field(
        default=None, description="What the pods' logs say; absent where the policy does not ask for them."
    )
