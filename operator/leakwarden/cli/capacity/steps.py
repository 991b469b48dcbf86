"""A stepped load test: each rate for a while, until the service is overloaded. Bounded in rate and time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from leakwarden.adapters.load import Tally
from leakwarden.adapters.metrics_page import MetricsPage, Unread
from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.capacity.curve import Measured
from leakwarden.core.model.readings import Floats
from leakwarden.core.watch.scraped import Scrape

# Beyond such a step no higher one is sent: the aim is to find the bend, not to keep a service overloaded.
ENOUGH_LATENCY = 3.0  # times the objective
ENOUGH_ERRORS = 0.05
_SCRAPE = 1.0  # s


class Sender(Protocol):
    """Sends load to the addresses that a user named."""

    async def send(self, rate: float, seconds: float, tally: Tally) -> None:
        """Send `rate` requests/s for so long, and count the answers in the tally."""
        ...


@dataclass(frozen=True, slots=True)
class StepTest:
    """A load test."""

    measured: Sequence[Measured]  # one entry per step, ascending
    runs: Sequence[tuple[Floats, Floats]]  # of each step: requests answered so far, and memory in bytes, at each scrape
    stopped: str = ""  # why not all steps were run
    turned_away: Sequence[float] = ()  # of each step: the share of the requests that a rate limit turned away


async def stepped(
    load: Sender, page: MetricsPage | None, rates: Sequence[float], *, seconds: float, objective: float,
    say: Callable[[str], None],
) -> StepTest:  # fmt: skip
    """`seconds` for each of the `rates` (requests/s); `objective` seconds of P99; `page` None: memory is not read."""
    measured: list[Measured] = []
    runs: list[tuple[Floats, Floats]] = []
    away: list[float] = []
    for rate in rates:
        tally = Tally()
        read: list[tuple[float, float]] = []
        reading = asyncio.create_task(_read(page, tally, read))
        try:
            await load.send(rate, seconds, tally)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        memory = np.array([held for _, held in read])
        runs.append((np.array([answered for answered, _ in read]), memory))
        one = _measured(tally, seconds, memory)
        measured.append(one)
        away.append(tally.turned_away / tally.due if tally.due else 0.0)
        say(_line(rate, one, tally))
        if stopped := _enough(rate, one, objective):
            return StepTest(measured, runs, stopped, away)
    return StepTest(measured, runs, turned_away=away)


async def _read(page: MetricsPage | None, tally: Tally, read: list[tuple[float, float]]) -> None:
    """Records the number of answers and the memory, once a second until it is cancelled."""
    while page is not None:
        # Under overload nothing may answer; the latency shows that already.
        with contextlib.suppress(Unread):
            if (held := memory_of(await page.scrape())) is not None:
                read.append((float(tally.answered), held))
        await asyncio.sleep(_SCRAPE)


def memory_of(scrape: Scrape) -> float | None:
    """Bytes: the process's resident memory, or else its heap in use."""
    heap = [value for key, value in scrape.values.items() if key.kind is SignalType.HEAP]
    return scrape.resident if scrape.resident is not None else heap[0] if heap else None


def _measured(tally: Tally, seconds: float, memory: Floats) -> Measured:
    latencies = np.array(tally.seconds)
    return Measured(
        # What a rate limit turns away is load that was not carried.
        qps=(tally.answered - tally.turned_away) / seconds,
        p99=float(np.quantile(latencies, 0.99)) if latencies.size else None,
        memory=float(np.median(memory)) if memory.size else None,
        errors=(tally.failed + tally.turned_away) / tally.due if tally.due else None,
    )


def _enough(rate: float, one: Measured, objective: float) -> str:
    if one.p99 is not None and one.p99 > ENOUGH_LATENCY * objective:
        return f"no higher rate was sent: at {rate:g}/s the P99 was {one.p99 * 1000:,.0f} ms"
    if (one.errors or 0.0) > ENOUGH_ERRORS:
        return f"no higher rate was sent: at {rate:g}/s {one.errors or 0.0:.0%} of the requests failed"
    return ""


def _line(rate: float, one: Measured, tally: Tally) -> str:
    p99 = "unknown" if one.p99 is None else f"{one.p99 * 1000:,.1f} ms"
    return f"{rate:g}/s: P99 {p99}; {tally.in_words()}"
