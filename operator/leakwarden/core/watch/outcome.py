"""The outcome of a watch, in words and as an exit code. It is never "healthy": only what was measured, and what was
not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from leakwarden.api.scalars import format_duration
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.watch.judging import TrackJudgement, this_process
from leakwarden.core.watch.reach import rarest_shown
from leakwarden.core.watch.scraped import Scrape

# A lost scrape is a gap in a line; with more than a tenth lost, the course of the line is not known.
MOST_MISSED = 0.10


class Code(IntEnum):
    """Exit codes, as all commands have them."""

    NOTHING = 0  # no judged signal grows like a leak
    LEAK = 1
    UNUSABLE = 2  # wrong usage, or nothing could be read at all
    INCOMPLETE = 3  # the readings are not enough to decide


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of a watch."""

    scrapes: Sequence[Scrape]
    judged: Sequence[TrackJudgement]
    seconds: float  # watched
    attempts: int  # attempts to scrape
    missed: dict[str, int] = field(default_factory=dict)  # the number of failed ones, by cause
    interrupted: str = ""  # why the watch ended early, or empty

    @property
    def leaks(self) -> list[TrackJudgement]:
        """The most severe first; equally severe ones in the order in which they were named."""
        found = [one for one in self.judged if one.leaks]
        return sorted(found, key=lambda one: one.judgement.verdict is not Verdict.EXHAUSTING)

    @property
    def suspected(self) -> list[TrackJudgement]:
        return [one for one in self.judged if one.judgement.verdict is Verdict.SUSPECT]

    @property
    def unjudged(self) -> list[TrackJudgement]:
        return [one for one in self.judged if one.judgement.verdict is Verdict.UNKNOWN]

    @property
    def steady(self) -> list[TrackJudgement]:
        return [one for one in self.judged if one.judgement.verdict is Verdict.HEALTHY]

    @property
    def restarted(self) -> bool:
        return len(this_process(self.scrapes)) < len(self.scrapes)

    @property
    def requests(self) -> float | None:
        """Requests that the present process answered while it was watched; None where it does not export a known
        counter."""
        counts = [scrape.requests for scrape in this_process(self.scrapes) if scrape.requests is not None]
        return counts[-1] - counts[0] if counts else None

    @property
    def gaps(self) -> bool:
        return sum(self.missed.values()) > MOST_MISSED * self.attempts

    @property
    def code(self) -> Code:
        if self.leaks:
            return Code.LEAK
        doubtful = self.gaps or self.restarted or self.interrupted or self.suspected or not self.steady
        return Code.INCOMPLETE if doubtful else Code.NOTHING


def sentences(outcome: Outcome, reach: str = "") -> Iterator[str]:
    """All sentences of the outcome, the most important first. `reach` is the rarest leak that the traffic could show,
    where it is known better than from the process's own counter."""
    for one in outcome.leaks:
        yield f"{one.judgement.verdict}: {one.track.key.name}: {one.judgement.message}"
    for one in outcome.suspected:
        yield f"Suspect: {one.track.key.name}: {one.judgement.message}; watch longer, or under more load"
    if outcome.steady:
        names = ", ".join(one.track.key.name for one in outcome.steady)
        yield f"no growth like a leak's in {format_duration(outcome.seconds)}: {names}"
    for one in outcome.unjudged:
        yield f"not judged: {one.track.key.name}: {one.judgement.message}"
    if not outcome.judged:
        yield "not judged: the page holds none of the metrics that Leakwarden knows, such as go_goroutines or process_open_fds"
    yield reach or traffic(outcome.requests)
    if outcome.restarted:
        yield "the process was restarted while it was watched; only its last life was judged"
    if outcome.missed:
        causes = ", ".join(f"{cause} ({count})" for cause, count in sorted(outcome.missed.items()))
        yield f"{sum(outcome.missed.values())} of {outcome.attempts} scrapes failed: {causes}"
    if outcome.interrupted:
        yield outcome.interrupted
    left_out = max((scrape.left_out for scrape in outcome.scrapes), default=0)
    if left_out:
        yield f"{left_out} further series were not followed: too many of one signal"


def traffic(requests: float | None) -> str:
    """The rarest leak that the traffic could show, in words."""
    if requests is None:
        return "how many requests were answered is not known (no request counter that Leakwarden knows), nor so how rare a leak would have shown"
    rarest = rarest_shown(requests)
    if rarest is None:
        return f"{requests:,.0f} requests were answered: too few to show a leak that comes with requests"
    return (
        f"{requests:,.0f} requests were answered, which would have shown a leak of {rarest:,.0f} or more per million"
        f" (one request in {1e6 / rarest:,.0f})"
    )
