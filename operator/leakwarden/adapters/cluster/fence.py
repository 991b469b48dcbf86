"""No change without leadership: the fence, checked immediately before each change, and a Cluster that checks it.

A request that is under way when leadership runs out is given up. The API server may still carry it out. But each change
has a UID or a resourceVersion as its precondition, and the next leader waits a third of the Lease longer than this one
counts on. So a late change is refused, or was made while we still led.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.model.workload import Disruption, Pod, Snapshot, Workload
from leakwarden.engine.ports import Attempt, Cluster, ClusterUnavailable, Outcome, ReportView

# Seconds. A change that begins with less time left than this would probably end with an unknown outcome; renewals come
# every 2 s, so only a leader that is losing its Lease has so little.
LEAST_TIME = 1.0

NOT_LEADING = "this replica does not lead (any more); nothing was sent"


def boottime() -> float:
    """Seconds of a clock that cannot be set and that, unlike time.monotonic, goes on while the machine sleeps."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class NotLeading(ClusterUnavailable):
    """Nothing was sent: another replica leads, or may lead by now."""


class LeadershipLost(ClusterUnavailable):
    """A request was given up since leadership ran out; whether it was carried out is not known."""


class Fence:
    """Lets changes pass while this process leads. Only the election opens and closes it; it closes by itself when time
    runs out."""

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self._clock = clock
        self._from = math.inf
        self._until = -math.inf
        self._passing: set[asyncio.Timeout] = set()

    def holds(self) -> bool:
        return self._from <= self._clock() < self._until

    def remaining(self) -> float:
        """Seconds of leadership left if nothing is renewed; 0 when there is none."""
        now = self._clock()
        return max(self._until - now, 0.0) if self._from <= now else 0.0

    def set(self, leads_from: float, leads_until: float) -> None:
        """Allow changes within [leads_from, leads_until) of the clock; requests under way get the new end."""
        self._from, self._until = leads_from, leads_until
        when = asyncio.get_running_loop().time() + self.remaining()
        for timeout in self._passing:
            if not timeout.expired():
                timeout.reschedule(when)

    def lower(self) -> None:
        self.set(math.inf, -math.inf)

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Around one change. Raises NotLeading before it, or LeadershipLost out of it."""
        if self.remaining() < LEAST_TIME:
            raise NotLeading(NOT_LEADING)
        timeout = asyncio.timeout(self.remaining())
        try:
            # A process that was stopped (SIGSTOP, a starved node) and goes on too late is cancelled at its next
            # await, before it can send: timers that are due come before the tasks that waited for the network.
            async with timeout:
                self._passing.add(timeout)
                yield
        except TimeoutError:
            if not timeout.expired():
                raise
            raise LeadershipLost(
                "leadership ran out before the answer came; whether it was done is not known"
            ) from None
        finally:
            self._passing.discard(timeout)


class FencedCluster:
    """Implements ports.Cluster over another one: reads pass directly, changes pass the fence first."""

    def __init__(self, cluster: Cluster, fence: Fence) -> None:
        self._cluster = cluster
        self._fence = fence

    def snapshot(self) -> Snapshot:
        return self._cluster.snapshot()

    async def disruption_budgets(self, pod: Pod) -> Sequence[Disruption]:
        return await self._cluster.disruption_budgets(pod)

    async def replicas_set_by(self, workload: Workload) -> frozenset[str]:
        return await self._cluster.replicas_set_by(workload)

    async def policy_generation(self, namespace: str, name: str, uid: str) -> int | None:
        return await self._cluster.policy_generation(namespace, name, uid)

    async def namespace(self, name: str) -> Namespace | None:
        return await self._cluster.namespace(name)

    async def evict(self, pod: Pod) -> Attempt:
        return await self._attempt(lambda: self._cluster.evict(pod))

    async def add_ephemeral_container(self, pod: Pod, container: Mapping[str, Any]) -> Attempt:
        return await self._attempt(lambda: self._cluster.add_ephemeral_container(pod, container))

    async def restart_rollout(self, workload: Workload, at: str) -> Attempt:
        return await self._attempt(lambda: self._cluster.restart_rollout(workload, at))

    async def scale(self, workload: Workload, replicas: int) -> Attempt:
        return await self._attempt(lambda: self._cluster.scale(workload, replicas))

    async def write_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> str:
        """As of the Cluster; raises NotLeading or LeadershipLost (both ClusterUnavailable) as well."""
        async with self._fence.passing():
            return await self._cluster.write_status(namespace, name, uid, resource_version, status)

    def reports(self) -> ReportView:
        return self._cluster.reports()

    async def refresh_reports(self) -> None:
        await self._cluster.refresh_reports()

    async def create_report(
        self, namespace: str, name: str, labels: Mapping[str, str], spec: Mapping[str, Any]
    ) -> LeakReport:
        async with self._fence.passing():
            return await self._cluster.create_report(namespace, name, labels, spec)

    async def write_report_status(self, report: LeakReport, status: Mapping[str, Any]) -> str:
        async with self._fence.passing():
            return await self._cluster.write_report_status(report, status)

    async def delete_report(self, report: LeakReport) -> None:
        async with self._fence.passing():
            await self._cluster.delete_report(report)

    async def _attempt(self, change: Callable[[], Awaitable[Attempt]]) -> Attempt:
        """Without leadership the intent stays Pending in the cluster, and the next leader settles it."""
        try:
            async with self._fence.passing():
                return await change()
        except NotLeading as error:
            return Attempt(Outcome.FAILED, str(error))
        except LeadershipLost as error:
            return Attempt(Outcome.UNKNOWN, str(error))
