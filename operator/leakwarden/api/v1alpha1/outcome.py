"""`status.verification.outcome` of a LeakReport: what users and the process had before, during and after an action."""

from __future__ import annotations

from pydantic import Field

from leakwarden.api.v1alpha1.schema import LenientModel

MAX_ROWS = 12


class Span(LenientModel):
    """A stretch of time."""

    since: str = Field(json_schema_extra={"format": "date-time"}, description="Its beginning.")
    until: str = Field(json_schema_extra={"format": "date-time"}, description="Its end.")


class OutcomeRow(LenientModel):
    """One quantity, before, during and after the action. A value that was not measured is absent, and never 0."""

    name: str = Field(
        max_length=32,
        description="What it is: ErrorRate; HTTP and a status code, or HTTP other; P50, P95, P99; Descriptors, Goroutines,"
        " PoolWaits.",
    )
    unit: str = Field(max_length=32, description="The unit of the three values.")
    before: float | None = Field(default=None, description="Before the action was decided; absent where not measured.")
    during: float | None = Field(
        default=None,
        description="From the decision until all replicas had served again for as long as a rate reaches back; absent"
        " where not measured.",
    )
    after: float | None = Field(default=None, description="Thereafter; absent where not measured.")
    missing: str = Field(default="", max_length=256, description="Why a value is absent; empty where none is.")


class OutcomeTable(LenientModel):
    """Shares and rates are of the whole stretch of time, P50, P95 and P99 the mean of its moments; of descriptors,
    goroutines and waits for a pool the highest pod at its highest moment counts."""

    measured_at: str = Field(json_schema_extra={"format": "date-time"}, description="When it was read.")
    counted: str = Field(
        default="", max_length=320, description="Where the requests were counted: at which proxy, or by the workload."
    )
    before: Span | None = Field(default=None, description="Which time the values of before are of.")
    during: Span | None = Field(default=None, description="Which time the values of during are of.")
    after: Span | None = Field(default=None, description="Which time the values of after are of.")
    rows: list[OutcomeRow] = Field(
        default_factory=list,
        max_length=MAX_ROWS,
        description="One row for each quantity, at most twelve.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    message: str = Field(default="", max_length=512, description="Why there are no rows, where that is so.")
