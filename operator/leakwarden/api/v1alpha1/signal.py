"""The signals of a policy: what is measured, in which role, and how it is judged."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from leakwarden.api.v1alpha1.schema import AmountText, Duration, Model, Rule, Within, ruled, rules


class SignalType(StrEnum):
    DESCRIPTORS = "Descriptors"
    SOCKETS = "Sockets"
    GOROUTINES = "Goroutines"
    HEAP = "Heap"
    DB_POOL = "DBPool"
    WORKING_SET = "WorkingSet"
    PROCESSES = "Processes"
    HTTP_ERRORS = "HTTPErrors"
    LATENCY_P99 = "LatencyP99"
    PROMQL = "PromQL"
    ALERT = "Alert"


class Measured(StrEnum):
    """What a query of one's own measures, where a guard has to know it."""

    CONNECTION_POOL = "ConnectionPool"


class Role(StrEnum):
    LEAK = "Leak"
    SUPPORTING = "Supporting"
    SYMPTOM = "Symptom"


# The roles a signal has unless the policy says otherwise. Memory is Supporting because the working
# set holds page cache and a GOMEMLIMIT plateau near the limit is by design; an alert is Supporting
# because most alerts are symptoms, and a symptom alone must never restart anything.
DEFAULT_ROLES = {
    SignalType.DESCRIPTORS: Role.LEAK,
    SignalType.SOCKETS: Role.LEAK,
    SignalType.GOROUTINES: Role.LEAK,
    SignalType.HEAP: Role.LEAK,
    SignalType.DB_POOL: Role.LEAK,
    SignalType.WORKING_SET: Role.SUPPORTING,
    SignalType.PROCESSES: Role.LEAK,
    SignalType.HTTP_ERRORS: Role.SYMPTOM,
    SignalType.LATENCY_P99: Role.SYMPTOM,
    SignalType.PROMQL: Role.LEAK,
    SignalType.ALERT: Role.SUPPORTING,
}

# What users feel, read from the requests a pod answers. A dependency that is down looks the same from here, so these
# never act, whatever a policy says, and with few requests they say nothing: one failed request in three is no 33 %.
SYMPTOMS = frozenset({SignalType.HTTP_ERRORS, SignalType.LATENCY_P99})
MIN_REQUEST_RATE = 1.0  # requests/s and pod: 240 in the four minutes that a rate is taken over, 2 or 3 beyond the P99
_SYMPTOM_TYPES = sorted(str(kind) for kind in SYMPTOMS)
LABEL_NAME = r"^[a-zA-Z_][a-zA-Z0-9_]*$"  # of Prometheus
# threshold.above may be a number, for which CEL has no endsWith. What costs more than a few characters is left out: older
# API servers take such a field for as long as a request may be, and refuse rules that would match it against a pattern.
_PERCENT = "type(self.threshold.above) == string && self.threshold.above.endsWith('%')"
_A_SHARE = (
    "(type(self.threshold.above) == int ? self.threshold.above == 0 : self.threshold.above.endsWith('%')"
    " || (!['k', 'M', 'G', 'T', 'i'].exists(unit, self.threshold.above.endsWith(unit))"
    " && double(self.threshold.above) < 1.0))"
)
_ERROR_SHARE = r"^([0-9]+([.][0-9]+)?%|0([.][0-9]+)?)$"


class Threshold(Model):
    """A level that must not be exceeded for long."""

    above: AmountText = Field(
        description="The level: a share of the signal's limit such as 80%, or a number such as 200, 10k or 512Mi, of"
        " at most 15 digits; one with a fraction is written as text."
        " A share needs a limit that can be read; without one the signal is Unknown. Where there is no limit, as for"
        " goroutines and sockets, a number is also what growth is judged against. Hazard: growth that will reach it within"
        " growth.exhaustsWithin then counts as Exhausting before the level is reached."
    )
    for_: Annotated[Duration, Within("0s", "1d")] = Field(
        default="5m",
        alias="for",
        description="How long every reading must lie above the level before the target counts as Exhausting. A gap"
        " starts the time again. At most 1d, for which readings are kept. Default 5m.",
    )


