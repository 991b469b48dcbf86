"""Rights that turned out to be missing when they were needed, so that a condition can name them.

No decision depends on these records: a step that needs a right tries again, and is refused again. They are kept in
memory only, and are complete again after a restart as soon as each right is needed once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from leakwarden.api.v1alpha1.policy import ActionType, Mode, PolicySpec
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot

# Kinds that are read in addition to the watched ones, by the purpose.
POLICY_AGAIN = "the policy, again before acting"
BUDGETS = "the PodDisruptionBudgets, which may forbid it"
# Steps after an action, for each action.
TAKING_BACK = "the replicas, to take back what was added for a while"


@dataclass(slots=True)
class Rights:
    _missing: dict[tuple[str, str, str], str] = field(default_factory=dict)  # (policy UID, purpose, about) -> in words

    def lacks(self, policy: Policy, purpose: str, message: str, about: str = "") -> None:
        """`about` distinguishes several needs of one right."""
        self._missing[policy.uid, purpose, about] = message

    def has(self, policy: Policy, purpose: str) -> None:
        self._missing.pop((policy.uid, purpose, ""), None)

    def keep_about(self, purpose: str, wanted: Iterable[str]) -> None:
        """Forget the needs of this purpose that have ended: the step was done after all, or is past."""
        known = set(wanted)
        self._missing = {key: said for key, said in self._missing.items() if key[1] != purpose or key[2] in known}

    def keep(self, policies: Iterable[Policy]) -> None:
        """Forget policies that are gone."""
        known = {policy.uid for policy in policies}
        self._missing = {key: said for key, said in self._missing.items() if key[0] in known}

    def missing(self, policy: Policy, snapshot: Snapshot) -> list[str]:
        """The steps that fail for the policy, as it is now, for lack of a right; each in one line."""
        spec = policy.spec
        if spec is None:
            return []
        found = [
            said for (uid, purpose, _), said in self._missing.items() if uid == policy.uid and _asks(spec, purpose)
        ]
        if spec.remediation.scale_out is not None and snapshot.autoscalers_denied:
            found.append(f"{snapshot.autoscalers_denied}, so ScaleOut is refused")
        return list(dict.fromkeys(found))


def _asks(spec: PolicySpec, purpose: str) -> bool:
    """Whether the policy still needs the right for this purpose."""
    if spec.mode is not Mode.ENFORCE:
        return False
    wanted = {str(action.type) for action in spec.remediation.actions}
    if spec.remediation.scale_out is not None:
        wanted.add(str(ActionType.SCALE_OUT))
    return purpose in wanted or purpose not in set(ActionType)
