"""Autoscalers beside a workload, and how many pods are there at the least."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.related import Scaler
from leakwarden.core.audit.subject import Subject


def fixed_replicas(subject: Subject) -> Iterator[Defect]:
    """A number of replicas is written beside an autoscaler.

    Each time the manifest is applied, spec.replicas puts the number of pods back, and the autoscaler has to scale up
    again, under load. GitOps controllers do so for ever.

    Mend: leave spec.replicas out of the manifest.

    Source: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#migrating-deployments-and-statefulsets-to-horizontal-autoscaling
    """
    # In a cluster replicas is always there, and is the autoscaler's own number.
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


def _scalers(subject: Subject) -> tuple[Scaler, ...]:
    return subject.related.scalers if subject.related else ()
