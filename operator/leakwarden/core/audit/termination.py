"""Whether a terminating pod can finish its work: preStop, SIGTERM, drain, SIGKILL.

Kubernetes starts the grace period first, runs preStop within it, sends SIGTERM when preStop has ended, and
SIGKILL when the period is over. So the period must cover preStop and the drain together.
"""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.subject import Subject, probes

# Endpoints, kube-proxy and ingress controllers are informed of a terminating pod within a few seconds.
ENDPOINT_REMOVAL = 5
# Seconds. With a grace period of this length or more, a process that hangs is not killed for long. Long-lived
# connections need minutes.
VERY_LONG = 600


def grace_below_drain(subject: Subject) -> Iterator[Defect]:
    """The grace period does not cover preStop and drain.

    The grace period begins before preStop. What preStop leaves of it is the time between SIGTERM and SIGKILL, and must be
    as long as the longest request: an Error where preStop uses all of it up or a policy names the drain time, a Warning
    where the drain time is the default of 10 s.

    Mend:
        terminationGracePeriodSeconds: 45   # preStop + drain + 5

    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
    """
    grace = subject.workload.termination_grace
    if grace == 0:
        return  # reported in more detail by its own check
    for container in subject.containers:
        hook = container.pre_stop
        pre_stop = hook.least if hook else 0
        needed = pre_stop + subject.drain
        if grace >= needed:
            continue
        if hook is None:
            sum_ = subject.drain_said
        else:
            length = f"{hook.seconds} s" if hook.seconds is not None else f"of unknown length, at least {pre_stop} s"
            sum_ = f"preStop {length} + {subject.drain_said} = {needed:g} s"
        if pre_stop >= grace:
            end = "preStop alone uses it up, so SIGTERM is followed by SIGKILL 2 s later"
        else:
            end = f"SIGKILL comes {needed - grace:g} s before the requests in flight are finished"
        yield Defect(
            # The length of the requests is an estimate where no policy names it.
            Severity.ERROR if subject.policy.drain_given or pre_stop >= grace else Severity.WARNING,
            f"terminationGracePeriodSeconds is {grace}, below {sum_}: {end}",
            f"terminationGracePeriodSeconds: {_whole(needed) + ENDPOINT_REMOVAL}, or a shorter preStop or drain"
            " (drainTime in the policy's audit section)",
            container.name,
            mend=(("@pod.terminationGracePeriodSeconds", _whole(needed) + ENDPOINT_REMOVAL),),
        )


def grace_zero(subject: Subject) -> Iterator[Defect]:
    """Pods are killed without a warning.

    With a grace period of 0 the process gets SIGKILL at once, and every request in flight is cut off.

    Mend:
        terminationGracePeriodSeconds: 30

        ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
        defer stop()
        <-ctx.Done()
        server.Shutdown(drainCtx)

    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
    """
    if subject.workload.termination_grace == 0:
        yield Defect(
            Severity.ERROR,
            "terminationGracePeriodSeconds is 0: the process gets SIGKILL at once, without SIGTERM, and every request"
            " in flight is cut off",
            f"terminationGracePeriodSeconds: {max(30, _whole(subject.drain) + 2 * ENDPOINT_REMOVAL)}, and"
            " signal.NotifyContext(ctx, syscall.SIGTERM) followed by http.Server.Shutdown",
        )


def pre_stop_length_unknown(subject: Subject) -> Iterator[Defect]:
    """preStop has no certain length.

    A script or a request may take any time, and what it takes is missing from the drain.

    Mend:
        lifecycle: {preStop: {sleep: {seconds: 5}}}   # Kubernetes 1.30+

    Source: https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
    """
    grace = subject.workload.termination_grace
    for container in subject.containers:
        hook = container.pre_stop
        if hook is None or hook.seconds is not None or grace == 0:
            continue
        left = grace - subject.drain
        if left > 0:  # otherwise there is no room for any hook, which is another finding
            yield Defect(
                Severity.INFO,
                f"preStop is {hook.kind}, whose length the manifest does not show"
                + (f" (at least {hook.least} s)" if hook.least else "")
                + f": it must end within {grace} - drain"
                f" {subject.drain:g} = {left:g} s, or the drain is cut short",
                f"preStop: {{sleep: {{seconds: {ENDPOINT_REMOVAL}}}}} (Kubernetes 1.30+), whose length is certain",
                container.name,
            )


def endpoint_removal_race(subject: Subject) -> Iterator[Defect]:
    """SIGTERM may come before traffic ends.

    Proxies learn of a pod's end at the same time as the pod. A server that closes its listener at once refuses what they
    still send. A program that goes on serving for some seconds after SIGTERM is right without a preStop, which a manifest
    cannot show.

    Mend:
        lifecycle: {preStop: {sleep: {seconds: 5}}}

        <-ctx.Done()
        time.Sleep(5 * time.Second)
        server.Shutdown(drainCtx)

    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
    """
    # Info, because a program that keeps serving after SIGTERM is right and its manifest cannot show it.
    if subject.workload.termination_grace == 0:
        return
    for container in subject.containers:
        hook = container.pre_stop
        if subject.serves and container.ports and (hook is None or hook.seconds == 0):
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


