"""Episodes: how a report begins, goes on and ends, seen through the engine and its fake cluster."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from leakwarden.api import names
from leakwarden.api.v1alpha1.leakreport import Phase
from leakwarden.core.episodes.steps import label_value, labels, next_name, report_name
from leakwarden.core.model.policy import format_time
from leakwarden.engine.ports import Attempt, ClusterUnavailable, Forbidden, Outcome
from tests.builders import NOW, body, enforcing, pod, points, policy, sampled, snapshot, workload
from tests.unit.engine.engine_world import World

OBSERVING = {"signals": enforcing()["signals"]}
QUICK = {"verification": {"settle": "1m", "timeout": "5m"}}


def replaced(world: World, *, after: float = 5.0) -> None:
    """The evicted pod is gone and another has taken its place."""
    new = pod("api-9", created=world.now + after)
    world.cluster.world = snapshot([workload()], [new, *world.pods[1:]])


async def test_a_leaking_pod_gets_one_report_in_observe_too() -> None:
    world = World(spec=OBSERVING)
    await world.engine.tick()
    report = world.report
    assert (report.spec.workload.name, report.spec.pod.uid, report.spec.signal) == ("api", "uid-api-1", "descriptors")
    assert report.spec.signal_type == "Descriptors"
    assert report.status.phase is Phase.DETECTED
    assert report.status.verdict is not None
    assert report.status.verdict.verdict == "Exhausting"
    assert (report.status.verdict.value, report.status.verdict.limit) == (950, 1000)
    assert report.status.series is not None
    assert report.status.series.values == [950] * 5
    assert report.status.plan is not None
    assert (report.status.plan.action, report.status.plan.order) == ("EvictPod", 1)
    answers = {guard.guard: guard for guard in report.status.guards}
    assert answers["observing"].reason == "Observing"
    assert not answers["observing"].passed
    assert answers["cooldown_active"].passed
    for _ in range(5):
        world.levels(api_1=950, api_2=50, api_3=50)
        await world.later()
    assert len(world.reports) == 1
    assert world.changes() == []


async def test_a_report_is_not_written_again_while_only_readings_move() -> None:
    world = World(spec=OBSERVING)
    await world.engine.tick()
    for level in (951, 952, 953):
        world.levels(api_1=level, api_2=50, api_3=50)
        await world.later()
    assert len(world.cluster.written) == 1
    world.levels(api_1=960, api_2=50, api_3=50)
    await world.later(60)
    assert len(world.cluster.written) == 2
    assert world.report.status.verdict is not None
    assert world.report.status.verdict.value == 960


async def test_an_action_goes_through_remediating_and_verifying_to_effective() -> None:
    world = World(spec=enforcing(**QUICK))
    await world.engine.tick()
    phases = [written["phase"] for written in world.cluster.written]
    assert phases == ["Remediating", "Verifying"]
    assert world.cluster.written[0]["actions"][0]["phase"] == "Pending"
    assert all(guard["passed"] for guard in world.cluster.written[0]["guards"])
    replaced(world)
    for _ in range(4):
        world.levels(api_9=10, api_2=50, api_3=50)
        await world.later()
    status = world.report.status
    assert status.phase is Phase.EFFECTIVE
    assert status.ended_at is not None
    assert status.actions[0].result == "Effective"
    assert status.verification is not None
    assert status.verification.new_pods == ["uid-api-9"]
    assert status.verification.before is not None
    assert status.verification.before.value == 950
    assert "descriptors at most 10, was 950" in status.message
    assert "a restart buys 2.0 h" in status.message
    assert "RemediationEffective" in world.recorder.reasons("Deployment")
    assert world.status.actions[0].report == world.report.name


async def test_a_pod_that_vanishes_by_itself_ends_its_episode() -> None:
    world = World(spec=OBSERVING)
    await world.engine.tick()
    replaced(world)
    world.levels(api_2=50, api_3=50)
    await world.later()
    assert world.report.status.phase is Phase.RECOVERED_ANYWAY
    assert "gone, without an action of ours" in world.report.status.message
    assert "RecoveredAnyway" in world.recorder.reasons("Deployment")


async def test_a_pod_that_is_calm_for_long_ends_its_episode_and_one_that_is_only_silent_does_not() -> None:
    world = World(spec={**OBSERVING, "remediation": QUICK})
    await world.engine.tick()
    world.metrics.answer = sampled({})  # silence
    await world.later(1200)
    await world.later(1200)
    assert not world.report.ended
    for _ in range(3):
        world.levels(api_1=50, api_2=50, api_3=50)
        await world.later(160)
    assert world.report.status.phase is Phase.RECOVERED_ANYWAY
    assert "judged Healthy for 5m" in world.report.status.message


async def test_a_leak_that_returns_to_the_same_pod_is_another_episode() -> None:
    world = World(spec={**OBSERVING, "remediation": QUICK})
    await world.engine.tick()
    for _ in range(3):
        world.levels(api_1=50, api_2=50, api_3=50)
        await world.later(160)
    for _ in range(2):
        world.levels(api_1=970, api_2=50, api_3=50)
        await world.later(160)
    first, second = world.reports
    assert first.ended
    assert not second.ended
    assert {first.name, second.name} == {report_name("api", "uid-api-1", n) for n in (0, 1)}


@pytest.mark.parametrize("acting", [False, True], ids=["detected", "verifying"])
@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_deployment_that_goes_ends_the_episode_and_says_so(acting: bool, how: str) -> None:
    world = World(spec=enforcing() if acting else OBSERVING)
    await world.engine.tick()
    successor = [workload(uid="another")] if how == "replaced" else []
    world.cluster.world = snapshot(successor, [])
    await world.later()
    assert world.report.status.phase is (Phase.INCONCLUSIVE if acting else Phase.RECOVERED_ANYWAY)
    assert "was deleted or replaced" in world.report.status.message
    if acting:
        assert world.report.status.actions[0].result == "Inconclusive"


@pytest.mark.parametrize("acting", [False, True], ids=["detected", "verifying"])
async def test_a_policy_that_goes_ends_its_episodes_but_not_at_once(acting: bool) -> None:
    world = World(spec=enforcing() if acting else OBSERVING)
    await world.engine.tick()
    world.policies.remove("uid-policy-shop")
    await world.later()
    assert not world.report.ended, "at a start it may merely not have been read yet"
    await world.later(130)
    assert world.report.status.phase is (Phase.INCONCLUSIVE if acting else Phase.RECOVERED_ANYWAY)
    assert "policy shop was deleted" in world.report.status.message


async def test_an_invalid_spec_ends_nothing() -> None:
    world = World(spec=OBSERVING)
    await world.engine.tick()
    world.policies.put(body(spec={"mode": "Kill"}, metadata={"generation": 2}))
    await world.later(600)
    await world.later(600)
    assert world.report.status.phase is Phase.DETECTED


async def test_a_policy_that_selects_the_deployment_no_more_leaves_the_episode() -> None:
    world = World(spec=OBSERVING)
    await world.engine.tick()
    changed = {**OBSERVING, "selector": {"matchLabels": {"team": "another"}}}
    world.policies.put(body(spec=changed, metadata={"generation": 2}))
    await world.later()
    assert world.report.status.phase is Phase.RECOVERED_ANYWAY
    assert "does not select the Deployment any more" in world.report.status.message


async def test_an_older_policy_takes_an_episode_over_as_one_of_its_own() -> None:
    world = World(spec=OBSERVING)
    await world.engine.tick()
    world.policies.put(body("older", spec=OBSERVING, metadata={"creationTimestamp": format_time(NOW - 9999)}))
    for _ in range(2):
        world.levels(api_1=950, api_2=50, api_3=50)
        await world.later()
    ended = [report for report in world.reports if report.ended]
    opened = [report for report in world.reports if not report.ended]
    assert [report.spec.policy.name for report in ended] == ["shop"]
    assert [report.spec.policy.name for report in opened] == ["older"]


async def test_an_eviction_whose_answer_was_lost_is_verified_once_the_pod_is_gone() -> None:
    world = World(spec=enforcing(**QUICK))
    world.cluster.outcome = Attempt(Outcome.FAILED, "no answer in time; whether it was done is not known")
    await world.engine.tick()
    assert not world.report.ended
    replaced(world)
    for _ in range(4):
        world.levels(api_9=10, api_2=50, api_3=50)
        await world.later()
    assert world.report.status.phase is Phase.EFFECTIVE
    assert "the pod is gone, so it was carried out" in world.report.status.actions[0].message


async def test_after_scaling_out_the_episode_goes_on_since_the_pod_leaks_on() -> None:
    world = World(spec=enforcing(actions=[{"type": "ScaleOut", "maxReplicas": 4}], **QUICK))
    await world.engine.tick()
    assert world.report.status.phase is Phase.VERIFYING
    wider = workload(replicas=4, updated_replicas=4, ready_replicas=4)
    world.cluster.world = snapshot([wider], [*world.pods, pod("api-4", created=world.now + 5)])
    for _ in range(4):
        world.levels(api_1=955, api_2=50, api_3=50, api_4=10)
        await world.later()
    status = world.report.status
    assert status.phase is Phase.DETECTED
    assert status.actions[0].result == "Effective"
    assert "4 of 4 replicas serve" in status.actions[0].message
    assert len(world.changes()) == 1


async def test_a_rollout_restart_ends_the_episodes_of_the_other_pods_by_name() -> None:
    world = World(spec=enforcing(actions=[{"type": "RolloutRestart"}], **QUICK))
    world.levels(api_1=950, api_2=940, api_3=50)
    await world.engine.tick()
    assert world.changes() == [("restart", "uid-api")]
    new = [pod(f"api-{n}", created=world.now + 5) for n in (7, 8, 9)]
    world.cluster.world = snapshot([workload()], new)
    for _ in range(4):
        world.levels(api_7=5, api_8=5, api_9=5)
        await world.later()
    by_pod = {report.spec.pod.name: report.status for report in world.reports}
    assert by_pod["api-1"].phase is Phase.EFFECTIVE
    assert by_pod["api-2"].phase is Phase.RECOVERED_ANYWAY
    assert "went with the RolloutRestart" in by_pod["api-2"].message


async def test_without_the_right_to_write_reports_nothing_is_done_and_the_condition_names_it() -> None:
    world = World()
    world.cluster.report_error = Forbidden("the operator's account may not create leakreports in namespace shop (403)")
    await world.engine.tick()
    assert world.changes() == []
    assert world.condition("Ready") == ("False", "RecordsUnavailable")
    world.cluster.report_error = None
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later()
    assert world.condition("Ready") == ("True", "Reconciled")
    assert len(world.changes()) <= 1
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later()
    assert world.changes() == [("evict", "uid-api-1")]


async def test_reports_that_were_never_listed_stop_every_action_and_keep_the_records_in_view() -> None:
    world = World()
    await world.engine.tick()
    records = world.status.actions
    assert records
    world.cluster.synced, world.cluster.trouble = False, "the operator's account may not list leakreports (403)"
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later(7200)
    assert world.changes() == [("evict", "uid-api-1")]
    assert world.condition("Ready") == ("False", "RecordsUnavailable")
    assert world.status.actions == records


async def test_before_the_first_action_the_reports_are_listed_at_their_most_recent() -> None:
    world = World()
    refreshed: list[int] = []

    async def fail() -> None:
        refreshed.append(len(world.changes()))
        raise ClusterUnavailable("the API server did not answer in time")

    genuine = world.cluster.refresh_reports
    world.cluster.refresh_reports = fail  # type: ignore[method-assign]
    await world.engine.tick()
    assert refreshed == [0]
    assert world.changes() == []
    world.cluster.refresh_reports = genuine  # type: ignore[method-assign]
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later()
    assert world.changes() == [("evict", "uid-api-1")]
    world.cluster.refresh_reports = fail  # type: ignore[method-assign]
    await world.later()
    assert refreshed == [0], "once is enough, until leadership is taken over anew"
    world.engine.take_over()
    await world.later()
    assert len(refreshed) == 2


async def test_a_report_of_a_name_that_exists_already_is_adopted() -> None:
    world = World(spec=OBSERVING)
    await world.engine.tick()
    before = dict(world.cluster.stored)
    world.cluster.stored.clear()
    blind = world.cluster.reports()
    world.cluster.stored.update(before)
    world.cluster.reports = lambda: blind  # type: ignore[method-assign]
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later()
    assert list(world.cluster.stored) == list(before)


async def test_ended_reports_are_deleted_beyond_the_policys_limit_and_the_newest_are_kept() -> None:
    world = World(spec={**OBSERVING, "remediation": QUICK, "history": {"limit": 2}})
    for _ in range(5):
        world.levels(api_1=950, api_2=50, api_3=50)
        await world.later(100)
        await world.later(100)
        for _ in range(3):
            world.levels(api_1=50, api_2=50, api_3=50)
            await world.later(200)
    assert len(world.reports) == 2
    newest = max(entry for entry, done in enumerate(world.cluster.done) if done[0] == "create")
    assert world.cluster.done[newest][1] in {report.name for report in world.reports}


def test_names_and_labels_fit_whatever_the_deployment_is_called() -> None:
    name = "a" * 39 + ".b" + "c" * 200
    made = report_name(name, "some-uid", 0)
    assert made == report_name(name, "some-uid", 0) != report_name(name, "some-uid", 1)
    assert len(made) <= 49
    assert ".-" not in made
    for value in labels(policy(name), name).values():
        assert len(value) <= 63
        assert value[-1].isalnum()
    assert label_value("short") == "short"
    assert label_value(name) != label_value(name + "c")
    assert set(labels(policy("p"), "w")) == {names.POLICY_LABEL, names.WORKLOAD_LABEL}
    assert next_name("api", "uid", [report_name("api", "uid", 0), report_name("api", "uid", 2)]) == report_name(
        "api", "uid", 1
    )


async def test_a_typical_report_is_small() -> None:
    world = World(spec=enforcing(**QUICK))
    world.metrics.answer = sampled({f"api-{n}": points([900.123456 + n] * 400) for n in (1, 2, 3)})
    await world.engine.tick()
    sizes = [len(json.dumps(written)) for written in world.cluster.written]
    assert max(sizes) < 10_000


async def test_a_report_that_holds_all_the_actions_it_can_is_ended_and_another_goes_on() -> None:
    ladder = [{"type": "EvictPod", "timeout": "2h"}]
    world = World(spec=enforcing(actions=ladder, cooldown="10s", podCooldown="10s", budget={"actions": 100}))
    world.cluster.outcome = Attempt(Outcome.FAILED, "the API server answered 500")
    for _ in range(20):
        world.levels(api_1=950, api_2=50, api_3=50)
        await world.later()
    held = [len(report.status.actions) for report in world.reports]
    assert len(world.reports) >= 2
    assert max(held) == 8
    assert sum(held) == len(world.changes())


async def test_another_writers_report_is_written_only_from_what_was_read() -> None:
    world = World(spec=OBSERVING)
    await world.engine.tick()
    stale = world.cluster.reports()
    ((key, report),) = world.cluster.stored.items()
    world.cluster.stored[key] = replace(report, resource_version="999")
    world.cluster.reports = lambda: stale  # type: ignore[method-assign]
    replaced(world)
    written: list[dict[str, Any]] = list(world.cluster.written)
    await world.later()
    assert world.cluster.written == written
