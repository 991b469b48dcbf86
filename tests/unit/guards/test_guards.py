"""Every guard by two fixtures: one it refuses, for its own reason and no other, and one it has no objection to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult
from leakwarden.core.evaluation.results import WorkloadEvaluation
from leakwarden.core.guards import GUARDS, SKIP_MEANINGS, Candidate, Guard, Situation, Surroundings, ask
from leakwarden.core.guards.limits import Limits
from leakwarden.core.guards.silences import Matcher, Silence, Silences
from leakwarden.core.model.workload import PreStop
from tests.builders import NOW, container, enforcing, pod, workload
from tests.guard_builders import (
    QUIET,
    candidate,
    exhausting,
    healthy,
    record,
    records,
    report,
    single,
    situation,
    target,
    three,
    unknown,
)

POOL = {"name": "pool", "type": "DBPool", "threshold": {"above": "90%"}}
ALERT = {"name": "alert", "type": "Alert", "role": "Leak", "alert": {"name": "Leaks"}}
SCALE = {"type": "ScaleOut", "maxReplicas": 4}
RESTART = {"type": "RolloutRestart"}
ESCALATE = {"type": "Escalate"}
VETO = {"vetoes": [{"name": "sale", "query": "sale_running"}]}
# NOW is a Monday, 14:13 in UTC.
NIGHT = {"start": "22:00", "end": "06:00"}
PROVEN = record(ago=3600, result=ActionResult.EFFECTIVE)


def around(**changes: Any) -> Surroundings:
    return replace(QUIET, **changes)


def silence(*matchers: Matcher) -> Surroundings:
    return around(silences=Silences((Silence("s1", matchers),)))


def spec(**changes: Any) -> dict[str, Any]:
    return {**enforcing(), **changes}


def elsewhere(count: int, namespace: str, ago: float, **changes: Any) -> list[Any]:
    """Reports with one action each, on so many other Deployments."""
    return [
        report(f"w{n}", record(ago=ago, id=f"x{n}", workload_uid=f"uid-w{n}", **changes), namespace=namespace)
        for n in range(count)
    ]


def protecting(name: str) -> WorkloadEvaluation:
    """The usual three, of which one may not be taken away."""
    whole = three()
    protected = [
        replace(
            one, pod=replace(one.pod, protected="karpenter.sh/do-not-disrupt: true" if one.pod.name == name else "")
        )
        for one in whole.pods
    ]
    return replace(whole, pods=tuple(protected))


@dataclass(frozen=True)
class Fixtures:
    """A case that the guard refuses, and a close one that it lets pass."""

    no: tuple[Candidate, Situation]
    nothing: tuple[Candidate, Situation]


def fixtures(no: tuple[Any, Any], nothing: tuple[Any, Any]) -> Fixtures:
    return Fixtures(no, nothing)


FREE = situation()

CASES: dict[SkipReason, Fixtures] = {
    SkipReason.SUSPENDED: fixtures((candidate(spec=spec(suspend=True)), FREE), (candidate(), FREE)),
    SkipReason.OBSERVING: fixtures((candidate(spec={"mode": "Observe"}), FREE), (candidate(), FREE)),
    SkipReason.PAUSED: fixtures(
        (candidate(spec=spec(pauseRequests=[{"name": "db", "reason": "migration"}])), FREE),
        (candidate(spec=spec(pauseRequests=[])), FREE),
    ),
    SkipReason.CONFLICTED: fixtures((candidate(three("older")), FREE), (candidate(three()), FREE)),
    SkipReason.OPTED_OUT: fixtures(
        (candidate(three(annotations={"leakwarden.dev/skip": "we know"})), FREE),
        (candidate(three(annotations={"leakwarden.dev/skip": "false"})), FREE),
    ),
    SkipReason.POD_PROTECTED: fixtures(
        (candidate(protecting("api-1")), FREE), (candidate(protecting("api-2")), FREE)
    ),
    SkipReason.NOT_PERMITTED: fixtures(
        (candidate(), situation(permitted=frozenset())), (candidate(action=ESCALATE), situation(permitted=frozenset()))
    ),
    SkipReason.OUTSIDE_MAINTENANCE: fixtures(
        (candidate(spec=spec(maintenance={"allow": [NIGHT]})), FREE),
        (candidate(spec=spec(maintenance={"deny": [NIGHT]})), FREE),
    ),
    SkipReason.VETOED: fixtures(
        (candidate(spec=spec(**VETO)), FREE),  # not asked, which does not count as consent
        (candidate(spec=spec(**VETO)), situation(around=around(vetoes={("uid-policy-shop", "sale"): ""}))),
    ),
    SkipReason.SILENCED: fixtures(
        (candidate(), situation(around=silence(Matcher("namespace", "shop"), Matcher("severity", "critical")))),
        (candidate(), situation(around=silence(Matcher("namespace", "other")))),
    ),
    SkipReason.CLUSTER_NOT_SYNCED: fixtures((candidate(), situation(cluster_fresh=False)), (candidate(), FREE)),
    SkipReason.QUIET_AFTER_START: fixtures(
        (candidate(), situation(around=around(started=NOW - 299))), (candidate(), situation(around=around(started=NOW - 301)))
    ),
    SkipReason.REFILLING: fixtures((candidate(resumed=NOW - 599), FREE), (candidate(resumed=NOW - 601), FREE)),
    SkipReason.WARMING_UP: fixtures(
        (candidate(three(rolled_out=NOW - 599)), FREE), (candidate(three(rolled_out=NOW - 601)), FREE)
    ),
    SkipReason.ROLLOUT_IN_PROGRESS: fixtures(
        (candidate(three(updated_replicas=2)), FREE), (candidate(three(updated_replicas=3)), FREE)
    ),
    SkipReason.ACTION_PENDING: fixtures(
        (candidate(), situation([record(ActionPhase.PENDING, ago=7200)])), (candidate(), situation([record(ago=7200)]))
    ),
    SkipReason.CANARY_PENDING: fixtures(
        (candidate(spec=enforcing(actions=[{"type": "EvictPod", "timeout": "1h"}])),
         situation([record(ago=1200, result=ActionResult.VERIFYING)])),
        (candidate(spec=enforcing(actions=[{"type": "EvictPod", "timeout": "1h"}])),
         situation([record(ago=1200, id="a2", result=ActionResult.VERIFYING), PROVEN])),
    ),
    SkipReason.OTHERS_IN_FLIGHT: fixtures(
        (candidate(), situation(reports=elsewhere(1, "shop", 60, result=ActionResult.VERIFYING))),
        (candidate(), situation(reports=elsewhere(1, "shop", 60, result=ActionResult.EFFECTIVE))),
    ),
    SkipReason.COOLDOWN_ACTIVE: fixtures(
        (candidate(), situation([record(ago=599)])), (candidate(), situation([record(ago=601)]))
    ),
    SkipReason.POD_COOLDOWN_ACTIVE: fixtures(
        (candidate(), situation([record(ago=1799, pod_uid="uid-api-1")])),
        (candidate(), situation([record(ago=1801, pod_uid="uid-api-1")])),
    ),
    SkipReason.STAGGERED: fixtures(
        (candidate(not_before=NOW + 60), FREE), (candidate(not_before=NOW + 60, action=SCALE), FREE)
    ),
    SkipReason.DISRUPTION_BUDGET: fixtures(
        (candidate(), situation([record(ActionPhase.BLOCKED, ago=59, message="web-pdb forbids it")])),
        (candidate(), situation([record(ActionPhase.BLOCKED, ago=61, message="web-pdb forbids it")])),
    ),
    SkipReason.CIRCUIT_OPEN: fixtures(
        (candidate(), situation(records(3, 3600, 3600, result=ActionResult.INEFFECTIVE))),
        (candidate(), situation(records(2, 3600, 3600, result=ActionResult.INEFFECTIVE))),
    ),
    SkipReason.EVIDENCE_MISSING: fixtures(
        (candidate(spec=spec(evidence={"required": True})), FREE),
        (candidate(spec=spec(evidence={"required": True})),
         situation(reports=[report("api", evidence=EvidenceStatus(state=EvidenceState.CAPTURED))])),
    ),
    SkipReason.RECORDS_UNAVAILABLE: fixtures(
        (candidate(), situation(records_trouble="may not list leakreports")), (candidate(), FREE)
    ),
    SkipReason.BUDGET_EXHAUSTED: fixtures(
        (candidate(target([exhausting(pod("api-1")), unknown(pod("api-2")), healthy(pod("api-3"))])), FREE),
        (candidate(target([exhausting(pod(f"api-{n}", ready=n != 1)) for n in (1, 2, 3)])), FREE),  # they leak together
    ),
    SkipReason.BELOW_MIN_READY: fixtures(
        (candidate(target([exhausting(pod("api-1")), healthy(pod("api-2", ready=False)), healthy(pod("api-3"))]),
                   enforcing(budget={"maxUnavailable": 2, "minReady": 2})), FREE),
        (candidate(three(), enforcing(budget={"minReady": 2})), FREE),
    ),
    SkipReason.TOO_FEW_REPLICAS: fixtures(
        (candidate(single()), FREE), (candidate(single(), enforcing(budget={"minReady": 0})), FREE)
    ),
    SkipReason.WORKLOAD_BUDGET_EXHAUSTED: fixtures(
        (candidate(), situation(records(12, 7200, 4000, result=ActionResult.EFFECTIVE))),
        (candidate(), situation(records(11, 7200, 4000, result=ActionResult.EFFECTIVE))),
    ),
    SkipReason.NAMESPACE_BUDGET_EXHAUSTED: fixtures(
        (candidate(), situation(reports=elsewhere(10, "shop", 3000))),
        (candidate(), situation(reports=elsewhere(10, "other", 3000))),
    ),
    SkipReason.CLUSTER_BUDGET_EXHAUSTED: fixtures(
        (candidate(), situation(reports=[*elsewhere(10, "other", 3000), *elsewhere(10, "third", 3000)])),
        # With any records, one namespace takes no more than its own share from the others.
        (candidate(), situation(reports=[*elsewhere(50, "other", 3000), *elsewhere(9, "third", 3000)])),
    ),
    SkipReason.STORM_ACTIVE: fixtures(
        (candidate(), situation(reports=[report(f"w{n}", exhausting_ago=60.0 * n) for n in range(10)])),
        (candidate(), situation(reports=[report(f"w{n}", exhausting_ago=70.0 * n) for n in range(10)])),
    ),
    SkipReason.AT_MAX_REPLICAS: fixtures(
        (candidate(action={"type": "ScaleOut", "maxReplicas": 3}), FREE), (candidate(action=SCALE), FREE)
    ),
    SkipReason.DROPS_REQUESTS: fixtures(
        (candidate(three(containers=(container(pre_stop=PreStop("sleep", 30)),))), FREE),
        (candidate(three(containers=(container(pre_stop=PreStop("sleep", 29)),))), FREE),
    ),
    SkipReason.WORSENS_LEAK: fixtures(
        (candidate(target([exhausting(pod("api-1"), signal="pool")]), enforcing(POOL), SCALE), FREE),
        (candidate(three(), enforcing(), SCALE), FREE),
    ),
    SkipReason.UNSUPPORTED_BY_KIND: fixtures(
        (candidate(three(kind="DaemonSet"), action=SCALE), FREE), (candidate(three(kind="DaemonSet")), FREE)
    ),
    SkipReason.ONE_AT_A_TIME: fixtures(
        (candidate(target([exhausting(pod("db-2")), *(healthy(pod(f"db-{n}")) for n in (3, 4, 0)), healthy(pod("db-1", ready=False))],
                          kind="StatefulSet", replicas=5, updated_replicas=5), enforcing(budget={"maxUnavailable": 2})), FREE),
        (candidate(target([exhausting(pod("db-2")), *(healthy(pod(f"db-{n}")) for n in (3, 4, 0, 1))],
                          kind="StatefulSet", replicas=5, updated_replicas=5), enforcing(budget={"maxUnavailable": 2})), FREE),
    ),
    SkipReason.REPLICAS_OWNED: fixtures(
        (candidate(action=SCALE), situation(around=Surroundings())),  # not known
        (candidate(), situation(around=Surroundings())),
    ),
    SkipReason.TEMPLATE_OWNED: fixtures(
        (candidate(three(labels={"kustomize.toolkit.fluxcd.io/name": "apps"}), action=RESTART), FREE),
        # an eviction does not count as drift
        (candidate(three(labels={"kustomize.toolkit.fluxcd.io/name": "apps"})), FREE),
    ),
    SkipReason.ESCALATED: fixtures(
        (candidate(action=ESCALATE), situation([record(type="Escalate", pod_uid="uid-api-1")])),
        (candidate(action=ESCALATE), situation([record(type="Escalate", pod_uid="uid-api-0")])),
    ),
}  # fmt: skip


# The other reasons are not a guard's but the engine's: a pod waits for its turn to be captured.
OF_GUARDS = [reason for reason in SkipReason if reason is not SkipReason.EVIDENCE_PENDING]


def guard_of(reason: SkipReason) -> Guard:
    (found,) = [guard for guard in GUARDS if (skip := guard(*CASES[reason].no)) is not None and skip.reason is reason]
    return found


@pytest.mark.parametrize("reason", OF_GUARDS)
def test_a_guard_says_no_for_its_own_reason_and_no_other_guard_objects(reason: SkipReason) -> None:
    skips = ask(*CASES[reason].no)
    assert [skip.reason for skip in skips] == [reason]
    assert skips[0].message


@pytest.mark.parametrize("reason", OF_GUARDS)
def test_a_guard_says_nothing_where_it_is_close_but_not_reached(reason: SkipReason) -> None:
    assert guard_of(reason)(*CASES[reason].nothing) is None


@pytest.mark.parametrize(
    ("signal", "worsens"),
    [
        ({"name": "descriptors", "type": "PromQL", "query": "mongo_pool_used", "limitQuery": "mongo_pool_max",
          "kind": "ConnectionPool"}, True),
        ({"name": "descriptors", "type": "PromQL", "query": "queue_length", "limitQuery": "queue_size"}, False),
        ({"name": "descriptors", "type": "DBPool", "query": "mongo_pool_used", "limitQuery": "mongo_pool_max"}, True),
    ],
)  # fmt: skip
def test_whatever_is_a_connection_pool_is_not_scaled_out(signal: dict[str, Any], worsens: bool) -> None:
    asked = ask(candidate(spec=enforcing(signal), action=SCALE), FREE)
    assert (SkipReason.WORSENS_LEAK in {skip.reason for skip in asked}) is worsens


def test_a_rollout_takes_the_protected_pod_away_as_well() -> None:
    asked = ask(candidate(protecting("api-2"), action=RESTART), FREE)
    assert [skip.reason for skip in asked] == [SkipReason.POD_PROTECTED]
    assert not ask(candidate(protecting("api-2"), action=SCALE), FREE)


@pytest.mark.parametrize(
    ("phase", "ago", "gone"),
    [
        (ActionPhase.DONE, 1200, True),
        (ActionPhase.INTERRUPTED, 100, True),
        (ActionPhase.FAILED, 100, True),
        # It was never carried out, and by now a watch would show it if it had been.
        (ActionPhase.INTERRUPTED, 1200, False),
        (ActionPhase.BLOCKED, 100, False),
    ],
)
def test_an_evicted_pod_counts_as_gone_although_the_watch_still_shows_it_ready(
    phase: ActionPhase, ago: float, gone: bool
) -> None:
    """Else a watch that lags lets as many pods be taken as there are cooldowns within its lag."""
    quick = enforcing(cooldown="10s", podCooldown="10s", budget={"maxUnavailable": 1})
    evicted = record(phase, ago=ago, pod="api-2", pod_uid="uid-api-2", result=None)
    reasons = {skip.reason for skip in ask(candidate(spec=quick), situation([evicted]))}
    assert (SkipReason.BUDGET_EXHAUSTED in reasons) is gone


@pytest.mark.parametrize("text", ["\x1b[2J\x1b[31mroot", "a\nb", "\u202egnp.exe", "\x00"])
def test_what_people_give_as_a_reason_drives_no_terminal(text: str) -> None:
    for skip in (
        *ask(candidate(three(annotations={"leakwarden.dev/skip": text})), FREE),
        *ask(candidate(spec=spec(pauseRequests=[{"name": "db", "reason": text}])), FREE),
        *ask(candidate(three(annotations={"argocd.argoproj.io/tracking-id": text}), action=RESTART), FREE),
    ):
        assert skip.message.isprintable()


def test_every_reason_has_a_guard_fixtures_and_a_meaning() -> None:
    assert set(CASES) == set(OF_GUARDS)
    assert all(guard_of(reason).reason is reason for reason in CASES)
    assert set(SKIP_MEANINGS) == set(SkipReason)
    assert len({guard_of(reason) for reason in CASES}) == len(GUARDS)
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)


@pytest.mark.parametrize("reason", OF_GUARDS)
def test_calling_a_person_changes_nothing_so_only_consent_and_records_hold_it_back(reason: SkipReason) -> None:
    held = {
        SkipReason.SUSPENDED, SkipReason.OBSERVING, SkipReason.PAUSED, SkipReason.CONFLICTED, SkipReason.OPTED_OUT,
        SkipReason.CLUSTER_NOT_SYNCED, SkipReason.RECORDS_UNAVAILABLE, SkipReason.ESCALATED,
    }  # fmt: skip
    found, known = CASES[reason].no
    calling = replace(found, action=candidate(action=ESCALATE).action)
    assert {skip.reason for skip in ask(calling, known)} == ({reason} & held)


@pytest.mark.parametrize(
    ("silences", "policy", "stopped"),
    [
        (None, spec(), False),  # no Alertmanager is configured: a cluster without one can be acted in
        (None, enforcing(ALERT), False),
        (None, spec(respectSilences=True), True),  # a policy that respects silences assumes that there are some
        # One of two Alertmanagers does not answer; the other's silences hold all the same.
        (Silences((Silence("s", (Matcher("pod", "api-1"),)),), trouble="it cannot be reached"), spec(), True),
        (Silences(trouble="it cannot be reached"), spec(), False),
        (Silences(trouble="it cannot be reached"), spec(respectSilences=True), True),
        (Silences(trouble="it cannot be reached"), enforcing(ALERT), True),
        (Silences((Silence("s", (Matcher("pod", "api-.*", is_regex=True),)),)), spec(), True),
        (Silences((Silence("s", (Matcher("deployment", "api"),)),)), spec(), True),
        (Silences((Silence("s", (Matcher("severity", "info"),)),)), spec(), False),  # applies to no workload
        (Silences((Silence("s", (Matcher("namespace", "shop", is_equal=False),)),)), spec(), False),
        (Silences((Silence("s", (Matcher("namespace", "shop"), Matcher("alertname", "Other"))),)), spec(), False),
        # Expressions of RE2 that Python does not know, or reads otherwise; `matches`: whether they match the pod, None where
        # they cannot be read, which is taken to hold whichever way round.
        *[
            (
                Silences((Silence("s", (Matcher("namespace", "shop"), Matcher("pod", value, True, equal))),)),
                spec(),
                matches is None or matches is equal,
            )
            for value, matches in (
                ("[[:alnum:]-]+", True),
                ("[^[:space:]]+", True),
                (r"\Qapi\E.*", True),
                (r"\pL.+", True),
                ("(?U)api.*", True),
                ("api{,3}", False),
                ("api-2|api", False),
                ("api-1|other", True),
                ("(?=api)", None),
                ("api-\ud800", None),
            )
            for equal in (True, False)
        ],
        (Silences((Silence("s", (Matcher("deployment", "ap", is_regex=True),)),)), spec(), False),  # the whole value
    ],
)
def test_silences(silences: Silences | None, policy: dict[str, Any], stopped: bool) -> None:
    asked = ask(candidate(spec=policy), situation(around=around(silences=silences)))
    assert [skip.reason for skip in asked] == ([SkipReason.SILENCED] if stopped else [])


def test_no_expression_of_a_silence_takes_more_than_linear_time() -> None:
    """With Python's expressions this one took minutes for a name of 40 characters, and blocked the loop."""
    slow = Matcher("pod", "([a-z0-9]+-?)+-worker", is_regex=True)
    name = "a" * 50_000
    assert not slow.holds(name)
    assert slow.holds(f"{name}-worker")


