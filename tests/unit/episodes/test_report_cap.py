"""More leaking pods than people read reports of: twenty reports are open, the other pods are counted, and none is
forgotten."""

from __future__ import annotations

from dataclasses import replace

from leakwarden.api.v1alpha1.evidence_status import DescriptorReaderStatus, EvidenceState, EvidenceStatus
from leakwarden.api.v1alpha1.leakreport import Phase, PodReference, WorkloadReference
from leakwarden.core.episodes.report_cap import OPEN_PER_WORKLOAD, choose
from leakwarden.core.evaluation.results import PodEvaluation, WorkloadEvaluation
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.workload import Pod
from leakwarden.engine.ports import Attempt, ClusterUnavailable, Outcome
from tests.builders import NOW, enforcing, pod, points, sampled, snapshot, workload
from tests.guard_builders import exhausting, record, report, target
from tests.unit.engine.engine_world import World

OBSERVING = {"signals": enforcing()["signals"]}
API = WorkloadReference(name="api", uid="uid-api")


def crowd(world: World, count: int = 500) -> dict[str, float]:
    """So many pods, all above the threshold, the last the fullest."""
    names = [f"api-{n:03}" for n in range(count)]
    many = workload(replicas=count, updated_replicas=count, ready_replicas=count)
    world.pods = [pod(name) for name in names]
    world.cluster.world = snapshot([many], world.pods)
    return {name: 810 + number / 10 for number, name in enumerate(names)}


async def tick(world: World, levels: dict[str, float], seconds: float = 30.0) -> None:
    world.now += seconds
    world.metrics.answer = sampled({name: points([v] * 5, until=world.now) for name, v in levels.items()})
    await world.engine.tick()


def open_pods(world: World) -> set[str]:
    return {report.spec.pod.name for report in world.reports if not report.ended}


async def test_of_five_hundred_leaking_pods_the_twenty_that_run_out_first_have_a_report_and_the_rest_are_counted() -> (
    None
):
    world = World(spec=OBSERVING)
    levels = crowd(world)
    for _ in range(4):
        await tick(world, levels)
        assert open_pods(world) == {f"api-{n:03}" for n in range(480, 500)}
    assert world.status.workloads[0].unreported == 480
    assert world.status.targets.exhausting == 500


async def test_reports_do_not_come_and_go_with_every_reading() -> None:
    world = World(spec=OBSERVING)
    levels = crowd(world, 60)
    await tick(world, levels)
    before = open_pods(world)
    backwards = dict(zip(levels, reversed(levels.values()), strict=True))
    await tick(world, {name: level - 1 for name, level in backwards.items()})
    # The fullest is another now, and an action is planned for it; that is reason enough for one, and for no more.
    assert len(open_pods(world)) == OPEN_PER_WORKLOAD
    assert len(before - open_pods(world)) == 1
    assert "api-000" in open_pods(world)


async def test_in_enforce_each_pod_has_its_report_before_it_is_acted_on_and_no_action_is_forgotten() -> None:
    world = World(spec=enforcing(cooldown="1m", podCooldown="1m", budget={"actions": 4, "window": "24h"},
                                 verification={"settle": "10s", "timeout": "5m"}))  # fmt: skip
    levels = crowd(world, 40)

    async def evict(pod_: Pod) -> Attempt:
        name = pod_.name
        world.cluster.done.append(("evict", name))
        levels.pop(name)
        new = pod(f"new-{len(levels)}-{name}", created=world.now + 1)
        levels[new.name] = 10.0
        world.pods = [*(each for each in world.pods if each.name != name), new]
        world.cluster.world = snapshot(list(world.cluster.world.workloads.values()), world.pods)
        return Attempt(Outcome.DONE)

    world.cluster.evict = evict  # type: ignore[method-assign, assignment]
    for _ in range(80):
        await tick(world, levels)
        assert len(open_pods(world)) <= OPEN_PER_WORKLOAD
    assert [name for _, name in world.changes()] == ["api-039", "api-038", "api-037", "api-036"], "four, then no more"
    records = [record for report in world.reports for record in report.status.actions]
    assert sorted(record.pod for record in records) == ["api-036", "api-037", "api-038", "api-039"]
    assert {str(skip.reason) for skip in world.engine.last.decisions[0].skips} >= {"WorkloadBudgetExhausted"}


