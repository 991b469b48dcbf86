"""One watch: scrape, judge, and take profiles where a signal leaks, until the leak is proven or the time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from leakwarden.adapters.evidence.pprof import Taken
from leakwarden.adapters.metrics_page import MetricsPage, Unread
from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.cli.errors import NeverRead
from leakwarden.cli.watch.options import WatchOptions
from leakwarden.cli.watch.process import ChildProcess
from leakwarden.cli.watch.profiles import named, take
from leakwarden.core.profile.evidence import Confidence, Findings
from leakwarden.core.watch.accounting import accountable
from leakwarden.core.watch.judging import LEAST_BUCKETS, TrackJudgement, judge_tracks, tracks
from leakwarden.core.watch.outcome import Outcome
from leakwarden.core.watch.scraped import Scrape

COMING_UP = 20.0  # s in which a process that was started must answer
COLLECT_EVERY = 5.0  # s; twelve a minute, of which a heap needs six to be judged
PAUSE = 10.0  # s between two captures, as in the operator (adapters/evidence/pprof.py); less where little time is left
LEAST_PAUSE = 3.0
_IDLE = 9  # judging takes a tenth of one core at most


@dataclass(frozen=True, slots=True)
class Proof:
    """The findings from profiles."""

    taken: Taken = field(default_factory=Taken)
    findings: Findings = field(default_factory=lambda: Findings((), ""))

    @property
    def names_the_line(self) -> bool:
        return any(suspect.confidence is not Confidence.LOW for suspect in self.findings.suspects)


@dataclass(frozen=True, slots=True)
class Progress:
    """The present state. `elapsed` is in seconds, of `options.length`."""

    elapsed: float
    scrapes: Sequence[Scrape]
    judged: Sequence[TrackJudgement]
    capturing: bool


@dataclass(slots=True)
class Session:
    """One watch of one process."""

    options: WatchOptions
    page: MetricsPage
    child: ChildProcess | None
    show: Callable[[Progress], None]  # called after each scrape
    # ends the watch early; the readings until then are judged
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    prepare: Callable[[], Awaitable[None]] | None = None  # Runs once the process answers; earlier readings are dropped.
    # Counts the answered requests, where the process does not count them itself.
    requests: Callable[[], float] | None = None
    # Lets the process collect its garbage, every COLLECT_EVERY seconds: a heap that only grows is collected too seldom
    # to be judged within minutes.
    collect: Callable[[], Awaitable[None]] | None = None
    _collection: asyncio.Future[None] | None = None
    _collect_next: float = 0.0  # monotonic s
    _scrapes: list[Scrape] = field(default_factory=list)
    _missed: dict[str, int] = field(default_factory=dict)
    _attempts: int = 0
    _judged: list[TrackJudgement] = field(default_factory=list)
    _judge_next: float = 0.0  # monotonic s
    _proof: Proof = field(default_factory=Proof)
    _capture: asyncio.Task[Proof] | None = None
    _interrupted: str = ""

    async def run(self) -> tuple[Outcome, Proof]:
        """Raises NeverRead."""
        await self._first()
        if self.prepare is not None:
            await self.prepare()
            self._scrapes.clear()
            self._attempts = 0
            await self._first()
        began = time.monotonic()
        await self._watch(began)
        await self._judge()
        if any(one.leaks for one in self._judged) and not self._proof.names_the_line and not self._gone():
            self._proof = await (self._capture or asyncio.create_task(self._profile(PAUSE)))
        elif self._capture is not None:
            self._capture.cancel()
        if self._collection is not None:
            self._collection.cancel()
        seconds = self._scrapes[-1].t - self._scrapes[0].t
        return Outcome(
            self._scrapes,
            self._judged,
            seconds,
            attempts=self._attempts,
            missed=self._missed,
            interrupted=self._interrupted,
        ), self._proof

    async def _first(self) -> None:
        """Wait until the process answers; a process that was just started gets some time for it."""
        until = time.monotonic() + (COMING_UP if self.child is not None else 0.0)
        while True:
            try:
                self._scrapes.append(await self._read())
                self._attempts += 1
                return
            except Unread as unread:
                trouble = str(unread)
            if gone := self._gone():
                raise NeverRead(f"{gone} before {self.options.metrics.url} answered")
            if time.monotonic() >= until or self.stop.is_set():
                raise NeverRead(f"{self.options.metrics.url}: {trouble}")
            await asyncio.sleep(0.1)

    async def _watch(self, began: float) -> None:
        step = 1
        while (due := began + step * self.options.every) <= began + self.options.length + 1e-6:
            if await self._waited(due):
                self._interrupted = f"ended by you after {time.monotonic() - began:.0f}s of {self.options.length:g}s"
                return
            await self._scrape()
            self._collect()
            if gone := self._gone():
                self._interrupted = f"{gone} after {time.monotonic() - began:.0f}s"
                return
            if time.monotonic() >= self._judge_next:
                await self._judge()
            self._follow_up(began + self.options.length - time.monotonic())
            self.show(Progress(time.monotonic() - began, self._scrapes, self._judged, self._capture is not None))
            if self._proven() and not self.options.whole:
                return
            # Steps that were missed are skipped, and never made up for in a burst.
            step = max(step + 1, int((time.monotonic() - began) / self.options.every) + 1)

    def _collect(self) -> None:
        """Begin a collection where one is due and none is under way; scrapes do not wait for it."""
        under_way = self._collection is not None and not self._collection.done()
        if self.collect is None or under_way or time.monotonic() < self._collect_next:
            return
        self._collect_next = time.monotonic() + COLLECT_EVERY
        self._collection = asyncio.ensure_future(self.collect())

    async def _waited(self, due: float) -> bool:
        """Whether the watch was stopped meanwhile."""
        try:
            await asyncio.wait_for(self.stop.wait(), max(0.0, due - time.monotonic()))
        except TimeoutError:
            return False
        return True

    async def _scrape(self) -> None:
        self._attempts += 1
        try:
            self._scrapes.append(await self._read())
        except Unread as unread:
            self._missed[str(unread)] = self._missed.get(str(unread), 0) + 1

    async def _read(self) -> Scrape:
        """Raises Unread."""
        scrape = await self.page.scrape()
        if scrape.requests is None and self.requests is not None:
            return replace(scrape, requests=self.requests())
        return scrape

    async def _judge(self) -> None:
        began = time.monotonic()
        bucket, scrapes = self.options.bucket, list(self._scrapes)
        self._judged = await asyncio.to_thread(lambda: judge_tracks(tracks(scrapes, bucket), bucket, scrapes[-1].t))
        cost = time.monotonic() - began
        self._judge_next = time.monotonic() + max(2 * self.options.every, _IDLE * cost)

    def _follow_up(self, left: float) -> None:
        """Begin a capture where a signal leaks, and read a finished one."""
        if self._capture is not None:
            if self._capture.done():
                self._proof, self._capture = self._capture.result(), None
            return
        seen = self._scrapes[-1].t - self._scrapes[0].t
        leaks = any(one.leaks for one in self._judged) and seen >= LEAST_BUCKETS * self.options.bucket
        if leaks and not self._proof.names_the_line and left > LEAST_PAUSE:
            self._capture = asyncio.create_task(self._profile(min(PAUSE, left)))

    async def _profile(self, pause: float) -> Proof:
        leaks = [one for one in self._judged if one.leaks]
        taken = await take(self.options.pprof, max(LEAST_PAUSE, pause), self._goroutines())
        findings = await asyncio.to_thread(named, taken, {str(one.track.key.kind) for one in leaks})
        return Proof(taken, accountable(findings, leaks))

    def _goroutines(self) -> float | None:
        found = [value for key, value in self._scrapes[-1].values.items() if key.kind is SignalType.GOROUTINES]
        return found[0] if found else None

    def _proven(self) -> bool:
        return self._proof.names_the_line and any(one.leaks for one in self._judged)

    def _gone(self) -> str:
        return self.child.ended() if self.child is not None else ""
