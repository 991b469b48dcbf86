"""Services, routes and monitors: whether requests and scrapes reach the intended port."""

from __future__ import annotations

import re
from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.related import Service, ServicePort
from leakwarden.core.audit.set_later import POD_NAME
from leakwarden.core.audit.sharing import distinguishing
from leakwarden.core.audit.subject import Subject
from leakwarden.core.model.workload import Container, Workload

# Names under which Go's net/http/pprof is commonly offered.
PROFILING_NAMES = frozenset({"pprof", "http-pprof", "debug", "profiling", "tcp-pprof"})
METRICS_NAMES = frozenset({"metrics", "http-metrics", "prometheus", "prom", "https-metrics", "http-prom"})
# Names of ports that are asked by Prometheus, the kubelet or a person, and not by users of the service.
OF_OBSERVERS = "metric|prom|health|probe|pprof|profil"
LOOKED_AT = re.compile(OF_OBSERVERS)
# Seconds. kube-proxy sees a pod's end within this time; after that the node takes no new connections for it.
HEALTH_CHECK_NODES = 10


def target_unresolved(subject: Subject) -> Iterator[Defect]:
    """A Service sends to a port that no container has.

    A targetPort by name must be the name of a container port, or the Service has no endpoint for it and every
    request is refused; the protocol must be the same. One by number that no container declares is most often a slip; declaring a port is not needed
    for it to work, so nothing is said where no port is declared at all, or where the number is among the arguments.
    Where the pods of another workload behind the same Service have the port, its selector is meant to be narrower.

    Mend:
        ports:
        - port: 80
          targetPort: http   # the name of a port of the container

    Source: https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports
    """
    containers = (*subject.workload.containers, *subject.workload.pods.sidecars)
    names = {name for each in containers for name, _ in each.ports if name}
    numbers = {number for each in containers for _, number in each.ports}
    declared = ", ".join(f"{name}={n}" if name else str(n) for each in containers for name, n in each.ports) or "none"
    spoken: dict[str, set[str]] = {}
    for each in containers:
        for name, _ in each.ports:
            if name:
                spoken.setdefault(name, set()).add(dict(each.other_protocols).get(name, "TCP"))
    given = {number for each in containers for number in each.entrypoint.numbers}
    for service in _services(subject):
        for port in service.ports:
            if isinstance(port.target, str):
                if port.target not in names:
                    yield _unreachable(subject, service, port, declared, Severity.ERROR)
                elif port.protocol not in spoken.get(port.target, {port.protocol}):
                    yield Defect(
                        Severity.ERROR,
                        f"{service.identity} sends {port.protocol} to the port {port.target}, which the container declares"
                        f" for {', '.join(sorted(spoken[port.target]))}: it has no endpoint for that port",
                        f"in {service.identity}: protocol: {min(spoken[port.target])}",
                    )
            elif numbers and port.target not in numbers and port.target not in given:
                yield _unreachable(subject, service, port, declared, Severity.WARNING)


def publishes_unready(subject: Subject) -> Iterator[Defect]:
    """A Service sends requests to pods that are not ready.

    publishNotReadyAddresses makes readiness meaningless for the Service: pods get requests while they start and while
    they say that they cannot serve. It is meant for the headless Services by which peers find each other, and is right
    for a Service of metrics alone.

    Mend: leave publishNotReadyAddresses out, or make the Service headless (clusterIP: None) and use another one for
    requests.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
    """
    for service in _services(subject):
        # A Service of one pod of a StatefulSet is for its peers, as a headless one is.
        peers = service.headless or POD_NAME in service.selector
        # Prometheus also wants the metrics of a pod that does not serve yet.
        observed = bool(service.ports) and all(LOOKED_AT.search(port.name) for port in service.ports)
        if service.publishes_unready and not peers and not observed:
            yield Defect(
                Severity.WARNING,
                f"{service.identity} has publishNotReadyAddresses: pods get requests before they are ready and after"
                " they said that they cannot serve",
                f"in {service.identity}: publishNotReadyAddresses: false, or clusterIP: None if only peers use it",
            )


