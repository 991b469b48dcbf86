"""Whatever happens to namespaces and their labels, a ClusterReliabilityPolicy never acts where the label is missing.

The label is compared with the API server's at the moment of each change: the watch may lag behind it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakwarden.api.names import ENFORCE_ALLOWED, ENFORCE_LABEL
from leakwarden.core.model.workload import Pod
from leakwarden.engine import doubts
from leakwarden.engine.ports import Attempt
from tests.unit.engine.cluster_policy_world import ALLOWED, ClusterWorld, cluster_body

pytestmark = pytest.mark.slow

HOMES = ("bank", "mill", "shop")
LABELS = st.sampled_from([ALLOWED, {}, {ENFORCE_LABEL: "denied"}, {**ALLOWED, "tier": "gold"}, {"tier": "gold"}])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("label"), st.sampled_from(HOMES), LABELS, st.booleans()),
        st.tuples(st.just("own"), st.sampled_from(HOMES), st.sampled_from(["Observe", "Enforce"])),
        st.tuples(st.just("unsure"), st.booleans()),
        st.tuples(st.just("restart")),
        st.tuples(st.just("later"), st.integers(30, 1200)),
    ),
    max_size=12,
)
NAMESPACES = st.sampled_from([{"all": True}, {"names": ["bank", "shop"]}, {"matchLabels": {"tier": "gold"}}])


class Watched(ClusterWorld):
    """Compares each eviction with the labels that the API server has at that moment."""

    def __init__(self, first: dict[str, dict[str, str]], *bodies: dict[str, Any]) -> None:
        self.wrong: list[str] = []
        super().__init__(first, *bodies)
        evict = self.cluster.evict

        async def judged(pod: Pod) -> Attempt:
            home = pod.namespace
            assert isinstance(self.cluster.namespaces, dict)
            allowed = self.cluster.namespaces[home].labels.get(ENFORCE_LABEL) == ENFORCE_ALLOWED
            owned = any(each["metadata"]["namespace"] == home for each in self.own)
            if not allowed and not owned:
                self.wrong.append(f"{home} has {dict(self.cluster.namespaces[home].labels)}")
            if owned and all(
                each["spec"].get("mode") != "Enforce" for each in self.own if each["metadata"]["namespace"] == home
            ):
                self.wrong.append(f"{home} has a policy of its own in mode Observe")
            return await evict(pod)

        self.cluster.evict = judged  # type: ignore[method-assign]


def _known() -> str:
    return ""


def _unknown() -> str:
    return "the labels of namespaces are not known now"


async def _play(first: list[dict[str, str]], namespaces: dict[str, Any], steps: list[Any]) -> Watched:
    world = Watched(dict(zip(HOMES, first, strict=True)), cluster_body(spec={"namespaces": namespaces}))
    for step in steps:
        match step:
            case ("label", home, labels, seen):
                world.label(home, labels, seen=seen)
            case ("own", home, mode):
                if not any(each["metadata"]["namespace"] == home for each in world.own):
                    world.own_policy(home, spec={**cluster_body()["spec"], "mode": mode, "namespaces": None})
                    del world.own[-1]["spec"]["namespaces"]
                    world.policies.put(world.own[-1])
            case ("unsure", known):
                world.policies.clusters.unsure = _known if known else _unknown
            case ("restart",):
                world.restart()
            case ("later", seconds):
                await world.later(seconds)
    await world.later()
    return world


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=st.lists(LABELS, min_size=3, max_size=3), namespaces=NAMESPACES, steps=STEPS)
def test_it_never_acts_where_the_label_is_missing(
    first: list[dict[str, str]], namespaces: dict[str, Any], steps: list[Any]
) -> None:
    world = asyncio.run(_play(first, namespaces, steps))
    assert not world.wrong


def test_the_property_finds_an_operator_that_trusts_its_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above can fail: without the second look a label that the watch has not shown is not seen."""
    monkeypatch.setattr(doubts, "why_not_now", lambda *_: "")
    steps: list[Any] = [("label", "bank", {}, False), ("later", 60)]
    world = asyncio.run(_play([ALLOWED, {}, {}], {"all": True}, steps))
    assert world.wrong
