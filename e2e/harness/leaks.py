"""Leaks of a known size: a service that has leaked so much, and stays there, is the same in every run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2e.cluster.progress import say
from e2e.harness.kube import Object, apply
from e2e.harness.stack import prometheus_query, start_load, wait_for_load, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

#: The descriptor limit of the services here, and requests that take one that leaks one each to 85 % of it.
LIMIT = 200
ENOUGH = 160


def deploy(
    namespace: str, *names: str, labels: Mapping[str, str] | None = None, replicas: int = 1, **options: Any
) -> list[Object]:
    """fileleak under each name, labelled `app: NAME` (and more), with its upstream; returns when all are ready.
    fileleak keeps one descriptor per request and nothing else, so that the number of requests is the number of leaks.
    """
    objects = manifests.backend(namespace)
    for name in names:
        objects += manifests.service(
            name, "fileleak", namespace, leak_every=1, replicas=replicas, labels=labels, **{"nofile": LIMIT, **options}
        )
    apply(objects)
    wait_for_rollouts(namespace, manifests.BACKEND, *names)
    return objects


def leak(namespace: str, *names: str, requests: int = ENOUGH, run: str = "leak") -> None:
    """Make each service leak `requests` descriptors, in about eight seconds; returns when it has. `run` names the Jobs.

    Requests that did not arrive are sent again: names may not resolve for a moment after the API server was away.
    Raises AssertionError where six rounds do not suffice.
    """
    urls = [f"http://{manifests.service_target(name, namespace)}/work" for name in names]
    left = requests * len(names)
    for turn in range(6):
        start_load(namespace, f"{run}-{turn}", urls, rate=max(left / 8, 10), duration=60, requests=left)
        report = wait_for_load(namespace, f"{run}-{turn}", 120)
        left -= report["codes"].get("200", 0)
        if left <= 0:
            return
        say(f"{left} requests of {namespace} are to be sent again: {report['codes']} {report['transport_errors']}")
    raise AssertionError(f"the load did not reach {', '.join(names)} in {namespace}: {report}")


def wait_until_held(namespace: str, app: str, above: float, seconds: int, *, timeout: float = 120) -> None:
    """Waits until Prometheus has seen a pod of the Deployment above so many descriptors for so long, and still does."""
    expression = f'min_over_time(process_open_fds{{namespace="{namespace}",app="{app}"}}[{seconds}s])'
    known = f'count_over_time(process_open_fds{{namespace="{namespace}",app="{app}"}}[{seconds}s])'

    def look() -> bool | NotYet:
        readings = {labels["pod"]: value for labels, value in prometheus_query(known)}
        # A pod younger than the window would pass with its first reading.
        least = [
            value for labels, value in prometheus_query(expression) if readings.get(labels["pod"], 0) >= seconds / 5 - 1
        ]
        if least and max(least) > above:
            return True
        return NotYet(f"{max(least, default=0):.0f} descriptors, {readings or 'no readings'}")

    wait_until(f"{namespace}/{app} above {above:g} descriptors for {seconds} s", look, timeout)


def descriptors(namespace: str, app: str) -> dict[str, float]:
    """Open descriptors of each pod, by Prometheus's newest sample."""
    found = prometheus_query(f'process_open_fds{{namespace="{namespace}",app="{app}"}}')
    return {labels["pod"]: value for labels, value in found}
