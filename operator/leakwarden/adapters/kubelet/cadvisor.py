"""The kubelet's /metrics/cadvisor, reduced to the needed series, and a bounded memory of them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from leakwarden.core.model.readings import Points, SeriesKey
from leakwarden.core.signals.catalogue import CATALOGUE, KUBELET_CONTEXT, Families, real_limit

FORGET_AFTER = 600.0  # s; a container that was not seen for this long is gone
LIMIT_AGE = 300.0  # s; as for Prometheus
RING = 1440  # the most buckets that are kept of a series: a day at one minute
# A clock that is two minutes ahead of ours cannot be used; such readings would stay the newest for ever.
CLOCK_SKEW = 120.0  # s


class MetricSample(NamedTuple):
    family: str
    key: SeriesKey
    t: float  # epoch s
    v: float


def _families() -> dict[str, tuple[str, str] | None]:
    """The families that are read: the name of each, and the label that picks one of its series."""
    found: dict[str, tuple[str, str] | None] = {families.value: None for families in KUBELET_CONTEXT.values()}
    for row in CATALOGUE.values():
        if row.kubelet is not None:
            found[row.kubelet.value] = None
            if row.kubelet.limit is not None:
                found[row.kubelet.limit] = row.kubelet.limit_label
            if row.kubelet.processes is not None:
                found[row.kubelet.processes] = None
    return found


_FAMILIES = _families()


def parse(text: str, now: float) -> list[MetricSample]:
    """The samples of containers, with cAdvisor's time stamps, or `now`. Raises ValueError for text that is not an
    exposition."""
    samples = []
    for family in text_string_to_metric_families("\n".join(_needed(text)) + "\n"):
        picked = _FAMILIES.get(family.name)
        for sample in family.samples:
            labels = sample.labels
            container, pod, namespace = (labels.get(name, "") for name in ("container", "pod", "namespace"))
            # A sample without a container is of the pod's own cgroup or its pause container.
            if container in ("", "POD") or not pod or not namespace or not math.isfinite(sample.value):
                continue
            if picked is not None and labels.get(picked[0]) != picked[1]:
                continue
            t = float(sample.timestamp) if sample.timestamp is not None else now
            if t <= now + CLOCK_SKEW:
                samples.append(
                    MetricSample(family.name, SeriesKey(namespace, pod, container), min(t, now), sample.value)
                )
    return samples


def _needed(text: str) -> Iterator[str]:
    for line in text.splitlines():
        name = line.partition("{")[0]
        if name in _FAMILIES:
            yield line


@dataclass(slots=True)
class _Bucket:
    """The floor of one bucket."""

    end: float  # epoch s
    floor: float
    known: float  # epoch s at which its first sample was read


@dataclass(slots=True)
class _Ring:
    seen: float  # epoch s of the newest sample
    latest: float
    buckets: deque[_Bucket] = field(default_factory=lambda: deque(maxlen=RING))


@dataclass(slots=True)
class Memory:
    """The floors of the samples, by family and series, in buckets of `step` seconds, `lookback` seconds back."""

    step: float
    lookback: float = FORGET_AFTER
    _rings: dict[str, dict[SeriesKey, _Ring]] = field(default_factory=dict)

    def add(self, samples: Iterable[MetricSample], now: float) -> None:
        for sample in samples:
            rings = self._rings.setdefault(sample.family, {})
            ring = rings.get(sample.key)
            if ring is None:
                ring = rings[sample.key] = _Ring(seen=-math.inf, latest=sample.v)
            # The kubelet repeats a sample until cAdvisor has measured again, every 10 to 20 s. For a restarted
            # container it has two for a while, and the older one is over.
            if sample.t <= ring.seen:
                continue
            ring.seen, ring.latest = sample.t, sample.v
            end = math.ceil(sample.t / self.step) * self.step
            if ring.buckets and ring.buckets[-1].end == end:
                ring.buckets[-1].floor = min(ring.buckets[-1].floor, sample.v)
            else:
                ring.buckets.append(_Bucket(end, sample.v, now))
        self._forget(now)

    def _forget(self, now: float) -> None:
        for rings in self._rings.values():
            for key in [key for key, ring in rings.items() if ring.seen < now - FORGET_AFTER]:
                del rings[key]
            for ring in rings.values():
                while ring.buckets and ring.buckets[0].end < now - self.lookback:
                    ring.buckets.popleft()

    def keys(self, family: str) -> Iterable[SeriesKey]:
        return self._rings.get(family, {}).keys()

    def points(self, family: str, key: SeriesKey, since: float, now: float, drop_zeros: bool) -> Points | None:
        """Complete buckets that end after `since`, or became known after it: cAdvisor's samples reach us late."""
        ring = self._rings[family][key]
        new = [b for b in ring.buckets if b.end <= now and max(b.end, b.known) > since]
        if drop_zeros:
            new = [bucket for bucket in new if bucket.floor != 0]
        if not new:
            return None
        return Points(
            t=np.array([b.end for b in new], dtype=np.float64), v=np.array([b.floor for b in new], dtype=np.float64)
        )

    def complete(self, family: str, keys: Iterable[SeriesKey], now: float) -> bool:
        """Whether any of these series has, or had, a bucket that has ended."""
        rings = self._rings.get(family, {})
        return any(not rings[key].buckets or rings[key].buckets[0].end <= now for key in keys)

    def all_zero(self, family: str, keys: Iterable[SeriesKey]) -> bool:
        """Whether these series have never had a value other than zero."""
        rings = self._rings.get(family, {})
        return all(rings[key].latest == 0 and all(b.floor == 0 for b in rings[key].buckets) for key in keys)

    def limit(self, families: Families, key: SeriesKey, now: float) -> float | None:
        """The limit of the container as a whole; None where it is that of one process among several, or where their
        number is not known."""
        if families.processes is not None:
            processes = self._newest(families.processes, key, now)
            if processes is None or processes > 1:
                return None
        newest = self._newest(families.limit or "", key, now)
        return real_limit(newest) if newest is not None else None

    def _newest(self, family: str, key: SeriesKey, now: float) -> float | None:
        ring = self._rings.get(family, {}).get(key)
        return ring.latest if ring is not None and ring.seen >= now - LIMIT_AGE else None
