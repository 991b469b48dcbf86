"""Readings from the kubelets themselves, where no Prometheus is configured: cAdvisor's metrics of each container.

Needs no more than the right to `get` `nodes/metrics`. The kubelets keep no history, so readings begin when this process
does.
"""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence

import aiohttp

from leakwarden import __version__
from leakwarden.adapters.kubelet.cadvisor import Memory, parse
from leakwarden.core.model.readings import Answer, NoData, Query, QueryFailed, Sampled
from leakwarden.core.signals.catalogue import KUBELET_CONTEXT, Families, Row, row_of

log = logging.getLogger("leakwarden.kubelet")

TIMEOUT = 10.0  # s for one node, all of its answer included
CONCURRENCY = 16  # nodes at once
MAX_BYTES = 32 << 20  # of one node's answer; 250 pods are some 5 MB
MAX_LOOKBACK = 24 * 3600.0  # s
# Several groups of signals are read within one tick; one scrape serves all of them.
FRESH = 2.0  # s


class NodeFailed(Exception):
    """A kubelet that gave no metrics: a CamelCase reason and a short phrase without any text of the kubelet."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class KubeletSource:
    """The Metrics port on the kubelets of `hosts()` (node name -> address).

    `authorization` gives the header's value. With `insecure_skip_verify` any server at a node's address gets
    that token, as with most scrapers of kubelets, whose certificates are self-signed unless the cluster rotates
    them; otherwise `tls` must have the kubelets' authority.
    """

    name = "kubelet"
    kind = "Kubelet"
    pod_labels = ("namespace", "pod")

    def __init__(
        self,
        *,
        hosts: Callable[[], Mapping[str, str]],
        authorization: Callable[[], Awaitable[str]],
        tls: ssl.SSLContext | None,
        insecure_skip_verify: bool,
        port: int = 10250,
        timeout: float = TIMEOUT,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._hosts = hosts
        self._authorization = authorization
        self._ssl: ssl.SSLContext | bool = False if insecure_skip_verify else tls or True
        self._port = port
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._session: aiohttp.ClientSession | None = None
        self._memory = Memory(step=60.0)
        self._failures: dict[str, NodeFailed] = {}
        self._asked: frozenset[str] = frozenset()
        self._scraped = -math.inf
        self._lock = asyncio.Lock()

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        """An answer for each key: floors of the complete buckets that became known since `since`. Never raises.

        The pods of a node that fails get no new points, while those of the others do; only where every node fails, the
        answer is a failure.
        """
        async with self._lock:
            if step != self._memory.step:
                self._memory = Memory(step=step)
            self._memory.lookback = min(max(self._memory.lookback, now - since), MAX_LOOKBACK)
            hosts = dict(self._hosts())
            if abs(now - self._scraped) > FRESH or frozenset(hosts) != self._asked:
                try:
                    await self._scrape(hosts, now)
                except Exception as error:  # a failure is an answer: it must not stop a tick
                    failed = QueryFailed("CredentialsUnreadable", f"no way to the kubelets ({type(error).__name__})")
                    return {query.key: failed for query in queries}
        return {query.key: self._answer(query, since, now) for query in queries}

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _answer(self, query: Query, since: float, now: float) -> Answer:
        row = row_of(query.key)
        beside = KUBELET_CONTEXT.get(query.key.removeprefix("context/"))
        if row is None and beside is None:
            return NoData("NotExported", "the kubelets know no PromQL and no alerts; configure a Prometheus")
        if row is not None and row.kubelet is None:
            return NoData("NotExported", f"the kubelets do not export it: {row.fix}")
        if not self._asked:
            return NoData("NoSeries", "no pod of the targets runs on a node")
        if len(self._failures) == len(self._asked):
            return self._all_failed()
        if row is not None and row.kubelet is not None:
            return self._sampled(row.kubelet, row, query, since, now=now)
        assert beside is not None
        return self._sampled(beside, None, query, since, now=now)

    def _sampled(self, families: Families, row: Row | None, query: Query, since: float, *, now: float) -> Answer:
        """`row` None: readings that only explain others, which have no limit."""
        never_zero = row is None or row.never_zero
        keys = [key for key in self._memory.keys(families.value) if key.namespace in query.namespaces]
        if not keys:
            return NoData("NoSeries", "the kubelets export it for no pod of these namespaces")
        if never_zero and self._memory.all_zero(families.value, keys):
            return NoData(
                "ConstantZero", "the kubelets export 0 for every pod, which means that they do not measure it"
            )
        if not self._memory.complete(families.value, keys, now):
            return NoData("WarmingUp", f"the first readings are complete in {self._memory.step:.0f}s at the latest")
        series, limits = {}, {}
        for key in keys:
            points = self._memory.points(families.value, key, since, now, never_zero)
            if points is not None:
                series[key] = points
            if row is None:
                continue
            highest = float(points.v.max()) if points is not None else -math.inf
            limit = row.believed(self._memory.limit(families, key, now), highest)
            if limit is not None:
                limits[key] = limit
        return Sampled(series=series, limits=limits)

    def _all_failed(self) -> QueryFailed:
        reasons = [failure.reason for failure in self._failures.values()]
        reason = max(sorted(set(reasons)), key=reasons.count)
        failure = next(each for each in self._failures.values() if each.reason == reason)
        one = len(self._failures) == 1
        who = f"the kubelet of node {next(iter(self._failures))}" if one else f"all {len(self._failures)} kubelets"
        return QueryFailed(reason, f"{who}: {failure.message}")

    async def _scrape(self, hosts: Mapping[str, str], now: float) -> None:
        slots = asyncio.Semaphore(CONCURRENCY)
        authorization = await self._authorization() if hosts else ""

        async def one(node: str, address: str) -> tuple[str, NodeFailed | None]:
            async with slots:
                try:
                    text = await self._fetch(address, authorization)
                    samples = await asyncio.to_thread(parse, text, now)
                except NodeFailed as failure:
                    return node, failure
                except ValueError:
                    return node, NodeFailed("BadResponse", "its answer is no metrics")
                self._memory.add(samples, now)
                return node, None

        results = await asyncio.gather(*(one(node, address) for node, address in hosts.items()))
        failures = {node: failure for node, failure in results if failure is not None}
        for node, failure in failures.items():
            if node not in self._failures or self._failures[node].reason != failure.reason:
                log.warning("a kubelet cannot be read", extra={"node": node, "cause": failure.message})
        self._failures, self._asked, self._scraped = failures, frozenset(hosts), now

    async def _fetch(self, address: str, authorization: str) -> str:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._ssl, limit=CONCURRENCY),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"leakwarden/{__version__}"},
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            )
        host = f"[{address}]" if ":" in address else address
        url = f"https://{host}:{self._port}/metrics/cadvisor"
        headers = {"Authorization": authorization} if authorization else {}
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status in (401, 403):
                    raise NodeFailed(
                        "Unauthorized",
                        f"it refuses us (HTTP {response.status}); the service account needs get on nodes/metrics",
                    )
                if response.status != 200:
                    raise NodeFailed("ServerError", f"it answered HTTP {response.status}")
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > self._max_bytes:
                        raise NodeFailed("TooLarge", f"its answer is larger than {self._max_bytes >> 20} MiB")
                return body.decode("utf-8", errors="replace")
        except TimeoutError:
            raise NodeFailed("Timeout", f"it did not answer within {self._timeout:g}s") from None
        except aiohttp.ClientConnectorCertificateError:
            raise NodeFailed("Unreachable", "its certificate is not one we trust") from None
        except aiohttp.ClientError:
            raise NodeFailed("Unreachable", "it cannot be reached, or broke off") from None
