"""Records belong to their namespace: nobody can record anything about objects of other namespaces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leakwarden.api.v1alpha1.leakreport import Phase, PodReference, PolicyReference, WorkloadReference
from leakwarden.api.v1alpha1.status import ActionResult, ActionStatus
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import format_time
from leakwarden.core.records.action_counts import Ledger
from leakwarden.core.records.action_records import view_of
from leakwarden.core.records.place import Places
from tests.builders import NOW, body, enforcing, pod, policy, snapshot, workload
from tests.guard_builders import record, report
from tests.unit.engine.engine_world import World

HOME = snapshot(
    [workload(), workload("theirs", namespace="evil")],
    [pod(), pod("theirs-1", owner="theirs", namespace="evil")],
)
POLICIES = [policy(), policy("evil", metadata={"namespace": "evil"})]
PLACES = Places.of(POLICIES, HOME)


def from_evil(**changes: Any) -> LeakReport:
    """A report in the namespace evil that names only objects of that namespace."""
    theirs = {
        "workload": WorkloadReference(name="theirs", uid="uid-theirs"),
        "pod": PodReference(name="theirs-1", uid="uid-theirs-1"),
    }
    made = report("theirs", namespace="evil", **{**theirs, **changes})
    return made if made.namespace != "evil" else _by(made, "evil")


def _by(made: LeakReport, name: str) -> LeakReport:
    spec = made.spec.model_copy(update={"policy": PolicyReference(name=name, uid=f"uid-policy-{name}")})
    return replace(made, spec=spec)


def test_a_report_about_its_own_namespace_counts() -> None:
    assert PLACES.foreign(from_evil()) == ""
    assert PLACES.foreign(report("api")) == ""


@pytest.mark.parametrize(
    ("forged", "kind"),
    [
        (from_evil(workload=WorkloadReference(name="api", uid="uid-api")), "workload"),
        (from_evil(pod=PodReference(name="api-1", uid="uid-api-1")), "pod"),
        (_by(from_evil(), "shop"), "policy"),
    ],
)
def test_a_report_that_names_what_lives_elsewhere_counts_for_nothing(forged: LeakReport, kind: str) -> None:
    assert PLACES.foreign(forged) == kind


def test_a_report_about_what_does_not_exist_any_more_still_counts() -> None:
    gone = report("gone", record(workload_uid="uid-gone", pod_uid="uid-gone-1"))
    assert PLACES.foreign(gone) == ""
    assert PLACES.counted(gone) is gone


@pytest.mark.parametrize("changes", [{"workload_uid": "uid-theirs"}, {"pod_uid": "uid-theirs-1"}])
def test_a_record_counts_only_for_the_reports_own_deployment(changes: dict[str, Any]) -> None:
    mine, other = record(id="mine"), record(id="other", **changes)
    assert [each.id for each in PLACES.counted(report("api", mine, other)).status.actions] == ["mine"]


def test_the_records_in_a_policys_status_count_only_for_its_own_namespace() -> None:
    held = [record(id="mine"), record(id="theirs", workload_uid="uid-theirs"), record(id="pod", pod_uid="uid-theirs-1")]
    assert [each.id for each in PLACES.of_policy(held, POLICIES[0])] == ["mine"]


def test_a_policys_view_shows_no_record_of_another_namespaces_report() -> None:
    forged = _by(from_evil(), "shop")
    assert view_of(POLICIES[0], [forged, report("api", record())], []) == view_of(
        POLICIES[0], [report("api", record())], []
    )


def test_an_identifier_that_is_used_elsewhere_makes_no_action_be_forgotten() -> None:
    shop, evil = report("api", record(id="a1")), from_evil()
    evil = _with(evil, record(id="a1", workload_uid="uid-theirs"))
    ledger = Ledger([shop, evil], {}, {})
    assert ledger.used_in("shop", NOW - 3600) == 1
    assert ledger.used_in("evil", NOW - 3600) == 1


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("phase", ["Detected", "Effective"])
def test_only_the_newest_action_of_an_open_episode_can_be_under_way(place: int, phase: str) -> None:
    """Else a record that nobody settles any more would hold the cluster's only slot for ever."""
    verifying = record(id="v", result=ActionResult.VERIFYING)
    done = record(id="d", ago=90, result=ActionResult.EFFECTIVE)
    held = _with(report("api"), *([verifying, done] if place == 0 else [done, verifying]), phase=phase)
    in_flight = Ledger([held], {}, {}).others_in_flight("uid-other", since=0.0)
    assert in_flight == (1 if place == 0 and phase == "Detected" else 0)


def test_a_deployment_that_is_made_again_under_its_name_has_no_new_budget() -> None:
    before = report("api", record(workload_uid="uid-old"), workload=WorkloadReference(name="api", uid="uid-old"))
    assert Ledger([before], {}, {}).used_on(workload(), NOW - 3600) == 1
    assert Ledger([before], {}, {}).used_on(workload(namespace="evil"), NOW - 3600) == 0


def _with(held: LeakReport, *actions: ActionStatus, **changes: Any) -> LeakReport:
    if "phase" in changes:
        changes["phase"] = Phase(changes["phase"])
    return replace(held, status=held.status.model_copy(update={"actions": list(actions), **changes}))


# A forged report has no effect on the whole engine.

SCALED: dict[str, Any] = {
    "type": "ScaleOut", "replicas_before": 0, "replicas_after": 3, "return_at": format_time(NOW - 60),
}  # fmt: skip


def store(world: World, held: LeakReport) -> None:
    world.cluster.stored[held.key] = held


async def test_a_forged_report_scales_nobody_elses_deployment_to_nothing() -> None:
    world = World()
    forged = from_evil(workload=WorkloadReference(name="api", uid="uid-api"))
    store(world, _with(forged, record(**SCALED)))
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")], "and the action that is due is taken all the same"


@pytest.mark.parametrize("results", [ActionResult.INEFFECTIVE, ActionResult.VERIFYING])
async def test_a_forged_report_opens_no_circuit_and_fills_no_slot_of_another_namespace(results: ActionResult) -> None:
    world = World()
    forged = from_evil(workload=WorkloadReference(name="api", uid="uid-api"))
    store(world, _with(forged, *(record(id=f"f{n}", ago=7200 + n, result=results) for n in range(8))))
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]


async def test_a_forged_report_of_a_pod_takes_nothing_from_its_own_report() -> None:
    world = World()
    store(world, from_evil(pod=PodReference(name="api-1", uid="uid-api-1")))
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]
    assert [held.namespace for held in world.reports if held.status.actions] == ["shop"]


async def test_the_records_of_a_policys_status_open_no_circuit_of_another_namespace() -> None:
    world = World()
    failed = [
        record(id=f"f{n}", ago=7200 + n, result=ActionResult.INEFFECTIVE).model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        for n in range(5)
    ]
    forged = body("evil", metadata={"namespace": "evil"}, spec=enforcing(), status={"actions": failed})
    world.policies.put(forged)
    await world.engine.tick()
    assert ("evict", "uid-api-1") in world.changes()


async def test_a_report_that_says_it_is_verifying_without_anything_to_compare_ends_and_is_not_under_way() -> None:
    world = World()
    await world.engine.tick()
    held = world.report
    lost = held.status.model_copy(update={"verification": None})
    store(world, replace(held, status=lost))
    await world.later(30)
    settled = world.cluster.stored[held.key]
    assert settled.ended
    assert settled.status.actions[0].result is ActionResult.INCONCLUSIVE
