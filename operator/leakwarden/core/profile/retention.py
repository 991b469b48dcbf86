"""Heap profiles: the lines of the team whose allocations are kept.

A heap profile samples one allocation in about 512 KiB and scales the counts up, so a few small objects show either
not at all or as thousands; `sampled` is the number that was really seen. Therefore bytes are compared: every sample
represents the same number of bytes, while one 16-byte object represents 32,768 of its kind. Stacks hold both the bytes
ever allocated and those still in use: the kept part separates the caller that leaks from the one that does not, through
the same helper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from leakwarden.core.profile.ownership import CodeOwner, Ownership
from leakwarden.core.profile.pprof import Frame, Profile, ProfileError
from leakwarden.core.profile.shapes import Shape, within
from leakwarden.core.profile.stacks import Stack, innermost

# Much memory of a call is freed even where the rest leaks, so callers of one helper are compared with the one that
# keeps most: half as much is a leak too; up to a quarter may be requests in flight and bad luck in sampling.
KEEPS, FREES = 0.5, 0.25
# A caller with less than this part of a helper's allocations does not show whether it frees.
NOTABLE = 0.1
# Allocations between two captures separate callers better than those since the start, when caches filled and load
# changed; but only from this many sampled allocations on.
ENOUGH = 3.0


@dataclass(frozen=True, slots=True)
class Kept:
    """The allocations at one stack of the team's code, in bytes; all are the profile's scaled estimates."""

    stack: Stack  # from the team's innermost call outwards
    allocated: float
    in_use: float
    objects: float  # in use
    sampled: float  # allocations in use that were really seen
    below: Stack = ()  # the calls under the team's, of the heaviest sample, innermost first
    retaining: float = 0.0  # of `allocated`, what was allocated at those allocation sites that still keep something
    newly_allocated: float = 0.0  # since the first capture, as the others below
    newly_in_use: float = 0.0
    newly_sampled: float = 0.0
    new_objects: float = 0.0


@dataclass(frozen=True, slots=True)
class HeldSite:
    """A line of the team, and the memory it keeps, in bytes."""

    frame: Frame
    stack: Stack
    in_use: float
    allocated: float
    objects: float  # in use
    sampled: float
    gained: float  # bytes in use since the first capture
    gained_objects: float
    below: Stack = ()  # the calls under the team's, of the heaviest sample, innermost first
    retaining: float = 0.0  # of `allocated`, what was allocated at those allocation sites that still keep something

    @property
    def ratio(self) -> float:
        """The part that is kept, of all that the keeping allocation sites ever allocated.

        Memory that the same call needed only for a moment is left out: to open a connection, a driver reads its
        settings and throws them away, which is more than the buffers that the leaked connection keeps.
        """
        return self.in_use / self.retaining if self.retaining > 0 else 0.0


Through = Callable[[Stack], bool]


def obtained(profile: Profile, ownership: Ownership, through: Through) -> list[Kept]:
    """The team's stacks whose part below (Go's and libraries' calls, innermost first) satisfies `through`.

    Raises ProfileError where the profile is not one of the heap.
    """
    columns = [profile.column(name) for name in ("alloc_space", "inuse_objects", "inuse_space")]
    if None in columns:
        raise ProfileError("it is not a heap profile")
    allocated, count, in_use = (c for c in columns if c is not None)
    found: dict[Stack, list[float]] = {}
    below: dict[Stack, tuple[tuple[int, int], Stack]] = {}
    of_site: dict[Stack, tuple[Stack, list[float]]] = {}  # one allocation site may have a sample for each size
    for sample in profile.samples:
        start = innermost(sample.stack, ownership)
        if start is None or not through(sample.stack[:start]):
            continue
        sums = found.setdefault(sample.stack[start:], [0.0] * 4)
        objects, size = max(0, sample.values[count]), max(0, sample.values[in_use])
        weight = (size, max(0, sample.values[allocated]))
        if weight >= below.get(sample.stack[start:], ((0, 0), ()))[0]:
            below[sample.stack[start:]] = (weight, sample.stack[:start])
        sums[0] += max(0, sample.values[allocated])
        _, both = of_site.setdefault(sample.stack, (sample.stack[start:], [0.0, 0.0]))
        both[0] += max(0, sample.values[allocated])
        both[1] += size
        sums[1] += size
        sums[2] += objects
        sums[3] += sampled(objects, size, profile.period)
    retaining: dict[Stack, float] = {}
    for stack, (ever, now) in of_site.values():
        if now > 0:
            retaining[stack] = retaining.get(stack, 0.0) + ever
    return [
        Kept(
            stack, sums[0], sums[1], objects=sums[2], sampled=sums[3], below=below[stack][1],
            retaining=retaining.get(stack, 0.0),
        )
        for stack, sums in found.items()
    ]  # fmt: skip


def sampled(objects: int, space: int, period: int) -> float:
    """Undo the scaling by 1 / (1 - exp(-size/period)) (runtime/pprof, scaleHeapSample)."""
    if objects <= 0 or space <= 0 or period <= 1:
        return float(objects)
    return objects * -math.expm1(-(space / objects) / period)


def by_shape(shape: Shape, ownership: Ownership, shared: bool = False) -> Through:
    """Through one of the shape's `acquires`. For Go's own packages the team has to call them itself, and no call whose
    objects outlive it may be on the way, unless `shared`.

    A context that net/http derives is not one that the caller forgot; a context that the caller derived itself may be.
    """
    if shape.library:
        return lambda below: any(shape.made_by(frame.function) for frame in below)

    def through(below: Stack) -> bool:
        calls = _directly(below, shape.modules, ownership)
        if not shared and any(frame.function in shape.shared for frame in calls):
            return False
        return any(shape.made_by(frame.function) for frame in calls)

    return through


def _directly(below: Stack, modules: tuple[str, ...], ownership: Ownership) -> Stack:
    """The calls of `modules` that the team makes itself. Libraries, generated code and the team's chassis between the
    two are passed over: a wrapper's call is the team's."""
    end = len(below)
    while end and ownership.of(below[end - 1]) is not CodeOwner.STANDARD:
        end -= 1
    run = end
    while run and within(below[run - 1].function, modules):
        run -= 1
    return below[run:end]


def by_module(module: str, ownership: Ownership) -> Through:
    """Through any call of a module; of Go's own packages one that the team makes itself."""
    if "." in module.partition("/")[0]:
        return lambda below: any(ownership.module(frame) == module for frame in below)
    return lambda below: bool(_directly(below, (module,), ownership))


