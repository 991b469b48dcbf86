"""Chooses the healthy pod to count next, so that a leak can be compared with a healthy time: minutes to days of growth.

Pods are counted for each Deployment and template, concurrently with the ticks, one pod at a time, and never while a
capture is due. The first count comes soon after a pod has started: better than none where a leak is quick. The second
comes when the pod is warm. Healthy pods come first, then one that has become Suspect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.policy import Policy
from leakwarden.engine.ports import CaptureRequest, Profiler

STARTED = 30.0  # s since a pod's newest process began: it has served its first requests by then
WARM = 900.0  # s; pools and caches of most services are filled by then
AGAIN = 3600.0  # s until a template that could not be counted is tried again
LONGEST = 60.0  # s; the profiler has a limit of its own
MOST = 20_000  # templates that are remembered

_Template = tuple[str, str]  # Deployment's UID, template's hash
Healthy = tuple[Policy, WorkloadEvaluation, PodEvaluation]


@dataclass(slots=True)
class BaselineKeeper:
    """`profiler` None: nothing is counted."""

    profiler: Profiler | None
    _tried: dict[_Template, float] = field(default_factory=dict)  # not before this time again, epoch s
    _warm: set[_Template] = field(default_factory=set)  # counted while warm: for good
    _known: set[_Template] = field(default_factory=set)  # counted at all
    _task: asyncio.Task[None] | None = None

    def begin(self, evaluations: Sequence[PolicyEvaluation], now: float) -> None:
        """Begin with the next template that is not counted yet, unless one is under way."""
        if self.profiler is None or (self._task is not None and not self._task.done()):
            return
        chosen = next(self._due(evaluations, now), None)
        if chosen is not None:
            self._task = asyncio.create_task(self._count(self.profiler, chosen, now))

    async def end(self) -> None:
        """Give up the count under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=2.0)
            self._task = None

    async def _count(self, profiler: Profiler, chosen: Healthy, now: float) -> None:
        policy, target, pod = chosen
        assert policy.spec is not None
        key, warm = _template(target), _age(pod, now) >= WARM
        self._tried[key] = now + AGAIN
        request = CaptureRequest(
            report="",
            workload=target.workload,
            pod=pod.pod,
            container=pod.pod.containers[0].name if len(pod.pod.containers) == 1 else "",
            spec=policy.spec.evidence,
            signal_type="",
            source=policy.spec.source.prometheus or "",
        )
        try:
            # A leader that has just taken over keeps what an earlier one counted.
            renew = warm and key in self._known
            known = await asyncio.wait_for(profiler.baseline(request, renew), LONGEST)
        except TimeoutError:
            return
        if known:
            self._tried.pop(key, None)
            self._known.add(key)
            if warm:
                self._warm.add(key)

    def _due(self, evaluations: Sequence[PolicyEvaluation], now: float) -> Iterator[Healthy]:
        """Healthy pods first, then Suspect ones."""
        every = list(_templates(evaluations))
        self._forget({_template(target) for _, target in every})
        due = [each for each in every if self._tried.get(_template(each[1]), 0.0) <= now]
        for verdict in (Verdict.HEALTHY, Verdict.SUSPECT):
            for policy, target in due:
                key = _template(target)
                age = STARTED if key not in self._known else WARM
                if key in self._warm or (key in self._known and verdict is Verdict.SUSPECT):
                    continue
                fit = [p for p in target.pods if p.verdict is verdict and p.pod.available and _age(p, now) >= age]
                if fit:
                    yield policy, target, max(fit, key=lambda p: _age(p, now))

    def _forget(self, present: set[_Template]) -> None:
        """Forgets templates that are gone, once there are many of them."""
        if len(self._known) + len(self._tried) > MOST:
            self._known &= present
            self._warm &= present
            self._tried = {key: until for key, until in self._tried.items() if key in present}


def _templates(evaluations: Iterable[PolicyEvaluation]) -> Iterator[tuple[Policy, WorkloadEvaluation]]:
    for evaluation in evaluations:
        spec = evaluation.policy.spec
        if spec is None or not spec.evidence.enabled:
            continue
        for target in evaluation.workloads:
            # During a rollout there are pods of two templates, and which pod has which template is not known here.
            if not target.conflicts_with and not target.workload.rollout_in_progress:
                yield evaluation.policy, target


def _template(target: WorkloadEvaluation) -> _Template:
    return target.workload.uid, target.workload.template_hash


def _age(pod: PodEvaluation, now: float) -> float:
    started = [c.started for c in pod.pod.containers if c.started is not None]
    return now - max(started, default=pod.pod.created)
