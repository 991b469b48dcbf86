"""The few changes we make, each with a precondition, each requested exactly once.

An answer that was lost is UNKNOWN, as is a failure of the API server itself (5xx): whether the change was made is then
not known, and a second request could make it twice. The API server's own texts stay here; only names are taken from
them, after a check that they are names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from leakwarden.adapters.cluster import facts, wire
from leakwarden.adapters.cluster.session import Reply, Session
from leakwarden.api.names import (
    API_VERSION,
    CLUSTER_POLICY_KIND,
    CLUSTER_POLICY_PLURAL,
    FIELD_MANAGER,
    GROUP,
    POLICY_KIND,
    POLICY_PLURAL,
    RESTARTED_AT_ANNOTATION,
    VERSION,
)
from leakwarden.api.v1alpha1.kinds import KINDS, WorkloadKind
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.model.workload import Disruption, Pod, Workload
from leakwarden.engine.ports import Attempt, ClusterUnavailable, Forbidden, Outcome, StatusConflict

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"

_BUDGET_NAME = re.compile(r"\bdisruption budget ([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?) ", re.ASCII)
_TWO_BUDGETS = "more than one PodDisruptionBudget"
_RBAC = re.compile(r"cannot (?:create|patch|update|get|list) resource", re.ASCII)


async def evict(session: Session, pod: Pod) -> Attempt:
    """Eviction with the pod's UID as precondition, so that a later pod of the same name is never evicted."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
        "deleteOptions": {"preconditions": {"uid": pod.uid}},
    }
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
    reply = await _change(session, "POST", f"{path}/eviction", body)
    if isinstance(reply, Attempt):
        return reply
    match reply.status:
        case 409:
            return await _why_conflict(session, path, pod)
        case 429:
            return _blocked(reply)
        case 500 if _TWO_BUDGETS in (wire.decode_status(reply.body).message or ""):
            message = "more than one PodDisruptionBudget selects this pod, and the Eviction API then refuses"
            return Attempt(Outcome.FAILED, message)
    return _outcome(reply, "create pods/eviction", pod.namespace, f"pod {pod.key}")


async def _why_conflict(session: Session, path: str, pod: Pod) -> Attempt:
    """A 409 has two meanings, and its text is not part of the API: check whether the pod still has the UID we meant."""
    try:
        reply = await session.ask("GET", path, accept=METADATA_ONLY)
    except ClusterUnavailable:
        return Attempt(Outcome.CONFLICT, f"pod {pod.key} changed meanwhile")
    if reply.status == 404 or (reply.ok and _meta(reply.body).get("uid") not in (None, pod.uid)):
        return Attempt(Outcome.GONE, f"pod {pod.key} was replaced by another")
    return Attempt(Outcome.CONFLICT, f"pod {pod.key} changed meanwhile")


def _blocked(reply: Reply) -> Attempt:
    details = wire.decode_status(reply.body).details
    causes = (details.causes if details else None) or ()
    budgets = [cause for cause in causes if cause.reason == "DisruptionBudget"]
    if not budgets:
        # Also 429: the server's own overload protection. Nothing was done, and no budget is the cause.
        return Attempt(Outcome.FAILED, "the API server is too busy (429)")
    for cause in budgets:
        match = _BUDGET_NAME.search(cause.message or "")
        if match is not None:
            message = f"PodDisruptionBudget {match[1]} does not allow a disruption now"
            return Attempt(Outcome.BLOCKED, message, budget=match[1])
    return Attempt(Outcome.BLOCKED, "a PodDisruptionBudget does not allow a disruption now")


async def add_ephemeral_container(session: Session, pod: Pod, container: Mapping[str, Any]) -> Attempt:
    """See ports.Cluster. The API server takes an addition only: it refuses to change or remove existing containers."""
    body = {"metadata": {"uid": pod.uid}, "spec": {"ephemeralContainers": [dict(container)]}}
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
    reply = await _change(session, "PATCH", f"{path}/ephemeralcontainers", body, STRATEGIC_MERGE_PATCH)
    if isinstance(reply, Attempt):
        return reply
    if reply.status in (409, 422):
        # As seen on 1.37, another UID is an invalid change here and not a conflict, as is another container of that
        # name.
        conflict = await _why_conflict(session, path, pod)
        if reply.status == 409 or conflict.outcome is Outcome.GONE:
            return conflict
    return _outcome(reply, "patch pods/ephemeralcontainers", pod.namespace, f"pod {pod.key}")


