"""A level at its limit is exhausted, unless its load fills it or it has come back from as long a time there before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.core.detection.detector import EXHAUSTING, SUSPECT, Context, DetectorState, Key, NewReadings
from leakwarden.core.detection.detector import advance as fold
from leakwarden.core.detection.detector import judge as judge_growth
from leakwarden.core.detection.filled import Filled
from leakwarden.core.detection.replay import Change
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.model.readings import Floats
from tests.bench.tune import scaled
from tests.unit.detection.test_verdict_properties import judged, series

POOL = 20.0  # connections
MINUTE = 60.0


def why_full(level: Floats, rate: Floats | None, gates: Gates | None = None, memory: bool = False) -> list[Filled]:
    """The explanation of each minute of a pool of 20 connections, as the detector gives it."""
    state = DetectorState()
    row = state.row(Key("shop", "cart", "cart-1", "uid-1", "", "DBPool", 0.0, memory), POOL, MINUTE)
    found = []
    loads = np.full(len(level), np.nan) if rate is None else rate
    for minute, (value, load) in enumerate(zip(level, loads, strict=True)):
        now = MINUTE * (minute + 1)
        one = NewReadings(np.array([row]), *(np.array([each]) for each in (now, value, load, np.nan)))
        fold(state, one, now)
        judge_growth(state, Context(gates=gates or Gates()), now)
        found.append(Filled(int(state.rows.filled[row])))
    return found


def hours(*parts: tuple[float, float]) -> Floats:
    """Values for as many hours each, a value a minute."""
    return np.concatenate([np.full(int(60 * length), value) for length, value in parts])


# Ten of twenty connections at fifty requests/s, for five hours; then all of them for half an hour.
HALF_THEN_FULL = hours((5, 10.0), (0.5, 20.0))


@pytest.mark.parametrize(
    ("load", "why"), [(90.0, Filled.BY_LOAD), (75.0, Filled.BY_LOAD), (60.0, Filled.NO), (50.0, Filled.NO)]
)
def test_a_pool_is_filled_by_its_load_where_that_many_requests_need_most_of_it(load: float, why: Filled) -> None:
    assert why_full(HALF_THEN_FULL, hours((5, 50.0), (0.5, load)))[-1] is why


def test_at_half_and_at_double_the_share_of_the_load_decides_otherwise() -> None:
    busy, calm = hours((5, 50.0), (0.5, 90.0)), hours((5, 50.0), (0.5, 50.0))

    assert why_full(HALF_THEN_FULL, busy, scaled(Gates(), "filled_share", 2.0))[-1] is Filled.NO
    assert why_full(HALF_THEN_FULL, calm, scaled(Gates(), "filled_share", 0.5))[-1] is Filled.BY_LOAD


def test_a_pool_that_stays_full_while_its_load_falls_is_not_filled_by_it() -> None:
    found = why_full(hours((5, 10.0), (2, 20.0)), hours((5, 50.0), (1, 95.0), (1, 20.0)))

    assert found[345] is Filled.BY_LOAD
    assert found[-1] is Filled.NO


# Full for half an hour without a known load, given back, and full again.
AGAIN = hours((0.4, 5.0), (0.5, 20.0), (0.3, 5.0), (2.3, 20.0))


def full_for(found: list[Filled]) -> float:
    """Hours of the second time at the limit that are explained."""
    return found[72:].count(Filled.AS_BEFORE) / 60


def test_without_a_load_it_must_stay_full_for_twice_as_long_as_it_ever_did() -> None:
    found = why_full(AGAIN, None)

    assert Filled.AS_BEFORE not in found[:54]
    assert full_for(found) == pytest.approx(1.0, abs=0.2)
    assert found[-1] is Filled.NO


@pytest.mark.parametrize(("factor", "expected"), [(0.5, 0.5), (2.0, 2.0)])
def test_at_half_and_at_double_it_waits_as_long(factor: float, expected: float) -> None:
    found = why_full(AGAIN, None, scaled(Gates(), "filled_longer", factor))

    assert full_for(found) == pytest.approx(expected, abs=0.2)


def test_memory_at_its_limit_is_never_explained() -> None:
    """The kernel kills a process there, whatever filled it."""
    assert set(why_full(HALF_THEN_FULL, hours((5, 50.0), (0.5, 90.0)), memory=True)) == {Filled.NO}


def full_ones(changes: list[Change]) -> set[tuple[int, str]]:
    return {(each.verdict, each.reason) for each in changes if each.reason in ("Full", "FilledByLoad")}


@pytest.mark.slow
def test_a_pool_that_each_busy_hour_fills_is_never_acted_on_for_being_full() -> None:
    """Requests that queue for connections: twice as many as the pool has are wanted at the peak."""
    rng = np.random.default_rng(3)
    rate = 60 - 55 * np.cos(np.linspace(0, 4 * np.pi, 1920)) + rng.normal(size=1920)
    pool = replace(series(np.minimum(rng.poisson(0.35 * rate), 20), limit=20.0, signal="DBPool"), rate=rate)

    assert full_ones(judged(pool)) == {(SUSPECT, "Full"), (SUSPECT, "FilledByLoad")}


@pytest.mark.slow
def test_a_pool_of_which_all_connections_are_leaked_is_exhausted_whatever_the_load_does_then() -> None:
    rng = np.random.default_rng(3)
    rate = 20 + 5 * np.sin(np.linspace(0, 4 * np.pi, 1440)) + rng.normal(size=1440)
    held = np.where(np.arange(1440) < 1080, 0, 20)
    pool = replace(series(np.minimum(rng.poisson(0.2 * rate) + held, 20), limit=20.0, signal="DBPool"), rate=rate)

    assert (EXHAUSTING, "Full") in full_ones(judged(pool))
