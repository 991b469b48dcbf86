"""Each verdict names its strongest reasons for and against, and the resource that runs out first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.core.detection.detector import EXHAUSTING, LEAKING, SUSPECT
from leakwarden.core.detection.replay import Change, replay
from leakwarden.core.detection.runs_out import runs_out
from leakwarden.core.signals.criteria import Standard
from tests.unit.detection.test_verdict_properties import series

pytestmark = pytest.mark.slow


def climbing(load: float) -> list[Change]:
    """Six hours up to the limit, with a request rate that grows by the share `load` of that."""
    rng = np.random.default_rng(1)
    level = np.round(np.linspace(200, 995, 180) + 4 * rng.normal(size=180))
    rate = 100 * (1 + np.linspace(0, load, 180)) * (1 + 0.01 * rng.normal(size=180))
    return replay([replace(series(level, 120.0), rate=rate)], Standard(), 120.0)


def test_a_leak_names_how_long_it_has_been_straight_what_the_load_explains_and_what_is_left() -> None:
    first = next(change for change in climbing(0.0) if change.verdict >= LEAKING)

    assert "straight for " in first.because
    assert "load explains 0% of it" in first.because or "load explains " in first.because
    assert " left at the earliest" in first.because or "never came back" in first.because


def test_what_weighs_against_it_is_said_too() -> None:
    suspects = [change for change in climbing(0.0) if change.verdict == SUSPECT]

    assert any("against it: " in change.because and "% of its limit" in change.because for change in suspects)


def test_what_is_healthy_is_not_explained_at_length() -> None:
    assert all(change.because == "" for change in climbing(0.0) if change.verdict < SUSPECT)
    assert any(change.verdict == EXHAUSTING for change in climbing(0.0))


@pytest.mark.parametrize(
    ("signal", "value", "per_hour", "memory", "said"),
    [
        ("Sockets", 8232, 1000, (None, None), "connections to one address would use up its 28,232 local ports in 20h"),
        ("Descriptors", 28_231, 1000, (None, None), "28,232 local ports in 1m"),
        ("Goroutines", 9e3, 1e3, (1e9, 1e7), "container memory runs out in 100h, at 10 kB a goroutine"),
        ("Goroutines", 9e3, 1e6, (2.048e9 * 2, None), "in 2h at the latest, at 2 KiB of stack a goroutine"),
        ("Goroutines", 9e3, 1e3, (None, None), ""),
        ("Heap", 9e3, 1e3, (1e9, 1e7), ""),
        ("Sockets", 9e3, 0.0, (None, None), ""),
    ],
)
def test_what_runs_out_first_is_named_where_it_can_be_told(
    signal: str, value: float, per_hour: float, memory: tuple[float | None, float | None], said: str
) -> None:
    text = runs_out(signal, value, per_hour, *memory)

    assert text.endswith(said)
    assert bool(text) == bool(said)
