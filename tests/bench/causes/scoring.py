"""Scores of explanations against the causes that episodes were made with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from leakwarden.core.correlation.causes import explain
from tests.bench.causes.episodes import Labelled
from tests.bench.intervals import share

NEEDED = 0.9  # share of the episodes of each kind that must be right


@dataclass(slots=True)
class Score:
    """The answers for one kind of episode."""

    right: int = 0
    named: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # names of episodes

    @property
    def number(self) -> int:
        return sum(self.named.values())

    @property
    def enough(self) -> bool:
        return self.right >= NEEDED * self.number

    @property
    def interval(self) -> tuple[float, float]:
        return share([float(n < self.right) for n in range(self.number)], [1.0] * self.number)


def scored(episodes: Iterable[Labelled]) -> dict[str, Score]:
    """By kind. An answer is right where it names one of the causes, or, where there is none, names none."""
    found: dict[str, Score] = {}
    for each in episodes:
        score, named = found.setdefault(each.kind, Score()), explain(each.episode).cause
        right = named in each.causes if each.causes else named is None
        score.right += right
        score.named[str(named)] += 1
        if not right:
            score.wrong.append(f"{each.name}: {named}")
    return found


def table(scores: Mapping[str, Score]) -> str:
    lines = ["| made with | episodes | right | 95 % interval | named |", "|---|---|---|---|---|"]
    for kind, score in scores.items():
        low, high = score.interval
        named = ", ".join(f"{name} {count}" for name, count in score.named.most_common())
        lines.append(
            f"| {kind} | {score.number} | {score.right / score.number:.0%} | {low:.2f} to {high:.2f} | {named} |"
        )
    return "\n".join(lines)


def wrong(scores: Mapping[str, Score]) -> Sequence[str]:
    return [f"{kind}: {each}" for kind, score in scores.items() for each in score.wrong]
