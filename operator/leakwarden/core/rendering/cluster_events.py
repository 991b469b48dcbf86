"""Events of a ClusterReliabilityPolicy: for changes of its conditions; those about its workloads are in events.py."""

from __future__ import annotations

from collections.abc import Sequence

from leakwarden.api import names
from leakwarden.api.v1alpha1.cluster_status import ClusterPolicyStatus
from leakwarden.api.v1alpha1.status import PolicyStatus
from leakwarden.core.model.cluster_policy import ClusterPolicy
from leakwarden.core.model.policy import parse_time
from leakwarden.core.rendering.announcement import Announcement, ObjectRef
from leakwarden.core.rendering.events import NOTE_LENGTH, changed_conditions

# s; what ended longer ago was announced by the process that did it, or by the one after it.
ANNOUNCED_AFTER = 600.0


def cluster_announcements(
    policy: ClusterPolicy, before: ClusterPolicyStatus, after: ClusterPolicyStatus
) -> Sequence[Announcement]:
    """The Events for the changes between the two statuses."""
    ref = ObjectRef(names.API_VERSION, names.CLUSTER_POLICY_KIND, "", policy.name, policy.uid)
    return [
        Announcement(ref, None, reason, action="Evaluate", note=note[:NOTE_LENGTH], warning=warning)
        for reason, warning, note in changed_conditions(before.conditions, after.conditions)
    ]


def as_announced(before: PolicyStatus, after: PolicyStatus, now: float) -> PolicyStatus:
    """`before`, the first status of a derived policy that this process knows, with the older of the actions in `after`: the
    status of a ClusterReliabilityPolicy has no room for all actions, and none must be announced a second time."""
    known = {action.id for action in before.actions}
    older = [
        action
        for action in after.actions
        if action.id not in known
        and now - max(parse_time(action.finished_at or action.intended_at), parse_time(action.verified_at))
        > ANNOUNCED_AFTER
    ]
    return before.model_copy(update={"actions": [*before.actions, *older]})
