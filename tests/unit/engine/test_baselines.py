"""The choice of the healthy pod that is counted, and when and how often it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.model.judgement import Verdict
from leakwarden.engine.baselines import AGAIN, STARTED, WARM, BaselineKeeper
from leakwarden.engine.ports import CaptureRequest
from tests.builders import NOW, pod, policy, workload


class Profiler:
    def __init__(self, known: bool = True) -> None:
        self.known = known
        self.asked: list[str] = []

    async def capture(self, request: CaptureRequest) -> Any:
        raise AssertionError("no capture is due here")

    async def baseline(self, request: CaptureRequest, renew: bool) -> bool:
        self.asked.append(f"{request.workload.template_hash}/{request.pod.name}{' again' if renew else ''}")
        return self.known


def evaluated(*verdicts: Verdict, age: float = WARM, template: str = "t1", **changes: Any) -> PolicyEvaluation:
    pods = tuple(
        PodEvaluation(
            replace(pod(name=f"api-{n}", uid=f"u{n}"), created=NOW - age, containers=()), verdict, None, None, ()
        )
        for n, verdict in enumerate(verdicts)
    )
    target = WorkloadEvaluation(replace(workload(), template_hash=template, **changes), Verdict.HEALTHY, pods, None)
    return PolicyEvaluation(policy(), "Prometheus/main", "", True, (target,))


async def counted(keeper: BaselineKeeper, evaluation: PolicyEvaluation, now: float = NOW) -> None:
    keeper.begin([evaluation], now)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_healthy_and_warm_pod_is_counted_once_a_template() -> None:
    profiler = Profiler()
    keeper = BaselineKeeper(profiler)
    for _ in range(3):
        await counted(keeper, evaluated(Verdict.LEAKING, Verdict.HEALTHY))
    await counted(keeper, evaluated(Verdict.HEALTHY, template="t2"))
    assert profiler.asked == ["t1/api-1", "t2/api-0"]


async def test_a_pod_that_has_just_started_is_counted_and_again_when_it_is_warm() -> None:
    profiler = Profiler()
    keeper = BaselineKeeper(profiler)
    await counted(keeper, evaluated(Verdict.HEALTHY, age=STARTED - 1))
    assert profiler.asked == []
    for age in (STARTED, WARM - 1, WARM, 2 * WARM):
        await counted(keeper, evaluated(Verdict.HEALTHY, age=age))
    assert profiler.asked == ["t1/api-0", "t1/api-0 again"]


async def test_the_oldest_of_the_healthy_pods_is_counted() -> None:
    profiler = Profiler()
    young = evaluated(Verdict.HEALTHY, age=WARM)
    old = replace(young.workloads[0].pods[0], pod=pod(name="api-7", uid="u7", created=NOW - 5 * WARM, containers=()))
    target = replace(young.workloads[0], pods=(*young.workloads[0].pods, old))
    await counted(BaselineKeeper(profiler), replace(young, workloads=(target,)))
    assert profiler.asked == ["t1/api-7"]


async def test_where_no_pod_is_healthy_a_suspect_one_is_counted_and_a_leaking_one_never() -> None:
    profiler = Profiler()
    await counted(BaselineKeeper(profiler), evaluated(Verdict.LEAKING, Verdict.SUSPECT))
    await counted(BaselineKeeper(profiler), evaluated(Verdict.LEAKING, Verdict.EXHAUSTING))
    assert profiler.asked == ["t1/api-1"]


async def test_a_template_that_could_not_be_counted_is_tried_again_later() -> None:
    profiler = Profiler(known=False)
    keeper = BaselineKeeper(profiler)
    for now in (NOW, NOW + AGAIN - 1, NOW + AGAIN):
        await counted(keeper, evaluated(Verdict.HEALTHY), now)
    assert len(profiler.asked) == 2


async def test_during_a_rollout_nothing_is_counted() -> None:
    profiler = Profiler()
    await counted(BaselineKeeper(profiler), evaluated(Verdict.HEALTHY, generation=9))
    assert profiler.asked == []
