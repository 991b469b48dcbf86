"""The cost of reading a profile: function calls are counted, so the machine's load does not matter."""

from __future__ import annotations

import sys
from types import FrameType

from leakwarden.core.profile.pprof import Profile, decode
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import encode, goroutines

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
