"""Whether an eviction is possible at all. Where the disruption budgets are not known there are no findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.related import Budget, Shared
from leakwarden.core.audit.subject import Subject


def budget_missing(subject: Subject) -> Iterator[Defect]:
    """No PodDisruptionBudget selects the pods.

    A node drain asks the Eviction API for every pod of the node. Without a budget nothing keeps it from taking all
    pods of a service at once. Only said where budgets are known: of manifests, where at least one was among them.

    Mend:
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata: {name: web}
        spec:
          maxUnavailable: 1
          selector: {matchLabels: {app: web}}   # the labels of the pods

    Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
    """
    if subject.disruptions == () and subject.workload.replicas > 1:
        among = "" if subject.related is None or subject.related.complete else " among these manifests"
        yield Defect(
            Severity.INFO,
            f"no PodDisruptionBudget{among} selects its pods: a node drain may evict all"
            f" {subject.workload.replicas} at once",
            "kind: PodDisruptionBudget with spec: {maxUnavailable: 1, selector: {matchLabels: the pods' labels}}",
        )


def budget_blocks(subject: Subject) -> Iterator[Defect]:
    """A PodDisruptionBudget forbids every eviction.

    With minAvailable as large as the number of replicas (or maxUnavailable 0) no pod may ever be evicted: node drains
    and upgrades hang, and Leakwarden cannot replace a pod that leaks. Of an autoscaled workload its minimum counts.

    Mend:
        spec:
          maxUnavailable: 1   # in place of minAvailable, and at least 2 replicas

    Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/#think-about-how-your-application-reacts-to-disruptions
    """
    workload = subject.workload
    # With pods missing or rolling, 0 allowed is the purpose of a budget; with all pods there, it is permanent.
    if workload.unavailable_replicas or workload.rollout_in_progress or not workload.replicas:
        return
    for budget in subject.disruptions or ():
        if budget.disruptions_allowed <= 0:
            scaled = f" at the autoscaler's minimum of {workload.replicas}" if _scaled_from(subject) else ""
            yield Defect(
                Severity.WARNING,
                f"PodDisruptionBudget {budget.name} allows no eviction although all {workload.replicas} pods are"
                f" available{scaled}: neither Leakwarden nor a node drain can ever move one",
                f"in {budget.name}: maxUnavailable: 1 (in place of minAvailable), and at least 2 replicas",
            )


def budgets_overlap(subject: Subject) -> Iterator[Defect]:
    """Two PodDisruptionBudgets select the same pods.

    The Eviction API refuses every eviction of a pod that more than one budget selects, whatever they allow.

    Mend: keep one of the budgets, or make their selectors disjoint.

    Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/#arbitrary-workloads-and-arbitrary-selectors
    """
    budgets = subject.disruptions or ()
    if len(budgets) > 1:
        names = ", ".join(sorted(budget.name for budget in budgets))
        yield Defect(
            Severity.ERROR,
            f"{len(budgets)} PodDisruptionBudgets select its pods ({names}): the Eviction API then refuses every"
            " eviction, whatever they allow",
            "keep one of them, or make their selectors disjoint",
        )


def budget_protects_nothing(subject: Subject) -> Iterator[Defect]:
    """A PodDisruptionBudget allows all pods to be evicted at once.

    minAvailable 0, or a maxUnavailable as large as the number of replicas, is a budget in name only.

    Mend:
        spec:
          maxUnavailable: 1

    Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
    """
    if subject.workload.replicas < 2:
        return
    for budget in subject.disruptions or ():
        if budget.disruptions_allowed >= subject.workload.replicas and budget.name not in _shared(subject):
            yield Defect(
                Severity.WARNING,
                f"PodDisruptionBudget {budget.name} allows all {subject.workload.replicas} pods to be evicted at"
                " once: it protects nothing",
                f"in {budget.name}: maxUnavailable: 1",
            )


def budget_of_several(subject: Subject) -> Iterator[Defect]:
    """A PodDisruptionBudget of several workloads may take all pods of one.

    A budget counts the pods that it selects together, of whatever workload they are, and does not share the evictions
    out among them: all may fall on one workload. An empty selector ({}) selects every pod of the namespace. It is an Info
    where the evictions that are allowed are fewer than the pods of the workload, and more than one.

    Mend:
        selector: {matchLabels: {app: web}}   # the pods of one workload, and a budget for each

    Source: https://kubernetes.io/docs/reference/using-api/deprecation-guide/#poddisruptionbudget-v125
    """
    workload = subject.workload
    if workload.replicas < 2:
        return
    by_name = {budget.identity.name: budget for budget in _budgets(subject)}
    for disruption in subject.disruptions or ():
        shared, budget = _shared(subject).get(disruption.name), by_name.get(disruption.name)
        if shared is None or budget is None or disruption.disruptions_allowed < 2:
            continue
        all_of_it = disruption.disruptions_allowed >= workload.replicas
        empty = budget.selector is not None and not budget.selector.labels and not budget.selector.expressions
        others = [name for name in shared.names if name != workload.name][:2]
        more = shared.workloads - 1 - len(others)
        among = ", ".join(others) + (f" and {more} more" if more else "")
        own = next(iter(workload.pods.labels.items()), None)
        yield Defect(
            Severity.WARNING if all_of_it else Severity.INFO,
            f"PodDisruptionBudget {disruption.name} "
            + ("has an empty selector, which is every pod of the namespace" if empty else "also selects other pods")
            + f" ({among}): it counts {shared.pods} pods together, so that {disruption.disruptions_allowed} of these"
            f" {workload.replicas} may be evicted at once",
            f"in {disruption.name}: selector: {{matchLabels: {{{own[0]}: {own[1]}}}}}, and a budget for each workload"
            if own and empty
            else f"in {disruption.name}: a selector that selects the pods of one workload, and a budget for each",
        )


def unhealthy_pods_stay(subject: Subject) -> Iterator[Defect]:
    """A PodDisruptionBudget keeps pods that are broken already.

    By default (IfHealthyBudget) a pod that is not ready may only be evicted while enough others are healthy, so a
    service that is down keeps nodes from being drained. AlwaysAllow lets broken pods go.

    Mend:
        spec:
          unhealthyPodEvictionPolicy: AlwaysAllow

    Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy
    """
    for budget in _budgets(subject):
        if budget.unhealthy_policy != "AlwaysAllow":
            yield Defect(
                Severity.INFO,
                f"PodDisruptionBudget {budget.identity.name} keeps pods that are not ready, too: when too few are"
                " healthy, a node with a broken one cannot be drained",
                f"in {budget.identity.name}: unhealthyPodEvictionPolicy: AlwaysAllow",
            )


def _shared(subject: Subject) -> Mapping[str, Shared]:
    return subject.related.shared if subject.related else {}


def allowed(budget: Budget, replicas: int) -> int:
    """Evictions allowed with all pods healthy; both kinds of percentage are rounded up, as Kubernetes does.

    Raises ValueError with a message for people where a number is neither a count nor a percentage.
    """
    if budget.max_unavailable is not None:
        return min(replicas, _scaled(budget.max_unavailable, replicas))
    return max(0, replicas - _scaled(1 if budget.min_available is None else budget.min_available, replicas))


def _scaled(value: int | str, of: int) -> int:
    if isinstance(value, int):
        return value
    digits = value.removesuffix("%")
    if not (value.endswith("%") and digits.isascii() and digits.isdigit() and len(digits) <= 3):
        raise ValueError(f"{value[:40]!r} is neither a number nor a percentage")
    return -(-of * int(digits) // 100)


def _budgets(subject: Subject) -> tuple[Budget, ...]:
    return subject.related.budgets if subject.related else ()


def _scaled_from(subject: Subject) -> bool:
    return bool(subject.related and subject.related.scalers)
