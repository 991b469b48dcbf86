"""From judgements on signals to the verdict on a pod, and from policies to targets."""

from __future__ import annotations

from typing import Any

import pytest

from leakwarden.api.v1alpha1.policy import Signal
from leakwarden.core.evaluation.evaluation import evaluate_pod, owners, targets
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.model.policy import format_time, parse_policy
from leakwarden.engine.policy_store import PolicyStore
from tests.builders import NOW, body, pod, policy, snapshot, workload
from tests.unit.engine.engine_world import World

LEAK = Signal.model_validate({"name": "leak", "type": "Descriptors"})
OTHER = Signal.model_validate({"name": "other", "type": "Goroutines"})
SUPPORTING = Signal.model_validate({"name": "memory", "type": "WorkingSet"})
SYMPTOM = Signal.model_validate({"name": "errors", "type": "Heap", "role": "Symptom"})


def said(signal: Signal, verdict: Verdict, reason: str = "x") -> tuple[Signal, Judgement]:
    return signal, Judgement(signal.name, verdict, reason, "", 1.0)


EXHAUSTING, HEALTHY, UNKNOWN = Verdict.EXHAUSTING, Verdict.HEALTHY, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("judged", "verdict", "acts"),
    [
        ([said(LEAK, EXHAUSTING), said(OTHER, HEALTHY)], EXHAUSTING, True),
        ([said(LEAK, HEALTHY), said(SUPPORTING, EXHAUSTING)], Verdict.SUSPECT, False),
        ([said(LEAK, HEALTHY), said(SYMPTOM, EXHAUSTING)], Verdict.SUSPECT, False),
        ([said(LEAK, UNKNOWN, "NoSeries"), said(OTHER, HEALTHY)], HEALTHY, False),
        ([said(LEAK, UNKNOWN, "NoSeries"), said(OTHER, UNKNOWN, "NotExported")], UNKNOWN, False),
        ([said(LEAK, UNKNOWN, "Timeout"), said(OTHER, HEALTHY)], UNKNOWN, False),
        ([said(LEAK, UNKNOWN, "Timeout"), said(OTHER, EXHAUSTING)], EXHAUSTING, True),
        ([said(LEAK, UNKNOWN, "WarmingUp"), said(OTHER, HEALTHY)], HEALTHY, False),
        ([said(LEAK, UNKNOWN, "WarmingUp")], UNKNOWN, False),
        ([said(LEAK, UNKNOWN, "NoSeries"), said(SUPPORTING, HEALTHY)], UNKNOWN, False),
        ([said(LEAK, Verdict.LEAKING)], Verdict.LEAKING, False),
    ],
    ids=[
        "a leak signal decides", "a supporting signal never acts", "a symptom never acts",
        "a signal the pod does not have is left out", "nothing to judge by is not healthy",
        "a failed reading is not healthy", "one failed signal does not switch the others off",
        "a signal that warms up waits for no other", "a young pod is unknown",
        "supporting signals alone call nobody healthy", "leaking is reported only",
    ],
)  # fmt: skip
def test_signals_together(judged: Any, verdict: Verdict, acts: bool) -> None:
    found = evaluate_pod(pod(), judged)
    assert found.verdict is verdict
    assert (found.acting is not None) is acts


def test_a_policy_selects_in_its_own_namespace_only() -> None:
    world = snapshot([workload("api"), workload("other", namespace="elsewhere")], [])
    assert [target.name for target in targets(policy(), world)] == ["api"]


def test_the_oldest_policy_owns_a_deployment_whatever_the_order() -> None:
    young = policy("a", metadata={"creationTimestamp": format_time(NOW)})
    old = policy("b", metadata={"creationTimestamp": format_time(NOW - 99)})
    world = snapshot([workload()], [])
    assert owners([young, old], world) == owners([old, young], world) == {"uid-api": old}


TYPO = {"signals": [{"name": "d", "type": "Descriptors", "threshold": {"above": "8O%"}}]}


def test_a_policy_that_cannot_be_read_keeps_what_its_selector_selects() -> None:
    """A typo in a policy that observes must not hand its Deployments to a younger one that acts."""
    young = policy("a", metadata={"creationTimestamp": format_time(NOW)})
    old = parse_policy(body("b", spec=TYPO, metadata={"creationTimestamp": format_time(NOW - 99)}))
    assert old.spec is None
    world = snapshot([workload()], [])
    assert owners([young, old], world)["uid-api"].name == "b"
    assert targets(old, world) == []


