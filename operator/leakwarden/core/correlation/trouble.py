"""When users were served badly: the moments with too many errors, or, where there are hardly any, those that were slow.

Errors: 1 % of the requests and more. Where some requests fail all the time, the moments that stand out from that are
meant. Slowness: a P99 above the 200 ms that `scaleOutOnNeed` wants by default, and twice the usual one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leakwarden.core.correlation.episode import Episode
from leakwarden.core.detection.rollups import Bools
from leakwarden.core.model.readings import Floats

# A moment is bad where more of the requests fail; a proxy in front of sound services stays below a tenth of it.
BAD_SHARE = 0.01
# Bad moments must be so many, or there is no episode to explain.
LEAST_BAD = 2
# Moments stand out from errors that are always there by this factor over the share of the calmest fifth.
STANDS_OUT, CALMEST = 3.0, 0.2
# They are meant instead of all bad moments where they hold this share of the errors.
MOST_OF_IT = 0.5
SLOW = 0.2  # s
SLOWER = 2.0  # times the usual time: the P99 that three quarters of the moments are above
# One slow request is in the P99 of a whole window (a minute); a time that is slow lasts longer.
LEAST_SLOW = 120.0  # s
# s without a bad moment that part two bursts.
APART = 60.0
LEAST_FAILED = 5.0  # failed requests that make a burst of a single moment, as an access log has it
MOST_PARTS = 6  # parts that are looked at, those with most errors


@dataclass(frozen=True, slots=True)
class Trouble:
    """The bad moments. `weight` is the size of the trouble at each of them: failed requests per second, or 1 where it
    was slow."""

    bad: Bools
    good: Bools  # moments that compare with them
    weight: Floats
    slowness: bool  # whether it was slow without errors
    usual: Bools | None = None  # moments with the errors that are always there, from which the bad ones stand out

    def parts(self, t: Floats) -> Sequence[Trouble]:
        """Its bursts with most weight and the usual errors, in order of time; none where there is only one."""
        at = np.flatnonzero(self.bad)
        groups = np.split(at, np.flatnonzero(np.diff(t[at]) > APART) + 1)
        step = float(np.median(np.diff(t)))
        groups = [
            group
            for group in groups
            if group.size >= LEAST_BAD or float(self.weight[group].sum()) * step >= LEAST_FAILED
        ]
        if self.usual is not None:
            groups.append(np.flatnonzero(self.usual))
        if len(groups) < 2:
            return []
        largest = sorted(groups, key=lambda group: -float(self.weight[group].sum()))[:MOST_PARTS]
        found = []
        for group in sorted(largest, key=lambda each: int(each[0])):
            bad = np.zeros(t.size, np.bool_)
            bad[group] = True
            found.append(Trouble(bad, self.good, np.where(bad, self.weight, 0.0), self.slowness))
        return found


def trouble(episode: Episode) -> Trouble | None:
    """None where users were served well: hardly any request failed, and it was not slow."""
    failed = np.sum([np.nan_to_num(rates) for rates in episode.errors.values()], axis=0) + np.zeros(episode.t.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(episode.requests > 0, failed / episode.requests, 0.0)
    bad = share > BAD_SHARE
    if np.count_nonzero(bad) >= LEAST_BAD:
        above = _standing_out(share, failed, bad, episode.requests > 0)
        usual = bad & ~above
        more = usual if np.count_nonzero(usual) >= LEAST_BAD else None
        return Trouble(above, ~above, failed * bad, slowness=False, usual=more)
    slow = _slow(episode)
    return Trouble(slow, ~slow, slow.astype(np.float64), slowness=True) if slow.any() else None


def _standing_out(share: Floats, failed: Floats, bad: Bools, busy: Bools) -> Bools:
    usual = float(np.quantile(share[busy], CALMEST))
    above: Bools = bad & (share > STANDS_OUT * usual)
    enough = np.count_nonzero(above) >= LEAST_BAD and failed[above].sum() >= MOST_OF_IT * failed[bad].sum()
    return above if enough else bad


def _slow(episode: Episode) -> Bools:
    """In runs that last; at the proxy where it is known there, since users wait for it."""
    p99 = episode.proxy_p99 if episode.proxy_p99 is not None else episode.own_p99
    found = np.zeros(episode.t.size, np.bool_)
    if p99 is None or not np.isfinite(p99).any():
        return found
    usual = float(np.nanquantile(p99, 0.25))
    slow = np.nan_to_num(p99) > max(SLOW, SLOWER * usual)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], slow.astype(np.int8), [0]))))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if episode.t[end - 1] - episode.t[begin] >= LEAST_SLOW:
            found[begin:end] = True
    return found
