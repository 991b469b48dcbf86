"""The operator with a sampler: where the CPU of a tick goes, from the end of one to the end of the next.

`python -m tests.bench.scale.profiled`. Every few milliseconds the CPU time that each thread has used since the last
look is put down to the stack that the thread has now. So the shares add up to all that the process used, work in
threads and in C without the GIL included; waiting counts nothing. The sampler's own time is left out.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

FILE = "LEAKWARDEN_BENCH_PROFILE"
EVERY = 0.005  # s
_DEEPEST = 60  # frames


class Sampler(threading.Thread):
    """`take` returns the seconds of CPU by stack since the last call; stacks are `outer;...;inner`."""

    def __init__(self, every: float = EVERY) -> None:
        super().__init__(name="sampler", daemon=True)
        self._every = every
        self._lock = threading.Lock()
        self._used: dict[int, float] | None = None  # s of CPU by thread at the last look; None before the first
        self._stacks: defaultdict[str, float] = defaultdict(float)
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(self._every):
            with self._lock:
                self._look()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def take(self) -> dict[str, float]:
        with self._lock:
            found, self._stacks = dict(self._stacks), defaultdict(float)
        return found

    def _look(self) -> None:
        own = threading.get_ident()
        before, now = self._used, dict[int, float]()
        for ident, frame in sys._current_frames().items():
            if ident == own:
                continue
            try:
                now[ident] = time.clock_gettime(time.pthread_getcpuclockid(ident))
            except OSError:  # it has just ended
                continue
            # A thread that was not there at the last look has used all of its time since.
            spent = now[ident] - before.get(ident, 0.0) if before is not None else 0.0
            if spent > 0:
                self._stacks[folded(frame)] += spent
        self._used = now


def folded(frame: FrameType | None) -> str:
    names: list[str] = []
    while frame is not None and len(names) < _DEEPEST:
        names.append(f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    return ";".join(reversed(names))


def main() -> int:
    """The operator; each tick's end adds a line to the file: its stacks with their seconds."""
    path = Path(os.environ.pop(FILE))
    from leakwarden.engine.tick import Engine, Tick

    sampler = Sampler()
    tick = Engine.tick

    def keep(stacks: dict[str, float]) -> None:
        with path.open("a") as file:
            file.write(json.dumps(stacks) + "\n")

    async def watched(self: Engine) -> Tick:
        try:
            return await tick(self)
        finally:
            keep(sampler.take())

    Engine.tick = watched  # type: ignore[method-assign]
    from leakwarden.__main__ import main as run

    sampler.start()
    return run(["run"])


if __name__ == "__main__":
    sys.exit(main())