class Growth(Model):
    """Steady growth towards the limit, or towards an absolute threshold where there is no limit; without either the
    growth of a signal is Unknown. On unless disabled: it sees a leak long before a threshold does."""

    enabled: bool = Field(default=True, description="Whether growth is judged. Default true.")
    exhausts_within: Annotated[Duration, Within("0s", "30d")] = Field(
        default="1h",
        description="A leaking target whose limit will be reached within this time counts as Exhausting, the verdict"
        " that acts, as does one that has used 95 % of it; with more time left it is Leaking, which is reported only."
        " At most 30d. Default 1h.",
    )


class AlertMatch(Model):
    """Which alerts count."""

    name: str = Field(
        min_length=1,
        max_length=256,
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$",
        description="The alert's name (its alertname label). Only alerts that are firing count, never pending ones.",
    )
    labels: dict[Annotated[str, Field(max_length=128, pattern=LABEL_NAME)], Annotated[str, Field(max_length=256)]] = (
        Field(
            default_factory=dict,
            max_length=16,
            description="Labels that the alert must carry besides its name and the namespace of the policy. A label's name is"
            " one of Prometheus: letters, digits and _, and no digit first.",
            json_schema_extra=rules(
                (
                    f"self.all(name, size(name) <= 128 && name.matches('{LABEL_NAME}'))",
                    "each key must be the name of a label of Prometheus: letters, digits and _, no digit first, at most 128",
                )
            ),
        )
    )


def _is_share(threshold: Threshold | None) -> bool:
    return threshold is not None and threshold.above.endswith("%")


def _is_error_share(threshold: Threshold | None) -> bool:
    return threshold is None or re.fullmatch(_ERROR_SHARE, threshold.above) is not None


_OWN_QUERY = (SignalType.PROMQL, SignalType.DB_POOL)
_SIGNAL_RULES = (
    Rule(
        "self.type == 'PromQL' ? has(self.query) : (!has(self.query) || self.type == 'DBPool')",
        "query is needed for type PromQL, and else only for DBPool",
        lambda self: (
            self.query is not None if self.type is SignalType.PROMQL else self.query is None or self.type in _OWN_QUERY
        ),
    ),
    Rule(
        "!has(self.kind) || self.type == 'PromQL'",
        "kind is only for type PromQL",
        lambda self: self.kind is None or self.type is SignalType.PROMQL,
    ),
    Rule(
        "(self.type == 'Alert') == has(self.alert)",
        "alert is needed for type Alert and only there",
        lambda self: (self.type is SignalType.ALERT) == (self.alert is not None),
    ),
    Rule(
        "!has(self.limitQuery) || has(self.query)",
        "limitQuery is only for a signal with a query",
        lambda self: self.limit_query is None or self.query is not None,
    ),
    Rule(
        "!has(self.query) || has(self.threshold) || has(self.limitQuery)",
        "a signal with a query needs a threshold, or a limitQuery that its growth can be judged against",
        lambda self: self.query is None or self.threshold is not None or self.limit_query is not None,
    ),
    Rule(
        f"!has(self.query) || has(self.limitQuery) || !has(self.threshold) || !({_PERCENT})",
        "a threshold in percent of a signal with a query needs a limitQuery",
        lambda self: self.query is None or self.limit_query is not None or not _is_share(self.threshold),
    ),
    Rule(
        "self.type != 'Alert' || !has(self.threshold)",
        "an Alert signal takes no threshold: the alert has one",
        lambda self: self.type is not SignalType.ALERT or self.threshold is None,
    ),
    Rule(
        f"!(self.type in {_SYMPTOM_TYPES}) || has(self.threshold)",
        "HTTPErrors and LatencyP99 need a threshold: their growth is not judged",
        lambda self: self.type not in SYMPTOMS or self.threshold is not None,
    ),
    Rule(
        f"!(self.type in {_SYMPTOM_TYPES}) || !has(self.role) || self.role != 'Leak'",
        "HTTPErrors and LatencyP99 are symptoms, which never act alone; role must be Symptom or Supporting",
        lambda self: self.type not in SYMPTOMS or self.role is not Role.LEAK,
    ),
    Rule(
        f"!has(self.minRequestRate) || self.type in {_SYMPTOM_TYPES}",
        "minRequestRate is only for types HTTPErrors and LatencyP99",
        lambda self: self.min_request_rate is None or self.type in SYMPTOMS,
    ),
    Rule(
        f"self.type != 'HTTPErrors' || !has(self.threshold) || {_A_SHARE}",
        "a threshold of HTTPErrors is a share of the requests, such as 5% or 0.05",
        lambda self: self.type is not SignalType.HTTP_ERRORS or _is_error_share(self.threshold),
    ),
    Rule(
        f"self.type != 'LatencyP99' || !has(self.threshold) || !({_PERCENT})",
        "a threshold of LatencyP99 is a number of seconds, such as 1.5: a latency has no limit",
        lambda self: self.type is not SignalType.LATENCY_P99 or not _is_share(self.threshold),
    ),
)


