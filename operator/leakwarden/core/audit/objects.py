"""Checks of objects that are not workloads: those that belong to nothing, and those that the API server refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from leakwarden.core.audit import overlaps, scheduled, starts, templates
from leakwarden.core.audit.admission import refusals
from leakwarden.core.audit.findings import Check, Defect, Severity
from leakwarden.core.audit.landscape import NOT_SCALED, Landscape
from leakwarden.core.audit.related import Budget, Monitor, Route, Scaler, Service
from leakwarden.core.audit.written import mapping
from leakwarden.core.model.labels import LabelSelector


def budget_matches_nothing(budget: Budget, landscape: Landscape) -> Iterator[Defect]:
    """A PodDisruptionBudget selects no pod.

    Most often the labels of its selector are misspelt, or it is in another namespace than the pods: a budget selects in
    its own namespace only. The pods it is meant for are not protected. Only said where workloads of its namespace were
    read. It is an Info where a custom resource that was read may make the pods.

    Mend:
        selector: {matchLabels: {app: web}}   # labels of the pod template, in the namespace of the pods

    Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
    """
    if budget.selector is None:
        yield Defect(
            Severity.WARNING,
            "has no selector, and so selects no pod: nothing is protected",
            "selector: {matchLabels: the labels of the pods}",
            field="spec",
        )
        return
    other = landscape.elsewhere(budget.identity.namespace, budget.selector)
    if other is not None:
        yield Defect(
            Severity.WARNING,
            f"its selector ({budget.selector}) selects no pod in namespace {budget.identity.namespace}; the pods of"
            f" {other.kind} {other.name} have these labels in namespace {other.namespace}, where it has no effect",
            f"metadata: {{namespace: {other.namespace}}}",
            field="spec.selector",
        )
    elif landscape.inhabited(budget.identity.namespace):
        later = landscape.made_later(budget.identity.namespace, budget.selector)
        yield Defect(
            Severity.INFO if later else Severity.WARNING,
            f"its selector ({budget.selector}) selects the pods of no workload{_among(landscape)}: nothing is protected"
            + (f", {later}" if later else ""),
            "selector: {matchLabels: the labels of the pod template}",
            field="spec.selector",
        )


def scaler_target_missing(scaler: Scaler, landscape: Landscape) -> Iterator[Defect]:
    """An autoscaler scales something that is not there.

    Only said where workloads of its namespace were read, and of kinds that are audited; and always of a kind that has no
    number of replicas, such as a DaemonSet.

    Mend:
        scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}

    Source: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
    """
    if scaler.target_kind in NOT_SCALED:
        yield Defect(
            Severity.WARNING,
            f"it scales {scaler.target_kind} {scaler.target}, and a {scaler.target_kind} has no number of replicas: it"
            " never scales anything",
            "scaleTargetRef: a Deployment or StatefulSet",
            field="spec.scaleTargetRef",
        )
        return
    known = scaler.target_kind in ("Deployment", "StatefulSet", "ReplicaSet", "Rollout")
    if known and landscape.inhabited(scaler.identity.namespace):
        yield Defect(
            Severity.WARNING,
            f"it scales {scaler.target_kind} {scaler.target}, which is not there{_among(landscape)}",
            "scaleTargetRef: the kind and name of the workload",
            field="spec.scaleTargetRef",
        )


def service_selects_nothing(service: Service, landscape: Landscape) -> Iterator[Defect]:
    """A Service selects no pod.

    It has no endpoint, and every request to it is refused. Only said where workloads of its namespace were read. It is
    an Info where a custom resource that was read may make the pods (its name or kind is in the selector), or where only
    a label is missing that a server sets on its own pod (role, vault-active).

    Mend:
        selector: {app: web}   # labels of the pod template

    Source: https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/#does-the-service-have-any-endpointslices
    """
    shown = LabelSelector(tuple(service.selector.items()))
    other = landscape.elsewhere(service.identity.namespace, shown)
    if other is not None:
        yield Defect(
            Severity.WARNING,
            f"its selector ({shown}) selects no pod in namespace {service.identity.namespace}; the pods of {other.kind}"
            f" {other.name} have these labels in namespace {other.namespace}, and a Service selects in its own only",
            f"metadata: {{namespace: {other.namespace}}}",
            field="metadata.namespace",
        )
    elif landscape.inhabited(service.identity.namespace):
        later = landscape.made_later(service.identity.namespace, shown)
        yield Defect(
            Severity.INFO if later else Severity.WARNING,
            f"its selector ({shown}) selects the pods of no workload{_among(landscape)}: it has no endpoint"
            + (f", {later}" if later else ""),
            "selector: labels of the pod template",
            field="spec.selector",
        )


def route_target_missing(route: Route, landscape: Landscape) -> Iterator[Defect]:
    """An Ingress or HTTPRoute sends to a Service or port that is not there.

    Requests are then answered with an error (most often 503) by the controller itself. The Services that an Argo Rollout
    moves its traffic by are looked up in the same way: without one of them it does not start. Only said where Services of
    its namespace were read.

    Mend:
        backend: {service: {name: web, port: {name: http}}}   # a port of the Service, and not of the container

    Source: https://kubernetes.io/docs/concepts/services-networking/ingress/#the-ingress-resource
    """
    space = route.identity.namespace
    if not landscape.has_services(space):
        return
    for name, port in route.backends:
        if port == "use-annotation":
            continue  # an action of the AWS load balancer controller, and not a Service
        services = landscape.services_named(space, name)
        if not services:
            said = f"Service {name}, which is not there{_among(landscape)}"
        elif port is not None and not any(port in (p.name, p.port) for s in services for p in s.ports):
            offered = ", ".join(f"{p.name}={p.port}" if p.name else str(p.port) for p in services[0].ports) or "none"
            said = f"port {port} of Service {name}, which has no such port (it has {offered})"
        else:
            continue
        rollout = route.identity.kind == "Rollout"
        yield Defect(
            Severity.WARNING,
            f"it moves its traffic by {said}: it does not start"
            if rollout
            else f"it sends requests to {said}: they are answered with an error",
            "the name and a port of a Service of the same namespace",
            field="spec.strategy" if rollout else "spec",
        )


def monitor_selects_nothing(monitor: Monitor, landscape: Landscape) -> Iterator[Defect]:
    """A ServiceMonitor or PodMonitor selects nothing.

    Nothing is scraped, and nothing says so. A ServiceMonitor selects Services by their own labels, and not pods. Only
    said where Services (for a PodMonitor: workloads) were read.

    Mend:
        selector: {matchLabels: {app: web}}   # labels of the Service itself

    Source: https://prometheus-operator.dev/docs/platform/troubleshooting/
    """
    what = "workload's pods" if monitor.identity.kind == "PodMonitor" else "Service"
    present = landscape.workloads if monitor.identity.kind == "PodMonitor" else landscape.services
    if present:
        yield Defect(
            Severity.INFO,
            f"its selector ({monitor.selector}) selects no {what}{_among(landscape)}: nothing is scraped",
            f"selector: {{matchLabels: the labels of the {what}}}",
            field="spec.selector",
        )


def api_rejects(body: Mapping[str, Any]) -> Iterator[Defect]:
    """The API server refuses the object.

    A rule of Kubernetes' own validation is broken, so that `kubectl apply` ends with an error.

    Mend: as the message says, field by field.

    Source: https://github.com/kubernetes/kubernetes/tree/master/pkg/apis
    """
    for field, reason in refusals(body):
        yield Defect(
            Severity.ERROR, f"API rejects: {field} {reason}", f"mend {field}: the API server refuses it", field=field
        )


def version_removed(body: Mapping[str, Any]) -> Iterator[Defect]:
    """The API server no longer serves the version.

    A version that was removed is refused by every cluster that is supported today, so nothing of the file is applied.

    Mend:
        apiVersion: apps/v1

    Source: https://kubernetes.io/docs/reference/using-api/deprecation-guide/
    """
    version, kind = str(body.get("apiVersion")), str(body.get("kind"))
    if current := REMOVED.get((version, kind)) or REMOVED.get((version, "")):
        yield Defect(
            Severity.ERROR,
            f"API rejects: {version} of {kind} was removed from Kubernetes",
            f"apiVersion: {current}",
            field="apiVersion",
        )


# (apiVersion, kind or "" for any) -> the API that replaced it
REMOVED = {
    ("extensions/v1beta1", ""): "apps/v1",
    ("extensions/v1beta1", "Ingress"): "networking.k8s.io/v1",
    ("apps/v1beta1", ""): "apps/v1",
    ("apps/v1beta2", ""): "apps/v1",
    ("batch/v1beta1", "CronJob"): "batch/v1",
    ("policy/v1beta1", "PodDisruptionBudget"): "policy/v1",
    ("autoscaling/v2beta1", ""): "autoscaling/v2",
    ("autoscaling/v2beta2", ""): "autoscaling/v2",
}


def unknown_field(field: str, meant: str) -> Iterator[Defect]:
    """A field that the kind does not have.

    `kubectl apply` refuses it (strict validation), other clients drop it in silence: what was meant is then not there.

    Mend: the message names the nearest field that exists.

    Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
    """
    near = f"; did you mean {meant}?" if meant else ""
    yield Defect(
        Severity.WARNING,
        f"unknown field {field}{near} kubectl's strict validation rejects it, and other clients drop it"
        if near
        else f"unknown field {field}: kubectl's strict validation rejects it, and other clients drop it",
        f"{meant} in place of {field.rpartition('.')[2]}" if meant else f"leave {field.rpartition('.')[2]} out",
        field=field,
    )


def key_twice(key: str, line: int) -> Iterator[Defect]:
    """A key stands twice in one mapping.

    YAML readers keep the last one, so what the first one said is lost.

    Mend: keep one of them.

    Source: https://yaml.org/spec/1.2.2/#mapping
    """
    yield Defect(
        Severity.WARNING,
        f"the key {key} stands twice in one mapping (again in line {line}): the first one is lost",
        f"keep one {key}",
    )


def variable_twice(body: Mapping[str, Any]) -> Iterator[Defect]:
    """A container has two variables of one name.

    The last one counts, and what the first one says is lost. Tools that merge by name may keep either.

    Mend: keep one of them.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
    """
    spec = mapping(body.get("spec"))
    for at, template in (
        ("spec", spec),
        ("spec.template.spec", mapping(mapping(spec.get("template")).get("spec"))),
        (
            "spec.jobTemplate.spec.template.spec",
            mapping(mapping(mapping(mapping(spec.get("jobTemplate")).get("spec")).get("template")).get("spec")),
        ),
    ):
        for group in ("containers", "initContainers"):
            listed = template.get(group)
            for number, container in enumerate(listed if isinstance(listed, list) else ()):
                yield from _variables_twice(mapping(container), f"{at}.{group}[{number}]")


def _variables_twice(container: Mapping[str, Any], at: str) -> Iterator[Defect]:
    seen: dict[str, Any] = {}
    said: set[str] = set()
    listed = container.get("env")
    for number, variable in enumerate(listed if isinstance(listed, list) else ()):
        name = mapping(variable).get("name")
        if not isinstance(name, str):
            continue
        if name in seen and name not in said:
            said.add(name)
            same = seen[name] == variable
            yield Defect(
                Severity.INFO if same else Severity.WARNING,
                f"the variable {name[:60]} is there twice"
                + (", with the same value" if same else ", and the last one counts: what the first says is lost"),
                f"keep one {name[:60]}",
                field=f"{at}.env[{number}]",
            )
        seen[name] = variable


def exception_unfit(message: str) -> Iterator[Defect]:
    """An exception is over, has no reason, or cannot be read.

    An exception (annotation, policy or .leakwarden.yaml) needs a reason and may have an end; after that the finding
    counts again.

    Mend:
        metadata:
          annotations:
            leakwarden.dev/ignore: "LW203: drains in the mesh; until 2027-03-01"

    In a policy:
        audit:
          ignore:
          - {check: LW203, reason: drains in the mesh, until: "2027-03-01"}

    Source: docs/reference/checks.md, section Exceptions
    """
    yield Defect(
        Severity.WARNING,
        message,
        'leakwarden.dev/ignore: "LW203: the reason; until 2027-03-01"',
        field="metadata.annotations",
    )


# Findings about objects and manifests that are made where these are read; the functions here are for their pages.
BUDGET_MATCHES_NOTHING = Check("LW404", "DisruptionBudgetMatchesNothing", budget_matches_nothing)
SCALER_TARGET_MISSING = Check("LW409", "AutoscalerTargetMissing", scaler_target_missing)
SERVICE_SELECTS_NOTHING = Check("LW502", "ServiceSelectsNothing", service_selects_nothing)
MONITOR_SELECTS_NOTHING = Check("LW508", "MonitorSelectsNothing", monitor_selects_nothing)
API_REJECTS = Check("LW901", "ApiRejects", api_rejects)
VERSION_REMOVED = Check("LW902", "VersionRemoved", version_removed)
UNKNOWN_FIELD = Check("LW903", "UnknownField", unknown_field)
KEY_TWICE = Check("LW904", "KeyTwice", key_twice)
EXCEPTION_UNFIT = Check("LW905", "ExceptionUnfit", exception_unfit)
VARIABLE_TWICE = Check("LW906", "VariableTwice", variable_twice)
ROUTE_TARGET_MISSING = Check("LW510", "RouteTargetMissing", route_target_missing)

OBJECT_CHECKS = (
    BUDGET_MATCHES_NOTHING,
    SCALER_TARGET_MISSING,
    SERVICE_SELECTS_NOTHING,
    MONITOR_SELECTS_NOTHING,
    ROUTE_TARGET_MISSING,
    *overlaps.CHECKS,
    *templates.CHECKS,
    *starts.CHECKS,
    scheduled.START_DEADLINE_SHORT,
    scheduled.RUNS_OVERLAP,
    API_REJECTS,
    VERSION_REMOVED,
    UNKNOWN_FIELD,
    KEY_TWICE,
    EXCEPTION_UNFIT,
    VARIABLE_TWICE,
)
# Checks of one manifest, with the kinds that they apply to (all where none is given).
MANIFEST_CHECKS = (
    VERSION_REMOVED,
    API_REJECTS,
    VARIABLE_TWICE,
    scheduled.START_DEADLINE_SHORT,
    scheduled.RUNS_OVERLAP,
    *templates.CHECKS,
    *starts.CHECKS,
)


def _among(landscape: Landscape) -> str:
    return "" if landscape.complete else " among these manifests"
