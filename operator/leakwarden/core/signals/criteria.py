"""A policy's criteria for one signal, and how its threshold and its growth are joined to one verdict.

The operator judges pod by pod and `backtest` whole recordings at once; both use this module, so that they give the same
verdicts for the same readings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache

from leakwarden.api.scalars import Amount, parse_amount, parse_duration
from leakwarden.api.v1alpha1.signal import Signal
from leakwarden.core.model.judgement import SEVERITY, Verdict


class JudgementReason(StrEnum):
    """The reason of a judgement, in addition to the detector's own reasons (core/detection/verdict.py).

    | verdict | reason | what it means |
    |---|---|---|
    | Healthy | WithinLimits | below the threshold, or the alert is not firing |
    | Suspect | AboveThreshold | above the threshold, but not for long enough yet |
    | Exhausting | ThresholdHeld | every reading lay above the threshold for as long as the policy asks |
    | Exhausting | Full | at its limit for as long as the policy asks, whether it grows or not; Suspect before |
    | Suspect | FilledByLoad | at its limit, but its load fills it, or it came back from as long a time at it before |
    | Suspect | SharedCause | many pods came to the level at once, in a step: a dependency, not a leak |
    | Exhausting | NeedsReplicas | the Deployment is loaded and does not leak; spec.remediation.scaleOutOnNeed asks for more |
    | Exhausting | AlertFiring | the alert is firing for this pod |
    | Unknown | WarmingUp | the source has just begun to read, or growth has not been judged yet |
    | Unknown | TooFewReadings | too few readings to judge by |
    | Unknown | Stale | the newest reading is older than maxAge, or ahead of the clock |
    | Unknown | NoLimit | it is read, but its limit is not known |
    | Unknown | NoSeries | this pod has no series of it |
    | Unknown | ConstantZero | only zeros are exported, which means that it is not measured |
    | Unknown | TooLittleTraffic | fewer requests than minRequestRate: a symptom of so few says nothing |
    | Unknown | NoRequestRate | the rate of requests is not known, so a symptom cannot be weighed |
    | Unknown | NothingAsked | growth is off and there is no threshold |
    """

    WITHIN_LIMITS = "WithinLimits"
    ABOVE_THRESHOLD = "AboveThreshold"
    THRESHOLD_HELD = "ThresholdHeld"
    FULL = "Full"
    FILLED_BY_LOAD = "FilledByLoad"
    SHARED_CAUSE = "SharedCause"
    NEEDS_REPLICAS = "NeedsReplicas"
    ALERT_FIRING = "AlertFiring"
    WARMING_UP = "WarmingUp"
    TOO_FEW_READINGS = "TooFewReadings"
    STALE = "Stale"
    NO_LIMIT = "NoLimit"
    NO_SERIES = "NoSeries"
    CONSTANT_ZERO = "ConstantZero"
    TOO_LITTLE_TRAFFIC = "TooLittleTraffic"
    NO_REQUEST_RATE = "NoRequestRate"
    NOTHING_ASKED = "NothingAsked"


# Share of a limit. The last 5 % of a pool or of descriptors are used up between two readings.
FULL = 0.95


@dataclass(frozen=True, slots=True)
class Standard:
    """The criteria of a policy for one signal. The defaults are those of a policy without these fields."""

    exhausts_within: float = 3600.0  # s
    max_age: float = 120.0  # s
    growth: bool = True
    above: Amount | None = None  # None where there is no threshold
    above_for: float = 300.0  # s

    @property
    def of_growth(self) -> tuple[float, float, float | None]:
        """The criteria that the growth of readings is judged by; standards that agree in them share one finding."""
        absolute = self.above.value if self.above is not None else None
        return (self.exhausts_within, self.max_age, absolute)

    @property
    def full_for(self) -> float:
        """Seconds at its limit after which a signal is Exhausting: the threshold's time, or the usual one without one."""
        return self.above_for if self.above is not None else Standard().above_for

    def level(self, limit: float | None) -> float | None:
        """The threshold in the signal's unit; None where there is none, or a share of a limit that is not known."""
        if self.above is None:
            return None
        if self.above.share is None:
            return self.above.value
        return None if limit is None else self.above.share * limit

    def bound(self, limit: float | None) -> float | None:
        """The limit that growth is judged against. Goroutines, sockets and a pool without a maximum have no limit of
        their own; the number from which the policy calls them exhausted is used."""
        if limit is not None or self.above is None or self.above.value is None or self.above.value <= 0:
            return limit
        return self.above.value


def standard_of(signal: Signal, max_age: str) -> Standard:
    """`max_age` as it is written in the policy's spec.source.maxAge. Equal criteria are one object, so that the standards
    of thousands of workloads are compared quickly."""
    threshold = signal.threshold
    return _standard(
        signal.growth.exhausts_within,
        max_age,
        signal.growth.enabled,
        threshold.above if threshold is not None else None,
        threshold.for_ if threshold is not None else "0s",
    )


@lru_cache(maxsize=4096)
def _standard(exhausts_within: str, max_age: str, growth: bool, above: str | None, above_for: str) -> Standard:
    return Standard(
        exhausts_within=parse_duration(exhausts_within),
        max_age=parse_duration(max_age),
        growth=growth,
        above=parse_amount(above) if above is not None else None,
        above_for=parse_duration(above_for),
    )


class Standing(IntEnum):
    """The newest reading compared with the threshold."""

    NOT_ASKED = 0
    NO_LIMIT = 1  # a share of a limit that is not known
    BELOW = 2
    ABOVE = 3
    HELD = 4  # above it for its time


LEVEL_SAYS: Mapping[Standing, tuple[Verdict, JudgementReason]] = {
    Standing.NO_LIMIT: (Verdict.UNKNOWN, JudgementReason.NO_LIMIT),
    Standing.BELOW: (Verdict.HEALTHY, JudgementReason.WITHIN_LIMITS),
    Standing.ABOVE: (Verdict.SUSPECT, JudgementReason.ABOVE_THRESHOLD),
    Standing.HELD: (Verdict.EXHAUSTING, JudgementReason.THRESHOLD_HELD),
}
# Neither a threshold nor growth is configured: a signal that is not judged is not Healthy.
NOTHING_ASKED = (Verdict.UNKNOWN, JudgementReason.NOTHING_ASKED)


def growth_speaks(level: Standing, growth: Verdict | None) -> bool:
    """Whether growth decides the verdict, or else the threshold does. `growth` None: it is not judged.

    The more severe one decides; of equals the threshold, which is easier to check. An Unknown one decides only where
    the other is absent or Unknown too: a reading within its threshold is Healthy although growth still warms up.
    """
    if growth is None or level is Standing.NOT_ASKED:
        return growth is not None
    said, _ = LEVEL_SAYS[level]
    if (growth is Verdict.UNKNOWN) != (said is Verdict.UNKNOWN):
        return said is Verdict.UNKNOWN
    return SEVERITY[growth] > SEVERITY[said]
