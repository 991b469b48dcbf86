"""Requests that wait for a slow dependency are told from a leak: they come and go, so that their number spreads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.core.detection.decision import _comes_and_goes
from leakwarden.core.detection.detector import EXHAUSTING, DetectorState, Key
from leakwarden.core.detection.in_flight import in_flight, rises_with_load
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.model.readings import Floats
from tests.bench.tune import scaled
from tests.unit.detection.test_verdict_properties import judged, series, worst

HOURS = 4


def climbing(seed: int, stays: bool) -> Series:
    """Descriptors at a steady request rate for two hours, then from 40 to 920 of 1,000 in four. Those in flight waver by
    a tenth with the rate; by Poisson's law alone one pod does not show it."""
    rng = np.random.default_rng(seed)
    usual, climb = np.full(240, 40.0), np.linspace(40, 920, 120 * HOURS)
    level = np.append(usual, climb)
    v = (
        rng.poisson(40, len(level)) + np.floor(level - 40)
        if stays
        else np.round(level * (1 + 0.1 * rng.normal(size=len(level))))
    )
    return replace(series(np.minimum(v, 980.0), limit=1000.0), rate=100 + rng.normal(size=len(level)))


@pytest.mark.slow
def test_what_stays_is_a_leak_and_what_comes_and_goes_is_not() -> None:
    waiting = judged(climbing(1, stays=False))

    assert worst(judged(climbing(1, stays=True))) >= EXHAUSTING
    assert worst(waiting) < EXHAUSTING


def buckets(spread: Floats, level: Floats, seed: int = 0, pods: int = 4) -> tuple[Floats, Floats]:
    """Floors and ceilings of `pods` whose six readings of each bucket spread by so much around `level`; shares of
    the limit, a thousand."""
    between = np.gradient(level)[None, None, :] * np.linspace(-0.42, 0.42, 6)[:, None, None]
    draws = level + between + spread * np.random.default_rng(seed).normal(size=(6, pods, 24))
    return draws.min(axis=0), draws.max(axis=0)


def asked(
    lo: Floats, hi: Floats, *, load: Floats | None = None, gates: Gates | None = None, quantum: float = 0.001
) -> bool:
    pods = len(lo)
    found = in_flight(
        gates or Gates(), lo, hi, load=np.full(lo.shape, np.nan) if load is None else np.broadcast_to(load, lo.shape),
        readings=np.full(pods, 6.0), quantum=np.full(pods, quantum), group=np.zeros(pods, np.int64),
    )  # fmt: skip
    assert found.all() == found.any()  # one answer for all pods of a workload
    return bool(found[0])


CLIMB = np.linspace(0.1, 0.8, 24)


def test_a_number_that_spreads_more_as_it_grows_is_in_flight() -> None:
    assert asked(*buckets(0.1 * CLIMB, CLIMB))
    assert not asked(*buckets(np.full(24, 0.01), CLIMB))


def test_a_spread_that_is_the_traffics_is_none_of_the_growth() -> None:
    """Work in flight triples with the traffic, and its spread does; the leak beside it brings no spread."""
    busy = np.linspace(0.1, 0.3, 24)
    lo, hi = buckets(0.1 * busy, busy + np.linspace(0, 0.7, 24))

    assert not asked(lo, hi, load=busy)


def test_what_rises_as_much_as_the_load_waits_however_smooth() -> None:
    lo, hi = buckets(np.full(24, 0.001), CLIMB)

    def waits(load: Floats) -> bool:
        return bool(rises_with_load(lo, hi, np.broadcast_to(load, lo.shape)).all())

    assert waits(CLIMB)
    assert not waits(CLIMB**0.25)
    assert not waits(CLIMB[0] + 0.2 * (CLIMB - CLIMB[0]))


def test_growth_that_is_hardly_any_shows_nothing() -> None:
    assert not asked(*buckets(np.linspace(0.005, 0.05, 24), np.linspace(0.7, 0.8, 24)))


def test_a_pool_that_is_full_spreads_no_more_and_its_climb_still_does() -> None:
    """Of 40 connections each is a fortieth of the limit."""
    level = np.append(np.linspace(4, 34, 16), np.full(8, 39.5)) / 40
    lo, hi = buckets(0.15 * np.where(level < 0.9, level, 0.0), level)

    assert asked(lo, hi, quantum=1 / 40)
    assert not asked(lo, hi, quantum=0.001)


def test_a_spread_that_grows_by_chance_alone_shows_nothing() -> None:
    """Of a hundred windows of leaks whose spread is the same throughout, hardly any is taken for requests."""
    taken = [asked(*buckets(np.full(24, 0.01), CLIMB, seed=seed, pods=1)) for seed in range(100)]

    sooner = [
        asked(*buckets(np.full(24, 0.01), CLIMB, seed=seed, pods=1), gates=scaled(Gates(), "flight_clear", 0.5))
        for seed in range(100)
    ]

    assert sum(taken) <= 1
    assert sum(sooner) >= 5


def test_at_double_the_spread_of_requests_is_not_clear_enough() -> None:
    waiting = buckets(0.1 * CLIMB, CLIMB, pods=1)

    assert asked(*waiting)
    assert not asked(*waiting, gates=scaled(Gates(), "flight_clear", 2.0))


def test_one_jump_is_no_spread_that_grows() -> None:
    """Sockets that are left behind by a peer's hiccup widen one bucket, and those before and after it not."""
    lo, hi = buckets(np.full(24, 0.01), CLIMB)
    hi[:, 20] += 0.3

    assert not asked(lo, hi)


def shown(minutes_ago: float, gates: Gates | None = None) -> bool:
    """Whether a leak of a process that shows it clearly is acted on, whose other signal came and went a while ago."""
    state = DetectorState()
    keys = [Key("shop", "cart", "cart-1", "uid-1", "", signal, 0.0) for signal in ("Goroutines", "DBPool")]
    rows = state.place(keys, np.full(2, 100.0), np.zeros(2))
    now = 86_400.0
    state.rows.flew[rows[0]] = now - 60 * minutes_ago
    of = state.rows.pick(slice(2))
    return not _comes_and_goes(of, rows[1:], gates or Gates(), now)[0]


def test_what_came_and_went_within_half_an_hour_holds_for_all_signals_of_the_process() -> None:
    assert not shown(25)
    assert shown(35)
    assert shown(25, scaled(Gates(), "flight_lasts", 0.5))
    assert not shown(35, scaled(Gates(), "flight_lasts", 2.0))
