"""The checks about what several pods or workloads share (a majority, a budget, a quota, a request): passes and fails."""

from __future__ import annotations

from dataclasses import replace

from leakwarden.core.audit import Severity
from leakwarden.core.model.workload import Workload
from tests.unit.audit.audit_examples import CONTAINER, workload
from tests.unit.audit.related_cases import Case, RelatedCase


def members(image: str = "registry.k8s.io/etcd:3.5.21-0", replicas: int = 3, name: str = "store") -> Workload:
    return workload(
        kind="StatefulSet", name=name, replicas=replicas, containers=(replace(CONTAINER, image=image),)
    )  # fmt: skip


PASSES: dict[str, list[RelatedCase]] = {
    "DisruptionBudgetLosesQuorum": [
        Case("one of three", members()),
        Case("two of five", members(replicas=5), allowed=2),
        Case("one of two, which have no majority to spare", members(replicas=2)),
        Case("a system that has no majority", members("postgres:17"), allowed=2),
        Case("an image that only begins like one", members("shop/etcd-browser:1"), allowed=2),
        Case("all of them, which is another finding", members(), allowed=3),
        Case("a Deployment", workload(containers=(replace(CONTAINER, image="etcd:3"),)), allowed=2),
    ],
}
FAILS: dict[str, list[RelatedCase]] = {
    "DisruptionBudgetLosesQuorum": [
        Case("two of three", members(), allowed=2, severity=Severity.WARNING, says="2 of 3 members"),
        Case("three of five", members("consul:1.20", 5), allowed=3, severity=Severity.WARNING, says="3 are needed"),
        Case("two of four", members(replicas=4), allowed=2, severity=Severity.WARNING, says="3 are needed"),
        Case("raft by name", members("a:1", 3, "log-raft"), allowed=2, severity=Severity.WARNING, says="log-raft"),
    ],
}
