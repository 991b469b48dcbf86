"""Whether a probe calls the right port and path, and whether one is missing that is easily forgotten."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.subject import SIDECARS, Subject, port_number, probes

_READY_WORDS = ("ready", "readyz", "readiness", "readycheck")
# Parts of a path that show by themselves that a dependency is checked.
_DEPENDENCY_WORDS = (
    "db", "database", "postgres", "mysql", "redis", "mongo", "kafka", "rabbitmq", "deps", "dependency", "dependencies", "upstream",
)  # fmt: skip
_LIVE_WORDS = ("live", "livez", "liveness", "alive")


def host_set(subject: Subject) -> Iterator[Defect]:
    """A probe asks another host than the pod.

    The kubelet asks from the node. With httpGet.host 127.0.0.1 it asks the node itself, and with another name whoever
    answers there: the probe shows nothing of the pod. A pod in the host's network may ask 127.0.0.1.

    Mend: leave host out; the kubelet then asks the pod's address. A virtual host is set by a header:
        httpHeaders: [{name: Host, value: example.com}]

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#http-probes
    """
    for container in subject.containers:
        for name, probe in probes(container):
            local = probe.host in ("127.0.0.1", "localhost", "::1")
            if not probe.host or (local and subject.workload.pods.host_network):
                continue
            whom = "the node itself" if local else f"{probe.host[:100]}"
            yield Defect(
                Severity.ERROR if local else Severity.WARNING,
                f"the {name} probe has host {probe.host[:100]}: the kubelet asks {whom} and not the pod",
                "no host in the probe; for a virtual host, httpHeaders: [{name: Host, value: ...}]",
                container.name,
                f"{name}Probe",
            )


def exec_timeout_default(subject: Subject) -> Iterator[Defect]:
    """A command has one second to end.

    A probe's timeout is 1 s where none is written. A request takes milliseconds, a process that has to be started takes
    longer on a busy node, and since Kubernetes 1.20 the timeout of commands is enforced.

    Mend:
        livenessProbe: {exec: {command: [...]}, timeoutSeconds: 5}

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#configure-probes
    """
    for container in subject.containers:
        for name, probe in probes(container):
            if probe.kind == "exec" and probe.timeout <= 1:
                yield Defect(
                    Severity.INFO,
                    f"the {name} probe runs a command and has {probe.timeout} s for it: on a busy node the start of a"
                    " process alone may take that long",
                    f"{name}Probe: {{timeoutSeconds: 5}}",
                    container.name,
                    f"{name}Probe",
                )


def liveness_asks_readiness(subject: Subject) -> Iterator[Defect]:
    """Liveness asks what looks like the readiness endpoint, or a dependency.

    A readiness endpoint looks at dependencies. Asked by liveness, it lets the failure of a dependency restart all pods. A
    path that names a dependency (/health/db) is a Warning.

    Mend: let liveness ask the endpoint that only shows that the process answers.

    Source: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
    """
    for container in subject.containers:
        liveness, readiness = container.liveness, container.readiness
        if liveness is None or liveness.kind != "http":
            continue
        if _named(liveness.path, _DEPENDENCY_WORDS):
            yield Defect(
                Severity.WARNING,
                f"liveness asks {liveness.path}, which by its name asks a dependency: while that is down all pods are"
                " restarted again and again",
                f"livenessProbe: {{httpGet: {{path: {subject.policy.liveness_path}}}}}, and {liveness.path} in the"
                " readinessProbe",
                container.name,
                "livenessProbe.httpGet.path",
            )
            continue
        if not _named(liveness.path, _READY_WORDS):
            continue
        if readiness is not None and readiness.path == liveness.path:
            continue  # the same request is another finding, or the probe is patient enough
        swapped = readiness is not None and _named(readiness.path, _LIVE_WORDS)
        yield Defect(
            Severity.WARNING if swapped else Severity.INFO,
            f"liveness asks {liveness.path}"
            + (f" and readiness asks {readiness.path}: they look swapped" if readiness is not None and swapped else "")
            + ", which by its name looks at dependencies: one that is down then restarts all pods",
            f"livenessProbe: {{httpGet: {{path: {subject.policy.liveness_path}}}}}",
            container.name,
            "livenessProbe.httpGet.path",
        )


def sidecar_probe_missing(subject: Subject) -> Iterator[Defect]:
    """A native sidecar that serves has no probe.

    An init container with restartPolicy Always counts as started as soon as its process exists. Without a startup
    probe the containers that need it begin before it listens; without a readiness probe a pod is ready while it is not.

    Mend:
        initContainers:
        - name: proxy
          restartPolicy: Always
          startupProbe: {httpGet: {path: /ready, port: admin}}

    Source: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
    """
    for container in subject.workload.pods.sidecars:
        if container.ports and not probes(container) and container.name not in SIDECARS:
            yield Defect(
                Severity.INFO,
                "a native sidecar with ports and without probes: the other containers start before it listens, and the"
                " pod is ready while it is not",
                f"startupProbe: {{tcpSocket: {{port: {container.ports[0][0] or container.ports[0][1]}}}}}",
                container.name,
            )


def readiness_asks_elsewhere(subject: Subject) -> Iterator[Defect]:
    """Readiness asks another port than the one that gets the requests.

    A health endpoint on a port of its own goes on answering while the port that serves does not. Only said where a
    Service is known that sends to this container, and never for gRPC, where the health service usually shares the port.

    Mend: let readiness ask the port that the Service sends to, or let its handler look at that listener.

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    for container in subject.containers:
        readiness = container.readiness
        if readiness is None or readiness.kind not in ("http", "tcp") or subject.related is None:
            continue
        own = {number for _, number in container.ports}
        served = {
            number
            for service in subject.related.services
            for port in service.ports
            if (number := port_number(container, port.target)) in own
        }
        asked = port_number(container, readiness.port)
        if served and asked in own and asked not in served:
            yield Defect(
                Severity.INFO,
                f"readiness asks port {asked}, and Services send to {', '.join(str(n) for n in sorted(map(int, filter(None, served))))}:"
                " the pod may be ready while the port that serves is not",
                "let readiness ask the port that serves, or let its handler look at that listener",
                container.name,
                "readinessProbe",
            )


def _named(path: str, words: tuple[str, ...]) -> bool:
    return any(part in words for part in path.partition("?")[0].lower().replace("-", "/").replace("_", "/").split("/"))
