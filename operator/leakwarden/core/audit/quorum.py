"""Systems whose members decide by majority: whether a budget leaves them one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.subject import Subject

# The last part of the images' names: every member of these takes part in the majority.
_IMAGES = frozenset(
    {
        "clickhouse-keeper", "cockroach", "consul", "consul-enterprise", "cp-zookeeper", "etcd", "rqlite", "zookeeper",
    }
)  # fmt: skip
# Images that hold a quorum only in one of their roles, which the workload is then named after.
_BROKERS = frozenset({"kafka", "cp-kafka", "cp-server", "kafka-native"})
_NAMED = re.compile(r"(?:^|-)raft(?:-|$)")
_CONTROLLERS = re.compile(r"(?:^|-)(?:controllers?|quorum|kraft)(?:-|$)")


def quorum_lost(subject: Subject) -> Iterator[Defect]:
    """A PodDisruptionBudget lets a quorum be lost.

    Members that decide by majority (etcd, Consul, ZooKeeper, CockroachDB, Kafka's controllers) take no writes once fewer
    than half and one of them are there. A budget that allows more evictions at once than that, with all members healthy,
    lets a node drain stop the whole cluster. Recognised by the image's name, and by raft in the name of the
    StatefulSet; of three pods or more.

    Mend:
        spec:
          maxUnavailable: 1

    Source: https://etcd.io/docs/v3.6/faq/#what-is-failure-tolerance
    """
    members = subject.workload.replicas
    system = decides_by_majority(subject)
    if members < 3 or not system:
        return
    majority = members // 2 + 1
    for budget in subject.disruptions or ():
        # A budget that allows all of them is another finding.
        if members - majority < budget.disruptions_allowed < members:
            yield Defect(
                Severity.WARNING,
                f"PodDisruptionBudget {budget.name} lets {budget.disruptions_allowed} of {members} members be evicted at"
                f" once, and {majority} are needed for a majority ({system}): the cluster then takes no writes",
                f"in {budget.name}: maxUnavailable: 1 (or minAvailable: {majority})",
            )


def decides_by_majority(subject: Subject) -> str:
    """By what the workload is recognised as such a system, in words; empty where nothing shows it."""
    name = subject.workload.name
    if _NAMED.search(name):
        return f"by its name, {name[:63]}"
    for container in subject.containers:
        image = container.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
        if image in _IMAGES or (image in _BROKERS and _CONTROLLERS.search(name)):
            return f"by its image, {image}"
    return ""