async def restart_rollout(session: Session, workload: Workload, at: str) -> Attempt:
    precondition = {"resourceVersion": workload.resource_version}
    if workload.kind == WorkloadKind.ROLLOUT:
        # Argo Rollouts evicts the pods that are older than this, a few at a time; the template stays as it is.
        body: dict[str, Any] = {"metadata": precondition, "spec": {"restartAt": at}}
        how = MERGE_PATCH
    else:
        annotated = {"metadata": {"annotations": {RESTARTED_AT_ANNOTATION: at}}}
        body = {"metadata": precondition, "spec": {"template": annotated}}
        how = STRATEGIC_MERGE_PATCH
    reply = await _change(session, "PATCH", _path(workload), body, how)
    if isinstance(reply, Attempt):
        return reply
    return _outcome(reply, f"patch {_resource(workload)}", workload.namespace, _words(workload))


async def scale(session: Session, workload: Workload, replicas: int) -> Attempt:
    # The resourceVersion of a /scale is its workload's, so the one in the cache is the precondition.
    body = {"metadata": {"resourceVersion": workload.resource_version}, "spec": {"replicas": replicas}}
    reply = await _change(session, "PATCH", f"{_path(workload)}/scale", body, MERGE_PATCH)
    if isinstance(reply, Attempt):
        return reply
    return _outcome(reply, f"patch {_resource(workload)}/scale", workload.namespace, _words(workload))


def _path(workload: Workload) -> str:
    api = KINDS[WorkloadKind(workload.kind)]
    return f"/apis/{api.group_version}/namespaces/{workload.namespace}/{api.plural}/{workload.name}"


def _resource(workload: Workload) -> str:
    """As RBAC rules name it: deployments.apps."""
    api = KINDS[WorkloadKind(workload.kind)]
    return f"{api.plural}.{api.group}"


def _words(workload: Workload) -> str:
    return f"{workload.kind} {workload.namespace}/{workload.name}"


async def disruption_budgets(session: Session, pod: Pod) -> Sequence[Disruption]:
    """The budgets whose selector matches the pod's labels, by name; none when the pod is gone.

    Raises ClusterUnavailable when either could not be read: "no budget" would be a guess.
    """
    reply = await session.ask("GET", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}", accept=METADATA_ONLY)
    if reply.status == 404:
        return ()
    must(reply, f"get pods in namespace {pod.namespace}")
    meta = _meta(reply.body)
    if meta.get("uid") != pod.uid:
        return ()
    labels = meta.get("labels") or {}
    found: list[Disruption] = []
    token = ""
    while True:
        query = {"limit": "500", **({"continue": token} if token else {})}
        path = f"/apis/policy/v1/namespaces/{pod.namespace}/poddisruptionbudgets"
        reply = await session.ask("GET", path, query=query)
        must(reply, f"list poddisruptionbudgets.policy in namespace {pod.namespace}")
        try:
            page = msgspec.json.decode(reply.body, type=wire.ApiBudgetList)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ClusterUnavailable("the list of PodDisruptionBudgets could not be read") from None
        found += [
            Disruption(
                namespace=pod.namespace,
                name=budget.metadata.name,
                disruptions_allowed=(budget.status.disruptions_allowed if budget.status else None) or 0,
            )
            for budget in page.items or ()
            if wire.selects(budget.spec.selector if budget.spec else None, labels)
        ]
        token = (page.metadata.continue_ if page.metadata else None) or ""
        if not token:
            return tuple(sorted(found, key=lambda budget: budget.name))


async def replicas_set_by(session: Session, workload: Workload) -> frozenset[str]:
    """See ports.Cluster. A change through /scale moves the ownership of spec.replicas to its field manager, with any
    client: the API server records that (metadata.managedFields) for every writer."""
    reply = await session.ask("GET", _path(workload), accept=METADATA_ONLY)
    if reply.status == 404:
        return frozenset()
    must(reply, f"get {_resource(workload)} in namespace {workload.namespace}")
    meta = _meta(reply.body)
    entries = meta.get("managedFields")
    if meta.get("uid") != workload.uid or not isinstance(entries, list):
        return frozenset()
    return frozenset(str(entry.get("manager", "")) for entry in entries if _owns_replicas(entry))


def _owns_replicas(entry: Any) -> bool:
    try:
        return "f:replicas" in entry["fieldsV1"]["f:spec"]
    except (TypeError, KeyError):
        return False


def _policy(namespace: str, name: str) -> tuple[str, str]:
    """The path of a policy, and what it is called in a list of rights; of a ClusterReliabilityPolicy without a
    namespace."""
    if not namespace:
        return f"/apis/{GROUP}/{VERSION}/{CLUSTER_POLICY_PLURAL}/{name}", f"{CLUSTER_POLICY_PLURAL}.{GROUP}"
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{POLICY_PLURAL}/{name}", f"{POLICY_PLURAL}.{GROUP}"


