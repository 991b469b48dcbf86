"""Score alarms against labels: leaks caught in time, and false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.bench import intervals
from tests.bench.shapes import DAY, Labelled

# Seconds to spare that count as caught, by the leak's duration: an eviction within budgets needs them.
SPARE, SPARE_FAST = 300.0, 180.0
FAST, LONG = 20 * 60.0, 45 * 60.0
# Leaks of minutes, counted separately: they are found only where a suspect is read at a short step.
MINUTES = (8 * 60.0, 40 * 60.0)
EARLY = 2 * 3600.0  # for leaks of at least this length the share used at the alarm is recorded


def _name(trace: Labelled) -> str:
    return f"{trace.series.namespace}/{trace.series.pod}"


@dataclass
class Score:
    """Counts over traces. A leaking process that never reached its limit counts as neither leaky nor healthy."""

    leaks: int = 0
    caught: int = 0
    fast: int = 0
    fast_caught: int = 0
    half: int = 0
    leads: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    healthy_days: float = 0.0
    false_alarms: int = 0
    minutes: int = 0
    minutes_caught: int = 0
    used_long: list[float] = field(default_factory=list)  # share of its duration used at the alarm, of leaks of hours
    missed: list[str] = field(default_factory=list)
    alarmed: list[str] = field(default_factory=list)
    # By workload: leaks, caught leaks, and false alarms; the pods of one workload are not independent.
    clumps: dict[str, list[float]] = field(default_factory=dict)

    @property
    def recall_interval(self) -> tuple[float, float]:
        clumps = list(self.clumps.values())
        return intervals.share([clump[1] for clump in clumps], [clump[0] for clump in clumps])

    @property
    def false_interval(self) -> tuple[float, float]:
        return intervals.rate([clump[2] for clump in self.clumps.values()], self.healthy_days)

    @property
    def recall(self) -> float:
        return self.caught / self.leaks if self.leaks else float("nan")

    @property
    def fast_recall(self) -> float:
        return self.fast_caught / self.fast if self.fast else float("nan")

    @property
    def false_per_day(self) -> float:
        return self.false_alarms / self.healthy_days if self.healthy_days else float("nan")

    @property
    def lead_hours(self) -> float:
        return float(np.median(self.leads)) / 3600 if self.leads else float("nan")

    def add(self, trace: Labelled, alarms: Sequence[float]) -> None:
        """`alarms`: the start of each alarm episode, epoch s, ascending."""
        clump = self.clumps.setdefault(f"{trace.series.namespace}/{trace.series.workload}", [0.0, 0.0, 0.0])
        if trace.leaky:
            if trace.exhausts is None or trace.onset is None:
                return
            life = trace.exhausts - trace.onset
            # An alarm before the leak began is luck, not detection.
            in_time = [a for a in alarms if a >= trace.onset]
            lead = trace.exhausts - in_time[0] if in_time else -np.inf
            if life >= LONG:
                self.leaks += 1
                self.caught += lead >= SPARE
                clump[0] += 1
                clump[1] += lead >= SPARE
                self.half += lead >= life / 2
                if lead < SPARE:
                    self.missed.append(f"{_name(trace)} (life {life / 3600:.1f} h, lead {lead / 60:.0f} min)")
            elif life >= FAST:
                self.fast += 1
                self.fast_caught += lead >= SPARE_FAST
            if MINUTES[0] <= life <= MINUTES[1]:
                self.minutes += 1
                self.minutes_caught += lead >= SPARE_FAST
            if life >= EARLY:
                self.used_long.append(1 - max(lead, 0.0) / life)
            if lead > 0:
                self.leads.append(lead)
                self.used.append(1 - lead / max(life, 1.0))
        else:
            self.healthy_days += len(trace.series.t) * float(np.median(np.diff(trace.series.t))) / DAY
            self.false_alarms += len(alarms)
            clump[2] += len(alarms)
            if alarms:
                hours = ", ".join(f"{(a - trace.series.t[0]) / 3600:.1f}" for a in alarms[:4])
                self.alarmed.append(f"{_name(trace)} (after {hours} h)")


class Scores:
    """The scores of every detector by name, over all traces and by family. Draws are added one after the other."""

    def __init__(self) -> None:
        self.overall: dict[str, Score] = {}
        self.by_family: dict[str, dict[str, Score]] = {}

    def add(self, traces: Sequence[Labelled], found: Mapping[str, Mapping[int, Sequence[float]]]) -> None:
        """`found`: the begins of alarm episodes of each detector, by place in `traces`."""
        for name, alarms in found.items():
            overall = self.overall.setdefault(name, Score())
            families = self.by_family.setdefault(name, {})
            for i, trace in enumerate(traces):
                begins = alarms.get(i, ())
                overall.add(trace, begins)
                families.setdefault(trace.family, Score()).add(trace, begins)
