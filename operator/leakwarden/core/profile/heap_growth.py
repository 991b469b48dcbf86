"""Bytes in use at each capture, by the team's function."""

from __future__ import annotations

from dataclasses import dataclass

from leakwarden.core.profile.baseline import site_key
from leakwarden.core.profile.growth import Capture, Series
from leakwarden.core.profile.ownership import Ownership
from leakwarden.core.profile.stacks import Stack, innermost


@dataclass(frozen=True, slots=True)
class HeapGrowth:
    """Bytes in use at each capture, in total and by the team's function; without the profiles themselves, goroutines'
    own records and the runtime."""

    total: Series
    by_function: dict[str, Series]
    times: tuple[float, ...]

    @classmethod
    def of(cls, capture: Capture, ownership: Ownership) -> HeapGrowth:
        size = max(1, len(capture.heaps))
        total = Series([0.0] * size, 0.0 if capture.baseline is not None and capture.baseline.memory else None)
        by_function: dict[str, Series] = {}
        for moment, heap in enumerate(capture.heaps):
            column = heap.column("inuse_space")
            for sample in heap.samples if column is not None else ():
                stack = sample.stack
                if not stack or bookkeeping(stack):
                    continue
                size_in_use = max(0, sample.values[column or 0])
                total.values[moment] += size_in_use
                at = innermost(stack, ownership)
                if at is None:
                    continue
                name = stack[at].function
                if (one := by_function.get(name)) is None:
                    one = by_function[name] = Series([0.0] * size, total.base if total.base is None else 0.0)
                one.values[moment] += size_in_use
                if moment == size - 1 and capture.baseline is not None and one.base is not None:
                    before = capture.baseline.memory_at(site_key(stack))
                    one.base += min(before, size_in_use)
                    total.base = (total.base or 0.0) + min(before, size_in_use)
        return cls(total, by_function, tuple(heap.taken for heap in capture.heaps))

    def share(self, grown: float) -> float | None:
        return min(1.0, grown / self.total.grown) if self.total.grown > 0 and grown > 0 else None

    def function(self, name: str) -> Series:
        return self.by_function.get(name, Series([0.0]))


def bookkeeping(stack: Stack) -> bool:
    """Whether an allocation is from taking profiles, or the runtime's record of a goroutine."""
    return any(
        f.function.startswith(("runtime/pprof.", "net/http/pprof.", "runtime.malg", "runtime.saveg")) for f in stack
    ) or all(f.function.startswith("runtime.") for f in stack)
