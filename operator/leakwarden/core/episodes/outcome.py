"""Before, during and after an action: the times that are compared, the queries to a source, and the table made of the
answers.

A rate at a moment reaches back over four steps. So the time after begins four steps after all replicas served, and the
time in between counts as during.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from leakwarden.api.v1alpha1.leakreport import VerificationStatus
from leakwarden.api.v1alpha1.outcome import MAX_ROWS, OutcomeRow, OutcomeTable, Span
from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.correlation.traffic import Traffic, of_pods
from leakwarden.core.episodes.parts import finite
from leakwarden.core.model.policy import format_time, parse_time
from leakwarden.core.model.readings import Answer, Floats, NoData, Query, QueryFailed, Sampled
from leakwarden.core.signals.catalogue import CATALOGUE, OF_REQUESTS

BEFORE = 600.0  # s before the decision that are compared
AFTER = 600.0  # s at most after it
REACH = 4  # steps that a rate reaches back
LEAST_AFTER = 2  # moments of the time after, so that it does not depend on one odd reading
MOST_MOMENTS = 240  # the most moments that are read; a long verification is read at a coarser step
MOST_CODES = 5  # rows of status codes
_CODE = re.compile(r"[1-5](?:[0-9][0-9]|xx)")  # some servers count 5xx as one
_CODES, _WAITS = "outcome/codes", "outcome/pool-waits"
_QUANTILES = {"P50": 0.5, "P95": 0.95, "P99": 0.99}
_GAUGES = {"Descriptors": SignalType.DESCRIPTORS, "Goroutines": SignalType.GOROUTINES}
# Callers that had to wait for a connection: client_golang's collector, sqlstats, otelsql and pgx count them.
_WAITED = (
    "go_sql_wait_count_total",
    "go_sql_stats_connections_waited_for",
    "db_sql_connection_wait_total",
    "pgxpool_empty_acquire",
)


class When(StrEnum):
    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Times:
    """The limits between the three times, epoch s: each time begins after the limit before it and ends with its own."""

    since: float
    decided: float
    after_from: float | None  # None: the Deployment did not settle, so there is no time after
    until: float
    step: float  # s

    def span(self, when: When) -> tuple[float, float] | None:
        """(since, until], or None where there is no such time."""
        if when is When.BEFORE:
            return self.since, self.decided
        if when is When.DURING:
            return self.decided, self.after_from if self.after_from is not None else self.until
        return (self.after_from, self.until) if self.after_from is not None else None


def times(record: ActionStatus, held: VerificationStatus, now: float, step: float) -> Times | None:
    """The times to compare for an action whose verification ended; None while it is too early to read them."""
    decided, verified = parse_time(record.intended_at), parse_time(record.verified_at)
    if not decided or not verified:
        return None
    longest = BEFORE + (verified - decided) + AFTER
    step = max(step, math.ceil(longest / MOST_MOMENTS))
    if held.since is None:
        return Times(decided - BEFORE, decided, None, max(verified, decided), step)
    begins = max(parse_time(held.since), decided) + REACH * step
    if now < max(begins + LEAST_AFTER * step, verified):
        return None
    return Times(decided - BEFORE, decided, begins, min(now, max(verified, begins) + AFTER), step)


def queries(traffic: Traffic, step: float) -> list[Query]:
    """The queries: seven, for any number of pods."""
    within = frozenset({traffic.namespace})
    pod = traffic.labels[1]
    waited = " or on (<<owner>>) ".join(
        f"sum by (<<owner>>) (rate({name}{{<<matchers>>}}[<<buckets>>]))" for name in _WAITED
    )
    return [
        Query(_CODES, traffic.by_code(step), None, within, confined=True),
        *(
            Query(f"outcome/{name}", traffic.quantile(share, step), None, within, confined=True)
            for name, share in _QUANTILES.items()
        ),
        *(
            Query(f"outcome/{name}", of_pods(CATALOGUE[kind].value, pod, traffic.pods), None, within)
            for name, kind in _GAUGES.items()
        ),
        Query(_WAITS, of_pods(waited, pod, traffic.pods), None, within),
    ]


def table(answers: Mapping[str, Answer], of: Times, counted: str, now: float) -> OutcomeTable:
    """`counted`: the place where requests are counted, in words."""
    codes = _Codes.of(answers.get(_CODES), of)
    rows = [
        codes.errors(),
        *codes.rows(),
        *(_row(name, "seconds", answers.get(f"outcome/{name}"), of, _mean) for name in _QUANTILES),
        *(
            _row(name, CATALOGUE[kind].unit, answers.get(f"outcome/{name}"), of, _highest_but_zero)
            for name, kind in _GAUGES.items()
        ),
        _row("PoolWaits", "per second", answers.get(_WAITS), of, _highest),
    ]
    return OutcomeTable(
        measured_at=format_time(now),
        counted=counted[:320],
        before=_span(of, When.BEFORE),
        during=_span(of, When.DURING),
        after=_span(of, When.AFTER),
        rows=rows[:MAX_ROWS],
    )


def unread(why: str, now: float) -> OutcomeTable:
    """The table in place of one that could not be made."""
    return OutcomeTable(measured_at=format_time(now), message=why[:512])


def _span(of: Times, when: When) -> Span | None:
    found = of.span(when)
    return Span(since=format_time(found[0]), until=format_time(found[1])) if found is not None else None


def _within(t: Floats, span: tuple[float, float]) -> np.ndarray:
    return (t > span[0]) & (t <= span[1])


_Summary = Callable[[Sequence[Floats]], float]


def _mean(parts: Sequence[Floats]) -> float:
    return float(np.mean(np.concatenate(parts)))


def _highest(parts: Sequence[Floats]) -> float:
    return float(np.max(np.concatenate(parts)))


def _highest_but_zero(parts: Sequence[Floats]) -> float:
    """A running process has descriptors and goroutines: a 0 means that they are not measured."""
    highest = _highest(parts)
    return highest if highest > 0 else math.nan


def _row(name: str, unit: str, answer: Answer | None, of: Times, summary: _Summary) -> OutcomeRow:
    if not isinstance(answer, Sampled):
        return OutcomeRow(name=name, unit=unit, missing=_why(answer))
    values = {}
    for when in When:
        parts = []
        if (span := of.span(when)) is not None:
            parts = [points.v[_within(points.t, span)] for points in answer.series.values()]
        parts = [part for part in parts if part.size]
        values[when.value] = finite(summary(parts)) if parts else None
    return OutcomeRow(name=name, unit=unit, missing=_absent(values, of), **values)


def _why(answer: Answer | None) -> str:
    if isinstance(answer, NoData | QueryFailed):
        return f"{answer.reason}: {answer.message}"[:256]
    return "the source gave no answer"


def _absent(values: Mapping[str, float | None], of: Times) -> str:
    said = []
    if nothing := [name for name, value in values.items() if value is None and of.span(When(name)) is not None]:
        said.append(f"no readings {' and '.join(nothing)}")
    if of.after_from is None:
        said.append("not all replicas served again, so that there is no after")
    return "; ".join(said)


@dataclass(frozen=True, slots=True)
class _Codes:
    """Requests per second by status code. `why` is empty where they are known; a code without a value at a moment with
    values of other codes was not sent then, which counts as 0."""

    of_times: Times
    means: Mapping[str, Mapping[When, float]]
    seen: frozenset[When]
    why: str = ""

    @classmethod
    def of(cls, answer: Answer | None, of: Times) -> _Codes:
        if not isinstance(answer, Sampled):
            return cls(of, {}, frozenset(), _why(answer))
        series = {key.pod: points for key, points in answer.series.items() if _CODE.fullmatch(key.pod)}
        if not series:
            return cls(of, {}, frozenset(), "the requests have no status codes")
        moments = np.unique(np.concatenate([points.t for points in series.values()]))
        means: dict[str, dict[When, float]] = {code: {} for code in series}
        seen = set()
        for when in When:
            span = of.span(when)
            count = int(np.count_nonzero(_within(moments, span))) if span is not None else 0
            if span is None or not count:
                continue
            seen.add(when)
            for code, points in series.items():
                means[code][when] = float(points.v[_within(points.t, span)].sum()) / count
        return cls(of, means, frozenset(seen))

    def errors(self) -> OutcomeRow:
        """The share of 5xx; absent where no request came, since then no request was served or refused."""
        values: dict[str, float | None] = dict.fromkeys(When)
        for when in self.seen:
            every = sum(mean[when] for mean in self.means.values())
            failed = sum(mean[when] for code, mean in self.means.items() if code.startswith("5"))
            values[when] = finite(failed / every) if every > 0 else None
        missing = self.why or _absent(values, self.of_times).replace("no readings", "no requests")
        return OutcomeRow(name="ErrorRate", unit=OF_REQUESTS, missing=missing, **_named(values))

    def rows(self) -> Iterable[OutcomeRow]:
        """Errors of servers first, then the most frequent codes; the others are summed up."""
        if self.why:
            yield OutcomeRow(name="HTTP", unit="per second", missing=self.why)
            return
        given = {code: mean for code, mean in self.means.items() if any(value > 0 for value in mean.values())}
        ranked = sorted(given, key=lambda code: (not code.startswith("5"), -max(given[code].values())))
        apart = ranked if len(ranked) <= MOST_CODES else ranked[: MOST_CODES - 1]
        for code in apart:
            yield self._row(f"HTTP {code}", [code])
        if rest := ranked[len(apart) :]:
            yield self._row("HTTP other", rest)

    def _row(self, name: str, codes: Sequence[str]) -> OutcomeRow:
        values: dict[str, float | None] = {
            when: finite(sum(self.means[code][when] for code in codes)) if when in self.seen else None for when in When
        }
        return OutcomeRow(name=name, unit="per second", missing=_absent(values, self.of_times), **_named(values))


def _named(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {str(when): value for when, value in values.items()}
