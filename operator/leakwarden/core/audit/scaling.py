"""The autoscalers of a workload, and the least number of pods that they leave."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.related import Measure, Route, Scaler, Service
from leakwarden.core.audit.subject import SIDECARS, Subject
from leakwarden.core.model.workload import Container


def fixed_replicas(subject: Subject) -> Iterator[Defect]:
    """A number of replicas is written beside an autoscaler.

    Each time the manifest is applied, spec.replicas puts the number of pods back, and the autoscaler has to scale up
    again, under load. GitOps controllers do so for ever.

    Mend: leave spec.replicas out of the manifest.

    Source: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#migrating-deployments-and-statefulsets-to-horizontal-autoscaling
    """
    # In a cluster `replicas` is always set, and is the autoscaler's own number.
    if subject.workload.replicas_given and subject.related and not subject.related.complete:
        for scaler in subject.related.scalers:
            yield Defect(
                Severity.INFO,
                f"spec.replicas is written although {scaler.identity} scales it: each time the manifest is applied,"
                " the number of pods is put back",
                "leave spec.replicas out; the autoscaler sets it",
            )


def minimum_single(subject: Subject) -> Iterator[Defect]:
    """An autoscaler may leave one pod, or none.

    With few requests there is one pod (minReplicas is 1 where it is not written), and its eviction is an outage until
    the next one is ready.

    Mend:
        spec:
          minReplicas: 2

    Source: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
    """
    for scaler in _scalers(subject):
        if scaler.minimum > 1:
            continue
        field = "minReplicaCount" if scaler.identity.kind == "ScaledObject" else "minReplicas"
        said = f"{field} is {scaler.minimum}" if scaler.minimum_given else f"{field} is not set and so {scaler.minimum}"
        effect = (
            "an eviction is then an outage until the new pod is ready"
            if scaler.minimum == 1
            else "there is then no pod until something asks for one"
        )
        yield Defect(
            Severity.INFO,
            f"{said} in {scaler.identity}: {effect}",
            f"{field}: 2, if the service may run twice",
        )


def serves_from_zero(subject: Subject) -> Iterator[Defect]:
    """KEDA may leave no pod of a service that is asked by requests.

    A ScaledObject without minReplicaCount goes to zero pods when its trigger is idle or has no value. Requests are then
    refused, and where the trigger counts requests at the pods it never comes back. Only said where an Ingress or
    HTTPRoute leads to the workload, or a Service with a port of HTTP or gRPC; a minReplicaCount of 0 that is written is
    a decision.

    Mend:
        spec:
          minReplicaCount: 2

    Source: https://keda.sh/docs/latest/reference/scaledobject-spec/#minreplicacount
    """
    related = subject.related
    if related is None:
        return
    askers: tuple[Route | Service, ...] = (*related.routes, *related.services)
    asked = next((each.identity for each in askers if _is_asked(each)), None)
    for scaler in related.scalers:
        if scaler.identity.kind == "ScaledObject" and not scaler.minimum_given and asked is not None:
            yield Defect(
                Severity.WARNING,
                f"minReplicaCount is not set and so 0 in {scaler.identity}, and {asked} sends requests to the pods: when"
                " the trigger is idle there is no pod, and the requests are refused",
                "minReplicaCount: 2, or KEDA's HTTP add-on, which holds requests until a pod is there",
            )


def scalers_compete(subject: Subject) -> Iterator[Defect]:
    """Two autoscalers scale one workload.

    Each sets the number of pods by its own measure and undoes what the other did: the number swings, and pods are
    stopped all the time. KEDA makes a HorizontalPodAutoscaler of its own, so one more beside a ScaledObject is one
    too many.

    Mend: keep one autoscaler, with both metrics in it.

    Source: https://keda.sh/docs/latest/faq/
    """
    scalers = _scalers(subject)
    if len(scalers) > 1:
        names = " and ".join(sorted(str(scaler.identity) for scaler in scalers))
        yield Defect(
            Severity.ERROR,
            f"{len(scalers)} autoscalers scale it ({names}): each undoes what the other did",
            "keep one of them, with the metrics of both",
        )


def request_missing(subject: Subject) -> Iterator[Defect]:
    """An autoscaler compares with a request that is not there.

    Utilization is a share of what the pods request. Where one container of the pod has no request for that resource,
    the autoscaler can compute nothing (FailedGetResourceMetric), and never scales. A limit counts as a request where
    no request is written, and so does a request of the pod as a whole. An autoscaler without any metric takes the CPU,
    which is an Info, since another tool may set the metrics.

    Mend:
        resources: {requests: {cpu: 100m, memory: 128Mi}}   # of every container, sidecars too

    Source: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#support-for-resource-metrics
    """
    pods = subject.workload.pods
    everything = (*subject.workload.containers, *pods.sidecars)
    for scaler in _scalers(subject):
        for measure in dict.fromkeys(scaler.measures):
            whole = pods.cpu_request if measure.resource == "cpu" else pods.memory_request
            if not measure.utilization or (whole is not None and not measure.container):
                continue
            measured = [each for each in everything if measure.container in ("", each.name)]
            for container in (each for each in measured if _request(each, measure) is None):
                by = "by default " if measure.default else ""
                example = "cpu: 100m" if measure.resource == "cpu" else "memory: 128Mi"
                yield Defect(
                    # Another tool may set the metrics that no manifest names, before the default is ever used.
                    Severity.INFO if measure.default else Severity.WARNING,
                    f"{scaler.identity} scales {by}by the utilization of {measure.resource}, which is a share of the"
                    f" request, and the container requests none: the autoscaler can compute nothing, and never scales",
                    f"resources: {{requests: {{{example}}}}}",
                    container.name,
                    "resources",
                )


def measured_container_missing(subject: Subject) -> Iterator[Defect]:
    """An autoscaler measures a container that the pods do not have.

    A ContainerResource metric names one container. Where no container has the name, the autoscaler gets no value and
    never scales. A container that a webhook injects is not in the manifest, so the names of common sidecars are an Info.

    Mend:
        containerResource: {name: cpu, container: app, target: {type: Utilization, averageUtilization: 70}}

    Source: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#container-resource-metrics
    """
    names = [each.name for each in (*subject.workload.containers, *subject.workload.pods.sidecars)]
    for scaler in _scalers(subject):
        for name in dict.fromkeys(measure.container for measure in scaler.measures):
            if name and name not in names:
                yield Defect(
                    Severity.INFO if name in SIDECARS else Severity.WARNING,
                    f"{scaler.identity} measures the container {name[:63]}, which the pods do not have (they have"
                    f" {', '.join(names)}): it gets no value, and never scales",
                    f"container: {names[0]}",
                )


def scalers_share_request(subject: Subject) -> Iterator[Defect]:
    """A vertical autoscaler changes the request that a horizontal one compares with.

    Utilization is a share of the request. A VerticalPodAutoscaler that sets the request of the same resource shifts the
    measure under the horizontal one: each undoes what the other did, and pods are evicted again and again. One that only
    recommends (updateMode Off), sets another resource, or leaves the measured container alone is right. An autoscaler
    without any metric takes the CPU, which is an Info, since another tool may set the metrics. Only in files and with
    --cluster: the operator does not list VerticalPodAutoscalers.

    Mend:
        resourcePolicy: {containerPolicies: [{containerName: "*", controlledResources: [memory]}]}

    Source: https://github.com/kubernetes/autoscaler/blob/master/vertical-pod-autoscaler/docs/known-limitations.md
    """
    names = [each.name for each in (*subject.workload.containers, *subject.workload.pods.sidecars)]
    for vertical in subject.related.vertical if subject.related else ():
        for scaler in _scalers(subject):
            shared = [
                each
                for each in scaler.measures
                if each.utilization
                and any(each.resource in vertical.resources(name) for name in names if each.container in ("", name))
            ]
            if shared:
                resources = " and ".join(sorted({each.resource for each in shared}))
                yield Defect(
                    Severity.INFO if all(each.default for each in shared) else Severity.WARNING,
                    f"{vertical.identity} (updateMode {vertical.mode}) sets the request of {resources}, and"
                    f" {scaler.identity} scales by a share of that request: each undoes what the other did",
                    f"in {vertical.identity}: updateMode: Off, or controlledResources without {resources}; or another"
                    f" metric in {scaler.identity}",
                )


def _request(container: Container, measure: Measure) -> float | None:
    return container.cpu_request if measure.resource == "cpu" else container.memory_request


def _is_asked(each: Route | Service) -> bool:
    """Whether it sends requests of HTTP or gRPC: by its kind, or by the name or number of a port."""
    return isinstance(each, Route) or any(
        (port.name.startswith(("http", "grpc", "web", "h2c")) and "metrics" not in port.name) or port.port in (80, 443)
        for port in each.ports
    )


def _scalers(subject: Subject) -> tuple[Scaler, ...]:
    return subject.related.scalers if subject.related else ()