async def test_five_hundred_open_reports_of_an_earlier_version_become_twenty() -> None:
    world = World(spec=OBSERVING)
    levels = crowd(world, 100)
    for name in levels:
        await world.cluster.create_report("shop", f"old-{name}", {}, report(
            "api", workload=API, pod=PodReference(name=name, uid=f"uid-{name}")
        ).spec.model_dump(mode="json", by_alias=True, exclude_none=True))  # fmt: skip
    for left in (80, 60, 40, 20, 20):
        await tick(world, levels)
        assert len(world.reports) == left
    assert open_pods(world) == {f"api-{n:03}" for n in range(80, 100)}


async def test_while_room_cannot_be_made_nothing_is_opened_either() -> None:
    world = World(spec=OBSERVING)
    levels = crowd(world, 60)
    for name in list(levels)[:30]:
        levels[name] = 100.0  # calm
    await tick(world, levels)
    before = open_pods(world)

    async def refuse(_: LeakReport) -> None:
        raise ClusterUnavailable("the API server answered 500")

    world.cluster.delete_report = refuse  # type: ignore[method-assign, assignment]
    levels["api-000"] = 999.0
    await tick(world, levels)
    await tick(world, levels)
    assert open_pods(world) == before


# The choice itself.


def leaking(count: int) -> WorkloadEvaluation:
    return target([exhausting(pod(f"api-{n:02}"), left=600.0 + n) for n in range(count)], replicas=count)


def held(pod_name: str, **changes: object) -> LeakReport:
    about = PodReference(name=pod_name, uid=f"uid-{pod_name}")
    made = report(f"r-{pod_name}", workload=API, pod=about)
    return replace(made, status=made.status.model_copy(update=changes))


def test_a_report_that_holds_an_action_is_never_given_up() -> None:
    one = leaking(40)
    acted = [held(f"api-{n:02}", actions=[record()]) for n in range(20, 40)]
    choice = choose(one, acted, {"uid-api-00"})
    assert [each.pod.name for each in choice.opened] == ["api-00"], "an action does not wait for a place"
    assert choice.given_up == []
    verifying = [replace(each, status=each.status.model_copy(update={"phase": Phase.VERIFYING})) for each in acted]
    assert choose(one, verifying, set()).opened == []


def test_a_report_that_says_its_pod_was_looked_into_is_never_given_up_for_it_is_done_once_an_episode() -> None:
    reader = DescriptorReaderStatus(container="reader", intended_at=format_time(NOW))
    looked_into = EvidenceStatus(state=EvidenceState.CAPTURED, descriptor_reader=reader)
    reports = [held(f"api-{n:02}", evidence=looked_into if n == 39 else None) for n in range(20, 40)]
    choice = choose(leaking(40), reports, {"uid-api-00"})
    assert [each.pod.name for each in choice.opened] == ["api-00"]
    assert [each.spec.pod.name for each in choice.given_up] == ["api-38"]


def test_a_pod_that_runs_out_takes_the_place_of_one_that_merely_leaks_and_of_one_that_is_calm_first() -> None:
    slow = [PodEvaluation(pod(f"slow-{n:02}"), Verdict.LEAKING, None, None, ()) for n in range(19)]
    one = replace(leaking(2), pods=(*leaking(2).pods, *slow))
    reports = [held(f"slow-{n:02}") for n in range(19)] + [held("gone")]
    choice = choose(one, reports, set())
    assert [each.pod.name for each in choice.opened] == ["api-00", "api-01"]
    assert [each.spec.pod.name for each in choice.given_up] == ["gone", "slow-18"]


def test_a_report_with_profiles_is_given_up_after_those_without() -> None:
    slow = [PodEvaluation(pod(f"slow-{n:02}"), Verdict.LEAKING, None, None, ()) for n in range(20)]
    one = replace(leaking(1), pods=(*leaking(1).pods, *slow))
    captured = EvidenceStatus(state=EvidenceState.CAPTURED)
    reports = [held(f"slow-{n:02}", evidence=captured if n == 19 else None) for n in range(20)]
    assert [each.spec.pod.name for each in choose(one, reports, set()).given_up] == ["slow-18"]
