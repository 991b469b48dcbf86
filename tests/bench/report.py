"""The bench's tables, and its plot in the terminal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tests.bench.replaying import SUSPECTED
from tests.bench.scoring import Score


def _number(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "-"


def _between(interval: tuple[float, float], form: str) -> str:
    """A 95 % interval."""
    low, high = interval
    return f"[{format(low, form)}, {format(high, form)}]" if np.isfinite(low) else ""


def _share(part: int, whole: int) -> str:
    return f"{_number(part / whole if whole else float('nan'), '.2f')} ({part}/{whole})"


def _sweeps(scores: Mapping[str, Score]) -> dict[str, dict[str, Score]]:
    """The rules for comparison, each by its settings, the usual one first."""
    sweeps: dict[str, dict[str, Score]] = {}
    for name, score in scores.items():
        rule, colon, setting = name.partition(": ")
        if colon:
            sweeps.setdefault(rule, {})[setting] = score
    return sweeps


def usual(scores: Mapping[str, Score]) -> dict[str, Score]:
    """The detector, and each rule with its usual setting."""
    sweeps = _sweeps(scores)
    usual = {f"{rule}: {next(iter(settings))}" for rule, settings in sweeps.items()}
    return {name: score for name, score in scores.items() if name != SUSPECTED and (": " not in name or name in usual)}


def table(scores: Mapping[str, Score]) -> str:
    """One detector per line."""
    lines = [
        "| detector | recall, 5 min to spare | 8 to 40 min leaks, 3 min | 20 to 45 min, 3 min | half of life left | false"
        " alarms a healthy pod-day | median lead | life used (2 h and more) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, s in usual(scores).items():
        half = s.half / s.leaks if s.leaks else float("nan")
        used = float(np.median(s.used_long)) if s.used_long else float("nan")
        lines.append(
            f"| {name} | {_number(s.recall, '.3f')} {_between(s.recall_interval, '.3f')} ({s.caught}/{s.leaks})"
            f" | {_share(s.minutes_caught, s.minutes)} | {_share(s.fast_caught, s.fast)} | {_number(half, '.2f')}"
            f" | {_number(s.false_per_day, '.4f')} {_between(s.false_interval, '.4f')}"
            f" ({s.false_alarms}/{s.healthy_days:.0f}) | {_number(s.lead_hours, '.1f')} h | {_number(used, '.2f')} |"
        )
    return "\n".join(lines)


def at_their_best(scores: Mapping[str, Score], ours: str) -> str:
    """The results of each rule with its best setting: its fewest false alarms among the settings that catch as much as
    `ours`, and its best recall among those with at most a hundred times the false alarms of `ours`."""
    us = scores[ours]
    lines = [
        f"| rule | fewest false alarms at a recall of {_number(us.recall, '.3f')} | best recall at"
        f" {_number(100 * us.false_per_day, '.2f')} false alarms |",
        "|---|---|---|",
    ]
    for rule, settings in _sweeps(scores).items():
        as_good = {name: s for name, s in settings.items() if s.recall >= us.recall}
        as_calm = {name: s for name, s in settings.items() if s.false_per_day <= 100 * us.false_per_day}
        fewest, best = "none catches as much", "none is as calm"
        if as_good:
            name = min(as_good, key=lambda name: as_good[name].false_alarms)
            fewest = f"{as_good[name].false_per_day:.2f} ({name})"
        if as_calm:
            name = max(as_calm, key=lambda name: as_calm[name].recall)
            best = f"{as_calm[name].recall:.3f} ({name})"
        lines.append(f"| {rule} | {fewest} | {best} |")
    return "\n".join(lines)


def families(leaking: Mapping[str, Score], acting: Mapping[str, Score]) -> str:
    """One family per line, with its failures."""
    lines = [
        "| family | caught | by Exhausting | false alarms | by Exhausting | pod-days |",
        "|---|---|---|---|---|---|",
    ]
    failures = []
    for name, s in sorted(leaking.items()):
        e = acting[name]
        total = s.leaks + s.fast
        caught = f"{s.caught + s.fast_caught}/{total}" if total else "-"
        acted = f"{e.caught + e.fast_caught}/{total}" if total else "-"
        lines.append(
            f"| {name} | {caught} | {acted} | {s.false_alarms} | {e.false_alarms} | {_number(s.healthy_days, '.0f')} |"
        )
        failures += [f"  missed or late: {text}" for text in s.missed] + [
            f"  false alarm: {text}" for text in s.alarmed
        ]
    return "\n".join(lines + (["", *failures] if failures else []))


def groups(leaking: Mapping[str, Score], acting: Mapping[str, Score]) -> str:
    """One group of components per line, the worst by false alarms first."""
    lines = [
        "| worlds that hold | recall | by Exhausting | false alarms a healthy pod-day | by Exhausting |",
        "|---|---|---|---|---|",
    ]
    for name, s in sorted(leaking.items(), key=lambda item: -(item[1].false_per_day if item[1].healthy_days else 0)):
        e = acting[name]
        lines.append(
            f"| {name} | {_number(s.recall, '.3f')} {_between(s.recall_interval, '.3f')} ({s.caught}/{s.leaks})"
            f" | {_number(e.recall, '.3f')} | {_number(s.false_per_day, '.4f')} {_between(s.false_interval, '.4f')}"
            f" ({s.false_alarms}/{s.healthy_days:.0f}) | {_number(e.false_per_day, '.4f')} |"
        )
    return "\n".join(lines)


def terminal_plot(scores: Mapping[str, Score], wide: int = 60, high: int = 14) -> str:
    """Recall (up) against false alarms per healthy pod-day (right, logarithmic): the upper left corner is the best."""
    marks = "LE" + "abcdefgh"
    rows = [[" "] * wide for _ in range(high)]
    legend = []
    for mark, (name, s) in zip(marks, usual(scores).items(), strict=False):
        if not (np.isfinite(s.recall) and np.isfinite(s.false_per_day)):
            continue  # some families alone have no leak or no healthy day, hence no place in the picture
        x = np.clip((np.log10(max(s.false_per_day, 1e-4)) + 4) / 6, 0, 1)
        y = np.clip((s.recall - 0.5) / 0.5, 0, 1)
        rows[high - 1 - round(y * (high - 1))][round(x * (wide - 1))] = mark
        legend.append(f"  {mark} {name}")
    body = [f"{1 - 0.5 * i / (high - 1):5.2f} |{''.join(row)}" for i, row in enumerate(rows)]
    axis = "       0.0001 or none" + " " * (wide - 34) + "100 false alarms/day"
    return "\n".join([*body, "      +" + "-" * wide, axis, *legend])
