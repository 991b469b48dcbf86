"""The checks about what several pods or workloads share (a majority, a budget, a quota, a request): passes and fails."""

from __future__ import annotations

from dataclasses import replace

from leakwarden.core.audit import Severity
from leakwarden.core.audit.related import Full, Identity, Measure, Referring, Related, Shared, VerticalScaler
from leakwarden.core.model.labels import LabelSelector
from leakwarden.core.model.workload import Probe, Workload
from tests.unit.audit.audit_examples import CONTAINER, container, workload
from tests.unit.audit.related_cases import BUDGET_BESIDE, SURGES, Case, RelatedCase, beside, scaler

CPU, MEMORY = frozenset({"cpu"}), frozenset({"memory"})
SHARE = Measure("cpu")  # of the whole pod


def members(image: str = "registry.k8s.io/etcd:3.5.21-0", replicas: int = 3, name: str = "store") -> Workload:
    return workload(kind="StatefulSet", name=name, replicas=replicas, containers=(replace(CONTAINER, image=image),))


def asking(*command: str) -> Workload:
    """A container whose liveness probe runs this command."""
    return container(liveness=Probe("exec", timeout=5, command=command))


def shared(pods: int, **changes: object) -> Related:
    """The budget of the examples, which counts the pods of two workloads."""
    return beside(
        budgets=(replace(BUDGET_BESIDE, **changes),),  # type: ignore[arg-type]
        shared={"web": Shared(pods, ("web", "worker"), 2)},
    )


def vertical(*controls: tuple[str, frozenset[str]], measure: Measure = SHARE) -> Related:
    one = VerticalScaler(Identity("VerticalPodAutoscaler", "shop", "web"), "Deployment", "web", "Recreate", controls)
    return beside(vertical=(one,), scalers=(scaler(2, measures=(measure,)),))


def quota(hard: float, used: float, resource: str = "pods") -> Related:
    return beside(full=(Full(Identity("ResourceQuota", "shop", "all"), resource, hard, used),))


def referred(scale_down: str = "") -> Related:
    return beside(referring=(Referring(Identity("Rollout", "shop", "web"), "Deployment", "web", scale_down),))


SURGING = workload(**SURGES)

