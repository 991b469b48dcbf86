"""`python -m tests.bench.tune` (`make tune`): set the thresholds by a search on composed worlds, against the budgets.

The worlds are replayed once, and every window that grows is kept with what was measured of it. From then on any set of
thresholds is judged on these windows alone, within a fraction of a second: a window's answers, evaluations in a row, the
first moments at which each life would be Leaking and Exhausting, and the episodes of healthy ones.

1. Each threshold is halved and doubled. One that changes no figure is not searched, and named in the result.
2. The others are tried at some multiples in turn, those first that change most. A change is kept where the objective
   improves: leaks that are told and acted upon in time, and early, less a penalty for the worst group of components whose
   false alarms exceed the budget.

The time is that of the processor (`--minutes`), half of it for replaying. With `--state FILE` the windows and each step of
the search are kept, and a search that was interrupted goes on where it was. All is seeded. The result is written to
operator/leakwarden/core/detection/tuned.py, with the figures that it was set by, and those on worlds of other seeds
(`CHECKING_SEEDS`), on which it must be no worse. `--ablate` changes nothing, and shows what each threshold does at half
and at double.
"""

from __future__ import annotations

import argparse
import json
import pickle
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
from tests.bench.scoring import LONG, MINUTES, SPARE, SPARE_FAST
from tests.bench.shapes import DAY, Labelled

TUNING_SEEDS = range(1, 3)
CHECKING_SEEDS = range(31, 33)
BUDGET, BUDGET_ACTED = 0.003, 0.0005  # false alarms a healthy pod-day
FACTORS = (0.5, 2.0, 0.8, 1.25)  # the outer ones first: they show whether a threshold matters at all
_AT_ONCE = 4  # worlds of a scale that are replayed together
_WITHIN = Standard().exhausts_within
_CALM = 3600.0  # s without a proof, after which the next proof begins another episode
_LEAST_DAYS = 30.0
_FILE = Path(__file__).parents[2] / "operator/leakwarden/core/detection/tuned.py"


@dataclass
class Windows:
    """All windows of one width, sorted by process and time."""

    raw: Trend
    left: ResidualTrend
    beside: WindowContext
    life: Ints
    at: Floats
    number: Ints  # the place among all windows, also those that do not grow and are not kept
    also: Bools  # a leak in the growth that the load does not explain
    never: Bools  # a staircase


@dataclass
class Lab:
    traces: list[Labelled] = field(default_factory=list)
    windows: dict[int, Windows] = field(default_factory=dict)

    def told(self, gates: Gates) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
        """The begins of the times in which each process would be Leaking, and Exhausting."""
        wider: tuple[Ints, Floats, Bools] | None = None
        shown: list[tuple[Ints, Floats]] = []
        acted: list[tuple[Ints, Floats]] = []
        for k in sorted(self.windows, reverse=True):
            w = self.windows[k]
            beside = w.beside if wider is None else replace(w.beside, backed=_backed(w, wider))
            passed = judge_windows(gates, k, w.raw, w.left, beside)
            leak = (passed.leak & ~w.never) | w.also
            streak = _streak(w, leak)
            confirmed = (streak >= gates.confirm[k]) & (passed.near | w.also)
            shown.append((w.life[confirmed], w.at[confirmed]))
            act = confirmed & passed.sure & _soon(gates, passed, beside)
            acted.append((w.life[act], w.at[act]))
            wider = (w.life, w.at, streak > 0)
        return _begins(shown), _begins(acted)


def _soon(gates: Gates, passed: Passed, beside: WindowContext) -> Bools:
    """As core/detection/decision.py decides it, at the moment of the window."""
    soon = (passed.seconds <= _WITHIN) & (beside.actual >= gates.exhausting_level)
    soon |= (passed.seconds_low <= _WITHIN) & (beside.actual >= gates.exhausting_hasty)
    near = beside.actual >= np.where(beside.collected, gates.exhausting_heap, gates.exhausting_any)
    return np.asarray((soon | near) & ~beside.past)


