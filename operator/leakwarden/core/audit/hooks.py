"""Lifecycle hooks that call a port, and conditions that another controller has to set."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.services import all_ports
from leakwarden.core.audit.subject import Subject, port_number
from leakwarden.core.model.workload import HookPort

# The controllers that set these conditions are known, so a pod that names one does not wait in vain.
_KNOWN_GATES = ("target-health.elbv2.k8s.aws/", "target-health.alb.ingress.k8s.aws/", "cloud.google.com/")


def hook_port_missing(subject: Subject) -> Iterator[Defect]:
    """A lifecycle hook asks a port that is not there.

    The kubelet resolves the name of a port among the ports of the container. A preStop that cannot be called ends at
    once, so that SIGTERM comes before traffic has ended; a postStart that fails gets the container killed and started
    again, for ever. A tcpSocket handler fails in a hook always: no version of Kubernetes supports it there.

    Mend:
        lifecycle: {preStop: {httpGet: {path: /drain, port: http}}}

    Source: https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/#hook-handler-implementations
    """
    for container in (*subject.workload.containers, *subject.workload.pods.sidecars):
        declared = ", ".join(f"{name}={number}" if name else str(number) for name, number in container.ports) or "none"
        for hook in container.hook_ports:
            number = port_number(container, hook.port)
            unresolved = number is None and isinstance(hook.port, str)
            known = {*all_ports(subject.workload), *container.entrypoint.numbers}
            if hook.handler == "tcpSocket":
                said = "is a tcpSocket, which Kubernetes does not support in a hook, so it always fails"
            elif unresolved:
                said = f"asks port {hook.port!r}, but no port of the container has that name (declared: {declared})"
            elif number is not None and known and number not in known and not hook.host:
                said = f"asks port {number}, which the container does not declare (declared: {declared})"
            else:
                continue
            certain = unresolved or hook.handler == "tcpSocket"
            yield Defect(
                Severity.ERROR if certain else Severity.WARNING,
                f"the {hook.hook} hook {said}: {_effect(hook)}",
                f"{hook.hook}: {{sleep: {{seconds: 5}}}}"
                if hook.hook == "preStop" and hook.handler == "tcpSocket"
                else f"{hook.hook}: {{httpGet: {{port: a declared port}}}}",
                container.name,
                f"lifecycle.{hook.hook}",
            )


def readiness_gate(subject: Subject) -> Iterator[Defect]:
    """A pod is not ready before somebody else says so.

    A readiness gate names a condition that a controller has to set on every pod. Without that controller no pod ever
    becomes ready: rollouts stop, and the Service has no endpoint. Which controllers run cannot be seen here.

    Mend: make sure that the controller runs in every cluster that gets the manifest, or leave the gate out.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-readiness-gate
    """
    unknown = [gate for gate in subject.workload.pods.readiness_gates if not gate.startswith(_KNOWN_GATES)]
    if unknown and subject.serves:
        yield Defect(
            Severity.INFO,
            f"readinessGates names {', '.join(unknown)[:200]}: unless a controller sets it, no pod ever becomes ready",
            "a controller that sets the condition, or no readinessGates",
            field="@pod.readinessGates",
        )


def _effect(hook: HookPort) -> str:
    if hook.hook == "preStop":
        return "it ends at once, and SIGTERM comes before traffic has ended"
    return "the container is killed and started again"
