"""Flame graphs: widths that add up, growth in colour and in words, and bounds that hold."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.page import flame as flames
from leakwarden.core.page.flame import Flame
from leakwarden.core.page.flame_svg import graph
from leakwarden.core.profile.ownership import CodeOwner, Ownership
from leakwarden.core.profile.pprof import Frame, Profile
from tests.unit.profile.profile_builders import goroutines, heap

SEND = ["runtime.chansend1@1", "main.first.func1@22"]
IDLE = ["net/http.(*persistConn).readLoop@9"]


def drawn(*captures: Profile, suspects: frozenset[tuple[str, int]] = frozenset()) -> Flame:
    found = flames.goroutines(captures, Ownership(captures), suspects, "Goroutines")
    assert found is not None
    return found


def test_the_outermost_call_is_on_top_and_the_widest_branch_on_the_left() -> None:
    found = drawn(goroutines((100, SEND), (300, IDLE)))
    top = sorted((box for box in found.boxes if box.depth == 0), key=lambda box: box.start)
    assert [box.frame.function for box in top][:2] == ["net/http.(*persistConn).readLoop", "main.first.func1"]
    assert [round(box.share * found.total) for box in top] == [300, 100, 1]
    below = next(box for box in found.boxes if box.depth == 1 and box.frame.function == "runtime.chansend1")
    assert (below.start, below.share) == (top[1].start, top[1].share)


def test_growth_between_two_captures_is_coloured_and_said_in_words() -> None:
    first, last = (
        replace(goroutines((100, SEND), (50, IDLE)), taken=10.0),
        replace(goroutines((600, SEND), (20, IDLE)), taken=14.0),
    )
    found = drawn(first, last, suspects=frozenset({("main.first.func1", 22)}))
    assert (found.before, found.total, found.seconds) == (151, 621, 4.0)
    text = graph(found, "x")
    assert "151 became 621 within 4s" in text
    assert re.search(
        r'class="box up3 own suspect".*?\N{BLACK RIGHT-POINTING TRIANGLE} main.first.func1 main.go:22 \+500<', text
    )
    assert re.search(r'class="box down1".*?\N{MINUS SIGN}30', text)
    assert found.suspected == 600


def test_one_capture_is_coloured_by_whose_code_it_is() -> None:
    found = drawn(goroutines((100, SEND), (300, IDLE)))
    assert {box.frame.function: box.owner for box in found.boxes}["main.first.func1"] is CodeOwner.TEAM
    text = graph(found, "x")
    assert "the team&#39;s own code" in text
    assert "between the captures" not in text


def test_a_heap_profile_shows_bytes_in_use() -> None:
    profile = heap((100, 50, ["main.load@3"]), size=1024)
    found = flames.heap([profile], Ownership([profile]), frozenset(), "Heap")
    assert found is not None
    assert found.total == 50 * 1024
    assert "50 KiB in use" in graph(found, "x")


def test_there_is_no_graph_of_nothing() -> None:
    empty = Profile((("goroutine", "count"),), ())
    assert flames.goroutines([empty], Ownership([empty]), frozenset(), "x") is None
    assert flames.goroutines([], Ownership([]), frozenset(), "x") is None
    assert flames.heap([goroutines((1, SEND))], Ownership([]), frozenset(), "x") is None


def test_names_from_a_profile_are_escaped() -> None:
    evil = Frame("main.<script>x()</script>\u202e", '/src/"><img src=x>.go', 3)
    text = graph(drawn(goroutines((20, [evil]))), "x")
    assert "<script" not in text
    assert "<img" not in text
    assert "\u202e" not in text


def test_a_huge_profile_is_cut_to_what_a_phone_can_draw() -> None:
    deep = [[f"main.f{n}@1", *(f"main.g{n}x{d}@2" for d in range(200))] for n in range(100)]
    found = drawn(goroutines(*((5, stack) for stack in deep)))
    assert len(found.boxes) <= flames.MOST_BOXES
    assert found.rows <= flames.DEEPEST
    assert all(len(heavy.stack) <= flames.DEEPEST for heavy in found.heaviest)


@given(
    st.lists(
        st.tuples(st.integers(1, 500), st.lists(st.integers(0, 3), min_size=1, max_size=5)), min_size=1, max_size=12
    )
)
def test_a_call_lies_within_the_one_above_it_and_beside_its_neighbours(stacks: list[tuple[int, list[int]]]) -> None:
    found = drawn(goroutines(*((count, [f"main.f{n}@{n + 1}" for n in calls]) for count, calls in stacks)))
    rows: dict[int, list[tuple[float, float]]] = {}
    for box in found.boxes:
        rows.setdefault(box.depth, []).append((box.start, box.start + box.share))
    for depth, spans in rows.items():
        spans.sort()
        assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(spans))
        assert all(a >= 0 and b <= 1 + 1e-9 for a, b in spans)
        if depth:
            assert all(any(p[0] - 1e-9 <= a and b <= p[1] + 1e-9 for p in rows[depth - 1]) for a, b in spans)
