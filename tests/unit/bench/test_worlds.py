"""Composed worlds are healthy or leaking by construction, and a smoke of the bench runs on a few of them."""

from __future__ import annotations

import numpy as np
import pytest

from leakwarden.core.detection.detector import EXHAUSTING, LEAKING
from leakwarden.core.detection.replay import replay
from leakwarden.core.signals.criteria import Standard
from tests.bench import components
from tests.bench.__main__ import by_group
from tests.bench.replaying import episodes
from tests.bench.scoring import Scores
from tests.bench.worlds import GROUPS, SCALES, draw


@pytest.mark.parametrize("scale", list(SCALES))
def test_a_world_leaks_until_its_limit_or_is_healthy_and_stays_below(scale: str) -> None:
    traces = draw(11, 30, scale)

    assert {trace.leaky for trace in traces} == {True, False}
    for trace in traces:
        s = trace.series
        assert np.all(np.diff(s.t) > 0)
        assert np.all(np.isfinite(s.v))
        assert (s.rss is not None) == ("rss_known" in trace.parts)
        if s.rss is not None:
            assert s.signal == "WorkingSet"
            assert np.all((s.rss > 0) & (s.rss <= s.v))
        if not trace.leaky and s.limit is not None:
            assert s.v.max() <= 0.985 * s.limit
        if trace.leaky:
            assert trace.onset is not None
            assert trace.exhausts is None or trace.exhausts > trace.onset


def test_the_same_seed_draws_the_same_worlds_and_another_does_not() -> None:
    one, again, other = draw(3, 3, "minutes"), draw(3, 3, "minutes"), draw(4, 3, "minutes")

    assert all(np.array_equal(a.series.v, b.series.v) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a.series.v, b.series.v) for a, b in zip(one, other, strict=False))


@pytest.mark.slow
def test_each_word_of_the_grammar_is_drawn_and_each_group_can_be_left_out() -> None:
    traces = [trace for scale in SCALES for trace in draw(5, 120, scale)]
    used = {part for trace in traces for part in trace.parts}

    for kind in (components.LOADS, components.LOAD_EVENTS, components.FOLLOWS, components.SATURATES):
        assert set(kind) <= used
    assert set(components.COMES_AND_GOES) | set(components.LEAKS) <= used
    for parts in GROUPS.values():
        assert parts <= used
        assert not {part for trace in draw(5, 40, "minutes", parts) for part in trace.parts} & parts


@pytest.mark.parametrize("name", list(components.LEAKS))
def test_a_leak_is_nothing_before_its_onset_and_a_whole_after_its_life(name: str) -> None:
    clock = components.Clock(np.random.default_rng(2), np.arange(3000) / 60, 60.0)
    leaked = components.LEAKS[name](clock, np.ones(3000), 10.0, 30.0)

    assert leaked[clock.hours < 10].max() == pytest.approx(0, abs=1e-6)
    assert leaked[clock.hours >= 41].min() >= 0.99
    assert np.all(np.diff(leaked) >= 0) or name == "partly_reaped"


@pytest.mark.slow
def test_smoke_the_bench_tells_most_fast_leaks_and_hardly_a_healthy_world() -> None:
    """Not a figure, but a floor under it: 25 worlds of hours, as they are drawn. Two of them fill a page cache in a
    straight line, with jobs on top that look like garbage; they are told, which is wrong."""
    traces = draw(7, 25, "minutes")
    changes = replay([trace.series for trace in traces], Standard(), 30.0)
    scores, groups = Scores(), Scores()
    found = {"told": episodes(changes, LEAKING), "acted": episodes(changes, EXHAUSTING)}
    scores.add(traces, found)
    by_group(groups, traces, found)
    told = scores.overall["told"]

    assert told.leaks + told.fast + told.minutes > 10
    assert told.caught + told.fast_caught >= 0.3 * (told.leaks + told.fast)
    assert told.false_alarms <= 3
    assert set(groups.by_family["told"]) <= set(GROUPS)
