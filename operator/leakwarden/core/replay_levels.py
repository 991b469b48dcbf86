"""How recorded readings stand to a policy's threshold, for whole series at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leakwarden.core.cascade import Ints
from leakwarden.core.recording import Series
from leakwarden.core.standard import Standard, Standing
from leakwarden.core.threshold import held_above

# s; the operator reads every minute or more often. A recording may be coarser than anything it would ever read: then
# three of its intervals must be missing, or each reading would be stale before the next.
_USUAL = 60.0
# s; of readings further apart than two hours even the detector's widest buckets, of four, hold too few to judge. Without
# an end, two readings that lie years apart are replayed tick by tick from the one to the other.
_MOST = 6 * 3600.0


def patience(life: Sequence[Series], max_age: float) -> float:
    """Seconds without a reading after which the lines of one life say nothing any more. `max_age` is the policy's."""
    # A missing scrape makes a gap of two steps, so the shorter gaps tell the step.
    gaps = [np.diff(line.t) for line in life]
    step = max((float(np.quantile(each, 0.25)) for each in gaps if each.size), default=0.0)
    return max_age if step <= _USUAL else max(max_age, min(3 * step, _MOST))


def levels(life: Sequence[Series], standard: Standard, max_gap: float) -> list[Ints]:
    """The `Standing` of each reading of each line of one life; NaN readings count for nothing. As in the operator, all
    readings before are compared with the limit of now."""
    return [_of_line(line, life, standard, max_gap) for line in life]


def _of_line(line: Series, life: Sequence[Series], standard: Standard, max_gap: float) -> Ints:
    found = np.full(line.t.size, int(Standing.NOT_ASKED))
    if standard.above is None or not line.t.size:
        return found
    level = standard.level(line.limit)
    if level is None:
        found[:] = Standing.NO_LIMIT
        return found
    before = [(other.t < line.t[0]) & ~np.isnan(other.v) for other in life]
    there = ~np.isnan(line.v)
    t = np.concatenate([*(other.t[seen] for other, seen in zip(life, before, strict=True)), line.t[there]])
    v = np.concatenate([*(other.v[seen] for other, seen in zip(life, before, strict=True)), line.v[there]])
    order = np.argsort(t, kind="stable")
    held = held_above(t[order], v[order], level, max_gap)[t.size - int(there.sum()) :]
    above = np.where(held >= standard.above_for, int(Standing.HELD), int(Standing.ABOVE))
    found[there] = np.where(line.v[there] > level, above, int(Standing.BELOW))
    return found
