"""Whether the pods are kept apart, and whether there is room for one more pod in a rollout."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.pods_allowed import allowed_pods, rolls
from leakwarden.core.audit.subject import Subject


def spread_missing(subject: Subject) -> Iterator[Defect]:
    """Nothing keeps the pods on different nodes.

    Without a topology spread constraint or a pod anti-affinity all pods may run on one node, and go with it. The
    scheduler's defaults prefer to spread pods of one Service and may be turned off.

    Mend:
        topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: web}}

    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
    """
    workload = subject.workload
    # A constraint that selects other pods is another finding; an anti-affinity to other pods does not keep these apart.
    apart = any(
        not each.affinity or (each.selector is not None and each.selector.selects(workload.pods.labels))
        for each in workload.pods.spreads
    )
    if workload.replicas > 1 and not apart and not workload.pods.host_network:
        yield Defect(
            Severity.INFO,
            f"no topology spread constraint and no pod anti-affinity: all {workload.replicas} pods may be on one node",
            "topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable:"
            " ScheduleAnyway, labelSelector: {matchLabels: the pods' labels}}]",
        )


def spread_selects_others(subject: Subject) -> Iterator[Defect]:
    """A spread constraint or anti-affinity does not count the pods it stands on.

    Its labelSelector selects other pods, so these are not spread at all, and may wait for others for ever. Where
    several workloads are meant to be kept apart from each other the selector is right; then there should be one more
    for the pods themselves.

    Mend:
        labelSelector: {matchLabels: {app: web}}   # the labels of the pod template

    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#spread-constraint-definition
    """
    pods = subject.workload.pods
    own = any(spread.selector and spread.selector.selects(pods.labels) for spread in pods.spreads)
    for spread in pods.spreads:
        # Anti-affinity to other pods has its own purpose, and is not a defect.
        if spread.affinity or (spread.selector is not None and spread.selector.selects(pods.labels)):
            continue
        which = f"selects {spread.selector}" if spread.selector is not None else "has no labelSelector"
        yield Defect(
            Severity.INFO if own else Severity.WARNING,
            f"the topology spread constraint over {spread.topology_key or 'nothing'} {which}, which are not these pods:"
            " they are not spread by it",
            "labelSelector: {matchLabels: the labels of the pod template}",
        )


def surge_cannot_schedule(subject: Subject) -> Iterator[Defect]:
    """A rollout needs a free node for each new pod.

    With hostNetwork, a hostPort or a required anti-affinity over nodes, two of these pods do not fit on one node. With
    maxUnavailable 0 the new pod needs a node without an old one: where there is none, the rollout hangs.

    Mend:
        strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}

    Source: https://kubernetes.io/docs/concepts/configuration/overview/#services
    """
    workload = subject.workload
    if not rolls(workload):
        return
    unavailable, surge = allowed_pods(workload)
    if unavailable or not surge:
        return
    reasons = []
    if workload.pods.host_network:
        reasons.append("hostNetwork")
    if ports := sorted({port for c in (*workload.containers, *workload.pods.sidecars) for port in c.host_ports}):
        reasons.append(f"hostPort {', '.join(map(str, ports))}")
    for spread in workload.pods.spreads:
        required = spread.affinity and spread.required and spread.topology_key == "kubernetes.io/hostname"
        if required and spread.selector is not None and spread.selector.selects(workload.pods.labels):
            reasons.append("a required anti-affinity over nodes")
    if reasons:
        yield Defect(
            Severity.INFO,
            f"{' and '.join(dict.fromkeys(reasons))} with maxUnavailable 0: each new pod needs a node that has no old"
            " one, and where there is none the rollout hangs",
            "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}, or more nodes than replicas",
        )
