"""Waiting for conditions, never for times; the error of a failed wait holds the last observation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from e2e.cluster.progress import say
from e2e.harness.kube import KubectlError

T = TypeVar("T")


@dataclass(frozen=True)
class NotYet:
    """A probe's result while its condition does not hold: the observation instead."""

    seen: str


class TimedOut(AssertionError):
    """The condition did not come true in time; the message ends with the last observation."""


def wait_until(
    what: str,
    probe: Callable[[], T | NotYet],
    timeout: float,
    *,
    interval: float = 1.0,
    meanwhile: Callable[[], None] | None = None,
) -> T:
    """The probe's first answer that is not NotYet.

    `timeout` and `interval` in seconds. `meanwhile` runs before every probe and checks a condition that must always
    hold: it raises when it does not. Every 15 s one line reports that the wait goes on, with the last observation.
    Raises TimedOut.
    """
    begin = told = time.monotonic()
    while True:
        if meanwhile is not None:
            meanwhile()
        try:
            answer = probe()
        except KubectlError as error:
            # The API server may be busy or just starting; the probe is repeated anyway.
            answer = NotYet(str(error))
        if not isinstance(answer, NotYet):
            return answer
        now = time.monotonic()
        if now - begin > timeout:
            raise TimedOut(f"{what}: not within {timeout:.0f} s; seen last: {answer.seen}")
        if now - told >= 15:
            told = now
            say(f"waiting for {what} ({now - begin:.0f} s of at most {timeout:.0f}): {answer.seen}")
        time.sleep(interval)
