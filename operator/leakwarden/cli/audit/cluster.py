"""The workloads of a cluster and what stands beside them, as documents: audited by the same code as files.

Also which of the two report APIs the cluster serves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from leakwarden.cli.audit.configuration import ConfigurationError
from leakwarden.cli.audit.documents import Document, DocumentPlace

if TYPE_CHECKING:
    from leakwarden.adapters.cluster import Session
    from leakwarden.cli.audit.policyreport import ReportApi

T = TypeVar("T")
PAGE = 500
# (path of the API group, plural, kind); what a cluster does not have is passed over.
KINDS = (
    ("apis/apps/v1", "deployments", "Deployment"),
    ("apis/apps/v1", "statefulsets", "StatefulSet"),
    ("apis/apps/v1", "daemonsets", "DaemonSet"),
    ("apis/apps/v1", "replicasets", "ReplicaSet"),
    ("apis/batch/v1", "cronjobs", "CronJob"),
    ("apis/batch/v1", "jobs", "Job"),
    ("api/v1", "pods", "Pod"),
    ("apis/argoproj.io/v1alpha1", "rollouts", "Rollout"),
    ("apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    ("apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    ("apis/keda.sh/v1alpha1", "scaledobjects", "ScaledObject"),
    ("api/v1", "services", "Service"),
    ("apis/networking.k8s.io/v1", "ingresses", "Ingress"),
    ("apis/gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute"),
    ("apis/monitoring.coreos.com/v1", "servicemonitors", "ServiceMonitor"),
    ("apis/monitoring.coreos.com/v1", "podmonitors", "PodMonitor"),
    ("api/v1", "configmaps", "ConfigMap"),
)


def documents(args: argparse.Namespace, problems: list[str]) -> list[Document]:
    """All objects of the kinds above, less those that another one makes. Raises ConfigurationError without a cluster."""
    return _reached(_documents(args, problems))


def served_report(args: argparse.Namespace) -> ReportApi:
    """The report API that the cluster serves, as its discovery says; of both the newer one.

    Raises ConfigurationError where neither is served, where that may not be asked, and without a cluster.
    """
    return _reached(_served_report(args))


def _reached(asking: Coroutine[Any, Any, T]) -> T:
    from leakwarden.engine.ports import ClusterUnavailable

    try:
        return asyncio.run(asking)
    except ClusterUnavailable as error:
        raise ConfigurationError(f"the cluster cannot be reached: {error}") from None


async def _served_report(args: argparse.Namespace) -> ReportApi:
    from leakwarden.adapters.cluster import Session
    from leakwarden.cli.audit.policyreport import APIS

    newest_first = (APIS["openreport"], APIS["policyreport"])
    session = await Session.open(args.kubeconfig, args.context)
    try:
        for api in newest_first:
            reply = await session.ask("GET", f"/apis/{api.version}")
            if reply.status == 404:
                continue
            if not reply.ok:
                raise ConfigurationError(
                    f"whether the cluster serves {api.version} is not known (the API server answered {reply.status});"
                    " -o openreport prints for openreports.io without asking"
                )
            if any(each.get("kind") == api.kind for each in json.loads(reply.body).get("resources") or ()):
                return api
    finally:
        await session.close()
    wanted = " nor ".join(f"{api.kind} of {api.version}" for api in newest_first)
    raise ConfigurationError(
        f"the cluster serves neither {wanted}: install the CRDs of one of them, or choose another format by -o"
    )


async def _documents(args: argparse.Namespace, problems: list[str]) -> list[Document]:
    from leakwarden.adapters.cluster import Session

    session = await Session.open(args.kubeconfig, args.context)
    try:
        namespace = None if args.all_namespaces else args.namespace
        found: list[Document] = []
        for group, plural, kind in KINDS:
            where = f"namespaces/{namespace}/{plural}" if namespace else plural
            found += await _list(session, f"/{group}/{where}", kind, problems)
        return found
    finally:
        await session.close()


async def _list(session: Session, path: str, kind: str, problems: list[str]) -> list[Document]:
    """Every page of one list. A kind that the cluster does not have is none; what may not be read is said."""
    found: list[Document] = []
    token = ""
    while True:
        query = {"limit": str(PAGE), **({"continue": token} if token else {})}
        reply = await session.ask("GET", path, query=query)
        if reply.status == 404:
            return found
        if reply.status in (401, 403):
            problems.append(
                f"cluster: {kind}s may not be read (the right to list them is missing), so they are unknown"
            )
            return found
        if not reply.ok:
            problems.append(f"cluster: {kind}s could not be read (the API server answered {reply.status})")
            return found
        page = json.loads(reply.body)
        version = page.get("apiVersion")
        found += _items(page, version, kind, len(found))
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return found


def _items(page: dict[str, Any], version: Any, kind: str, before: int) -> Iterator[Document]:
    for number, item in enumerate(page.get("items") or (), before + 1):
        metadata = item.get("metadata") or {}
        # What another object makes is that object's to be judged: ReplicaSets of Deployments, pods of all.
        if any(owner.get("controller") for owner in metadata.get("ownerReferences") or ()):
            continue
        yield Document(DocumentPlace(f"cluster/{kind}", number, 1), {**item, "apiVersion": version, "kind": kind})