def test_a_silence_of_one_alert_holds_for_actions_that_follow_from_it() -> None:
    about = silence(Matcher("namespace", "shop"), Matcher("alertname", "Leaks"))
    from_alert = candidate(target([exhausting(pod("api-1"), signal="alert"), healthy(pod("api-2")), healthy(pod("api-3"))]),
                           enforcing(ALERT))  # fmt: skip
    assert [skip.reason for skip in ask(from_alert, situation(around=about))] == [SkipReason.SILENCED]
    assert not ask(candidate(), situation(around=about))


@pytest.mark.parametrize(
    ("changes", "scalers", "owner"),
    [
        ({}, {("shop", "api"): "the KEDA ScaledObject api"}, "the KEDA ScaledObject api"),
        ({}, {("other", "api"): "the HorizontalPodAutoscaler api"}, ""),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"}},
            {},
            "Argo CD application shop",
        ),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "api"}}, {}, "the Flux HelmRelease api"),
        ({"owner": "MCPServer api"}, {}, "the MCPServer api that controls it"),
    ],
)
def test_who_owns_the_replicas_is_named_and_never_fought(changes: dict[str, Any], scalers: Any, owner: str) -> None:
    skips = ask(candidate(three(**changes), action=SCALE), situation(around=around(autoscalers=scalers)))
    assert [skip.reason for skip in skips] == ([SkipReason.REPLICAS_OWNED] if owner else [])
    assert not owner or owner in skips[0].message
    # an eviction is not a conflict
    assert not ask(candidate(three(**changes)), situation(around=around(autoscalers=scalers)))


