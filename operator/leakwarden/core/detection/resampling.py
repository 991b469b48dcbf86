"""Readings of other metrics, brought to the moments of a signal's readings; for many series at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from leakwarden.core.detection.rollups import Ints
from leakwarden.core.model.readings import Floats, Points, SeriesKey


def of_process(series: Mapping[SeriesKey, Points], key: SeriesKey) -> Points | None:
    """The readings of the container, else of its pod as a whole."""
    return series.get(key) or series.get(SeriesKey(key.namespace, key.pod))


def aligned(others: Sequence[Points | None], t: Floats, sizes: Ints) -> Floats:
    """The others' values at the moments `t`, NaN where they have none. `t` holds the moments of one series after the
    other, each ascending; `sizes` holds the number of moments of each series; `others` has one entry for each."""
    result = np.full(t.size, np.nan)
    ends = np.cumsum(sizes)
    # Usually both were read at the same moments, by one source: then the values are taken as they are.
    alike = [i for i, other in enumerate(others) if other is not None and other.t.size == sizes[i]]
    odd = [i for i, other in enumerate(others) if other is not None and other.t.size != sizes[i]]
    if alike:
        there = np.zeros(len(sizes), np.bool_)
        there[alike] = True
        place = slice(None) if len(alike) == len(sizes) else np.repeat(there, sizes)
        some = [other for i in alike if (other := others[i]) is not None]
        result[place] = np.concatenate([other.v for other in some])
        moved = np.concatenate([other.t for other in some]) != t[place]
        if moved.any():
            starts = np.cumsum(sizes[alike]) - sizes[alike]
            odd += np.asarray(alike)[np.logical_or.reduceat(moved, starts)].tolist()
    for i in odd:
        other = others[i]
        if other is not None:
            part = slice(ends[i] - sizes[i], ends[i])
            result[part] = values_at(other, t[part])
    return result


def values_at(other: Points, t: Floats) -> Floats:
    """One series' values at the moments `t`, ascending; NaN where it has none."""
    result = np.full(t.size, np.nan)
    if other.t.size:
        at = np.minimum(np.searchsorted(other.t, t), other.t.size - 1)
        same = other.t[at] == t
        result[same] = other.v[at[same]]
    return result


def values_beside(series: Mapping[SeriesKey, Points], key: SeriesKey, t: Floats) -> Floats:
    """The readings of a process, at the moments `t`, ascending; NaN where there is none."""
    other = of_process(series, key)
    return np.full(t.size, np.nan) if other is None else values_at(other, t)
