"""Thirty ways in which automated remediation has caused outages of its own, each shown to be impossible here.

1   test_an_empty_selection_is_never_everything
2   test_no_answer_is_neither_zero_nor_a_leak
3   test_after_a_hole_in_the_readings_nothing_is_done_until_they_are_whole
4   test_without_a_limit_nothing_is_near_it
5   test_a_metric_that_is_always_zero_is_not_measured
6   test_eight_hours_of_pods_that_leak_for_ever_are_a_few_evictions_and_no_rollout
7   test_fifteen_deployments_that_leak_at_once_are_not_restarted_at_once
8   test_starting_the_operator_starts_nothing_else
9   test_a_cooldown_outlives_the_process_that_began_it
10  test_of_two_replicas_exactly_one_acts
11  test_a_pod_that_is_being_remediated_counts_as_away
12  test_the_breakers_are_on_and_cannot_be_set_to_everything
13  test_when_everything_comes_back_at_once_nobody_is_remediated_for_it
14  test_what_was_carried_out_and_did_not_help_is_not_repeated_for_ever
15  test_readings_of_the_pod_that_is_gone_do_not_judge_the_one_that_came
16  test_what_is_verified_is_counted_from_when_the_new_pod_serves
17  test_replicas_that_another_owns_are_left_alone
18  test_a_template_that_an_operator_owns_is_not_changed
19  test_nothing_drifts_from_git_unless_somebody_asks_for_it
20  test_a_disruption_budget_is_never_gone_around_and_never_waited_for_for_ever
21  test_a_slow_dependency_does_not_restart_everybody
22  test_the_cure_stops_where_it_does_not_recover
23  test_an_alert_acts_only_while_it_fires_and_nobody_silenced_it
24  test_evidence_is_taken_gently_and_from_one_pod_at_a_time
25  test_a_sawtooth_and_a_full_page_cache_are_no_leaks
26  test_a_pause_holds_until_its_own_author_takes_it_back
27  test_a_thousand_leaking_pods_are_twenty_small_reports
28  test_the_account_can_change_nothing_that_was_not_asked_for
29  test_a_leak_of_database_connections_is_not_scaled_out
30  test_a_pod_that_would_be_killed_amid_its_requests_is_not_evicted
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from leakwarden.adapters.cluster import actions as api
from leakwarden.adapters.cluster.fence import Fence, FencedCluster
from leakwarden.adapters.evidence.pprof import PprofClient
from leakwarden.adapters.evidence.ways import Target
from leakwarden.api import names
from leakwarden.api.v1alpha1.policy import Remediation, Selector
from leakwarden.core.detection.detector import LEAKING
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay import replay
from leakwarden.core.guards.limits import Limits
from leakwarden.core.guards.silences import Matcher, Silence, Silences
from leakwarden.core.model.policy import parse_policy, selects
from leakwarden.core.model.readings import NoData, QueryFailed, Sampled
from leakwarden.core.model.workload import PreStop
from leakwarden.core.signals.criteria import Standard
from leakwarden.core.signals.queries import needed_queries
from leakwarden.engine.guard_context import GuardContext
from leakwarden.engine.ports import Attempt, Outcome
from tests.builders import NOW, body, container, enforcing, pod, points, policy, sampled, snapshot, workload
from tests.integration.chart.helm_chart import render, rights
from tests.unit import election_world
from tests.unit.engine.crash_world import Camera
from tests.unit.engine.engine_world import World
from tests.unit.engine.outage_scenes import (
    ApiServer,
    PprofPort,
    answered,
    become,
    fleet,
    hours,
    leaking_for_ever,
    reasons,
    tick,
)
from tests.unit.planning.plan_story import Rules

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
VALUES = yaml.safe_load((ROOT / "charts/leakwarden/values.yaml").read_text(encoding="utf-8"))
SOON = {"cooldown": "10s", "podCooldown": "0s", "warmUp": "0s", "verification": {"settle": "1m", "timeout": "4m"}}
SCALE = {"type": "ScaleOut", "maxReplicas": 5}
EVICT = {"type": "EvictPod"}
RESTART = {"type": "RolloutRestart"}
ALL_FULL = {"api-1": 950.0, "api-2": 950.0, "api-3": 950.0}


async def test_an_empty_selection_is_never_everything() -> None:
    """1. Diskerase took an empty set of machines for all of them and wiped a CDN (SRE book, chapter 7)."""
    assert "selector" in parse_policy(body(spec={"selector": {}})).error
    assert not selects(Selector.model_construct(match_labels={}, match_expressions=[]), {"team": "shop"})
    schema = (ROOT / "crds/leakwarden.dev_reliabilitypolicies.yaml").read_text(encoding="utf-8")
    assert "an empty selector would mean every Deployment" in " ".join(schema.split())
    world = World(spec={**enforcing(), "selector": {"matchLabels": {"team": "nobody"}}})
    await tick(world, ALL_FULL)
    assert world.changes() == []
    assert world.condition("Ready") == ("True", "NoTargets")


@pytest.mark.parametrize("values", [[], ["NaN"] * 5, ["+Inf"] * 5, ["950", "950", "950", "950", "NaN"]])
async def test_no_answer_is_neither_zero_nor_a_leak(values: list[str]) -> None:
    """2. KEDA read an empty or NaN answer as 0 and scaled to the minimum at peak (keda#3065, keda#8036, keda#1850)."""
    answer = answered(values, limit="1000")
    world = World(spec=enforcing())
    world.metrics.answer = answer
    await world.engine.tick()
    if isinstance(answer, NoData):
        assert world.condition("Healthy") == ("Unknown", "NotJudged"), "not healthy either"
        assert world.changes() == []
    else:
        assert isinstance(answer, Sampled)
        assert all(np.isfinite(series.v).all() for series in answer.series.values()), "what is no number is not there"
    world = World(spec=enforcing())
    world.metrics.answer = QueryFailed("Timeout", "no answer in 10s")
    await world.engine.tick()
    assert world.changes() == []


async def test_after_a_hole_in_the_readings_nothing_is_done_until_they_are_whole() -> None:
    """3. After a restart of Prometheus averages are low, `for` begins again and absent() fires (mimir#7691,
    cloudflare/pint#966, ankhmorpork#1525)."""
    world = World()
    before = points([950] * 5, until=NOW - 1200)
    for minutes in range(1, 11):
        now = NOW + 60 * minutes
        after = points([950] * (2 * minutes), until=now)
        whole = sampled({"api-1": after, "api-2": points([50] * 5, until=now), "api-3": points([50] * 5, until=now)})
        (key,) = [key for key in whole.series if key.pod == "api-1"]
        both = replace(before, t=np.append(before.t, after.t), v=np.append(before.v, after.v))
        world.metrics.answer = replace(whole, series={**whole.series, key: both})
        world.now = now
        await world.engine.tick()
        assert world.changes() == []
    assert "Refilling" in reasons(world)
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later(60)
    assert len(world.changes()) == 1, "ten minutes without a hole"


@pytest.mark.parametrize("limit", [None, "0", "-1", "+Inf", "9223372036854771712"])
async def test_without_a_limit_nothing_is_near_it(limit: str | None) -> None:
    """4. A pod without a memory limit was infinitely full, and evicted again and again
    (soft-pod-memory-evicter#69)."""
    signal = {"name": "memory", "type": "WorkingSet", "role": "Leak", "threshold": {"above": "80%", "for": "1m"}}
    world = World(spec=enforcing(signal))
    become(world, *world.pods, containers=(container(memory_limit=None),))
    world.metrics.answer = answered(["4e9"] * 5, limit)
    await world.engine.tick()
    assert world.changes() == []
    assert world.condition("Healthy") == ("Unknown", "NotJudged")
    assert "MemoryLimitMissing" in {finding.check for finding in world.status.workloads[0].findings}


async def test_a_metric_that_is_always_zero_is_not_measured() -> None:
    """5. The kubelets exported TCP statistics as a constant 0 (kubernetes#60279, datadog-agent#3242)."""
    world = World(spec=enforcing({"name": "sockets", "type": "Sockets", "threshold": {"above": "100", "for": "1m"}}))
    world.metrics.answer = answered(["0"] * 5, never_zero=True)
    await world.engine.tick()
    assert world.condition("Healthy") == ("Unknown", "NotJudged")
    assert world.status.signals[0].reason == "ConstantZero"


async def test_eight_hours_of_pods_that_leak_for_ever_are_a_few_evictions_and_no_rollout() -> None:
    """6. One flapping Secret made Reloader create 80,000 ReplicaSets (stakater/Reloader#1183)."""
    world = leaking_for_ever(enforcing())
    await world.live(8 * 3600)
    assert {what for _, what, _ in world.cluster.happened} == {"EvictPod"}, "the pod template is not touched"
    assert 3 <= len(world.cluster.happened) <= Remediation().budget.actions


async def test_fifteen_deployments_that_leak_at_once_are_not_restarted_at_once() -> None:
    """7. Thousands of rollouts at the same moment (stakater/Reloader#220, descheduler#1449, descheduler#1712)."""
    restart = enforcing(actions=[RESTART], **SOON)
    world = fleet(15, restart)
    for _ in range(29):
        await tick(world, 950.0)
    assert world.changes() == []
    assert "StormActive" in reasons(world), "so many at once have one cause"
    world = fleet(15, restart, replace(Limits(), storm_enabled=False))
    for minute in range(75):
        before = len(world.changes())
        await tick(world, 950.0)
        assert len(world.changes()) - before <= 1
        if minute == 59:
            assert 1 <= len(world.changes()) <= Limits().cluster_actions
    under_way = {r.workload_uid for r in world.engine.last.actions if r.result == "Verifying"}
    assert len(under_way) <= Limits().max_concurrent


async def test_starting_the_operator_starts_nothing_else() -> None:
    """8. A redeployed VPA updater evicted two to three thousand pods within twenty minutes (autoscaler#2180)."""
    world = fleet(5, enforcing(**SOON), started=NOW)
    for _ in range(20):
        world.engine = world.fresh_engine()
        world.engine.guard_context = GuardContext(lambda _: "", limits=Limits(), started=world.now)
        for _ in range(4):
            await tick(world, 950.0)
            assert reasons(world) == {"QuietAfterStart"}
    assert world.changes() == []
    await tick(world, 950.0)
    assert len(world.changes()) == 1, "five quiet minutes after the last start, and with one at a time"


async def test_a_cooldown_outlives_the_process_that_began_it() -> None:
    """9. Cooldowns and restarts were kept in memory and forgotten (dot-ai-controller#16, Robusta's RateLimiter,
    Reloader#1144)."""
    world = World(spec=enforcing(cooldown="10m", podCooldown="10m"))
    for _ in range(9):
        world.engine = world.fresh_engine()
        await tick(world, ALL_FULL)
    assert len(world.changes()) == 1
    assert {"CooldownActive"} <= reasons(world)


async def test_of_two_replicas_exactly_one_acts() -> None:
    """10. Two replicas act twice, or with equal priorities all freeze: kopf's peering is not a leader election (kopf's
    docs/peering.rst, nolar/kopf#1266)."""
    world = World(spec=enforcing(**SOON))
    fences = [Fence(lambda: world.now), Fence(lambda: world.now)]
    fences[0].set(NOW - 10, NOW + 3600)
    server, engines = world.cluster, []
    for fence in fences:
        world.cluster = FencedCluster(server, fence)  # type: ignore[assignment]
        engines.append(world.fresh_engine())
    world.cluster = server
    world.levels(**{name.replace("-", "_"): level for name, level in ALL_FULL.items()})
    await engines[1].tick()
    assert world.cluster.done == [], "whoever does not lead writes nothing at all"
    await engines[0].tick()
    await engines[1].tick()
    assert len(world.changes()) == 1
    equals = election_world.World([1.0, 1.0], [], seed=7)
    equals.run(120.0)
    assert equals.acts, "equals do not freeze"
    assert len({who for _, who in equals.acts}) == 1
    assert election_world.overlaps(equals.reigns) == []


async def test_a_pod_that_is_being_remediated_counts_as_away() -> None:
    """11. Machines under remediation were counted as healthy, past the breaker (machine-api-operator#902)."""
    world = World(spec=enforcing(**SOON, budget={"maxUnavailable": 1}))
    await tick(world, ALL_FULL)
    assert world.changes() == [("evict", "uid-api-1")]
    become(world, pod("api-9", created=world.now + 1, ready=False), *world.pods[1:])
    for _ in range(20):
        await tick(world, {**ALL_FULL, "api-9": 10.0})
    assert len(world.changes()) == 1
    assert "BudgetExhausted" in reasons(world)


def test_the_breakers_are_on_and_cannot_be_set_to_everything() -> None:
    """12. Cluster API's MachineHealthCheck allows 100 % unhealthy by default, which switches its breaker off."""
    defaults = policy(spec=enforcing()).spec
    assert defaults is not None
    assert defaults.remediation.budget.max_unavailable == 1
    assert defaults.remediation.circuit_breaker.failures == 3
    for everything in ("100%", "0%", 0, "150%"):
        refused = parse_policy(body(spec=enforcing(budget={"maxUnavailable": everything})))
        assert "maxUnavailable must be" in refused.error or "maxUnavailable" in refused.error
    assert Limits().storm_enabled
    assert VALUES["guards"]["storm"]["enabled"] is True
    assert VALUES["guards"]["maxConcurrent"] == Limits().max_concurrent == 1


async def test_when_everything_comes_back_at_once_nobody_is_remediated_for_it() -> None:
    """13. The recovery of an outage made healthy targets look unhealthy, and they were remediated (the reason of
    node-healthcheck-operator's storm cooldown)."""
    world = fleet(12, enforcing(**SOON))
    for _ in range(10):
        await tick(world, None)
    for _ in range(3):
        await tick(world, 950.0)
    assert world.changes() == []
    assert "StormActive" in reasons(world)
    for _ in range(40):
        await tick(world, 20.0)
    assert world.changes() == []


async def test_what_was_carried_out_and_did_not_help_is_not_repeated_for_ever() -> None:
    """14. Completed was taken for success: 39 identical remediations, endless loops (kubernaut#214, #616, #722,
    #1090; node-operation-controller#31; descheduler#424)."""
    world = leaking_for_ever(enforcing(**{**SOON, "cooldown": "1m"}))
    await world.live(5 * 3600)
    results = [record.result for report in world.reports for record in report.status.actions]
    assert results == ["Ineffective"] * 3
    assert {what for _, what, _ in world.cluster.happened} == {"EvictPod"}
    assert len(world.cluster.happened) == 3
    assert world.condition("Stalled") == ("True", "CircuitOpen")
    unread = World(spec=enforcing(**SOON))
    await tick(unread, {**ALL_FULL, "api-2": 50.0, "api-3": 50.0})
    become(unread, pod("api-9", created=unread.now + 1), *unread.pods[1:])
    for _ in range(6):
        await tick(unread, {"api-2": 50.0, "api-3": 50.0})
    assert unread.report.status.phase == "Inconclusive", "no readings of the new pod are no success"


async def test_readings_of_the_pod_that_is_gone_do_not_judge_the_one_that_came() -> None:
    """15. Series of dead pods kept the prediction firing, and verdicts came too early (kubernaut#269, #625;
    prometheus-operator#1516)."""
    world = World(spec=enforcing(**SOON))
    await tick(world, {"api-1": 950.0, "api-2": 50.0, "api-3": 50.0})
    evicted, born = world.now, world.now + 1
    # A pod of the same name: readings under the name from before it began belong to another process.
    become(world, pod("api-1", uid="uid-another", created=born), *world.pods[1:])
    for minute in (1, 2, 3):
        world.now = evicted + 60 * minute
        t = np.concatenate([np.arange(evicted - 120, evicted, 30.0), np.arange(born + 2, world.now + 1, 15.0)])
        v = np.where(t < born, 950.0, 12.0)
        stale = points([950.0] * 4, until=world.now)
        world.metrics.answer = sampled({"api-1": replace(stale, t=t, v=v), "api-2": points([50] * 5, until=world.now),
                                        "api-3": points([50] * 5, until=world.now), "api-0": stale})  # fmt: skip
        await world.engine.tick()
        if minute == 1:
            assert world.report.status.phase == "Verifying", "nothing is concluded before it has settled"
    assert world.report.status.phase == "Effective"
    assert "at most 12, was 950" in world.report.status.message


async def test_what_is_verified_is_counted_from_when_the_new_pod_serves() -> None:
    """16. The canary's clock ran from before the action had succeeded (attune#565)."""
    world = World(spec=enforcing(**{**SOON, "verification": {"settle": "1m", "timeout": "30m"}}))
    world.cluster.outcome = Attempt(Outcome.FAILED, "the API server answered 500")
    await tick(world, {"api-1": 950.0, "api-2": 50.0, "api-3": 50.0})
    assert world.report.status.phase == "Detected", "nothing that failed is verified"
    world.cluster.outcome = Attempt(Outcome.DONE)
    await tick(world, {"api-1": 950.0, "api-2": 50.0, "api-3": 50.0})
    coming = pod("api-9", created=world.now + 1, ready=False)
    become(world, coming, *world.pods[1:])
    calm = {"api-9": 12.0, "api-2": 50.0, "api-3": 50.0}
    for _ in range(10):
        await tick(world, calm)
        assert world.report.status.phase == "Verifying"
        assert world.report.status.verification is not None
        assert world.report.status.verification.since is None
    become(world, replace(coming, ready=True), *world.pods[1:])
    await tick(world, calm)
    assert world.report.status.phase == "Verifying"
    await tick(world, calm)
    assert world.report.status.phase == "Effective"


@pytest.mark.parametrize(
    "owned",
    [
        {"autoscalers": {("shop", "api"): "the HorizontalPodAutoscaler api"}},
        {"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api"}},
        {"labels": {"app": "api", "team": "shop", "kustomize.toolkit.fluxcd.io/name": "apps"}},
    ],
    ids=["an autoscaler", "Argo CD", "Flux"],
)
async def test_replicas_that_another_owns_are_left_alone(owned: dict[str, Any]) -> None:
    """17. Tools fought the autoscaler and Git over the replicas (argo-cd#5105, flux2#1842, robusta#736,
    garbo#695)."""
    world = World(spec=enforcing(actions=[SCALE]))
    become(world, *world.pods, **owned)
    await tick(world, ALL_FULL)
    assert world.changes() == []
    assert "ReplicasOwned" in reasons(world)
    world = World(spec=enforcing(actions=[SCALE, EVICT]))
    become(world, *world.pods, **owned)
    await tick(world, ALL_FULL)
    assert world.changes() == [("evict", "uid-api-1")], "what nobody reverts"


