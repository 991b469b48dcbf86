"""A Prometheus played for pods that come and go: it follows the API server and has readings of each pod for as long as
the pod has been there.

Load goes up and down by the day and differs between workloads; descriptors, sockets, goroutines, memory and connections
follow it. A pod of a leaking Deployment opens descriptors, and goroutines with them, from its start on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.bench.scale.world import LIMIT, SHAPES

Values = npt.NDArray[np.float64]

DAY = 86_400.0  # s
MIB = float(1 << 20)
KEPT = 3600.0  # s for which readings of pods that are gone are shown
BASE = 60.0  # descriptors of a pod without load
POOL = 50.0  # connections a pool may have
# A leaking pod reaches its limit within so many hours; each pod in its own time.
FULL_AFTER = (8.0, 24.0)


@dataclass(slots=True)
class LivePod:
    """Times are epoch s of the operator's clock."""

    head: bytes  # its labels, as JSON up to the values
    shape: int
    started: float
    leaks: float = 0.0  # descriptors per s
    gone: float | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One quantity: its value by load (around 1), by a noise of about one, and by the descriptors leaked so far."""

    pattern: re.Pattern[str]
    value: Callable[[Values, Values, Values], Values]


KINDS = (
    Kind(re.compile("process_max_fds"), lambda load, noise, leaked: np.full_like(load, LIMIT)),
    Kind(re.compile("go_sql_max_open_connections"), lambda load, noise, leaked: np.full_like(load, POOL)),
    Kind(re.compile("process_open_fds"), lambda load, noise, leaked: BASE + 40 * load + 3 * noise + leaked),
    Kind(re.compile("container_sockets"), lambda load, noise, leaked: 20 + 30 * load + 3 * noise),
    Kind(re.compile("go_goroutines"), lambda load, noise, leaked: 30 + 50 * load + 4 * noise + leaked),
    Kind(re.compile("go_memstats_heap"), lambda load, noise, leaked: (30 + 15 * load + 2 * noise + leaked / 40) * MIB),
    Kind(re.compile("go_sql_in_use"), lambda load, noise, leaked: 3 + 4 * load + noise),
    Kind(re.compile("container_memory_working_set"), lambda load, noise, leaked: (90 + 20 * load + 3 * noise + leaked / 40) * MIB),
    Kind(re.compile("container_memory_rss"), lambda load, noise, leaked: (70 + 20 * load + 2 * noise + leaked / 40) * MIB),
    Kind(re.compile("go_gc_duration_seconds_count"), lambda load, noise, leaked: load),
    Kind(re.compile("http_requests_total|requests_total"), lambda load, noise, leaked: 20 * load + noise),
)  # fmt: skip

# The services export no histogram of their latency and no waits for the pool, as many do not; what looks for the cause
# of a leak asks for them all the same.
NOT_EXPORTED = re.compile("duration_seconds_bucket|http_server_requests_seconds_bucket|go_sql_wait_count_total")
NOTHING = b'{"status":"success","data":{"resultType":"%s","result":[]}}'


def kind_of(query: str) -> Kind:
    """The quantity of a query. Raises LookupError for one that is not played: silence would look like missing data."""
    for each in KINDS:
        if each.pattern.search(query):
            return each
    raise LookupError(query)


class LiveReadings:
    """`now` gives the time up to which there are readings."""

    def __init__(self, leaks: Callable[[str], bool], now: Callable[[], float], began: float) -> None:
        """`leaks`: whether the workload of that name leaks. `began`: epoch s from which its days are counted."""
        self._leaks = leaks
        self._now = now
        self._began = began
        self._pods: dict[str, LivePod] = {}
        self.gaps: list[tuple[float, float]] = []  # without samples, epoch s
        rng = np.random.default_rng(7)
        self._phase = rng.uniform(0, DAY, SHAPES)
        self._swing = rng.uniform(0.2, 0.7, SHAPES)
        self._scale = rng.uniform(0.5, 2.0, SHAPES)
        self._noise = rng.normal(size=2003)
        self._rng = rng

    def put(self, uid: str, namespace: str, name: str, workload: str, started: float) -> None:
        if uid in self._pods:
            return
        labels = json.dumps({"namespace": namespace, "pod": name, "container": "app"}).encode()
        leaks = 0.0
        if self._leaks(workload):
            leaks = (LIMIT - BASE) / (self._rng.uniform(*FULL_AFTER) * 3600)
        self._pods[uid] = LivePod(b'{"metric":%s,' % labels, sum(map(ord, uid)) % SHAPES, started, leaks)

    def drop(self, uid: str) -> None:
        pod = self._pods.get(uid)
        if pod is not None and pod.gone is None:
            pod.gone = self._now()

    def keep_only(self, uids: set[str]) -> None:
        """After a list: all others are gone."""
        for uid in self._pods.keys() - uids:
            self.drop(uid)
        old = self._now() - KEPT
        for uid in [uid for uid, pod in self._pods.items() if pod.gone is not None and pod.gone < old]:
            del self._pods[uid]

    def load(self, shape: int, t: Values) -> Values:
        """Around 1, by the time of day."""
        wave = np.sin(2 * np.pi * (t - self._began + self._phase[shape]) / DAY)
        return np.asarray(self._scale[shape] * (1 + self._swing[shape] * wave))

    def _values(self, kind: Kind, shape: int, t: Values, leaked: Values) -> Values:
        if kind.pattern.pattern == "go_gc_duration_seconds_count":
            return np.floor((t - self._began + 1e6) / 120.0)  # a collection every two minutes
        noise = self._noise[((t // 15).astype(np.int64) * 7 + shape * 31) % len(self._noise)]
        return np.maximum(kind.value(self.load(shape, t), noise, leaked), 1.0)

    def _written(self, t: Values, v: Values) -> bytes:
        points = ",".join(f'[{a:.0f},"{b:.0f}"]' for a, b in zip(t.tolist(), v.tolist(), strict=True))
        return f'"values":[{points}]}}'.encode()

    def _sampled(self, t: Values) -> Values:
        """The moments at which there are samples."""
        t = t[t <= self._now()]
        for since, until in self.gaps:
            t = t[(t < since) | (t > until)]
        return t

    def matrix(self, asked: Mapping[str, str]) -> bytes:
        kind = kind_of(asked["query"])
        t = self._sampled(np.arange(float(asked["start"]), float(asked["end"]) + 1, float(asked["step"])))
        none = np.zeros_like(t)
        shared = [self._written(t, self._values(kind, shape, t, none)) for shape in range(SHAPES)]
        first, last = (float(t[0]), float(t[-1])) if t.size else (0.0, 0.0)
        rows = []
        for pod in list(self._pods.values()) if t.size else ():
            gone = pod.gone if pod.gone is not None else np.inf
            if pod.started > last or gone < first:
                continue
            if not pod.leaks and pod.started <= first and gone >= last:
                rows.append(pod.head + shared[pod.shape])
                continue
            own = t[(t >= pod.started) & (t <= gone)]
            if own.size:
                leaked = np.minimum(pod.leaks * (own - pod.started), LIMIT - BASE)
                rows.append(pod.head + self._written(own, self._values(kind, pod.shape, own, leaked)))
        return _body(b"matrix", rows)

    def vector(self, asked: Mapping[str, str]) -> bytes:
        kind = kind_of(asked["query"])
        t = np.array([float(asked["time"])])
        if not self._sampled(t).size:
            return _body(b"vector", [])
        values = [self._values(kind, shape, t, np.zeros(1))[0] for shape in range(SHAPES)]
        tails = [f'"value":[{t[0]:.0f},"{value:.0f}"]}}'.encode() for value in values]
        here = [pod for pod in list(self._pods.values()) if pod.started <= t[0] and pod.gone is None]
        return _body(b"vector", [pod.head + tails[pod.shape] for pod in here])


def _body(kind: bytes, rows: list[bytes]) -> bytes:
    return b'{"status":"success","data":{"resultType":"%s","result":[%s]}}' % (kind, b",".join(rows))
