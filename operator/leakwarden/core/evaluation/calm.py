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
    # The same for all of them: tens of thousands are made in each tick.
    verdict = Verdict.HEALTHY
    acting = None
    resumed = None
    needs = 0
    _calm: Sequence[bool]
    _in_full: Callable[[Pod], PodEvaluation]
    _judged: PodEvaluation | None

    def __init__(self, pod: Pod, calm: Sequence[bool], in_full: Callable[[Pod], PodEvaluation]) -> None:
        object.__setattr__(self, "pod", pod)
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
        self.series = asked.series if isinstance(asked.series, PodsSeries) else None
        self.possible = plain and not isinstance(asked.answer, QueryFailed) and self.series is not None
        self.mask: bytes | None = None  # of each place 1 where it is certainly calm
        self._of_container = limit_from_container(asked.signal.type)
        self._absent: bool | None = None
        self._growth: RowFindings | None = None
        self._workload: Workload | None = None

    def about(self, workload: Workload, key: str) -> bool:
        """Select the workload, by its `key`, whose pods are asked about next; False where nothing is certain for them."""
        self._workload = workload
        asked = self._asked
        growth = asked.growth.of(asked.key, key, asked.standard) if asked.standard.growth else None
        growth = growth if isinstance(growth, RowFindings) else None
        possible = self.possible and (growth is not None or not asked.standard.growth)
        if possible and self.series is not None and (self.mask is None or growth is not self._growth):
            standard = asked.standard
            about = (standard.above, standard.max_age, standard.growth, self._of_container, self._now, id(growth))
            self.mask = self.series.at_once(about, lambda: self._calm_at_once(growth))
        self._growth = growth
        return possible

    def _calm_at_once(self, growth: RowFindings | None) -> bytes | None:
        """The series that are calm as `_is_calm` says, of all at once; the few others are asked one by one. None where
        it cannot be said of all at once."""
        assert self.series is not None
        standard = self._asked.standard
        t, v, limits = self.series.newest()
        verdicts = None
        if standard.growth:
            assert growth is not None
            verdicts = growth.verdicts_of(self._asked.key, self.series.names)
            if verdicts is None:
                return None
        elif standard.above is None:
            return None
        if self._of_container:
            # Where the container has no limit either, this is the threshold, and then those near it are asked in full.
            bounds = growth.limits_of(self._asked.key) if growth is not None else np.nan
            limits = np.where(np.isnan(limits), bounds, limits)
        calm = np.abs(self._now - t) <= standard.max_age
        calm &= ~np.isnan(v)
        if self._of_container:
            calm &= ~np.isnan(limits)
        if standard.above is not None:
            level = standard.above.value if standard.above.share is None else standard.above.share * limits
            calm &= v <= (np.nan if level is None else level)
        if verdicts is not None:
            calm &= ~(v > FULL * limits)
            healthy = verdicts == _HEALTHY
            calm &= healthy if standard.above is None else healthy | (verdicts == _UNKNOWN)
        return calm.tobytes()

    def of(self, uid: str) -> bool | None:
        """Whether the pod's signal was read and is calm; None where it has to be judged in full."""
        assert self.series is not None
        places = self.series.places(uid)
        if not places:
            if self._absent is None:
                self._absent = is_about_nothing(judge_absent(self._asked.signal, self._asked.answer))
            return False if self._absent else None
        mask = self.mask
        for place in places:
            if not (mask is not None and mask[place]) and not self._is_calm(uid, place):
                return None
        return True

    def _is_calm(self, uid: str, place: int) -> bool:
        assert self.series is not None
        standard = self._asked.standard
        read, value, known = (each.item(place) for each in self.series.newest())
        if not -standard.max_age <= self._now - read <= standard.max_age:  # also where it is missing: NaN
            return False
        if value != value:  # not a number: no comparison below would say so
            return False
        limit = None if known != known else known
        if limit is None and self._of_container and self._workload is not None and self.series is not None:
            limit = container_memory_limit(self._workload, self.series.container(place))
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
        assert self.series is not None
        verdict = self._growth.verdict((self._asked.key, uid, self.series.container(place)))
        if verdict is Verdict.HEALTHY:
            return True
        # Within its threshold it is healthy although its growth is not known yet.
        return standard.above is not None and (verdict is None or verdict is Verdict.UNKNOWN)


class CalmSignals:
    """All signals of a policy, which most pods have and are calm in."""

    def __init__(self, asked: Sequence[AskedSignal], now: float) -> None:
        self.each = [CalmSignal(one, now) for one in asked]
        self.leading = [one.signal.effective_role is Role.LEAK for one in asked]
        self._masks: list[bytes | None] = []
        self._together: bytes | None = None  # of each place 1 where it is certainly calm in all signals

    def about(self, workload: Workload) -> bool:
        """As `CalmSignal.about`, for all of them."""
        key = workload.key
        if not self.each or not all(one.about(workload, key) for one in self.each):
            return False
        masks = [one.mask for one in self.each]
        if masks != self._masks:
            self._masks, self._together = masks, self._all_at_once(masks)
        return True

    def all_of(self, uid: str) -> bool:
        """Whether the pod certainly has all signals and is calm in them; False where they have to be asked one by one."""
        series, together = self.each[0].series, self._together
        if together is None or series is None:
            return False
        places = series.places(uid)
        for place in places:
            if not together[place]:
                return False
        return bool(places)

    def _all_at_once(self, masks: Sequence[bytes | None]) -> bytes | None:
        """None where the signals are not of the same pods at the same places."""
        first = self.each[0].series
        known = [mask for mask in masks if mask is not None]
        if first is None or len(known) < len(masks) or not any(self.leading):
            return None
        if not all(one.series is not None and one.series.is_beside(first) for one in self.each):
            return None

        def join() -> bytes:
            every = np.frombuffer(known[0], np.bool_)
            for mask in known[1:]:
                every = every & np.frombuffer(mask, np.bool_)
            return every.tobytes()

        return first.at_once(("together", *known), join)


class CalmPods:
    """Finds the healthy pods of one workload. `in_full` judges a pod with all of its signals."""

    def __init__(
        self,
        workload: Workload,
        signals: CalmSignals,
        in_full: Callable[[Pod], PodEvaluation],
    ) -> None:
        self._signals, self._in_full = signals, in_full
        self._possible = signals.about(workload)
        self._patterns: dict[tuple[bool, ...], tuple[bool, ...]] = {}
        self._all = (True,) * len(signals.each)

    def of(self, pod: Pod) -> CalmPod | None:
        """None where the pod has to be judged in full."""
        if not self._possible:
            return None
        if self._signals.all_of(pod.uid):
            return CalmPod(pod, self._all, self._in_full)
        found = []
        for each in self._signals.each:
            one = each.of(pod.uid)
            if one is None:
                return None
            found.append(one)
        if not any(read and leads for read, leads in zip(found, self._signals.leading, strict=True)):
            return None
        pattern = tuple(found)
        return CalmPod(pod, self._patterns.setdefault(pattern, pattern), self._in_full)