def test_a_policy_whose_selector_cannot_be_read_either_keeps_what_it_selected_last() -> None:
    store = PolicyStore()
    store.put(body("b"))
    store.put(body("b", spec={"selector": {"matchLabels": 7}}, metadata={"generation": 2}))
    store.put(body("b", spec={"selector": "gone"}, metadata={"generation": 3}))
    (held,) = store.all()
    assert held.spec is None
    assert owners([held], snapshot([workload()], []))["uid-api"] is held


def test_a_policy_that_can_be_read_again_has_what_it_selects_now() -> None:
    store = PolicyStore()
    store.put(body("b", spec=TYPO))
    store.put(body("b", spec={"selector": {"matchLabels": {"team": "other"}}}, metadata={"generation": 2}))
    assert owners(store.all(), snapshot([workload()], [])) == {}


async def test_a_typo_in_a_policy_that_observes_does_not_let_a_younger_one_act() -> None:
    world = World()
    world.policies.put(
        body("older", spec={**TYPO, "mode": "Observe"}, metadata={"creationTimestamp": format_time(NOW - 9e6)})
    )
    await world.engine.tick()
    assert world.changes() == []


UNREADABLE = {"selector": "gone"}
OLDER = {"creationTimestamp": format_time(NOW - 9e6)}


async def test_a_policy_of_which_nothing_was_ever_read_may_own_every_deployment_of_its_namespace() -> None:
    """As after a restart: the selection of its last readable spec is not known, so no Deployment is handed to a younger
    policy."""
    world = World()
    world.policies.put(body("older", spec=UNREADABLE, metadata=OLDER))
    await world.engine.tick()
    assert world.changes() == []
    younger = next(each for each in world.policies.all() if each.name != "older")
    ready = next(each for each in younger.status.conditions if each.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "Conflicted")
    assert "older cannot be read, and what it selects is not known" in ready.message


async def test_and_of_no_other_namespace() -> None:
    world = World()
    world.policies.put(body("older", spec=UNREADABLE, metadata={**OLDER, "namespace": "bank", "uid": "uid-other"}))
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]


async def test_a_younger_policy_that_cannot_be_read_takes_nothing_from_an_older_one() -> None:
    world = World(metadata=OLDER)
    world.policies.put(body("younger", spec=UNREADABLE, metadata={"creationTimestamp": format_time(NOW)}))
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]


def numbered(count: int, namespace: str = "shop") -> list[dict[str, Any]]:
    """`count` policies, the youngest first."""
    return [
        body(
            f"p{n}",
            metadata={
                "namespace": namespace, "uid": f"{namespace}-{n}", "creationTimestamp": format_time(NOW - 9e6 + n),
            },
        )
        for n in reversed(range(count))
    ]  # fmt: skip


def test_of_a_namespace_so_many_policies_are_in_force_the_oldest_and_of_others_all() -> None:
    store = PolicyStore(per_namespace=2)
    for one in [*numbered(4), *numbered(2, "bank")]:
        store.put(one)
    in_force = {each.uid for each in store.all() if each.spec is not None}
    assert in_force == {"shop-0", "shop-1", "bank-0", "bank-1"}
    world = snapshot([workload(), workload(namespace="bank", uid="uid-bank")], [])
    beyond = [each for each in store.all() if each.spec is None]
    assert owners(beyond, world) == {}, "what is not in force owns nothing"
    assert all("the oldest 2 are in force" in each.error for each in beyond)
    store.remove("shop-0")
    assert {each.uid for each in store.all() if each.spec is not None} == {"shop-1", "shop-2", "bank-0", "bank-1"}


async def test_a_policy_beyond_the_limit_says_so_in_its_condition_and_does_nothing() -> None:
    world = World(metadata={"creationTimestamp": format_time(NOW)})
    world.policies.per_namespace = 1
    world.policies.put(
        body("older", spec={"selector": {"matchLabels": {"team": "nobody"}}}, metadata={**OLDER, "uid": "uid-older"})
    )
    await world.engine.tick()
    assert world.changes() == []
    beyond = next(each for each in world.policies.all() if each.over_limit)
    assert next(each.reason for each in beyond.status.conditions if each.type == "Ready") == "LimitExceeded"