async def test_a_template_that_an_operator_owns_is_not_changed() -> None:
    """18. The owning operator reverted the restart (toolhive#6344, Reloader#1011)."""
    world = World(spec=enforcing(actions=[RESTART]))
    become(world, *world.pods, owner="MCPServer api")
    await tick(world, ALL_FULL)
    assert world.changes() == []
    assert "TemplateOwned" in reasons(world)
    world = World(spec=enforcing(actions=[RESTART, EVICT]))
    become(world, *world.pods, owner="MCPServer api")
    await tick(world, ALL_FULL)
    assert world.changes() == [("evict", "uid-api-1")]


async def test_nothing_drifts_from_git_unless_somebody_asks_for_it() -> None:
    """19. A restart by annotation was drift for good (Reloader#333, argo-cd#28769)."""
    assert [str(action.type) for action in Remediation().actions] == ["EvictPod"]
    assert VALUES["actions"]["rolloutRestart"]["enabled"] is False
    assert VALUES["actions"]["rolloutRestart"]["admissionPolicy"] is True
    server = ApiServer(200)
    await api.restart_rollout(server.session, workload(), "2026-09-21T00:00:00Z")
    ((_, _, patch),) = server.asked
    assert patch == {
        "metadata": {"resourceVersion": "100"},
        "spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-09-21T00:00:00Z"}}}},
    }  # fmt: skip
    assert names.RESTARTED_AT_ANNOTATION == "kubectl.kubernetes.io/restartedAt"