@pytest.mark.parametrize(
    ("changes", "stopped"),
    [
        ({"strategy": "Recreate"}, SkipReason.TOO_FEW_REPLICAS),
        ({"max_unavailable": "100%"}, SkipReason.TOO_FEW_REPLICAS),
        ({"max_unavailable": 2}, SkipReason.BUDGET_EXHAUSTED),
        ({"max_unavailable": 0, "max_surge": 1}, None),
        ({"replicas": 1, "updated_replicas": 1}, None),  # 25% of one: a new pod serves before the old one goes
    ],
)
def test_a_rollout_counts_with_the_pods_that_it_takes_away_at_once(
    changes: dict[str, Any], stopped: SkipReason | None
) -> None:
    one = single() if changes.get("replicas") == 1 else three(**changes)
    skips = {skip.reason for skip in ask(candidate(one, action=RESTART), FREE)}
    assert stopped in skips if stopped else not skips


def test_a_process_that_the_kubelet_restarted_is_as_young_as_a_new_pod() -> None:
    young = workload()
    member = pod("api-1", created=NOW - 86_400)
    restarted = replace(member, containers=(replace(member.containers[0], started=NOW - 30),))
    one = replace(three(), workload=young, pods=(exhausting(restarted), *three().pods[1:]))
    assert [skip.reason for skip in ask(candidate(one), FREE)] == [SkipReason.WARMING_UP]
    off = enforcing(warmUp="0s")
    assert not ask(candidate(one, off), FREE)


