"""One observation of the cluster and of Prometheus, as values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from e2e.harness.kube import Object, containers, kubectl, logs
from e2e.harness.stack import prometheus_query

_KINDS = "pods,reliabilitypolicies.leakwarden.dev,leakreports.leakwarden.dev,events.events.k8s.io"
_DESCRIPTORS, _LIMIT, _GOROUTINES = "process_open_fds", "process_max_fds", "go_goroutines"


@dataclass(frozen=True)
class Levels:
    """Prometheus's readings of one pod; None where it has none."""

    descriptors: float | None = None
    limit: float | None = None
    goroutines: float | None = None

    @property
    def share(self) -> float | None:
        """Descriptors as a share of their limit, 0 to 1."""
        if self.descriptors is None or not self.limit:
            return None
        return self.descriptors / self.limit


@dataclass(frozen=True)
class Pod:
    name: str
    uid: str
    created: str  # RFC 3339
    ready: bool
    restarts: int


@dataclass(frozen=True)
class ServiceState:
    """One Deployment: the newest of its pods that is not on its way out, and how Leakwarden judges it."""

    pod: Pod | None = None
    levels: Levels = Levels()
    verdict: str = ""  # empty while the policy's status does not mention it


@dataclass(frozen=True)
class Told:
    """An Event of the operator. `key` is new whenever it happened again."""

    key: str
    reason: str
    note: str
    warning: bool
    subject: str  # the Deployment's name, or the policy's


@dataclass(frozen=True)
class Observation:
    """The shown and judged facts of one moment."""

    services: Mapping[str, ServiceState] = field(default_factory=dict)
    told: Sequence[Told] = ()
    actions: Sequence[Mapping[str, Any]] = ()  # the policy's own records, newest first
    mode: str = ""
    outcomes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # the LeakReports' tables, by Deployment

    def state(self, service: str) -> ServiceState:
        return self.services.get(service, ServiceState())

    def actions_on(self, service: str) -> list[Mapping[str, Any]]:
        return [record for record in self.actions if record.get("workload") == service]

    def has_told(self, reason: str, subject: str) -> bool:
        return any(each.reason == reason and each.subject == subject for each in self.told)


def look(namespace: str, policy: str, services: Sequence[str]) -> Observation:
    """Query once. Raises KubectlError where the cluster or Prometheus does not answer."""
    items = json.loads(kubectl("get", _KINDS, "-n", namespace, "-o", "json", timeout=20))["items"]
    names = "|".join((_DESCRIPTORS, _LIMIT, _GOROUTINES))
    series = prometheus_query(f'{{__name__=~"{names}",namespace="{namespace}"}}')
    return observation(items, series, policy, services)


def read_access_log(namespace: str, since: str) -> str:
    """nginx's log from a time of its own on; all of it where that is empty. Raises KubectlError."""
    return logs("deployment/nginx", namespace, *([f"--since-time={since}"] if since else ["--tail=-1"]))


def observation(
    items: Iterable[Object],
    series: Iterable[tuple[Mapping[str, str], float]],
    policy: str,
    services: Sequence[str],
) -> Observation:
    """Objects of a namespace and samples of Prometheus -> the state of the services."""
    by_kind: dict[str, list[Object]] = {}
    for item in items:
        by_kind.setdefault(item["kind"], []).append(item)
    mine = next((p for p in by_kind.get("ReliabilityPolicy", ()) if p["metadata"]["name"] == policy), {})
    status = mine.get("status", {})
    verdicts = {each["name"]: each["verdict"] for each in status.get("workloads", ())}
    levels = _levels(series)
    states = {}
    for name in services:
        pod = _newest_pod(by_kind.get("Pod", ()), name)
        states[name] = ServiceState(pod, levels.get(pod.name, Levels()) if pod else Levels(), verdicts.get(name, ""))
    return Observation(
        services=states,
        told=_told(by_kind.get("Event", ())),
        actions=tuple(status.get("actions", ())),
        mode=mine.get("spec", {}).get("mode", ""),
        outcomes=_outcomes(by_kind.get("LeakReport", ())),
    )


def _outcomes(reports: Iterable[Object]) -> dict[str, Mapping[str, Any]]:
    """The newest report's table of each Deployment that has one."""
    found: dict[str, Mapping[str, Any]] = {}
    for report in sorted(reports, key=lambda each: str(each["metadata"]["creationTimestamp"])):
        table = report.get("status", {}).get("verification", {}).get("outcome")
        if table:
            found[report["spec"]["workload"]["name"]] = table
    return found


def _levels(series: Iterable[tuple[Mapping[str, str], float]]) -> dict[str, Levels]:
    values: dict[str, dict[str, float]] = {}
    for labels, value in series:
        values.setdefault(labels.get("pod", ""), {})[labels.get("__name__", "")] = value
    return {pod: Levels(v.get(_DESCRIPTORS), v.get(_LIMIT), v.get(_GOROUTINES)) for pod, v in values.items()}


def _newest_pod(pods: Iterable[Object], service: str) -> Pod | None:
    alive = [
        pod
        for pod in pods
        if pod["metadata"].get("labels", {}).get("app") == service and "deletionTimestamp" not in pod["metadata"]
    ]
    if not alive:
        return None
    newest = max(alive, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    statuses = containers(newest)
    return Pod(
        name=newest["metadata"]["name"],
        uid=newest["metadata"]["uid"],
        created=newest["metadata"]["creationTimestamp"],
        ready=bool(statuses) and all(each["ready"] for each in statuses),
        restarts=sum(each.get("restartCount", 0) for each in statuses),
    )


def _told(events: Iterable[Object]) -> tuple[Told, ...]:
    """The operator's Events, oldest first. An Event on a Deployment and on the policy alike is taken once."""
    found = []
    for event in events:
        regarding, related = event.get("regarding", {}), event.get("related") or {}
        if "leakwarden" not in str(event.get("reportingController", "")) or related.get("kind") == "Deployment":
            continue
        series = event.get("series") or {}
        happened = series.get("lastObservedTime") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
        told = Told(
            key=f"{event['metadata'].get('uid', '')}/{series.get('count', 1)}",
            reason=event.get("reason", ""),
            note=event.get("note", ""),
            warning=event.get("type") == "Warning",
            subject=regarding.get("name", ""),
        )
        found.append((str(happened), told))
    return tuple(told for _, told in sorted(found, key=lambda pair: pair[0]))
