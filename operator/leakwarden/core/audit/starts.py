"""Checks of one manifest: hooks at the start of a container, and rollouts that cannot go on or back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from leakwarden.core.audit.findings import Check, Defect, Severity
from leakwarden.core.audit.templates import pod_spec_of
from leakwarden.core.audit.written import count, items, mapping

# Seconds of a postStart that are noticed at every start and rollout.
LONG_START = 10
_SLEEPS = ("sleep", "/bin/sleep", "/usr/bin/sleep")


def post_start_blocks(body: Mapping[str, Any]) -> Iterator[Defect]:
    """A postStart hook delays the start, or fails it.

    The kubelet starts the hook right after the process. Until it ends the container does not count as running: no probe
    is asked, and the containers after it are not started. Where it fails, the container is killed. An httpGet to the
    container itself is asked once: most often before the program listens.

    Mend:
        startupProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 2, failureThreshold: 30}

    Source: https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/#container-hooks
    """
    at, pod = pod_spec_of(body)
    containers = items(pod.get("containers"))
    for number, container in enumerate(containers):
        hook = mapping(mapping(container.get("lifecycle")).get("postStart"))
        http = mapping(hook.get("httpGet"))
        field = f"{at}.containers[{number}].lifecycle.postStart"
        if http and http.get("host") in (None, "", "127.0.0.1", "localhost"):
            yield Defect(
                Severity.WARNING,
                "postStart asks the container itself, once and right after its process was started: a program that does"
                " not listen yet refuses it, and the container is killed",
                "no postStart; what has to happen after the start belongs into the program, or into a startupProbe",
                field=field,
            )
        slept = _slept(hook)
        if slept >= LONG_START:
            after = [str(each.get("name"))[:63] for each in containers[number + 1 :]]
            waits = f", and {', '.join(after[:3])} are not started" if after else ""
            yield Defect(
                Severity.INFO,
                f"postStart sleeps {slept} s: for so long no probe is asked{waits}, at every start",
                "a startupProbe, which ends as soon as the program answers",
                field=field,
            )


def rollout_partitioned(body: Mapping[str, Any]) -> Iterator[Defect]:
    """A partition keeps pods of a StatefulSet from being updated.

    Only pods with a number of the partition or above get a new template. A partition as large as the number of replicas
    holds back every change, without a word; a smaller one is how a rollout is tried on a few pods, and is most often
    meant to be taken away again.

    Mend:
        updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#partitions
    """
    spec = mapping(body.get("spec"))
    strategy = mapping(spec.get("updateStrategy"))
    partition = count(mapping(strategy.get("rollingUpdate")).get("partition"))
    replicas = 1 if spec.get("replicas") is None else count(spec.get("replicas"))
    first = count(mapping(spec.get("ordinals")).get("start")) or 0
    if not partition or partition <= first or not replicas or strategy.get("type") not in (None, "RollingUpdate"):
        return
    held = min(partition - first, replicas)
    blocked = held == replicas
    yield Defect(
        Severity.WARNING if blocked else Severity.INFO,
        f"partition is {partition}, and replicas {replicas}: "
        + ("a change of the template reaches no pod" if blocked else f"{held} of the pods keep the earlier template"),
        "updateStrategy: {rollingUpdate: {partition: 0}}, once the change has proved itself",
    )


def rollback_impossible(body: Mapping[str, Any]) -> Iterator[Defect]:
    """No earlier revision is kept.

    With revisionHistoryLimit 0 the earlier ReplicaSets (or ControllerRevisions) are deleted as soon as a rollout is
    complete, so kubectl rollout undo finds nothing. Where Git is the way back, this is by intent, hence an Info.

    Mend:
        revisionHistoryLimit: 3

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#revision-history-limit
    """
    limit = mapping(body.get("spec")).get("revisionHistoryLimit")
    if limit is not None and count(limit) == 0:
        yield Defect(
            Severity.INFO,
            "revisionHistoryLimit is 0: no earlier revision is kept, so kubectl rollout undo has nothing to go back to",
            "revisionHistoryLimit: 3, unless Git is the only way back",
        )


def _slept(hook: Mapping[str, Any]) -> int:
    """Seconds that a postStart sleeps for certain."""
    seconds = count(mapping(hook.get("sleep")).get("seconds"))
    if seconds:
        return seconds
    command = mapping(hook.get("exec")).get("command")
    words = [str(each) for each in command] if isinstance(command, list) else []
    if len(words) == 3 and words[0].rpartition("/")[2] in ("sh", "bash", "ash", "dash") and words[1] == "-c":
        words = words[2].partition(";")[0].partition("&")[0].split()
    if len(words) == 2 and words[0] in _SLEEPS and words[1].isascii() and words[1].isdigit() and len(words[1]) < 7:
        return int(words[1])
    return 0


_ROLLED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Rollout"})
POST_START_BLOCKS = Check("LW212", "PostStartBlocks", post_start_blocks, "spec")
ROLLOUT_PARTITIONED = Check(
    "LW312", "RolloutPartitioned", rollout_partitioned, "spec.updateStrategy.rollingUpdate", frozenset({"StatefulSet"})
)
ROLLBACK_IMPOSSIBLE = Check("LW313", "RollbackImpossible", rollback_impossible, "spec.revisionHistoryLimit", _ROLLED)
CHECKS = (POST_START_BLOCKS, ROLLOUT_PARTITIONED, ROLLBACK_IMPOSSIBLE)
