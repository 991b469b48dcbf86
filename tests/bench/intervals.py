"""95 % intervals of shares and of rates whose events come in clumps: the pods of one workload are not independent.

A share gets Wilson's interval (J. Am. Stat. Assoc. 22, 1927) and a rate Garwood's for Poisson counts (Biometrika 28,
1936, its chi-square quantiles after Wilson and Hilferty, PNAS 17, 1931), each with the number of
independent observations, reduced by the clumps: Kish's design effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_Z = 1.96  # the two-sided 95 % quantile of the normal distribution


def share(hits: Sequence[float], trials: Sequence[float]) -> tuple[float, float]:
    """The interval of the share sum(hits) / sum(trials); one entry per clump. NaN without trials."""
    n = float(sum(trials))
    if n == 0:
        return math.nan, math.nan
    p = sum(hits) / n
    if 0 < p < 1:
        spread = sum((h - p * t) ** 2 for h, t in zip(hits, trials, strict=True)) / n**2
        effective = n / max(spread / (p * (1 - p) / n), 1.0)
    else:  # all clumps agree: each counts once
        effective = float(sum(1 for t in trials if t > 0))
    middle = p + _Z**2 / (2 * effective)
    half = _Z * math.sqrt(p * (1 - p) / effective + _Z**2 / (4 * effective**2))
    scale = 1 + _Z**2 / effective
    return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)


def rate(events: Sequence[float], exposure: float) -> tuple[float, float]:
    """The interval of the rate sum(events) / exposure; `events` has one entry per clump. NaN without exposure."""
    if exposure <= 0:
        return math.nan, math.nan
    total = float(sum(events))
    squares = float(sum(each * each for each in events))
    clump = squares / total if total else 1.0  # the number of events that come at once
    count = total / clump
    return _chi_square(-_Z, 2 * count) / 2 * clump / exposure, _chi_square(_Z, 2 * count + 2) / 2 * clump / exposure


def _chi_square(z: float, degrees: float) -> float:
    """The quantile at the normal quantile `z`; exact for two degrees, which an interval without events needs."""
    if degrees <= 0:
        return 0.0
    if degrees == 2 and z > 0:
        return -2 * math.log(0.025)
    a = 2 / (9 * degrees)
    return degrees * max(1 - a + z * math.sqrt(a), 0.0) ** 3
