"""Targets and standards are found again only where the cluster or the policies have changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot
from leakwarden.engine.wanted_readings import Targets
from tests.builders import pod, policy, snapshot, workload

PODS = [pod("api-1"), pod("api-2")]


def one(above: str = "90%") -> Policy:
    signal: dict[str, Any] = {"name": "d", "type": "Descriptors", "threshold": {"above": above, "for": "5m"}}
    return policy(spec={"signals": [signal]})


def a_tick_later(world: Snapshot) -> Snapshot:
    """Another snapshot of the same view, as the cluster gives where nothing has happened."""
    return replace(world, age=5.0)


def test_where_nothing_has_changed_the_targets_are_those_of_the_last_tick() -> None:
    world, asked = snapshot([workload()], PODS), [one()]
    before = Targets.of(asked, world)

    assert before.next(list(asked), a_tick_later(world)) is before


def test_a_new_pod_is_a_target_at_once_and_the_standards_stay() -> None:
    world, asked = snapshot([workload()], PODS), [one()]
    before = Targets.of(asked, world)

    after = before.next(asked, snapshot([workload()], [*PODS, pod("api-3")]))

    assert after.pods.keys() - before.pods.keys() == {("shop", "api-3")}
    assert after.rounds is before.rounds


def test_another_threshold_is_another_standard() -> None:
    world = snapshot([workload()], PODS)
    before = Targets.of([one()], world)

    after = before.next([one("500")], a_tick_later(world))

    assert after.rounds != before.rounds


def test_a_workload_that_is_relabelled_is_no_target_any_more() -> None:
    world, asked = snapshot([workload()], PODS), [one()]
    before = Targets.of(asked, world)
    relabelled = workload(labels={"app": "api", "team": "other"})

    after = before.next(asked, replace(world, workloads={relabelled.uid: relabelled}))

    assert before.pods
    assert not after.pods
