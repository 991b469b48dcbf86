"""The later moments of a recording do not change the result of a backtest for earlier ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.cli.backtest.policy import rules_of
from leakwarden.cli.backtest.run import replay_all
from leakwarden.core.detection.recording import Series

pytestmark = pytest.mark.slow

BEGIN = 1_700_000_000.0
HOURS = 2
Said = list[tuple[float, str, str, int, str, float, float]]


def recorded(seed: int) -> list[Series]:
    """Two workloads of three pods, every 30 s with scrapes missing; half of them leak, and some restart meanwhile."""
    rng = np.random.default_rng(seed)
    found = []
    for pod in range(6):
        name, ends = f"w{pod % 2}-{pod}", HOURS * 3600 * rng.uniform(0.5, 1)
        restarts = [0.0, ends / 2] if pod % 3 == 0 else [0.0]
        for since, until in zip(restarts, [*restarts[1:], ends], strict=True):
            t = np.arange(since + rng.uniform(5, 30), until, 30.0)
            load = 5 + 3 * np.sin(t / 4000) + rng.random(t.size)
            leak = rng.choice([0.0, 300.0, 900.0]) / 3600 * (t - since)
            v = np.where(rng.random(t.size) < 0.05, np.nan, np.round(100 + leak + 5 * load + rng.normal(0, 5, t.size)))
            rate = load if pod % 2 else None
            gc = np.cumsum(rng.random(t.size) < 0.3).astype(float) if pod % 3 == 1 else None
            signal = "descriptors" if pod < 4 else "heap"
            begun = BEGIN + since
            found.append(Series(signal, "shop", name[:2], name, "u", begun, 1024.0, BEGIN + t, v, rate, gc))
    return found


def cut(series: list[Series], until: float) -> list[Series]:
    kept = []
    for one in series:
        seen = one.t <= until
        rate, gc = (None if beside is None else beside[seen] for beside in (one.rate, one.gc))
        if seen.any():
            kept.append(replace(one, t=one.t[seen], v=one.v[seen], rate=rate, gc=gc))
    return kept


def said(series: list[Series]) -> Said:
    changes = replay_all(series, rules_of(None), 30.0, 1, lambda _: None)
    return [
        (c.time, series[i].pod, series[i].signal, c.verdict, c.reason, c.seconds_low, c.seconds_high)
        for i, c in changes
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_recording_that_ends_earlier_the_same_is_said_up_to_its_end(seed: int) -> None:
    whole = recorded(seed)
    said_of_whole = said(whole)
    for share in (0.3, 0.7):
        until = BEGIN + HOURS * 3600 * share
        of_cut, of_whole = (
            [one for one in each if one[0] <= until] for each in (said(cut(whole, until)), said_of_whole)
        )
        assert of_cut == of_whole != []
