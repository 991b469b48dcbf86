"""The measurements of an episode: numbers that compare the bad moments with those before, None where not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leakwarden.core.correlation.episode import Episode, PodReadings
from leakwarden.core.detection.rollups import Bools
from leakwarden.core.model.readings import Floats

# A moment is bad where more of the requests fail; a proxy in front of sound services stays below a tenth of it.
BAD_SHARE = 0.01
# Bad moments must be so many, or there is no episode to explain.
LEAST_BAD = 2
# A resource counts as used up from here on: units that are freed and taken again within a scrape hide the last percent.
FULL = 0.95
# Share of the full value that a climb gains at least from its first to its second third: a steady line gains a third.
HALF_WAY = 0.1
# s around a start in which errors belong to it: connections to the one before die first, and the new one must warm up.
BEFORE_START, AFTER_START = 20.0, 45.0
# s without a bad moment that part two bursts.
_APART = 30.0


@dataclass(frozen=True, slots=True)
class Facts:
    """Ratios compare the median of the bad moments with the median before the first of them (or of all good moments,
    where it begins with the episode; of all moments where hardly one is good, so that 1 says that nothing changed). Shares are between 0 and 1."""

    bad: int  # moments
    error_share: float  # of the requests of the bad moments
    gateway_timeouts: float  # 504s among the errors
    load: float | None  # ratio
    latency: float | None  # ratio, of the workload's own P99, else as the proxy measures it
    dependency: float | None  # ratio
    goroutines: float | None  # ratio, of all pods together
    cpu: float | None  # of the busiest pod, median of the bad moments
    full: float | None  # share of the bad moments in which a pod's descriptors or pool were used up
    all_read: bool  # whether both descriptors and pools were read
    climbed: float | None  # rank correlation of that resource with time before it was full, 0 where none was
    near_starts: float | None  # share of the errors that fell near the start of a process
    start_time: float | None  # share of all moments that are near a start: the share expected by chance
    longest_burst: float  # s
    usual_over_timeout: float | None  # the workload's P99 in good moments over the proxy's timeout
    worst_over_timeout: float | None  # ... and in the bad ones
    own_errors: float | None  # share of requests that the workload itself answered with a 5xx, in bad moments


def facts(episode: Episode) -> Facts | None:
    """None where there is no episode: hardly any request failed."""
    failed = np.sum([np.nan_to_num(rates) for rates in episode.errors.values()], axis=0) + np.zeros(episode.t.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(episode.requests > 0, failed / episode.requests, 0.0)
    bad = share > BAD_SHARE
    if np.count_nonzero(bad) < LEAST_BAD:
        return None
    before = _before(bad)
    latency = episode.own_p99 if episode.own_p99 is not None else episode.proxy_p99
    full, climbed = _used_up(episode, bad)
    near, chance = _near_starts(episode, failed * bad)
    of_bad = float(failed[bad].sum())
    late = np.nan_to_num(episode.errors.get(504, np.zeros(episode.t.size)))
    return Facts(
        bad=int(np.count_nonzero(bad)),
        error_share=of_bad / max(float(np.nansum(episode.requests[bad])), 1e-9),
        gateway_timeouts=float(late[bad].sum()) / of_bad,
        load=_ratio(episode.requests, bad, before),
        latency=_ratio(latency, bad, before),
        dependency=_ratio(episode.dependency_p99, bad, before),
        goroutines=_ratio(_together([pod.goroutines for pod in episode.pods]), bad, before),
        cpu=_median(_highest([pod.cpu for pod in episode.pods]), bad),
        full=full,
        all_read=all(
            any(values is not None for values in kind)
            for kind in ([pod.descriptors for pod in episode.pods], [pod.pool for pod in episode.pods])
        ),
        climbed=climbed,
        near_starts=near,
        start_time=chance,
        longest_burst=_longest(episode.t, bad),
        usual_over_timeout=_over(_median(episode.own_p99, before), episode.timeout),
        worst_over_timeout=_over(_median(episode.own_p99, bad), episode.timeout),
        own_errors=_median(episode.own_errors, bad),
    )


def _before(bad: Bools) -> Bools:
    """The good moments before the first bad one; all good ones where these are too few; all where even those are."""
    first = int(np.argmax(bad))
    early = ~bad & (np.arange(bad.size) < first)
    if np.count_nonzero(early) >= 6:
        return early
    return ~bad if np.count_nonzero(~bad) >= 6 else np.ones(bad.size, np.bool_)


def _median(values: Floats | None, where: Bools) -> float | None:
    if values is None:
        return None
    some = values[where & ~np.isnan(values)]
    return float(np.median(some)) if some.size else None


def _ratio(values: Floats | None, bad: Bools, before: Bools) -> float | None:
    now, usual = _median(values, bad), _median(values, before)
    return now / usual if now is not None and usual is not None and usual > 0 else None


def _over(value: float | None, timeout: float | None) -> float | None:
    return value / timeout if value is not None and timeout is not None and timeout > 0 else None


def _together(parts: Sequence[Floats | None]) -> Floats | None:
    known = [part for part in parts if part is not None]
    return np.nansum(known, axis=0) if known else None


def _highest(parts: Sequence[Floats | None]) -> Floats | None:
    known = [np.where(np.isnan(part), -np.inf, part) for part in parts if part is not None]
    if not known:
        return None
    top = np.max(known, axis=0)
    return np.where(np.isfinite(top), top, np.nan)


def _used_up(episode: Episode, bad: Bools) -> tuple[float | None, float | None]:
    """Of the pod and resource that was used up longest."""
    best: tuple[float, float] | None = None
    for pod in episode.pods:
        for values in (pod.descriptors, pod.pool):
            if values is None or not (bad & ~np.isnan(values)).any():
                continue
            full = float(np.mean(values[bad & ~np.isnan(values)] >= FULL))
            found = (full, _climb(episode.t, values, pod) if full > 0 else 0.0)
            best = found if best is None else max(best, found)
    return best if best is not None else (None, None)


def _climb(t: Floats, values: Floats, pod: PodReadings) -> float:
    """How steadily it rose until it was first used up: Spearman's rank correlation with time."""
    at = int(np.argmax(np.where(np.isnan(values), -np.inf, values) >= FULL))
    since = max((start for start in pod.starts if start <= t[at]), default=-np.inf)
    there = ~np.isnan(values[:at]) & (t[:at] > since)
    some = values[:at][there]
    if some.size < 9 or some.max() <= some.min():
        return 0.0
    # A jump stands still until then: half-way through, a climb lies clearly above its beginning.
    third = some.size // 3
    if float(np.median(some[third : 2 * third])) - float(np.median(some[:third])) < HALF_WAY * FULL:
        return 0.0
    ranks = _ranks(some)
    return float(np.corrcoef(ranks, np.arange(some.size))[0, 1])


def _ranks(values: Floats) -> Floats:
    """Equal values share the mean of their ranks: ranked in order of time, a flat line would seem to climb."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: Floats = ((last - counts + last - 1) / 2)[inverse].astype(np.float64)
    return found


def _near_starts(episode: Episode, failed: Floats) -> tuple[float | None, float | None]:
    if not episode.starts_known:
        return None, None
    near = np.zeros(episode.t.size, np.bool_)
    for pod in episode.pods:
        for start in pod.starts:
            near |= (episode.t >= start - BEFORE_START) & (episode.t <= start + AFTER_START)
    return float(failed[near].sum() / failed.sum()), float(near.mean())


def _longest(t: Floats, bad: Bools) -> float:
    moments = t[bad]
    cuts = np.flatnonzero(np.diff(moments) > _APART)
    begins, ends = np.append(0, cuts + 1), np.append(cuts, moments.size - 1)
    return float((moments[ends] - moments[begins]).max())
