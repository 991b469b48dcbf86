"""Selects the leaking pods of a Deployment that get a LeakReport of their own, where there are more than people read.

A release that leaks makes five hundred pods leak at once. They are all judged and are all in the queue; but only a
limited number of reports is open at a time, of the pods that run out first. No record is lost with a report that is
given up: an action, or a look into a pod, is written into its report before it is done, and such a report is never
given up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from leakwarden.api.v1alpha1.leakreport import Phase
from leakwarden.core.episodes.steps import is_leak
from leakwarden.core.evaluation.results import PodEvaluation, WorkloadEvaluation
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.planning.ordering import urgency

# More than a person compares, and with their readings enough to show that all grow in the same way.
OPEN_PER_WORKLOAD = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """`opened`: pods to open a report for, the most pressing first; `given_up`: open reports that make room for them."""

    opened: Sequence[PodEvaluation]
    given_up: Sequence[LeakReport]


def _is_bound(report: LeakReport) -> bool:
    """Whether the report records an action on its Deployment or its pod."""
    evidence = report.status.evidence
    looked_into = evidence is not None and evidence.descriptor_reader is not None
    return bool(report.status.actions) or looked_into or report.status.phase is not Phase.DETECTED


def _pressing(pod: PodEvaluation | None) -> tuple[float, float, str]:
    if pod is None or pod.acting is None:
        return (float("inf"), 1.0, pod.pod.name if pod is not None else "")
    return urgency(pod)


def _rank(pod: PodEvaluation | None, decided: Set[str]) -> int:
    """The ranks, highest first: an action waits for its report; the pod runs out; it leaks; it does not leak at
    present."""
    if pod is None or not is_leak(pod):
        return 3
    if pod.pod.uid in decided:
        return 0
    return 1 if pod.acting is not None else 2


def choose(target: WorkloadEvaluation, reports: Iterable[LeakReport], decided: Set[str]) -> Choice:
    """For one Deployment. `reports` are its open ones; `decided` the UIDs of pods that an action is planned for.

    A pod without a report replaces another only if its kind is more severe: among equals the first stay, or reports
    would come and go with every reading.
    """
    judged = {pod.pod.uid: pod for pod in target.pods}
    open_reports = list(reports)
    idle = [report for report in open_reports if not _is_bound(report)]
    known = {report.spec.pod.uid for report in open_reports}
    places: list[tuple[tuple[int, int, int, tuple[float, float, str]], PodEvaluation | LeakReport]] = []
    for report in idle:
        pod = judged.get(report.spec.pod.uid)
        captured = 0 if report.status.evidence is not None else 1
        places.append(((_rank(pod, decided), 0, captured, _pressing(pod)), report))
    for pod in target.pods:
        if is_leak(pod) and pod.pod.uid not in known:
            places.append(((_rank(pod, decided), 1, 1, _pressing(pod)), pod))
    places.sort(key=lambda each: each[0])
    room = max(0, OPEN_PER_WORKLOAD - (len(open_reports) - len(idle)))
    opened, given_up = [], []
    for index, (key, each) in enumerate(places):
        stays = index < room or key[0] == 0  # an action never waits because there is no room for its report
        if isinstance(each, LeakReport):
            if not stays:
                given_up.append(each)
        elif stays:
            opened.append(each)
    return Choice(opened, given_up[::-1])


def unreported(target: WorkloadEvaluation, reported: Set[str]) -> int:
    """How many leaking pods of the Deployment have no open report. `reported`: UIDs of pods that have."""
    if target.conflicts_with:
        return 0  # the older policy reports them
    return sum(is_leak(pod) and pod.pod.uid not in reported for pod in target.pods)


def open_by_workload(reports: Iterable[LeakReport]) -> Mapping[str, list[LeakReport]]:
    """The open reports of each Deployment, by its UID."""
    grouped: dict[str, list[LeakReport]] = {}
    for report in reports:
        if not report.ended:
            grouped.setdefault(report.spec.workload.uid, []).append(report)
    return grouped
