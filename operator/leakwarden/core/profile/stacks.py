"""Goroutine profiles summed: the number of goroutines at the same stack, without the runtime's own calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from leakwarden.core.profile.ownership import Ownership
from leakwarden.core.profile.pprof import Frame, Profile, ProfileError

Stack = tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Goroutines at one stack.

    A goroutine profile holds neither the starter of a goroutine (`created by` is only in the text form) nor the reason
    why it waits. `operation` is the runtime's entry that it waits in (`runtime.chansend1`), which shows nearly as much;
    the outermost call of `stack` is the function that was started with `go`.
    """

    operation: str
    stack: Stack  # innermost first, the runtime's calls taken off both ends
    count: int
    labels: Mapping[str, str] = field(default_factory=dict)  # those that all of them share


def groups(profile: Profile) -> dict[tuple[str, Stack], Group]:
    """The goroutines of a profile by operation and stack. Raises ProfileError where it is of another kind."""
    column = next((c for name in ("goroutine", "goroutineleak") if (c := profile.column(name)) is not None), None)
    if column is None:
        raise ProfileError("it is not a goroutine profile")
    found: dict[tuple[str, Stack], Group] = {}
    for sample in profile.samples:
        operation, stack = _strip(sample.stack)
        count, labels = max(0, sample.values[column]), dict(sample.labels)
        if (before := found.get((operation, stack))) is not None:
            count += before.count
            labels = {k: v for k, v in before.labels.items() if labels.get(k) == v}
        found[operation, stack] = Group(operation, stack, count, labels)
    return found


def _strip(stack: Stack) -> tuple[str, Stack]:
    start, end = 0, len(stack)
    while start < end and stack[start].function.startswith("runtime."):
        start += 1
    while end > start and stack[end - 1].function.startswith("runtime."):
        end -= 1
    return (stack[start - 1].function if start else ""), stack[start:end]


# Go's client calls the team back: a RoundTripper of the team's own adds a header below every call of the service, and
# the caller is above it.
_CALLS_BACK = frozenset({"net/http.(*Client).do"})


def innermost(stack: Stack, ownership: Ownership) -> int | None:
    """The place in the team's code that is nearest to the wait, or to the allocation."""
    start = next((n for n in range(len(stack) - 1, -1, -1) if stack[n].function in _CALLS_BACK), -1) + 1
    return ownership.place(stack, start)
