"""Reads each source once a tick: one query per signal for all pods of all policies that use it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.detection.waiting import UsualLatency
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.evaluation.growth_findings import GrowthFindings, Standards
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.readings import Answer, Query, QueryFailed, Sampled
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.signals.catalogue import CATALOGUE
from leakwarden.core.signals.queries import (
    COLLECTIONS,
    LATENCY,
    RATE,
    RSS,
    context_queries,
    grows,
    needed_queries,
    rss_queries,
)
from leakwarden.engine.defects import Defects
from leakwarden.engine.detector_feed import Detection
from leakwarden.engine.ports import Metrics
from leakwarden.engine.processes import LoadAndCollections
from leakwarden.engine.read_windows import EXPLAINS, LEAST_LOOKBACK, ReadWindows, Span
from leakwarden.engine.wanted_readings import (
    Targets,
    asked_of,
    lookbacks,
    of_namespace,
    series_of,
    wanted,
)

log = logging.getLogger("leakwarden.reader")

# s. Where the clock was put back by more than clocks differ, earlier readings lie in the future: they would look fresh
# until the clock has caught up, and would exclude new readings.
PUT_BACK = 120.0


@dataclass(slots=True)
class Reader:
    """Reads the sources of all policies."""

    sources: Mapping[str, Metrics]  # by name
    default: Metrics | None  # the source of policies that name none
    step: float  # s
    defects: Defects = field(default_factory=Defects)
    _histories: dict[str, ReadingHistory] = field(default_factory=dict)
    _detections: dict[tuple[str, int], Detection] = field(default_factory=dict)  # by source and round of standards
    _usual: dict[str, UsualLatency] = field(default_factory=dict)  # by source
    _rounds: dict[str, set[tuple[int, str]]] = field(default_factory=dict)  # later rounds and their queries, by source
    _targets: dict[str, Targets] = field(default_factory=dict)  # by source
    _windows: ReadWindows = field(init=False)
    _latest: float = 0.0  # the latest moment of a tick, epoch s

    def __post_init__(self) -> None:
        self._windows = ReadWindows(self.step)

    def source_of(self, policy: Policy) -> Metrics | str:
        """The policy's source, or the reason why it has none."""
        name = policy.spec.source.prometheus if policy.spec is not None else None
        if name is None:
            return (
                self.default
                if self.default is not None
                else "no Prometheus is configured and the kubelets are disabled"
            )
        if name in self.sources:
            return self.sources[name]
        known = ", ".join(sorted(self.sources)) or "none"
        return f"spec.source.prometheus is {name!r}; the operator's configuration has: {known}"

    async def read(self, policies: Sequence[Policy], snapshot: Snapshot, now: float) -> dict[str, Readings]:
        """By policy UID. A source that fails costs only the policies that use it."""
        if now < self._latest - PUT_BACK:
            log.warning("the clock was put back; everything is read again", extra={"seconds": self._latest - now})
            self._histories, self._detections, self._rounds = {}, {}, {}
            self._windows = ReadWindows(self.step)
            self._latest = now
        self._latest = max(self._latest, now)
        users: dict[str, list[Policy]] = {}
        metrics: dict[str, Metrics] = {}
        results: dict[str, Readings] = {}
        for policy in policies:
            source = self.source_of(policy)
            if isinstance(source, str):
                results[policy.uid] = Readings("", source if policy.spec else "", {}, ReadingHistory(0))
                continue
            results[policy.uid] = Readings(source.name, "", {}, ReadingHistory(0))  # if a defect hides the readings
            with self.defects.contained("read for", policy):
                needed_queries([policy], *source.pod_labels)
                wanted(policy)
                users.setdefault(source.name, []).append(policy)
                metrics[source.name] = source
        names = list(users)
        await asyncio.gather(*(self._read_for(metrics[n], users[n], snapshot, now=now, results=results) for n in names))
        for gone in self._histories.keys() - names:
            self._histories.pop(gone)
            self._targets.pop(gone, None)
            self._detections = {key: each for key, each in self._detections.items() if key[0] != gone}
        self._windows.keep_sources(users.keys())
        return results

    async def _read_for(
        self,
        source: Metrics,
        policies: Sequence[Policy],
        snapshot: Snapshot,
        *,
        now: float,
        results: dict[str, Readings],
    ) -> None:
        with self.defects.contained("read for", *policies, about=source.name):
            readings = await self._read_source(source, policies, snapshot, now)
            results.update({policy.uid: of_namespace(readings, policy.namespace) for policy in policies})

    async def _read_source(
        self, source: Metrics, policies: Sequence[Policy], snapshot: Snapshot, now: float
    ) -> Readings:
        history = self._histories.setdefault(source.name, ReadingHistory(LEAST_LOOKBACK))
        history.lookbacks = lookbacks(policies)
        targeted = self._targets_of(source.name, policies, snapshot)
        pods, rounds = targeted.pods, targeted.rounds
        queries = needed_queries(policies, *source.pod_labels)
        if source.kind == "Prometheus" and any(query.key == row for query in queries for row in CATALOGUE):
            queries += context_queries(policies)
        queries += rss_queries(queries)
        asked = {query.key for query in queries}
        history.keep(asked)
        # Queries with a new standard are read again: growth is then judged from the beginning.
        new = self._newly_asked(source.name, rounds)
        self._windows.keep(source.name, asked, new)
        crowd = Counter(namespace for namespace, _ in pods)
        groups = self._windows.groups(source.name, queries, history.lookbacks, crowd=crowd, now=now)
        answers: dict[str, Answer] = {}
        # By whether they are of the days before the first read: the latest readings that explain those of the others.
        beside: dict[bool, dict[str, Answer]] = {True: {}, False: {}}
        has_history = source.kind == "Prometheus"  # the kubelet keeps none
        waiting = self._windows.batches(source.name, groups, crowd=crowd, now=now, has_history=has_history)

        def take_in(read: Mapping[str, Answer], earlier: bool) -> None:
            for key, answer in read.items():
                # Others are needed by the detector only.
                if not earlier and isinstance(answer, Sampled) and key not in (RSS, COLLECTIONS):
                    with self.defects.contained("kept", about=key):
                        history.append(key, answer, pods, now)
            with self.defects.contained("judged by growth", *policies, about=source.name):
                known = beside[earlier]
                known.update({key: answer for key, answer in read.items() if key in EXPLAINS})
                self._learn(source.name, {**known, **read}, rounds=rounds, snapshot=snapshot, now=now)

        expected = len(pods) * sum(1 for query in queries if grows(query.key))
        self._detections.setdefault((source.name, 0), Detection(self.step, self.defects)).expect(expected)
        coming: asyncio.Task[dict[str, Answer]] | None = None
        try:
            while waiting:
                batch = waiting.pop(0)
                earlier = batch[0].earlier
                read = await (coming or self._read_spans(source, batch))
                coming = None
                self._windows.learnt(source.name, batch, read)
                failures = {key: answer for key, answer in read.items() if isinstance(answer, QueryFailed)}
                if not earlier:
                    beside[True].clear()
                    # The readings are stored soon; until the next tick only the fact that there was an answer is needed.
                    answers |= {key: _without_readings(answer) for key, answer in read.items()}
                    # Readings that are later than those that failed would hide them: they are read in the next tick.
                    waiting = _without(waiting, failures)
                if waiting and len(failures) == len(read):
                    # It is down, or these queries are too much for it. Which of the others it answers shows in one time
                    # limit, by their newest reading.
                    newest = await self._read_spans(source, [_newest(waiting, now, self.step)])
                    failures = {key: answer for key, answer in newest.items() if isinstance(answer, QueryFailed)}
                    answers |= failures
                    waiting = _without(waiting, failures)
                if waiting:  # the source works on the next answers while these are taken in
                    coming = asyncio.create_task(self._read_spans(source, waiting[0]))
                # Takes seconds in a large cluster, and meanwhile the Lease has to be renewed and probes answered.
                await asyncio.to_thread(take_in, read, earlier)
                read = {}  # not needed any more, and large
        finally:
            if coming is not None:
                coming.cancel()
        beside.clear()

        def detect() -> GrowthFindings:
            with self.defects.contained("judged by growth", *policies, about=source.name):
                return self._detect(source.name, queries, rounds=rounds, snapshot=snapshot, now=now)
            return GrowthFindings(())

        growth = await asyncio.to_thread(detect)
        label = f"Prometheus/{source.name}" if source.kind == "Prometheus" else source.kind
        return Readings(label, "", {query.key: answers[query.key] for query in queries}, history, growth)

    def _detect(
        self,
        source: str,
        queries: Sequence[Query],
        *,
        rounds: Sequence[Standards],
        snapshot: Snapshot,
        now: float,
    ) -> GrowthFindings:
        found = []
        for number, standards in enumerate(rounds):
            detection = self._detections.setdefault((source, number), Detection(self.step, self.defects))
            detection.keep({query.key for query in queries})
            found.append((standards, detection.judge(snapshot, standards, now)))
        for key in [each for each in self._detections if each[0] == source and each[1] >= len(rounds)]:
            del self._detections[key]
        return GrowthFindings(tuple(found))

    def _learn(
        self,
        source: str,
        answers: Mapping[str, Answer],
        *,
        rounds: Sequence[Standards],
        snapshot: Snapshot,
        now: float,
    ) -> None:
        rate, latency = series_of(answers.get(RATE)), series_of(answers.get(LATENCY))
        usual = self._usual.setdefault(source, UsualLatency())
        usual.keep(rate)
        beside = LoadAndCollections(
            rate=usual.in_flight(rate, latency),
            collections=series_of(answers.get(COLLECTIONS)),
            rss=series_of(answers.get(RSS)),
        )
        grown = {key: answer for key, answer in answers.items() if isinstance(answer, Sampled) and grows(key)}
        for number, standards in enumerate(rounds):
            detection = self._detections.setdefault((source, number), Detection(self.step, self.defects))
            learnt = grown if number == 0 else asked_of(grown, standards, snapshot)
            detection.learn(learnt, snapshot, beside, standards, now)

    def _targets_of(self, source: str, policies: Sequence[Policy], snapshot: Snapshot) -> Targets:
        known = self._targets.get(source)
        found = known.next(policies, snapshot) if known is not None else Targets.of(policies, snapshot)
        self._targets[source] = found
        return found

    def _newly_asked(self, source: str, rounds: Sequence[Standards]) -> set[str]:
        """Keys of the queries that get a standard of a later round for the first time."""
        now = {(number, key) for number, standards in enumerate(rounds) if number for key, _ in standards}
        before = self._rounds.get(source, set())
        self._rounds[source] = now
        return {key for _, key in now - before}

    async def _read_spans(self, source: Metrics, spans: Sequence[Span]) -> dict[str, Answer]:
        """An answer to each query of the spans, which are asked for together."""
        read: dict[str, Answer] = {}
        for answered in await asyncio.gather(*(self._ask(source, span) for span in spans)):
            read.update(answered)
        missing = QueryFailed("NotAnswered", f"{source.name} gave no answer")
        return {query.key: read.get(query.key, missing) for span in spans for query in span.queries}

    async def _ask(self, source: Metrics, span: Span) -> Mapping[str, Answer]:
        try:
            return await source.read(span.queries, span.since, span.until, span.step)
        except Exception as error:  # the port promises not to raise; one source must not stop the others
            self.defects.note(error, "read", about=source.name)
            return {}


def _without_readings(answer: Answer) -> Answer:
    return replace(answer, series={}, limits={}) if isinstance(answer, Sampled) else answer


def _without(batches: Iterable[Sequence[Span]], keys: Collection[str]) -> list[list[Span]]:
    """The batches without these queries."""
    left = [[some for span in batch if (some := span.without(keys)).queries] for batch in batches]
    return [batch for batch in left if batch]


def _newest(batches: Iterable[Sequence[Span]], now: float, step: float) -> Span:
    """The newest readings of all queries that wait."""
    queries = {query.key: query for batch in batches for span in batch for query in span.queries}
    return Span(now - step, now, step, list(queries.values()))
