"""CronJobs: whether each run starts, and whether runs overlap. These checks work on the manifest, as the admission
rules do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from leakwarden.core.audit.findings import Check, Defect, Severity
from leakwarden.core.audit.written import count, mapping

# The CronJob controller checks its objects once in this time (kubernetes.io/docs: "less than 10 seconds").
CONTROLLER_PERIOD = 10  # s


def start_deadline_short(body: Mapping[str, Any]) -> Iterator[Defect]:
    """Runs of a CronJob may be missed.

    The controller looks at CronJobs every 10 seconds. With a startingDeadlineSeconds below that, a run may be too late
    each time it is looked at, and is never started.

    Mend:
        startingDeadlineSeconds: 300

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#starting-deadline
    """
    deadline = count(mapping(body.get("spec")).get("startingDeadlineSeconds"))
    if deadline is not None and 0 <= deadline < CONTROLLER_PERIOD:
        yield Defect(
            Severity.WARNING,
            f"startingDeadlineSeconds is {deadline}, and the controller looks every {CONTROLLER_PERIOD} s: runs may"
            " never be started",
            "startingDeadlineSeconds: 300",
            field="spec.startingDeadlineSeconds",
        )


def runs_overlap(body: Mapping[str, Any]) -> Iterator[Defect]:
    """Runs of a CronJob may pile up.

    With concurrencyPolicy Allow, the default, the next run starts while the last one still works. One that hangs, and
    has no activeDeadlineSeconds, is never ended: each run adds one more.

    Mend:
        concurrencyPolicy: Forbid
        jobTemplate: {spec: {activeDeadlineSeconds: 3600}}

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#concurrency-policy
    """
    spec = mapping(body.get("spec"))
    job = mapping(mapping(spec.get("jobTemplate")).get("spec"))
    pod = mapping(mapping(job.get("template")).get("spec"))
    bounded = job.get("activeDeadlineSeconds") is not None or pod.get("activeDeadlineSeconds") is not None
    if spec.get("concurrencyPolicy") in (None, "", "Allow") and not bounded and spec.get("suspend") is not True:
        yield Defect(
            Severity.INFO,
            "concurrencyPolicy is Allow and no activeDeadlineSeconds is set: runs that hang pile up",
            "concurrencyPolicy: Forbid, or activeDeadlineSeconds in jobTemplate.spec",
            field="spec.concurrencyPolicy",
        )


START_DEADLINE_SHORT = Check(
    "LW751", "StartDeadlineShort", start_deadline_short, "spec.startingDeadlineSeconds", frozenset({"CronJob"})
)
RUNS_OVERLAP = Check("LW752", "RunsOverlap", runs_overlap, "spec.concurrencyPolicy", frozenset({"CronJob"}))
