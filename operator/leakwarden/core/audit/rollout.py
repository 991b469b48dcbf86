"""Whether a rollout, a restart or an eviction leaves enough pods to serve."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.probe_timing import startup_budget
from leakwarden.core.audit.subject import Subject
from leakwarden.core.model.workload import Workload

_SURGE = "strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"


def strategy_recreate(subject: Subject) -> Iterator[Defect]:
    # A Warning although users notice: it is never a default, and a volume that only one pod may hold needs it.
    if subject.workload.strategy == "Recreate" and subject.workload.replicas:
        yield Defect(
            Severity.WARNING,
            "strategy Recreate: every rollout stops all pods before the first new one starts",
            f"{_SURGE}, unless two versions must never run at once",
        )


def takes_all_down(subject: Subject) -> Iterator[Defect]:
    workload = subject.workload
    if not _rolls(workload):
        return
    unavailable, _ = _allowed(workload)
    if unavailable >= workload.replicas:
        yield Defect(
            Severity.ERROR,
            f"maxUnavailable {workload.max_unavailable} of replicas {workload.replicas} allows a rollout to stop all"
            " pods at once",
            _SURGE,
        )


def without_surge(subject: Subject) -> Iterator[Defect]:
    workload = subject.workload
    if not _rolls(workload):
        return
    unavailable, surge = _allowed(workload)
    if surge == 0 and unavailable < workload.replicas:
        left = workload.replicas - unavailable
        yield Defect(
            Severity.INFO,
            f"maxSurge is 0: during a rollout {left} of {workload.replicas} pods carry the traffic of all",
            _SURGE,
        )


def single_replica(subject: Subject) -> Iterator[Defect]:
    if subject.workload.replicas == 1:
        yield Defect(
            Severity.WARNING,
            "replicas is 1: an eviction, by Leakwarden or by a node drain, is an outage until the new pod is ready",
            "replicas: 2, if the service may run twice",
        )


def min_ready_zero(subject: Subject) -> Iterator[Defect]:
    if subject.workload.min_ready_seconds == 0 and subject.workload.replicas > 1:
        yield Defect(
            Severity.INFO,
            "minReadySeconds is 0: a rollout goes on after the first good readiness answer, also past pods that"
            " crash a moment later",
            "minReadySeconds: 10",
        )


def progress_deadline_short(subject: Subject) -> Iterator[Defect]:
    workload = subject.workload
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
            )


def paused(subject: Subject) -> Iterator[Defect]:
    if subject.workload.paused:
        yield Defect(
            Severity.WARNING,
            "the Deployment is paused: changes, and restarts of the rollout, have no effect until it is resumed",
            f"kubectl rollout resume deployment/{subject.workload.name}",
        )


def _rolls(workload: Workload) -> bool:
    return workload.strategy != "Recreate" and workload.replicas > 0


def _allowed(workload: Workload) -> tuple[int, int]:
    """(maxUnavailable, maxSurge) in pods, as the Deployment controller counts them.

    It rounds unavailable down and surge up, and where both come to 0 it takes one pod down, or nothing
    could ever roll.
    """
    unavailable = _pods(workload.max_unavailable, workload.replicas, up=False)
    surge = _pods(workload.max_surge, workload.replicas, up=True)
    return (1, 0) if unavailable == surge == 0 else (unavailable, surge)


def _pods(value: int | str | None, of: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    digits = "25" if value is None else value.removesuffix("%")  # the default of both
    if not (digits.isascii() and digits.isdigit()):
        return 0  # the API server refuses it; the least claim is made about it
    share = Fraction(of * int(digits), 100)
    return -(-share.numerator // share.denominator) if up else share.numerator // share.denominator
