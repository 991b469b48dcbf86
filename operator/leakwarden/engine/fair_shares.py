"""Turns by namespace: how long one namespace waits never depends on how much work another one brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import TypeVar

T = TypeVar("T")


def in_turn(items: Iterable[T], namespace: Callable[[T], str], last: Set[str] = frozenset()) -> list[T]:
    """The first item of each namespace, then the second of each, and so on; within a namespace the order stays. Items
    of the namespaces in `last`, which failed before, come after all others."""
    waiting: dict[str, list[T]] = {}
    for item in items:
        waiting.setdefault(namespace(item), []).append(item)
    ranked = [
        (name in last, rank, position, item)
        for position, (name, mine) in enumerate(waiting.items())
        for rank, item in enumerate(mine)
    ]
    return [item for *_, item in sorted(ranked, key=lambda each: each[:3])]
