"""A suspect must account for the growth of the signal it is suspected of."""

from __future__ import annotations

import numpy as np

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.profile.evidence import Confidence, Findings, Suspect
from leakwarden.core.watch.accounting import LEAST_SHARE, accountable
from tests.unit.watch.watch_scrapes import judged, scrapes

LEAK = judged(scrapes(10 + 50.0 * np.arange(60), SignalType.DESCRIPTORS))


def suspect(growth: float | None) -> Suspect:
    return Suspect("body", "response body not closed", "main.ask", "main.go", 7, 500, "goroutines", growth,
                   Confidence.HIGH, (), "", "", (), ())  # fmt: skip


def left(growth: float | None, *leaks: object) -> int:
    found = accountable(Findings((suspect(growth),), "goroutines"), leaks)  # type: ignore[arg-type]
    return len(found.suspects)


def test_a_line_that_gains_too_little_for_the_signal_is_not_named() -> None:
    assert left(50.0, LEAK) == 1
    assert left(50.0 * LEAST_SHARE * 1.05, LEAK) == 1
    assert left(0.7, LEAK) == 0


def test_a_line_whose_growth_was_not_measured_stays() -> None:
    assert left(None, LEAK) == 1


def test_bytes_are_not_compared_with_goroutines() -> None:
    memory = judged(scrapes(2e6 + 5e5 * np.arange(60), SignalType.HEAP, cycles=np.arange(60)))
    assert memory.leaks
    assert left(0.7, memory) == 1
