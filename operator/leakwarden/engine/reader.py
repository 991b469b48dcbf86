"""Reads each source once a tick: one query per signal for all pods of all policies that use it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from leakwarden.api.scalars import parse_duration
from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.evaluation.evaluation import Readings, targets
from leakwarden.core.evaluation.growth_findings import GrowthFindings, Standards, rounds_of
from leakwarden.core.evaluation.shared_cause import REACH
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.readings import Answer, Points, Query, QueryFailed, Sampled, SeriesKey
from leakwarden.core.model.workload import Pod, Snapshot
from leakwarden.core.signals.catalogue import CATALOGUE
from leakwarden.core.signals.criteria import Standard, standard_of
from leakwarden.core.signals.queries import COLLECTIONS, RATE, answer_key, context_queries, grows, needed_queries
from leakwarden.engine.detector_feed import Detection, LoadAndCollections
from leakwarden.engine.ports import Metrics

log = logging.getLogger("leakwarden.reader")

LEAST_LOOKBACK = 1800.0  # s of readings kept even where no policy asks for as much: a threshold of 5m and REACH
FIRST_READ_POINTS = 1_200_000  # 10,000 pods for two hours at one minute: 23 MB of JSON, 0.2 s (design notes)
FIRST_READ_LONGEST = 86_400.0  # s; a leak of days shows in a day of floors
# Put back by more than clocks differ: what was read lies ahead, would look fresh until the clock has caught up, and would
# keep out what is read now, s.
PUT_BACK = 120.0
OVERLAP = 2  # buckets read again, because the newest one was incomplete when it was first read


@dataclass(slots=True)
class Reader:
    """`sources` by name; `default` is the one that policies naming none use. `step` in seconds."""

    sources: Mapping[str, Metrics]
    default: Metrics | None
    step: float
    _histories: dict[str, ReadingHistory] = field(default_factory=dict)
    _detections: dict[tuple[str, int], Detection] = field(default_factory=dict)  # by source and round of standards
    _rounds: dict[str, set[tuple[int, str]]] = field(default_factory=dict)  # later rounds and their queries, by source
    _read_until: dict[tuple[str, str], float] = field(default_factory=dict)
    _latest: float = 0.0  # the latest moment of a tick, epoch s

    def source_of(self, policy: Policy) -> Metrics | str:
        """The policy's source, or why it has none."""
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
            self._histories, self._detections, self._read_until, self._rounds = {}, {}, {}, {}
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
            users.setdefault(source.name, []).append(policy)
            metrics[source.name] = source
        names = list(users)
        for name, readings in zip(
            names,
            await asyncio.gather(*(self._read_source(metrics[n], users[n], snapshot, now) for n in names)),
            strict=True,
        ):
            results.update({policy.uid: readings for policy in users[name]})
        return results

    async def _read_source(
        self, source: Metrics, policies: Sequence[Policy], snapshot: Snapshot, now: float
    ) -> Readings:
        history = self._histories.setdefault(source.name, ReadingHistory(LEAST_LOOKBACK))
        wanted = max(_lookback(policy) for policy in policies)
        if wanted > history.lookback:
            # A policy looks further back than any before it: read everything again, once.
            history = self._histories[source.name] = ReadingHistory(wanted)
        pods = _pods(policies, snapshot)
        queries = needed_queries(policies, *source.pod_labels)
        if source.kind == "Prometheus" and any(query.key == row for query in queries for row in CATALOGUE):
            queries += context_queries(policies)
        rounds = rounds_of(_asked(policies, snapshot))
        # One call for the signals that are new, or are asked a new thing of, whose growth is then judged from the beginning;
        # one for those of which only the newest points are missing.
        new = self._newly_asked(source.name, rounds)
        fresh = [query for query in queries if query.key in new or not history.knows(query.key)]
        known = [query for query in queries if query.key not in new and history.knows(query.key)]
        begin = now - max(history.lookback, self._first_reach(len(pods)))
        answers: dict[str, Answer] = {}
        for group, since in ((fresh, begin), (known, self._since(source.name, known, now, history))):
            if group:
                try:
                    answers.update(await source.read(group, since, now, self.step))
                except Exception:  # it promised not to; one source must not stop the others
                    log.exception("reading failed", extra={"source": source.name})
        for query in queries:
            answer = answers.get(query.key)
            if answer is None:
                answers[query.key] = QueryFailed("NotAnswered", f"{source.name} gave no answer")
            if isinstance(answer, Sampled):
                history.append(query.key, answer, pods, now)
                self._read_until[source.name, query.key] = now
            elif query.key in new:
                self._rounds[source.name] -= {
                    (number, key) for number, key in self._rounds[source.name] if key == query.key
                }
        growth = self._detect(source.name, queries, answers=answers, rounds=rounds, snapshot=snapshot, now=now)
        label = f"Prometheus/{source.name}" if source.kind == "Prometheus" else source.kind
        return Readings(label, "", answers, history, growth)

    def _detect(
        self,
        source: str,
        queries: Sequence[Query],
        *,
        answers: Mapping[str, Answer],
        rounds: Sequence[Standards],
        snapshot: Snapshot,
        now: float,
    ) -> GrowthFindings:
        beside = LoadAndCollections(rate=_series(answers.get(RATE)), collections=_series(answers.get(COLLECTIONS)))
        grown = {
            query.key: answer
            for query in queries
            if isinstance(answer := answers.get(query.key), Sampled) and grows(query.key)
        }
        found = []
        for number, standards in enumerate(rounds):
            detection = self._detections.setdefault((source, number), Detection(self.step))
            learnt = grown if number == 0 else _asked_of(grown, standards, snapshot)
            detection.learn(learnt, snapshot, beside, standards, now)
            found.append((standards, detection.judge(snapshot, standards, now)))
        for key in [each for each in self._detections if each[0] == source and each[1] >= len(rounds)]:
            del self._detections[key]
        return GrowthFindings(tuple(found))

    def _newly_asked(self, source: str, rounds: Sequence[Standards]) -> set[str]:
        """Keys of the queries that are asked something in a later round for the first time."""
        now = {(number, key) for number, standards in enumerate(rounds) if number for key, _ in standards}
        before = self._rounds.get(source, set())
        self._rounds[source] = now
        return {key for _, key in now - before}

    def _first_reach(self, pods: int) -> float:
        """How far back the first read goes, in seconds: as many points as one answer should carry, at most a day."""
        return min(FIRST_READ_LONGEST, FIRST_READ_POINTS / max(pods, 1) * self.step)

    def _since(self, source: str, queries: Sequence[Query], now: float, history: ReadingHistory) -> float:
        """The oldest moment any of the queries was last read, less an overlap, within the lookback; never ahead of `now`,
        should the clock have been put back."""
        times = [until for query in queries if (until := self._read_until.get((source, query.key))) is not None]
        oldest = min(times, default=now - history.lookback)
        return max(min(oldest, now) - OVERLAP * self.step, now - history.lookback)


