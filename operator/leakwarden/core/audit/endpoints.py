"""The probe endpoints to call, and the meaning of their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.subject import EndpointObservation, ProbeName, Subject, main_containers, port_number, probes
from leakwarden.core.model.workload import Pod, Workload


class EndpointTarget(NamedTuple):
    """One call to make. `scheme` is HTTP or HTTPS."""

    pod: Pod
    container: str
    probe: ProbeName
    port: int
    path: str
    scheme: str

    def observed(self, code: int | None, error: str = "") -> EndpointObservation:
        """The call's outcome, for the audit."""
        return EndpointObservation(
            self.pod.name,
            self.container,
            self.probe,
            port=self.port,
            path=self.path,
            code=code,
            error=error,
            pod_ready=self.pod.ready,
        )


def endpoint_targets(workload: Workload, pods: Sequence[Pod]) -> list[EndpointTarget]:
    """The calls that show whether the workload's HTTP probe endpoints answer: all to one pod.

    The newest serving pod is called, since it runs the workload's present template. While a rollout is under way that
    is not certain, so no pod is called. Pods in the host's network are left out: their address is the node's. Startup
    endpoints are left out: after the start nothing calls them, so they may be gone.
    """
    if workload.rollout_in_progress:
        return []
    serving = [pod for pod in pods if pod.available and pod.pod_ip and pod.pod_ip != pod.host_ip]
    if not serving:
        return []
    pod = max(serving, key=lambda p: (p.created, p.name))
    targets = []
    for container in main_containers(workload):
        for name, probe in probes(container):
            number = port_number(container, probe.port)
            if probe.kind == "http" and name != "startup" and number is not None:
                targets.append(
                    EndpointTarget(pod, container.name, name, port=number, path=probe.path or "/", scheme=probe.scheme)
                )
    return targets


def silent(subject: Subject) -> Iterator[Defect]:
    """A probe endpoint gives no answer.

    The pod is ready, so the kubelet is answered: most often a NetworkPolicy or a mesh keeps the operator out.

    Mend: let a NetworkPolicy admit the operator to the port, or set callEndpoints: false in the policy's audit section.

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    for answer in _answers(subject):
        if answer.code is None:
            # A Warning: the kubelet calls from the node, and a NetworkPolicy may stop only us.
            yield Defect(
                Severity.WARNING,
                f"{_where(answer)} gives no answer ({answer.error or 'unknown error'}), although the pod is ready",
                f"{_try(subject, answer)}; if that answers, a NetworkPolicy or a mesh keeps the operator out",
                answer.container,
            )


def not_found(subject: Subject) -> Iterator[Defect]:
    """A probe endpoint does not exist.

    It answers 404 to a plain GET: the probe fails, or passes for another reason than people think.

    Mend:
        http.HandleFunc("/healthz", handler)

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    for answer in _answers(subject):
        if answer.code == 404:
            yield Defect(
                _severity(answer),
                f"{_where(answer)} answers 404: the service has no such endpoint, or not for a request without the"
                " probe's own headers",
                f'http.HandleFunc("{answer.path.partition("?")[0]}", handler) in the server on that port, or another'
                " path in the probe",
                answer.container,
            )


def failing(subject: Subject) -> Iterator[Defect]:
    """A probe endpoint answers with an error.

    The kubelet counts 200 to 399 as good. An endpoint that asks for credentials answers nobody.

    Mend: let a probe endpoint answer 200 to anybody, without credentials.

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    for answer in _answers(subject):
        # The kubelet counts 200 to 399 as good.
        if answer.code is not None and answer.code != 404 and not 200 <= answer.code < 400:
            yield Defect(
                _severity(answer),
                f"{_where(answer)} answers {answer.code} although the pod is ready",
                "let a probe endpoint answer 200 to anybody, without credentials"
                if answer.code in (401, 403)
                else f"{_try(subject, answer)}, and see why the handler fails",
                answer.container,
            )


def redirects(subject: Subject) -> Iterator[Defect]:
    """A probe endpoint redirects.

    A redirect to another host counts as good without being asked, so the probe proves nothing.

    Mend: let the handler answer 200 itself, and the probe ask its exact path.

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#http-probes
    """
    for answer in _answers(subject):
        if answer.code is not None and 300 <= answer.code < 400:
            yield Defect(
                Severity.WARNING,
                f"{_where(answer)} answers with a redirect ({answer.code}): a redirect to another host counts as good"
                " without being asked, so the probe proves nothing",
                "let the handler answer 200 itself, and the probe ask its exact path (net/http redirects /x to /x/)",
                answer.container,
            )


def _answers(subject: Subject) -> Iterator[EndpointObservation]:
    """The answers that count: a pod that is not ready is expected to answer with errors, and the kubelet handles
    that."""
    return (answer for answer in subject.answers if answer.pod_ready)


def _severity(answer: EndpointObservation) -> Severity:
    """An Error only where the kubelet is about to kill the container because of the answer.

    A pod is ready because the kubelet got a good answer. So a bad answer to us on the readiness endpoint, or a request
    for credentials, may be caused by our request: it has none of the headers that a probe may define.
    """
    return Severity.ERROR if answer.probe == "liveness" and answer.code not in (401, 403) else Severity.WARNING


def _where(answer: EndpointObservation) -> str:
    return f"the {answer.probe} endpoint {answer.path} on port {answer.port}"


def _try(subject: Subject, answer: EndpointObservation) -> str:
    workload = subject.workload
    return (
        f"kubectl -n {workload.namespace} port-forward deployment/{workload.name} {answer.port} and"
        f" curl -i localhost:{answer.port}{answer.path}"
    )
