"""Profiles as a tree of calls, laid out for a flame graph: the outermost call on top, the widest branch on the left."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from leakwarden.core.profile.ownership import CodeOwner, Ownership, spelled
from leakwarden.core.profile.pprof import Frame, Profile
from leakwarden.core.profile.stacks import Stack, groups

# As many boxes as a browser on a phone still zooms without delay; the rest is too thin to be seen.
MOST_BOXES = 1200
# Stacks that are read, heaviest first, and calls of one; Go's HTTP server below a framework is 30 calls deep.
MOST_STACKS = 4000
DEEPEST = 64
# Stacks that are also written out as text.
WRITTEN = 5
_TOO_THIN = 0.002


@dataclass(frozen=True, slots=True)
class Box:
    """One call: `start` and `share` are parts of the whole width, `change` is its gain between two captures."""

    frame: Frame
    depth: int
    start: float
    share: float
    value: int
    change: int | None
    owner: CodeOwner
    suspect: bool


@dataclass(frozen=True, slots=True)
class Heavy:
    """One stack as text, innermost call first."""

    value: int
    change: int | None
    stack: Stack


@dataclass(frozen=True, slots=True)
class Flame:
    """`unit` names the counted things, `seconds` lie between two captures (None with one), `before` is the earlier
    total."""

    title: str
    unit: str
    total: int
    before: int | None
    seconds: float | None
    boxes: tuple[Box, ...]
    heaviest: tuple[Heavy, ...]

    @property
    def rows(self) -> int:
        return max((box.depth for box in self.boxes), default=-1) + 1

    @property
    def suspected(self) -> int:
        """How much lies below lines that are suspected."""
        return max((box.value for box in self.boxes if box.suspect), default=0)


@dataclass(slots=True)
class _Node:
    value: int = 0
    before: int = 0
    children: dict[Frame, _Node] = field(default_factory=dict)


def goroutines(
    captures: Sequence[Profile],
    ownership: Ownership,
    suspects: Collection[tuple[str, int]],
    title: str,
) -> Flame | None:
    """The last of the captures, coloured by the change since the first. Raises ProfileError for another kind."""
    if not captures:
        return None
    stacks = [[(_with_operation(g.operation, g.stack), g.count) for g in groups(p).values()] for p in captures]
    return _flame(title, "goroutines", captures, stacks=stacks, ownership=ownership, suspects=suspects)


def heap(
    captures: Sequence[Profile],
    ownership: Ownership,
    suspects: Collection[tuple[str, int]],
    title: str,
) -> Flame | None:
    """Bytes in use, in the same way; profiles without them are skipped."""
    usable = [(p, c) for p in captures if (c := p.column("inuse_space")) is not None]
    if not usable:
        return None
    stacks = [[(sample.stack, sample.values[column]) for sample in profile.samples] for profile, column in usable]
    return _flame(
        title, "bytes", [profile for profile, _ in usable], stacks=stacks, ownership=ownership, suspects=suspects
    )


def _with_operation(operation: str, stack: Stack) -> Stack:
    return (Frame(operation, "", 0), *stack) if operation else stack


def _flame(
    title: str,
    unit: str,
    captures: Sequence[Profile],
    *,
    stacks: Sequence[list[tuple[Stack, int]]],
    ownership: Ownership,
    suspects: Collection[tuple[str, int]],
) -> Flame | None:
    last = sorted(((stack, n) for stack, n in stacks[-1] if n > 0 and stack), key=lambda pair: -pair[1])
    total = sum(n for _, n in last)
    if not total:
        return None
    compared = len(captures) > 1
    root = _Node(value=total)
    for stack, n in last[:MOST_STACKS]:
        node = root
        for frame in _outermost(stack):
            node = node.children.setdefault(frame, _Node())
            node.value += n
    earlier = [(stack, n) for stack, n in stacks[0] if n > 0] if compared else []
    for stack, n in earlier:
        node = root
        for frame in _outermost(stack):
            if frame not in node.children:
                break
            node = node.children[frame]
            node.before += n
    taken = captures[-1].taken - captures[0].taken if compared else 0.0
    before = dict(earlier)
    heaviest = tuple(
        Heavy(n, n - before.get(stack, 0) if compared else None, stack[:DEEPEST]) for stack, n in last[:WRITTEN]
    )
    return Flame(
        title,
        unit,
        total,
        before=sum(n for _, n in earlier) if compared else None,
        seconds=taken if taken > 0 else None,
        boxes=_laid_out(root, total, compared, ownership, suspects),
        heaviest=heaviest,
    )


def _outermost(stack: Stack) -> Stack:
    """The calls to draw, the outermost first. Of a deeper stack the innermost ones are left out."""
    return stack[: -DEEPEST - 1 : -1]


def _laid_out(
    root: _Node, total: int, compared: bool, ownership: Ownership, suspects: Collection[tuple[str, int]]
) -> tuple[Box, ...]:
    """The widest boxes first, up to as many as are drawn; a box is never drawn without the one above it."""
    found: list[Box] = []
    waiting: list[tuple[int, int, int, int, Frame, _Node]] = []  # -value, order, depth, start, frame, node
    order = 0

    def push(node: _Node, depth: int, start: int) -> None:
        nonlocal order
        for frame, child in sorted(node.children.items(), key=lambda item: (-item[1].value, str(item[0]))):
            if child.value >= _TOO_THIN * total:
                heapq.heappush(waiting, (-child.value, order, depth, start, frame, child))
                order += 1
            start += child.value

    push(root, 0, 0)
    while waiting and len(found) < MOST_BOXES:
        _, _, depth, start, frame, node = heapq.heappop(waiting)
        change = node.value - node.before if compared else None
        suspect = (spelled(frame.function), frame.line) in suspects or (frame.function, frame.line) in suspects
        owner = ownership.of(frame)
        found.append(
            Box(
                frame,
                depth,
                start / total,
                share=node.value / total,
                value=node.value,
                change=change,
                owner=owner,
                suspect=suspect,
            )
        )
        push(node, depth + 1, start)
    return tuple(found)
