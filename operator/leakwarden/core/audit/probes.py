"""Whether the probes are there, ask the right thing, and ask different things."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.subject import Subject, port_number, probes
from leakwarden.core.model.workload import Container, Probe


def liveness_missing(subject: Subject) -> Iterator[Defect]:
    path = subject.policy.liveness_path
    for container in subject.containers:
        if container.liveness is None:
            yield Defect(
                Severity.WARNING,
                "no liveness probe: a process that hangs, or can no longer accept connections, is never restarted",
                f"livenessProbe: {_http_get(container, path)}, answered by a handler that asks no dependency:"
                f' http.HandleFunc("{path}", func(w http.ResponseWriter, _ *http.Request) {{}})',
                container.name,
            )


def readiness_missing(subject: Subject) -> Iterator[Defect]:
    for container in subject.containers:
        if container.readiness is not None:
            continue
        hint = (
            f"readinessProbe: {_http_get(container, subject.policy.readiness_path)}, answering 503 until the service"
            " can work and again from SIGTERM on"
        )
        if container.ports:
            yield Defect(
                Severity.ERROR,
                "no readiness probe: after every rollout and eviction it gets requests before it listens,"
                " and one that fails stays in its Service",
                hint,
                container.name,
            )
        else:
            # Nothing declared to send traffic to, so only the pace of rollouts depends on it.
            yield Defect(
                Severity.WARNING,
                "no readiness probe: a rollout goes on as soon as the process exists, whether it works or not",
                hint,
                container.name,
            )


def startup_missing(subject: Subject) -> Iterator[Defect]:
    for container in subject.containers:
        if container.startup is None and container.liveness is not None:
            patience = kill_after(container.liveness)
            handler = _handler(container.liveness)
            yield Defect(
                Severity.INFO,
                f"no startup probe: a start that takes longer than {patience} s is killed by the liveness probe",
                f"startupProbe: {{{handler}, periodSeconds: 2, failureThreshold: 30}} gives a start 60 s and keeps the"
                " liveness probe strict afterwards",
                container.name,
            )


def port_undeclared(subject: Subject) -> Iterator[Defect]:
    for container in subject.containers:
        declared = ", ".join(f"{name}={number}" if name else str(number) for name, number in container.ports)
        for name, probe in probes(container):
            if probe.port is None:
                continue
            number = port_number(container, probe.port)
            if number is None:
                yield Defect(
                    Severity.ERROR,
                    f"the {name} probe asks port {probe.port!r}, but no port of the container has that name"
                    f" (declared: {declared or 'none'}), so the probe always fails",
                    f"port: {container.ports[0][0] or container.ports[0][1]} in the probe, or"
                    f" ports: [{{name: {probe.port}, containerPort: ...}}]"
                    if container.ports
                    else f"ports: [{{name: {probe.port}, containerPort: 8080}}]",
                    container.name,
                )
            elif all(number != port for _, port in container.ports):
                # Declaring ports is informational to Kubernetes, so this may work: it is most often a typing error.
                yield Defect(
                    Severity.WARNING,
                    f"the {name} probe asks port {number}, which the container does not declare"
                    f" (declared: {declared or 'none'})",
                    f"ports: [{{name: probes, containerPort: {number}}}], or give the probe a declared port",
                    container.name,
                )


def path_unexpected(subject: Subject) -> Iterator[Defect]:
    expected = {
        "liveness": ((subject.policy.liveness_path,), "livenessPath"),
        "readiness": ((subject.policy.readiness_path,), "readinessPath"),
        # Either is right: what matters at the start is that something answers.
        "startup": ((subject.policy.liveness_path, subject.policy.readiness_path), "livenessPath"),
    }
    for container in subject.containers:
        for name, probe in probes(container):
            paths, field = expected[name]
            if probe.kind == "http" and not any(_same_path(probe.path, path) for path in paths):
                yield Defect(
                    Severity.WARNING,
                    f"the {name} probe asks {probe.path}, and the policy expects {' or '.join(paths)}",
                    f"{name}Probe.httpGet.path: {paths[0]}, or {field}: {probe.path} in the policy's audit section",
                    container.name,
                )


def liveness_equals_readiness(subject: Subject) -> Iterator[Defect]:
    for container in subject.containers:
        liveness, readiness = container.liveness, container.readiness
        if liveness is None or readiness is None or not _same_question(container, liveness, readiness):
            continue
        asked = f"{liveness.path} on port {liveness.port}" if liveness.kind == "http" else f"port {liveness.port}"
        yield Defect(
            Severity.WARNING,
            f"liveness and readiness probes ask the same ({liveness.kind}, {asked}): a dependency that is down for a"
            " while makes all pods restart instead of only taking no traffic",
            f"let liveness ask {subject.policy.liveness_path}, which only shows that the process answers, and readiness"
            f" {subject.policy.readiness_path}, which may look at dependencies",
            container.name,
        )


def not_http(subject: Subject) -> Iterator[Defect]:
    # gRPC probes are left alone: a gRPC server has the standard health service and often no HTTP port.
    why = {
        "tcp": "the kernel completes TCP connections even when the process can accept none, for instance out of"
        " descriptors, so it passes while every request fails",
        "exec": "it shows that a command can be started in the container, and not that the service answers",
    }
    for container in subject.containers:
        for name, probe in probes(container):
            if probe.kind in why:
                path = subject.policy.readiness_path if name == "readiness" else subject.policy.liveness_path
                yield Defect(
                    Severity.INFO,
                    f"the {name} probe is {probe.kind}: {why[probe.kind]}",
                    f"{name}Probe: {_http_get(container, path)}",
                    container.name,
                )


def kill_after(liveness: Probe) -> int:
    """Seconds after its start at which a container that never answers is killed, by its liveness probe alone."""
    return liveness.initial_delay + failing_for(liveness)


def failing_for(probe: Probe) -> int:
    """Seconds from the first unanswered request to the kubelet acting on it."""
    return (probe.failure_threshold - 1) * probe.period + probe.timeout


def _same_question(container: Container, one: Probe, other: Probe) -> bool:
    # An exec probe's command is not known here, and two unknown commands are not equal.
    if one.kind != other.kind or one.kind == "exec":
        return False
    # Two gRPC probes on one port may name different services of the health protocol.
    if one.kind == "grpc":
        return False
    return one.path == other.path and port_number(container, one.port) == port_number(container, other.port)


def _same_path(asked: str, expected: str) -> bool:
    return expected in (asked, asked.partition("?")[0])


def _http_get(container: Container, path: str) -> str:
    name, number = container.ports[0] if container.ports else ("", 8080)
    return f"{{httpGet: {{path: {path}, port: {name or number}}}}}"


def _handler(probe: Probe) -> str:
    """The question of another probe, to be asked by one more."""
    match probe.kind:
        case "http":
            return f"httpGet: {{path: {probe.path}, port: {probe.port}}}"
        case "tcp":
            return f"tcpSocket: {{port: {probe.port}}}"
        case "grpc":
            return f"grpc: {{port: {probe.port}}}"
        case "exec":
            return "exec: the liveness probe's"