def _begins(shown: Sequence[tuple[Ints, Floats]]) -> dict[int, list[float]]:
    life = np.concatenate([one for one, _ in shown]) if shown else np.zeros(0, np.int64)
    at = np.concatenate([one for _, one in shown]) if shown else np.zeros(0)
    order = np.lexsort((at, life))
    life, at = life[order], at[order]
    if not len(life):
        return {}
    first = np.append(True, (life[1:] != life[:-1]) | (at[1:] - at[:-1] > _CALM))
    begins: dict[int, list[float]] = {}
    for i, moment in zip(life[first].tolist(), at[first].tolist(), strict=True):
        begins.setdefault(i, []).append(moment)
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
    broken = ~leak | np.append(True, (w.life[1:] != w.life[:-1]) | (np.diff(w.number) > 1))
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
            keys = [state.key(i) for i in rows]
            life = np.array([place[key.pod, key.start] for key in keys])
            at = np.array([base[key.workload] + now for key in keys])
            also, never = passed.leak & ~first.leak, first.leak & ~passed.leak
            kept.setdefault(k, []).append((raw, left, beside, life, at, also, never))

        with patch.object(measure, "judge_windows", ask), patch.object(measure, "_note", keep):
            replay([trace.series for trace in traces], Standard(), interval)
    for k, parts in kept.items():
        life, at = (np.concatenate([part[i] for part in parts]) for i in (3, 4))
        order = np.lexsort((at, life))
        slopes = np.concatenate([part[0].slope_low for part in parts])[order]
        number = np.flatnonzero(slopes > 0)  # no window without growth is a leak, whatever the thresholds
        order = order[number]

        def joined(i: int, cls: Any, parts: Any = parts, order: Ints = order) -> Any:
            return cls(*(np.concatenate([getattr(p[i], of.name) for p in parts])[order] for of in fields(cls)))

        also, never = (np.concatenate([part[i] for part in parts])[order] for i in (5, 6))
        lab.windows[k] = Windows(
            joined(0, Trend), joined(1, ResidualTrend), joined(2, WindowContext), life[order], at[order],
            number, also, never,
        )  # fmt: skip
    return lab


@dataclass(frozen=True, slots=True)
class Figures:
    told: int
    acted: int
    leaks: int
    left: float  # the mean share of its life that a leak has left when it is told; none of those that are not
    false_alarms: int
    false_acts: int
    days: float
    worst_group: str
    worst_rate: float  # false alarms per healthy pod-day of the worst group of components
    worst_acts: float  # the same for Exhausting

    @property
    def objective(self) -> float:
        """The shares of leaks that are told and acted upon, and half of the life that is left, less a tenth for each
        doubling of a budget in the worst group."""
        gained = (self.told + self.acted) / max(self.leaks, 1) / 2 + self.left / 2
        over = _doublings(self.worst_rate / BUDGET) + _doublings(self.worst_acts / BUDGET_ACTED)
        return gained - 0.1 * over

    def __str__(self) -> str:
        return (
            f"{self.told}/{self.leaks} leaks told in time, {self.acted} acted upon, {self.left:.2f} of life left,"
            f" {self.false_alarms} false alarms in {self.days:.0f} healthy pod-days ({self.false_acts} at Exhausting),"
            f" the worst group {self.worst_group} at {self.worst_rate:.4f}, at Exhausting {self.worst_acts:.4f}"
        )


def _doublings(over: float) -> float:
    return float(np.log2(max(over, 1.0)))


