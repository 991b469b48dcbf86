"""A person is called: loudly, once, and for as long as it is needed."""

from __future__ import annotations

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase
from leakwarden.core.model.workload import Snapshot
from leakwarden.engine.ports import Attempt, Outcome
from tests.builders import enforcing, pod, snapshot, workload
from tests.guard_builders import decide, exhausting, record, target
from tests.unit.engine.engine_world import World


def _single() -> Snapshot:
    return snapshot([workload(replicas=1, updated_replicas=1)], [pod("api-1")])


async def test_a_person_is_called_by_a_warning_and_a_condition_that_stays_until_the_leak_is_over() -> None:
    world = World(spec=enforcing(verification={"settle": "10s", "timeout": "1m"}))
    world.cluster.world = _single()
    world.levels(api_1=950)
    for _ in range(3):
        await world.later()
    assert world.changes() == []
    assert [action.type for action in world.report.status.actions] == ["Escalate"]
    told = [each for each in world.recorder.told if each.reason == "Escalated"]
    assert {each.regarding.kind for each in told} == {"Deployment", "ReliabilityPolicy"}
    assert all(each.warning and "api-1" in each.note for each in told)
    assert len(told) == 2, "once, and not at every tick"
    assert world.condition("Stalled") == ("True", "Escalated")

    world.levels(api_1=50)
    for _ in range(4):
        await world.later()
    assert world.report.ended
    assert all(condition.type != "Stalled" for condition in world.status.conditions)

    # The same pod leaks again, which is another episode.
    world.levels(api_1=950)
    for _ in range(3):
        await world.later()
    assert [[action.type for action in report.status.actions] for report in world.reports] == [["Escalate"]] * 2
    assert world.condition("Stalled") == ("True", "Escalated")


def test_what_was_passed_over_as_impossible_is_told_with_what_is_done_instead() -> None:
    pool = {"name": "pool", "type": "DBPool", "threshold": {"above": "90%"}}
    spec = enforcing(pool, actions=[{"type": "ScaleOut", "maxReplicas": 9}, {"type": "EvictPod"}])
    leaking = [exhausting(pod(f"api-{n}"), signal="pool") for n in range(3)]
    decision = decide(target(leaking), spec=spec)
    assert decision.go
    assert decision.candidate.action.type == "EvictPod"
    assert "ScaleOut is impossible: another replica would open more connections" in decision.candidate.why


async def test_a_person_is_called_only_after_it_was_seen_whether_the_other_replica_serves() -> None:
    """A record whose verification never ends would hold back every other Deployment."""
    world = World(spec=enforcing(actions=[{"type": "ScaleOut", "maxReplicas": 9}, {"type": "Escalate"}],
                                 verification={"settle": "1m", "timeout": "10m"}))  # fmt: skip
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later()
    world.cluster.world = snapshot(
        [workload(replicas=4, updated_replicas=4)], [*world.pods, pod("api-4", created=world.now)]
    )
    world.levels(api_1=950, api_2=50, api_3=50, api_4=10)
    await world.later()
    assert [(action.type, action.result) for action in world.report.status.actions] == [("ScaleOut", "Verifying")]
    for _ in range(3):
        await world.later()
    assert [(action.type, action.result) for action in world.report.status.actions] == [
        ("Escalate", None),
        ("ScaleOut", "Effective"),
    ]


async def test_an_action_that_is_overdue_ends_where_the_next_one_begins() -> None:
    ladder = [{"type": "ScaleOut", "maxReplicas": 9, "timeout": "1m"}, {"type": "Escalate"}]
    world = World(spec=enforcing(actions=ladder, verification={"settle": "1m", "timeout": "10m"}))
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later()
    world.cluster.world = snapshot([workload(replicas=4)], world.pods)  # the fourth does not come
    for _ in range(3):
        await world.later()
    calling, scaling = world.report.status.actions
    assert (calling.type, scaling.type) == ("Escalate", "ScaleOut")
    assert (scaling.result, scaling.verified_at) == ("Inconclusive", calling.intended_at)


async def test_a_refusal_is_remembered_when_the_ladder_goes_on_and_is_not_tried_again() -> None:
    ladder = [{"type": "EvictPod", "timeout": "1m"}, {"type": "RolloutRestart"}]
    world = World(spec=enforcing(actions=ladder, cooldown="10s"))
    world.levels(api_1=950, api_2=50, api_3=50)
    world.cluster.outcome = Attempt(Outcome.BLOCKED, "the budget forbids it")
    for _ in range(6):
        await world.later()
        if world.changes()[-1][0] == "restart":
            break
        assert [action.type for action in world.report.status.actions] == ["EvictPod"], "a refusal is one record"
    restarting, evicting = world.report.status.actions
    assert (restarting.type, evicting.type, evicting.phase) == ("RolloutRestart", "EvictPod", "Blocked")
    done = [kind for kind, _ in world.changes()]
    await world.later(61)
    assert [kind for kind, _ in world.changes()][len(done) :] in ([], ["restart"]), "no eviction after its time"


def test_a_scale_out_that_may_have_added_a_replica_is_not_begun_again_and_a_person_is_called() -> None:
    """Its outcome is unknown, so it is never verified, and no circuit would end a ladder that adds one more and one
    more."""
    only = enforcing(actions=[{"type": "ScaleOut", "maxReplicas": 9}], cooldown="1m", podCooldown="1m")
    lost = record(
        ActionPhase.INTERRUPTED, ago=7200, type="ScaleOut", pod_uid="uid-api-1", pod="api-1", replicas_before=2
    )  # fmt: skip
    assert decide(spec=only, records=[lost]).candidate.action.type is ActionType.ESCALATE
    never_added = lost.model_copy(update={"replicas_before": 3})  # as many as there are now
    assert decide(spec=only, records=[never_added]).candidate.action.type is ActionType.SCALE_OUT
    back = lost.model_copy(update={"returned_at": lost.intended_at})
    assert decide(spec=only, records=[back]).candidate.action.type is ActionType.SCALE_OUT
