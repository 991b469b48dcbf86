"""`python -m tests.bench.tune` (`make tune`): set the thresholds by a search on composed worlds, against the budgets.

The worlds are replayed once, and every window that was judged is kept with what was measured of it. From then on any
set of thresholds is judged on these windows alone, within a fraction of a second: a window's answers, evaluations in a
row, the first moment at which each life would be Leaking, and the episodes of healthy ones. Each threshold is tried at
some multiples of itself in turn, and kept where the objective improves: the leaks that are told in time, less a penalty
for the worst group of components whose false alarms exceed the budget. A threshold that changes no figure at half and at
double is not searched further, and named in the result. All is seeded. Replaying ends after half of `--minutes`, with
the worlds replayed by then, and the search after all of it; the result says how many worlds there were and which
thresholds were not reached.

The result is written to operator/leakwarden/core/detection/tuned.py, with the figures that it was set by. `--ablate`
changes nothing, and shows what each threshold does at half and at double.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from leakwarden.core.detection import measure
from leakwarden.core.detection.questions import WindowContext
from leakwarden.core.detection.replay import replay
from leakwarden.core.detection.rollups import WIDTHS, Bools, Ints
from leakwarden.core.detection.thresholds import Gates, tuned
from leakwarden.core.detection.trend import ResidualTrend, Trend
from leakwarden.core.detection.verdict import Passed, judge_windows
from leakwarden.core.model.readings import Floats
from leakwarden.core.signals.criteria import Standard
from tests.bench import worlds
from tests.bench.scoring import FAST, LONG, SPARE, SPARE_FAST
from tests.bench.shapes import DAY, Labelled

TUNING_SEEDS = range(1, 3)
BUDGET = 0.003  # false alarms a healthy pod-day
FACTORS = (0.5, 2.0, 0.8, 1.25)  # the outer ones first: they show whether a threshold matters at all
_AT_ONCE = 4  # worlds of a scale that are replayed together
_CALM = 3600.0  # s without a proof, after which the next proof begins another episode
_FILE = Path(__file__).parents[2] / "operator/leakwarden/core/detection/tuned.py"


@dataclass
class Windows:
    """All windows of one width, sorted by process and time."""

    raw: Trend
    left: ResidualTrend
    beside: WindowContext
    life: Ints
    at: Floats
    also: Bools  # a leak in the growth that the load does not explain
    never: Bools  # a staircase


@dataclass
class Lab:
    traces: list[Labelled] = field(default_factory=list)
    windows: dict[int, Windows] = field(default_factory=dict)

    def told(self, gates: Gates) -> dict[int, list[float]]:
        """The begins of the times in which each process would be Leaking."""
        wider: tuple[Ints, Floats, Bools] | None = None
        shown: list[tuple[Ints, Floats]] = []
        for k in sorted(self.windows, reverse=True):
            w = self.windows[k]
            beside = w.beside if wider is None else replace(w.beside, backed=_backed(w, wider))
            passed = judge_windows(gates, k, w.raw, w.left, beside)
            leak = (passed.leak & ~w.never) | w.also
            streak = _streak(w, leak)
            confirmed = (streak >= gates.confirm[k]) & (passed.near | w.also)
            shown.append((w.life[confirmed], w.at[confirmed]))
            wider = (w.life, w.at, streak > 0)
        life = np.concatenate([one for one, _ in shown]) if shown else np.zeros(0, np.int64)
        at = np.concatenate([one for _, one in shown]) if shown else np.zeros(0)
        order = np.lexsort((at, life))
        begins: dict[int, list[float]] = {}
        before: dict[int, float] = {}
        for i, moment in zip(life[order].tolist(), at[order].tolist(), strict=True):
            if moment - before.get(i, -np.inf) > _CALM:
                begins.setdefault(i, []).append(moment)
            before[i] = moment
        return begins


def _backed(w: Windows, wider: tuple[Ints, Floats, Bools]) -> Bools:
    """Whether the next wider window of the same process showed a leak at that time."""
    life, at, on = wider
    if not len(life):
        return np.zeros(len(w.life), np.bool_)
    span = 1e10
    place = np.searchsorted(life * span + at, w.life * span + w.at, side="right") - 1
    found = np.maximum(place, 0)
    return np.asarray((place >= 0) & (life[found] == w.life) & on[found])


def _streak(w: Windows, leak: Bools) -> Ints:
    number = np.arange(len(leak))
    broken = ~leak | np.append(True, w.life[1:] != w.life[:-1])
    last = np.maximum.accumulate(np.where(broken, number, 0))
    return np.where(leak, number - last + (leak[last]).astype(np.int64), 0)


def record(drawings: Iterable[tuple[list[Labelled], float]]) -> Lab:
    """Replay the worlds once, and keep their windows. `drawings`: worlds, and seconds between two evaluations."""
    lab = Lab()
    kept: dict[int, list[tuple[Trend, ResidualTrend, WindowContext, Ints, Floats, Bools, Bools]]] = {}
    for traces, interval in drawings:
        place = {
            (t.series.pod, t.series.start): len(lab.traces) + i for i, t in enumerate(traces)
        }  # fmt: skip
        base: dict[str, float] = {}
        for trace in traces:
            name = trace.series.workload
            base[name] = min(base.get(name, np.inf), float(trace.series.t[0]))
        lab.traces += traces
        pending: list[tuple[Trend, ResidualTrend, WindowContext, Passed]] = []

        def ask(
            gates: Gates, k: int, raw: Trend, left: ResidualTrend, beside: WindowContext, *,
            pending: list[tuple[Trend, ResidualTrend, WindowContext, Passed]] = pending,
        ) -> Passed:  # fmt: skip
            passed = judge_windows(gates, k, raw, left, beside)
            first = Passed(*(getattr(passed, of.name).copy() for of in fields(Passed)))
            pending.append((raw, left, beside, first))
            return passed

        note = measure._note

        def keep(
            state: Any, k: int, rows: Ints, *, raw: Trend, passed: Passed, now: float,
            place: Mapping[tuple[str, float], int] = place, base: Mapping[str, float] = base,
            pending: list[tuple[Trend, ResidualTrend, WindowContext, Passed]] = pending, note: Callable[..., None] = note,
            **rest: Any,
        ) -> None:  # fmt: skip
            note(state, k, rows, raw=raw, passed=passed, now=now, **rest)
            raw, left, beside, first = pending[0]
            pending.clear()
            keys = [state.keys[i] for i in rows]
            life = np.array([place[key.pod, key.start] for key in keys])
            at = np.array([base[key.workload] + now for key in keys])
            also, never = passed.leak & ~first.leak, first.leak & ~passed.leak
            kept.setdefault(k, []).append((raw, left, beside, life, at, also, never))

        with patch.object(measure, "judge_windows", ask), patch.object(measure, "_note", keep):
            replay([trace.series for trace in traces], Standard(), interval)
    for k, parts in kept.items():
        life, at = (np.concatenate([part[i] for part in parts]) for i in (3, 4))
        order = np.lexsort((at, life))

        def joined(i: int, cls: Any, parts: Any = parts, order: Ints = order) -> Any:
            return cls(*(np.concatenate([getattr(p[i], of.name) for p in parts])[order] for of in fields(cls)))

        also, never = (np.concatenate([part[i] for part in parts])[order] for i in (5, 6))
        lab.windows[k] = Windows(
            joined(0, Trend), joined(1, ResidualTrend), joined(2, WindowContext), life[order], at[order], also, never
        )
    return lab


@dataclass(frozen=True, slots=True)
class Figures:
    told: int
    leaks: int
    false_alarms: int
    days: float
    worst_group: str
    worst_rate: float  # false alarms per healthy pod-day of the worst group of components

    @property
    def objective(self) -> float:
        """The share of leaks that are found, less a tenth for each budget by which the worst group exceeds its own."""
        return self.told / max(self.leaks, 1) - 0.1 * max(self.worst_rate / BUDGET - 1, 0.0)

    def __str__(self) -> str:
        return (
            f"{self.told}/{self.leaks} leaks told in time, {self.false_alarms} false alarms in {self.days:.0f} healthy"
            f" pod-days, the worst group {self.worst_group} at {self.worst_rate:.4f}"
        )


def figures(lab: Lab, gates: Gates) -> Figures:
    begins = lab.told(gates)
    told = leaks = alarms = 0
    days = 0.0
    by_group: dict[str, list[float]] = {name: [0.0, 0.0] for name in worlds.GROUPS}
    for i, trace in enumerate(lab.traces):
        own = begins.get(i, [])
        if trace.leaky:
            if trace.exhausts is None or trace.onset is None or trace.exhausts - trace.onset < FAST:
                continue
            spare = SPARE if trace.exhausts - trace.onset >= LONG else SPARE_FAST
            first = min((moment for moment in own if moment >= trace.onset), default=np.inf)
            leaks += 1
            told += trace.exhausts - first >= spare
            continue
        length = float(trace.series.t[-1] - trace.series.t[0]) / DAY
        days += length
        alarms += len(own)
        for name in worlds.groups_of(trace):
            by_group[name][0] += len(own)
            by_group[name][1] += length
    # A group of few days has no reliable rate: half an alarm is used where there is none.
    rates = {name: count / max(length, 1.0) for name, (count, length) in by_group.items()}
    worst = max(rates, key=lambda name: rates[name])
    return Figures(told, leaks, alarms, days, worst, rates[worst])


def scaled(gates: Gates, name: str, factor: float) -> Gates:
    """The gates with one threshold multiplied, for all widths by the same factor. Levels stay below the limit."""
    value = getattr(gates, name)
    new: Any = tuple(one * factor for one in value) if isinstance(value, tuple) else value * factor
    if name.startswith(("readings", "confirm")):
        new = tuple(min(max(round(one), 1), 24) for one in new)
    return replace(gates, **{name: new})


def drawn(count: int, is_over: Callable[[], bool]) -> Iterator[tuple[list[Labelled], float]]:
    """`count` worlds of each scale and tuning seed, a few at a time, all scales alike; no further ones once `is_over`,
    but some of each scale always. With each the seconds between two evaluations."""
    for first in range(0, count, _AT_ONCE):
        for seed in TUNING_SEEDS:
            for scale, of in worlds.SCALES.items():
                if is_over() and (first or seed != TUNING_SEEDS[0]):
                    return
                some = min(_AT_ONCE, count - first)
                yield worlds.draw(seed, some, scale, first=first), max(2 * of.step, 60.0)


def names() -> list[str]:
    return [of.name for of in fields(Gates) if of.name not in ("cleared", "widths")]


@dataclass(frozen=True, slots=True)
class Found:
    gates: Gates
    figures: Figures
    inert: tuple[str, ...]  # thresholds that change no figure at half and at double
    unreached: tuple[str, ...]  # thresholds that were not tried in the first pass, because time was up


def search(
    lab: Lab, begin: Gates, passes: int, tell: Callable[[str], None], is_over: Callable[[], bool] = lambda: False
) -> Found:
    """One threshold after the other, in `passes` passes; a change must gain at least one leak in two hundred. Begins no
    further threshold once `is_over`."""
    best, found = begin, figures(lab, begin)
    inert: list[str] = []
    left = names()
    for number in range(passes):
        for name in [name for name in names() if name not in inert]:
            if is_over():
                return Found(best, found, tuple(inert), tuple(left))
            start, before, same = best, found, True
            for place, factor in enumerate(FACTORS):
                if place == 2 and same:
                    if number == 0:
                        inert.append(name)
                    break
                tried = scaled(start, name, factor)
                now = figures(lab, tried)
                same &= now == before
                if now.objective > found.objective + 0.005:
                    best, found = tried, now
                    tell(f"pass {number + 1}: {name} x {factor:g}: {found}")
            if number == 0:
                left.remove(name)
    return Found(best, found, tuple(inert), tuple(left))


def ablation(lab: Lab, gates: Gates) -> str:
    """The effect of each threshold at half and at double: leaks found and false alarms."""
    base = figures(lab, gates)
    lines = [str(base), "", "| threshold | at half: leaks, false alarms | at double |", "|---|---|---|"]
    for name in names():
        cells = []
        for factor in (0.5, 2.0):
            now = figures(lab, scaled(gates, name, factor))
            cells.append(f"{now.told - base.told:+d}, {now.false_alarms - base.false_alarms:+d}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def written(gates: Gates, said: Sequence[str]) -> str:
    """The text of the module with the found thresholds."""
    default = Gates()
    changed = {name: getattr(gates, name) for name in names() if getattr(gates, name) != getattr(default, name)}
    lines = ['"""Thresholds that `make tune` has set; do not edit. What they were set by:', ""]
    lines += [*said, '"""', "", "from __future__ import annotations", "", "from collections.abc import Mapping", ""]
    lines += ["TUNED: Mapping[str, float | tuple[float, ...]] = {"]
    for name, value in changed.items():
        shown = "(" + ", ".join(f"{one:.4g}" for one in value) + ")" if isinstance(value, tuple) else f"{value:.4g}"
        lines.append(f'    "{name}": {shown},')
    return "\n".join([*lines, "}", ""])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tune", description=__doc__)
    parser.add_argument("--worlds", type=int, default=12, help="of each scale and seed (default: 12)")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20.0, help="of replaying and searching (default: 20)")
    parser.add_argument("--ablate", action="store_true", help="only show what each threshold does")
    parser.add_argument(
        "--from-scratch", action="store_true", help="begin at the defaults, not at what was tuned before"
    )
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes

    def tell(text: str) -> None:
        sys.stderr.write(text + "\n")

    lab = record(drawn(args.worlds, lambda: time.monotonic() > end - 30 * args.minutes))
    begin = Gates() if args.from_scratch else tuned()
    tell(f"{sum(len(w.life) for w in lab.windows.values())} windows of {len(lab.traces)} lives, {len(WIDTHS)} widths")
    if args.ablate:
        print(ablation(lab, begin))
        return 0
    before = figures(lab, begin)
    found = search(lab, begin, args.passes, tell, lambda: time.monotonic() > end)
    said = [
        f"seeds {TUNING_SEEDS[0]} to {TUNING_SEEDS[-1]}, {len({each.series.workload for each in lab.traces})} worlds of"
        f" {args.worlds * len(TUNING_SEEDS) * len(worlds.SCALES)}, {args.passes} passes",
        f"before: {before}",
        f"after:  {found.figures}",
        *textwrap.wrap(f"no figure changes at half and at double of: {', '.join(found.inert) or 'none'}", 110),
        *textwrap.wrap(f"not reached within the time: {', '.join(found.unreached) or 'none'}", 110),
    ]
    _FILE.write_text(written(found.gates, said), encoding="utf-8")
    print("\n".join(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
