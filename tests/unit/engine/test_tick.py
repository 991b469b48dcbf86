"""The tick as a whole, against small fakes of its ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.status import ActionPhase
from leakwarden.core.evaluation.evaluation import evaluate as evaluate_truly
from leakwarden.core.guards.limits import Limits
from leakwarden.core.model.policy import Policy, format_time
from leakwarden.core.model.readings import Answer, NoData, Query, QueryFailed
from leakwarden.core.model.workload import Pod, Workload
from leakwarden.engine.guard_context import GuardContext
from leakwarden.engine.ports import Attempt, ClusterUnavailable, Outcome, StatusConflict
from leakwarden.engine.reader import Reader
from tests.builders import NOW, body, enforcing, pod, points, sampled, snapshot, workload
from tests.unit.engine.engine_world import FakeMetrics, World


async def test_the_leaking_pod_is_evicted_with_its_intent_recorded_first_and_its_outcome_after() -> None:
    world = World()
    await world.engine.tick()
    assert [entry[0] for entry in world.cluster.done] == ["create", "report", "evict", "report", "status"]
    assert world.changes() == [("evict", "uid-api-1")]
    before, after = (status["actions"][0] for status in world.cluster.written)
    assert (before["phase"], before["podUID"], before["intendedAt"]) == ("Pending", "uid-api-1", format_time(NOW))
    assert (after["phase"], after["result"]) == ("Done", "Verifying")
    assert world.condition("Healthy") == ("False", "LeakDetected")
    assert "PodEvicted" in world.recorder.reasons("Deployment")
    assert "PodEvicted" in world.recorder.reasons("ReliabilityPolicy")


async def test_an_engine_that_is_ending_begins_no_action_and_tells_what_it_knows() -> None:
    world = World()
    world.engine.ending = True
    await world.engine.tick()
    assert world.changes() == []
    assert world.status.actions == []
    assert world.condition("Healthy") == ("False", "LeakDetected")


async def test_an_action_that_was_begun_before_the_end_is_told_to_its_end() -> None:
    world = World()

    async def evict(pod: Pod) -> Attempt:
        world.engine.ending = True
        return Attempt(Outcome.DONE, "evicted")

    world.cluster.evict = evict  # type: ignore[method-assign]
    await world.engine.tick()
    assert [record.phase for record in world.status.actions] == ["Done"]


async def test_a_second_tick_does_not_act_again() -> None:
    world = World()
    await world.engine.tick()
    world.now += 30
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]
    assert world.status.workloads[0].skipped is not None
    reasons = {"ActionPending", "CanaryPending", "CooldownActive", "PodCooldownActive"}
    assert set(world.status.workloads[0].skipped.reasons) == reasons


async def test_an_operator_started_anew_does_not_act_again() -> None:
    world = World()
    await world.engine.tick()
    world.now += 30
    await world.fresh_engine().tick()
    assert world.changes() == [("evict", "uid-api-1")]


async def test_a_pending_record_of_an_operator_that_had_no_reports_is_closed_and_not_repeated() -> None:
    world = World()
    await world.engine.tick()
    pending = {"actions": [world.cluster.written[0]["actions"][0]]}
    for gone, phase in ((False, "Interrupted"), (True, "Done")):
        world = World(status=pending)
        if gone:
            world.cluster.world = snapshot([workload()], [pod("api-9"), *world.pods[1:]])
        world.now += 30
        await world.engine.tick()
        assert world.changes() == []
        assert world.status.actions[0].phase == phase


@pytest.mark.parametrize("generation", [2, None, ClusterUnavailable("the API server answered 403")])
async def test_a_policy_that_may_not_say_any_more_what_is_known_of_it_acts_on_nothing(
    generation: int | Exception | None,
) -> None:
    world = World(spec=enforcing())
    world.cluster.generation = generation
    await world.engine.tick()
    assert world.changes() == []
    assert not [status for status in world.cluster.written if status.get("actions")], "no intent either"
    skipped = world.status.workloads[0].skipped
    assert skipped is not None
    assert skipped.reasons == ["ClusterNotSynced"]


async def test_in_observe_nothing_is_changed_and_what_would_be_done_is_reported() -> None:
    world = World(spec={"signals": enforcing()["signals"]})
    await world.engine.tick()
    assert world.changes() == []
    assert "WouldAct" in world.recorder.reasons("Deployment")
    skipped = world.status.workloads[0].skipped
    assert skipped is not None
    assert (skipped.action, skipped.pod, skipped.reasons) == ("EvictPod", "api-1", ["Observing"])


async def test_in_observe_an_installation_that_allows_nothing_still_reports_what_would_be_done() -> None:
    world = World(spec={**enforcing(), "mode": "Observe"})
    world.engine.permitted = frozenset()
    await world.engine.tick()
    (told,) = [
        each for each in world.recorder.told if each.reason == "WouldAct" and each.regarding.kind == "Deployment"
    ]
    assert "would EvictPod api-1" in told.note
    assert "would have to allow EvictPod" in told.note


@pytest.mark.parametrize(
    ("answer", "metrics"),
    [
        (QueryFailed("Unreachable", "connection refused"), ("False", "QueryFailed")),
        (NoData("NoSeries", "no series"), ("False", "NoData")),
        (sampled({}), ("False", "NoData")),
        (sampled({"api-1": points([990] * 5, until=NOW - 600)}), ("False", "NoData")),
    ],
    ids=["failed", "empty", "no pod of ours", "stale"],
)
async def test_missing_data_never_acts_and_the_condition_says_so(answer: Answer, metrics: tuple[str, str]) -> None:
    world = World()
    world.metrics.answer = answer
    await world.engine.tick()
    assert world.changes() == []
    assert world.condition("MetricsAvailable") == metrics
    assert world.condition("Healthy") == ("Unknown", "NotJudged")


async def test_new_pods_without_readings_are_no_news_until_they_are_old_enough_to_have_some() -> None:
    world = World()
    world.metrics.answer = sampled({})
    young = [pod(f"api-{n}", created=NOW - 5) for n in (1, 2, 3)]
    world.cluster.world = snapshot([workload()], young)
    await world.engine.tick()
    assert world.condition("MetricsAvailable") == ("Unknown", "NoData")
    assert world.recorder.reasons("ReliabilityPolicy") == []
    world.now += 180
    await world.engine.tick()
    assert world.condition("MetricsAvailable") == ("False", "NoData")
    assert world.recorder.reasons("ReliabilityPolicy") == ["SignalsUnavailable"]


async def test_the_first_readings_of_new_pods_are_no_news_either() -> None:
    world = World()
    full = world.metrics.answer
    world.metrics.answer = sampled({})
    world.cluster.world = snapshot([workload()], [pod(f"api-{n}", created=NOW - 5) for n in (1, 2, 3)])
    await world.engine.tick()
    world.metrics.answer = full
    await world.engine.tick()
    assert world.condition("MetricsAvailable") == ("True", "AllSignalsFresh")
    assert "SignalsAvailable" not in world.recorder.reasons("ReliabilityPolicy")


async def test_data_that_goes_missing_after_a_leak_was_seen_stops_the_action() -> None:
    world = World(spec={**enforcing(), "suspend": True})
    await world.engine.tick()
    assert world.condition("Healthy") == ("False", "LeakDetected")
    world.policies.put(body(spec=enforcing(), metadata={"generation": 2}, status=world.cluster.statuses[-1]))
    world.metrics.answer = QueryFailed("Timeout", "no answer in 10s")
    world.now += 30
    await world.engine.tick()
    assert world.changes() == []
    assert world.condition("Healthy") == ("Unknown", "NotJudged")


async def test_after_the_clock_was_put_back_what_was_read_before_does_not_look_fresh() -> None:
    world = World(spec={**enforcing(), "suspend": True})
    await world.engine.tick()
    assert world.condition("Healthy") == ("False", "LeakDetected")
    world.policies.put(body(spec=enforcing(), metadata={"generation": 2}, status=world.cluster.statuses[-1]))
    world.now -= 3600
    world.metrics.answer = NoData("NoSeries", "no series")
    await world.engine.tick()
    assert world.changes() == []
    assert world.condition("Healthy") == ("Unknown", "NotJudged")
    _, since, until = world.metrics.asked[-1]
    assert since < until == world.now
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later()
    assert world.condition("Healthy") == ("False", "LeakDetected"), "what is read now counts at once"


async def test_growth_that_was_seen_before_the_clock_was_put_back_is_measured_anew() -> None:
    world = World(spec={**enforcing({"name": "descriptors", "type": "Descriptors"}), "suspend": True})
    world.cluster.world = snapshot([workload()], [pod(f"api-{n}", created=NOW - 86_400) for n in (1, 2, 3)])

    class Unloaded(FakeMetrics):
        async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
            everything = await super().read(queries, since, now, step)
            none = NoData("NoSeries", "no series")
            return {key: answer if key == "Descriptors" else none for key, answer in everything.items()}

    world.metrics = Unloaded(world.metrics.answer)
    world.engine = world.fresh_engine()

    def read(levels: list[float], every: float) -> None:
        series = points(levels, every=every, until=world.now)
        world.metrics.answer = sampled({f"api-{n}": series for n in (1, 2, 3)})

    read([200 + 3 * n for n in range(250)], every=60)
    await world.engine.tick()
    assert world.condition("Healthy")[0] != "True"
    assert world.status.targets.healthy == 0
    world.now -= 3600
    read([50.0] * 240, every=15)
    await world.engine.tick()
    _, since, _ = world.metrics.asked[-1]
    assert since < world.now - 3600, "as much is read as at the start"
    assert world.status.targets.exhausting + world.status.targets.leaking + world.status.targets.suspect == 0


@pytest.mark.parametrize("changes", [{"synced": False}, {"age": 181.0}])
async def test_an_incomplete_or_old_view_of_the_cluster_never_acts(changes: dict[str, Any]) -> None:
    world = World()
    world.cluster.world = snapshot([workload()], world.pods, **changes)
    await world.engine.tick()
    assert world.changes() == []
    assert world.condition("MetricsAvailable") == ("Unknown", "ClusterNotSynced")


@pytest.mark.parametrize("error", [StatusConflict(), ClusterUnavailable("down")])
async def test_without_a_recorded_intent_nothing_is_done(error: Exception) -> None:
    world = World()

    async def refuse(*_: Any) -> str:
        raise error

    world.cluster.write_report_status = refuse  # type: ignore[method-assign, assignment]
    await world.engine.tick()
    assert world.changes() == []
    assert [str(skip.reason) for skip in world.engine.last.decisions[0].skips] == ["RecordsUnavailable"]


async def test_a_policy_edited_or_removed_since_it_was_judged_does_not_act() -> None:
    world = World()

    class Removing(FakeMetrics):
        async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
            world.policies.remove("uid-policy-shop")
            return await super().read(queries, since, now, step)

    world.engine.reader = Reader({}, Removing(world.metrics.answer), 30.0)
    await world.engine.tick()
    assert world.changes() == []
    assert [report.status.actions for report in world.reports] == [[]]


async def test_a_refused_eviction_is_one_record_however_often_it_is_tried() -> None:
    world = World()
    world.cluster.outcome = Attempt(Outcome.BLOCKED, "PodDisruptionBudget api forbids it")
    for _ in range(10):
        await world.engine.tick()
        world.now += 30
        world.metrics.answer = sampled({"api-1": points([950] * 5, until=world.now)})
    assert 2 <= len(world.changes()) <= 5
    assert [action.phase for action in world.status.actions] == [ActionPhase.BLOCKED]
    assert world.recorder.reasons("Deployment").count("EvictionBlocked") == 1


async def test_the_younger_of_two_policies_says_conflicted_and_leaves_the_deployment_alone() -> None:
    world = World()
    world.policies.put(body("young", spec=enforcing(), metadata={"creationTimestamp": format_time(NOW - 60)}))
    await world.engine.tick()
    old, young = world.policies.all()
    assert world.changes() == [("evict", "uid-api-1")]
    assert old.status.conditions[0].reason == "Reconciled"
    assert (young.status.conditions[0].status, young.status.conditions[0].reason) == ("False", "Conflicted")
    assert young.status.actions == []


async def test_an_invalid_policy_says_so_and_stops_no_other() -> None:
    world = World()
    world.policies.put(body("broken", spec={"mode": "Kill"}, metadata={"creationTimestamp": format_time(NOW - 60)}))
    await world.engine.tick()
    _, broken = world.policies.all()
    conditions = {c.type: (c.status, c.reason) for c in broken.status.conditions}
    assert conditions["Ready"] == ("False", "InvalidSpec")
    assert conditions["Stalled"] == ("True", "InvalidSpec")
    assert world.changes() == [("evict", "uid-api-1")]


async def test_a_source_that_does_not_exist_is_a_condition() -> None:
    world = World(spec={**enforcing(), "source": {"prometheus": "nowhere"}})
    await world.engine.tick()
    assert world.condition("Ready") == ("False", "UnknownSource")
    assert "the operator's configuration has: main" in world.status.conditions[0].message
    assert world.changes() == []


async def test_a_healthy_policy_is_written_once_and_then_left_alone() -> None:
    world = World()
    world.metrics.answer = sampled({p.name: points([50] * 5) for p in world.pods})
    for _ in range(5):
        await world.engine.tick()
    assert len(world.cluster.statuses) == 1
    assert world.condition("Healthy") == ("True", "NoLeak")
    assert world.recorder.told == []


async def test_each_signal_is_asked_once_for_all_policies_and_then_only_for_newer_points() -> None:
    world = World()
    world.policies.put(body("second", spec=enforcing(), metadata={"namespace": "other"}))
    await world.engine.tick()
    world.now += 30
    await world.engine.tick()
    _earlier, (first, since, _), (second, later, _) = world.metrics.asked
    assert sorted(first) == sorted(second) == ["Descriptors", "context/gc", "context/rate"]
    assert since <= NOW - 600
    assert later >= NOW - 61


async def test_an_effective_action_is_announced_with_before_and_after() -> None:
    world = World()
    await world.engine.tick()
    world.cluster.world = snapshot([workload()], [pod("api-9", created=world.now + 10), *world.pods[1:]])
    for _ in range(3):
        world.now += 60
        world.levels(api_9=12, api_2=12, api_3=12)
        await world.engine.tick()
    assert world.status.actions[0].result == "Effective"
    effective = [a for a in world.recorder.told if a.reason == "RemediationEffective"]
    assert "descriptors at most 12, was 950" in effective[0].note


async def test_the_status_of_five_hundred_leaking_pods_stays_small() -> None:
    world = World()
    names = [f"api-{n:03}" for n in range(500)]
    many = workload(replicas=500, updated_replicas=500, ready_replicas=500)
    world.cluster.world = snapshot([many], [pod(name) for name in names])
    world.metrics.answer = sampled({name: points([950] * 5) for name in names})
    await world.engine.tick()
    assert len(str(world.cluster.statuses[-1])) < 10_000
    assert len(world.changes()) == 1


async def test_a_defect_that_one_policy_brings_to_light_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.policies.put(body("cursed", metadata={"creationTimestamp": format_time(NOW - 9999), "namespace": "other"}))

    def evaluate(policy: Policy, *rest: Any, **named: Any) -> Any:
        if policy.name == "cursed":
            raise RuntimeError("a defect")
        return evaluate_truly(policy, *rest, **named)

    monkeypatch.setattr("leakwarden.engine.tick.evaluate", evaluate)
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]
    assert world.engine.defects.count == 1


async def test_a_policy_never_forgets_a_cooldown_however_many_actions_it_takes() -> None:
    world = World()
    wide = Limits(max_concurrent=100, namespace_actions=1000, cluster_actions=1000, storm_enabled=False)
    world.engine.guard_context = GuardContext(lambda _: "none is asked", limits=wide)
    names = [f"w{n:02}" for n in range(30)]
    pods = [pod(f"{name}-{n}", owner=name) for name in names for n in (1, 2)]
    deployments = [workload(name, replicas=2, updated_replicas=2, ready_replicas=2) for name in names]
    world.cluster.world = snapshot(deployments, pods)
    for _ in range(5):
        levels = {one.name: points([950 if one.name.endswith("1") else 50] * 5, until=world.now) for one in pods}
        world.metrics.answer = sampled(levels)
        await world.engine.tick()
        world.now += 60
    assert len(world.changes()) == len(set(world.changes())) == 30
    reasons = [skip.reason for decision in world.engine.last.decisions for skip in decision.skips]
    assert reasons.count(SkipReason.COOLDOWN_ACTIVE) == 30
    assert len(world.status.actions) == 20, "the view for people is bounded, the reports hold them all"


async def test_action_records_survive_a_status_that_somebody_else_has_damaged() -> None:
    world = World()
    await world.engine.tick()
    damaged = {**world.cluster.statuses[-1], "conditions": "all fine", "observedGeneration": "seven"}
    world.policies.put(body(spec=enforcing(), status=damaged))
    world.now += 30
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]


@pytest.mark.parametrize(
    ("deployment", "pods"),
    [
        (workload(annotations={"leakwarden.dev/skip": "wait"}), [pod("api-1"), pod("api-2"), pod("api-3")]),
        (workload(updated_replicas=1), [pod("api-1"), pod("api-2"), pod("api-3")]),
        (workload(), [pod("api-1"), pod("api-2", ready=False), pod("api-3")]),
        (workload(), [pod("api-1", terminating=True), pod("api-2"), pod("api-3")]),
        (workload(), [pod("api-9"), pod("api-2"), pod("api-3")]),
        (workload(uid="another"), []),
    ],
    ids=["opted out", "rolling out", "another pod failed", "on its way out", "replaced", "recreated"],
)
async def test_what_happens_while_readings_are_taken_is_seen_before_acting(
    deployment: Workload, pods: list[Pod]
) -> None:
    world = World()

    class Slow(FakeMetrics):
        async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
            world.cluster.world = snapshot([deployment], pods)
            return await super().read(queries, since, now, step)

    source = Slow(world.metrics.answer)
    world.engine.reader = Reader({"main": source}, source, 30.0)
    await world.engine.tick()
    assert world.changes() == []
