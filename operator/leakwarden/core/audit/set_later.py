"""Labels and pods that no manifest shows: set by a controller when it makes the pods, or made of a custom resource.

A selector that uses them selects pods although no pod template has the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from leakwarden.core.audit.related import Identity
from leakwarden.core.model.labels import LabelSelector
from leakwarden.core.model.workload import Workload

EVERY = "\0every namespace"  # a key of the indexes that no namespace can have
POD_NAME = "statefulset.kubernetes.io/pod-name"
# Source: https://kubernetes.io/docs/reference/labels-annotations-taints/ and the documentation of Argo Rollouts
BY_CONTROLLERS = frozenset(
    {
        POD_NAME,
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/job-name",
        "controller-revision-hash",
        "controller-uid",
        "job-name",
        "pod-template-generation",
        "pod-template-hash",
        "rollouts-pod-template-hash",
    }
)
# Labels by which servers that elect a leader mark its pod while they run: Patroni, Vault, CloudNativePG, Redis operators.
BY_SERVERS = frozenset(
    {
        "cnpg.io/instanceRole",
        "postgres-operator.crunchydata.com/role",
        "redis-role",
        "redisfailovers-role",
        "role",
        "spilo-role",
        "vault-active",
        "vault-initialized",
        "vault-sealed",
    }
)
# Groups whose kinds configure something and make no pods.
_NO_PODS = (
    "bitnami.com", "cert-manager.io", "cilium.io", "crd.projectcalico.org", "external-secrets.io", "istio.io", "k8s.io",
    "keda.sh", "kyverno.io", "leakwarden.dev", "linkerd.io", "openreports.io", "projectcontour.io", "traefik.io",
    "traefik.containo.us",
)  # fmt: skip
_PROMETHEUS = frozenset({"Alertmanager", "Prometheus", "PrometheusAgent", "ThanosRuler"})


@dataclass(frozen=True, slots=True)
class Maker:
    """An object of a kind that is not audited and may make pods. `labels`: of its pod template, where it has one."""

    identity: Identity
    labels: Mapping[str, str] = field(default_factory=dict)

    def words(self) -> Iterator[str]:
        """By what a selector may refer to its pods."""
        if self.labels:
            yield from (f"{key}={value}" for key, value in self.labels.items())
        else:
            yield from {self.identity.name.lower(), self.identity.kind.lower()}


class Makers:
    """The makers that were read, by namespace and by what a selector may refer to."""

    def __init__(self, makers: Iterable[Maker] = ()) -> None:
        self._by_word: dict[tuple[str, str], Maker] = {}
        self._labelled: dict[tuple[str, str], list[Maker]] = {}
        for maker in makers:
            for space in {maker.identity.namespace, EVERY}:
                for word in maker.words():
                    if maker.labels:
                        self._labelled.setdefault((space, word), []).append(maker)
                    else:
                        self._by_word.setdefault((space, word), maker)

    def of(self, namespace: str, selector: LabelSelector) -> Maker | None:
        """One whose pods the selector may be meant for: it selects the template, or names the object or its kind."""
        for space in (namespace, "") if namespace else (EVERY,):
            values = [value for _, value in selector.labels]
            values += [value for each in selector.expressions for value in each.values]
            for value in values:
                if (maker := self._by_word.get((space, value.lower()))) is not None:
                    return maker
            lists = [self._labelled.get((space, f"{key}={value}"), []) for key, value in selector.labels]
            for maker in min(lists, key=len, default=[]):
                if selector.selects(maker.labels):
                    return maker
        return None


def may_make_pods(kind: str, version: str) -> bool:
    """Whether a custom kind may make pods: of most nothing is known, so most may."""
    group = version.rpartition("/")[0]
    if "." not in group or any(group == each or group.endswith(f".{each}") for each in _NO_PODS):
        return False
    return group != "monitoring.coreos.com" or kind in _PROMETHEUS


def without_set_labels(selector: LabelSelector) -> LabelSelector | None:
    """The selector without the labels that controllers set; None where it has none of them."""
    labels = tuple(each for each in selector.labels if each[0] not in BY_CONTROLLERS)
    expressions = tuple(each for each in selector.expressions if each.key not in BY_CONTROLLERS)
    if len(labels) == len(selector.labels) and len(expressions) == len(selector.expressions):
        return None
    return LabelSelector(labels, expressions)


def may_name(selector: LabelSelector, workload: Workload) -> bool:
    """Whether the pod that the selector names, if it names one, may be a pod of the workload."""
    name = dict(selector.labels).get(POD_NAME)
    return name is None or (workload.kind == "StatefulSet" and name.rpartition("-")[0] == workload.name)


def without_roles(selector: LabelSelector) -> LabelSelector | None:
    """The selector without the labels that servers set on themselves; None where it has none of them, or no other."""
    labels = tuple(each for each in selector.labels if each[0] not in BY_SERVERS)
    return LabelSelector(labels, selector.expressions) if labels and len(labels) < len(selector.labels) else None
