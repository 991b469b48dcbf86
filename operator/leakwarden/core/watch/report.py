"""A watch's leak as a LeakReport, so that the report's page and screen can show it."""

from __future__ import annotations

import re

from leakwarden.api.v1alpha1.evidence_status import EvidenceStatus
from leakwarden.api.v1alpha1.leakreport import (
    LeakReportSpec,
    LeakReportStatus,
    Phase,
    PodReference,
    PolicyReference,
    VerdictStatus,
    WorkloadReference,
)
from leakwarden.core.episodes.parts import as_range, finite, series_in_short
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import format_time
from leakwarden.core.signals.catalogue import CATALOGUE
from leakwarden.core.watch.judging import TrackJudgement

_NO_NAME = re.compile(r"[^a-z0-9.-]+")


def report_of(leak: TrackJudgement, process: str, address: str, evidence: EvidenceStatus, now: float) -> LeakReport:
    """`process` is its name, `address` the scraped one; `now` epoch s. References have no UID: the process is in no
    cluster."""
    track, judged = leak.track, leak.judgement
    name = _NO_NAME.sub("-", process.lower()).strip("-.")[:200] or "process"
    began = float(track.points.t[0])
    spec = LeakReportSpec(
        policy=PolicyReference(name="", uid=""),
        workload=WorkloadReference(name=process[:253], uid=""),
        pod=PodReference(name=address[:253], uid=""),
        signal=track.key.name[:63],
        signal_type=str(track.key.kind),
        detected_at=format_time(now),
    )
    status = LeakReportStatus(
        phase=Phase.DETECTED,
        verdict=VerdictStatus(
            verdict=str(judged.verdict),
            reason=judged.reason,
            message=judged.message[:1024],
            value=finite(judged.value),
            limit=finite(judged.limit),
            unit=CATALOGUE[track.key.kind].unit,
            growth_per_hour=as_range(judged.growth_per_hour),
            seconds_to_exhaustion=as_range(judged.seconds_to_exhaustion),
            judged_at=format_time(now),
        ),
        series=series_in_short(track.points),
        evidence=evidence,
    )
    return LeakReport("", name, "", resource_version="", created=began, spec=spec, status=status)