def figures(lab: Lab, gates: Gates) -> Figures:
    begins, acts = lab.told(gates)
    told = acted = leaks = alarms = wrong = 0
    left = days = 0.0
    by_group: dict[str, list[float]] = {name: [0.0, 0.0, 0.0] for name in worlds.GROUPS}
    for i, trace in enumerate(lab.traces):
        own, done = begins.get(i, []), acts.get(i, [])
        if trace.leaky:
            if trace.exhausts is None or trace.onset is None or trace.exhausts - trace.onset < MINUTES[0]:
                continue
            life = trace.exhausts - trace.onset
            spare = SPARE if life >= LONG else SPARE_FAST
            first, act = (
                min((moment for moment in each if moment >= trace.onset), default=np.inf) for each in (own, done)
            )
            leaks += 1
            told += trace.exhausts - first >= spare
            acted += trace.exhausts - act >= spare
            left += max(trace.exhausts - first, 0.0) / life
            continue
        length = float(trace.series.t[-1] - trace.series.t[0]) / DAY
        days += length
        alarms += len(own)
        wrong += len(done)
        for name in worlds.groups_of(trace):
            by_group[name][0] += len(own)
            by_group[name][1] += len(done)
            by_group[name][2] += length
    # A group of few days has no reliable rate.
    rates = {name: count / max(length, _LEAST_DAYS) for name, (count, _, length) in by_group.items()}
    acts_of = max(count / max(length, _LEAST_DAYS) for _, count, length in by_group.values())
    worst = max(rates, key=lambda name: rates[name])
    return Figures(
        told, acted, leaks, left / max(leaks, 1), false_alarms=alarms, false_acts=wrong, days=days, worst_group=worst,
        worst_rate=rates[worst], worst_acts=acts_of,
    )  # fmt: skip


def scaled(gates: Gates, name: str, factor: float) -> Gates:
    """The gates with one threshold multiplied, for all widths by the same factor. Levels stay below the limit."""
    value = getattr(gates, name)
    new: Any = tuple(one * factor for one in value) if isinstance(value, tuple) else value * factor
    if name.startswith(("readings", "confirm")):
        new = tuple(min(max(round(one), 1), 24) for one in new)
    return replace(gates, **{name: new})


def drawn(
    count: int, is_over: Callable[[], bool], seeds: Sequence[int] = TUNING_SEEDS
) -> Iterator[tuple[list[Labelled], float]]:
    """`count` worlds of each scale and seed, a few at a time, all scales alike; no further ones once `is_over`,
    but some of each scale always. With each the seconds between two evaluations."""
    for first in range(0, count, _AT_ONCE):
        for seed in seeds:
            for scale, of in worlds.SCALES.items():
                if is_over() and (first or seed != seeds[0]):
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
    unreached: tuple[str, ...]  # thresholds that were not tried, because time was up


@dataclass
class Progress:
    """The steps of a search so far, in a file from which an interrupted one goes on."""

    file: Path | None = None
    moved: dict[str, int] = field(default_factory=dict)  # how much each threshold changes at half and at double
    factors: dict[str, float] = field(
        default_factory=dict
    )  # of the thresholds that were tried; 1 where none was better

    @classmethod
    def of(cls, file: Path | None) -> Progress:
        if file is None or not file.exists():
            return cls(file)
        return cls(file, **json.loads(file.read_text(encoding="utf-8")))

    def save(self) -> None:
        if self.file is not None:
            text = json.dumps({"moved": self.moved, "factors": self.factors}, indent=1)
            self.file.write_text(text, encoding="utf-8")


def _change(one: Figures, other: Figures) -> int:
    """Leaks and episodes in which two results differ."""
    differ = abs(one.told - other.told) + abs(one.acted - other.acted)
    differ += abs(one.false_alarms - other.false_alarms) + abs(one.false_acts - other.false_acts)
    return differ + round(abs(one.left - other.left) * one.leaks)


