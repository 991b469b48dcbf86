"""One query for many namespaces, split where their common answer is too large or too slow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from leakwarden.core.model.readings import Answer, LimitBlock, NoData, QueryFailed, Sampled, SeriesBlock, SeriesKey


@dataclass(frozen=True, slots=True)
class Parted:
    """Namespaces that are read together."""

    groups: Sequence[frozenset[str]]  # the largest first
    causes: Sequence[str]  # namespaces that failed alone
    until: float  # monotonic s at which all are tried together again

    def of(self, namespaces: Set[str]) -> list[frozenset[str]]:
        """The groups as far as they are still queried, and all new namespaces together."""
        known: frozenset[str] = frozenset().union(*self.groups)
        kept = [group & namespaces for group in self.groups]
        return [frozenset(group) for group in (namespaces - known, *kept) if group]


def smaller(namespaces: frozenset[str], named: int) -> list[frozenset[str]]:
    """Halves; and of more namespaces than a query can name, parts of as many as it can, since a query that names none
    is answered for all of them. `named`: the most namespaces that a query names."""
    ordered = sorted(namespaces)
    number = max(2, -(-len(ordered) // named))
    size = -(-len(ordered) // number)
    return [frozenset(ordered[first : first + size]) for first in range(0, len(ordered), size)]


def together(
    answers: Mapping[frozenset[str], Answer],
    one_list: Callable[[list[SeriesKey]], list[SeriesKey]] = lambda names: names,
) -> Answer:
    """One answer of those for its parts. Where some failed and others did not, it names the namespaces that it
    lacks. `one_list`: the names, as the same object as before where they are equal."""
    if len(answers) == 1:
        return next(iter(answers.values()))
    series: list[SeriesBlock] = []
    limits: list[LimitBlock] = []
    failed: dict[str, QueryFailed] = {}
    for part, answer in answers.items():
        if isinstance(answer, Sampled):
            series.append(SeriesBlock.of(answer.series))
            limits.append(LimitBlock.of(answer.limits))
        elif isinstance(answer, QueryFailed):
            failed.update(dict.fromkeys(part, answer))
    told = list(answers.values())
    if not any(isinstance(answer, Sampled) for answer in told):
        absent = next((answer for answer in told if isinstance(answer, NoData)), None)
        if not failed:
            return absent or NoData("NoSeries", "no pod of these namespaces has it")
        if absent is None:
            return next(iter(failed.values()))
    block = SeriesBlock.together(series)
    names = one_list(list(block.names))
    every = one_list([name for each in limits for name in each.names])
    of_each = LimitBlock(every, np.concatenate([each.limits for each in limits]))
    return Sampled(SeriesBlock(names, block.sizes, block.t, block.v), of_each, failed)
