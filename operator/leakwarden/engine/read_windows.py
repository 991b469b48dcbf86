"""The start of each query's next read: only missing data is read, never more at once than a source and this process can
take."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import pairwise

from leakwarden.core.model.readings import Answer, Query, QueryFailed
from leakwarden.core.signals.queries import COLLECTIONS, LATENCY, RATE, RSS, grows

LEAST_LOOKBACK = 1800.0  # s of readings kept even where no policy asks for as much: a threshold of 5m and REACH
FIRST_READ_POINTS = 1_200_000  # 10,000 pods for two hours at one minute: 23 MB of JSON, 0.2 s (design notes)
FIRST_READ_LONGEST = 86_400.0  # s; a leak of days shows in a day of floors
# Points that are read at once, of all queries together: some 60 bytes each while they are decoded.
AT_ONCE_POINTS = 1_200_000
# Bytes that one answer may have by estimate; a query that would have more is read in slices of time, the oldest first.
# Three quarters of what is accepted (MAX_BYTES of the adapter), since labels may be longer than estimated.
SLICE_BYTES = 48 << 20
POINT_BYTES = 24  # `[1790000000,"12345678"],`
SERIES_BYTES = 120  # the labels of namespace, pod and container, and what is written around them
# The days before the first read, at a coarse step, so that after a restart the windows of hours and days are not empty.
# One point per half an hour, or as many as EARLIER_POINTS allows, at least one per day: at the same hour of each day.
EARLIER_LONGEST = 14 * 86_400.0  # s; a leak of three weeks has grown by two thirds within
EARLIER_POINTS = 300_000  # a quarter of FIRST_READ_POINTS
EARLIER_A_DAY = 48
EXPLAINS = frozenset({RATE, COLLECTIONS, RSS, LATENCY})
# Reasons of failed queries after which the next read is shorter.
TOO_MUCH = frozenset({"TooLarge", "Timeout", "ExecutionFailed"})
FURTHER = 1.5  # times the longest read so far; a smaller increase is not worth a new read of everything
OVERLAP = 2  # buckets read again, because the newest one was incomplete when it was first read


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, (since, until], of which some queries are read at once. Times in epoch s, `step` in s."""

    since: float
    until: float
    step: float
    queries: Sequence[Query]
    earlier: bool = False  # of the days before the first read

    def without(self, keys: Collection[str]) -> Span:
        return replace(self, queries=[query for query in self.queries if query.key not in keys])


@dataclass(slots=True)
class Progress:
    """The extent of a query's reads so far."""

    until: float | None = None  # the end of the last answered read, epoch s; None where none was answered
    reach: float = 0.0  # how far back the longest read went, s
    most: float = math.inf  # s; the longest that one read may be, shortened after answers that were too large
    earlier: bool = False  # whether the days before the first read were asked for


