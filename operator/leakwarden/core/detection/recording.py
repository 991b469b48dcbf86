"""A recorded series: one signal of one incarnation of one process."""

from __future__ import annotations

from dataclasses import dataclass

from leakwarden.core.model.readings import Floats


@dataclass(frozen=True, slots=True)
class Series:
    """All arrays have the length of `t`; a missing scrape is NaN."""

    signal: str
    namespace: str
    workload: str
    pod: str
    uid: str
    start: float  # epoch s of the process's start
    limit: float | None  # in the unit of `v`; None where none is known
    t: Floats  # epoch s
    v: Floats
    rate: Floats | None = None  # requests/s
    gc: Floats | None = None  # completed GC cycles
    memory: bool | None = None  # whether it is memory; None: by the type of the signal's name
    # Bytes of `v` that the kernel cannot take back (RSS), of memory with its page cache.
    rss: Floats | None = None
    # s that requests take (their P99, as a signal LatencyP99 reads it); NaN where missing.
    latency: Floats | None = None
    page_cache: bool | None = None  # whether `v` holds page cache; None: by the type of the signal's name
