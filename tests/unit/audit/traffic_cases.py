"""The checks about what stands between a proxy and the pods: passes and fails."""

from __future__ import annotations

from leakwarden.core.audit import Severity
from leakwarden.core.audit.related import Handling, Identity
from tests.unit.audit.related_cases import Case, RelatedCase, beside

INGRESS = Identity("Ingress", "shop", "web")
RULE = Identity("DestinationRule", "shop", "web")


def handled(identity: Identity = INGRESS, **facts: object) -> RelatedCase:
    made = Handling(identity, ("web",), **facts)  # type: ignore[arg-type]
    return Case("as told", related=beside(handlings=(made,)))


def failing(severity: Severity, says: str, identity: Identity = INGRESS, **facts: object) -> RelatedCase:
    case = handled(identity, **facts)
    return RelatedCase(case.what, related=case.related, severity=severity, says=says)


PASSES: dict[str, list[RelatedCase]] = {
    name: [Case("nothing is said"), handled(), handled(RULE, ejects=True)]
    for name in ("ProxyNeverRetries", "ProxyRepeatsWrites", "OutlierDetectionMissing", "ConnectionsNotReused")
}
FAILS: dict[str, list[RelatedCase]] = {
    "ProxyNeverRetries": [
        failing(Severity.WARNING, "Ingress web has proxy-next-upstream: off", never_retries="proxy-next-upstream: off")
    ],
    "ProxyRepeatsWrites": [failing(Severity.WARNING, "a POST too, may be sent again", repeats_writes="retryOn: 5xx")],
    "OutlierDetectionMissing": [
        failing(Severity.INFO, "DestinationRule web has no outlierDetection", RULE, ejects=False)
    ],
    "ConnectionsNotReused": [
        failing(
            Severity.WARNING, "no connection to the pods is used again", RULE,
            new_connections="maxRequestsPerConnection: 1", ejects=True,
        )
    ],
}  # fmt: skip
