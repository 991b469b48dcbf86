"""The load of a service whose requests take longer than usual: the requests in flight.

As many requests are in flight as rate times latency (Little, Operations Research 9, 1961). While latency is as usual they
follow the rate, which then is the load as it is. While a dependency is slow they are a multiple of that, and so is what they
hold: goroutines, sockets, a pool's connections. The rate is multiplied by how many times longer than usual they take,
so that a level is explained by the requests that wait as it is by the requests that come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from leakwarden.core.detection.resampling import of_process, values_at
from leakwarden.core.model.readings import Floats, Points, SeriesKey

# A P99 wavers by a quarter from reading to reading; below this multiple of the usual one it is as usual.
SLOW = 1.5
SLOWLY = 0.1  # the share by which slow times count for the usual latency: a brown-out of hours must not become usual
MEMORY = 86_400.0  # s for which a latency counts for the usual one
SETTLED = 600.0  # s of latency that must be known before any is called slow


@dataclass(slots=True)
class _Usual:
    log: float = 0.0  # mean logarithm of the latency
    seconds: float = 0.0  # for which it was known, `MEMORY` at the most
    last: float = -np.inf  # epoch s of the latest reading


@dataclass(slots=True)
class UsualLatency:
    """The usual latency of each process, learnt from its own past."""

    _of: dict[SeriesKey, _Usual] = field(default_factory=dict)

    def slowdown(self, key: SeriesKey, t: Floats, latency: Floats) -> Floats:
        """How many times longer than usual requests took at the moments `t` (epoch s, ascending); 1 where it is not
        known. `latency`: s, NaN where missing. Each moment is compared with those before it only, and learnt once,
        however often it is read."""
        usual = self._of.setdefault(key, _Usual())
        result = np.ones(t.size)
        for i, (moment, seconds) in enumerate(zip(t.tolist(), latency.tolist(), strict=True)):
            if not seconds > 0 or seconds == np.inf:
                continue
            log = float(np.log(seconds))
            slow = usual.seconds >= SETTLED and log - usual.log > np.log(SLOW)
            if slow:
                result[i] = np.exp(log - usual.log)
            if moment > usual.last:
                gap = min(moment - usual.last, SETTLED / 2) if np.isfinite(usual.last) else 1.0
                gap *= SLOWLY if slow else 1.0
                usual.seconds = min(usual.seconds + gap, MEMORY)
                usual.log += (log - usual.log) * gap / usual.seconds
                usual.last = moment
        return result

    def in_flight(
        self, rate: Mapping[SeriesKey, Points], latency: Mapping[SeriesKey, Points]
    ) -> Mapping[SeriesKey, Points]:
        """`rate` (requests/s), multiplied where requests took longer than usual; the same object where none did."""
        slowed: dict[SeriesKey, Points] = {}
        for key in rate if latency else ():
            took = of_process(latency, key)
            if took is None:
                continue
            points = rate[key]
            longer = self.slowdown(key, points.t, values_at(took, points.t))
            if (longer > 1).any():
                slowed[key] = Points(points.t, points.v * longer)
        return {**rate, **slowed} if slowed else rate

    def keep(self, keys: Mapping[SeriesKey, Points]) -> None:
        """Forget all processes but these."""
        for key in self._of.keys() - keys.keys():
            del self._of[key]
