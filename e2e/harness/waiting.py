"""Waiting for conditions, never for times; a wait that fails says what it saw last."""

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
    """What a probe returns while what it looks for is not there: what it saw instead."""

    seen: str


class TimedOut(AssertionError):
    """What was waited for did not come; the message ends with what was seen last."""


def wait_until(
    what: str,
    probe: Callable[[], T | NotYet],
    timeout: float,
    *,
    interval: float = 1.0,
    meanwhile: Callable[[], None] | None = None,
) -> T:
    """The probe's first answer that is not NotYet.

    `timeout` and `interval` in seconds. `meanwhile` runs before every look, for what must hold all along: it raises
    when it does not. Every 15 s one line says that the wait goes on, and what is seen. Raises TimedOut.
    """
    begin = told = time.monotonic()
    while True:
        if meanwhile is not None:
            meanwhile()
        try:
            answer = probe()
        except KubectlError as error:
            # The API server may be busy or just starting; a probe asks again anyway.
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
