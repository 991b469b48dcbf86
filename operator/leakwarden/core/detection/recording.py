"""A recorded series: one signal of one incarnation of one process."""

from __future__ import annotations

from dataclasses import dataclass

from leakwarden.core.model.readings import Floats


@dataclass(frozen=True, slots=True)
class Series:
    """`start` and `t` epoch seconds; `limit` in the unit of `v`, None where none is known; `rate` requests/s;
    `gc` completed GC cycles. `memory`: whether it is memory; None: by the type of that name. All arrays have the length
    of `t`; a missing scrape is NaN."""

    signal: str
    namespace: str
    workload: str
    pod: str
    uid: str
    start: float
    limit: float | None
    t: Floats
    v: Floats
    rate: Floats | None = None
    gc: Floats | None = None
    memory: bool | None = None
