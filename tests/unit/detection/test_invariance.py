"""The same verdict for the same readings: neither the batch nor the order, a name, a unit, a missed scrape or a late
one changes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.core.detection.detector import LEAKING
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay import replay
from leakwarden.core.model.readings import Floats
from leakwarden.core.signals.criteria import Standard
from tests.bench.worlds import draw

pytestmark = pytest.mark.slow

STEP = 60.0


@pytest.fixture(scope="module")
def lives() -> list[Series]:
    """Worlds of hours, each a workload of its own, thinned to one reading per minute."""
    traces = [trace.series for trace in draw(21, 9, "minutes")][:14]

    def thinned(values: Floats | None) -> Floats | None:
        return None if values is None else values[::4]

    return [
        replace(
            s, t=s.t[::4], v=s.v[::4],
            rate=thinned(s.rate), gc=thinned(s.gc), rss=thinned(s.rss),
        )
        for s in traces
    ]  # fmt: skip


def said(lives: list[Series]) -> dict[tuple[str, float], list[tuple[float, int, str]]]:
    """The verdicts on each process, with their times."""
    found: dict[tuple[str, float], list[tuple[float, int, str]]] = {}
    for change in replay(lives, Standard(), STEP):
        one = lives[change.series]
        found.setdefault((one.uid, one.start), []).append((change.time, change.verdict, change.reason))
    return found


@pytest.fixture(scope="module")
def usual(lives: list[Series]) -> dict[tuple[str, float], list[tuple[float, int, str]]]:
    return said(lives)


def test_verdicts_do_not_change_with_the_batch(lives: list[Series], usual: dict[object, object]) -> None:
    first = lives[0].workload
    alone = [one for one in lives if one.workload == first]

    assert said(alone).items() <= usual.items()


def test_verdicts_do_not_change_with_the_order_of_lines(lives: list[Series], usual: dict[object, object]) -> None:
    assert said(lives[::-1]) == usual


def test_verdicts_do_not_change_with_names(lives: list[Series], usual: dict[object, object]) -> None:
    renamed = [
        replace(one, namespace="memcached", workload=f"heap-{one.workload}", pod=f"bytes-{one.pod}") for one in lives
    ]

    assert said(renamed) == usual


def test_verdicts_do_not_change_with_the_unit_of_what_is_not_counted_one_by_one(
    lives: list[Series], usual: dict[object, object]
) -> None:
    scaled = [
        replace(
            one, v=one.v * 1024.0, limit=None if one.limit is None else one.limit * 1024.0,
            rss=None if one.rss is None else one.rss * 1024.0,
        )
        if one.signal in ("Heap", "WorkingSet") else one
        for one in lives
    ]  # fmt: skip

    assert said(scaled) == usual


def first_alarms(found: dict[tuple[str, float], list[tuple[float, int, str]]]) -> dict[tuple[str, float], float]:
    return {
        life: min((time for time, verdict, _ in own if verdict >= LEAKING), default=np.inf)
        for life, own in found.items()
    }


@pytest.mark.parametrize("disturbed", ["one scrape in ten missing", "scrapes up to 20 s late"])
def test_a_disturbed_climb_is_told_as_soon_as_an_undisturbed_one(disturbed: str) -> None:
    """A clean climb and a quiet level get the same verdicts, and the alarms differ by a few minutes at most."""
    rng = np.random.default_rng(6)
    t = np.asarray(1.7e9 + 30.0 * np.arange(480), dtype=np.float64)
    climb, quiet = np.linspace(150, 960, 480), np.full(480, 400.0)
    lives = [
        Series("Descriptors", "shop", name, name, name, t[0] - 5, 1000.0, t, np.round(v + 5 * rng.normal(size=480)))
        for name, v in (("climb", climb), ("quiet", quiet))
    ]
    if disturbed == "one scrape in ten missing":
        others = [replace(one, v=np.where(rng.random(480) < 0.1, np.nan, one.v)) for one in lives]
    else:
        others = [replace(one, t=one.t + rng.uniform(0, 20, 480)) for one in lives]
    one, other = first_alarms(said(lives)), first_alarms(said(others))

    assert sorted(np.isfinite(list(one.values()))) == sorted(np.isfinite(list(other.values()))) == [False, True]
    assert abs(min(one.values()) - min(other.values())) <= 900