async def test_a_disruption_budget_is_never_gone_around_and_never_waited_for_for_ever() -> None:
    """20. Deleting goes around PodDisruptionBudgets, and waiting for one deadlocks (kruise#646, pod-migration#42,
    autoscaler#4284, kubernetes#66811, kubernetes#140599)."""
    cause = {
        "reason": "DisruptionBudget",
        "message": "The disruption budget api needs 3 healthy pods and has 3 currently",
    }
    server = ApiServer(429, {"kind": "Status", "code": 429, "details": {"causes": [cause]}})
    attempt = await api.evict(server.session, pod())
    assert attempt == Attempt(Outcome.BLOCKED, "PodDisruptionBudget api does not allow a disruption now", budget="api")
    assert [(method, path.rpartition("/")[2]) for method, path, _ in server.asked] == [("POST", "eviction")]
    world = World(spec=enforcing(actions=[EVICT, SCALE]))
    world.cluster.outcome = attempt
    for _ in range(12):
        await tick(world, {"api-1": 950.0, "api-2": 50.0, "api-3": 50.0})
    kinds = [kind for kind, _ in world.changes()]
    assert kinds[0] == "evict"
    assert kinds[-1] == "scale", "after its timeout the next rung: one more pod, so that the budget has room"
    assert set(kinds) == {"evict", "scale"}