def local_traffic(subject: Subject) -> Iterator[Defect]:
    """A Service with externalTrafficPolicy Local depends on each node's own pod.

    A load balancer sends to a node until its health check there has failed a few times. When the only pod of a node
    goes, requests that arrive until then are dropped. A preStop that lasts longer than the load balancer needs to see
    it, and a surge in place of an unavailable pod, close the gap.

    Mend:
        strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
        lifecycle: {preStop: {sleep: {seconds: 20}}}   # longer than the health checks of the load balancer

    Source: https://kubernetes.io/docs/tutorials/services/source-ip/#source-ip-for-services-with-type-loadbalancer
    """
    for service in _services(subject):
        if service.local_traffic and service.type in ("LoadBalancer", "NodePort"):
            hook = max((c.pre_stop.least for c in subject.containers if c.pre_stop), default=0)
            if hook <= HEALTH_CHECK_NODES or subject.workload.max_unavailable not in (0, "0%"):
                yield Defect(
                    Severity.INFO,
                    f"{service.identity} has externalTrafficPolicy Local: when the only pod of a node goes, requests to"
                    " that node are dropped until the load balancer has seen it",
                    f"maxUnavailable: 0 with maxSurge: 1, and a preStop sleep above {HEALTH_CHECK_NODES} s that outlasts"
                    " the load balancer's health checks",
                )


def serving_missing(subject: Subject) -> Iterator[Defect]:
    """A StatefulSet's Service is not there, or is not headless.

    serviceName names the headless Service that gives each pod a name of its own (db-0.db). Without it peers and
    clients that ask for one of these names find nothing; a single pod has no peers, so there it is an Info. Only said
    where Services were read.

    Mend:
        kind: Service
        spec: {clusterIP: None, selector: {app: db}}

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-network-id
    """
    governing = subject.related.governing if subject.related else None
    if governing is None or governing.headless:
        return
    there = " among these manifests" if subject.related and not subject.related.complete else ""
    if governing.found:
        yield Defect(
            Severity.INFO,
            f"serviceName is {governing.name}, which has a clusterIP: the pods get no names of their own",
            f"clusterIP: None in Service {governing.name}",
        )
    else:
        yield Defect(
            # A single pod has no peers that would look for it, and its clients use another Service.
            Severity.WARNING if subject.workload.replicas > 1 else Severity.INFO,
            f"serviceName is {governing.name}, and no such Service is there{there}: the pods get no names of their own",
            f"a Service {governing.name} with clusterIP: None",
        )


def route_outlasts_grace(subject: Subject) -> Iterator[Defect]:
    """An Ingress or HTTPRoute waits longer for an answer than a pod has to give it.

    A request may take as long as the route allows. A pod that is told to stop kills it when the grace period less
    preStop is over, so the longest requests are cut off at every rollout.

    Mend:
        terminationGracePeriodSeconds: 75   # preStop + the route's timeout + 5

    Source: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#custom-timeouts
    """
    if subject.related is None or subject.workload.termination_grace == 0:
        return
    hook = max((c.pre_stop.least for c in subject.containers if c.pre_stop), default=0)
    left = subject.workload.termination_grace - hook
    for route in subject.related.routes:
        if route.seconds is not None and route.seconds > left > 0:
            yield Defect(
                Severity.INFO,
                f"{route.identity} waits up to {route.seconds:g} s for an answer ({route.said_by}), but a pod that stops"
                f" has terminationGracePeriodSeconds {subject.workload.termination_grace} - preStop {hook} = {left} s:"
                " the longest requests are cut off",
                f"terminationGracePeriodSeconds: {int(route.seconds) + hook + 5}, or a shorter {route.said_by}",
            )


def metrics_not_scraped(subject: Subject) -> Iterator[Defect]:
    """A port for metrics is scraped by no monitor.

    The signals Heap, Goroutines and Descriptors come from the service's own metrics. Only said where ServiceMonitors
    or PodMonitors were read, and the pods carry no prometheus.io/scrape annotation.

    Mend:
        apiVersion: monitoring.coreos.com/v1
        kind: PodMonitor
        spec: {selector: {matchLabels: {app: web}}, podMetricsEndpoints: [{port: metrics}]}

    Source: https://prometheus-operator.dev/docs/developer/getting-started/
    """
    related = subject.related
    if related is None or related.monitored_elsewhere or related.monitors:
        return
    for container in subject.containers:
        for name, number in container.ports:
            if name in METRICS_NAMES:
                yield Defect(
                    Severity.INFO,
                    f"the port {name} ({number}) is scraped by no ServiceMonitor or PodMonitor that was read: leaks are"
                    " then judged by what the kubelet shows alone",
                    f"a PodMonitor with podMetricsEndpoints: [{{port: {name}}}]",
                    container.name,
                )