@dataclass(slots=True)
class ReadWindows:
    """How far each query of each source was read, and so where its next read begins. `step` in seconds."""

    step: float
    progress: dict[tuple[str, str], Progress] = field(default_factory=dict)  # by source and query

    def keep_sources(self, names: Set[str]) -> None:
        self.progress = {key: each for key, each in self.progress.items() if key[0] in names}

    def keep(self, source: str, asked: Set[str], new: Set[str]) -> None:
        """Forget queries that are not sent to the source any more, and the `new` ones: these are read again."""
        self.progress = {
            (name, key): each
            for (name, key), each in self.progress.items()
            if name != source or (key in asked and key not in new)
        }

    def groups(
        self,
        source: str,
        queries: Sequence[Query],
        lookbacks: Mapping[tuple[str, str], float],
        *,
        crowd: Mapping[str, int],
        now: float,
    ) -> list[tuple[float, list[Query]]]:
        """Queries with the start of their read, the shortest reads first. Queries with reads of about one length are
        read together: a query that failed for an hour makes no other query read an hour again."""
        groups: dict[int, list[tuple[float, Query]]] = {}
        for query in queries:
            since = self.since_of(source, query, lookbacks, crowd=crowd, now=now)
            size = math.ceil(math.log2(max((now - since) / self.step, 1.0)))
            groups.setdefault(size, []).append((since, query))
        return [
            (min(since for since, _ in group), [query for _, query in group]) for _, group in sorted(groups.items())
        ]

    def batches(
        self,
        source: str,
        groups: Sequence[tuple[float, Sequence[Query]]],
        *,
        crowd: Mapping[str, int],
        now: float,
        has_history: bool,
    ) -> list[list[Span]]:
        """The groups in batches that are read one after the other, since the answers of a batch are in memory together:
        nearly always one, and several in a large cluster. All spans of a batch end at the same moment. The oldest readings
        come first, since readings older than those that a process has shown are passed over, and among those of one time
        the readings that explain growth. `has_history`: whether the source can be asked for the days before the first read."""
        spans = [
            Span(begin, end, self.step, [query])
            for since, group in groups
            for begin, end in _slices(since, now, self.step, pods=_most_pods(group, crowd))
            for query in group
        ]
        if has_history:
            spans += self._earlier(source, groups, crowd)
        spans.sort(key=lambda span: (not span.earlier, span.until, span.queries[0].key not in EXPLAINS))
        found: list[dict[float, Span]] = []
        points, end = 0.0, (math.nan, False)
        for span in spans:
            own = _most_pods(span.queries, crowd) * max((span.until - span.since) / span.step, 1.0)
            if (span.until, span.earlier) != end or points + own > AT_ONCE_POINTS:
                found.append({})
                points = 0.0
            points, end = points + own, (span.until, span.earlier)
            known = found[-1].get(span.since)
            queries = [*known.queries, *span.queries] if known is not None else span.queries
            found[-1][span.since] = replace(span, queries=queries)
        return [list(each.values()) for each in found]

    def _earlier(
        self, source: str, groups: Sequence[tuple[float, Sequence[Query]]], crowd: Mapping[str, int]
    ) -> list[Span]:
        """The days before the first read of each query that has not had them."""
        found = []
        for since, group in groups:
            first = [
                query
                for query in group
                if not self.progress[source, query.key].earlier
                and (grows(query.key) or query.key in (RATE, COLLECTIONS, RSS))
            ]
            pods = _most_pods(first, crowd)
            each_day = min(max(int(EARLIER_POINTS / max(pods, 1) / (EARLIER_LONGEST / 86_400)), 1), EARLIER_A_DAY)
            step = 86_400.0 / each_day
            for begin, end in _slices(since - EARLIER_LONGEST, since - self.step, step, pods=pods):
                found += [Span(begin, end, step, [query], earlier=True) for query in first]
        return found

    def since_of(
        self,
        source: str,
        query: Query,
        lookbacks: Mapping[tuple[str, str], float],
        *,
        crowd: Mapping[str, int],
        now: float,
    ) -> float:
        """The start of the query's next read: the end of the last answer, less an overlap. The first read, and the read
        for a policy that looks further back than any before it, go as far back as requested, and never more than
        FIRST_READ_POINTS."""
        progress = self.progress.setdefault((source, query.key), Progress())
        asked = max((lookbacks.get((query.key, each), 0.0) for each in query.namespaces), default=0.0)
        pods = sum(crowd.get(each, 0) for each in query.namespaces)
        most = min(progress.most, FIRST_READ_POINTS / max(pods, 1) * self.step)
        wanted = max(LEAST_LOOKBACK, min(max(asked, FIRST_READ_LONGEST), most))
        if progress.until is None or min(asked, most) > FURTHER * progress.reach:
            progress.reach = wanted
            return now - wanted
        return max(min(progress.until, now) - OVERLAP * self.step, now - wanted)

    def learnt(self, source: str, spans: Sequence[Span], answers: Mapping[str, Answer]) -> None:
        """To be called with the answers for some spans."""
        for span in spans:
            for query in span.queries:
                progress, answer = self.progress[source, query.key], answers[query.key]
                if span.earlier:
                    progress.earlier = True  # whether it was answered or not: later, other readings would be newer
                elif not isinstance(answer, QueryFailed):
                    progress.until = span.until  # an answer without data counts: only later data is missing
                elif answer.reason in TOO_MUCH:
                    progress.most = max(LEAST_LOOKBACK, min(progress.most, progress.reach) / 2)


def _most_pods(queries: Sequence[Query], crowd: Mapping[str, int]) -> int:
    return max((sum(crowd.get(each, 0) for each in query.namespaces) for query in queries), default=0)


def _slices(since: float, until: float, step: float, *, pods: int) -> list[tuple[float, float]]:
    """A stretch of time, (since, until], in slices of whole steps of which an answer about so many pods has
    SLICE_BYTES at the most; the oldest first. No slice is shorter than a step, whatever the number of pods."""
    most = max(math.floor((SLICE_BYTES / max(pods, 1) - SERIES_BYTES) / POINT_BYTES), 1)
    # In even slices, since a last one of a single step would cost as much as the others for its labels.
    number = max(math.ceil((until - since) / step / most), 1)
    wide = math.ceil((until - since) / step / number) * step
    edges = [since + wide * each for each in range(1, number) if since + wide * each < until]
    return list(pairwise([since, *edges, until]))
