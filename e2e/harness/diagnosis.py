"""The state that a person would look at after a failed test."""

from __future__ import annotations

import json

from e2e.harness.kube import attempt


def operator_report(tail: int = 60) -> str:
    """The pods of every operator in the cluster, which of them lead, and the end of their logs."""
    found = attempt("kubectl", "get", "pods", "-A", "-l", "app.kubernetes.io/name=leakwarden", "-o", "json")
    if not found.succeeded:
        return found.last_words()
    pods = [each["metadata"] for each in json.loads(found.output)["items"]]
    parts = [_shown("kubectl", "get", "pods", "-A", "-l", "app.kubernetes.io/name=leakwarden")]
    for namespace in sorted({each["namespace"] for each in pods}):
        parts.append(_shown("kubectl", "get", "leases", "-n", namespace))
    parts += [_shown("kubectl", "logs", each["name"], "-n", each["namespace"], f"--tail={tail}") for each in pods]
    return "\n".join(parts)


def namespace_report(namespace: str) -> str:
    """Pods, policies with their status, and Events of a namespace."""
    return "\n".join(
        [
            _shown("kubectl", "get", "pods", "-n", namespace, "-o", "wide"),
            _policies(namespace),
            _shown("kubectl", "get", "events", "-n", namespace, "--sort-by=.metadata.creationTimestamp"),
        ]
    )


def _policies(namespace: str) -> str:
    found = attempt("kubectl", "get", "reliabilitypolicies.leakwarden.dev", "-n", namespace, "-o", "json")
    if not found.succeeded:
        return found.last_words()
    items = json.loads(found.output)["items"]
    return "\n".join(
        f"policy {item['metadata']['name']}, status:\n{json.dumps(item.get('status'), indent=1)}" for item in items
    )


def _shown(*command: str) -> str:
    result = attempt(*command)
    return f"$ {' '.join(command)}\n{result.output}{result.errors}"