def test_a_storm_of_actions_stops_everything_until_its_cooldown_is_over() -> None:
    many = Surroundings(limits=Limits(namespace_actions=100, cluster_actions=100), autoscalers={})
    storm = [*elsewhere(5, "other", 1700), *elsewhere(5, "third", 1700)]
    asked = ask(candidate(), situation(around=many, reports=storm))
    assert [skip.reason for skip in asked] == [SkipReason.STORM_ACTIVE]
    later = [*elsewhere(5, "other", 1801), *elsewhere(5, "third", 1801)]
    assert not ask(candidate(), situation(around=many, reports=later))
    off = replace(many, limits=replace(many.limits, storm_enabled=False))
    assert not ask(candidate(), situation(around=off, reports=storm))


def test_one_namespace_alone_stops_itself_and_no_other() -> None:
    """Ten Deployments under one tenant's policy, with a threshold of 1, once stopped all remediation of the cluster."""
    many = Surroundings(limits=Limits(namespace_actions=100, cluster_actions=100), autoscalers={})
    assert not ask(candidate(), situation(around=many, reports=elsewhere(90, "other", 1700)))
    mine = [replace(each, namespace="shop") for each in elsewhere(10, "shop", 1700)]
    (skip,) = ask(candidate(), situation(around=many, reports=mine))
    assert skip.reason is SkipReason.STORM_ACTIVE
    assert "nothing is done in shop until" in skip.message


