"""The start of each query's next read: only missing data is read, never more at once than a source and this process can
take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from leakwarden.core.model.readings import Answer, Query, QueryFailed
from leakwarden.core.signals.queries import COLLECTIONS, LATENCY, RATE, RSS

LEAST_LOOKBACK = 1800.0  # s of readings kept even where no policy asks for as much: a threshold of 5m and REACH
FIRST_READ_POINTS = 1_200_000  # 10,000 pods for two hours at one minute: 23 MB of JSON, 0.2 s (design notes)
FIRST_READ_LONGEST = 86_400.0  # s; a leak of days shows in a day of floors
# Points that are read at once, of all queries together: some 60 bytes each while they are decoded.
AT_ONCE_POINTS = 1_200_000
EXPLAINS = frozenset({RATE, COLLECTIONS, RSS, LATENCY})
# Reasons of failed queries after which the next read is shorter.
TOO_MUCH = frozenset({"TooLarge", "Timeout", "ExecutionFailed"})
FURTHER = 1.5  # times the longest read so far; a smaller increase is not worth a new read of everything
OVERLAP = 2  # buckets read again, because the newest one was incomplete when it was first read


@dataclass(slots=True)
class Progress:
    """The extent of a query's reads so far."""

    until: float | None = None  # the end of the last answered read, epoch s; None where none was answered
    reach: float = 0.0  # how far back the longest read went, s
    most: float = math.inf  # s; the longest that one read may be, shortened after answers that were too large
    earlier: bool = False  # whether the earlier days were read


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
        self, groups: Sequence[tuple[float, Sequence[Query]]], *, crowd: Mapping[str, int], now: float
    ) -> list[list[tuple[float, list[Query]]]]:
        """The groups in parts that are read one after the other, since the answers of a part are in memory together:
        nearly always one part, and several for the first read of a large cluster. What explains growth comes first."""
        ordered = sorted(
            ((since, query) for since, group in groups for query in group), key=lambda each: each[1].key not in EXPLAINS
        )
        found: list[dict[float, list[Query]]] = [{}]
        points = 0.0
        for since, query in ordered:
            own = sum(crowd.get(each, 0) for each in query.namespaces) * max((now - since) / self.step, 1.0)
            if points and points + own > AT_ONCE_POINTS:
                found.append({})
                points = 0.0
            points += own
            found[-1].setdefault(since, []).append(query)
        return [list(each.items()) for each in found]

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

    def learnt(self, source: str, key: str, answer: Answer, now: float) -> None:
        progress = self.progress[source, key]
        if not isinstance(answer, QueryFailed):
            progress.until = now  # an answer without data counts as an answer: only later data is missing
        elif answer.reason in TOO_MUCH:
            progress.most = max(LEAST_LOOKBACK, min(progress.most, progress.reach) / 2)


def one_batch(batches: Sequence[Sequence[tuple[float, Sequence[Query]]]]) -> list[tuple[float, list[Query]]]:
    """The groups of all batches, those of one start together."""
    found: dict[float, list[Query]] = {}
    for since, group in (each for batch in batches for each in batch):
        found.setdefault(since, []).extend(group)
    return list(found.items())
