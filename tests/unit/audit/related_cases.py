"""The checks about the other objects of a workload, and about its command line: passes and fails."""

from __future__ import annotations

from dataclasses import dataclass, replace

from leakwarden.core.audit import Finding, Severity
from leakwarden.core.audit.related import Budget, Identity, Monitor, Related, Route, Scaler, Service, ServicePort
from leakwarden.core.model.labels import LabelSelector
from leakwarden.core.model.workload import Container, Entrypoint, PodFacts, PreStop, Probe, Spread, Workload
from tests.unit.audit.audit_examples import (
    BUDGET,
    CONTAINER,
    LIVENESS,
    READINESS,
    WORKLOAD,
    container,
    found,
    workload,
)

ERROR, WARNING, INFO = Severity

OWN = LabelSelector((("app", "web"),))
OTHER = LabelSelector((("app", "other"),))
PODS = WORKLOAD.pods
SIDECAR = Container("proxy", ports=(("admin", 9901),))


def service(target: int | str = "http", **changes: object) -> Service:
    made = Service(Identity("Service", "shop", "web"), {"app": "web"}, (ServicePort("web", 80, target),))
    return replace(made, **changes)  # type: ignore[arg-type]


def scaler(minimum: int, name: str = "web", kind: str = "HorizontalPodAutoscaler", **changes: object) -> Scaler:
    return replace(Scaler(Identity(kind, "shop", name), "Deployment", "web", minimum), **changes)  # type: ignore[arg-type]


def pods(**changes: object) -> Workload:
    return workload(pods=replace(PODS, **changes))  # type: ignore[arg-type]


def beside(**changes: object) -> Related:
    return Related(**changes)  # type: ignore[arg-type]


BUDGET_BESIDE = Budget(Identity("PodDisruptionBudget", "shop", "web"), OWN)
POD_MONITOR = Monitor(Identity("PodMonitor", "shop", "web"), OWN, ("metrics",))
PROFILED = container(ports=(*CONTAINER.ports, ("pprof", 6060)))
SURGES = {"max_unavailable": 0, "max_surge": 1}


@dataclass(frozen=True)
class RelatedCase:
    what: str
    workload: Workload = WORKLOAD
    related: Related | None = None
    allowed: int = 1  # evictions that the budget allows
    severity: Severity | None = None
    says: str = ""

    def findings(self, check: str) -> list[Finding]:
        budgets = (replace(BUDGET, disruptions_allowed=self.allowed),)
        return [f for f in found(self.workload, (), budgets, self.related) if f.check == check]


Case = RelatedCase

