"""Whether the probes exist, call the right endpoint, and call different ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.probe_hints import asks_by_http, asks_the_server, suggested
from leakwarden.core.audit.services import LOOKED_AT, all_ports
from leakwarden.core.audit.subject import Subject, port_number, probes
from leakwarden.core.model.workload import Container, Probe

# Liveness must wait longer than readiness by this factor, where both call the same endpoint, for a pod to leave its
# Service well before it is restarted.
MORE_PATIENT = 2
# Names of ports that a probe by HTTP may be meant for.
_OF_HTTP = re.compile(r"^(?!.*(?:webhook|grpc|dns)).*(?:http|web|api|health|probe|app|main|server|port)")
# Ports on which the proxies that Istio and Linkerd inject answer for the pod: no manifest declares them.
MESH_PORTS = frozenset({15020, 15021, 4191})


def liveness_missing(subject: Subject) -> Iterator[Defect]:
    """A container has no liveness probe.

    A process that hangs, or can accept no more connections, is restarted by nobody.

    Mend:
        livenessProbe:
          httpGet: {path: /healthz, port: http}   # answered by a handler that asks no dependency

        http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {})

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    path = subject.policy.liveness_path
    for container in subject.containers:
        if container.liveness is None:
            handler = suggested(container, path)
            answered = (
                ", answered by a handler that asks no dependency:"
                f' http.HandleFunc("{path}", func(w http.ResponseWriter, _ *http.Request) {{}})'
            )
            yield Defect(
                Severity.WARNING,
                "no liveness probe: a process that hangs, or can no longer accept connections, is never restarted",
                f"livenessProbe: {handler}" + (answered if path in handler else ""),
                container.name,
            )


def readiness_missing(subject: Subject) -> Iterator[Defect]:
    """A container has no readiness probe.

    After every rollout and eviction it gets requests before it listens, and one that fails stays in its Service. A
    container without ports gets no requests, unless a Service sends it some; otherwise, and where all ports are by their
    names for metrics, health or profiles, only the pace of rollouts depends on it, which is an Info.

    Mend:
        readinessProbe:
          httpGet: {path: /readyz, port: http}   # 503 until the service can work, and again from SIGTERM on
          periodSeconds: 5

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    for container in subject.containers:
        if container.readiness is not None:
            continue
        handler = suggested(container, subject.policy.readiness_path)
        hint = f"readinessProbe: {handler}" + (
            ", answering 503 until the service can work and again from SIGTERM on"
            if subject.policy.readiness_path in handler
            else ""
        )
        if gets_requests(subject, container):
            yield Defect(
                Severity.ERROR,
                "no readiness probe: after every rollout and eviction it gets requests before it listens,"
                " and one that fails stays in its Service",
                hint,
                container.name,
            )
        else:
            # No port is declared that could get traffic, so only the pace of rollouts depends on it.
            yield Defect(
                Severity.INFO,
                "no readiness probe: a rollout goes on as soon as the process exists, whether it works or not",
                hint,
                container.name,
            )


def gets_requests(subject: Subject, container: Container) -> bool:
    """Whether requests may be sent to the container: it declares a port, or a Service selects its pods, that is not for
    metrics, health or profiles alone."""
    if any(LOOKED_AT.search(name) is None for name, _ in container.ports):
        return True
    services = subject.related.services if subject.related else ()
    return any(
        LOOKED_AT.search(port.name) is None and (isinstance(port.target, int) or not LOOKED_AT.search(port.target))
        for service in services
        for port in service.ports
    )


def startup_missing(subject: Subject) -> Iterator[Defect]:
    """Only the liveness probe bounds a slow start.

    A start that takes longer than the liveness probe's patience is killed, and then never ends. A startup probe gives it
    time without making the liveness probe slow.

    Mend:
        startupProbe:
          httpGet: {path: /healthz, port: http}
          periodSeconds: 2
          failureThreshold: 30   # 60 s

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#define-startup-probes
    """
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
    """A probe asks a port that the container does not declare.

    A name that no port of the container has can never be resolved: the probe always fails. A number that is not declared
    may work, since declaring is informational, and is most often a slip where a declared port could have been meant:
    one without a name, or with a name of HTTP. Else it is an Info: where no port is declared, where the pod uses its
    node's network, where all declared ports are for something else (dns, metrics, grpc), or where several probes ask
    this port, a server of its own most often answers them. A port of another container of the pod, or one that the arguments or variables name, is
    no slip.

    Mend:
        ports: [{name: http, containerPort: 8080}]

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#use-a-named-port
    """
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
                    f"{name}Probe",
                )
            elif number not in {*all_ports(subject.workload), *container.entrypoint.numbers, *MESH_PORTS}:
                # To Kubernetes, declared ports are only information, so this may work.
                meant = not subject.workload.pods.host_network and any(map(_could_be_meant, container.ports))
                same = [each for _, each in probes(container) if port_number(container, each.port) == number]
                yield Defect(
                    Severity.WARNING if meant and len(same) == 1 else Severity.INFO,
                    f"the {name} probe asks port {number}, which the container does not declare"
                    f" (declared: {declared or 'none'})",
                    f"ports: [{{name: probes, containerPort: {number}}}], or give the probe a declared port",
                    container.name,
                    f"{name}Probe",
                )


def path_unexpected(subject: Subject) -> Iterator[Defect]:
    """A probe asks another path than the policy names.

    Only with a policy, whose audit section names livenessPath and readinessPath.

    Mend: change the probe's path, or the path in the policy's audit section.

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    if not subject.policy.paths_given:
        return  # no path is written, so none is unexpected
    expected = {
        "liveness": ((subject.policy.liveness_path,), "livenessPath"),
        "readiness": ((subject.policy.readiness_path,), "readinessPath"),
        # Either is right: at the start it only matters that something answers.
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
                    f"{name}Probe.httpGet.path",
                )