def search(
    lab: Lab, begin: Gates, tell: Callable[[str], None], is_over: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Found:  # fmt: skip
    """One threshold after the other, those first that change most. A change must gain half a leak in a hundred. Begins no
    further threshold once `is_over`."""
    steps = progress or Progress()
    base = figures(lab, begin)
    every = names()
    for number, name in enumerate(every):
        if name in steps.moved:
            continue
        if is_over():
            break
        steps.moved[name] = sum(_change(base, figures(lab, scaled(begin, name, factor))) for factor in FACTORS[:2])
        steps.save()
        tell(f"{number + 1}/{len(every)}: {name} changes {steps.moved[name]}")
    inert = tuple(name for name in every if steps.moved.get(name) == 0)
    order = sorted((name for name in every if steps.moved.get(name, 0)), key=lambda name: -steps.moved[name])
    best = begin
    for name in order:
        best = scaled(best, name, steps.factors.get(name, 1.0))
    found = figures(lab, best)
    for number, name in enumerate(name for name in order if name not in steps.factors):
        if is_over():
            break
        start, chosen = best, 1.0
        for factor in FACTORS:
            tried = scaled(start, name, factor)
            now = figures(lab, tried)
            if now.objective > found.objective + 0.005:
                best, found, chosen = tried, now, factor
        steps.factors[name] = chosen
        steps.save()
        tell(f"{number + 1} of {len(order)}: {name} x {chosen:g}: {found}")
    left = tuple(name for name in every if name not in inert and name not in steps.factors)
    return Found(best, found, inert, left)


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
    parser.add_argument("--worlds", type=int, default=8, help="of each scale and seed (default: 8)")
    parser.add_argument("--minutes", type=float, default=20.0, help="of the processor, in all (default: 20)")
    parser.add_argument("--state", type=Path, metavar="FILE", help="go on from this file, and keep the steps in it")
    parser.add_argument("--ablate", action="store_true", help="only show what each threshold does")
    parser.add_argument(
        "--from-scratch", action="store_true", help="begin at the defaults, not at what was tuned before"
    )
    args = parser.parse_args()
    end = 60 * args.minutes

    def tell(text: str) -> None:
        sys.stderr.write(f"[{time.process_time():4.0f} s] {text}\n")

    lab = kept(args.state, "windows", lambda: record(drawn(args.worlds, lambda: time.process_time() > end / 2)))
    begin = Gates() if args.from_scratch else tuned()
    tell(f"{sum(len(w.life) for w in lab.windows.values())} windows of {len(lab.traces)} lives, {len(WIDTHS)} widths")
    if args.ablate:
        print(ablation(lab, begin))
        return 0
    before = figures(lab, begin)
    tell(str(before))
    found = search(lab, begin, tell, lambda: time.process_time() > end, Progress.of(args.state))
    some = max(args.worlds // 2, 1)
    other = kept(args.state, "checking", lambda: record(drawn(some, lambda: False, CHECKING_SEEDS)))
    said = [
        f"seeds {TUNING_SEEDS[0]} to {TUNING_SEEDS[-1]}, {len({each.series.workload for each in lab.traces})} worlds of"
        f" {args.worlds * len(TUNING_SEEDS) * len(worlds.SCALES)}",
        *_wrapped(f"before: {before}"),
        *_wrapped(f"after: {found.figures}"),
        *_wrapped(f"on seeds {CHECKING_SEEDS[0]} to {CHECKING_SEEDS[-1]}, before: {figures(other, begin)}"),
        *_wrapped(f"on seeds {CHECKING_SEEDS[0]} to {CHECKING_SEEDS[-1]}, after: {figures(other, found.gates)}"),
        *_wrapped(f"no figure changes at half and at double of: {', '.join(found.inert) or 'none'}"),
        *_wrapped(f"not reached within the time: {', '.join(found.unreached) or 'none'}"),
    ]
    _FILE.write_text(written(found.gates, said), encoding="utf-8")
    print("\n".join(said))
    return 0


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 110, subsequent_indent="  ")


def kept(state: Path | None, part: str, make: Callable[[], Lab]) -> Lab:
    """The windows of an earlier run, or new ones, kept beside the state's file."""
    if state is None:
        return make()
    file = state.with_suffix(f".{part}.pickle")
    if file.exists():
        found: Lab = pickle.loads(file.read_bytes())
        return found
    lab = make()
    file.write_bytes(pickle.dumps(lab))
    return lab


if __name__ == "__main__":
    sys.exit(main())
