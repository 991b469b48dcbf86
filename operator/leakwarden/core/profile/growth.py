"""The number of goroutines at each stack, capture by capture, and the growth that is more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from leakwarden.core.profile.baseline import SiteCounts, site_key
from leakwarden.core.profile.pprof import Profile
from leakwarden.core.profile.stacks import Group, groups

# Fewer goroutines than this at one line exhaust nothing, whatever they wait for.
FEW = 10
# In-flight requests come and go like a Poisson count; the difference of two has variance a + b. Four deviations
# are one false alarm in 30,000 lines looked at.
DEVIATIONS = 4.0
# Goroutines that are not of a request come and go less: those of the team's own, and those that a library runs for
# each of its objects; a few more of these are worth reporting.
STEADY, LIBRARYS, FEW_LIBRARYS = 3.0, 1.0, 5
# Growth slows down if the second half of the time brought less than this part of the first half's: a pool or a cache
# that fills, a warm-up.
SLOWING = 0.6
# s; growth over at least this time proves more than the work of a service within seconds.
MINUTES = 60.0


@dataclass(frozen=True, slots=True)
class Capture:
    """The profiles of one process, oldest first."""

    goroutines: Sequence[Profile]
    heaps: Sequence[Profile] = ()
    leaked: Profile | None = None  # the goroutineleak profile (Go 1.27); None where there is none, which proves nothing
    # From the first to the last goroutine profile; 0 where the profiles themselves hold their times.
    seconds: float = 0.0
    baseline: SiteCounts | None = None  # the counts of a healthy time
    baseline_seconds: float = 0.0  # from the baseline to the last capture

    @property
    def span(self) -> float:
        """Seconds over which growth is known."""
        return max(self.seconds, self.baseline_seconds if self.baseline is not None else 0.0)


@dataclass(slots=True)
class Series:
    """One number per capture."""

    values: list[float]
    base: float | None = None  # the number at the baseline; None without one

    @property
    def last(self) -> float:
        return self.values[-1] if self.values else 0.0

    @property
    def first(self) -> float:
        return self.values[0] if self.values else 0.0

    @property
    def lately(self) -> float:
        """Growth between the first and the last capture."""
        return self.last - self.first

    @property
    def grown(self) -> float:
        """Growth over the longest time known: since the baseline, where there is one."""
        return max(self.lately, self.last - self.base) if self.base is not None else self.lately

    @property
    def started(self) -> float:
        """The number that `grown` is counted from."""
        return self.last - self.grown

    @property
    def rises(self) -> bool:
        """Whether each capture, of three or more, has more than the one before."""
        return len(self.values) > 2 and all(a < b for a, b in zip(self.values, self.values[1:], strict=False))

    def slows(self, times: Sequence[float]) -> bool:
        """Whether the second half of the time brought clearly less than the first; needs three captures."""
        if len(self.values) < 3 or len(times) != len(self.values) or times[-1] <= times[0]:
            return False
        middle = times[0] + (times[-1] - times[0]) / 2
        half = min(range(1, len(times) - 1), key=lambda n: abs(times[n] - middle))
        before, after = times[half] - times[0], times[-1] - times[half]
        if before <= 0 or after <= 0:
            return False
        early = (self.values[half] - self.values[0]) / before
        late = (self.values[-1] - self.values[half]) / after
        return early > 0 and late < SLOWING * early

    def plus(self, other: Series) -> Series:
        base = None if self.base is None or other.base is None else self.base + other.base
        return Series([a + b for a, b in zip(self.values, other.values, strict=True)], base)


def beyond_noise(series: Series, deviations: float = DEVIATIONS, least: float = FEW) -> bool:
    """Whether a count of goroutines grew by more than requests that come and go explain."""
    return series.grown >= max(least, deviations * math.sqrt(max(0.0, series.started) + max(0.0, series.last)))


@dataclass(slots=True, eq=False)
class Standing:
    """The goroutines at one stack."""

    group: Group
    series: Series
    leaked: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


def standings(capture: Capture) -> list[Standing]:
    """Every stack of the captures with its counts. Raises ProfileError for profiles of a wrong kind."""
    found: dict[tuple[str, object], Standing] = {}
    size = max(1, len(capture.goroutines))
    for moment, profile in enumerate(capture.goroutines):
        for key, group in groups(profile).items():
            one = found.setdefault(key, Standing(group, Series([0.0] * size), 0, group.labels))
            one.series.values[moment] += group.count
            one.labels = {k: v for k, v in one.labels.items() if group.labels.get(k) == v}
    if capture.leaked is not None:
        for key, group in groups(capture.leaked).items():
            one = found.setdefault(key, Standing(group, Series([0.0] * size), 0, group.labels))
            one.leaked += group.count
    if capture.baseline is not None:
        for one in found.values():
            one.series.base = float(capture.baseline.goroutines_at(site_key(one.group.stack)))
    return list(found.values())
