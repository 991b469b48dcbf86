"""A ClusterReliabilityPolicy as the operator holds it, and the policies that are derived from it: one for each namespace.

A derived policy is a Policy like any other, so that everything after it (readings, judgements, guards, budgets, reports)
works by namespace as it does for a ReliabilityPolicy. Three things differ:

    its UID is derived from those of the ClusterReliabilityPolicy and of the namespace: a namespace that was deleted and
    made again under its name is another one;
    its mode is Observe wherever the namespace does not allow more, or is not known well enough to tell;
    the namespace's own policies come before it (Policy.precedence).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from leakwarden.api.names import ENFORCE_ALLOWED, ENFORCE_LABEL
from leakwarden.api.v1alpha1.cluster_policy import ClusterPolicySpec, NamespaceSelector
from leakwarden.api.v1alpha1.cluster_status import ClusterPolicyStatus
from leakwarden.api.v1alpha1.policy import Mode, Selector, WorkloadKind
from leakwarden.api.v1alpha1.status import ActionStatus, OtherWorkload, PolicyStatus, TargetCounts, WorkloadStatus
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.model.policy import (
    USUAL_LABELS,
    Origin,
    Policy,
    describe_invalid,
    parse_time,
    questions,
    readable_kinds,
    readable_selector,
    selects,
)
from leakwarden.core.promql import Confined, PromQLError, Question, ask

T = TypeVar("T", bound=BaseModel)

# A query of a policy's own is sent once a tick for each namespace, unlike those of our own signals, which are sent once
# for all: in more namespaces than this such a policy is not in force.
ASKED_NAMESPACES = 100
_DERIVED = uuid.UUID("7f0a9d2c-3b64-5f0e-9a57-1c1f6a1d0c11")  # names our derived UIDs (RFC 9562, version 5); random
NOT_ALLOWED = f"the namespace does not have the label {ENFORCE_LABEL}: {ENFORCE_ALLOWED}"
LEAVING = "the namespace is being deleted"


@dataclass(frozen=True, slots=True)
class ClusterPolicy:
    """`spec` is None exactly where `error` holds the reason. `status` is the one in the API server."""

    name: str
    uid: str
    resource_version: str
    generation: int
    created: float  # epoch s
    spec: ClusterPolicySpec | None
    error: str
    status: ClusterPolicyStatus
    over_limit: bool = False  # it could be read, but there are more than may be in force
    # What it selects, also where the spec cannot be read as a whole; None where it is not known. Unlike a ReliabilityPolicy
    # whose selector is not known, it then keeps nothing from others: else one typing error would stop a whole cluster.
    namespaces: NamespaceSelector | None = None
    claims: Selector | None = None
    kinds: frozenset[WorkloadKind] = frozenset()
    labels: tuple[str, str] = USUAL_LABELS  # the source's names of the labels that identify a pod
    # The spec in mode Observe: one for all namespaces, so that thousands of them cost one.
    observing: ClusterPolicySpec | None = None

    @property
    def asks(self) -> bool:
        """Whether it has queries of its own."""
        return self.spec is not None and next(iter(questions(self.spec, "", self.labels)), None) is not None

    @property
    def asks_each_tick(self) -> bool:
        return self.spec is not None and any(
            query is not None for signal in self.spec.signals for query in (signal.query, signal.limit_query)
        )


def _readable_namespaces(spec: Any) -> NamespaceSelector | None:
    try:
        return NamespaceSelector.model_validate(spec["namespaces"])
    except Exception:
        return None


def parse_cluster_policy(
    body: Mapping[str, Any],
    asks: Callable[[Question], Confined] = ask,
    labels: Mapping[str, tuple[str, str]] | None = None,
) -> ClusterPolicy:
    """A ClusterReliabilityPolicy from the API server. Never raises: every fault of it is in `error`. The arguments are
    those of `parse_policy`."""
    found = body.get("metadata")
    metadata: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    spec: ClusterPolicySpec | None = None
    error, called = "", USUAL_LABELS
    try:
        spec = ClusterPolicySpec.model_validate(body.get("spec") or {})
        called = (labels or {}).get(spec.source.prometheus or "", USUAL_LABELS)
        # Whether a query can be confined does not depend on the namespace, so any one shows it.
        _, error = confined_to(spec, "default", called, asks)
    except ValidationError as invalid:
        error = describe_invalid(invalid)
    except Exception:
        error = "spec cannot be read: it is not of the shape that the schema describes"
    if error:
        spec = None
    try:
        status = ClusterPolicyStatus.model_validate(body.get("status") or {})
    except (ValidationError, RecursionError):
        status = ClusterPolicyStatus()
    return ClusterPolicy(
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        generation=generation if isinstance(generation := metadata.get("generation"), int) else 0,
        created=parse_time(metadata.get("creationTimestamp")),
        spec=spec,
        error=error,
        status=status,
        namespaces=spec.namespaces if spec is not None else _readable_namespaces(body.get("spec")),
        claims=spec.selector if spec is not None else readable_selector(body.get("spec")),
        kinds=frozenset(spec.workloads) if spec is not None else readable_kinds(body.get("spec")),
        labels=called,
        observing=spec.model_copy(update={"mode": Mode.OBSERVE}) if spec is not None else None,
    )


def confined_to(
    spec: ClusterPolicySpec, namespace: str, labels: tuple[str, str], asks: Callable[[Question], Confined] = ask
) -> tuple[dict[Question, Confined], str]:
    """Every query of the spec confined to the namespace, or the error of the first that cannot be."""
    found: dict[Question, Confined] = {}
    for where, question in questions(spec, namespace, labels):
        try:
            found[question] = asks(question)
        except PromQLError as error:
            return {}, f"{where} is {question.query[:60]!r}: {error}"
    return found, ""


def selects_namespace(selector: NamespaceSelector | None, namespace: Namespace) -> bool:
    """An absent selector selects nothing, as an empty one does."""
    if selector is None:
        return False
    return namespace.name in selector.names or selects(selector, namespace.labels)


def bound_by(namespace: Namespace) -> str:
    """Why a ClusterReliabilityPolicy may not act in the namespace, in one line; empty where it may."""
    if namespace.terminating:
        return LEAVING
    return "" if namespace.labels.get(ENFORCE_LABEL) == ENFORCE_ALLOWED else NOT_ALLOWED


def derived_uid(cluster: str, namespace: str) -> str:
    """The UID of the policy that a ClusterReliabilityPolicy has in a namespace, from the UIDs of both."""
    return str(uuid.uuid5(_DERIVED, f"{cluster}/{namespace}"))


def derive(
    cluster: ClusterPolicy,
    namespace: Namespace,
    *,
    unsure: str = "",
    confined: Mapping[Question, Confined] | None = None,
    status: PolicyStatus | None = None,
) -> Policy:
    """The policy in one namespace. `unsure` is why the namespace's labels are not known as they are now, in one line, or
    empty: then nothing is done there. `confined` are its queries, confined to the namespace."""
    bound = unsure or bound_by(namespace)
    spec = cluster.observing if bound else cluster.spec
    enforces = cluster.spec is not None and cluster.spec.mode is Mode.ENFORCE
    return Policy(
        namespace=namespace.name,
        name=cluster.name,
        uid=derived_uid(cluster.uid, namespace.uid),
        resource_version=cluster.resource_version,
        generation=cluster.generation,
        created=cluster.created,
        spec=spec,
        error=cluster.error,
        status=status if status is not None else PolicyStatus(),
        confined=confined or {},
        over_limit=cluster.over_limit,
        claims=cluster.claims,
        kinds=cluster.kinds,
        origin=Origin(cluster.uid, namespace.uid, bound if enforces else ""),
    )


def beyond(policy: Policy, why: str) -> Policy:
    """The policy where a limit keeps it from being in force: it selects nothing."""
    return replace(policy, spec=None, error=why, over_limit=True, confined={}, claims=None)


def why_not_now(policy: Policy, namespace: Namespace | None) -> str:
    """Why a derived policy may not act, by the namespace as it is now (None: gone), in one line; empty where it may."""
    if policy.origin is None:
        return ""
    if namespace is None or namespace.uid != policy.origin.namespace_uid:
        return "the namespace is gone, or another one has its name"
    if isinstance(policy.spec, ClusterPolicySpec) and not selects_namespace(policy.spec.namespaces, namespace):
        return f"{policy.title} does not select the namespace any more"
    return bound_by(namespace)


def status_in(status: ClusterPolicyStatus, namespace: str) -> PolicyStatus:
    """What the status of a ClusterReliabilityPolicy says of one namespace, as the status of a policy there.

    Of its action records those that name their LeakReport, and so are only a view of it.
    """
    held = next((each for each in status.namespaces if each.name == namespace), None)
    counts = (
        TargetCounts(workloads=held.workloads, pods=held.pods, leaking=held.leaking, exhausting=held.exhausting)
        if held is not None
        else TargetCounts()
    )
    return PolicyStatus(
        observed_generation=status.observed_generation,
        conditions=list(status.conditions),
        source=status.source,
        profile=status.profile,
        targets=counts,
        workloads=[_without(WorkloadStatus, each) for each in status.workloads if each.namespace == namespace],
        others=[_without(OtherWorkload, each) for each in status.others if each.namespace == namespace],
        signals=list(status.signals),
        actions=[
            _without(ActionStatus, each) for each in status.actions if each.namespace == namespace and each.report
        ],
    )


def _without(model: type[T], each: T) -> T:
    """The same without its namespace."""
    return model.model_construct(**{name: value for name, value in each if name != "namespace"})


def as_shown(cluster: ClusterPolicy, namespace: str) -> Policy:
    """The policy in a namespace as the status shows it, for commands that read no namespace."""
    held = next((each for each in cluster.status.namespaces if each.name == namespace), None)
    known = Namespace(namespace, f"{namespace} by its name", {ENFORCE_LABEL: ENFORCE_ALLOWED})
    if held is not None:
        unsure = held.bound
    else:
        unsure = "whether the namespace lets it act is not shown: the status does not list the namespace"
    return derive(cluster, known, unsure=unsure, status=status_in(cluster.status, namespace))


def as_written(cluster: ClusterPolicy) -> Policy:
    """The policy of a file, in no one namespace and with the mode that it asks for."""
    return replace(derive(cluster, Namespace("", "", {ENFORCE_LABEL: ENFORCE_ALLOWED})), spec=cluster.spec)


def oldest_first(namespaces: Sequence[Namespace]) -> list[Namespace]:
    """So that a new namespace never takes the place of one that a policy is in force in."""
    return sorted(namespaces, key=lambda each: (each.created, each.name))