def since(kept: Iterable[Kept], before: Iterable[Kept]) -> list[Kept]:
    """`kept`, with the changes since `before`."""
    earlier = {one.stack: one for one in before}
    none = Kept((), 0.0, 0.0, 0.0, 0.0)
    return [
        replace(
            one,
            newly_allocated=one.allocated - (old := earlier.get(one.stack, none)).allocated,
            newly_in_use=one.in_use - old.in_use,
            newly_sampled=one.sampled - old.sampled,
            new_objects=one.objects - old.objects,
        )
        for one in kept
    ]


def sites(kept: Iterable[Kept]) -> list[HeldSite]:
    """The lines that keep memory, by its amount. Each is the innermost of the team, or, where only some callers of a
    helper keep its objects, the caller."""
    return sorted(_at_depth(list(kept), 0), key=lambda site: site.in_use, reverse=True)


def _at_depth(kept: list[Kept], depth: int) -> list[HeldSite]:
    # By function: one call through a helper allocates at several of its lines.
    by_function: dict[str, list[Kept]] = {}
    for one in kept:
        by_function.setdefault(one.stack[depth].function, []).append(one)
    found: list[HeldSite] = []
    for ones in by_function.values():
        blamed = _blamed([one for one in ones if len(one.stack) > depth + 1], depth + 1)
        found += _at_depth(blamed, depth + 1) if blamed else [_site(depth, ones)]
    return found


def _blamed(kept: list[Kept], depth: int) -> list[Kept]:
    """The stacks of those callers that keep the objects which others free; empty where callers do not differ."""
    by_caller: dict[str, list[Kept]] = {}
    for one in kept:
        by_caller.setdefault(one.stack[depth].function, []).append(one)
    lately = sum(max(0.0, one.newly_sampled) for one in kept) >= ENOUGH
    totals = {
        caller: (
            sum(one.newly_allocated if lately else one.allocated for one in ones),
            sum(one.newly_in_use if lately else one.in_use for one in ones),
        )
        for caller, ones in by_caller.items()
    }
    everything = sum(allocated for allocated, _ in totals.values())
    ratios = {
        caller: in_use / allocated
        for caller, (allocated, in_use) in totals.items()
        if allocated > 0 and allocated >= NOTABLE * everything
    }
    most = max(ratios.values(), default=0.0)
    if most <= 0 or not any(ratio <= FREES * most for ratio in ratios.values()):
        return []
    return [one for caller, ratio in ratios.items() if ratio >= KEEPS * most for one in by_caller[caller]]


def _site(depth: int, ones: list[Kept]) -> HeldSite:
    heaviest = max(ones, key=lambda one: (one.in_use, one.allocated))
    return HeldSite(
        heaviest.stack[depth],
        heaviest.stack[depth:],
        sum(one.in_use for one in ones),
        allocated=sum(one.allocated for one in ones),
        objects=sum(one.objects for one in ones),
        sampled=sum(one.sampled for one in ones),
        gained=sum(one.newly_in_use for one in ones),
        gained_objects=sum(one.new_objects for one in ones),
        below=heaviest.below,
        retaining=sum(one.retaining for one in ones),
    )