def test_what_only_observes_makes_no_storm() -> None:
    observed = [report(f"w{n}", exhausting_ago=60.0 * n) for n in range(10)]
    policies = {each.spec.policy.uid for each in observed}
    assert not ask(candidate(), replace(situation(reports=observed), looking_on=policies))


def test_an_action_that_takes_long_gives_its_slot_to_others() -> None:
    slow = elsewhere(1, "other", 1900, result=ActionResult.VERIFYING)
    assert not ask(candidate(), situation(reports=slow))
    quick = elsewhere(1, "other", 1700, result=ActionResult.VERIFYING)
    assert [skip.reason for skip in ask(candidate(), situation(reports=quick))] == [SkipReason.OTHERS_IN_FLIGHT]


def test_records_that_cannot_be_written_in_one_namespace_hold_up_that_one_only() -> None:
    assert not ask(candidate(), replace(FREE, records_troubles={"other": "it is being deleted"}))
    (skip,) = ask(candidate(), replace(FREE, records_troubles={"shop": "it is being deleted"}))
    assert (skip.reason, skip.message) == (SkipReason.RECORDS_UNAVAILABLE, "it is being deleted")


def test_a_record_of_which_nobody_knows_the_namespace_counts_in_every_namespace() -> None:
    legacy = {f"uid-{n}": [record(ago=3000, id=f"l{n}", workload_uid=f"uid-{n}")] for n in range(10)}
    asked = ask(candidate(), replace(FREE, records=legacy))
    assert [skip.reason for skip in asked] == [SkipReason.NAMESPACE_BUDGET_EXHAUSTED]


