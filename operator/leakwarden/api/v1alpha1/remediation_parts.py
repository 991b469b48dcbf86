"""Parts of `spec.remediation`: when an action counts as verified, and when acting stops because it does not help."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leakwarden.api.scalars import cel_milliseconds, parse_duration
from leakwarden.api.v1alpha1.schema import Duration, Model, Rule, Within, ruled


class Verification(Model):
    """How it is found out whether an action helped."""

    RULES = (
        Rule(
            "!has(self.settle) || !has(self.timeout)"
            f" || {cel_milliseconds('self.timeout')} > {cel_milliseconds('self.settle')}",
            "timeout must be longer than settle",
            lambda self: parse_duration(self.timeout) > parse_duration(self.settle),
            lambda self: f"timeout is {self.timeout!r}; it must be longer than settle, {self.settle!r}",
        ),
    )
    model_config = ruled(RULES)

    settle: Annotated[Duration, Within("0s", "1d")] = Field(
        default="1m",
        description="How long all replicas must have served, with no rollout in progress, before the new pods are"
        " compared with the old one. At least four scrape intervals, so that what is compared is new. At most 1d."
        " Default 1m.",
    )
    timeout: Annotated[Duration, Within("0s", "1d")] = Field(
        default="10m",
        description="After this long an action whose benefit could not be seen is Inconclusive, which counts as a"
        " failure. Longer than settle; the default is Kubernetes' own progressDeadlineSeconds. At most 1d."
        " Default 10m.",
    )


class CircuitBreaker(Model):
    """When to stop acting on a target because it does not help."""

    failures: int = Field(
        default=3,
        ge=1,
        le=20,
        description="After so many actions in a row on one target that were Ineffective or Inconclusive nothing more is"
        " done to it; the policy says so and keeps advising. From 1 to 20. Default 3.",
    )
    sleep_window: Annotated[Duration, Within("0s", "30d")] = Field(
        default="6h",
        description="How long nothing is done then. After it one action is tried; if it helps, remediation goes on, and if"
        " it does not, the window begins again. At most 30d. Default 6h.",
    )