def _lookback(policy: Policy) -> float:
    """Seconds of readings that the policy's thresholds need, and its patience after a hole."""
    signals = policy.spec.signals if policy.spec is not None else ()
    refill = parse_duration(policy.spec.source.refill) if policy.spec is not None else 0.0
    held = [parse_duration(signal.threshold.for_) for signal in signals if signal.threshold is not None]
    return max([LEAST_LOOKBACK, refill, *(max(2 * each, each + REACH) for each in held)])


def _asked(policies: Sequence[Policy], snapshot: Snapshot) -> Iterator[tuple[str, str, Standard]]:
    """What is asked of each answer and workload; first what the policy says that acts on it."""
    for policy in sorted(policies, key=lambda policy: (policy.created, policy.key)):
        if policy.spec is None:
            continue
        asked = [
            (answer_key(s, policy.namespace), standard_of(s, policy.spec.source.max_age)) for s in policy.spec.signals
        ]
        for workload in targets(policy, snapshot):
            for key, standard in asked:
                if standard.growth:
                    yield key, workload.key, standard


def _asked_of(answers: Mapping[str, Sampled], standards: Standards, snapshot: Snapshot) -> dict[str, Sampled]:
    """Of each answer the series of the Deployments of which the standards ask something."""
    names: dict[str, set[str]] = {}
    for key, workload in standards:
        names.setdefault(key, set()).add(workload)
    wanted = set().union(*names.values())
    homes = {
        (pod.namespace, pod.name): workload.key
        for workload in snapshot.workloads.values()
        if workload.key in wanted
        for pod in snapshot.pods_by_workload.get(workload.uid, ())
    }
    found = {}
    for key, workloads in names.items():
        if key in answers:
            kept = {
                one: s for one, s in answers[key].series.items() if homes.get((one.namespace, one.pod)) in workloads
            }
            found[key] = Sampled(kept, answers[key].limits)
    return found


def _series(answer: Answer | None) -> Mapping[SeriesKey, Points]:
    return answer.series if isinstance(answer, Sampled) else {}


def _pods(policies: Sequence[Policy], snapshot: Snapshot) -> dict[tuple[str, str], Pod]:
    """The pods of all targets by (namespace, name)."""
    return {
        (pod.namespace, pod.name): pod
        for policy in policies
        for workload in targets(policy, snapshot)
        for pod in snapshot.pods_by_workload.get(workload.uid, ())
    }