async def test_a_slow_dependency_does_not_restart_everybody() -> None:
    """21. Everything was restarted because a dependency was slow (post-mortems of liveness cascades, such as
    vdnt.click 2023)."""
    errors = {"name": "errors", "type": "HTTPErrors", "threshold": {"above": "5%", "for": "1m"}}
    leak = {"name": "descriptors", "type": "Descriptors", "threshold": {"above": "99%", "for": "1m"}}
    world = World(spec=enforcing(errors, leak, **SOON))
    for _ in range(30):
        await tick(world, ALL_FULL)  # 95 % of many requests fail; descriptors are below their threshold
    assert world.changes() == []
    assert world.status.targets.suspect + world.status.targets.healthy == 3
    piled_up = hours(
        2, Rules(failures=3, sleep_window=6 * 3600, verified_within=240), replicas=20, successors="exhausting"
    )
    assert await piled_up.live() == []
    assert len(piled_up.asked_for) == 3, "of twenty that wait for it, as often as it takes to see that it does not help"


async def test_the_cure_stops_where_it_does_not_recover() -> None:
    """22. The traffic of the recovery was the outage: a re-mirroring storm (AWS 65648, 2011)."""
    world = hours(2, Rules(max_unavailable=1), replicas=10, start_up=100_000)
    assert await world.live() == []
    assert len(world.asked_for) == 1, "its successor never serves, so no other is taken away"


