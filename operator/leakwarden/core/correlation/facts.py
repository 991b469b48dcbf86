"""The measurements of an episode: numbers that compare the bad moments with those before, None where not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.correlation.episode import Episode, PodReadings
from leakwarden.core.correlation.trouble import Trouble
from leakwarden.core.detection.rollups import Bools
from leakwarden.core.model.readings import Floats

GATEWAY_TIMEOUT = 504
# As quick as ever: latency below this ratio to the usual one.
AS_EVER = 1.4
# A resource counts as used up from here on: units that are freed and taken again within a scrape hide the last percent.
FULL = 0.95
# What the workload calls explains a climb during which it became slower by this factor: what waits for it piles up.
SLOWED = 1.5
# Share of the full value that a climb gains at least from its first to its second third: a steady line gains a third.
HALF_WAY = 0.1
# s around a start in which errors belong to it: connections to the one before die first, and the new one must warm up.
# A rate over a minute shows them up to a minute longer.
BEFORE_START, AFTER_START = 20.0, 75.0
# A pod without readings for more than so many moments at the end is gone; the source may repeat the last one twice.
GONE = 3
# s without a bad moment that part two bursts.
_APART = 30.0
# s before the restart of a process in which its memory is looked at: four readings at least of a scrape each 15 s.
MEMORY_BEFORE = 75.0


@dataclass(frozen=True, slots=True)
class Facts:
    """Ratios compare the median of the bad moments with the median before the first of them (or of all good moments,
    where it begins with the episode; of all moments where hardly one is good, so that 1 says that nothing changed). Shares are between 0 and 1."""

    bad: int  # moments
    error_share: float  # of the requests of the bad moments
    gateway_timeouts: float | None  # 504s among the errors, None without errors or where codes are not known
    load: float | None  # ratio
    carried: float | None  # s with as many requests as in the bad moments that were served as quickly as before
    latency: float | None  # ratio, of the workload's own P99, else as the proxy measures it
    dependency: float | None  # ratio
    waited: float | None  # the time of what the workload calls over its own, in bad moments
    goroutines: float | None  # ratio, of all pods together
    cpu: float | None  # of the busiest pod, median of the bad moments
    full: float | None  # share of the bad moments in which a pod's descriptors or pool were used up
    all_read: bool  # whether both descriptors and pools were read
    climbed: float | None  # rank correlation of that resource with time before it was full, 0 where none was full
    near_starts: float | None  # share of the errors that fell near the start of a new pod's first process
    replaced: bool  # whether pods ended as well: else pods were added
    near_restarts: float | None  # ... of a process that took the place of an earlier one in the same pod
    memory: float | None  # highest share of its limit before a restart near which errors fell
    start_time: float | None  # share of all moments that are near a start: the share expected by chance
    longest_burst: float  # s
    usual_over_timeout: float | None  # the workload's P99 in good moments over the proxy's timeout
    worst_over_timeout: float | None  # ... and in the bad ones
    own_errors: float | None  # share of requests that the workload itself answered with a 5xx, in bad moments


def facts(episode: Episode, of: Trouble) -> Facts:
    bad, failed = of.bad, of.weight * of.bad
    before = _before(of)
    latency = episode.own_p99 if episode.own_p99 is not None else episode.proxy_p99
    full, climbed = _used_up(episode, bad)
    ends = _ends(episode)
    near, chance = _near(episode, of, _replacements(episode, ends))
    again, _ = _near(episode, of, [start for pod in episode.pods for start in pod.restarts])
    errors = 0.0 if of.slowness else float(failed[bad].sum())
    late = np.nan_to_num(episode.errors.get(GATEWAY_TIMEOUT, np.zeros(episode.t.size)))
    return Facts(
        bad=int(np.count_nonzero(bad)),
        error_share=errors / max(float(np.nansum(episode.requests[bad])), 1e-9),
        gateway_timeouts=float(late[bad].sum()) / errors if errors > 0 and episode.codes_known else None,
        load=_ratio(episode.requests, bad, before),
        carried=_carried(episode, latency, of, before),
        latency=_ratio(latency, bad, before),
        dependency=_ratio(episode.dependency_p99, bad, before),
        waited=_over(_median(episode.dependency_p99, bad), _median(episode.own_p99, bad)),
        goroutines=_ratio(_together([pod.goroutines for pod in episode.pods]), bad, before),
        cpu=_median(_highest([pod.cpu for pod in episode.pods]), bad),
        full=full,
        all_read=all(
            any(values is not None for values in kind)
            for kind in ([pod.descriptors for pod in episode.pods], [pod.pool for pod in episode.pods])
        ),
        climbed=climbed,
        near_starts=near,
        replaced=bool(ends),
        near_restarts=again,
        memory=_memory_before(episode, bad),
        start_time=chance,
        longest_burst=_longest(episode.t, bad),
        usual_over_timeout=_over(_median(episode.own_p99, before), episode.timeout),
        worst_over_timeout=_over(_median(episode.own_p99, bad), episode.timeout),
        own_errors=_median(episode.own_errors, bad),
    )


def _before(of: Trouble) -> Bools:
    """The good moments before the first bad one; all good ones where these are too few; all where even those are."""
    first = int(np.argmax(of.bad))
    early = of.good & (np.arange(of.bad.size) < first)
    if np.count_nonzero(early) >= 6:
        return early
    return of.good if np.count_nonzero(of.good) >= 6 else np.ones(of.bad.size, np.bool_)


def _median(values: Floats | None, where: Bools) -> float | None:
    if values is None:
        return None
    some = values[where & ~np.isnan(values)]
    return float(np.median(some)) if some.size else None


def _ratio(values: Floats | None, bad: Bools, before: Bools) -> float | None:
    now, usual = _median(values, bad), _median(values, before)
    return now / usual if now is not None and usual is not None and usual > 0 else None


def _carried(episode: Episode, latency: Floats | None, of: Trouble, before: Bools) -> float | None:
    now, usual = _median(episode.requests, of.bad), _median(latency, before)
    if now is None or latency is None or usual is None:
        return None
    well = of.good & (episode.requests >= 0.95 * now) & (latency < AS_EVER * usual)
    return float(np.count_nonzero(well) * np.median(np.diff(episode.t)))


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
    best: tuple[float, float | None] | None = None
    for pod in episode.pods:
        for values in (pod.descriptors, pod.pool, pod.memory):
            if values is None or not (bad & ~np.isnan(values)).any():
                continue
            full = float(np.mean(values[bad & ~np.isnan(values)] >= FULL))
            climbed = _climb(episode, values, pod) if full > 0 else 0.0
            if values is pod.memory and not climbed:
                continue  # memory that is always nearly full is used well
            found = (full, climbed)
            best = found if best is None else max(best, found, key=lambda each: (each[0], each[1] or 0.0))
    return best if best is not None else (None, None)


def _climb(episode: Episode, values: Floats, pod: PodReadings) -> float | None:
    """How steadily it rose until it was first used up: Spearman's rank correlation with time, 0 where a dependency that
    got slower explains it. None where it was read too seldom before."""
    t = episode.t
    at = int(np.argmax(np.where(np.isnan(values), -np.inf, values) >= FULL))
    since = max((start for start in (*pod.starts, *pod.restarts) if start <= t[at]), default=-np.inf)
    there = ~np.isnan(values[:at]) & (t[:at] > since)
    some = values[:at][there]
    if some.size < 9:
        return None
    if some.max() <= some.min():
        return 0.0
    # A jump stands still until then: half-way through, a climb lies clearly above its beginning.
    third = some.size // 3
    if float(np.median(some[third : 2 * third])) - float(np.median(some[:third])) < HALF_WAY * FULL:
        return 0.0
    if (slowed := _slowed(episode.dependency_p99, np.flatnonzero(there))) is not None and slowed >= SLOWED:
        return 0.0
    ranks = _ranks(some)
    return float(np.corrcoef(ranks, np.arange(some.size))[0, 1])


def _slowed(values: Floats | None, at: NDArray[np.intp]) -> float | None:
    """The median of the last third of these moments over that of the first."""
    if values is None:
        return None
    third = at.size // 3
    first, last = values[at[:third]], values[at[-third:]]
    if np.isnan(first).all() or np.isnan(last).all() or np.nanmedian(first) <= 0:
        return None
    return float(np.nanmedian(last) / np.nanmedian(first))


def _ranks(values: Floats) -> Floats:
    """Equal values share the mean of their ranks: ranked in order of time, a flat line would seem to climb."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: Floats = ((last - counts + last - 1) / 2)[inverse].astype(np.float64)
    return found


