"""Site counts: the goroutines and bytes of a healthy pod at each stack, small enough to keep for every Deployment.

A site is a hash of a stack's functions and lines: two captures of one binary have the same sites. The most frequent are
kept. Every other site had no more than the least of these, and that number is assumed for it, so that a site that was
left out never looks as if it had grown from nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from leakwarden.core.profile.pprof import Profile
from leakwarden.core.profile.stacks import Stack, groups

SITES = 128  # the number that is kept of each kind: 128 hashes with counts are some 3 KiB
_MOST = 1 << 50


@dataclass(frozen=True, slots=True)
class SiteCounts:
    """Goroutines and bytes in use by site. `taken_at` in epoch s. `left_out` is the maximum of all other sites."""

    taken_at: float
    goroutines: Mapping[str, int] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    goroutines_left_out: int = 0
    memory_left_out: int = 0

    def goroutines_at(self, key: str) -> int:
        return self.goroutines.get(key, self.goroutines_left_out)

    def memory_at(self, key: str) -> int:
        return self.memory.get(key, self.memory_left_out)

    def to_json(self) -> str:
        return json.dumps(
            {
                "takenAt": self.taken_at,
                "goroutines": dict(self.goroutines),
                "memory": dict(self.memory),
                "goroutinesLeftOut": self.goroutines_left_out,
                "memoryLeftOut": self.memory_left_out,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> SiteCounts | None:
        """None where the text is not from `to_json`: an unreadable baseline is treated as absent."""
        try:
            raw = json.loads(text)
            counts = cls(
                float(raw["takenAt"]),
                _counts(raw["goroutines"]),
                _counts(raw["memory"]),
                _count(raw["goroutinesLeftOut"]),
                _count(raw["memoryLeftOut"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return counts if counts.taken_at >= 0 else None


def _counts(raw: Any) -> dict[str, int]:
    if len(raw) > SITES:
        raise ValueError("more sites than are kept")
    return {str(key)[:16]: _count(value) for key, value in raw.items()}


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ValueError("a count is a whole number, not below 0")
    return value


def site_key(stack: Stack) -> str:
    """The same in each capture of one binary, whatever the directory it was built in."""
    text = "\n".join(f"{frame.function}:{frame.line}" for frame in stack)
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def site_counts(goroutines: Profile | None, heap: Profile | None, taken_at: float) -> SiteCounts:
    """The counts of one capture. Raises ProfileError for profiles of a wrong kind."""
    standing: dict[str, int] = {}
    for group in groups(goroutines).values() if goroutines is not None else ():
        key = site_key(group.stack)
        standing[key] = standing.get(key, 0) + group.count
    memory: dict[str, int] = {}
    column = heap.column("inuse_space") if heap is not None else None
    if heap is not None and column is not None:
        for sample in heap.samples:
            if sample.values[column] > 0:
                key = site_key(sample.stack)
                memory[key] = memory.get(key, 0) + sample.values[column]
    kept, rest = _bounded(standing.items())
    heavy, light = _bounded(memory.items())
    return SiteCounts(taken_at, kept, heavy, rest, light)


def _bounded(items: Iterable[tuple[str, int]]) -> tuple[dict[str, int], int]:
    ordered = sorted(items, key=lambda pair: -pair[1])
    return dict(ordered[:SITES]), ordered[SITES][1] if len(ordered) > SITES else 0
