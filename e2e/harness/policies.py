"""Policies: written in a line or two, and read back by condition, action or workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from e2e.harness.kube import Object, existing, get, listed
from e2e.harness.waiting import NotYet, wait_until

API_VERSION = "leakwarden.dev/v1alpha1"
KIND = "reliabilitypolicies.leakwarden.dev"
CLUSTER_KIND = "clusterreliabilitypolicies.leakwarden.dev"
REPORTS = "leakreports.leakwarden.dev"


def policy(
    name: str,
    namespace: str,
    selector: Mapping[str, str],
    signals: Sequence[Object],
    *,
    mode: str = "Enforce",
    actions: Sequence[Object] = ({"type": "EvictPod"},),
    cooldown: str = "30m",
    settle: str = "10s",
    prometheus: str = "",
    max_age: str = "30s",
    **spec: Any,
) -> Object:
    """A ReliabilityPolicy. `spec` holds further fields as the API names them."""
    source = {"maxAge": max_age, "refill": "10s", **({"prometheus": prometheus} if prometheus else {})}
    return {
        "apiVersion": API_VERSION,
        "kind": "ReliabilityPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": dict(selector)},
            "mode": mode,
            "source": source,
            "signals": list(signals),
            "remediation": {
                "actions": list(actions),
                "cooldown": cooldown,
                "podCooldown": cooldown,
                "warmUp": "0s",
                "budget": {"minReady": 0},  # most services of a scenario have one replica
                "verification": {"settle": settle, "timeout": "3m"},
            },
            **spec,
        },
    }


def cluster_policy(
    name: str, namespaces: Object, selector: Mapping[str, str], signals: Sequence[Object], **options: Any
) -> Object:
    """A ClusterReliabilityPolicy with the spec that `policy` makes."""
    made = policy(name, "", selector, signals, **options)
    return {
        **made,
        "kind": "ClusterReliabilityPolicy",
        "metadata": {"name": name},
        "spec": {**made["spec"], "namespaces": namespaces},
    }


def signal(kind: str, above: str = "", hold: str = "10s", *, name: str = "", **fields: Any) -> Object:
    """A signal that judges a level only: growth needs more minutes than a test has, unless `growth` is given."""
    made: Object = {"name": name or kind.lower(), "type": kind, "growth": {"enabled": False}, **fields}
    if above:
        made["threshold"] = {"above": above, "for": hold}
    return made


def read_policy(namespace: str, name: str) -> Object:
    """The policy with its status. Raises KubectlError where there is none."""
    return existing(KIND, name, namespace)


def status(found: Object) -> Object:
    held: Object = found.get("status") or {}
    return held


def condition(found: Object, kind: str) -> Object | None:
    """The condition of that type, or None while it is not written."""
    return next((each for each in status(found).get("conditions", []) if each["type"] == kind), None)


def actions_of(found: Object, workload: str = "") -> list[Object]:
    """The action records, newest first; of one Deployment where it is named."""
    return [each for each in status(found).get("actions", []) if not workload or each["workload"] == workload]


def reports_of(namespace: str, workload: str = "") -> list[Object]:
    """The LeakReports of a namespace, oldest first; of one Deployment where it is named."""
    found = [each for each in listed(REPORTS, namespace) if workload in ("", each["spec"]["workload"]["name"])]
    return sorted(found, key=lambda each: (each["metadata"]["creationTimestamp"], each["metadata"]["name"]))


def workload_of(found: Object, name: str) -> Object | None:
    """The entry of one Deployment in the status."""
    return next((each for each in status(found).get("workloads", []) if each["name"] == name), None)


def signal_of(found: Object, name: str) -> Object | None:
    return next((each for each in status(found).get("signals", []) if each["name"] == name), None)


def events(namespace: str, *, regarding: str = "", reason: str = "") -> list[Object]:
    """Events of events.k8s.io/v1: `regarding` is KIND/NAME."""
    found = listed("events.events.k8s.io", namespace)
    return [
        each
        for each in found
        if (not reason or each.get("reason") == reason)
        and (not regarding or f"{each['regarding']['kind']}/{each['regarding']['name']}" == regarding)
    ]


def wait_for_condition(
    namespace: str, name: str, kind: str, value: str, reason: str = "", *, timeout: float = 60
) -> Object:
    """The policy, once its condition has the value (and reason) for the spec as it is now."""

    def look() -> Object | NotYet:
        found = get(KIND, name, namespace)
        if found is None:
            return NotYet("no such policy")
        held = condition(found, kind)
        if held is None:
            return NotYet(f"no condition {kind}")
        if held["observedGeneration"] != found["metadata"]["generation"]:
            return NotYet(f"{kind} is for generation {held['observedGeneration']}")
        if held["status"] != value or (reason and held["reason"] != reason):
            return NotYet(f"{kind} is {held['status']}, {held['reason']}: {held['message']}")
        return found

    return wait_until(f"{kind}={value} {reason} of {namespace}/{name}", look, timeout)


def wait_for_action(
    namespace: str, name: str, workload: str, phase: str = "Done", *, result: str = "", timeout: float = 180
) -> Object:
    """The newest action on a Deployment, once it has the phase (and result)."""

    def look() -> Object | NotYet:
        found = read_policy(namespace, name)
        records = actions_of(found, workload)
        if not records:
            judged = workload_of(found, workload)
            return NotYet(f"no action; {judged}")
        newest = records[0]
        if newest["phase"] != phase or (result and newest.get("result") != result):
            return NotYet(f"{newest['phase']} {newest.get('result')}: {newest.get('message')}")
        return newest

    return wait_until(f"{phase} {result} of an action on {namespace}/{workload}", look, timeout)
