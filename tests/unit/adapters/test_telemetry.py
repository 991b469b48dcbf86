"""The operator's own counters: every guard's refusal, under a bounded number of labels."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from leakwarden.adapters.telemetry import EngineCollector, Telemetry
from leakwarden.api.v1alpha1.action import ActionType
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.status import ActionPhase
from leakwarden.core.guards import ask
from leakwarden.core.planning.planning import Decision
from leakwarden.engine.tick import Tick
from tests.builders import enforcing, pod, points, sampled, snapshot, workload
from tests.unit.engine.engine_world import World
from tests.unit.guards.test_guards import CASES


def skips(telemetry: Telemetry) -> dict[str, float]:
    """The counter by its label, as a scrape sees it."""
    return {
        sample.labels["reason"]: sample.value
        for metric in telemetry.registry.collect()
        for sample in metric.samples
        if sample.name == "leakwarden_skips_total"
    }


@pytest.mark.parametrize("reason", list(CASES))
def test_each_guards_no_is_counted_under_its_reason_once_a_tick(reason: SkipReason) -> None:
    telemetry = Telemetry()
    candidate, situation = CASES[reason].no
    refused = Decision(candidate, ask(candidate, situation))
    telemetry.ticked(Tick(decisions=[refused]))
    telemetry.ticked(Tick(decisions=[refused]))
    telemetry.ticked(Tick(decisions=[Decision(candidate, ())]))
    assert skips(telemetry) == {str(each): 2.0 if each is reason else 0.0 for each in SkipReason}


async def test_what_an_engine_did_not_do_is_counted_and_what_it_did_is_not() -> None:
    world, telemetry = World(), Telemetry()
    telemetry.ticked(await world.engine.tick())
    assert sum(skips(telemetry).values()) == 0
    assert len(world.changes()) == 1
    await world.later()
    telemetry.ticked(world.engine.last)
    counted = {reason for reason, count in skips(telemetry).items() if count}
    assert counted == {"ActionPending", "CanaryPending", "CooldownActive", "PodCooldownActive"}


async def test_a_hundred_deployments_make_no_more_series_than_one() -> None:
    world, telemetry = World(spec={**enforcing(), "suspend": True}), Telemetry()
    telemetry.watch(EngineCollector(world.engine, lambda: (), lambda: True))
    telemetry.ticked(await world.engine.tick())
    before = generate_latest(telemetry.registry).decode()
    names = [f"svc-{n:03}" for n in range(100)]
    pods = [pod(f"{name}-{n}", owner=name) for name in names for n in (1, 2, 3)]
    world.cluster.world = snapshot([workload(name) for name in names], pods)
    world.metrics.answer = sampled({one.name: points([950] * 5, until=world.now) for one in pods})
    telemetry.ticked(await world.engine.tick())
    after = generate_latest(telemetry.registry).decode()
    assert 'leakwarden_skips_total{reason="Suspended"} 101.0' in after
    assert "svc-" not in after, "no names of Deployments or pods"
    counters = [{line.split(" ")[0] for line in text.splitlines() if line.startswith("leakwarden_skips_total{")}
                for text in (before, after)]  # fmt: skip
    assert counters[0] == counters[1], "every reason has its series from the start, and nothing else has"
    assert len(counters[1]) == len(SkipReason)
    assert after.count("\nleakwarden_skipped_actions{") <= len(SkipReason)


def test_every_action_and_outcome_is_counted_from_zero_on_or_the_first_would_be_missed_by_rate() -> None:
    exported = generate_latest(Telemetry().registry).decode()
    for action in ActionType:
        for phase in ActionPhase:
            assert f'leakwarden_actions_total{{action="{action}",phase="{phase}"}} 0.0' in exported


async def test_what_only_counts_up_is_a_counter_and_the_last_whole_tick_has_its_time() -> None:
    world, telemetry = World(), Telemetry()
    telemetry.watch(EngineCollector(world.engine, lambda: [("pods", 3, 2, 1)], lambda: True))
    telemetry.ticked(await world.engine.tick())
    exported = generate_latest(telemetry.registry).decode()
    for name in ("leakwarden_cache_relists", "leakwarden_watch_restarts", "leakwarden_defects"):
        assert f"# TYPE {name}_total counter" in exported
    (since,) = [line.split()[1] for line in exported.splitlines() if line.startswith("leakwarden_last_whole_tick")]
    assert float(since) > 0
