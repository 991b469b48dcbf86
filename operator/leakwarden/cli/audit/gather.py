"""The audit itself: read, relate, check, except. Other modules show its result."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from leakwarden.cli.audit.configuration import Baseline, Configuration
from leakwarden.cli.audit.manifests import DescribedObject, Inventory
from leakwarden.cli.audit.report import Audited, AuditResult
from leakwarden.core.audit import Finding, Standard, audit, skipped_containers, standard
from leakwarden.core.audit.asked import Asked
from leakwarden.core.audit.checks import ranked
from leakwarden.core.audit.exceptions import (
    AuditException,
    Excepted,
    apply_exceptions,
    policy_exceptions,
    skip_reason,
)
from leakwarden.core.audit.subject import ends

if TYPE_CHECKING:
    from leakwarden.api.v1alpha1.policy import Audit


@dataclass(slots=True)
class Gathering:
    """The requirements for the objects. `policies` are core.model.policy.Policy; none where none was given."""

    policies: Sequence[Any]
    config: Configuration
    baseline: Baseline | None = None
    today: date | None = None

    @property
    def day(self) -> date:
        return self.today or datetime.now(UTC).date()


def gather(what: Gathering, args: argparse.Namespace, paths: Sequence[str], texts: dict[str, str]) -> AuditResult:
    """Read the files or the cluster and audit the objects. Raises ConfigurationError where a cluster is not found."""
    inventory = Inventory(complete=args.cluster)
    if args.cluster:
        from leakwarden.cli.audit import cluster

        inventory.take(cluster.documents(args, inventory.problems))
        # Documents that could not be read may exist: their absence shows nothing.
        inventory.complete = not inventory.problems
    else:
        from leakwarden.cli.audit.files import parts
        from leakwarden.cli.audit.schema import unknown_fields

        inventory.check_fields = unknown_fields
        for part in parts(paths, texts, kustomize=not args.no_kustomize):
            inventory.problems += part.problems
            inventory.notes += part.notes
            inventory.take(part.documents)
    result = audited(inventory.described(), what)
    result.problems = inventory.problems
    result.notes = [*inventory.notes, *result.notes]
    present = ", ".join(f"{number} {kind}" for kind, number in inventory.unaudited.items())
    if present:
        result.unaudited.append(f"not audited, since these kinds are not: {present}")
    return result


def audited(described: Iterable[DescribedObject], what: Gathering) -> AuditResult:
    """Every object under the first policy that selects it, or all by the configuration where no policy is given."""
    result = AuditResult()
    default = Standard(drain=what.config.drain or 10.0, drain_given=what.config.drain is not None)
    for one in described:
        if (skipped := skip_reason(one.annotations)) is not None:
            result.notes.append(f"{one.place}: {one.identity} is not audited: leakwarden.dev/skip: {skipped}")
            continue
        if one.workload is None:
            findings, excepted = _excepted(one, one.early, what)
            result.audited.append(Audited(one.place, one.identity, findings, (), excepted))
            continue
        asked, why = _policy_audit(one, what)
        if why:
            result.notes.append(f"{one.place}: {one.identity} is not audited: {why}")
            continue
        held = default if asked is None else standard(asked)
        made = audit(one.workload, held, (), one.disruptions, one.related)
        accepted = () if asked is None else policy_exceptions(asked)
        findings, excepted = _excepted(one, (*one.early, *made), what, accepted)
        result.audited.append(
            Audited(
                one.place,
                one.identity,
                findings,
                skipped=skipped_containers(one.workload),
                excepted=excepted,
                asked=Asked(held, one.disruptions, one.related, ends(one.workload)),
            )
        )
    return result


def _policy_audit(one: DescribedObject, what: Gathering) -> tuple[Audit | None, str]:
    """The audit section of the first policy that selects it, None where no policy is given; and the reason where it is
    not audited."""
    if not what.policies:
        return None, ""
    from leakwarden.core.model.policy import selects

    assert one.workload is not None
    for policy in what.policies:
        # A manifest without a namespace goes wherever it is applied, so it matches any namespace.
        apart = policy.namespace and one.workload.namespace and policy.namespace != one.workload.namespace
        if policy.spec is None or apart or one.identity.kind != "Deployment":
            continue
        if selects(policy.spec.selector, one.workload.labels):
            return policy.spec.audit, "" if policy.spec.audit.enabled else "the policy disables its audit"
    return None, "the policy does not select it"


def _excepted(
    one: DescribedObject, findings: Iterable[Finding], what: Gathering, accepted: Iterable[AuditException] = ()
) -> tuple[tuple[Finding, ...], tuple[Excepted, ...]]:
    changed = [what.config.severed(finding) for finding in findings]
    kept = [finding for finding in changed if finding is not None]
    others = (*accepted, *what.config.exceptions_for(one.identity))
    counted, excepted = apply_exceptions(kept, one.annotations, others, what.day)
    if what.baseline is not None:
        known = [finding for finding in counted if what.baseline.holds(one.identity, finding)]
        excepted = (*excepted, *(Excepted(finding, "in the baseline") for finding in known))
        counted = tuple(finding for finding in counted if finding not in known)
    return ranked(counted), excepted
