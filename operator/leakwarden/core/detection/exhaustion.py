"""The time until the limit is reached."""

from __future__ import annotations

import numpy as np

from leakwarden.core.detection.trend import Trend
from leakwarden.core.model.readings import Floats


def exhaustion(trend: Trend, width: float) -> tuple[Floats, Floats, Floats]:
    """Seconds from the window's end until the ceiling reaches the limit: best, low and high estimate."""
    room = np.maximum(1.0 - trend.level, 0.0)
    # Garbage grows with live memory, so the ceiling may climb faster than the floor; 2.5 times covers GOGC=100.
    faster = np.clip(trend.slope_ceiling, trend.slope, 2.5 * np.maximum(trend.slope, 0.0))
    # Accelerating growth is faster at the end of the window than on average; the parabola's end is an unsteady guess.
    faster = faster * np.clip(trend.late, 1.0, 1.5)
    stretch = np.where(trend.slope > 0, faster / np.maximum(trend.slope, 1e-12), 1.0)

    def seconds(slope: Floats) -> Floats:
        return np.where(slope > 1e-12, room / np.maximum(slope, 1e-12) * width, np.inf)

    return seconds(faster), seconds(np.maximum(trend.slope_high, trend.slope) * stretch), seconds(trend.slope_low)