def monitor_port_missing(subject: Subject) -> Iterator[Defect]:
    """A PodMonitor scrapes a port that no container has.

    The Prometheus operator then makes a scrape configuration that finds no target, and says nothing.

    Mend:
        podMetricsEndpoints: [{port: metrics}]   # the name of a port of the container

    Source: https://prometheus-operator.dev/docs/platform/troubleshooting/
    """
    names = {name for each in subject.workload.containers for name, _ in each.ports if name}
    numbers = {number for each in subject.workload.containers for _, number in each.ports}
    for monitor in subject.related.monitors if subject.related else ():
        if monitor.identity.kind == "PodMonitor" and monitor.ports:
            missing = [port for port in monitor.ports if port not in names and port not in numbers]
            if len(missing) == len(monitor.ports):
                yield Defect(
                    Severity.WARNING,
                    f"{monitor.identity} scrapes port {', '.join(map(str, missing))}, which no container has: nothing is"
                    " scraped",
                    f"podMetricsEndpoints: [{{port: {next(iter(sorted(names)), 'metrics')}}}]",
                )


def profiling_exposed(subject: Subject) -> Iterator[Defect]:
    """Profiles can be fetched through a Service or an Ingress.

    net/http/pprof shows memory contents and costs CPU time. Leakwarden fetches profiles from the pod itself, so the
    port needs no Service.

    Mend: take the port out of the Service, and let a NetworkPolicy admit the operator alone.

    Source: https://pkg.go.dev/net/http/pprof
    """
    ports = {number for c in subject.workload.containers for name, number in c.ports if name in PROFILING_NAMES}
    routed = {name for route in (subject.related.routes if subject.related else ()) for name in route.services}
    for service in _services(subject):
        for port in service.ports:
            if port.target in PROFILING_NAMES or port.target in ports or port.name in PROFILING_NAMES:
                open_ = service.type in ("LoadBalancer", "NodePort") or service.identity.name in routed
                yield Defect(
                    Severity.WARNING if open_ else Severity.INFO,
                    f"{service.identity} offers the profiling port {port.target}"
                    + (" outside of the cluster" if open_ else " to the whole cluster"),
                    f"take port {port.port} out of {service.identity}; Leakwarden asks the pod itself",
                )


def all_ports(workload: Workload) -> set[int]:
    """The numbers of all ports that the pod declares."""
    containers: tuple[Container, ...] = (*workload.containers, *workload.pods.sidecars)
    return {number for each in containers for _, number in each.ports}


def _unreachable(subject: Subject, service: Service, port: ServicePort, declared: str, severity: Severity) -> Defect:
    certain = "it has no endpoint for that port" if severity is Severity.ERROR else "requests are refused there"
    server = subject.related.servers.get(service.identity.name) if subject.related else None
    labels = distinguishing(service, server, subject.workload) if server is not None else {}
    if server is not None and labels and (server.kind, server.name) != (subject.workload.kind, subject.workload.name):
        added = ", ".join(f"{key}: {value}" for key, value in list(labels.items())[:2])
        return Defect(
            # A named port sends nothing to pods that have no port of the name.
            Severity.INFO if severity is Severity.ERROR else severity,
            f"{service.identity} also selects these pods, and they declare no port {port.target} (declared: {declared}),"
            f" which {server.kind} {server.name} has: a part of the requests is refused"
            if severity is Severity.WARNING
            else f"{service.identity} also selects these pods, and they have no port named {port.target} (declared:"
            f" {declared}), which {server.kind} {server.name} has: these pods never get a request of it",
            f"in {service.identity}: selector: {{{added}}} as well, which only the pods of {server.kind} {server.name} have",
        )
    return Defect(
        severity,
        f"{service.identity} sends port {port.port} to targetPort {port.target}, which no container of the pods"
        f" declares (declared: {declared}): {certain}",
        f"in {service.identity}: targetPort: one of the declared ports, or declare {port.target} in the container",
    )


def _services(subject: Subject) -> tuple[Service, ...]:
    return subject.related.services if subject.related else ()
