"""Whether enough pods go on serving during a rollout, a restart or an eviction."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.pods_allowed import allowed_pods, rolls
from leakwarden.core.audit.probe_timing import startup_budget
from leakwarden.core.audit.subject import Subject

_REPLICATED = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "Rollout"})
_WAITS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Rollout"})  # kinds with minReadySeconds
_SURGE = "strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"


def strategy_recreate(subject: Subject) -> Iterator[Defect]:
    """Every rollout is an outage.

    Recreate stops all pods before the first new one starts. Where a volume can be mounted by one pod only, it is needed.

    Mend:
        strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#recreate-deployment
    """
    # A Warning although users notice: it is never a default, and a volume that only one pod may mount needs it.
    workload = subject.workload
    if workload.kind != "Deployment" or workload.strategy != "Recreate" or not workload.replicas:
        return
    services = subject.related.services if subject.related else ()
    behind = f", and {services[0].identity} has no endpoint meanwhile" if services else ""
    # A volume that one pod may mount at a time leaves no choice; then the outage is only information.
    held = workload.pods.claims and workload.replicas == 1
    yield Defect(
        Severity.INFO if held else Severity.WARNING,
        f"strategy Recreate: every rollout stops all pods before the first new one starts{behind}",
        f"{_SURGE}, unless two versions must never run at once",
    )


def takes_all_down(subject: Subject) -> Iterator[Defect]:
    """A rollout may stop all pods at once.

    maxUnavailable, rounded down, is as large as the number of replicas.

    Mend:
        strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#max-unavailable
    """
    workload = subject.workload
    if workload.kind == "DaemonSet" and workload.strategy == "RollingUpdate" and workload.max_unavailable == "100%":
        yield Defect(
            Severity.WARNING,
            "maxUnavailable 100% allows a rollout to stop the pods of all nodes at once",
            "updateStrategy: {rollingUpdate: {maxUnavailable: 10%}}",
            field="spec.updateStrategy.rollingUpdate",
        )
    if not rolls(workload):
        return
    unavailable, _ = allowed_pods(workload)
    if unavailable >= workload.replicas:
        # A volume that only one pod may mount leaves no choice with one pod, as with Recreate.
        held = workload.pods.claims and workload.replicas == 1
        yield Defect(
            Severity.INFO if held else Severity.ERROR,
            f"maxUnavailable {workload.max_unavailable} of replicas {workload.replicas} allows a rollout to stop all"
            " pods at once",
            _SURGE,
        )


def without_surge(subject: Subject) -> Iterator[Defect]:
    """A rollout runs on fewer pods.

    With maxSurge 0 old pods stop before new ones start, so the rest carries the traffic of all.

    Mend:
        strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#max-surge
    """
    workload = subject.workload
    if not rolls(workload):
        return
    unavailable, surge = allowed_pods(workload)
    if surge == 0 and unavailable < workload.replicas:
        left = workload.replicas - unavailable
        yield Defect(
            Severity.INFO,
            f"maxSurge is 0: during a rollout {left} of {workload.replicas} pods carry the traffic of all",
            _SURGE,
        )


def single_replica(subject: Subject) -> Iterator[Defect]:
    """One pod carries everything.

    Its eviction, by Leakwarden or by a node drain, is an outage until the new pod is ready.

    Mend:
        replicas: 2

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
    """
    if subject.workload.replicas == 1 and subject.workload.kind in _REPLICATED and not _scalers(subject):
        yield Defect(
            # Info where a volume that only one pod may mount, or a StatefulSet of one pod, makes it a decision.
            Severity.INFO
            if subject.workload.pods.claims or subject.workload.kind == "StatefulSet"
            else Severity.WARNING,
            "replicas is 1: an eviction, by Leakwarden or by a node drain, is an outage until the new pod is ready",
            "replicas: 2, if the service may run twice",
        )


def min_ready_zero(subject: Subject) -> Iterator[Defect]:
    """A rollout does not wait for pods to prove themselves.

    With minReadySeconds 0 a rollout goes on after the first good answer, also past pods that crash a moment later.

    Mend:
        minReadySeconds: 10

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#min-ready-seconds
    """
    if subject.workload.min_ready_seconds == 0 and subject.workload.replicas > 1 and subject.workload.kind in _WAITS:
        yield Defect(
            Severity.INFO,
            "minReadySeconds is 0: a rollout goes on after the first good readiness answer, also past pods that"
            " crash a moment later",
            "minReadySeconds: 10",
        )


def progress_deadline_short(subject: Subject) -> Iterator[Defect]:
    """A rollout is given up while pods may start.

    progressDeadlineSeconds has to be longer than the start that the probes allow and minReadySeconds together.

    Mend:
        progressDeadlineSeconds: 600

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#progress-deadline-seconds
    """
    workload = subject.workload
    if workload.kind != "Deployment":
        return
    refused = workload.progress_deadline <= workload.min_ready_seconds
    if refused:
        yield Defect(
            Severity.ERROR,
            f"progressDeadlineSeconds is {workload.progress_deadline}, not above minReadySeconds"
            f" {workload.min_ready_seconds}: the API server refuses the Deployment",
            f"progressDeadlineSeconds: {max(600, 2 * workload.min_ready_seconds)}",
        )
        return
    for container in subject.containers:
        if container.startup is not None:
            start, what = startup_budget(container.startup), "the startup probe allows"
        elif container.readiness is not None:
            start, what = container.readiness.initial_delay, "readiness is first asked after"
        else:
            continue
        needed = start + workload.min_ready_seconds
        if workload.progress_deadline <= needed:
            yield Defect(
                Severity.WARNING,
                f"progressDeadlineSeconds is {workload.progress_deadline}, but {what} {start} s + minReadySeconds"
                f" {workload.min_ready_seconds} = {needed} s: a rollout is called failed while its pods still start",
                f"progressDeadlineSeconds: {max(600, 2 * needed)}",
                container.name,
                "@spec.progressDeadlineSeconds",
            )


def paused(subject: Subject) -> Iterator[Defect]:
    """The Deployment is paused.

    Changes, and restarts of the rollout, have no effect until it is resumed.

    Mend: kubectl rollout resume deployment/NAME

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pausing-and-resuming-a-deployment
    """
    if subject.workload.paused:
        yield Defect(
            Severity.WARNING,
            "the Deployment is paused: changes, and restarts of the rollout, have no effect until it is resumed",
            f"kubectl rollout resume deployment/{subject.workload.name}",
        )


def update_on_delete(subject: Subject) -> Iterator[Defect]:
    """Pods are replaced only when somebody deletes them.

    With the update strategy OnDelete a change of the template, and a restart of the rollout, has no effect on pods that
    run.

    Mend:
        updateStrategy: {type: RollingUpdate}

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#update-strategies
    """
    if subject.workload.strategy == "OnDelete":
        yield Defect(
            Severity.INFO,
            "updateStrategy OnDelete: a change of the template reaches a pod only when somebody deletes it",
            "updateStrategy: {type: RollingUpdate}",
        )


def pods_beside_rollout(subject: Subject) -> Iterator[Defect]:
    """A Deployment keeps pods beside the Argo Rollout that takes its template.

    A Rollout with workloadRef makes pods of its own. The Deployment goes on running its own number of pods, with the same
    labels: Services send to both sets, the weights of a canary are wrong, and a new image rolls out in the Deployment at
    once. Where spec.replicas is not written it is an Info. Only in files and with --cluster: the operator does not relate
    Rollouts to Deployments.

    Mend:
        spec:
          replicas: 0   # of the Deployment; or workloadRef: {scaleDown: progressively} in the Rollout

    Source: https://argo-rollouts.readthedocs.io/en/stable/migrating/#reference-deployment-from-rollout
    """
    workload = subject.workload
    for each in subject.related.referring if subject.related else ():
        if workload.replicas > 0 and each.scale_down in ("", "never"):
            many = f"{workload.replicas} pod{'s' if workload.replicas > 1 else ''}"
            yield Defect(
                Severity.WARNING if workload.replicas_given else Severity.INFO,
                f"{each.identity} takes its template by workloadRef, and the {workload.kind} keeps {many} of its own:"
                " Services send to both sets, and a change rolls out here at once",
                f"replicas: 0 here, or workloadRef: {{scaleDown: progressively}} in {each.identity}",
            )


def _scalers(subject: Subject) -> bool:
    return bool(subject.related and subject.related.scalers)