def test_a_refused_eviction_counts_in_no_budget_and_a_failed_one_in_all() -> None:
    refused = records(12, 700, 3600, phase=ActionPhase.BLOCKED)
    assert not ask(candidate(), situation(refused))
    failed = records(12, 700, 3600, phase=ActionPhase.FAILED)
    assert [skip.reason for skip in ask(candidate(), situation(failed))] == [SkipReason.WORKLOAD_BUDGET_EXHAUSTED]


def test_a_canary_that_failed_does_not_speak_for_its_siblings() -> None:
    slow = enforcing(actions=[{"type": "EvictPod", "timeout": "1h"}])
    history = [
        record(ago=1200, id="a3", result=ActionResult.VERIFYING),
        record(ago=2400, id="a2", result=ActionResult.INEFFECTIVE),
        record(ago=3600, id="a1", result=ActionResult.EFFECTIVE),
    ]
    assert [skip.reason for skip in ask(candidate(spec=slow), situation(history))] == [SkipReason.CANARY_PENDING]


def test_every_pause_request_is_told_with_its_reason() -> None:
    both = spec(pauseRequests=[{"name": "db", "reason": "migration"}, {"name": "sre", "reason": "incident 7"}])
    (skip,) = ask(candidate(spec=both), FREE)
    assert skip.message == "paused by db: migration; sre: incident 7"


def test_pods_that_are_killed_at_once_are_spared_unless_the_audit_is_off_and_may_be_helped_by_another_replica() -> None:
    abrupt = three(termination_grace=0)
    assert [skip.reason for skip in ask(candidate(abrupt), FREE)] == [SkipReason.DROPS_REQUESTS]
    assert [skip.reason for skip in ask(candidate(abrupt, action=RESTART), FREE)] == [SkipReason.DROPS_REQUESTS]
    assert not ask(candidate(abrupt, action=SCALE), FREE)
    assert not ask(candidate(abrupt, spec=spec(audit={"enabled": False})), FREE)
    unknown_length = three(containers=(container(pre_stop=PreStop("exec", None)),))
    assert not ask(candidate(unknown_length), FREE)