async def test_an_alert_acts_only_while_it_fires_and_nobody_silenced_it() -> None:
    """23. Pending and silenced alerts blocked or triggered (kured#393, kured#499)."""
    alert = {"name": "alert", "type": "Alert", "role": "Leak", "alert": {"name": "Leaks"}}
    (query,) = needed_queries([policy(spec=enforcing(alert))])
    assert 'alertstate="firing"' in query.value
    world = World(spec=enforcing(alert))
    world.metrics.answer = NoData("NoSeries", "no pod of these namespaces has it")
    await world.engine.tick()
    assert world.condition("Healthy") == ("True", "NoLeak"), "pending is not firing"

    class Alertmanager:
        async def active(self) -> Silences:
            return Silences((Silence("s1", (Matcher("namespace", "shop"), Matcher("alertname", "Leaks"))),))

    world.engine.guard_context = GuardContext(lambda _: "", Alertmanager())
    await tick(world, {"api-1": 1.0})
    assert world.changes() == []
    assert reasons(world) == {"Silenced"}
    world.engine.guard_context = GuardContext(lambda _: "")
    await tick(world, {"api-1": 1.0})
    assert world.changes() == [("evict", "uid-api-1")]


async def test_evidence_is_taken_gently_and_from_one_pod_at_a_time() -> None:
    """24. A dump of 14,800 goroutines stopped the service for 9.5 s (cockroach#14602)."""
    port = PprofPort()
    client = PprofClient(port, pause=0.0)
    await client.capture(Target(pod(pod_ip="10.0.0.7"), 6060), 14_800)
    await client.capture(Target(pod(pod_ip="10.0.0.7"), 6060), 1_000_000)
    assert port.asked
    assert not [asked for asked in port.asked if "debug=2" in asked], "the form that stops the world is never asked for"
    crowded = PprofPort()
    await PprofClient(crowded, pause=0.0).capture(Target(pod(pod_ip="10.0.0.7"), 6060), 1_000_000)
    assert not [asked for asked in crowded.asked if "goroutine" in asked], "beyond the cap none at all"
    taken = 0

    class Counting(Camera):
        async def baseline(self, request: Any, renew: bool) -> bool:
            return True

        async def capture(self, request: Any) -> Any:
            nonlocal taken
            taken += 1
            return await super().capture(request)

    world = World(spec={"signals": enforcing()["signals"]}, profiler=Counting())
    await tick(world, ALL_FULL)
    assert taken == 1


