"""The audit's two loops next to the tick: one reads the other objects that belong to workloads, one writes reports.

A tick waits for neither: it takes the last reading, and leaves the reports to be written.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from leakwarden.adapters.cluster import listing
from leakwarden.adapters.cluster.beside import Beside, Kubernetes
from leakwarden.adapters.cluster.session import Session
from leakwarden.api.names import FIELD_MANAGER
from leakwarden.core.audit.neighbours import Neighbours, several
from leakwarden.core.audit.policy_report import (
    MANAGED_BY,
    NEWEST_FIRST,
    ReportApi,
    ReportedObject,
    by_namespace,
    policy_report,
)
from leakwarden.engine.ports import ClusterUnavailable

log = logging.getLogger("leakwarden.audited")

READ_EVERY = 300.0  # s between two readings of the other objects
WRITE_EVERY = 60.0  # s between two rounds of writing
WRITES_PER_ROUND = 100  # reports; the others are written in the next rounds
NAME = "leakwarden"  # of the operator's report in each namespace
APPLY = "application/apply-patch+yaml"


class NeighbourReader:
    """Reads the other objects that belong to workloads at intervals. `needed`: whether a policy needs them now."""

    def __init__(
        self,
        session: Session,
        namespaces: Sequence[str] | None,
        needed: Callable[[], bool] = lambda: True,
        every: float = READ_EVERY,
    ) -> None:
        self._session = session
        self._namespaces: tuple[str | None, ...] = (None,) if namespaces is None else tuple(sorted(set(namespaces)))
        self._needed = needed
        self._every = every
        self._latest: Neighbours | None = None

    def latest(self) -> Neighbours | None:
        """The last reading; None before the first one."""
        return self._latest

    async def run(self) -> None:
        await _repeat(self.read, self._needed, self._every)

    async def read(self) -> None:
        """Read all kinds once. The result names the kinds that could not be read. The earlier objects of such a kind
        are not kept, since they may have changed."""
        beside, unread = Beside(), {}
        for where in listing.NEIGHBOURS:
            kind = where[2]
            try:
                found = await listing.objects(self._session, where, self._namespaces)
            except ClusterUnavailable as error:
                unread[kind] = f"could not be read ({error})"
                continue
            malformed = [name for item in found.items if (name := _take(beside, kind, item)) is not None]
            if found.why:
                unread[kind] = found.why
            elif malformed:
                more = f" and {len(malformed) - 1} more" if len(malformed) > 1 else ""
                unread[kind] = f"cannot be understood in full ({malformed[0]}{more})"
        self._latest = Neighbours(
            beside.budgets,
            beside.scalers,
            beside.services,
            beside.monitors,
            beside.routes,
            beside.claims,
            handlings=beside.handlings,
            unread=unread,
        )


def _take(beside: Beside, kind: str, item: Mapping[str, Any]) -> str | None:
    """The object's name where it cannot be understood; else None."""
    try:
        beside.take(Kubernetes(kind, item))
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
        metadata = item.get("metadata")
        named = metadata if isinstance(metadata, dict) else {}
        return f"{named.get('namespace') or ''}/{named.get('name') or ''}"[:200]
    return None


class AuditReportWriter:
    """Keeps one PolicyReport (or Report) per namespace with the audit's findings. Writes only changed reports, and
    removes its own reports of namespaces that have no audited workload any more."""

    def __init__(
        self,
        session: Session,
        namespaces: Sequence[str] | None,
        needed: Callable[[], bool] = lambda: True,
        every: float = WRITE_EVERY,
    ) -> None:
        self._session = session
        self._namespaces = namespaces
        self._needed = needed
        self._every = every
        self._wanted: Mapping[str, Sequence[ReportedObject]] | None = None
        self._written: dict[str, str] = {}  # the report as last written, by namespace
        self._listed = False  # whether the reports of an earlier operator process are known
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why reports are not written, in one line for people; empty where they are."""
        return self._trouble

    def want(self, objects: Iterable[ReportedObject]) -> None:
        """Set the content of the reports from now on."""
        self._wanted = by_namespace(objects)

    async def run(self) -> None:
        await _repeat(self.write, self._needed, self._every)

    async def write(self) -> None:
        """Write the reports that changed since the last round, at most WRITES_PER_ROUND."""
        if self._wanted is None:
            return
        try:
            api, why = await listing.served_report(self._session)
            if api is None:
                wanted = " nor ".join(f"{each.kind} of {each.version}" for each in NEWEST_FIRST)
                self._trouble = why or f"no reports are written: the cluster serves neither {wanted}"
                return
            unlisted = "" if self._listed else await self._take_over(api)
            self._trouble = await self._round(api, self._wanted, self._written) or unlisted
        except ClusterUnavailable as error:
            self._trouble = f"reports could not be written ({error})"

    async def _round(
        self, api: ReportApi, wanted: Mapping[str, Sequence[ReportedObject]], written: dict[str, str]
    ) -> str:
        left = WRITES_PER_ROUND
        for namespace in sorted({*wanted, *written}):
            found = wanted.get(namespace)
            text = "" if found is None else json.dumps(policy_report(NAME, namespace, found, api))
            if not namespace or written.get(namespace) == text:
                continue
            if not left:
                return ""
            left -= 1
            path = f"/apis/{api.version}/namespaces/{namespace}/{api.plural}/{NAME}"
            if found is None:
                reply = await self._session.ask("DELETE", path)
                done = reply.ok or reply.status == 404
            else:
                query = {"fieldManager": FIELD_MANAGER, "force": "true"}
                reply = await self._session.ask("PATCH", path, query=query, body=text.encode(), content_type=APPLY)
                done = reply.ok
            if not done:
                missing = " (the right is missing)" if reply.status in (401, 403) else ""
                return f"{api.kind} {namespace}/{NAME} could not be written: the API server answered {reply.status}{missing}"
            if found is None:
                written.pop(namespace, None)
            else:
                written[namespace] = text
        return ""

    async def _take_over(self, api: ReportApi) -> str:
        """Note the reports of an earlier operator process, to be written again or removed. Returns why that is not
        possible."""
        spaces: Sequence[str | None] = [None] if self._namespaces is None else list(self._namespaces)
        found = await listing.objects(self._session, (f"apis/{api.version}", api.plural, api.kind), spaces)
        if found.why:
            return f"{several(api.kind)} {found.why}, so those of namespaces without a workload stay"
        for item in found.items:
            metadata = item.get("metadata") or {}
            own = (metadata.get("labels") or {}).get("app.kubernetes.io/managed-by") == MANAGED_BY
            if own and metadata.get("name") == NAME and metadata.get("namespace"):
                self._written.setdefault(metadata["namespace"], "unknown")
        self._listed = True
        return ""


async def _repeat(do: Callable[[], Awaitable[None]], needed: Callable[[], bool], every: float) -> None:
    """Repeat until cancelled. A defect costs one round, and is logged."""
    while True:
        if needed():
            try:
                await do()
            except Exception:
                log.exception("a defect: one round of the audit's reading or writing was lost")
        await asyncio.sleep(every)
