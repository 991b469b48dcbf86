"""Guards that ask whether people want it: the policy's author, the Deployment's owner, the installation."""

from __future__ import annotations

from leakwarden.api import names
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.policy import ActionType, Mode, SignalType
from leakwarden.core.guards.maintenance import objection
from leakwarden.core.guards.model import About, Candidate, Situation, guard
from leakwarden.core.guards.silences import NOBODY_TO_ASK, covers


@guard(
    SkipReason.SUSPENDED,
    "spec.suspend is true.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def suspended(candidate: Candidate, _: Situation) -> str | None:
    if candidate.spec.suspend:
        return "spec.suspend is true"
    return None


@guard(
    SkipReason.OBSERVING,
    "spec.mode is Observe, or the policy is a ClusterReliabilityPolicy and the namespace does not have the label"
    " leakwarden.dev/enforce: allowed; the action named would have been taken.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def observing(candidate: Candidate, _: Situation) -> str | None:
    if candidate.spec.mode is not Mode.ENFORCE:
        return candidate.policy.observes
    return None


@guard(
    SkipReason.PAUSED,
    "spec.pauseRequests holds at least one request; the message names them with their reasons.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def paused(candidate: Candidate, _: Situation) -> str | None:
    requests = candidate.spec.pause_requests
    if not requests:
        return None
    told = "; ".join(f"{request.name}: {request.reason}" for request in requests[:3])
    more = f"; and {len(requests) - 3} more" if len(requests) > 3 else ""
    return f"paused by {told}{more}"


@guard(
    SkipReason.CONFLICTED,
    "An older policy selects this Deployment, in mode Observe as well as in Enforce; or a policy of its own namespace does,"
    " which comes before a ClusterReliabilityPolicy.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def conflicted(candidate: Candidate, _: Situation) -> str | None:
    if candidate.target.conflicts_with:
        which = "namespace's own" if candidate.target.own_first else "older"
        return f"the {which} policy {candidate.target.conflicts_with} {candidate.target.conflict}"
    return None


@guard(
    SkipReason.OPTED_OUT,
    "The Deployment carries the annotation leakwarden.dev/skip; its value is the reason.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def opted_out(candidate: Candidate, _: Situation) -> str | None:
    value = candidate.target.workload.annotations.get(names.SKIP_ANNOTATION)
    if value is not None and value != "false":
        return f"annotation {names.SKIP_ANNOTATION}: {value[:100] or 'no reason given'}"
    return None


@guard(
    SkipReason.POD_PROTECTED,
    "The pod, or for RolloutRestart one of the Deployment's pods, carries karpenter.sh/do-not-disrupt or"
    ' cluster-autoscaler.kubernetes.io/safe-to-evict: "false".',
    about=About.POD,
    waiting_helps=False,
)
def pod_protected(candidate: Candidate, _: Situation) -> str | None:
    """A pod that node autoscalers must leave alone has an owner who cannot bear that it is taken away."""
    if not candidate.disturbs:
        return None
    evicts = candidate.action.type is ActionType.EVICT_POD
    taken = (candidate.pod,) if evicts else candidate.target.pods
    return next((f"pod {one.pod.name}: {one.pod.protected}" for one in taken if one.pod.protected), None)


@guard(
    SkipReason.NOT_PERMITTED,
    "The installation does not allow this action (actions.* in the chart's values).",
    about=About.WORKLOAD,
    waiting_helps=False,
)
def not_permitted(candidate: Candidate, situation: Situation) -> str | None:
    if candidate.changes and candidate.action.type not in situation.permitted:
        return f"this installation does not allow {candidate.action.type}"
    return None


@guard(
    SkipReason.OUTSIDE_MAINTENANCE,
    "Now is outside spec.maintenance.allow, or within spec.maintenance.deny.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def outside_maintenance(candidate: Candidate, situation: Situation) -> str | None:
    why = objection(candidate.spec.maintenance, situation.now) if candidate.changes else ""
    return why if why else None


@guard(
    SkipReason.VETOED,
    "A query of spec.vetoes has an answer that is neither empty nor zero, or no answer.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def vetoed(candidate: Candidate, situation: Situation) -> str | None:
    """A veto query without an answer counts as a veto: a missing answer is not consent."""
    if not candidate.changes:
        return None
    surroundings = situation.surroundings
    unasked = "" if surroundings.unasked_agree else "it was not asked yet"
    for veto in candidate.spec.vetoes:
        why = surroundings.vetoes.get((candidate.policy.uid, veto.name), unasked)
        if why:
            return f"veto {veto.name}: {why}"
    return None


@guard(
    SkipReason.SILENCED,
    "An active silence of the Alertmanager covers the namespace, Deployment or pod; or, for policies"
    " that use alerts or have spec.respectSilences, it is not known whether one does. With spec.respectSilences that is so"
    " for good while no Alertmanager is configured.",
    about=About.POD,
    waiting_helps=True,
)
def silenced(candidate: Candidate, situation: Situation) -> str | None:
    """Where no Alertmanager is configured there may be no silences at all, so nothing is held back; but a policy that
    requires respect for silences assumes that there are some, and a missing answer is not consent."""
    silences = situation.surroundings.silences
    if not candidate.changes:
        return None
    if silences is None:
        unknown = f"spec.respectSilences is true, and whether it is silenced is not known: {NOBODY_TO_ASK}"
        return unknown if candidate.spec.respect_silences else None
    alerts = {
        s.name: s.alert.name for s in candidate.spec.signals if s.type is SignalType.ALERT and s.alert is not None
    }
    workload = candidate.target.workload
    # Alerts, and so silences, name a workload by the label of its kind: deployment, statefulset, daemonset, rollout.
    about = {"namespace": workload.namespace, workload.kind.lower(): workload.name, "pod": candidate.pod.pod.name}
    for silence in silences.active:
        if covers(silence, about, alerts.get(candidate.judgement.signal, "")):
            return f"silence {silence.id[:64]} of the Alertmanager is active"
    if silences.trouble and (alerts or candidate.spec.respect_silences):
        return f"whether it is silenced is not known: {silences.trouble}"
    return None
