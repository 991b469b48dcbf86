"""One at a time: builders on a cache, and verbs that change the node."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster.progress import say


@contextmanager
def exclusively(lock_file: Path) -> Iterator[None]:
    """Hold the lock; another holder is waited for, and the wait is announced.

    The kernel releases it at every end of its process, so no stale lock can remain.
    """
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run holds {lock_file}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
