"""Whether a pod that is told to go can finish what it is doing: preStop, SIGTERM, drain, SIGKILL.

Kubernetes starts the grace period first, runs preStop within it, sends SIGTERM when preStop has ended, and
SIGKILL when the period is over. So the period must cover preStop and the drain together.
"""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.subject import Subject

# Endpoints, kube-proxy and ingress controllers learn of a terminating pod within a few seconds.
ENDPOINT_REMOVAL = 5


def grace_below_drain(subject: Subject) -> Iterator[Defect]:
    grace = subject.workload.termination_grace
    if grace == 0:
        return  # says more under its own name
    for container in subject.containers:
        hook = container.pre_stop
        pre_stop = hook.seconds or 0 if hook else 0
        needed = pre_stop + subject.drain
        if grace >= needed:
            continue
        if hook is None:
            sum_ = f"drain {subject.drain:g} s"
        else:
            length = f"{hook.seconds} s" if hook.seconds is not None else "of unknown length, at least 0 s"
            sum_ = f"preStop {length} + drain {subject.drain:g} s = {needed:g} s"
        if pre_stop >= grace:
            end = "preStop alone uses it up, so SIGTERM is followed by SIGKILL 2 s later"
        else:
            end = f"SIGKILL comes {needed - grace:g} s before the requests in flight are finished"
        yield Defect(
            Severity.ERROR,
            f"terminationGracePeriodSeconds is {grace}, below {sum_}: {end}",
            f"terminationGracePeriodSeconds: {_whole(needed) + ENDPOINT_REMOVAL}, or a shorter preStop or drain"
            " (drainTime in the policy's audit section)",
            container.name,
        )


def grace_zero(subject: Subject) -> Iterator[Defect]:
    if subject.workload.termination_grace == 0:
        yield Defect(
            Severity.ERROR,
            "terminationGracePeriodSeconds is 0: the process gets SIGKILL at once, without SIGTERM, and every request"
            " in flight is cut off",
            f"terminationGracePeriodSeconds: {max(30, _whole(subject.drain) + 2 * ENDPOINT_REMOVAL)}, and"
            " signal.NotifyContext(ctx, syscall.SIGTERM) followed by http.Server.Shutdown",
        )


def pre_stop_length_unknown(subject: Subject) -> Iterator[Defect]:
    grace = subject.workload.termination_grace
    for container in subject.containers:
        hook = container.pre_stop
        if hook is None or hook.seconds is not None or grace == 0:
            continue
        left = grace - subject.drain
        if left > 0:  # otherwise there is no room for any hook, which is another finding
            yield Defect(
                Severity.INFO,
                f"preStop is {hook.kind}, whose length the manifest does not tell: it must end within {grace} - drain"
                f" {subject.drain:g} = {left:g} s, or the drain is cut short",
                f"preStop: {{sleep: {{seconds: {ENDPOINT_REMOVAL}}}}} (Kubernetes 1.30+), whose length is certain",
                container.name,
            )


def endpoint_removal_race(subject: Subject) -> Iterator[Defect]:
    # Info, because a program that keeps serving after SIGTERM is right and its manifest cannot show it.
    if subject.workload.termination_grace == 0:
        return
    for container in subject.containers:
        hook = container.pre_stop
        if container.ports and (hook is None or hook.seconds == 0):
            grpc = container.readiness is not None and container.readiness.kind == "grpc"
            unready = "SetServingStatus NOT_SERVING" if grpc else f"answer 503 on {subject.policy.readiness_path}"
            stop = "server.GracefulStop" if grpc else "server.Shutdown"
            yield Defect(
                Severity.INFO,
                "no preStop: SIGTERM arrives while proxies still send new requests, and a Go server that closes its"
                " listener at once refuses them (502 at the ingress)",
                f"in Go, after <-ctx.Done(): {unready}, time.Sleep({ENDPOINT_REMOVAL} * time.Second), then {stop};"
                f" or preStop: {{sleep: {{seconds: {ENDPOINT_REMOVAL}}}}}",
                container.name,
            )


def _whole(seconds: float) -> int:
    return int(-(-seconds // 1))
