"""Recorded readings compared with a policy's threshold, for whole series at once."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.rollups import Ints
from leakwarden.core.model.readings import Floats
from leakwarden.core.signals.catalogue import holds_page_cache
from leakwarden.core.signals.criteria import FULL, Standard, Standing
from leakwarden.core.signals.threshold import held_above

# s; the operator reads every minute or more often. A recording may be coarser than that: then three of its intervals
# must be missing, or each reading would be stale before the next.
_USUAL = 60.0
# s; with readings further apart than two hours even the detector's widest buckets, of four, hold too few to judge.
# Without this bound, two readings that are years apart would be replayed tick by tick from one to the other.
_MOST = 6 * 3600.0
NOT_FULL, AT_LIMIT, FULL_HELD = range(3)
_SHORTER = 4  # this share of the gaps (one in four) is not longer than the assumed step


def patience(life: Sequence[Series], max_age: float) -> list[Floats]:
    """For each reading of each line of one incarnation: the seconds without another reading after which it is stale,
    estimated from the readings up to it. `max_age` is the policy's."""
    t = np.unique(np.concatenate([line.t for line in life]))
    gaps = np.diff(t)
    found = np.full(t.size, max_age)
    # A missing scrape makes a gap of two steps, so the shorter gaps show the step.
    usual = np.cumsum(gaps <= _USUAL) * _SHORTER >= np.arange(1, t.size)
    if not usual.all():
        shortest: list[float] = []
        for k, gap in enumerate(gaps.tolist()):
            insort(shortest, gap)
            if not usual[k]:
                found[k + 1] = max(max_age, min(3 * shortest[k // _SHORTER], _MOST))
    return [found[np.searchsorted(t, line.t)] for line in life]


def levels(life: Sequence[Series], standard: Standard, max_gap: Sequence[Floats]) -> list[Ints]:
    """The `Standing` of each reading of each line of one incarnation; NaN readings are ignored; `max_gap`: the result
    of `patience`. As in the operator, all earlier readings are compared with the present limit."""
    return [_of_line(line, own, life, standard, max_gap) for line, own in zip(life, max_gap, strict=True)]


def fullness(life: Sequence[Series], standard: Standard, max_gap: Sequence[Floats]) -> list[Ints]:
    """For each reading of each line of one incarnation: `NOT_FULL`, or at its limit (`AT_LIMIT`), or at it for as long
    as the policy requires (`FULL_HELD`)."""
    found = []
    life = [_that_stays(line) for line in life]
    for line, own in zip(life, max_gap, strict=True):
        told = np.full(line.t.size, NOT_FULL)
        if standard.growth and line.limit is not None and line.limit > 0 and line.t.size:
            there = ~np.isnan(line.v)
            held = _held(line, own, life, max_gap, level=FULL * line.limit)
            # Page cache is taken back before the limit is reached, so a full working set alone is not exhausted.
            sure = line.rss is not None or not of_page_cache(line)
            full = np.where((held >= standard.full_for) & sure, FULL_HELD, AT_LIMIT)
            told[there] = np.where(line.v[there] > FULL * line.limit, full, NOT_FULL)
        found.append(told)
    return found


def of_page_cache(line: Series) -> bool:
    """Whether the readings of a line hold page cache."""
    return holds_page_cache(line.signal) if line.page_cache is None else line.page_cache


def _that_stays(line: Series) -> Series:
    """The line without its page cache, where that is known."""
    return line if line.rss is None or not of_page_cache(line) else replace(line, v=np.minimum(line.rss, line.v))


def _of_line(
    line: Series, own_gap: Floats, life: Sequence[Series], standard: Standard, max_gap: Sequence[Floats]
) -> Ints:
    found = np.full(line.t.size, int(Standing.NOT_ASKED))
    if standard.above is None or not line.t.size:
        return found
    level = standard.level(line.limit)
    if level is None:
        found[:] = Standing.NO_LIMIT
        return found
    there = ~np.isnan(line.v)
    held = _held(line, own_gap, life, max_gap, level=level)
    above = np.where(held >= standard.above_for, int(Standing.HELD), int(Standing.ABOVE))
    found[there] = np.where(line.v[there] > level, above, int(Standing.BELOW))
    return found


def _held(line: Series, own_gap: Floats, life: Sequence[Series], max_gap: Sequence[Floats], *, level: float) -> Floats:
    """Seconds for which the existing readings of the line have been above the level."""
    before = [(other.t < line.t[0]) & ~np.isnan(other.v) for other in life]
    there = ~np.isnan(line.v)
    t = np.concatenate([*(other.t[seen] for other, seen in zip(life, before, strict=True)), line.t[there]])
    v = np.concatenate([*(other.v[seen] for other, seen in zip(life, before, strict=True)), line.v[there]])
    gap = np.concatenate([*(each[seen] for each, seen in zip(max_gap, before, strict=True)), own_gap[there]])
    order = np.argsort(t, kind="stable")
    held: Floats = held_above(t[order], v[order], level, gap[order][:-1])
    return held[t.size - int(there.sum()) :]
