"""The confidence of a suspect. High is meant to be right in 95 of 100 cases, Medium in 80; Low saves a search.

Growth within seconds or a few minutes may be load, a warm-up, a cache that fills, or one client for each of a bounded
number of peers that come one after the other: no more than Low, whatever the kind. Growth that a detector has watched,
or that a baseline or captures show for ten minutes and more without slowing down, is Medium. With a detector's verdict
it is High where captures over a minute show it, the line explains most of it, its kind is known and it is not only a
victim. Goroutines that the runtime itself lists as leaked need no time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from leakwarden.core.profile.evidence import Confidence
from leakwarden.core.profile.growth import FEW, MINUTES, Capture
from leakwarden.core.profile.lines import Line

# A line that explains the first part of the growth is most of it; one that explains less than the second is one of
# many.
MOST, NOTABLE = 0.5, 0.3
# s. Growth that no detector has judged and that ends by itself (a warm-up, connections to each of a number of peers, a
# cache with a time to live of minutes) is mostly over by then, or has begun to slow down.
RAMP = 600.0


@dataclass(frozen=True, slots=True)
class Watched:
    """The facts about a signal's growth."""

    verdict: bool  # a detector found it to grow
    span: float  # s for which the profiles show its growth
    slows: bool = False  # it grew less lately than before
    moments: int = 2  # number of captures
    baseline: bool = False  # there is one to compare with

    @classmethod
    def of(cls, capture: Capture, verdict: bool, slows: bool = False) -> Watched:
        return cls(verdict, capture.span, slows, len(capture.goroutines), capture.baseline is not None)

    @property
    def long(self) -> bool:
        """Whether the profiles show growth over minutes."""
        return self.span >= MINUTES and (self.baseline or self.moments > 2)

    @property
    def outlasts_ramps(self) -> bool:
        """Whether the profiles show growth for longer than things of a bounded number take to come up."""
        return self.span >= RAMP and self.long and not self.slows

    @property
    def undecided(self) -> str:
        """The reason for Low where only the profiles show the growth."""
        return (
            f"growth within {spell(self.span)} may be load, a warm-up or things of a bounded number that come up:"
            f" take captures over {RAMP / 60:.0f} minutes and more, with --for 15m"
        )


def of_goroutines(line: Line, explains: float | None, watched: Watched) -> tuple[Confidence, list[str]]:
    """The confidence of a line of goroutines, with its reasons."""
    series = line.series
    grown, span = series.grown, watched.span
    part = explains or 0.0
    why: list[str] = []
    if line.leaked >= FEW:
        why.append(f"the runtime itself says that {line.leaked} of them can never wake")
    if grown > 0 and span > 0:
        since = "since a healthy time " if watched.baseline else ""
        why.append(f"{series.started:.0f} became {series.last:.0f} {since}within {spell(span)}")
    if explains is not None and grown > 0:
        why.append(f"this explains {explains:.0%} of the growth of goroutines")
    if watched.verdict:
        why.append("the signal grows")
    known = line.shape.specific and line.place is not None
    sure = Confidence.LOW
    if line.leaked >= FEW:
        sure = Confidence.HIGH if known and line.certain else Confidence.MEDIUM
    elif line.load and not watched.verdict:
        why.append("as many requests are open: more load looks the same")
    elif watched.slows:
        why.append("it grew less lately than before: a pool that fills or a warm-up ends like this")
    elif watched.verdict and _alive(line, watched):
        enough = watched.long and part >= MOST and known and line.certain and not line.load
        sure = Confidence.HIGH if enough else Confidence.MEDIUM if part >= NOTABLE else Confidence.LOW
    elif watched.verdict and line.holds_most and known and line.certain:
        why.append("nearly all of what the signal counts is held here, though it stands still")
        sure = Confidence.MEDIUM
    elif watched.verdict:
        why.append(f"within {spell(span)} they grew no more than requests in flight may")
    elif watched.outlasts_ramps and known and line.shape.modules and part >= NOTABLE:
        # A goroutine that only waits may be a worker for each of ever more shards; things that have to be closed should
        # not become more.
        sure = Confidence.MEDIUM
    else:
        why.append(watched.undecided)
    if line.shape.victim and sure is Confidence.HIGH:
        sure = Confidence.MEDIUM
    if line.place is None:
        sure = Confidence.LOW
        why.append("no line of the team's was found that started them")
        why.append(
            "captures over minutes (--for), or a start of the service with GODEBUG=memprofilerate=65536, show more"
        )
    if line.shape.victim:
        why.append("who waits here may only suffer from what another line does")
    return sure, why


def _alive(line: Line, watched: Watched) -> bool:
    """Whether it grew by more than a busy pool grows by chance."""
    series = line.series
    if line.victims:
        return line.explains >= FEW
    if watched.baseline or watched.span <= 0:
        return series.grown >= FEW
    return series.grown >= math.sqrt(max(0.0, series.started) + max(0.0, series.last))


def spell(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 2 * 3600 else f"{seconds / 3600:.1f}h"
