"""LeakReports: a store that reads its own writes, and the requests that make them.

The watch shows the writes of other clients, and our own with a delay: until it shows the same version or a newer one,
our own write counts. Versions of one kind are numbers that grow, which Kubernetes documents since 1.35 and etcd always
did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from leakwarden.adapters.cluster import wire
from leakwarden.adapters.cluster.actions import APPLY_PATCH, encode, must
from leakwarden.adapters.cluster.resource import Resource
from leakwarden.adapters.cluster.session import Reply, Session
from leakwarden.api.names import API_VERSION, FIELD_MANAGER, GROUP, REPORT_KIND, REPORT_PLURAL, VERSION
from leakwarden.core.model.leakreport import LeakReport, parse_report
from leakwarden.engine.ports import ClusterUnavailable, Forbidden, StatusConflict

REPORTS = Resource(f"apis/{GROUP}/{VERSION}", REPORT_PLURAL, wire.ApiReport)
_NAME = f"{REPORT_PLURAL}.{GROUP}"
PAGE = 500

_REPORT = msgspec.json.Decoder(wire.ApiReport)


class _Page(wire.Wire):
    metadata: wire.ApiListMeta | None = None
    items: list[wire.ApiReport] | None = None


_PAGE = msgspec.json.Decoder(_Page)


def _parsed(item: wire.ApiReport) -> LeakReport | None:
    meta = item.metadata
    return parse_report(
        {
            "metadata": {
                "uid": meta.uid,
                "name": meta.name,
                "namespace": meta.namespace or "",
                "resourceVersion": meta.resource_version or "",
                "creationTimestamp": meta.creation_timestamp,
            },
            "spec": item.spec,
            "status": item.status,
        }
    )


def _is_older(version: str, held: str) -> bool:
    return version.isdecimal() and held.isdecimal() and int(version) < int(held)


class ReportStore:
    """A reflector's sink (Sink[wire.Report]) that our own writes go into as well. Single-threaded, as the cache is.

    `per_namespace` limits the reports held of one namespace: otherwise every account with the right to write there
    could fill the operator's memory. A namespace with more is in trouble, since the reports that are not held may hold
    cooldowns.
    """

    def __init__(self, per_namespace: int = 2000) -> None:
        self._per_namespace = per_namespace
        self._counts: Counter[str] = Counter()
        self._beyond: dict[str, set[str]] = {}  # UIDs of reports that are not held, by namespace
        self._held: dict[str, LeakReport] = {}
        self._shown: Mapping[str, LeakReport] | None = None
        self._deleted: set[str] = set()  # by us; the watch may still show them for a moment

    def view(self) -> Mapping[str, LeakReport]:
        """All reports by UID. A mapping that was handed out never changes."""
        if self._shown is None:
            self._shown = dict(self._held)
        return self._shown

    def put(self, uid: str, item: wire.ApiReport) -> bool:
        """Store a report from the API server. False for a report whose identity cannot be read, and for one we
        deleted."""
        namespace = item.metadata.namespace or ""
        if uid not in self._held and self._counts[namespace] >= self._per_namespace:
            beyond = self._beyond.setdefault(namespace, set())
            if len(beyond) < self._per_namespace:
                beyond.add(uid)
            return False
        self._beyond.get(namespace, set()).discard(uid)
        report = _parsed(item)
        if report is None:
            self.drop(uid)
            return False
        if uid in self._deleted:
            return True  # until the watch shows the deletion, too
        held = self._held.get(uid)
        if held is None or not _is_older(report.resource_version, held.resource_version):
            self._hold(report)
        return True

    def drop(self, uid: str) -> None:
        self._deleted.discard(uid)
        for beyond in self._beyond.values():
            beyond.discard(uid)
        gone = self._held.pop(uid, None)
        if gone is not None:
            self._counts[gone.namespace] -= 1
            self._shown = None

    def forget(self) -> None:
        """Our own writes, too, belong to a state that is gone."""
        self._held.clear()
        self._counts.clear()
        self._beyond.clear()
        self._deleted.clear()
        self._shown = None

    @property
    def troubles(self) -> Mapping[str, str]:
        """Why not all reports of a namespace are held, by namespace."""
        return {
            namespace: f"the namespace has more than {self._per_namespace} LeakReports; delete some"
            for namespace, beyond in self._beyond.items()
            if beyond
        }

    def wrote(self, report: LeakReport) -> None:
        """Store the answer to a request of ours."""
        held = self._held.get(report.uid)
        if held is None or not _is_older(report.resource_version, held.resource_version):
            self._hold(report)

    def deleted(self, uid: str) -> None:
        known = uid in self._held
        self.drop(uid)
        if known:
            self._deleted.add(uid)

    def listed(self, items: list[wire.ApiReport]) -> None:
        """Store a complete and most recent list: reports that are not in it are gone."""
        self._beyond.clear()
        seen = {item.metadata.uid for item in items}
        for uid in set(self._held) - seen:
            self.drop(uid)
        for item in items:
            self.put(item.metadata.uid, item)

    def _hold(self, report: LeakReport) -> None:
        self._counts[report.namespace] += report.uid not in self._held
        self._held[report.uid] = report
        self._shown = None


async def fetch(session: Session, namespace: str | None, per_namespace: int) -> list[wire.ApiReport]:
    """All reports of a namespace, or of all, as the quorum has them (no resourceVersion: never from a lagging cache);
    at most one more than `per_namespace` of each namespace.

    Raises ClusterUnavailable, Forbidden.
    """
    found: list[wire.ApiReport] = []
    counts: Counter[str] = Counter()
    token = ""
    while True:
        query = {"limit": str(PAGE), **({"continue": token} if token else {})}
        reply = await session.ask("GET", REPORTS.path(namespace), query=query)
        _served(reply)
        must(reply, f"list {_NAME}{_where(namespace)}")
        try:
            page = _PAGE.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ClusterUnavailable("the list of LeakReports could not be read") from None
        for item in page.items or ():
            home = item.metadata.namespace or ""
            counts[home] += 1
            if counts[home] <= per_namespace + 1:
                found.append(item)
        token = (page.metadata.continue_ if page.metadata else None) or ""
        if not token:
            return found


async def create(
    session: Session,
    store: ReportStore,
    namespace: str,
    *,
    name: str,
    labels: Mapping[str, str],
    spec: Mapping[str, Any],
) -> LeakReport:
    body = {
        "apiVersion": API_VERSION,
        "kind": REPORT_KIND,
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": spec,
    }
    path = REPORTS.path(namespace)
    reply = await session.ask("POST", path, query={"fieldManager": FIELD_MANAGER}, body=encode(body))
    right = f"create {_NAME}{_where(namespace)}"
    if reply.status == 409:
        # Written by an earlier process that was stopped before it knew the outcome.
        reply, right = await session.ask("GET", f"{path}/{name}"), f"get {_NAME}{_where(namespace)}"
    else:
        _served(reply)
    must(reply, right)
    return _held(reply, store)


async def write_status(session: Session, store: ReportStore, report: LeakReport, status: Mapping[str, Any]) -> str:
    """Server-side apply, as for policies: a field that is no longer stated goes away."""
    if not report.resource_version:
        raise StatusConflict(f"report {report.key} was read without a version")
    body = {
        "apiVersion": API_VERSION,
        "kind": REPORT_KIND,
        "metadata": {
            "name": report.name,
            "namespace": report.namespace,
            "uid": report.uid,
            "resourceVersion": report.resource_version,
        },
        "status": status,
    }
    reply = await session.ask(
        "PATCH",
        f"{REPORTS.path(report.namespace)}/{report.name}/status",
        query={"fieldManager": FIELD_MANAGER, "force": "true"},
        body=encode(body),
        content_type=APPLY_PATCH,
    )
    if reply.status == 404:
        store.drop(report.uid)
    if reply.status in (404, 409):
        raise StatusConflict(f"report {report.key} changed or is gone since it was read")
    must(reply, f"patch {_NAME}/status{_where(report.namespace)}")
    written = _held(reply, store)
    return written.resource_version


async def delete(session: Session, store: ReportStore, report: LeakReport) -> None:
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": report.uid}}
    path = f"{REPORTS.path(report.namespace)}/{report.name}"
    reply = await session.ask("DELETE", path, body=encode(body))
    if reply.status not in (404, 409):
        must(reply, f"delete {_NAME}{_where(report.namespace)}")
    store.deleted(report.uid)


def _held(reply: Reply, store: ReportStore) -> LeakReport:
    try:
        report = _parsed(_REPORT.decode(reply.body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        report = None
    if report is None:
        raise ClusterUnavailable("a LeakReport could not be read back; whether it was written is not known")
    store.wrote(report)
    return report


def _served(reply: Reply) -> None:
    if reply.status == 404:
        raise Forbidden(f"the API server does not serve {_NAME} (404); apply the files in crds/")


def _where(namespace: str | None) -> str:
    return f" in namespace {namespace}" if namespace else ""