async def test_a_sawtooth_and_a_full_page_cache_are_no_leaks() -> None:
    """25. Slopes of an hour, garbage collection and page cache raised false alarms (kubernetes-mixin#98,
    awesome-prometheus-alerts#467, mimir#2466)."""
    steps = np.arange(2880, dtype=np.float64)
    cycle = steps / 720
    start = 1_700_000_000.0
    heap = Series("heap", "shop", "api", pod="api-1", uid="u", start=start, limit=1000.0, t=start + 30.0 * steps,
                  v=100 + 800 * np.mod(cycle, 1.0), gc=np.floor(cycle))  # fmt: skip
    changes = replay([heap], Standard(), 30.0)
    assert changes
    assert max(change.verdict for change in changes) < LEAKING
    full = {"name": "memory", "type": "WorkingSet", "threshold": {"above": "90%", "for": "1m"}}
    world = World(spec=enforcing(full, {"name": "heap", "type": "Heap", "threshold": {"above": "99%", "for": "1m"}}))
    for _ in range(20):
        await tick(world, ALL_FULL)
    assert world.changes() == [], "supporting signals never act"
    assert world.status.targets.exhausting == 0


async def test_a_pause_holds_until_its_own_author_takes_it_back() -> None:
    """26. Pauses by annotation raced and overrode each other (keda#6982, keda#7231, keda#7774)."""
    both = [{"name": "db", "reason": "migration"}, {"name": "sre", "reason": "incident 7"}]
    world = World(spec={**enforcing(), "pauseRequests": both})
    await tick(world, ALL_FULL)
    world.policies.put(body(spec={**enforcing(), "pauseRequests": both[1:]}, metadata={"generation": 2}))
    world.cluster.generation = 2
    await tick(world, ALL_FULL)
    assert world.changes() == []
    assert reasons(world) == {"Paused"}
    # The last pause is taken back and another one made at once; the watch has shown only the first.
    world.policies.put(body(spec=enforcing(), metadata={"generation": 3}))
    world.cluster.generation = 4
    await tick(world, ALL_FULL)
    assert world.changes() == []
    world.cluster.generation = 3
    await tick(world, ALL_FULL)
    assert len(world.changes()) == 1


