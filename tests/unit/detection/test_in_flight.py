"""Requests that wait for a slow dependency are told from a leak: they come and go, so that their number spreads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.core.detection.detector import EXHAUSTING
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
    """Floors and ceilings of `pods` whose two readings of each bucket spread by so much around `level`; in units."""
    between = np.gradient(level)[None, None, :] * np.array([-0.25, 0.25])[:, None, None]
    draws = level + between + spread * np.random.default_rng(seed).normal(size=(2, pods, 24))
    return draws.min(axis=0), draws.max(axis=0)


def asked(
    lo: Floats, hi: Floats, *, load: Floats | None = None, gates: Gates | None = None, quantum: float = 1.0
) -> bool:
    pods = len(lo)
    found = in_flight(
        gates or Gates(), lo, hi, load=np.full(lo.shape, np.nan) if load is None else np.broadcast_to(load, lo.shape),
        readings=np.full(pods, 2.0), quantum=np.full(pods, quantum), group=np.zeros(pods, np.int64),
    )  # fmt: skip
    assert found.all() == found.any()  # one answer for all pods of a workload
    return bool(found[0])


CLIMB = np.linspace(100, 800, 24)


def test_a_number_that_spreads_more_as_it_grows_is_in_flight() -> None:
    assert asked(*buckets(0.1 * CLIMB, CLIMB))
    assert not asked(*buckets(np.full(24, 10.0), CLIMB))


def test_a_spread_that_is_the_traffics_is_none_of_the_growth() -> None:
    """Work in flight triples with the traffic, and its spread does; the leak beside it brings no spread."""
    busy = np.linspace(100, 300, 24)
    lo, hi = buckets(0.1 * busy, busy + np.linspace(0, 700, 24))

    assert not asked(lo, hi, load=busy)


def test_what_rises_as_much_as_the_load_waits_however_smooth() -> None:
    lo, hi = buckets(np.full(24, 1.0), CLIMB)

    def waits(load: Floats) -> bool:
        return bool(rises_with_load(lo, hi, np.broadcast_to(load, lo.shape)).all())

    assert waits(CLIMB)
    assert not waits(CLIMB**0.25)
    assert not waits(CLIMB[0] + 0.2 * (CLIMB - CLIMB[0]))


def test_growth_that_is_hardly_any_shows_nothing() -> None:
    assert not asked(*buckets(np.linspace(5, 50, 24), np.linspace(700, 800, 24)))


def test_a_small_pool_of_one_pod_shows_nothing_and_of_four_pods_it_does() -> None:
    """Of 40 connections each is a fortieth of the limit."""
    level = np.linspace(4, 34, 24) / 40
    some = buckets(0.15 * level, level)

    assert asked(*some, quantum=1 / 40)
    assert not asked(*(each[:1] for each in some), quantum=1 / 40)


def test_the_two_thresholds_decide() -> None:
    """A spread that grows with the level, but little for so many; and one that is large, but follows the level by a
    quarter of the power that it should."""
    slight = buckets(2.0 + 0.02 * (CLIMB - 100), CLIMB, seed=4)
    weak = buckets(60 + 0.04 * (CLIMB - 100), CLIMB, seed=1)

    assert not asked(*slight)
    assert asked(*slight, gates=scaled(Gates(), "flight_spread", 0.5))
    assert not asked(*weak)
    assert asked(*weak, gates=scaled(Gates(), "flight_follows", 0.5))