async def policy_generation(session: Session, namespace: str, name: str, uid: str) -> int | None:
    """See ports.Cluster."""
    path, kind = _policy(namespace, name)
    reply = await session.ask("GET", path, accept=METADATA_ONLY)
    if reply.status == 404:
        return None
    must(reply, f"get {kind}{_where(namespace)}")
    meta = _meta(reply.body)
    if meta.get("uid") != uid or "deletionTimestamp" in meta:
        return None
    return int(meta.get("generation") or 0)


_NAMESPACE = msgspec.json.Decoder(wire.ApiNamespace)


async def namespace(session: Session, name: str) -> Namespace | None:
    """See ports.Cluster."""
    reply = await session.ask("GET", f"/api/v1/namespaces/{name}", accept=METADATA_ONLY)
    if reply.status == 404:
        return None
    must(reply, "get namespaces")
    try:
        return facts.namespace(_NAMESPACE.decode(reply.body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ClusterUnavailable("a namespace could not be read back") from None


async def write_status(
    session: Session, namespace: str, name: str, *, uid: str, resource_version: str, status: Mapping[str, Any]
) -> str:
    """Server-side apply, so that a field we no longer state goes away; forced, since no one else may own them.

    The precondition is the resourceVersion, which no two objects of a cluster share: seen on 1.37, an apply does not
    compare the uid.
    """
    called = f"{namespace}/{name}" if namespace else f"{CLUSTER_POLICY_KIND}/{name}"
    if not resource_version:
        raise StatusConflict(f"policy {called} was read without a version")
    path, kind = _policy(namespace, name)
    place = {"namespace": namespace} if namespace else {}
    body = {
        "apiVersion": API_VERSION,
        "kind": POLICY_KIND if namespace else CLUSTER_POLICY_KIND,
        "metadata": {"name": name, **place, "uid": uid, "resourceVersion": resource_version},
        "status": status,
    }
    reply = await session.ask(
        "PATCH",
        f"{path}/status",
        query={"fieldManager": FIELD_MANAGER, "force": "true"},
        body=encode(body),
        content_type=APPLY_PATCH,
    )
    if reply.status in (404, 409):
        raise StatusConflict(f"policy {called} changed or is gone since it was read")
    must(reply, f"patch {kind}/status{_where(namespace)}")
    return str(_meta(reply.body).get("resourceVersion") or "")


def _where(namespace: str) -> str:
    return f" in namespace {namespace}" if namespace else ""


async def _change(
    session: Session, method: str, path: str, body: Mapping[str, Any], content_type: str = "application/json"
) -> Reply | Attempt:
    try:
        return await session.ask(
            method,
            path,
            query={"fieldManager": FIELD_MANAGER} if method == "PATCH" else None,
            body=encode(body),
            content_type=content_type,
        )
    except ClusterUnavailable as error:
        return Attempt(Outcome.UNKNOWN, f"{error}; whether it was done is not known")


def _outcome(reply: Reply, right: str, namespace: str, what: str) -> Attempt:
    match reply.status:
        case code if 200 <= code < 300:
            return Attempt(Outcome.DONE)
        case 404:
            return Attempt(Outcome.GONE, f"{what} no longer exists")
        case 409:
            return Attempt(Outcome.CONFLICT, f"{what} changed since it was read")
        case 401:
            return Attempt(Outcome.FORBIDDEN, "the API server does not accept the operator's credentials (401)")
        case 403:
            return Attempt(Outcome.FORBIDDEN, _forbidden(reply, right, namespace))
        case 422:
            return Attempt(
                Outcome.FORBIDDEN, f"the API server or an admission rule refused it as invalid (422): {right}"
            )
        case 429:
            return Attempt(Outcome.FAILED, "the API server is too busy (429)")
        case code if code >= 500:
            # A 504, for example, comes while the change is still under way behind it.
            return Attempt(Outcome.UNKNOWN, f"the API server answered {code}; whether it was done is not known")
        case code:
            return Attempt(Outcome.FAILED, f"the API server answered {code}")


def _forbidden(reply: Reply, right: str, namespace: str) -> str:
    """Only the authorizer writes "cannot ... resource"; admission plugins and webhooks refuse with 403 as well."""
    if _RBAC.search(wire.decode_status(reply.body).message or ""):
        return f"the operator's account lacks the right `{right}` in namespace {namespace}"
    return f"the API server refused it (403): the right `{right}` in namespace {namespace}, or an admission rule"


def must(reply: Reply, right: str) -> None:
    """Raises ClusterUnavailable unless the request succeeded."""
    if reply.ok:
        return
    if reply.status == 403:
        raise Forbidden(f"the operator's account may not {right} (403)")
    raise ClusterUnavailable(f"the API server answered {reply.status} to {right}")


def _meta(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body).get("metadata")
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
