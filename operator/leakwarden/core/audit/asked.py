"""The checks that could not be run, and why: a check that was not run must never count as passed."""

from __future__ import annotations

from dataclasses import dataclass

from leakwarden.core.audit.checks import CHECKS
from leakwarden.core.audit.findings import Check
from leakwarden.core.audit.related import Related
from leakwarden.core.audit.subject import Standard
from leakwarden.core.model.workload import Disruption


@dataclass(frozen=True, slots=True)
class Asked:
    """The facts that were known when a workload was audited: they decide which checks could not be run."""

    standard: Standard
    disruptions: tuple[Disruption, ...] | None
    related: Related | None
    ends: bool = False  # the pods run to their end

    def not_asked(self, kind: str) -> dict[str, str]:
        """The ids of the checks that were not run, each with the reason."""
        kind = "Job" if self.ends and kind == "Pod" else kind
        reasons = {check.id: not_asked(check, kind, self.standard, self.disruptions, self.related) for check in CHECKS}
        return {id_: reason for id_, reason in reasons.items() if reason}


def not_asked(
    check: Check,
    kind: str,
    standard: Standard,
    disruptions: tuple[Disruption, ...] | None,
    related: Related | None,
) -> str:
    """Why the check was not run for a workload of this kind; empty where it was."""
    if check.kinds and kind not in check.kinds:
        return f"does not apply to a {kind}"
    number = int(check.id[2:])
    related = related or Related()
    if 800 <= number < 900:
        return "no endpoint is called"
    if check.id == "LW105" and not standard.paths_given:
        return "no policy names the paths"
    if number in (401, 402, 403, 405, 406) and disruptions is None:
        return "no PodDisruptionBudget was read"
    if number in (407, 408, 410, 413, 414) and not related.scalers:
        return "no autoscaler that scales it was read"
    if number in (117, 501, 503, 504, 509) and not related.services:
        return "no Service that selects it was read"
    if number == 511 and related.governing is None:
        return "no Service of its namespace was read"
    if number == 701 and not related.claims:
        return "no PersistentVolumeClaim that it mounts was read"
    if number == 704 and not related.sources_read:
        return "no ConfigMap, Secret or PersistentVolumeClaim of its namespace was read"
    if check.id == "LW505" and not related.routes:
        return "no Ingress or HTTPRoute to it was read"
    if 521 <= number <= 524 and not related.handlings:
        return "no Ingress, VirtualService or DestinationRule that says how it is proxied was read"
    if check.id == "LW506" and related.monitored_elsewhere:
        return "no ServiceMonitor or PodMonitor was read"
    if check.id == "LW507" and not related.monitors:
        return "no monitor that scrapes it was read"
    return ""
