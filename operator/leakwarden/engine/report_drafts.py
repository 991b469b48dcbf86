"""This tick's LeakReports: as they are in the cluster, and as they are about to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.episodes.steps import open_by_pod
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.records.place import Places
from leakwarden.engine.ports import Cluster, ReportView


@dataclass(slots=True)
class ReportDrafts:
    """The reports of one tick, as held and as drafted."""

    trouble: str = ""  # why reports cannot be read; no action anywhere unless it is empty
    # Namespace -> why its reports cannot be written, or not be counted; no action in such a namespace.
    troubles: dict[str, str] = field(default_factory=dict)
    legacy: dict[str, list[ActionStatus]] = field(default_factory=dict)  # policy UID -> records older than LeakReports
    homes: dict[str, str] = field(default_factory=dict)  # workload UID of a legacy record -> its policy's namespace
    _begun: dict[str, LeakReport] = field(default_factory=dict)  # by UID, as this tick found or created them
    _held: dict[str, LeakReport] = field(default_factory=dict)
    _drafts: dict[str, LeakReport] = field(default_factory=dict)
    _open: dict[str, str] = field(default_factory=dict)  # pod UID -> report UID

    @classmethod
    def of(
        cls, view: ReportView, places: Places, *, trouble: str = "", troubles: Mapping[str, str] | None = None
    ) -> ReportDrafts:
        """Keeps only the records that belong to the report's namespace: others are neither counted, nor written, nor
        deleted."""
        held = {uid: places.counted(report) for uid, report in view.reports.items() if not places.foreign(report)}
        opened = {pod: report.uid for pod, report in open_by_pod(held.values()).items()}
        if not trouble and not view.synced:
            trouble = view.trouble or "LeakReports were not listed yet"
        told = {**view.troubles, **(troubles or {})}
        return cls(trouble, told, _begun=dict(held), _held=held, _drafts=dict(held), _open=opened)

    def trouble_of(self, namespace: str) -> str:
        """Why no action is allowed in a namespace; empty where its reports can be read and written."""
        return self.trouble or self.troubles.get(namespace, "")

    @property
    def reports(self) -> Sequence[LeakReport]:
        """As they are about to be."""
        return tuple(self._drafts.values())

    def by_uid(self, uid: str) -> LeakReport | None:
        """As it is about to be; None where there is none (any more)."""
        return self._drafts.get(uid)

    def held(self, uid: str) -> LeakReport:
        return self._held[uid]

    def of_pod(self, pod_uid: str) -> LeakReport | None:
        """The open report of a pod."""
        uid = self._open.get(pod_uid)
        draft = self._drafts.get(uid) if uid is not None else None
        return draft if draft is not None and not draft.ended else None

    def draft(self, report: LeakReport, status: LeakReportStatus) -> LeakReport:
        """Change the draft, without writing it yet."""
        self._drafts[report.uid] = changed = replace(self._drafts[report.uid], status=status)
        return changed

    def revise(self, report: LeakReport, change: Callable[[LeakReportStatus], LeakReportStatus]) -> LeakReport:
        return self.draft(report, change(self._drafts[report.uid].status))

    def take(self, report: LeakReport) -> None:
        """A report that was just created, or found to exist."""
        self._begun[report.uid] = self._held[report.uid] = self._drafts[report.uid] = report
        if not report.ended:
            self._open.setdefault(report.spec.pod.uid, report.uid)

    def drop(self, report: LeakReport) -> None:
        self._held.pop(report.uid, None)
        self._drafts.pop(report.uid, None)

    def changed(self) -> Iterable[tuple[LeakReport, LeakReport]]:
        """(held, draft) where they differ."""
        return [
            (held, self._drafts[uid]) for uid, held in self._held.items() if self._drafts[uid].status != held.status
        ]

    def written(self) -> Iterable[tuple[LeakReport, LeakReport]]:
        """(as this tick began, as it was last written) where the two differ."""
        return [(self._begun[uid], held) for uid, held in self._held.items() if held.status != self._begun[uid].status]

    async def write(self, cluster: Cluster, report: LeakReport) -> LeakReport:
        """Write the draft. Raises StatusConflict, ClusterUnavailable; the held report is then as before."""
        draft = self._drafts[report.uid]
        body = draft.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        version = await cluster.write_report_status(self._held[report.uid], body)
        written = replace(draft, resource_version=version)
        self._held[report.uid] = self._drafts[report.uid] = written
        return written
