"""The benefit of a restart: the time of a workload's pods from start to exhaustion, from its episodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from leakwarden.api.v1alpha1.status import ActionPhase
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import parse_time

EPISODES = 20  # the newest episodes; a workload's leak changes with its releases


@dataclass(frozen=True, slots=True)
class Lifespan:
    """`seconds`: the median over so many `episodes`."""

    seconds: float
    episodes: int

    def __str__(self) -> str:
        hours = self.seconds / 3600
        shown = f"{hours:.1f} h" if hours >= 1 else f"{self.seconds / 60:.1f} min"
        return f"a restart buys {shown} (median of {self.episodes})" if self.episodes > 1 else f"a restart buys {shown}"


def _end(report: LeakReport) -> float:
    """When the pod was exhausted or taken away for its leak, whichever came first; 0 where neither is known."""
    taken = [
        parse_time(record.intended_at)
        for record in report.status.actions
        if record.phase is ActionPhase.DONE and record.type != "ScaleOut"
    ]
    times = [time for time in (parse_time(report.status.exhausting_at), *taken) if time > 0]
    return min(times, default=0.0)


def lifespan(reports: Iterable[LeakReport]) -> Lifespan | None:
    """The lifespan by the reports of one workload; None where no pod of it was exhausted or evicted yet."""
    lived = []
    for report in sorted(reports, key=_end, reverse=True)[:EPISODES]:
        start = parse_time(report.spec.pod.started_at) or parse_time(report.spec.pod.created_at)
        if start > 0 and _end(report) > start:
            lived.append(_end(report) - start)
    return Lifespan(float(round(median(lived))), len(lived)) if lived else None
