"""Whether the numbers of seconds of the probes fit together."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.probes import failing_for, gets_requests, kill_after
from leakwarden.core.audit.subject import Subject, probes
from leakwarden.core.model.workload import Probe

# A stall of a few seconds (CPU throttling, a busy node, a slow disk) is not a reason to lose a process and the requests
# in flight; Kubernetes' own defaults allow 21 s (3 failures, 10 s apart, 1 s timeout).
LEAST_PATIENCE = 10
# A Go program starts in well under a second, but its start waits for a throttled CPU and for dependencies.
LEAST_STARTUP_BUDGET = 10
# The longest time for which a broken pod should keep its share of the traffic.
MOST_UNREADY_DELAY = 60


def liveness_kills_start(subject: Subject) -> Iterator[Defect]:
    """Liveness kills before the start can be finished.

    Without a startup probe, liveness is asked from its initialDelaySeconds on. Where it gives up before readiness is first
    asked, a slow start is killed again and again.

    Mend:
        startupProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 2, failureThreshold: 45}

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#define-startup-probes
    """
    for container in subject.containers:
        liveness, readiness = container.liveness, container.readiness
        # With a startup probe, liveness does not begin before that has passed.
        if liveness is None or readiness is None or container.startup is not None:
            continue
        killed = kill_after(liveness)
        if killed <= readiness.initial_delay:
            yield Defect(
                Severity.ERROR,
                f"liveness kills a container that does not answer after {liveness.initial_delay} + "
                f"({liveness.failure_threshold} - 1) x {liveness.period} + {liveness.timeout} = {killed} s, but its"
                f" readiness is first asked after {readiness.initial_delay} s: the start may never be finished",
                f"startupProbe with periodSeconds: 2 and failureThreshold: {readiness.initial_delay // 2 + 15}, and"
                " initialDelaySeconds: 0 for both others",
                container.name,
            )


def liveness_impatient(subject: Subject) -> Iterator[Defect]:
    """Liveness restarts after a short stall.

    A stall of a few seconds (CPU throttling, a busy node, a slow disk) costs the process and the requests in flight.
    Kubernetes' own defaults allow 21 s; below 10 s it is said.

    Mend:
        livenessProbe: {periodSeconds: 10, timeoutSeconds: 2, failureThreshold: 3}

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    for container in subject.containers:
        liveness = container.liveness
        if liveness is None:
            continue
        patience = failing_for(liveness)
        if patience < LEAST_PATIENCE:
            yield Defect(
                Severity.WARNING,
                f"liveness restarts the container after ({liveness.failure_threshold} - 1) x {liveness.period} +"
                f" {liveness.timeout} = {patience} s without an answer: a short stall is enough"
                f" (at least {LEAST_PATIENCE} s is advised)",
                f"livenessProbe: {{periodSeconds: 10, timeoutSeconds: {max(2, liveness.timeout)},"
                " failureThreshold: 3}",
                container.name,
            )


def timeout_not_below_period(subject: Subject) -> Iterator[Defect]:
    """A probe may take longer than its period.

    Requests then wait for each other, and failures are noticed later than the numbers say.

    Mend:
        readinessProbe: {periodSeconds: 5, timeoutSeconds: 2}

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#configure-probes
    """
    for container in subject.containers:
        for name, probe in probes(container):
            # A startup probe that waits longer for its answer loses nothing by it.
            if name != "startup" and probe.timeout > probe.period:
                yield Defect(
                    Severity.WARNING,
                    f"the {name} probe may take {probe.timeout} s and is asked every {probe.period} s: requests wait"
                    " for each other, and failures are noticed later than the numbers say",
                    f"{name}Probe: {{periodSeconds: {probe.timeout * 2}, timeoutSeconds: {probe.timeout}}}, or a"
                    " shorter timeout",
                    container.name,
                    f"{name}Probe.timeoutSeconds",
                )


def startup_budget_short(subject: Subject) -> Iterator[Defect]:
    """The startup probe leaves too little time.

    periodSeconds times failureThreshold is all the time that a start has. On a busy node a Go program waits for a throttled
    CPU and for its dependencies; below 10 s, or below readiness' own initial delay, it is said.

    Mend:
        startupProbe: {periodSeconds: 2, failureThreshold: 30}

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#define-startup-probes
    """
    for container in subject.containers:
        if container.startup is None:
            continue
        budget = startup_budget(container.startup)
        wait = container.readiness.initial_delay if container.readiness else 0
        needed = max(LEAST_STARTUP_BUDGET, wait)
        if budget < needed:
            why = (
                f"its readiness is first asked after {wait} s"
                if wait > LEAST_STARTUP_BUDGET
                else f"a start on a busy node needs {LEAST_STARTUP_BUDGET} s or more"
            )
            period = max(1, container.startup.period)
            yield Defect(
                Severity.WARNING,
                f"the startup probe kills after {_budget_sum(container.startup)} = {budget} s, and {why}",
                f"startupProbe: {{periodSeconds: {period}, failureThreshold: {-(-max(30, 2 * needed) // period)}}}",
                container.name,
            )


def readiness_slow_to_fail(subject: Subject) -> Iterator[Defect]:
    """A broken pod gets requests for long.

    periodSeconds times failureThreshold is how long a pod that fails stays in its Service; above 60 s it is said.

    Mend:
        readinessProbe: {periodSeconds: 5, timeoutSeconds: 2, failureThreshold: 3}

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
    """
    for container in subject.containers:
        readiness = container.readiness
        if readiness is None:
            continue
        delay = failing_for(readiness)
        if delay > MOST_UNREADY_DELAY and gets_requests(subject, container):
            yield Defect(
                Severity.WARNING,
                f"readiness takes ({readiness.failure_threshold} - 1) x {readiness.period} + {readiness.timeout}"
                f" = {delay} s to fail: for so long a broken pod gets requests",
                "readinessProbe: {periodSeconds: 5, timeoutSeconds: 2, failureThreshold: 3}",
                container.name,
            )


def startup_budget(startup: Probe) -> int:
    """Seconds that a container has to start before its startup probe kills it."""
    return startup.initial_delay + startup.period * startup.failure_threshold


def _budget_sum(startup: Probe) -> str:
    return f"{startup.initial_delay} + {startup.failure_threshold} x {startup.period}"
