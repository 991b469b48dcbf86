"""Progress messages for all steps that take longer than a moment."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from e2e.cluster.errors import ClusterError

_started = time.monotonic()


def say(text: str) -> None:
    """One line on stderr with the seconds since the command began; stdout stays for results."""
    print(f"[{time.monotonic() - _started:6.1f}s] {text}", file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step and its duration; the code that catches the error reports a failed step."""
    say(f"{title} ...")
    begin = time.monotonic()
    yield
    say(f"{title}: done in {time.monotonic() - begin:.1f}s")


def wait_until(
    what: str,
    ready: Callable[[], bool],
    *,
    timeout: float,
    interval: float = 0.5,
    abandoned: Callable[[], str | None] = lambda: None,
) -> None:
    """Poll ``ready`` until it holds, with a message every ten seconds that the wait goes on.

    ``abandoned`` may name a reason why waiting is pointless, such as a process that died.
    Raises ClusterError on that reason, or after ``timeout`` seconds.
    """
    begin = time.monotonic()
    told = begin
    while not ready():
        reason = abandoned()
        if reason:
            raise ClusterError(reason)
        now = time.monotonic()
        if now - begin > timeout:
            raise ClusterError(f"{what}: not there after {timeout:.0f} s")
        if now - told >= 10:
            told = now
            say(f"still waiting: {what} ({now - begin:.0f} s of at most {timeout:.0f})")
        time.sleep(interval)
