"""Selectors that select more than they are meant for: pods of Jobs, or the pods of another workload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from leakwarden.core.audit.findings import Check, Defect, Severity
from leakwarden.core.audit.landscape import Landscape
from leakwarden.core.audit.related import Budget, Identity, Service
from leakwarden.core.audit.subject import RUN_TO_COMPLETION
from leakwarden.core.audit.written import items, mapping
from leakwarden.core.model.labels import LabelRequirement, LabelSelector
from leakwarden.core.model.workload import Workload

_SCALED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout"})


@dataclass(frozen=True, slots=True)
class Selecting:
    """A workload and the selector of its own pods."""

    identity: Identity
    selector: LabelSelector
    place: Any


def service_selects_jobs(service: Service, landscape: Landscape) -> Iterator[Defect]:
    """A Service also sends to the pods of a Job.

    A pod of a Job most often has no readiness probe, and so is ready as soon as it runs. While it runs, a part of the
    requests goes to it, where nothing listens. A port by name is only sent to pods that declare the name. Only said
    where the Service selects a workload that serves, too. Only in files and with --cluster: the operator does not list
    Jobs.

    Mend:
        selector: {app: web, component: server}   # a label that the pods of the Job do not have

    Source: https://kubernetes.io/docs/concepts/services-networking/service/#defining-a-service
    """
    if not service.selector:
        return
    serving, jobs = _parted(service, LabelSelector(tuple(service.selector.items())), landscape)
    for job in jobs if serving else ():
        if any(each.readiness is not None for each in job.containers):
            continue
        names = {name for each in (*job.containers, *job.pods.sidecars) for name, _ in each.ports}
        if any(isinstance(port.target, int) or port.target in names for port in service.ports):
            yield Defect(
                Severity.WARNING,
                f"its selector also selects the pods of {job.kind} {job.name}, which are ready as soon as they run:"
                " a part of the requests goes to them and is refused",
                f"selector: one more label, which the pods of {serving[0].kind} {serving[0].name} have and those of"
                f" {job.kind} {job.name} do not",
            )
            return


def budget_selects_jobs(budget: Budget, landscape: Landscape) -> Iterator[Defect]:
    """A PodDisruptionBudget also selects the pods of a Job.

    For maxUnavailable, or a percentage, the disruption controller asks the owner of each pod for its number of
    replicas. A Job has no such number: the budget cannot be computed, allows no eviction, and node drains hang. With a
    whole number as minAvailable the pods of the Job count as pods that serve, which is an Info. Only in files and with
    --cluster: the operator does not list Jobs.

    Mend:
        selector: {matchLabels: {app: web, component: server}}   # a label that the pods of the Job do not have

    Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/#arbitrary-workloads-and-arbitrary-selectors
    """
    if budget.selector is None:
        return
    serving, jobs = _parted(budget, budget.selector, landscape)
    if not serving:
        return
    counted = budget.max_unavailable is None and not isinstance(budget.min_available, str)
    for job in jobs[:1]:
        effect = (
            "they count as pods that serve"
            if counted
            else "a Job has no number of replicas, so the budget cannot be computed and allows no eviction"
        )
        yield Defect(
            Severity.INFO if counted else Severity.WARNING,
            f"its selector also selects the pods of {job.kind} {job.name}: {effect}",
            f"selector: one more label, which the pods of {serving[0].kind} {serving[0].name} have and those of"
            f" {job.kind} {job.name} do not",
        )


def selectors_overlap(one: Selecting, landscape: Landscape) -> Iterator[Defect]:
    """A workload's selector also selects the pods of another workload.

    An autoscaler reads the metrics of all pods that the selector of its target selects, so it scales by the load of
    both. Other tools that use the selector count the pods of both, too. An Argo Rollout and the Deployment of the same
    name that it replaces are left out. Only in files and with --cluster: the operator keeps no selectors of workloads.

    Mend:
        selector: {matchLabels: {app: web, component: api}}   # immutable: delete the workload and create it again

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#selector
    """
    for position in landscape.selected(one.identity.namespace, one.selector):
        other = landscape.workloads[position]
        same = (other.kind, other.name) == (one.identity.kind, one.identity.name)
        replaced = other.name == one.identity.name and "Rollout" in (other.kind, one.identity.kind)
        if other.kind not in _SCALED or other.owner or same or replaced or not landscape.together(one, position):
            continue
        yield Defect(
            Severity.WARNING,
            f"its selector ({one.selector}) also selects the pods of {other.kind} {other.name}: an autoscaler of one"
            " measures the pods of both",
            "selector and pod labels with one more label, which the other's pods do not have (the selector is"
            " immutable: delete the workload and create it again)",
        )
        return  # one is enough to be mended, and keeps the number of findings linear


def selecting(body: Mapping[str, Any], identity: Identity, place: Any) -> Selecting | None:
    """The selector that is written in the manifest of a workload; None where the kind has none, or none is written."""
    written = mapping(mapping(body.get("spec")).get("selector"))
    if identity.kind not in _SCALED or not (written.get("matchLabels") or written.get("matchExpressions")):
        return None
    if mapping(body.get("metadata")).get("ownerReferences"):
        return None  # of a Deployment, which has the same selector
    return Selecting(identity, written_selector(written), place)


def written_selector(written: Mapping[str, Any]) -> LabelSelector:
    """A labelSelector as it is written."""
    return LabelSelector(
        tuple((str(key), str(value)) for key, value in mapping(written.get("matchLabels")).items()),
        tuple(
            LabelRequirement(str(each.get("key")), str(each.get("operator")), _texts(each.get("values")))
            for each in items(written.get("matchExpressions"))
        ),
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _parted(
    each: Service | Budget, selector: LabelSelector, landscape: Landscape
) -> tuple[list[Workload], list[Workload]]:
    """The workloads whose pods are selected: those that serve, and those that run to their end."""
    found = [
        landscape.workloads[position]
        for position in landscape.selected(each.identity.namespace, selector)
        if landscape.together(each, position)
    ]
    jobs = [each for each in found if each.kind in RUN_TO_COMPLETION and not each.owner]
    return [each for each in found if each.kind not in RUN_TO_COMPLETION], jobs


SERVICE_SELECTS_JOBS = Check("LW512", "ServiceSelectsJobs", service_selects_jobs, "spec.selector")
BUDGET_SELECTS_JOBS = Check("LW416", "DisruptionBudgetSelectsJobs", budget_selects_jobs, "spec.selector")
SELECTORS_OVERLAP = Check("LW310", "SelectorsOverlap", selectors_overlap, "spec.selector")
CHECKS = (SERVICE_SELECTS_JOBS, BUDGET_SELECTS_JOBS, SELECTORS_OVERLAP)
