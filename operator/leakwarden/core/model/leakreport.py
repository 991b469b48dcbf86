"""A LeakReport as the operator holds it, parsed tolerantly: the records of an older or newer operator still count."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from leakwarden.api.v1alpha1.leakreport import ENDED, MAX_EPISODE_ACTIONS, LeakReportSpec, LeakReportStatus
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.model.policy import parse_time


@dataclass(frozen=True, slots=True)
class LeakReport:
    """One episode: `spec` names the pod and the signal and never changes, `status` holds the course of the episode."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    created: float  # epoch s
    spec: LeakReportSpec
    status: LeakReportStatus

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def from_cluster(self) -> bool:
        """False for a process that `leakwarden watch` or `soak` observed: no cluster gave it a UID."""
        return bool(self.spec.workload.uid)

    @property
    def ended(self) -> bool:
        return self.status.phase in ENDED


def _readable_actions(status: Any) -> list[ActionStatus]:
    records = status.get("actions") if isinstance(status, Mapping) else None
    kept = []
    for record in records if isinstance(records, list) else ():
        with contextlib.suppress(ValidationError, RecursionError):
            kept.append(ActionStatus.model_validate(record))
    return kept[:MAX_EPISODE_ACTIONS]


def parse_report(body: Mapping[str, Any]) -> LeakReport | None:
    """A report from the API server; None where not even its identity can be read. Never raises.

    A status that cannot be read keeps each of its action records that can: cooldowns are computed from them.
    """
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping):
        return None
    try:
        spec = LeakReportSpec.model_validate(body.get("spec"))
    except (ValidationError, RecursionError):
        return None
    try:
        status = LeakReportStatus.model_validate(body.get("status") or {})
    except (ValidationError, RecursionError):
        status = LeakReportStatus(actions=_readable_actions(body.get("status")))
    return LeakReport(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        created=parse_time(metadata.get("creationTimestamp")),
        spec=spec,
        status=status,
    )
