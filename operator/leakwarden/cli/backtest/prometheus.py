"""Read a Prometheus's stored series of the past, in windows, as recorded series.

The same queries through the same adapter as the operator's, so that the replay has the readings that the operator would
have had. Where a window is too large for a server, half of it is requested; where the server is away for a moment, the
query is repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from leakwarden.adapters.prometheus.client import PrometheusSource, ReadFailed
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.api.scalars import format_duration
from leakwarden.cli.backtest.history import Part, RecordedHistory
from leakwarden.cli.backtest.input import Recording
from leakwarden.cli.backtest.owners import Owners
from leakwarden.cli.backtest.questions import CONTAINER_START, CONTEXT_KEY, MEMORY, START, Questions
from leakwarden.cli.errors import InputUnreadable
from leakwarden.core.detection.resampling import values_beside
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.readings import Answer, NoData, Points, Query, QueryFailed, Sampled, SeriesKey
from leakwarden.core.signals.catalogue import holds_page_cache, real_limit
from leakwarden.core.signals.queries import COLLECTIONS, LATENCY, RATE, RSS, limit_from_container

LONGEST = 21_600.0  # s of a window: 6 h of 5,000 pods at one minute are 64 MiB, the most that one answer may have
SHORTEST = 2_700.0  # s; a server that cannot answer for three quarters of an hour will not answer for less
# Readings held at once. With time, rate and cycles each takes 32 bytes, and the replay needs as much again: 1.3 GB.
MOST_READINGS = 20_000_000
_TOO_MUCH = frozenset({"TooLarge", "Timeout", "ExecutionFailed"})  # ExecutionFailed is also "too many samples"
_PASSING = frozenset({"ServerError", "Unreachable", "Timeout"})
_HOPELESS = frozenset({"Unauthorized", "CredentialsUnreadable", "Unreachable"})
_PAUSES = (1.0, 4.0)  # s before the second and third try; a restart takes longer, a proxy's short failure does not
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Read:
    """A recording read from Prometheus. The recording's `problems` are parts that are missing."""

    recording: Recording
    notes: list[str]  # facts worth knowing that are not faults


class _Halve(Exception):
    """The window was too large for the server."""


class _Stop(Exception):
    """Further queries would not help; the message has the reason."""


def read(
    endpoint: Endpoint, questions: Questions, since: float, progress: Callable[[str], None], now: float | None = None
) -> Read:
    """Read the last `since` seconds. Raises Unreadable where nothing can be read, and where it would be too much."""
    until = time.time() if now is None else now
    return asyncio.run(_read(endpoint, questions, until - since, until, progress))


