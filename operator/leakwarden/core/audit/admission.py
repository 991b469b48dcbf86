"""Manifests that the API server refuses although every field has the right type: rules of Kubernetes' own validation.

Works on the manifest as it is written, since a refused object has no facts. Each rule is one function over one mapping
and yields (field, reason); source of the rules: pkg/apis/*/validation of kubernetes/kubernetes, release 1.34.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from leakwarden.core.audit import job_admission, object_admission
from leakwarden.core.audit.pod_admission import pod_spec
from leakwarden.core.audit.written import Refusal, count, items, mapping, share

_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_LABEL_KEY = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII
)
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_VARIABLE = re.compile(r"\$\{[A-Za-z_]")  # filled in later: by Flux's postBuild.substitute, or by envsubst
_DNS_LABEL = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
MAX_NAME = 253
_SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")

TEMPLATED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Job", "CronJob"})


def refusals(body: Mapping[str, Any]) -> Iterator[Refusal]:
    """All reasons for which the API server would refuse this object, as far as these rules go."""
    kind = str(body.get("kind"))
    spec = mapping(body.get("spec"))
    yield from _metadata(mapping(body.get("metadata")), kind)
    if kind == "Pod":
        yield from pod_spec(spec, "spec")
    elif kind in TEMPLATED:
        at = "spec.jobTemplate.spec" if kind == "CronJob" else "spec"
        job = mapping(mapping(spec.get("jobTemplate")).get("spec")) if kind == "CronJob" else spec
        template = mapping(job.get("template"))
        if kind != "Rollout" or "template" in job:
            yield from _labels(mapping(mapping(template.get("metadata")).get("labels")), f"{at}.template.metadata")
            yield from pod_spec(mapping(template.get("spec")), f"{at}.template.spec", _claimed(spec))
            if (
                kind not in ("Job", "CronJob")
                and mapping(template.get("spec")).get("activeDeadlineSeconds") is not None
            ):
                yield f"{at}.template.spec.activeDeadlineSeconds", f"may not be set for a {kind}"
        yield from _restart_policy(kind, mapping(template.get("spec")), at)
    if rule := _RULES.get(kind):
        yield from rule(spec)


def _claimed(spec: Mapping[str, Any]) -> frozenset[str]:
    """The names of the volumes that a StatefulSet makes of its claim templates."""
    return frozenset(str(mapping(each.get("metadata")).get("name")) for each in items(spec.get("volumeClaimTemplates")))


def _metadata(metadata: Mapping[str, Any], kind: str) -> Iterator[Refusal]:
    name = metadata.get("name")
    if isinstance(name, str) and name:
        pattern, most = (_DNS_LABEL, 63) if kind == "Service" else (_SUBDOMAIN, MAX_NAME)
        if kind == "CronJob" and len(name) > job_admission.MAX_NAME:
            yield "metadata.name", f"has {len(name)} characters, above {job_admission.MAX_NAME} for a CronJob"
        if len(name) > most or not pattern.fullmatch(name):
            yield "metadata.name", f"{name[:60]!r} is not a name: lower case letters, digits, - and ."
    yield from _labels(mapping(metadata.get("labels")), "metadata")


def _labels(labels: Mapping[str, Any], at: str) -> Iterator[Refusal]:
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(str(key)[:400]):
            yield f"{at}.labels", f"{str(key)[:60]!r} is not a label's name"
        elif isinstance(value, str) and not _VARIABLE.search(value[:100]) and not _LABEL_VALUE.fullmatch(value[:100]):
            yield f"{at}.labels.{key}", f"{value[:60]!r} is not a label's value: at most 63 letters, digits, -, _ and ."


def variables(body: Mapping[str, Any]) -> Iterator[str]:
    """The labels whose values are variables that are filled in later, such as ${region}: each with its value."""
    spec = mapping(body.get("spec"))
    for at, metadata in (
        ("metadata", mapping(body.get("metadata"))),
        ("spec.template.metadata", mapping(mapping(spec.get("template")).get("metadata"))),
    ):
        for key, value in mapping(metadata.get("labels")).items():
            if isinstance(value, str) and "${" in value and _VARIABLE.search(value[:100]):
                yield f"{at}.labels.{str(key)[:60]} ({value[:40]})"


def _restart_policy(kind: str, pod: Mapping[str, Any], at: str) -> Iterator[Refusal]:
    policy = pod.get("restartPolicy")
    field = f"{at}.template.spec.restartPolicy"
    if kind in ("Job", "CronJob"):
        if policy not in ("OnFailure", "Never"):
            yield field, f"must be OnFailure or Never for a {kind}, and is {policy or 'Always, the default'}"
    elif kind != "Rollout" and policy not in (None, "", "Always"):
        yield field, f"must be Always for a {kind}, and is {str(policy)[:40]}"


def _selector(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    selector = spec.get("selector")
    labels = mapping(mapping(mapping(spec.get("template")).get("metadata")).get("labels"))
    wanted = mapping(mapping(selector).get("matchLabels"))
    expressions = mapping(selector).get("matchExpressions")
    if not wanted and not expressions:
        yield "spec.selector", "is missing or empty, and must select the pods of the template"
        return
    for key, value in wanted.items():
        if labels.get(key) != value:
            shown = f"has {labels[key]!r}" if key in labels else "does not have it"
            yield "spec.selector.matchLabels", f"selects {key}={value}, and the template {shown}: they must match"
    for each in expressions if isinstance(expressions, list) else ():
        each = mapping(each)
        held, values = labels.get(str(each.get("key"))), each.get("values") or ()
        met = {
            "In": held is not None and held in values,
            "NotIn": held is None or held not in values,
            "Exists": held is not None,
            "DoesNotExist": held is None,
        }.get(str(each.get("operator")))
        if met is None:
            yield "spec.selector.matchExpressions", f"{str(each.get('operator'))[:40]!r} is not an operator"
        elif not met:
            yield "spec.selector.matchExpressions", f"{each.get('key')} {each.get('operator')} does not select the pods"


def _deployment(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    yield from _selector(spec)
    yield from _not_negative(spec, "replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    strategy = mapping(spec.get("strategy"))
    kind = strategy.get("type")
    rolling = strategy.get("rollingUpdate")
    if kind == "Recreate" and rolling is not None:
        yield "spec.strategy.rollingUpdate", "may not be set where the type is Recreate"
    elif kind not in (None, "", "Recreate", "RollingUpdate"):
        yield "spec.strategy.type", f"is {str(kind)[:40]!r}; Recreate or RollingUpdate is needed"
    elif kind != "Recreate":
        yield from _rolling(mapping(rolling), "spec.strategy.rollingUpdate")
    deadline, ready = spec.get("progressDeadlineSeconds", 600), spec.get("minReadySeconds", 0)
    if isinstance(deadline, int) and isinstance(ready, int) and deadline <= ready:
        yield "spec.progressDeadlineSeconds", f"is {deadline} and must be greater than minReadySeconds ({ready})"


def _rolling(rolling: Mapping[str, Any], at: str) -> Iterator[Refusal]:
    values = {}
    for name in ("maxUnavailable", "maxSurge"):
        value = rolling.get(name)
        values[name] = value
        if isinstance(value, str) and share(value) is None:
            yield f"{at}.{name}", f"is {value[:40]!r}, which is neither a number nor a percentage"
        elif isinstance(value, int) and value < 0:
            yield f"{at}.{name}", f"is {value} and must not be negative"
        elif name == "maxUnavailable" and isinstance(value, str) and (share(value) or 0) > 100:
            yield f"{at}.{name}", f"is {value} and must not be above 100%"
    if all(value in (0, "0%") and value is not False for value in values.values()):
        yield f"{at}.maxUnavailable", "may not be 0 where maxSurge is 0, too: nothing could roll"


def _stateful_set(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    yield from _selector(spec)
    yield from _not_negative(spec, "replicas", "minReadySeconds")
    yield from _update_strategy(spec)
    if (policy := spec.get("podManagementPolicy")) not in (None, "", "OrderedReady", "Parallel"):
        yield "spec.podManagementPolicy", f"is {str(policy)[:40]!r}; OrderedReady or Parallel is needed"
    for number, each in enumerate(items(spec.get("volumeClaimTemplates"))):
        yield from object_admission.claim(mapping(each.get("spec")), f"spec.volumeClaimTemplates[{number}].spec")


def _daemon_set(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    yield from _selector(spec)
    yield from _not_negative(spec, "minReadySeconds")
    yield from _update_strategy(spec)
    yield from _daemon_rolling(mapping(mapping(spec.get("updateStrategy")).get("rollingUpdate")))


def _update_strategy(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    strategy = mapping(spec.get("updateStrategy"))
    if strategy.get("type") not in (None, "", "RollingUpdate", "OnDelete"):
        yield "spec.updateStrategy.type", f"is {str(strategy['type'])[:40]!r}; RollingUpdate or OnDelete is needed"


def _daemon_rolling(rolling: Mapping[str, Any]) -> Iterator[Refusal]:
    """A DaemonSet either takes pods away first, or adds them first: one of the two has to be 0, and not both."""
    none = (0, "0%")
    unavailable, surge = rolling.get("maxUnavailable", 1), rolling.get("maxSurge", 0)
    if unavailable in none and surge in none:
        yield "spec.updateStrategy.rollingUpdate.maxUnavailable", "may not be 0 where maxSurge is 0, too"
    elif unavailable not in none and surge not in none:
        yield "spec.updateStrategy.rollingUpdate.maxSurge", "may not be set where maxUnavailable is not 0"


def _rollout(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    """An Argo Rollout: what its CustomResourceDefinition refuses."""
    strategy = mapping(spec.get("strategy"))
    if isinstance(strategy.get("blueGreen"), dict) and not strategy["blueGreen"].get("activeService"):
        yield "spec.strategy.blueGreen.activeService", "is missing"


def _budget(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield "spec.maxUnavailable", "minAvailable and maxUnavailable may not both be set"
    for name in ("minAvailable", "maxUnavailable"):
        value = spec.get(name)
        if isinstance(value, str) and (share(value) is None or (share(value) or 0) > 100):
            yield f"spec.{name}", f"is {value[:40]!r}; a number, or a percentage up to 100%, is needed"
        elif isinstance(value, int) and value < 0:
            yield f"spec.{name}", f"is {value} and must not be negative"
    if spec.get("unhealthyPodEvictionPolicy") not in (None, "", "IfHealthyBudget", "AlwaysAllow"):
        yield "spec.unhealthyPodEvictionPolicy", "must be IfHealthyBudget or AlwaysAllow"


def _autoscaler(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    target = mapping(spec.get("scaleTargetRef"))
    for name in ("kind", "name"):
        if not target.get(name):
            yield f"spec.scaleTargetRef.{name}", "is missing"
    most, least = spec.get("maxReplicas"), spec.get("minReplicas", 1)
    if most is None:
        yield "spec.maxReplicas", "is missing"
    elif count(most) is not None and most < 1:
        yield "spec.maxReplicas", f"is {most} and must be at least 1"
    elif count(most) is not None and count(least) is not None and most < least:
        yield "spec.maxReplicas", f"is {most} and must not be below minReplicas ({least})"
    if count(least) is not None and least < 0:
        yield "spec.minReplicas", f"is {least} and must not be negative"
    yield from object_admission.metrics(spec)


def _scaled_object(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    most, least = spec.get("maxReplicaCount", 100), spec.get("minReplicaCount", 0)
    if count(most) is not None and count(least) is not None and most < least:
        yield "spec.maxReplicaCount", f"is {most} and must not be below minReplicaCount ({least})"


def _service(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    ports = spec.get("ports")
    ports = ports if isinstance(ports, list) else []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        yield "spec.ports", "is missing or empty"
    yield from _service_type(spec)
    names: set[Any] = set()
    for number, port in enumerate(map(mapping, ports)):
        at = f"spec.ports[{number}]"
        value, name, target = port.get("port"), port.get("name"), port.get("targetPort")
        if value is None:
            yield f"{at}.port", "is missing"
        elif count(value) is not None and not 1 <= value <= 65535:
            yield f"{at}.port", f"is {value}; 1 to 65535 is needed"
        if count(target) is not None and not 1 <= int(target or 0) <= 65535:
            yield f"{at}.targetPort", f"is {target}; 1 to 65535 is needed"
        if not name and len(ports) > 1:
            yield f"{at}.name", "is missing, and needed where there are several ports"
        elif isinstance(name, str) and name in names:
            yield f"{at}.name", f"{name[:40]!r} is there twice"
        names.add(name if isinstance(name, str) else None)
    outside = spec.get("type") in ("LoadBalancer", "NodePort") or spec.get("externalIPs")
    if spec.get("externalTrafficPolicy") and not outside:
        yield "spec.externalTrafficPolicy", "may only be set on type LoadBalancer or NodePort"


def _service_type(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    kind = spec.get("type")
    if kind not in (None, "", *_SERVICE_TYPES):
        yield "spec.type", f"is {str(kind)[:40]!r}; {', '.join(_SERVICE_TYPES)} are allowed"
    if kind in ("NodePort", "LoadBalancer") and spec.get("clusterIP") == "None":
        yield "spec.clusterIP", f"may not be None for type {kind}"
    if kind == "ExternalName" and not spec.get("externalName"):
        yield "spec.externalName", "is missing, and needed for type ExternalName"
    if (affinity := spec.get("sessionAffinity")) not in (None, "", "None", "ClientIP"):
        yield "spec.sessionAffinity", f"is {str(affinity)[:40]!r}; None or ClientIP is needed"


def _not_negative(spec: Mapping[str, Any], *names: str) -> Iterator[Refusal]:
    for name in names:
        if (value := count(spec.get(name))) is not None and value < 0:
            yield f"spec.{name}", f"is {value} and must not be negative"


_RULES: dict[str, Callable[[Mapping[str, Any]], Iterator[Refusal]]] = {
    "Deployment": _deployment,
    "ReplicaSet": _selector,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Rollout": _rollout,
    "PodDisruptionBudget": _budget,
    "HorizontalPodAutoscaler": _autoscaler,
    "ScaledObject": _scaled_object,
    "Service": _service,
    "Job": job_admission.job,
    "CronJob": job_admission.cron_job,
    "Ingress": object_admission.ingress,
    "PersistentVolumeClaim": object_admission.claim,
}