PASSES: dict[str, list[RelatedCase]] = {
    "ProbeHostSet": [
        Case("no host"),
        Case(
            "the node's own address from the node's network",
            workload(
                containers=(replace(CONTAINER, liveness=replace(LIVENESS, host="127.0.0.1")),),
                pods=replace(PODS, host_network=True),
            ),
        ),
    ],
    "ExecProbeTimeoutShort": [
        Case("five seconds", container(liveness=Probe("exec", timeout=5))),
        Case("a request, which is quick", container(liveness=replace(LIVENESS, timeout=1))),
    ],
    "LivenessAsksReadiness": [
        Case("its own path"),
        Case("a word that only contains it", container(liveness=replace(LIVENESS, path="/already"))),
        Case(
            "the same question, which is another finding",
            container(liveness=replace(LIVENESS, path="/readyz")),
        ),
    ],
    "SidecarProbeMissing": [
        Case("none"),
        Case("one with a startup probe", pods(sidecars=(replace(SIDECAR, startup=LIVENESS),))),
        Case("one that serves nothing", pods(sidecars=(Container("logs"),))),
        Case("a mesh's", pods(sidecars=(replace(SIDECAR, name="istio-proxy"),))),
    ],
    "ReadinessAsksElsewhere": [
        Case("no Service is known"),
        Case("the port that serves", related=beside(services=(service(),))),
        Case("gRPC", container(readiness=Probe("grpc", port=9090)), beside(services=(service(),))),
    ],
    "SidecarOutlastsGrace": [
        Case("no sidecar"),
        Case("a short hook", pods(sidecars=(replace(SIDECAR, pre_stop=PreStop("exec", 20)),))),
        Case("a proxy that waits less", pods(proxy_waits=(("proxy.istio.io/config", 5),))),
    ],
    "ShellIsFirstProcess": [
        Case("no shell"),
        Case(
            "the pod's pause is the first process",
            workload(
                containers=(replace(CONTAINER, entrypoint=Entrypoint("chain")),),
                pods=replace(PODS, shared_processes=True),
            ),
        ),
        Case(
            "a Job, whose end nobody waits for",
            workload(kind="Job", containers=(replace(CONTAINER, entrypoint=Entrypoint("chain")),)),
        ),
    ],
    "GraceVeryLong": [
        Case("30 s"),
        Case("just below ten minutes", workload(termination_grace=599)),
        Case(
            "the probe has its own",
            workload(termination_grace=3600, containers=(replace(CONTAINER, liveness=replace(LIVENESS, grace=60)),)),
        ),
    ],
    "ProbeGraceUnfit": [
        Case("none of its own"),
        Case("one below the pod's and above preStop", container(liveness=replace(LIVENESS, grace=10))),
    ],
    "SurgeNeedsNode": [
        Case("nothing binds it to a node", workload(**SURGES)),
        Case("a pod may go first", workload(max_unavailable=1, pods=replace(PODS, host_network=True))),
        Case(
            "a wish for other nodes",
            workload(**SURGES, pods=replace(PODS, spreads=(Spread("kubernetes.io/hostname", OWN, False, True),))),
        ),
        Case(
            "apart from others",
            workload(**SURGES, pods=replace(PODS, spreads=(Spread("kubernetes.io/hostname", OTHER, True, True),))),
        ),
    ],
    "UpdateOnDelete": [Case("a rolling update", workload(kind="StatefulSet"))],
    "DisruptionBudgetIdle": [
        Case("one of three"),
        Case("one of one, which no budget could spare", workload(replicas=1)),
    ],
    "UnhealthyPodsStay": [
        Case("nothing is known of the budget"),
        Case("broken pods may go", related=beside(budgets=(replace(BUDGET_BESIDE, unhealthy_policy="AlwaysAllow"),))),
    ],
    "ReplicasBesideAutoscaler": [
        Case("no autoscaler"),
        Case("replicas left out", workload(replicas_given=False), beside(scalers=(scaler(2),))),
        Case("in a cluster, where it is the autoscaler's", related=beside(scalers=(scaler(2),), complete=True)),
    ],
    "AutoscalerMinimumSingle": [Case("two", related=beside(scalers=(scaler(2),)))],
    "AutoscalersCompete": [Case("one", related=beside(scalers=(scaler(2),)))],
    "SpreadMissing": [
        Case("a constraint"),
        Case("one pod", workload(replicas=1, pods=PodFacts())),
        Case("the node's network, where two do not fit on one", workload(pods=PodFacts(host_network=True))),
    ],
    "SpreadSelectsOthers": [
        Case("its own pods"),
        Case("anti-affinity to others", pods(spreads=(Spread("kubernetes.io/hostname", OTHER, True, affinity=True),))),
    ],
    "ServiceTargetMissing": [
        Case("a name", related=beside(services=(service(),))),
        Case("a number", related=beside(services=(service(8080),))),
        Case("a port of a native sidecar", pods(sidecars=(SIDECAR,)), beside(services=(service("admin"),))),
        Case(
            "a number among the arguments",
            container(entrypoint=Entrypoint(numbers=frozenset({7000}))),
            beside(services=(service(7000),)),
        ),
        Case("nothing is declared at all", container(ports=()), beside(services=(service(7000),))),
    ],
    "ServicePublishesUnready": [
        Case("ready pods only", related=beside(services=(service(),))),
        Case("peers that find each other", related=beside(services=(service(publishes_unready=True, headless=True),))),
    ],
    "ServiceLocalTraffic": [
        Case("from all nodes", related=beside(services=(service(type="LoadBalancer"),))),
        Case(
            "a surge and a hook that outlasts the health checks",
            workload(**SURGES, containers=(replace(CONTAINER, pre_stop=PreStop("sleep", 15)),)),
            beside(services=(service(type="LoadBalancer", local_traffic=True),)),
        ),
    ],
    "RouteOutlastsGrace": [
        Case("it does not say how long", related=beside(routes=(Route(Identity("Ingress", "shop", "web"), ("web",)),))),
        Case(
            "as long as is left", related=beside(routes=(Route(Identity("Ingress", "shop", "w"), ("web",), 25.0, "x"),))
        ),
    ],
    "MetricsNotScraped": [
        Case("no monitor was read", related=beside()),
        Case("a monitor", related=beside(monitors=(POD_MONITOR,), monitored_elsewhere=False)),
        Case("no such port", container(ports=(("http", 8080),)), beside(monitored_elsewhere=False)),
    ],
    "MonitorPortMissing": [
        Case("its port", related=beside(monitors=(POD_MONITOR,))),
        Case("one of two ports", related=beside(monitors=(replace(POD_MONITOR, ports=("metrics", "gone")),))),
    ],
    "ProfilingExposed": [
        Case("no such port", related=beside(services=(service(),))),
        Case("a port that no Service offers", PROFILED, beside(services=(service(),))),
    ],
    "ProcessorsAboveLimit": [
        Case("no CPU limit"),
        Case("as many as allowed", container(cpu_limit=1.5, env={**CONTAINER.env, "GOMAXPROCS": "2"})),
        Case("it may be among variables that cannot be read", container(cpu_limit=1.0, env_from=("web",))),
    ],
    "DescriptorLimitRaised": [Case("not raised")],
}

