"""The cost of reading a profile: function calls are counted, so the machine's load does not matter."""

from __future__ import annotations

import sys
from types import FrameType

from leakwarden.core.profile.pprof import Profile, decode
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import encode, goroutines, heap

SMALL = 100


def _service(stacks: int) -> Profile:
    return goroutines(*((20, ["runtime.chanrecv1", f"main.wait{n}@{n + 1}", "main.serve@3"]) for n in range(stacks)))


def _calls(stacks: int) -> int:
    """The number of function calls from Go's profile to named suspects."""
    data = encode(_service(stacks))
    called = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal called
        called += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        explain(Capture([decode(data), decode(data)], seconds=10.0), growing=frozenset({"goroutines"}))
    finally:
        sys.setprofile(before)
    return called


def test_four_times_the_stacks_are_about_four_times_the_work() -> None:
    assert _calls(4 * SMALL) <= 6 * _calls(SMALL)


def test_what_keeps_memory_is_looked_up_in_linear_work() -> None:
    """Many lines that keep memory, all called by one function, which calls many functions of libraries."""

    def calls(lines: int) -> int:
        served = ["main.serve@3", "net/http.(*conn).serve@4"]
        kept = [(4_000, 4_000, [f"main.keep{n}@{n + 1}", *served]) for n in range(lines)]
        used = [(4, 0, [f"example.com/lib{n}.Call@1", *served]) for n in range(lines)]
        before, after = heap(*((a // 2, u // 2, s) for a, u, s in kept), size=4096), heap(*kept, *used, size=4096)
        idle = goroutines((5, ["runtime.chanrecv1", "main.idle@1"]))
        called = 0

        def count(_frame: FrameType, event: str, _arg: object) -> None:
            nonlocal called
            called += event in ("call", "c_call")

        earlier = sys.getprofile()
        sys.setprofile(count)
        try:
            explain(Capture([idle, idle], [before, after], None, 10.0))
        finally:
            sys.setprofile(earlier)
        return called

    calls(10)  # what is cached for names is not counted
    assert calls(80) < 6 * calls(20)