def liveness_equals_readiness(subject: Subject) -> Iterator[Defect]:
    """Liveness and readiness ask the same.

    A dependency that is down for a while then makes all pods restart, in place of only taking no traffic for that time.
    Where liveness is at least twice as patient as readiness, the pod leaves its Service long before it is restarted: that
    is a known pattern and nothing is said. gRPC probes are the same where port and service are, exec probes where the
    commands are.

    Mend: let liveness ask an endpoint that only shows that the process answers, and readiness one that may look at
    dependencies.

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    for container in subject.containers:
        liveness, readiness = container.liveness, container.readiness
        if liveness is None or readiness is None or not _same_question(container, liveness, readiness):
            continue
        if failing_for(liveness) >= MORE_PATIENT * failing_for(readiness):
            continue
        match liveness.kind:
            case "http":
                asked = f"{liveness.path} on port {liveness.port}"
            case "exec":
                asked = "one command"
            case _:
                asked = f"port {liveness.port}"
        yield Defect(
            Severity.WARNING,
            f"liveness and readiness probes ask the same ({liveness.kind}, {asked}): a dependency that is down for a"
            " while makes all pods restart instead of only taking no traffic",
            f"let liveness ask {subject.policy.liveness_path}, which only shows that the process answers, and readiness"
            f" {subject.policy.readiness_path}, which may look at dependencies; or {_patient(liveness, readiness)}"
            if liveness.kind == "http"
            else _patient(liveness, readiness),
            container.name,
        )


def not_http(subject: Subject) -> Iterator[Defect]:
    """A TCP or exec probe does not show that requests are answered.

    The kernel completes TCP connections also for a process that can accept none, for instance out of descriptors. A command
    shows that a command can be started in the container; one that asks the server in its protocol (redis-cli ping,
    pg_isready, grpc_health_probe) shows more, and nothing is said of it. curl and wget ask what httpGet asks, and cost a
    process each time.

    Mend:
        readinessProbe: {httpGet: {path: /readyz, port: http}}

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    # gRPC probes are left alone: a gRPC server has the standard health service and often no HTTP port.
    why = {
        "tcp": "the kernel completes TCP connections even when the process can accept none, for instance out of"
        " descriptors, so it passes while every request fails",
        "exec": "it shows that a command can be started in the container, and not that the service answers",
    }
    for container in subject.containers:
        for name, probe in probes(container):
            if probe.kind in why and not (probe.kind == "exec" and asks_the_server(probe)):
                path = subject.policy.readiness_path if name == "readiness" else subject.policy.liveness_path
                yield Defect(
                    Severity.INFO,
                    f"the {name} probe is {probe.kind}: "
                    + (
                        "it starts a process in the container each time, and httpGet asks the same without one"
                        if asks_by_http(probe)
                        else why[probe.kind]
                    ),
                    f"{name}Probe: {suggested(container, path)}",
                    container.name,
                    f"{name}Probe",
                )


def kill_after(liveness: Probe) -> int:
    """Seconds after its start at which a container that never answers is killed, by its liveness probe alone."""
    return liveness.initial_delay + failing_for(liveness)


def failing_for(probe: Probe) -> int:
    """Seconds from the first unanswered request to the kubelet acting on it."""
    return (probe.failure_threshold - 1) * probe.period + probe.timeout


def _patient(liveness: Probe, readiness: Probe) -> str:
    wanted = MORE_PATIENT * failing_for(readiness) - liveness.timeout
    failures = max(liveness.failure_threshold, -(-wanted // max(1, liveness.period)) + 1)
    return f"a liveness that waits at least twice as long: livenessProbe: {{failureThreshold: {failures}}}"


def _same_question(container: Container, one: Probe, other: Probe) -> bool:
    if one.kind != other.kind:
        return False
    if one.kind == "exec":
        return bool(one.command) and one.command == other.command
    return (
        one.path == other.path
        and one.service == other.service
        and one.host == other.host
        and port_number(container, one.port) == port_number(container, other.port)
    )


def _could_be_meant(port: tuple[str, int]) -> bool:
    """Whether a probe of another port may have been meant for this one."""
    return not port[0] or _OF_HTTP.search(port[0]) is not None


def _same_path(asked: str, expected: str) -> bool:
    return expected in (asked, asked.partition("?")[0])


def _handler(probe: Probe) -> str:
    """The handler of another probe, for a new probe to use as well."""
    match probe.kind:
        case "http":
            return f"httpGet: {{path: {probe.path}, port: {probe.port}}}"
        case "tcp":
            return f"tcpSocket: {{port: {probe.port}}}"
        case "grpc":
            return f"grpc: {{port: {probe.port}}}"
        case "exec":
            return "exec: the liveness probe's"