class Signal(Model):
    """One measured thing and how it is judged."""

    RULES = _SIGNAL_RULES
    model_config = ruled(RULES)

    name: str = Field(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="The signal's name in status, Events and metrics; unique within the policy.",
    )
    type: SignalType = Field(
        description="What is measured. Descriptors: open file descriptors against the process's limit. Sockets: open"
        " sockets of the container. Goroutines: their number. Heap: heap in use against the container's memory limit."
        " DBPool: connections in use against the pool's maximum. WorkingSet: memory against the container's limit."
        " Processes: processes and threads against the container's PIDs limit."
        " HTTPErrors: the share of requests that the pod answers with a 5xx status, 0 to 1. LatencyP99: the time in"
        " seconds within which the pod answers 99 of 100 requests, as far as its histogram's buckets reach."
        " PromQL: your own query. Alert: a firing alert of Prometheus."
    )
    role: Role | None = Field(
        default=None,
        description="Leak: may lead to an action. Supporting: shown beside a leak, never acts alone. Symptom: what"
        " users feel, never acts alone. Default: Leak, but Supporting for WorkingSet and Alert, and Symptom for HTTPErrors"
        " and LatencyP99, which cannot be Leak.",
    )
    query: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="PromQL for type PromQL, giving one series a pod with the label pod; for DBPool, the connections in use"
        " of a pool whose metrics have names of their own. The operator parses it and adds the policy's namespace to every"
        " selector.",
    )
    limit_query: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="PromQL that gives the limit of the same pods, for a threshold in percent and for growth.",
    )
    kind: Measured | None = Field(
        default=None,
        description="For type PromQL: what the query measures, where that decides what may be done. ConnectionPool: the"
        " connections of a pool to a database or another service, for which ScaleOut is refused (WorsensLeak), since another"
        " replica would open more of them. Default: nothing that forbids an action.",
    )
    alert: AlertMatch | None = Field(default=None, description="Which alert, for type Alert.")
    threshold: Threshold | None = Field(
        default=None,
        description="A level that must not be exceeded for long. Default: none for the built-in types, since a busy"
        " healthy service may live near any level; growth is judged instead.",
    )
    growth: Growth = Field(
        default_factory=Growth,
        description="How growth towards the limit is judged; where there is none, towards threshold.above if that is a"
        " number. With neither, growth to several times what the workload has needed before is Leaking, never Exhausting."
        " Without effect for HTTPErrors and LatencyP99.",
    )
    min_request_rate: float | None = Field(
        default=None,
        ge=0.01,
        le=1_000_000,
        strict=True,  # as the API server, which takes no "1" and no true for a number
        allow_inf_nan=False,
        description="For HTTPErrors and LatencyP99: requests a second that a pod must answer for its reading to count."
        " From 0.01 to 1000000. Below, the signal is Unknown for that pod, neither healthy nor bad. Default 1. Hazard: with very few requests a"
        " single failed one is a large share.",
        # The API server compares a whole number with the bound's whole part, and so takes 0 (seen on 1.37).
        json_schema_extra=rules(("self >= 0.01", "minRequestRate must be at least 0.01 requests a second")),
    )

    @property
    def is_connection_pool(self) -> bool:
        return self.type is SignalType.DB_POOL or self.kind is Measured.CONNECTION_POOL

    @property
    def effective_role(self) -> Role:
        return self.role or DEFAULT_ROLES[self.type]

    @property
    def least_request_rate(self) -> float:
        """Requests per second and pod."""
        return MIN_REQUEST_RATE if self.min_request_rate is None else self.min_request_rate


def default_signals() -> list[Signal]:
    """The signals of a policy that names none: those that a Go service with the usual exporters has."""
    return [
        Signal(name="descriptors", type=SignalType.DESCRIPTORS),
        Signal(name="goroutines", type=SignalType.GOROUTINES),
        Signal(name="heap", type=SignalType.HEAP),
        Signal(name="db-pool", type=SignalType.DB_POOL),
        Signal(name="working-set", type=SignalType.WORKING_SET),
    ]