async def test_a_thousand_leaking_pods_are_twenty_small_reports() -> None:
    """27. Report objects overloaded etcd: "request is too large" (kyverno#2674, kyverno#11555, kyverno#17114)."""
    world = World(spec={"signals": enforcing()["signals"]})
    pods = [pod(f"api-{n:04}") for n in range(1000)]
    many = workload(replicas=1000, updated_replicas=1000, ready_replicas=1000)
    world.cluster.world = snapshot([many], pods)
    for _ in range(3):
        await tick(world, 950.0)
    assert len(world.reports) == 20
    assert world.status.workloads[0].unreported == 980
    written = [*world.cluster.written, *world.cluster.statuses]
    assert max(len(json.dumps(each)) for each in written) < 32_768  # bytes; one object may have 1.5 MiB


def test_the_account_can_change_nothing_that_was_not_asked_for() -> None:
    """28. Rights to update and delete in the whole cluster by default (robusta#2140, robusta#2141)."""
    reading = {"get", "list", "watch"}
    by_default = {(each.verb, each.resource) for each in rights(render()) if each.verb not in reading}
    own = ("leakwarden.dev/", "events.k8s.io/events", "coordination.k8s.io/leases")
    assert by_default
    assert all(resource.startswith(own) for _, resource in by_default)
    everything = {"actions": {kind: {"enabled": True} for kind in ("evictPod", "rolloutRestart", "scaleOut")}}
    granted = {(each.verb, each.resource) for each in rights(render(everything))}
    assert not {"*"} & {part for pair in granted for part in (*pair, *pair[1].split("/"))}
    assert ("delete", "/pods") not in granted
    assert not [resource for _, resource in granted if "secrets" in resource or "exec" in resource]


