"""Other ways to name a line: `go tool pprof -top` on the heap, LeakProf's rule, and the runtime's own list.

They are next to ours in the tables, so that a score can be compared with the free alternatives.
"""

from __future__ import annotations

from leakwarden.core.profile.growth import Capture
from leakwarden.core.profile.ownership import CodeOwner, Ownership
from leakwarden.core.profile.pprof import Frame, Profile
from leakwarden.core.profile.stacks import groups

Place = tuple[str, int]  # source file, line


def place(frame: Frame) -> Place:
    return frame.file.replace("\\", "/"), frame.line


def heap_top(capture: Capture) -> Place | None:
    """The team's line with the most in use, as `pprof -top -lines -show=<module> -sample_index=inuse_space` has it."""
    if not capture.heaps:
        return None
    heap = capture.heaps[-1]
    return _most(heap, _ownership(capture), heap.column("inuse_space"))


def leakprof(capture: Capture) -> Place | None:
    """Uber's LeakProf: the line at which the most goroutines are blocked in a channel operation, in any code
    (arXiv 2312.12002; its threshold of 10,000 is left out: no corpus reaches it)."""
    standing: dict[Place, int] = {}
    for group in groups(capture.goroutines[-1]).values() if capture.goroutines else ():
        if group.stack and group.operation in (
            "runtime.chansend1",
            "runtime.chanrecv1",
            "runtime.chanrecv2",
            "runtime.selectgo",
        ):
            standing[place(group.stack[0])] = standing.get(place(group.stack[0]), 0) + group.count
    return max(standing, key=lambda each: standing[each], default=None)


def runtime_list(capture: Capture) -> Place | None:
    """The team's innermost line of the largest group of goroutines in the runtime's list, or any line without a
    team's."""
    if capture.leaked is None:
        return None
    ownership = _ownership(capture)
    standing: dict[Place, int] = {}
    for group in groups(capture.leaked).values():
        if not group.stack:
            continue
        frame = next((f for f in group.stack if ownership.of(f) is CodeOwner.TEAM), group.stack[0])
        standing[place(frame)] = standing.get(place(frame), 0) + group.count
    return max(standing, key=lambda each: standing[each], default=None)


BASELINES = {"`pprof -top` of the heap": heap_top, "LeakProf's rule": leakprof, "the runtime's list": runtime_list}


def _ownership(capture: Capture) -> Ownership:
    return Ownership([*capture.goroutines, *capture.heaps])


def _most(profile: Profile, ownership: Ownership, column: int | None) -> Place | None:
    sums: dict[Place, int] = {}
    for sample in profile.samples if column is not None else ():
        frame = next((f for f in sample.stack if ownership.of(f) is CodeOwner.TEAM), None)
        if frame is not None:
            sums[place(frame)] = sums.get(place(frame), 0) + sample.values[column or 0]
    best = max(sums, key=lambda each: sums[each], default=None)
    return best if best is not None and sums[best] > 0 else None
