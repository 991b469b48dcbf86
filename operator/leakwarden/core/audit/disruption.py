"""Whether an eviction is possible at all. Nothing is said where the disruption budgets are not known."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.subject import Subject


def budget_missing(subject: Subject) -> Iterator[Defect]:
    if subject.disruptions == () and subject.workload.replicas > 1:
        yield Defect(
            Severity.INFO,
            f"no PodDisruptionBudget selects its pods: a node drain may evict all {subject.workload.replicas} at once",
            "kind: PodDisruptionBudget with spec: {maxUnavailable: 1, selector: {matchLabels: the pods' labels}}",
        )


def budget_blocks(subject: Subject) -> Iterator[Defect]:
    workload = subject.workload
    # With pods missing or rolling, 0 allowed is what a budget is for; with all of them there, it is for ever.
    if workload.unavailable_replicas or workload.rollout_in_progress or not workload.replicas:
        return
    for budget in subject.disruptions or ():
        if budget.disruptions_allowed <= 0:
            yield Defect(
                Severity.WARNING,
                f"PodDisruptionBudget {budget.name} allows no eviction although all {workload.replicas} pods are"
                " available: neither Leakwarden nor a node drain can ever move one",
                f"in {budget.name}: maxUnavailable: 1 (in place of minAvailable), and at least 2 replicas",
            )


def budgets_overlap(subject: Subject) -> Iterator[Defect]:
    budgets = subject.disruptions or ()
    if len(budgets) > 1:
        names = ", ".join(sorted(budget.name for budget in budgets))
        yield Defect(
            Severity.ERROR,
            f"{len(budgets)} PodDisruptionBudgets select its pods ({names}): the Eviction API then refuses every"
            " eviction, whatever they allow",
            "keep one of them, or make their selectors disjoint",
        )