def _near(episode: Episode, of: Trouble, moments: Sequence[float]) -> tuple[float | None, float | None]:
    """Shares of the errors and of all moments that are near one of these moments (epoch s)."""
    if not episode.starts_known or of.slowness:
        return None, None
    near = np.zeros(episode.t.size, np.bool_)
    for moment in moments:
        near |= _around(episode.t, moment)
    return float(of.weight[near & of.bad].sum() / of.weight[of.bad].sum()), float(near.mean())


def _ends(episode: Episode) -> list[float]:
    return [end for pod in episode.pods if (end := _end(episode.t, pod)) is not None]


def _replacements(episode: Episode, ends: Sequence[float]) -> list[float]:
    """When new pods began, and, where there are any, when others ended: a rollout ends the old ones when the new ones
    are ready, which may be much later than their beginning."""
    starts = [start for pod in episode.pods for start in pod.starts]
    return [*starts, *ends] if starts else []


def _end(t: Floats, pod: PodReadings) -> float | None:
    """The last reading of a pod that has none at the end of the episode."""
    read = [
        ~np.isnan(values)
        for values in (pod.descriptors, pod.pool, pod.goroutines, pod.cpu, pod.memory)
        if values is not None
    ]
    if not read:
        return None
    any_read = np.any(read, axis=0)
    if not any_read.any():
        return None
    last = float(t[np.flatnonzero(any_read)[-1]])
    return last if t[-1] - last > GONE * float(np.median(np.diff(t))) else None


def _around(t: Floats, start: float) -> Bools:
    found: Bools = (t >= start - BEFORE_START) & (t <= start + AFTER_START)
    return found


def _memory_before(episode: Episode, bad: Bools) -> float | None:
    known = []
    for pod in episode.pods:
        for start in pod.restarts:
            before = (episode.t >= start - MEMORY_BEFORE) & (episode.t < start)
            if pod.memory is None or not (bad & _around(episode.t, start)).any():
                continue
            known += [float(value) for value in pod.memory[before] if not np.isnan(value)]
    return max(known, default=None)


def _longest(t: Floats, bad: Bools) -> float:
    moments = t[bad]
    cuts = np.flatnonzero(np.diff(moments) > _APART)
    begins, ends = np.append(0, cuts + 1), np.append(cuts, moments.size - 1)
    return float((moments[ends] - moments[begins]).max())
