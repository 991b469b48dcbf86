"""The life of one replica: it stands by, leads, and ends in order.

    standing by ── leads ──► lists again, ticks ─┬─ asked to end ─► no new action; the one under way ends and is recorded
        │                                       │                  └─► the Lease is released ─► 0
        │                                       ├─ Lease lost ───► the work is cancelled ─► 1
        │                                       └─ policies cannot be watched ─► as when asked ─► 1
        └─ asked to end, or no Lease to be had: nothing was begun, so nothing is to be ended

Every replica keeps its view of the cluster and of the policies current, so that a new leader ticks at once. It must see
its predecessor's last changes nevertheless: workloads and pods are listed again before the first tick, and the API
server refuses our intent where the policy's status is newer than our copy, since every write names the version that it
was made from.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from leakwarden.adapters.cluster.lease import LeaseElection
from leakwarden.adapters.events import EventRecorder
from leakwarden.adapters.handlers import PolicyWatch
from leakwarden.ticking import Runner

log = logging.getLogger("leakwarden")

# Seconds. Within a pod's usual grace period of 30, with time to spare for the release and for closing connections.
ENDING_WITHIN = 20.0
FLUSH_WITHIN = 1.0  # for queued Events: the next leader waits meanwhile


class Replica:
    """Runs once. `look_anew` returns when the view of the cluster is newer than the call; without an `election` this
    process acts as the only one. `ending_within` is in seconds."""

    def __init__(
        self,
        runner: Runner,
        watch: PolicyWatch,
        recorder: EventRecorder,
        *,
        look_anew: Callable[[], Awaitable[None]],
        election: LeaseElection | None,
        ending_within: float = ENDING_WITHIN,
    ) -> None:
        self._runner = runner
        self._watch = watch
        self._recorder = recorder
        self._look_anew = look_anew
        self._election = election
        self._ending_within = ending_within
        self._asked = asyncio.Event()

    def stop(self) -> None:
        """End in order; `run` returns 0 then."""
        self._asked.set()

    async def run(self) -> int:
        """The exit code: 0 when it was asked to end and did so in order."""
        election = self._election
        electing = asyncio.create_task(election.run() if election is not None else _never())
        working = asyncio.create_task(self._work())
        signs = [asyncio.create_task(event.wait()) for event in (self._asked, self._watch.ended)]
        await asyncio.wait([electing, working, *signs], return_when=asyncio.FIRST_COMPLETED)
        wanted = self._asked.is_set()
        for sign in signs:
            sign.cancel()
        in_order = await self._end_work(working, electing)
        if in_order and election is not None:
            # Events queued by now are the last that pass the fence.
            await self._recorder.stop(FLUSH_WITHIN)
            election.resign()
        else:
            # Where the work had to be cancelled the Lease is not released: a request under way may still be carried
            # out, and the next leader is to wait as long as after a crash.
            electing.cancel()
        _tell("the election failed", await _result(electing))
        if self._watch.ended.is_set():
            cause = {"cause": self._watch.failure}
            log.error("watching policies ended; leaving so that the kubelet starts us again", extra=cause)
        await self._watch.stop()
        log.info("stopped")
        return 0 if wanted and in_order else 1

    async def _work(self) -> None:
        if self._election is not None:
            log.info("standing by", extra={"identity": self._election.identity})
            await self._election.leading.wait()
            await self._look_anew()
        await self._runner.run()

    async def _end_work(self, working: asyncio.Task[None], electing: asyncio.Task[str]) -> bool:
        """True when nothing was cut short: every action that was begun has ended and was recorded while we led."""
        self._runner.stop()
        if not self._runner.began:
            working.cancel()
        if not electing.done():
            await asyncio.wait([working, electing], timeout=self._ending_within, return_when=asyncio.FIRST_COMPLETED)
        in_order = working.done() and not electing.done()
        if not in_order:
            cause = "leadership ended" if electing.done() else f"it did not end within {self._ending_within:g}s"
            log.warning("the work is cut short; the next leader settles what is on record", extra={"cause": cause})
        working.cancel()
        _tell("the work failed", await _result(working))
        return in_order


async def _never() -> str:
    await asyncio.Event().wait()
    return ""


async def _result(task: asyncio.Task[Any]) -> BaseException | None:
    """Wait for its end; what it raised, if anything."""
    await asyncio.wait([task])
    return None if task.cancelled() else task.exception()


def _tell(what: str, error: BaseException | None) -> None:
    if error is not None:
        log.error(what, exc_info=error)
