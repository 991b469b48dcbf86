"""Which healthy pod is counted next, so that a leak can be compared with a healthy time: minutes to days of growth.

Once for each Deployment and template, beside the ticks, one pod at a time, and never while a capture is due: a pod that
is Healthy and warm, else one that has become Suspect, whose counts are still better than none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from leakwarden.core.evaluation.evaluation import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.policy import Policy
from leakwarden.engine.ports import CaptureRequest, Profiler

WARM = 900.0  # s since a pod's newest process began: pools and caches of most services are filled by then
AGAIN = 3600.0  # s until a template that could not be counted is tried again
LONGEST = 60.0  # s; the profiler has a limit of its own
MOST = 20_000  # templates that are remembered

_Template = tuple[str, str]  # Deployment's UID, template's hash
Healthy = tuple[Policy, WorkloadEvaluation, PodEvaluation]


@dataclass(slots=True)
class BaselineKeeper:
    """`profiler` None: nothing is counted."""

    profiler: Profiler | None
    _known: dict[_Template, float] = field(default_factory=dict)  # until when it need not be asked for, epoch s
    _task: asyncio.Task[None] | None = None

    def begin(self, evaluations: Sequence[PolicyEvaluation], now: float) -> None:
        """Begin with the next template that is not counted yet, unless one is under way."""
        if self.profiler is None or (self._task is not None and not self._task.done()):
            return
        chosen = next(self._due(evaluations, now), None)
        if chosen is not None:
            self._task = asyncio.create_task(self._count(self.profiler, chosen, now))

    async def end(self) -> None:
        """Give up what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=2.0)
            self._task = None

    async def _count(self, profiler: Profiler, chosen: Healthy, now: float) -> None:
        policy, target, pod = chosen
        assert policy.spec is not None
        key = _template(target)
        self._remember(key, now + AGAIN)
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
            known = await asyncio.wait_for(profiler.baseline(request), LONGEST)
        except TimeoutError:
            return
        if known:
            self._remember(key, float("inf"))

    def _due(self, evaluations: Sequence[PolicyEvaluation], now: float) -> Iterator[Healthy]:
        """Healthy pods first, then Suspect ones."""
        due = [each for each in _templates(evaluations) if self._known.get(_template(each[1]), 0.0) <= now]
        for verdict in (Verdict.HEALTHY, Verdict.SUSPECT):
            for policy, target in due:
                pod = next((p for p in target.pods if p.verdict is verdict and _fit(p, now)), None)
                if pod is not None:
                    yield policy, target, pod

    def _remember(self, key: _Template, until: float) -> None:
        self._known.pop(key, None)
        self._known[key] = until
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]


def _templates(evaluations: Iterable[PolicyEvaluation]) -> Iterator[tuple[Policy, WorkloadEvaluation]]:
    for evaluation in evaluations:
        spec = evaluation.policy.spec
        if spec is None or not spec.evidence.enabled:
            continue
        for target in evaluation.workloads:
            # During a rollout pods of two templates stand side by side, and which is which is not known here.
            if not target.conflicts_with and not target.workload.rollout_in_progress:
                yield evaluation.policy, target


def _template(target: WorkloadEvaluation) -> _Template:
    return target.workload.uid, target.workload.template_hash


def _fit(pod: PodEvaluation, now: float) -> bool:
    started = [c.started for c in pod.pod.containers if c.started is not None]
    return pod.pod.available and now - max(started, default=pod.pod.created) >= WARM
