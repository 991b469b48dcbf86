"""Healthy pods at a glance: by their newest readings alone, without a judgement object for each signal.

Most pods of a cluster are healthy in most ticks, so the cost of a tick follows from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from leakwarden.api.v1alpha1.signal import SYMPTOMS, Role, SignalType
from leakwarden.core.detection.history import PodsSeries
from leakwarden.core.evaluation.asked import AskedSignal, is_about_nothing
from leakwarden.core.evaluation.growth_findings import RowFindings
from leakwarden.core.evaluation.results import PodEvaluation
from leakwarden.core.evaluation.threshold_judgement import judge_absent
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.model.readings import QueryFailed
from leakwarden.core.model.workload import Pod, Workload, container_memory_limit
from leakwarden.core.signals.criteria import FULL
from leakwarden.core.signals.queries import limit_from_container

_HEALTHY, _UNKNOWN = list(Verdict).index(Verdict.HEALTHY), list(Verdict).index(Verdict.UNKNOWN)


class CalmPod(PodEvaluation):
    """A healthy pod: each signal that it has is within its threshold and does not grow. Its judgements are made on
    request, which for most pods never comes."""

    __slots__ = ("_calm", "_in_full", "_judged")
    _calm: Sequence[bool]
    _in_full: Callable[[Pod], PodEvaluation]
    _judged: PodEvaluation | None

    def __init__(self, pod: Pod, calm: Sequence[bool], in_full: Callable[[Pod], PodEvaluation]) -> None:
        object.__setattr__(self, "pod", pod)
        object.__setattr__(self, "verdict", Verdict.HEALTHY)
        object.__setattr__(self, "acting", None)
        object.__setattr__(self, "resumed", None)
        object.__setattr__(self, "needs", 0)
        object.__setattr__(self, "_calm", calm)
        object.__setattr__(self, "_in_full", in_full)
        object.__setattr__(self, "_judged", None)

    @property
    def calm(self) -> Sequence[bool] | None:
        return self._calm

    def of_pod(self, pod: Pod) -> PodEvaluation:
        return CalmPod(pod, self._calm, self._in_full)

    @property
    def whole(self) -> PodEvaluation:
        """The evaluation with all of its judgements."""
        if self._judged is None:
            object.__setattr__(self, "_judged", self._in_full(self.pod))
            assert self._judged is not None
        return self._judged

    @property
    def deciding(self) -> Judgement | None:
        return self.whole.deciding

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        return self.whole.judgements


class CalmSignal:
    """Whether `judge_signal` would give Healthy, by the newest readings alone. Where that is not certain, the pod is
    judged in full."""

    def __init__(self, asked: AskedSignal, now: float) -> None:
        self._asked, self._now = asked, now
        plain = asked.signal.type not in SYMPTOMS and asked.signal.type is not SignalType.ALERT
        self._series = asked.series if isinstance(asked.series, PodsSeries) else None
        self.possible = plain and not isinstance(asked.answer, QueryFailed) and self._series is not None
        self._mask: bytes | None = None  # of each place 1 where it is certainly calm
        self._of_container = limit_from_container(asked.signal.type)
        self._absent: bool | None = None
        self._growth: RowFindings | None = None
        self._workload: Workload | None = None

    def about(self, workload: Workload) -> bool:
        """Select the Deployment whose pods are asked about next; False where nothing is certain for them."""
        self._workload = workload
        asked = self._asked
        growth = asked.growth.of(asked.key, workload.key, asked.standard) if asked.standard.growth else None
        growth = growth if isinstance(growth, RowFindings) else None
        possible = self.possible and (growth is not None or not asked.standard.growth)
        if possible and self._series is not None and (self._mask is None or growth is not self._growth):
            standard = asked.standard
            about = (standard.above, standard.max_age, standard.growth, self._of_container, self._now, id(growth))
            self._mask = self._series.at_once(about, lambda: self._calm_at_once(growth))
        self._growth = growth
        return possible

    def _calm_at_once(self, growth: RowFindings | None) -> bytes | None:
        """The series that are calm as `_is_calm` says, of all at once; the few others are asked one by one. None where
        it cannot be said of all at once."""
        assert self._series is not None
        standard = self._asked.standard
        t, v, limits = self._series.newest_arrays()
        known = ~np.isnan(limits)
        calm = np.abs(self._now - t) <= standard.max_age
        calm &= ~np.isnan(v)
        if self._of_container:
            calm &= known
        if standard.above is not None:
            level = standard.above.value if standard.above.share is None else standard.above.share * limits
            calm &= v <= (np.nan if level is None else level)
        elif not standard.growth:
            return None
        if standard.growth:
            assert growth is not None
            verdicts = growth.verdicts_of(self._asked.key, self._series.names)
            if verdicts is None:
                return None
            calm &= ~(v > FULL * limits)
            healthy = verdicts == _HEALTHY
            calm &= healthy if standard.above is None else healthy | (verdicts == _UNKNOWN)
        return calm.tobytes()

    def of(self, uid: str) -> bool | None:
        """Whether the pod's signal was read and is calm; None where it has to be judged in full."""
        assert self._series is not None
        places = self._series.places(uid)
        if not places:
            if self._absent is None:
                self._absent = is_about_nothing(judge_absent(self._asked.signal, self._asked.answer))
            return False if self._absent else None
        mask = self._mask
        for place in places:
            if not (mask is not None and mask[place]) and not self._is_calm(uid, place):
                return None
        return True

    def _is_calm(self, uid: str, place: int) -> bool:
        assert self._series is not None
        newest, standard = self._series.newest(), self._asked.standard
        value = newest.v[place]
        if not -standard.max_age <= self._now - newest.t[place] <= standard.max_age:  # also where it is missing: NaN
            return False
        if value != value:  # not a number: no comparison below would say so
            return False
        known = newest.limits[place]
        limit = None if known != known else known
        if limit is None and self._of_container and self._workload is not None and self._series is not None:
            limit = container_memory_limit(self._workload, self._series.container(place))
        if standard.above is not None:
            level = standard.level(limit)
            if level is None or value > level:
                return False
        elif not standard.growth:
            return False
        if not standard.growth:
            return True
        if limit is not None and value > FULL * limit:
            return False
        assert self._growth is not None
        assert self._series is not None
        verdict = self._growth.verdict((self._asked.key, uid, self._series.container(place)))
        if verdict is Verdict.HEALTHY:
            return True
        # Within its threshold it is healthy although its growth is not known yet.
        return standard.above is not None and (verdict is None or verdict is Verdict.UNKNOWN)


class CalmPods:
    """Finds the healthy pods of one workload. `in_full` judges a pod with all of its signals."""

    def __init__(
        self,
        workload: Workload,
        asked: Sequence[AskedSignal],
        signals: Sequence[CalmSignal],
        in_full: Callable[[Pod], PodEvaluation],
    ) -> None:
        self._signals, self._in_full = signals, in_full
        self._leading = [each.signal.effective_role is Role.LEAK for each in asked]
        self._possible = bool(asked) and all(each.about(workload) for each in signals)
        self._patterns: dict[tuple[bool, ...], tuple[bool, ...]] = {}

    def of(self, pod: Pod) -> CalmPod | None:
        """None where the pod has to be judged in full."""
        if not self._possible:
            return None
        found = []
        for each in self._signals:
            one = each.of(pod.uid)
            if one is None:
                return None
            found.append(one)
        if not any(read and leads for read, leads in zip(found, self._leading, strict=True)):
            return None
        pattern = tuple(found)
        return CalmPod(pod, self._patterns.setdefault(pattern, pattern), self._in_full)
