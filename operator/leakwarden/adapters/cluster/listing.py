"""Lists of a cluster's objects, and which of the two report APIs it serves: for the audit, which watches nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leakwarden.core.audit.policy_report import NEWEST_FIRST, ReportApi

if TYPE_CHECKING:
    from leakwarden.adapters.cluster.session import Session

PAGE = 500
# (path of the API group, plural, kind); kinds that a cluster does not have are passed over.
WORKLOADS = (
    ("apis/apps/v1", "deployments", "Deployment"),
    ("apis/apps/v1", "statefulsets", "StatefulSet"),
    ("apis/apps/v1", "daemonsets", "DaemonSet"),
    ("apis/apps/v1", "replicasets", "ReplicaSet"),
    ("apis/batch/v1", "cronjobs", "CronJob"),
    ("apis/batch/v1", "jobs", "Job"),
    ("api/v1", "pods", "Pod"),
    ("apis/argoproj.io/v1alpha1", "rollouts", "Rollout"),
)
# Objects that belong to workloads and contain no secret: the operator reads them as well.
NEIGHBOURS = (
    ("apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    ("apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    ("apis/keda.sh/v1alpha1", "scaledobjects", "ScaledObject"),
    ("api/v1", "services", "Service"),
    ("apis/networking.k8s.io/v1", "ingresses", "Ingress"),
    ("apis/gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute"),
    ("apis/monitoring.coreos.com/v1", "servicemonitors", "ServiceMonitor"),
    ("apis/monitoring.coreos.com/v1", "podmonitors", "PodMonitor"),
    ("api/v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
)
# Read only by the commands, with the rights of the user.
CONFIGURATION = (
    ("api/v1", "configmaps", "ConfigMap"),
    ("api/v1", "resourcequotas", "ResourceQuota"),
    ("apis/autoscaling.k8s.io/v1", "verticalpodautoscalers", "VerticalPodAutoscaler"),
)


@dataclass(slots=True)
class ObjectList:
    """The objects of one kind. `why` is the reason, in words, why not all of them are here; empty where they are.

    It follows the kind in a sentence. `denied`: the right to list them is missing.
    """

    kind: str
    items: list[dict[str, Any]] = field(default_factory=list)
    why: str = ""
    denied: bool = False


async def objects(session: Session, where: tuple[str, str, str], namespaces: Sequence[str | None]) -> ObjectList:
    """Every page of one kind, in these namespaces (None: all). A kind that the cluster does not have has no objects.

    Raises ClusterUnavailable.
    """
    group, plural, kind = where
    found = ObjectList(kind)
    for namespace in namespaces:
        path = f"/{group}/namespaces/{namespace}/{plural}" if namespace else f"/{group}/{plural}"
        await _pages(session, path, found)
    return found


async def _pages(session: Session, path: str, found: ObjectList) -> None:
    token = ""
    while True:
        query = {"limit": str(PAGE), **({"continue": token} if token else {})}
        reply = await session.ask("GET", path, query=query)
        if reply.status == 404:
            return
        if reply.status in (401, 403):
            found.denied = True
            found.why = "may not be read (the right to list them is missing)"
            return
        if not reply.ok:
            found.why = f"could not be read (the API server answered {reply.status})"
            return
        page = json.loads(reply.body)
        found.items += _own(page, found.kind)
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return


def _own(page: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    version = page.get("apiVersion")
    for item in page.get("items") or ():
        metadata = item.get("metadata") or {}
        # Objects that another object makes are judged with that object: ReplicaSets of Deployments, pods of every kind.
        if any(owner.get("controller") for owner in metadata.get("ownerReferences") or ()):
            continue
        yield {**item, "apiVersion": version, "kind": kind}


async def served_report(session: Session) -> tuple[ReportApi | None, str]:
    """(the report API that is served, the newer one where both are; the reason why it is not known, or empty)."""
    for api in NEWEST_FIRST:
        reply = await session.ask("GET", f"/apis/{api.version}")
        if reply.status == 404:
            continue
        if not reply.ok:
            return (
                None,
                f"whether the cluster serves {api.version} is not known (the API server answered {reply.status})",
            )
        if any(each.get("kind") == api.kind for each in json.loads(reply.body).get("resources") or ()):
            return api, ""
    return None, ""
