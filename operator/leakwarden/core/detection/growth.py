"""The detector's finding on one series, in words that a person can check."""

from __future__ import annotations

from typing import NamedTuple

from leakwarden.core.detection.filled import Filled
from leakwarden.core.model.judgement import Interval, Verdict

# The detector's reasons (core/detection/reasons.py) as they end a sentence that begins with value and limit.
EXPLANATIONS = {
    "NoLimit": "there is no limit to judge its growth by: an absolute threshold.above would be one",
    "TooFewReadings": "the process is too young for its growth to be judged",
    "Stale": "its readings are missing or too old",
    "Steady": "no growth that stands out of the noise",
    "FarFromLimit": "far from its limit",
    "FollowsLoad": "it follows the load",
    "SlowsDown": "it grows ever slower, as a warm-up, a cache or a pool does",
    "WithinKnownRange": "within a range that this workload has come back from",
    "PageCache": "its RSS shows no leak; the rest is page cache, which the kernel takes back, or files in a memory volume, which it does not",
    "FellBack": "it came down by itself",
    "GrowsFarFromLimit": "it grows steadily, far from its limit yet",
    "InFlight": "it grows, but what has grown comes and goes, as requests do that wait for a slow dependency",
    "Unconfirmed": "all signs of a leak, not yet for long enough",
    "GrowthStopped": "it grew like a leak and has stopped for now",
    "SteadyGrowth": "it climbs steadily, and nothing explains it",
    "GrowsBeyondLoad": "it climbs steadily, beyond what the request rate explains",
    "GrowsApart": "it climbs steadily while its sibling pods do not",
    "GrowsDayOverDay": "it is higher at the same hour every day",
    "GrowsBeyondItsPast": "it climbs steadily to several times what this workload has needed, and nothing explains it",
    "CollectionsRare": "it climbs close to the limit without a garbage collection to judge by",
    "MayBePageCache": "it climbs steadily, but it may be page cache: its RSS is not known, so no action follows",
    "ExhaustsSoon": "it climbs steadily and will soon reach its limit",
}


class GrowthFinding(NamedTuple):
    """The detector's finding on one series."""

    verdict: Verdict
    reason: str
    per_hour: Interval | None = None  # growth in the signal's unit; None where it does not grow
    left: Interval | None = None  # seconds to the limit; None where it does not grow
    # The limit that the growth was judged by, which may be a policy's threshold where there is no other.
    limit: float | None = None
    because: str = ""  # the strongest reasons, for and against
    filled: Filled = Filled.NO  # why a level at its limit is not taken for a leak
    resident: float | None = None  # the part of the newest reading that cannot be reclaimed; None where it is not known

    @property
    def explanation(self) -> str:
        return EXPLANATIONS[self.reason]