async def test_a_leak_of_database_connections_is_not_scaled_out() -> None:
    """29. More replicas open more connections to a database that has none left (reasoned; no thread was read)."""
    pool = {"name": "pool", "type": "DBPool", "threshold": {"above": "90%", "for": "1m"}}
    world = World(spec=enforcing(pool, actions=[SCALE]))
    await tick(world, ALL_FULL)
    assert world.changes() == []
    assert "WorsensLeak" in reasons(world)
    world = World(spec=enforcing(pool, actions=[SCALE, EVICT]))
    await tick(world, ALL_FULL)
    assert world.changes() == [("evict", "uid-api-1")]


async def test_a_pod_that_would_be_killed_amid_its_requests_is_not_evicted() -> None:
    """30. A preStop of 35 s within a grace period of 30 s: the restart itself dropped the requests
    (enterprise-installer#145)."""
    hook = (container(pre_stop=PreStop("sleep", 35)),)
    world = World(spec=enforcing())
    become(world, *world.pods, containers=hook, termination_grace=30)
    await tick(world, ALL_FULL)
    assert world.changes() == []
    assert reasons(world) == {"DropsRequests"}
    assert "GraceBelowDrain" in {finding.check for finding in world.status.workloads[0].findings}
    become(world, *world.pods, containers=hook, termination_grace=60)
    await tick(world, ALL_FULL)
    assert world.changes() == [("evict", "uid-api-1")]


def test_all_thirty_are_shown() -> None:
    module = sys.modules[__name__]
    listed = re.findall(r"^(\d+) +(test_\w+)$", module.__doc__ or "", re.MULTILINE)
    assert [int(number) for number, _ in listed] == list(range(1, 31))
    assert len({name for _, name in listed}) == 30
    for number, name in listed:
        told = inspect.getdoc(getattr(module, name)) or ""
        assert told.startswith(f"{number}. "), name
        assert "(" in told or number == "12", f"{name} names no source"
