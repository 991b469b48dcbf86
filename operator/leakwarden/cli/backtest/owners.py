"""The workload of a pod: from kube-state-metrics where Prometheus has it, else from the pod's name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# The letters of the names that Kubernetes generates (k8s.io/apimachinery, util/rand): no vowels, and no characters that
# look alike. A ReplicaSet's hash has up to ten of them, in practice six or more; a pod's suffix has five.
_LETTERS = "[bcdfghjklmnpqrstvwxz2456789]"
_HASH = re.compile(rf"(.+)-{_LETTERS}{{6,10}}")
_OF_REPLICA_SET = re.compile(rf"(.+)-{_LETTERS}{{6,10}}-{_LETTERS}{{5}}")
_GENERATED = re.compile(rf"(.+)-{_LETTERS}{{5}}")  # of a DaemonSet or Job
_NUMBERED = re.compile(r"(.+)-[0-9]{1,5}")  # of a StatefulSet

# As templates of core.signals. A pod that is gone at the end of a window counts too, so they look back over the window.
PODS = "last_over_time(kube_pod_owner{<<matchers>>}[<<maxage>>])"
REPLICA_SETS = 'last_over_time(kube_replicaset_owner{owner_kind="Deployment",<<matchers>>}[<<maxage>>])'


def workload_of_name(pod: str) -> str:
    """The workload that a pod's name was most likely made from; the name itself where it does not look generated."""
    for pattern in (_OF_REPLICA_SET, _GENERATED, _NUMBERED):
        if (match := pattern.fullmatch(pod)) is not None:
            return match[1]
    return pod


@dataclass(slots=True)
class Owners:
    """The owners that kube-state-metrics has reported so far, by (namespace, name)."""

    _of_pod: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    _of_replica_set: dict[tuple[str, str], str] = field(default_factory=dict)

    def learn(self, pods: Iterable[Mapping[str, str]], replica_sets: Iterable[Mapping[str, str]]) -> None:
        """Take the label sets of kube_pod_owner and kube_replicaset_owner."""
        for labels in pods:
            # A static pod's owner is its node, which does not identify the workload.
            if labels.get("owner_is_controller", "true") == "true" and labels.get("owner_kind", "") != "Node":
                owner = labels.get("owner_name", "")
                if owner not in ("", "<none>"):
                    self._of_pod[labels.get("namespace", ""), labels.get("pod", "")] = labels["owner_kind"], owner
        for labels in replica_sets:
            if owner := labels.get("owner_name", ""):
                self._of_replica_set[labels.get("namespace", ""), labels.get("replicaset", "")] = owner

    def workload(self, namespace: str, pod: str) -> str:
        """The name of the Deployment, StatefulSet, DaemonSet or Job that a pod belongs to."""
        kind, owner = self._of_pod.get((namespace, pod), ("", ""))
        if not owner:
            return workload_of_name(pod)
        if kind != "ReplicaSet":
            return owner
        known = self._of_replica_set.get((namespace, owner))
        if known is not None:
            return known
        match = _HASH.fullmatch(owner)
        return match[1] if match is not None else owner
