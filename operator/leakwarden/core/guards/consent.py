"""Guards that ask whether people want it: the policy's author, the Deployment's owner, the installation."""

from __future__ import annotations

from leakwarden.api import names
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.policy import Mode, SignalType
from leakwarden.core.guards.maintenance import objection
from leakwarden.core.guards.model import Candidate, Situation, Skip
from leakwarden.core.guards.silences import NOBODY_TO_ASK, covers


def suspended(candidate: Candidate, _: Situation) -> Skip | None:
    if candidate.spec.suspend:
        return Skip(SkipReason.SUSPENDED, "spec.suspend is true")
    return None


def observing(candidate: Candidate, _: Situation) -> Skip | None:
    if candidate.spec.mode is not Mode.ENFORCE:
        return Skip(SkipReason.OBSERVING, "spec.mode is Observe")
    return None


def paused(candidate: Candidate, _: Situation) -> Skip | None:
    requests = candidate.spec.pause_requests
    if not requests:
        return None
    told = "; ".join(f"{request.name}: {request.reason}" for request in requests[:3])
    more = f"; and {len(requests) - 3} more" if len(requests) > 3 else ""
    return Skip(SkipReason.PAUSED, f"paused by {told}{more}")


def conflicted(candidate: Candidate, _: Situation) -> Skip | None:
    if candidate.target.conflicts_with:
        return Skip(
            SkipReason.CONFLICTED, f"the older policy {candidate.target.conflicts_with} acts on this Deployment"
        )
    return None


def opted_out(candidate: Candidate, _: Situation) -> Skip | None:
    value = candidate.target.workload.annotations.get(names.SKIP_ANNOTATION)
    if value is not None and value != "false":
        return Skip(SkipReason.OPTED_OUT, f"annotation {names.SKIP_ANNOTATION}: {value[:100] or 'no reason given'}")
    return None


def not_permitted(candidate: Candidate, situation: Situation) -> Skip | None:
    if candidate.changes and candidate.action.type not in situation.permitted:
        return Skip(SkipReason.NOT_PERMITTED, f"this installation does not allow {candidate.action.type}")
    return None


def outside_maintenance(candidate: Candidate, situation: Situation) -> Skip | None:
    why = objection(candidate.spec.maintenance, situation.now) if candidate.changes else ""
    return Skip(SkipReason.OUTSIDE_MAINTENANCE, why) if why else None


def vetoed(candidate: Candidate, situation: Situation) -> Skip | None:
    """A veto that was not answered is a veto: what cannot be known is no consent."""
    if not candidate.changes:
        return None
    for veto in candidate.spec.vetoes:
        why = situation.surroundings.vetoes.get((candidate.policy.uid, veto.name), "it was not asked yet")
        if why:
            return Skip(SkipReason.VETOED, f"veto {veto.name}: {why}")
    return None


def silenced(candidate: Candidate, situation: Situation) -> Skip | None:
    """Where no Alertmanager is configured there may be no silences at all, so nothing is held back; but a policy that says
    that silences are to be respected means some that exist, and what cannot be known is no consent."""
    silences = situation.surroundings.silences
    if not candidate.changes:
        return None
    if silences is None:
        unknown = f"spec.respectSilences is true, and whether it is silenced is not known: {NOBODY_TO_ASK}"
        return Skip(SkipReason.SILENCED, unknown) if candidate.spec.respect_silences else None
    alerts = {
        s.name: s.alert.name for s in candidate.spec.signals if s.type is SignalType.ALERT and s.alert is not None
    }
    workload = candidate.target.workload
    about = {"namespace": workload.namespace, "deployment": workload.name, "pod": candidate.pod.pod.name}
    for silence in silences.active:
        if covers(silence, about, alerts.get(candidate.judgement.signal, "")):
            return Skip(SkipReason.SILENCED, f"silence {silence.id[:64]} of the Alertmanager is active")
    if silences.trouble and (alerts or candidate.spec.respect_silences):
        return Skip(SkipReason.SILENCED, f"whether it is silenced is not known: {silences.trouble}")
    return None
