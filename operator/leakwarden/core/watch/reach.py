"""How rare a leak can be and still show: the rarest leak that the traffic of a watch was able to prove."""

from __future__ import annotations

import math

# Fewer things than this held at one line do not exhaust a process (core/profile/suspects.py has the same number).
LEAST = 10
# The 95 % quantile of the normal distribution.
_Z95 = 1.645


def expected_for(least: float) -> float:
    """The mean number of leaked things of which at least `least` are seen in 19 of 20 watches.

    Leaking requests come by a Poisson law, whose variance is its mean: the mean m solves m - 1.645 * sqrt(m) = least.
    For 10 it is 16.7, where the exact law has 15.7 (half of the chi-squared quantile at 20 degrees of freedom).
    """
    half = _Z95 / 2
    return (half + math.sqrt(half * half + least)) ** 2


def requests_needed(per_million: float, least: float = LEAST) -> int:
    """Requests that a leak of `per_million` needs to show. `per_million` above 0."""
    return math.ceil(expected_for(least) / per_million * 1e6)


def rarest_shown(requests: float, least: float = LEAST) -> float | None:
    """The rarest leak, in leaks per million requests, that so many requests would have shown; None where not even one
    in each request would have."""
    if requests < expected_for(least):
        return None
    return expected_for(least) / requests * 1e6
