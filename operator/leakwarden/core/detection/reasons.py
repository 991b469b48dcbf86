"""Why a verdict is what it is."""

from __future__ import annotations

from enum import IntEnum


class VerdictReason(IntEnum):
    """Why a verdict is what it is. The name is the CamelCase constant in status, Events and `backtest`.

    | verdict | reason | what it means |
    |---|---|---|
    | Unknown | NoLimit | no limit is known, nor an absolute threshold in its place: nothing can be exhausted |
    | Unknown | TooFewReadings | the process is too young, or scraped too rarely, for six floors |
    | Unknown | Stale | no reading within three scrape intervals (or the policy's maxAge): missing data never acts |
    | Healthy | Steady | no growth that stands out of the noise |
    | Healthy | FarFromLimit | below the level from which growth is judged at all |
    | Healthy | FollowsLoad | it grows, and the request rate (or the sibling pods) explains it |
    | Healthy | SlowsDown | it grows ever slower: a warm-up, a cache or a pool that fills |
    | Healthy | WithinKnownRange | it grows, below a level this workload has come back from by itself |
    | Healthy | PageCache | most of the memory is page cache, which the kernel takes back; what it cannot take back (RSS) shows no leak |
    | Healthy | FellBack | it was leaking by all signs, and came down by itself |
    | Healthy | GrowthStopped | it was leaking by all signs, and has not grown for a while |
    | Suspect | GrowsFarFromLimit | steady growth that has not yet eaten enough of the head-room to be believed |
    | Suspect | InFlight | it grows, but so does the load, or what has grown comes and goes: requests that wait for a slow dependency; a signal LatencyP99 shows it |
    | Suspect | Unconfirmed | all signs of a leak, not yet for long enough |
    | Leaking | SteadyGrowth | the floor climbs steadily towards the limit, and nothing explains it |
    | Leaking | GrowsBeyondLoad | the same, after what the request rate explains |
    | Leaking | GrowsApart | the same, while its sibling pods do not grow |
    | Leaking | GrowsDayOverDay | higher at the same hour every day |
    | Leaking | GrowsBeyondItsPast | it climbs steadily to several times what this workload has needed; it has no limit, or a far one |
    | Leaking | CollectionsRare | memory close to the limit and climbing, without a completed GC cycle to judge by |
    | Leaking | MayBePageCache | the working set climbs steadily, and its RSS is not known: it may be page cache, so no action follows |
    | Exhausting | ExhaustsSoon | leaking, clearly enough to act on, and at its limit within the policy's exhaustsWithin |
    """

    NoLimit = 0
    TooFewReadings = 1
    Stale = 2
    Steady = 3
    FarFromLimit = 4
    FollowsLoad = 5
    SlowsDown = 6
    WithinKnownRange = 7
    FellBack = 8
    GrowsFarFromLimit = 9
    Unconfirmed = 10
    GrowthStopped = 11
    SteadyGrowth = 12
    GrowsBeyondLoad = 13
    GrowsApart = 14
    GrowsDayOverDay = 15
    CollectionsRare = 16
    ExhaustsSoon = 17
    GrowsBeyondItsPast = 18
    PageCache = 19
    MayBePageCache = 20
    InFlight = 21
