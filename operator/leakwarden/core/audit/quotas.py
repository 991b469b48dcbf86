"""Whether the quotas of a namespace leave room for a rollout."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.pods_allowed import allowed_pods, rolls
from leakwarden.core.audit.sharing import asked
from leakwarden.core.audit.subject import Subject

_MIB = 2.0**20
# Sums of cores are not exact in binary fractions.
_EXACT = 1 + 1e-9


def surge_above_quota(subject: Subject) -> Iterator[Defect]:
    """A ResourceQuota leaves no room for the new pod of a rollout.

    With maxUnavailable 0 a rollout first makes one pod more. Where all pods of the namespace and this one ask more than
    the quota allows, the pod is refused (exceeded quota), no old pod may go, and every rollout hangs. Pods that are
    terminating count until they are gone, so room for one of these is needed, too, or a rollout waits for each. Counted
    are the workloads that were read and name the quota's namespace, with what their manifests ask. Only in files and with
    --cluster: the operator does not list ResourceQuotas.

    Mend:
        strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}   # or a larger quota

    Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/
    """
    workload = subject.workload
    if subject.related is None or workload.owner or not rolls(workload):
        return
    unavailable, surge = allowed_pods(workload)
    if unavailable or not surge:
        return
    more = asked(workload)
    for each in subject.related.full:
        needed = each.used + more.get(each.resource, 0.0)
        if more.get(each.resource, 0.0) and needed > each.hard * _EXACT:
            too_many = each.used > each.hard * _EXACT
            yield Defect(
                Severity.WARNING,
                f"{each.quota} allows {_amount(each.resource, each.hard)} of {each.resource}, and the pods of the"
                f" namespace ask {_amount(each.resource, each.used)}, with the new pod of a rollout"
                f" {_amount(each.resource, needed)}: "
                + ("not all pods can be made" if too_many else "it is refused")
                + ", and with maxUnavailable 0 every rollout hangs",
                f"in {each.quota}: {each.resource}: {_amount(each.resource, needed + more[each.resource])} (room for the"
                " new pod and one that is still terminating), or maxSurge: 0 with maxUnavailable: 1",
            )
            return  # the others are most often of the same kind


def _amount(resource: str, value: float) -> str:
    """As Kubernetes writes it: MiB for memory, thousandths of a core where they are no whole cores."""
    if resource.endswith("memory"):
        return f"{value / _MIB:.0f}Mi"
    return f"{value:.0f}" if abs(value - round(value)) < 1e-6 else f"{value * 1000:.0f}m"