def sidecar_outlasts_grace(subject: Subject) -> Iterator[Defect]:
    """A sidecar's preStop takes longer than the pod has.

    All containers of a pod share one grace period, and their preStop hooks begin at the same time. Native sidecars
    (init containers with restartPolicy Always) get SIGTERM after the others have ended. A preStop that leaves less than
    the drain time before the end of the grace period is an Info.

    Mend:
        terminationGracePeriodSeconds: 135   # the longest preStop of all containers + drain + 5

    Source: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#sidecar-containers-and-pod-lifecycle
    """
    grace = subject.workload.termination_grace
    audited = {container.name for container in subject.containers}
    sidecars = [c for c in subject.workload.containers if c.name not in audited]
    for container in (*sidecars, *subject.workload.pods.sidecars):
        hook = container.pre_stop
        if hook is not None and grace and hook.least >= grace:
            yield Defect(
                Severity.WARNING,
                f"preStop of the sidecar takes {hook.least} s, and the pod has terminationGracePeriodSeconds {grace}"
                " for all of its containers: it is killed in the middle",
                f"terminationGracePeriodSeconds: {hook.least + _whole(subject.drain) + ENDPOINT_REMOVAL}, or a shorter"
                " preStop",
                container.name,
                "lifecycle.preStop",
            )
        elif hook is not None and grace and container.ports and hook.least and hook.least + subject.drain > grace:
            yield Defect(
                Severity.INFO,
                f"preStop of the sidecar takes {hook.least} s of terminationGracePeriodSeconds {grace}: less than the"
                f" {subject.drain_said} is left for the requests that it passes on",
                f"terminationGracePeriodSeconds: {hook.least + _whole(subject.drain) + ENDPOINT_REMOVAL}",
                container.name,
                "lifecycle.preStop",
            )
    for annotation, seconds in subject.workload.pods.proxy_waits:
        if grace and seconds >= grace:
            yield Defect(
                Severity.WARNING,
                f"{annotation} lets the injected proxy wait {seconds} s, and the pod has terminationGracePeriodSeconds"
                f" {grace}: the pod is killed in the middle of it",
                f"terminationGracePeriodSeconds: {seconds + _whole(subject.drain) + ENDPOINT_REMOVAL}, or a shorter wait",
                field="@pod.terminationGracePeriodSeconds",
            )


def shell_is_first(subject: Subject) -> Iterator[Defect]:
    """A shell is the first process and keeps SIGTERM to itself.

    The kubelet sends SIGTERM to the first process alone. A shell that waits for its command does not pass it on, so the
    service goes on until SIGKILL cuts its requests off. `sh -c` with one simple command is replaced by it in many
    shells, and in some it is not.

    Mend:
        command: [/bin/sh, -c, "./migrate && exec ./server"]

    Source: https://docs.docker.com/reference/dockerfile/#entrypoint
    """
    if subject.workload.pods.shared_processes or not subject.serves:
        return  # then the pod's pause process is the first one, or nothing waits for its end
    for container in subject.containers:
        match container.entrypoint.waiting_shell:
            case "chain":
                yield Defect(
                    Severity.WARNING,
                    "the first process is a shell that starts the program last and waits for it: it passes no SIGTERM"
                    " on, and the program is killed when the grace period is over",
                    "exec before the last command (sh -c 'a && exec b'), or tini",
                    container.name,
                )
            case "simple":
                yield Defect(
                    Severity.INFO,
                    "the program is started by a shell without exec: some shells stay the first process, and pass no"
                    " SIGTERM on",
                    "exec before the command (sh -c 'exec server'), or no shell at all",
                    container.name,
                )


def grace_very_long(subject: Subject) -> Iterator[Defect]:
    """A process that hangs is left for long.

    When liveness fails, the container still has its whole grace period before SIGKILL, and a pod that hangs holds its
    node's drain as long. A probe's own terminationGracePeriodSeconds shortens it for restarts by liveness.

    Mend:
        livenessProbe: {terminationGracePeriodSeconds: 60}

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#probe-level-terminationgraceperiodseconds
    """
    grace = subject.workload.termination_grace
    if grace < VERY_LONG or not subject.serves:
        return
    for container in subject.containers:
        liveness = container.liveness
        if liveness is not None and (liveness.grace is None or liveness.grace >= VERY_LONG):
            yield Defect(
                Severity.INFO,
                f"terminationGracePeriodSeconds is {grace}, also for a restart by the liveness probe: a process that"
                f" hangs and ignores SIGTERM is left for {grace} s before it is killed",
                "livenessProbe: {terminationGracePeriodSeconds: 60}",
                container.name,
                "livenessProbe",
            )


def probe_grace_too_long(subject: Subject) -> Iterator[Defect]:
    """A probe's own grace period is longer than the pod's, or too short for preStop.

    The probe-level terminationGracePeriodSeconds replaces the pod's where the probe restarts the container. One above
    the pod's is most often a slip: a hang then takes longer than an ordinary end. One that preStop alone uses up
    kills without SIGTERM, which is an Info, since a process that hangs most often has nothing to finish.

    Mend: give the probe a period between preStop's length and the pod's grace period.

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#probe-level-terminationgraceperiodseconds
    """
    grace = subject.workload.termination_grace
    for container in subject.containers:
        hook = container.pre_stop.least if container.pre_stop else 0
        for name, probe in probes(container):
            if probe.grace is None:
                continue
            if probe.grace > grace:
                said = f"above the pod's {grace} s: a container that hangs gets longer than one that is stopped"
                severity = Severity.WARNING
            elif hook and hook >= probe.grace:
                said = f"and preStop takes {hook} s of it: SIGTERM is followed by SIGKILL at once"
                severity = Severity.INFO  # a process that does not answer its probe most often has nothing to finish
            else:
                continue
            yield Defect(
                severity,
                f"the {name} probe's own terminationGracePeriodSeconds is {probe.grace}, {said}",
                f"{name}Probe: {{terminationGracePeriodSeconds: {max(hook + ENDPOINT_REMOVAL, min(grace, 30))}}}",
                container.name,
                f"{name}Probe.terminationGracePeriodSeconds",
            )


def _whole(seconds: float) -> int:
    return int(-(-seconds // 1))