FAILS: dict[str, list[RelatedCase]] = {
    "ProbeHostSet": [
        Case(
            "the node",
            container(readiness=replace(READINESS, host="127.0.0.1")),
            severity=ERROR,
            says="the node itself",
        ),
        Case(
            "another host",
            container(readiness=replace(READINESS, host="web.example")),
            severity=WARNING,
            says="web.exam",
        ),
    ],
    "ExecProbeTimeoutShort": [Case("1 s", container(liveness=Probe("exec")), severity=INFO, says="1 s")],
    "LivenessAsksReadiness": [
        Case("by name", container(liveness=replace(LIVENESS, path="/health/ready")), severity=INFO),
        Case(
            "a dependency by name",
            container(liveness=replace(LIVENESS, path="/health/db")),
            severity=WARNING,
            says="asks a dependency",
        ),
        Case(
            "swapped",
            container(liveness=replace(LIVENESS, path="/ready"), readiness=replace(READINESS, path="/live")),
            severity=WARNING,
            says="swapped",
        ),
    ],
    "SidecarProbeMissing": [Case("ports and no probe", pods(sidecars=(SIDECAR,)), severity=INFO)],
    "ReadinessAsksElsewhere": [
        Case(
            "the metrics port",
            container(readiness=replace(READINESS, port="metrics")),
            beside(services=(service(),)),
            severity=INFO,
            says="port 9090, and Services send to 8080",
        ),
    ],
    "SidecarOutlastsGrace": [
        Case(
            "a native one",
            pods(sidecars=(replace(SIDECAR, pre_stop=PreStop("exec", 120)),)),
            severity=WARNING,
            says="120 s",
        ),
        Case(
            "a known one among the containers",
            workload(containers=(CONTAINER, Container("istio-proxy", pre_stop=PreStop("exec", None, 30)))),
            severity=WARNING,
        ),
        Case("an injected proxy", pods(proxy_waits=(("proxy.istio.io/config", 30),)), severity=WARNING, says="istio"),
    ],
    "ShellIsFirstProcess": [
        Case("after another command", container(entrypoint=Entrypoint("chain")), severity=WARNING),
        Case("for the only one", container(entrypoint=Entrypoint("simple")), severity=INFO),
    ],
    "GraceVeryLong": [
        Case("an hour", workload(termination_grace=3600), severity=INFO, says="3600 s"),
        Case("ten minutes", workload(termination_grace=600), severity=INFO),
    ],
    "ProbeGraceUnfit": [
        Case(
            "above the pod's",
            container(liveness=replace(LIVENESS, grace=31)),
            severity=WARNING,
            says="above the pod's 30",
        ),
        Case(
            "used up by preStop",
            container(liveness=replace(LIVENESS, grace=5)),
            severity=INFO,
            says="preStop takes 5 s",
        ),
    ],
    "SurgeNeedsNode": [
        Case(
            "hostNetwork", workload(**SURGES, pods=replace(PODS, host_network=True)), severity=INFO, says="hostNetwork"
        ),
        Case(
            "hostPort",
            workload(**SURGES, containers=(replace(CONTAINER, host_ports=(8080,)),)),
            severity=INFO,
            says="hostPort 8080",
        ),
        Case(
            "anti-affinity",
            workload(
                **SURGES, pods=replace(PODS, spreads=(Spread("kubernetes.io/hostname", OWN, True, affinity=True),))
            ),
            severity=INFO,
            says="anti-affinity",
        ),
    ],
    "UpdateOnDelete": [Case("OnDelete", workload(kind="StatefulSet", strategy="OnDelete"), severity=INFO)],
    "DisruptionBudgetIdle": [Case("all three", allowed=3, severity=WARNING, says="all 3 pods")],
    "UnhealthyPodsStay": [Case("the default", related=beside(budgets=(BUDGET_BESIDE,)), severity=INFO)],
    "ReplicasBesideAutoscaler": [Case("both", related=beside(scalers=(scaler(2),)), severity=INFO)],
    "AutoscalerMinimumSingle": [
        Case("one", related=beside(scalers=(scaler(1),)), severity=INFO, says="minReplicas is 1"),
        Case(
            "not written", related=beside(scalers=(scaler(1, minimum_given=False),)), severity=INFO, says="is not set"
        ),
        Case(
            "none",
            related=beside(scalers=(scaler(0, kind="ScaledObject"),)),
            severity=INFO,
            says="minReplicaCount is 0",
        ),
    ],
    "AutoscalersCompete": [
        Case(
            "two",
            related=beside(scalers=(scaler(2), scaler(2, "more"))),
            severity=ERROR,
            says="HorizontalPodAutoscaler more",
        )
    ],
    "SpreadMissing": [
        Case("nothing", pods(spreads=()), severity=INFO, says="all 3 pods"),
        Case("others", pods(spreads=(Spread("zone", OTHER, True, affinity=True),)), severity=INFO, says="all 3 pods"),
    ],
    "SpreadSelectsOthers": [
        Case("others", pods(spreads=(Spread("zone", OTHER, True),)), severity=WARNING, says="app=other"),
        Case("nobody", pods(spreads=(Spread("zone", None, True),)), severity=WARNING, says="no labelSelector"),
        Case("others as well", pods(spreads=(Spread("zone", OTHER, True), Spread("zone", OWN, True))), severity=INFO),
    ],
    "ServiceTargetMissing": [
        Case("no such name", related=beside(services=(service("https"),)), severity=ERROR, says="no endpoint"),
        Case("no such number", related=beside(services=(service(81),)), severity=WARNING, says="targetPort 81"),
    ],
    "ServicePublishesUnready": [
        Case("to everybody", related=beside(services=(service(publishes_unready=True),)), severity=WARNING)
    ],
    "ServiceLocalTraffic": [
        Case(
            "no time for the load balancer",
            related=beside(services=(service(type="NodePort", local_traffic=True),)),
            severity=INFO,
        )
    ],
    "RouteOutlastsGrace": [
        Case(
            "longer than what is left",
            related=beside(routes=(Route(Identity("Ingress", "shop", "web"), ("web",), 26.0, "proxy-read-timeout"),)),
            severity=INFO,
            says="30 - preStop 5 = 25 s",
        )
    ],
    "MetricsNotScraped": [Case("no monitor", related=beside(monitored_elsewhere=False), severity=INFO, says="9090")],
    "MonitorPortMissing": [
        Case("no such port", related=beside(monitors=(replace(POD_MONITOR, ports=("gone",)),)), severity=WARNING)
    ],
    "ProfilingExposed": [
        Case("in the cluster", PROFILED, beside(services=(service("pprof"),)), severity=INFO),
        Case("by number", PROFILED, beside(services=(service(6060),)), severity=INFO),
        Case("outside", PROFILED, beside(services=(service("pprof", type="LoadBalancer"),)), severity=WARNING),
        Case(
            "through an Ingress",
            PROFILED,
            beside(services=(service("pprof"),), routes=(Route(Identity("Ingress", "shop", "i"), ("web",)),)),
            severity=WARNING,
        ),
    ],
    "ProcessorsAboveLimit": [
        Case("not set", container(cpu_limit=1.0), severity=INFO, says="CPU limit 1"),
        Case("too many", container(cpu_limit=1.5, env={**CONTAINER.env, "GOMAXPROCS": "3"}), severity=WARNING),
    ],
    "DescriptorLimitRaised": [Case("raised", container(entrypoint=Entrypoint(raises_descriptors=True)), severity=INFO)],
}
