"""The bench's figures as a file, the source of the documentation's tables (tests/docs/bench.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.bench.scoring import Score

FILE = Path(__file__).with_name("results.json")
CURVES = Path(__file__).with_name("curves.json")  # each setting of each rule, for the picture


@dataclass(frozen=True, slots=True)
class Figures:
    """The results of one detector. Recalls are counts of leaks, `healthy_days` pod-days without a leak."""

    detector: str
    leaks: int  # that last 45 minutes or more
    caught: int  # at least 5 minutes before the limit
    fast: int  # leaks that last 20 to 45 minutes
    fast_caught: int  # at least 3 minutes before the limit
    half: int  # leaks of 45 minutes or more that were caught with half of their duration left
    healthy_days: float
    false_alarms: int
    lead_hours: float  # the median

    @property
    def recall(self) -> float:
        return self.caught / self.leaks

    @property
    def false_per_day(self) -> float:
        return self.false_alarms / self.healthy_days


@dataclass(frozen=True, slots=True)
class Group:
    """One draw of families. `lives`: the number of processes, `rated` of them with a request rate."""

    title: str
    seeds: str
    families: int
    lives: int
    rated: int
    detectors: tuple[Figures, ...]
    tables: tuple[str, ...] = ()  # further ones, as Markdown: the rules at their best, and the families


def figures(detector: str, score: Score) -> Figures:
    return Figures(
        detector=detector,
        leaks=score.leaks,
        caught=int(score.caught),
        fast=score.fast,
        fast_caught=int(score.fast_caught),
        half=int(score.half),
        healthy_days=round(score.healthy_days, 1),
        false_alarms=score.false_alarms,
        lead_hours=round(score.lead_hours, 2),
    )


def group(title: str, seeds: str, counts: tuple[int, int, int], scores: Mapping[str, Score], *tables: str) -> Group:
    """`counts`: families, processes, and the processes with a request rate."""
    families, lives, rated = counts
    detectors = tuple(figures(name, score) for name, score in scores.items())
    return Group(title, seeds, families, lives, rated, detectors, tables)


def save(groups: Sequence[Group], file: Path = FILE) -> None:
    file.write_text(json.dumps([asdict(each) for each in groups], indent=2) + "\n", encoding="utf-8")


def load(file: Path = FILE) -> list[Group]:
    """The groups of the last recorded run. Raises OSError, ValueError, TypeError."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return [
        Group(
            **{
                **each,
                "detectors": tuple(Figures(**detector) for detector in each["detectors"]),
                "tables": tuple(each.get("tables", ())),
            }
        )
        for each in found
    ]


def add(group: Group, file: Path) -> None:
    """Put a group in the place of the one with the same title; a group without the rules keeps those that were recorded
    of the same series."""
    groups = {each.title: each for each in load(file)} if file.exists() else {}
    groups[group.title] = _with_rules_of(groups.get(group.title), group)
    save(list(groups.values()), file)


def _with_rules_of(before: Group | None, group: Group) -> Group:
    own = {each.detector for each in group.detectors}
    if before is None or (before.seeds, before.lives) != (group.seeds, group.lives):
        return group
    rules = tuple(each for each in before.detectors if each.detector not in own and "leakwarden" not in each.detector)
    return replace(group, detectors=(*group.detectors, *rules))
