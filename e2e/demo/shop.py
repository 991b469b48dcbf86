"""The shop: three Go services behind nginx, one of which leaks, in a namespace of their own, and the load on them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from e2e.cluster.paths import REPOSITORY
from e2e.cluster.progress import step
from e2e.harness.kube import Object, apply, attempt, get, kubectl
from e2e.harness.stack import pods, prometheus_query, start_load, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

NAMESPACE = "shop"
POLICY = "shop"
POLICY_FILE = Path(__file__).with_name("policy.yaml")

LEAKING = "bodyleak"
# : One that looks like a leak for a minute and is not one, and one that does not even look like it.
SOUND = ("boundedcache", "healthy")
SERVICES = (LEAKING, *SOUND)

NOFILE = 200
#: Requests per second to each service. Every second one leaks a descriptor: 200 are used up in about a minute.
RATE = 6
LEAK_EVERY = 2
# : More than the story takes at its slowest; the load ends by itself if the demo cannot stop it.
LOAD_SECONDS = 420
_LOAD = "load"


def clear() -> None:
    """Begin to delete the objects of an earlier run; `open_shop` waits for the end of it."""
    if get("namespace", NAMESPACE) is None:
        return
    # There are no users here any more, so nothing needs to drain for twenty seconds. First the controllers that would
    # replace the pods.
    everything = ("--all", "-n", NAMESPACE, "--wait=false")
    attempt("kubectl", "delete", "deployments,replicasets,jobs", *everything)
    attempt("kubectl", "delete", "pods", *everything, "--force", "--grace-period=0")
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


def open_shop() -> None:
    """The namespace, the services, then nginx, until all pods are ready. Raises KubectlError and TimedOut."""
    with step(f"namespace {NAMESPACE}, clean"):

        def gone() -> bool | NotYet:
            found = get("namespace", NAMESPACE)
            return True if found is None else NotYet(f"it is {found['status']['phase']}")

        wait_until(f"the earlier namespace {NAMESPACE} to be gone", gone, 120, interval=0.5)
        apply(manifests.namespace(NAMESPACE))
    with step(f"services {', '.join(SERVICES)} and their backend, with nginx in front"):
        objects: list[Object] = manifests.backend(NAMESPACE)
        for name in SERVICES:
            leak_every = LEAK_EVERY if name == LEAKING else None
            objects += manifests.service(
                name, name, NAMESPACE, nofile=NOFILE, leak_every=leak_every, labels={"team": "shop"}
            )
        apply(objects)
        # nginx resolves the Services once, at its start, so they are there first.
        apply(manifests.nginx(NAMESPACE, SERVICES, metrics=True))
        wait_for_rollouts(NAMESPACE)
    with step("Prometheus finds them"):

        def read() -> bool | NotYet:
            series = prometheus_query(f'go_goroutines{{namespace="{NAMESPACE}"}}')
            known = {labels.get("pod") for labels, _ in series}
            running = {name: {pod["metadata"]["name"] for pod in pods(NAMESPACE, name)} for name in SERVICES}
            missing = [name for name, names in running.items() if not names & known]
            return NotYet(f"no readings of {', '.join(missing)}") if missing else True

        wait_until("readings of every service", read, 90)


def apply_policy_command() -> tuple[str, ...]:
    return ("kubectl", "apply", "-f", str(POLICY_FILE.relative_to(REPOSITORY)))


def enforce_command() -> tuple[str, ...]:
    return (
        "kubectl", "patch", "relpol", POLICY, "-n", NAMESPACE, "--type=merge", "-p", '{"spec":{"mode":"Enforce"}}',
    )  # fmt: skip


def apply_policy() -> None:
    """Runs the command that `apply_policy_command` shows, from any directory. Raises KubectlError."""
    kubectl("apply", "-f", str(POLICY_FILE))


def enforce() -> None:
    """Runs exactly the command that `enforce_command` shows. Raises KubectlError."""
    kubectl(*enforce_command()[1:])


def send_load() -> None:
    """The same load on every service, through nginx."""
    urls = [f"http://nginx:{manifests.HTTP_PORT}/{name}/work" for name in SERVICES]
    start_load(NAMESPACE, _LOAD, urls, rate=RATE * len(SERVICES), duration=LOAD_SECONDS)


def stop_load() -> bool:
    """Stop it without waiting, in any state of the cluster; returns whether kubectl confirmed it."""
    command = ("kubectl", "delete", "job", _LOAD, "-n", NAMESPACE, "--ignore-not-found", "--wait=false")
    with contextlib.suppress(Exception):
        return attempt(*command, timeout=20).succeeded
    return False
