"""The parts of a story: people's specs, the workloads of the cluster, and the events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.core.guards.limits import Limits


@dataclass(frozen=True)
class Rules:
    """People's limits, in numbers: the specs are written from them, and the oracle counts by them. Times in seconds."""

    actions: tuple[str, ...] = ("EvictPod",)
    max_replicas: int = 1000
    signal: str = "Descriptors"
    cooldown: int = 10
    pod_cooldown: int = 0
    warm_up: int = 0
    refill: int = 0
    max_unavailable: int | str = 1000
    min_ready: int = 0
    workload_actions: int = 100
    workload_window: int = 3600
    failures: int = 20
    sleep_window: int = 3600
    settle: int = 60
    verified_within: int = 120
    timeout: int = 3600
    denied_hours: tuple[int, int] | None = None  # UTC
    evidence_required: bool = False
    vetoed: bool = False
    abrupt: bool = False  # pods are killed without time to finish, and the audit looks
    respects_silences: bool = True
    namespace_actions: int = 1000
    cluster_actions: int = 1000
    window: int = 3600
    max_concurrent: int = 100
    storm_actions: int = 0  # 0: off
    storm_window: int = 600
    storm_cooldown: int = 1800
    quiet: int = 0
    permitted: frozenset[str] = frozenset(str(kind) for kind in ActionType)

    def spec(self, author: Author) -> dict[str, Any]:
        actions = [
            {"type": kind, "timeout": f"{self.timeout}s", **({"maxReplicas": self.max_replicas} if kind == "ScaleOut" else {})}
            for kind in self.actions
        ]  # fmt: skip
        deny = []
        if self.denied_hours is not None:
            deny = [{"start": f"{self.denied_hours[0]:02}:00", "end": f"{self.denied_hours[1]:02}:00"}]
        return {
            "selector": {"matchLabels": {"team": "shop"}},
            "mode": "Observe" if author.observes else "Enforce",
            "suspend": author.suspended,
            "pauseRequests": [{"name": "people", "reason": "we look first"}] if author.pauses else [],
            "maintenance": {"deny": deny},
            "vetoes": [{"name": "sale", "query": "sale_running"}] if self.vetoed else [],
            "respectSilences": self.respects_silences,
            "source": {"refill": f"{self.refill}s"},
            "audit": {"enabled": self.abrupt},
            "signals": [{"name": "signal", "type": self.signal}],
            "evidence": {"required": self.evidence_required},
            "remediation": {
                "actions": actions,
                "cooldown": f"{self.cooldown}s",
                "podCooldown": f"{self.pod_cooldown}s",
                "warmUp": f"{self.warm_up}s",
                "budget": {
                    "maxUnavailable": self.max_unavailable, "minReady": self.min_ready,
                    "actions": self.workload_actions, "window": f"{self.workload_window}s",
                },
                "verification": {"settle": f"{self.settle}s", "timeout": f"{self.verified_within}s"},
                "circuitBreaker": {"failures": self.failures, "sleepWindow": f"{self.sleep_window}s"},
            },
        }  # fmt: skip

    @property
    def limits(self) -> Limits:
        return Limits(
            max_concurrent=self.max_concurrent, namespace_actions=self.namespace_actions,
            cluster_actions=self.cluster_actions, window=self.window, storm_actions=self.storm_actions or 1000,
            storm_workloads=1000, storm_window=self.storm_window, storm_cooldown=self.storm_cooldown,
            storm_enabled=self.storm_actions > 0, quiet_after_start=self.quiet,
        )  # fmt: skip


@dataclass
class Author:
    """A policy as its people have it at this moment, whatever the operator has seen of it."""

    name: str
    namespace: str
    age: int
    observes: bool = False
    suspended: bool = False
    pauses: bool = False
    generation: int = 1
    seen: bool = True  # whether the watch has shown the newest generation

    @property
    def uid(self) -> str:
        return f"uid-policy-{self.namespace}-{self.name}"


@dataclass
class Member:
    """A pod. `ready_at` in true time."""

    uid: str
    created: float
    ready_at: float
    mood: str
    failed: bool = False


@dataclass
class Deployment:
    namespace: str
    name: str
    team: str
    replicas: int
    members: list[Member]
    as_set: int = 0  # the replicas that people asked for
    version: int = 1
    rolls_until: float = 0.0
    opted_out: bool = False
    scaler: bool = False
    gitops: bool = False

    @property
    def uid(self) -> str:
        return f"uid-{self.namespace}-{self.name}"


@dataclass(frozen=True)
class Step:
    """The events before a tick, and the fate of its requests. `clock`: how far the operator's clock is from the true
    time, s. `events`: (what, on which pod, Deployment or policy)."""

    seconds: int
    clock: int = 0
    events: tuple[tuple[str, int], ...] = ()
    fate: str = "done"


@dataclass(frozen=True)
class Story:
    """A cluster and everything that happens to it. `deployments`: (namespace, team, replicas)."""

    rules: Rules
    deployments: tuple[tuple[str, str, int], ...]
    moods: tuple[str, ...]  # of the first pods, in turn
    steps: tuple[Step, ...]
    successors: str = "calm"  # how a new pod is judged
    start_up: int = 20  # s until it serves
    policies: tuple[tuple[str, str, int, bool], ...] = (("main", "shop", 3600, False), ("main", "bank", 3600, False))


@dataclass(frozen=True)
class Request:
    """The engine's request, and the state at that moment. `at` by the operator's clock, epoch s."""

    at: float
    kind: str
    deployment: Deployment
    pod: str  # the pod it is for, by UID
    policy: str  # UID
    changed: bool
    in_flight: frozenset[tuple[str, str]]  # (workload UID, record's id) of all others
