"""Whether connections are held, rather than taken and returned."""

from __future__ import annotations

import numpy as np

from leakwarden.core.detection.rollups import Bools
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.trend import Trend
from leakwarden.core.model.readings import Floats

# The expected range of n draws from a normal distribution, over its standard deviation (Tippett, Biometrika 17, 1925).
_DRAWS = np.log([2.0, 4.0, 6.0, 10.0, 20.0, 50.0, 100.0, 500.0])
_RANGE = np.array([1.13, 2.06, 2.53, 3.08, 3.73, 4.50, 5.02, 6.07])


def expected_range(readings: Floats) -> Floats:
    """The expected range of so many independent readings, in standard deviations."""
    return np.asarray(np.interp(np.log(np.maximum(readings, 2.0)), _DRAWS, _RANGE))


def held(gates: Gates, raw: Trend, quantum: Floats, readings: Floats, counted: Bools) -> Bools:
    """`readings`: of a bucket. `counted`: whether the signal counts single things: no memory, no rounded metric.

    The number of connections that come and go independently follows a Poisson law, whose variance is its mean (their
    ratio is Fisher's index of dispersion), and the readings of a bucket spread accordingly. Leaked connections do not
    spread at all. A pool at its maximum cannot spread, and is not judged.
    """
    units = np.maximum(quantum, 1e-9)
    mean = np.maximum(raw.floor + raw.level, 0.0) / 2 / units
    deviation = np.maximum(raw.garbage - raw.slope, 0.0) / units / expected_range(readings)
    calm: Bools = deviation**2 < gates.held * mean
    return calm & counted & (quantum > gates.coarse) & (raw.level < 1 - quantum / 2)