async def _read(
    endpoint: Endpoint, questions: Questions, since: float, until: float, progress: Callable[[str], None]
) -> Read:
    source = PrometheusSource(endpoint, bucket=questions.step)
    step = questions.step
    reading = _Reading(source, questions, since // step * step, until // step * step)
    telling = asyncio.create_task(_tell(reading, endpoint.url, progress))
    try:
        await reading.all()
    except ReadFailed as error:
        raise InputUnreadable(f"Prometheus {endpoint.url}: {error.message}") from None
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
        await source.close()
    return reading.result(endpoint.url)


async def _tell(reading: _Reading, url: str, progress: Callable[[str], None]) -> None:
    """Reports progress. A window may take as long as its timeouts, so a thread of its own prints the time."""
    began = time.monotonic()
    whole = format_duration(reading.end - reading.begin)
    while True:
        done = format_duration(reading.at - reading.begin)
        elapsed = format_duration(time.monotonic() - began)
        progress(f"reading {url}: {done} of {whole}, {reading.history.readings:,} readings, {elapsed} elapsed")
        await asyncio.sleep(0.5)


@dataclass(slots=True)
class _Reading:
    """`begin` and `end` in epoch seconds, multiples of the step; `at` is the end of the part already read."""

    source: PrometheusSource
    questions: Questions
    begin: float
    end: float
    at: float = 0.0
    history: RecordedHistory = field(default_factory=RecordedHistory)
    owners: Owners = field(default_factory=Owners)
    problems: list[str] = field(default_factory=list)
    windows: int = 0
    _window: float = LONGEST
    _absent: dict[str, str] = field(default_factory=dict)  # signals without any reading, and the reason
    # queries that the server does not answer even for the shortest window
    _refused: set[str] = field(default_factory=set)

    async def all(self) -> None:
        """Read all windows. Raises ReadFailed where even the first query gets no answer, Unreadable where it would be
        too much."""
        self.at = self.begin
        await self.source.labels("vector(1)", self.end)
        self._absent = dict.fromkeys(self.questions.names, "no pod has it")
        step = self.questions.step
        while self.at < self.end:
            until = min(self.at + self._window, self.end)
            told = len(self.problems)
            try:
                await self._part(self.at, until)
            except _Halve:
                del self.problems[told:]  # the whole window is requested again
                self._window = max(self._window / 2 // step * step, SHORTEST // step * step)
                continue
            except _Stop as stop:
                self.problems.append(f"nothing after {format_time(self.at)} was read: {stop}")
                return
            self.windows += 1
            self._refuse_too_much(until)
            self.at = until

    def result(self, url: str) -> Read:
        wanted = set(self.questions.workloads)

        series = [one for one in self.history.series(self.owners.workload) if not wanted or one.workload in wanted]
        names = self.questions.names
        notes = [f"{names[key]}: no readings: {why}" for key, why in self._absent.items()]
        if not series:
            where = f"namespace {self.questions.namespace}" if self.questions.namespace else "any namespace"
            if wanted:
                where = f"{', '.join(sorted(wanted))} in {where}"
            missing = f" ({self.problems[-1]})" if self.problems else ""
            raise InputUnreadable(
                f"Prometheus {url}: no readings of {', '.join(names.values())} for {where} between"
                f" {format_time(self.begin)} and {format_time(self.end)}{missing}"
            )
        oldest = min(float(one.t[0]) for one in series)
        if oldest - self.begin > max(3600.0, (self.end - self.begin) / 20):
            notes.append(f"the oldest reading is of {format_time(oldest)}; Prometheus has nothing from before")
        recording = Recording(series, self.problems, self.windows, self.end, skipped=len(self.problems))
        return Read(recording, notes)

    def _refuse_too_much(self, until: float) -> None:
        read = self.history.readings
        ahead = read * (self.end - self.begin) / max(until - self.begin, 1.0)
        # The first windows show little of a fleet that grows and shrinks, so only an estimate far above the bound is
        # refused.
        if read > MOST_READINGS or (self.windows >= 4 and ahead > 2 * MOST_READINGS):
            raise InputUnreadable(
                f"this would be some {max(ahead, read) / 1e6:.0f} million readings; at most {MOST_READINGS // 10**6}"
                " million can be replayed at once: choose --namespace or --workload, a shorter --since or a longer --step"
            )

    async def _part(self, since: float, until: float) -> None:
        window = until - since
        questions = self.questions
        namespaces = await self._namespaces(since, until)
        if not namespaces:
            return
        pods, replica_sets = questions.owners(window)
        of_pods = await self._labels("the owners of pods", pods, since, until)
        of_sets = await self._labels("the owners of ReplicaSets", replica_sets, since, until) if of_pods else []
        self.owners.learn(of_pods, of_sets)
        uids = {(each.get("namespace", ""), each.get("pod", "")): each.get("uid", "") for each in of_pods}
        queries = [q for q in questions.readings(namespaces, window) if q.key not in self._refused]
        answers = await self._answers(queries, since, until, questions.step)
        if any(limit_from_container(key) for key in answers):
            # One point at the end of the window: it is the last limit of all pods that ran within.
            memory = questions.memory(namespaces, window)
            answers |= await self._answers(
                [memory], until - questions.step, until, questions.step, whole=(since, until)
            )
        self._keep(answers, uids)

    def _keep(self, answers: Mapping[str, Answer], uids: Mapping[tuple[str, str], str]) -> None:
        self.history.processes.learn(_series(answers.get(START)))
        self.history.containers.learn(_series(answers.get(CONTAINER_START)))
        rate, gc = _series(answers.get(RATE)), _series(answers.get(COLLECTIONS))
        latency = _series(answers.get(LATENCY))
        rss = _series(answers.get(RSS))
        memory = _MemoryLimits(_series(answers.get(MEMORY)))
        for key, name in self.questions.names.items():
            answer = answers.get(key)
            if isinstance(answer, NoData) and key in self._absent:
                self._absent[key] = answer.message
            if not isinstance(answer, Sampled):
                continue
            for of, points in answer.series.items():
                limit = memory.of(of) if limit_from_container(key) else answer.limits.get(of)
                # Only of the container itself: the RSS of its pod, or of another one, is not its own.
                resident = {of: rss[of]} if holds_page_cache(key) and of in rss else {}
                part = Part(
                    t=points.t, v=points.v, rate=values_beside(rate, of, points.t), gc=values_beside(gc, of, points.t),
                    rss=values_beside(resident, of, points.t), latency=values_beside(latency, of, points.t),
                    limit=limit, uid=uids.get((of.namespace, of.pod), ""),
                )  # fmt: skip
                if part.t.size:
                    self._absent.pop(key, None)
                    self.history.add(name, of, part)

    async def _namespaces(self, since: float, until: float) -> frozenset[str]:
        if self.questions.namespace is not None:
            return frozenset({self.questions.namespace})
        found = await self._labels("which namespaces there are", self.questions.present(until - since), since, until)
        return frozenset(each["namespace"] for each in found if each.get("namespace"))

    async def _labels(self, what: str, query: str, since: float, until: float) -> Sequence[Mapping[str, str]]:
        """The label sets of a query; empty where they cannot be read, which is noted as a problem."""

        async def ask() -> list[dict[str, str]] | QueryFailed:
            try:
                return await self.source.labels(query, until)
            except ReadFailed as error:
                return QueryFailed(error.reason, error.message)

        found = await _persistently(ask, lambda answer: _passing(answer, since, until))
        if isinstance(found, QueryFailed):
            self._give_up(what, found, since, until)
            return []
        return found

    async def _answers(
        self,
        queries: Sequence[Query],
        since: float,
        until: float,
        step: float,
        whole: tuple[float, float] | None = None,
    ) -> dict[str, Answer]:
        """The answered parts; a part without an answer is noted as a problem. `whole`: the window in question, where it
        is not the range. Raises _Halve, _Stop."""
        answers: dict[str, Answer] = {}
        begin, end = whole or (since, until)

        async def ask() -> None:
            missing = [q for q in queries if q.key not in answers or isinstance(answers[q.key], QueryFailed)]
            answers.update(await self.source.read(missing, since, until, step))

        await _persistently(ask, lambda _: any(_passing(answer, begin, end) for answer in answers.values()))
        for key, answer in answers.items():
            if isinstance(answer, QueryFailed):
                name = self.questions.names.get(key, f"what explains growth ({key.removeprefix(CONTEXT_KEY)})")
                self._give_up(name, answer, begin, end)
                if answer.reason == "BadQuery":
                    self._refused.add(key)
            elif isinstance(answer, Sampled) and answer.failed:
                namespace, failed = min(answer.failed.items())
                more = f" and {len(answer.failed) - 1} more" if len(answer.failed) > 1 else ""
                self._give_up(f"{self.questions.names.get(key, key)} of {namespace}{more}", failed, begin, end)
        return answers

    def _give_up(self, what: str, failed: QueryFailed, since: float, until: float) -> None:
        if failed.reason in _HOPELESS:
            raise _Stop(failed.message)
        if failed.reason in _TOO_MUCH and until - since > SHORTEST:
            raise _Halve
        self.problems.append(f"{what}, {format_time(since)} to {format_time(until)}: not read: {failed.message}")


async def _persistently(ask: Callable[[], Awaitable[_T]], again: Callable[[_T], bool]) -> _T:
    """The answer, or the last of three tries where the earlier ones were worth repeating."""
    found = await ask()
    for pause in _PAUSES:
        if not again(found):
            break
        await asyncio.sleep(pause)
        found = await ask()
    return found


def _passing(answer: object, since: float, until: float) -> bool:
    """Whether the same query may be answered in a moment. A query that takes too long is halved instead, where it can
    be."""
    if not isinstance(answer, QueryFailed) or answer.reason not in _PASSING:
        return False
    return answer.reason not in _TOO_MUCH or until - since <= SHORTEST


def _series(answer: Answer | None) -> Mapping[SeriesKey, Points]:
    return answer.series if isinstance(answer, Sampled) else {}


class _MemoryLimits:
    """Memory limits of containers, in bytes; for a reading without a container, that of the pod's only container, as in
    the operator."""

    def __init__(self, series: Mapping[SeriesKey, Points]) -> None:
        self._exact = {key: real_limit(float(points.v[-1])) for key, points in series.items() if points.t.size}
        self._of_pod: dict[tuple[str, str], list[float | None]] = {}
        for key, limit in self._exact.items():
            self._of_pod.setdefault((key.namespace, key.pod), []).append(limit)

    def of(self, key: SeriesKey) -> float | None:
        if key.container:
            return self._exact.get(key)
        limits = self._of_pod.get((key.namespace, key.pod), [])
        return limits[0] if len(limits) == 1 else None
