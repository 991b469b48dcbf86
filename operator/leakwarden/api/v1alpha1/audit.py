"""`spec.audit`: what the audit of the targets expects of them, and which findings are accepted."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from leakwarden.api.v1alpha1.schema import Duration, Model, Rule, Within, ruled

# Checks of specs that the API server refuses, and of invalid exceptions: they cannot be accepted.
NEVER_EXCEPTED = ("LW901", "ApiRejects", "LW902", "VersionRemoved", "LW905", "ExceptionUnfit")
MAX_IGNORED = 32


def _check_day(value: Any) -> Any:
    """The API server checks the same by `format: date`. YAML readers of Python make a date of what looks like one."""
    if isinstance(value, date):
        return value.isoformat()[:10]
    if isinstance(value, str):
        try:
            if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII) is None:
                raise ValueError
            date.fromisoformat(value)
        except ValueError:
            raise ValueError("a day like 2027-03-01 is needed") from None
    return value


Day = Annotated[str, Field(max_length=10, json_schema_extra={"format": "date"}), BeforeValidator(_check_day)]


class IgnoredCheck(Model):
    """One check of the audit whose findings are accepted, for a reason and if need be until a day."""

    RULES = (
        Rule(
            "size(self.reason.trim()) > 0",
            "reason must say why the finding is accepted",
            lambda self: bool(self.reason.strip()),
            lambda self: f"reason of {self.check} must say why the finding is accepted",
        ),
        Rule(
            f"!(self.check in {list(NEVER_EXCEPTED)})",
            "what the API server refuses, and exceptions that do not hold, cannot be excepted",
            lambda self: self.check not in NEVER_EXCEPTED,
            lambda self: f"check {self.check} cannot be excepted",
        ),
    )
    model_config = ruled(RULES)

    check: str = Field(
        pattern=r"^(LW[0-9]{3}|[A-Z][A-Za-z]{2,63})$",
        max_length=64,
        description="The check's id, such as LW203, or its name; `leakwarden checks` lists them.",
    )
    reason: str = Field(min_length=1, max_length=300, description="Why its findings are accepted. Required.")
    until: Day | None = Field(
        default=None,
        description="The last day on which the exception holds, such as 2027-03-01, in UTC. After it the findings count"
        " again, and that the exception is over is a finding too. Default: it has no end.",
    )
    container: str | None = Field(
        default=None, min_length=1, max_length=63, description="The one container that is meant. Default: all."
    )


class Audit(Model):
    """The static checks on each target, and whether its endpoints really answer."""

    enabled: bool = Field(
        default=True,
        description="Whether targets are audited. Default true. Auditing changes nothing. While it is on, no action takes"
        " pods away that would be killed in the middle of their requests (see the skip reason DropsRequests).",
    )
    liveness_path: str = Field(
        default="/healthz",
        min_length=1,
        max_length=256,
        pattern=r"^/[^\s]*$",
        description="HTTP path that the liveness probe is expected to use. Default /healthz.",
    )
    readiness_path: str = Field(
        default="/readyz",
        min_length=1,
        max_length=256,
        pattern=r"^/[^\s]*$",
        description="HTTP path that the readiness probe is expected to use. Default /readyz.",
    )
    drain_time: Annotated[Duration, Within("0s", "1h")] = Field(
        default="10s",
        description="How long a target needs, after SIGTERM, to finish the requests in flight."
        " terminationGracePeriodSeconds must cover preStop and this together. At most 1h. Default 10s.",
    )
    call_endpoints: bool = Field(
        default=True,
        description="Whether the operator itself calls each target's probe endpoints (GET, one pod of a target at a"
        " time, 2 s timeout, no redirects) to see that they really answer. Default true.",
    )
    ignore: list[IgnoredCheck] = Field(
        default_factory=list,
        max_length=MAX_IGNORED,
        description="Checks whose findings are accepted for every target of this policy, as by the annotation"
        " leakwarden.dev/ignore for one. They are counted as excepted. No guard of an action is waived by it.",
    )