PASSES: dict[str, list[RelatedCase]] = {
    "DisruptionBudgetLosesQuorum": [
        Case("one of three", members()),
        Case("two of five", members(replicas=5), allowed=2),
        Case("one of two, which have no majority to spare", members(replicas=2)),
        Case("a system that has no majority", members("postgres:17"), allowed=2),
        Case("an image that only begins like one", members("shop/etcd-browser:1"), allowed=2),
        Case("all of them, which is another finding", members(), allowed=3),
        Case("a Deployment", workload(containers=(replace(CONTAINER, image="etcd:3"),)), allowed=2),
    ],
    "DisruptionBudgetOfSeveral": [
        Case("its own budget", related=beside(budgets=(BUDGET_BESIDE,)), allowed=3),
        Case("one at a time, of whatever workload", related=shared(6)),
        Case("one pod, which no budget could spare", workload(replicas=1), shared(6), allowed=3),
    ],
    "LivenessAsksOthers": [
        Case("a request"),
        Case("the pod itself", asking("pg_isready", "-h", "127.0.0.1")),
        Case("by a URL of its own", asking("curl", "-f", "http://localhost:8080/healthz")),
        Case("a socket", asking("psql", "-h", "/var/run/postgresql", "-c", "select 1")),
        Case("its own name", asking("redis-cli", "-h", "web-0.peers")),
        Case("a host that a variable names", asking("sh", "-c", "pg_isready -h $DB_HOST")),
        Case("a host that Kubernetes fills in", asking("nc", "-z", "$(POD_IP)", "8080")),
        Case("no known client", asking("/app/check", "-h", "orders-db")),
        Case("whatever the answer is", asking("sh", "-c", "pg_isready -h orders-db || true")),
        Case("a script that is none", asking("sh", "-c", "pg_isready -h 'orders-db")),
        Case("a word that only looks like a URL", asking("cat", "http://orders-db")),
        Case("readiness may", container(readiness=Probe("exec", command=("pg_isready", "-h", "orders-db")))),
    ],
    "RolloutBesidePods": [
        Case("no Rollout"),
        Case("no pods of its own", workload(replicas=0), referred()),
        Case("the Rollout takes them away", related=referred("progressively")),
    ],
    "AutoscalersShareRequest": [
        Case("one autoscaler", related=beside(scalers=(scaler(2, measures=(Measure("cpu"),)),))),
        Case("another resource", related=vertical(("*", MEMORY))),
        Case("an amount, which is no share of a request", related=vertical(measure=Measure("cpu", "", False))),
        Case("the container is left alone", related=vertical(("app", frozenset()))),
        Case("another container is measured", related=vertical(("app", CPU), measure=Measure("cpu", "proxy"))),
    ],
    "SurgeAboveQuota": [
        Case("no quota", SURGING),
        Case("room for one more", SURGING, quota(4, 3)),
        Case("a pod goes first", workload(max_unavailable=1, max_surge=0), quota(3, 3)),
        Case("a resource that the pods do not ask", SURGING, quota(1, 3, "requests.cpu")),
    ],
}
FAILS: dict[str, list[RelatedCase]] = {
    "DisruptionBudgetLosesQuorum": [
        Case("two of three", members(), allowed=2, severity=Severity.WARNING, says="2 of 3 members"),
        Case("three of five", members("consul:1.20", 5), allowed=3, severity=Severity.WARNING, says="3 are needed"),
        Case("two of four", members(replicas=4), allowed=2, severity=Severity.WARNING, says="3 are needed"),
        Case("raft by name", members("a:1", 3, "log-raft"), allowed=2, severity=Severity.WARNING, says="log-raft"),
    ],
    "DisruptionBudgetOfSeveral": [
        Case("all of them", related=shared(6), allowed=3, severity=Severity.WARNING, says="3 of these 3"),
        Case(
            "every pod of the namespace",
            related=shared(9, selector=LabelSelector()),
            allowed=3,
            severity=Severity.WARNING,
            says="empty selector",
        ),
        Case("two of three", related=shared(6), allowed=2, severity=Severity.INFO, says="(worker)"),
    ],
    "LivenessAsksOthers": [
        Case(
            "a database",
            asking("/usr/bin/pg_isready", "-h", "orders-db.data.svc", "-t", "3"),
            severity=Severity.WARNING,
            says="pg_isready at orders-db.data.svc",
        ),
        Case("in one word", asking("mysqladmin", "ping", "--host=db"), severity=Severity.WARNING, says="at db"),
        Case("a short flag", asking("redis-cli", "-hcache", "ping"), severity=Severity.WARNING, says="at cache"),
        Case(
            "a URL", asking("curl", "-fsS", "https://u:p@auth:8443/x"), severity=Severity.WARNING, says="curl at auth"
        ),
        Case("a port", asking("nc", "-z", "-w", "2", "kafka", "9092"), severity=Severity.WARNING, says="nc at kafka"),
        Case(
            "in a script",
            asking("sh", "-ec", "test -f /ok && timeout 3 wget -qO- http://auth/x || exit 1"),
            severity=Severity.WARNING,
            says="wget at auth",
        ),
        Case("a device", asking("bash", "-c", "</dev/tcp/db/5432"), severity=Severity.WARNING, says="at db"),
        Case(
            "an address", asking("grpc_health_probe", "-addr=10.1.2.3:50"), severity=Severity.WARNING, says="10.1.2.3"
        ),
    ],
    "RolloutBesidePods": [
        Case("both", related=referred(), severity=Severity.WARNING, says="keeps 3 pods"),
        Case("never", related=referred("never"), severity=Severity.WARNING),
        Case("not written", workload(replicas_given=False), referred(), severity=Severity.INFO),
    ],
    "AutoscalersShareRequest": [
        Case("everything, by default", related=vertical(), severity=Severity.WARNING, says="request of cpu"),
        Case("the CPU of one container", related=vertical(("app", CPU), ("*", MEMORY)), severity=Severity.WARNING),
        Case("by default", related=vertical(measure=Measure("cpu", default=True)), severity=Severity.INFO),
    ],
    "SurgeAboveQuota": [
        Case("full", SURGING, quota(3, 3), severity=Severity.WARNING, says="it is refused"),
        Case("too small for all pods", SURGING, quota(2, 3), severity=Severity.WARNING, says="not all pods"),
        Case(
            "memory",
            SURGING,
            quota(2.0**31, 2.0**31 - 2.0**28, "limits.memory"),
            severity=Severity.WARNING,
            says="2304Mi",
        ),
    ],
}
