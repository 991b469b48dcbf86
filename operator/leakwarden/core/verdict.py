"""What a trend means: the gates that growth must pass before it is called a leak, one readable list.

Nothing here extrapolates further than a window has shown: growth must, within the window, have eaten as much as is
left (`reach`), so that every process that saturates (warm-up, cache, pool, high-water mark) has slowed down visibly
before it could be believed. The numbers were set on the bench's tuning seeds (`python -m tests.bench`), never on its
reporting seed or its unseen families; each says what it holds apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from leakwarden.core.cascade import WIDTHS, Bools
from leakwarden.core.readings import Floats
from leakwarden.core.trend import Growth, Trend


class Reason(IntEnum):
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
    | Healthy | FellBack | it was leaking by all signs, and came down by itself |
    | Healthy | GrowthStopped | it was leaking by all signs, and has not grown for a while |
    | Suspect | GrowsFarFromLimit | steady growth that has not yet eaten enough of the head-room to be believed |
    | Suspect | Unconfirmed | all signs of a leak, not yet for long enough |
    | Leaking | SteadyGrowth | the floor climbs steadily towards the limit, and nothing explains it |
    | Leaking | GrowsBeyondLoad | the same, after what the request rate explains |
    | Leaking | GrowsApart | the same, while its sibling pods do not grow |
    | Leaking | GrowsDayOverDay | higher at the same hour every day |
    | Leaking | CollectionsRare | memory close to the limit and climbing, without a completed GC cycle to judge by |
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


@dataclass(frozen=True, slots=True)
class Gates:
    """The thresholds, shares of the limit unless said otherwise. A tuple has one entry for each width of bucket."""

    # Six floors in a row that only rise happen by chance once in 720 windows; fewer prove nothing.
    # Twelve of one minute, since the first minutes of a process are its own; a full day of the widths that judge days.
    readings: tuple[int, ...] = (12, 7, 6, 6, 19, 8)
    # Growth over the window against the noise around the line: below 4 a random walk passes (bench: noisy), and over
    # hours a flight of three steps below 7 (bench: steps).
    clear_of_noise: tuple[float, ...] = (4.0, 5.0, 6.0, 7.0, 5.0, 5.0)
    # Growth of less than this near the limit is easily noise, unless it is a straight line (bench: living_high, which
    # wobbles by 2 % of the limit: five times that; at 6 % it is mistaken, at 14 % leaks near the limit are missed).
    little: float = 0.10
    clear_of_noise_little: tuple[float, ...] = (20.0, 20.0, 16.0, 16.0, 10.0, 10.0)
    # A steady climb shows 1 in every quarter; a step shows 0 in three of them (bench: steps, cron).
    least_quarter: float = 0.15
    # ... or an interval of the slope that begins at this share of it: one odd quarter among noise is no step.
    narrow: float = 0.60
    # More floors than this exactly like the one before (bench: high_water), unless one step is this much of the limit.
    # At 0.1 three marks of traffic that grew for hours are told (of 24 seeds), and no leak is missed; at 0.02 five are.
    stands_still: float = 0.10
    coarse: float = 0.004
    # Squared error of the best staircase of four treads over that of the straight line, of what the load leaves: of the
    # bench's staircases on top of traffic 0.01 to 0.2, a climb whose noise is a tenth of it 0.46 and more. Not asked
    # of minutes, where the sockets that a peer's hiccup leaves behind look the same (bench: steps, close_wait).
    staircase: tuple[float, ...] = (0.0, 0.0, 0.10, 0.25, 0.25, 0.25)
    # So few floors of a small pool fit by chance to anything, on the first morning of its process to no load at all,
    # unless the load leaves at least this share of the growth (bench: pool_at_maximum).
    coarse_readings: int = 12
    coarse_unexplained: float = 0.6
    # Siblings that show the same are no veto, but mornings and steps that all pods see grow by less than ten times
    # their noise; above this level whatever grows is told (bench: daily_high, gc_sawtooth, steps).
    shared_clear: float = 10.0
    shared_level: float = 0.94
    # End slope over mean slope. exp(-t/tau) shows 0.58 at a window of tau, and cannot pass `reach` before that.
    not_slowing: float = 0.55
    # How far the line may point above the latest ceiling, and run above the latest floor, over the growth (bench:
    # bursts, filling_cache, cron; the latter tells five more of what has filled up or holds, and misses no leak).
    left_behind: float = 0.10
    # The deepest fall within the window over its growth: leaks do not give back (bench: noisy, daily).
    gives_back: float = 0.30
    # Growth in the window over what is left. 1: extrapolate no further than was seen.
    reach: float = 1.0
    # The ceiling must be this high: short windows are fooled by bursts and slow dependencies, whose tops are unknown.
    # A burst of 25 minutes is as straight as a leak; of five that passed at 0.85, three ended below 0.88. A staircase of
    # days reached 0.82, and days leave hours to act in anyway (bench: bursts, steps).
    level: tuple[float, ...] = (0.88, 0.81, 0.81, 0.82, 0.84, 0.84)
    # One minute's window when the next wider one shows the same (bench: accelerating; bursts are not in the wider one).
    level_backed: float = 0.76
    # History alone tells mornings, not steps (bench: steps).
    level_history: float = 0.08
    # With neither load, siblings nor a day of history, hours of growth may be a morning: only close to the limit.
    level_unexplained: tuple[float, ...] = (0.85, 0.87, 0.90, 0.92, 0.92, 0.92)
    # ... unless it is too fast for a morning: a sine from a quarter to 90 % is never within 1.2 h of the limit.
    level_imminent: float = 0.90
    # What a ceiling stands above its floor beyond this comes and goes, and counts for a quarter.
    air: float = 0.10
    # Unless its floors never gave way, of which eight say little in a pool (bench: pool_at_maximum).
    firm_readings: int = 12
    firm_drawdown: float = 0.05
    firm_growth: float = 0.40
    imminent: float = 4300.0  # seconds
    # ... and more for garbage that doubles what is live, which stands high every morning (bench: gc_sawtooth).
    # Live memory that is doubled peaks at 0.9 there, and leaks that were told from 0.95 on were told too late.
    level_collected: float = 0.91
    # Above this no explanation helps: whatever lifts it, it is about to be exhausted.
    level_unvetoed: float = 0.97
    # A straight line, clear of load: what saturates shows `late` 0.85 after a third of its time constant, when it
    # cannot yet look as if it reached the limit within two windows. A cache that fills in a straight line can, so
    # much must be gone, and memory is left out; unless a process of the workload has gone all the way before.
    # A cache that fills is as straight: six of seventeen false alarms were caches at 0.70, three at 0.76.
    early_level: float = 0.76
    early_convicted: float = 0.50
    early_reach: float = 2.0
    early_late: float = 0.80
    early_readings: int = 10
    early_narrow: float = 0.70  # the slope's lower bound over the slope
    early_clear: tuple[float, ...] = (1e9, 14.0, 12.0, 12.0, 12.0, 12.0)
    early_quarter: float = 0.5
    early_drawdown: float = 0.12
    early_unexplained: float = 0.5
    # Memory without GC counts may be filling up to a soft limit, usually 70 to 93 % of the hard one.
    level_memory: float = 0.935
    # What lies above the floor of a long bucket is the climb itself where it is hardly more than the growth of one;
    # as long as there are few floors (`coarse_readings`), their line cannot tell it from garbage (gomemlimit_plateau).
    bare: float = 0.03
    # Above the highest level it has come back from, by this share of the deepest fall seen, but at most by this share
    # of what was left there (bench: living_high, bursts, daily_high).
    beyond_fall: float = 0.40
    beyond_rest: float = 0.60
    # Growth over the deepest fall that floors of this width have shown within a window (bench: living_high).
    beyond_wobble: float = 0.8
    # Passing evaluations in a row: three minutes at 1 min, six at 3 min. Where the next look is nine minutes off or more,
    # it comes too late for a leak of an hour or two (bench: goroutines, near_limit, medium).
    confirm: tuple[int, ...] = (3, 2, 1, 1, 1, 1)
    # Suspect: clear growth that would reach the limit within four windows.
    suspect_reach: float = 4.0
    suspect_level: float = 0.35
    # Exhausting acts, so it needs a level that no healthy family but the busiest reaches ...
    exhausting_level: float = 0.84
    # ... and where nothing tells the growth from a morning, a cleaner line: mornings of the bench are 7 to 13 times
    # their noise (steps, noisy). Minutes that no wider window backs must be higher than a burst (bursts).
    sure_clear: float = 14.0
    sure_level: float = 0.94
    # What acts is a clean line: an hour of two bursts, or of a queue that grows with the load, is up to 18 times its
    # noise, hours and days of few steps up to ten; above these levels any line will do (bench: bursts, congestion, steps).
    sure_line: tuple[float, ...] = (20.0, 20.0, 10.0, 10.0, 10.0, 10.0)
    sure_any: tuple[float, ...] = (0.94, 0.94, 0.97, 0.97, 0.97, 0.97)
    # ... of which the load leaves this share, with its error (bench: high_water, pool_at_maximum, congestion) ...
    sure_unexplained: float = 0.30
    # ... and by more than what lives high wanders (bench: living_high, by 0.04 and 0.06).
    sure_growth: float = 0.08
    # The best estimate within the policy's time; or, this high, the hasty one; or, this high, any.
    exhausting_hasty: float = 0.90
    exhausting_any: float = 0.95


@dataclass(frozen=True, slots=True)
class Passed:
    """What one width of bucket says of each window."""

    leak: Bools  # has the shape of a leak that nothing explains
    near: Bools  # close enough to the limit, and where it has not come back from before
    sure: Bools  # enough to act on, once it is a leak
    suspect: Bools
    reason: Floats  # Reason of the Healthy verdict that this window would give
    seconds: Floats  # to exhaustion: best estimate; inf where it does not grow
    seconds_low: Floats
    seconds_high: Floats


def exhaustion(trend: Trend, width: float) -> tuple[Floats, Floats, Floats]:
    """Seconds from the window's end until the ceiling reaches the limit: best, low and high estimate."""
    room = np.maximum(1.0 - trend.level, 0.0)
    # Garbage grows with what is live, so the ceiling may climb faster than the floor; 2.5 times covers GOGC=100.
    faster = np.clip(trend.slope_ceiling, trend.slope, 2.5 * np.maximum(trend.slope, 0.0))
    # What accelerates is faster at the end of the window than on average; the parabola's end is an unsteady guess.
    faster = faster * np.clip(trend.late, 1.0, 1.5)
    stretch = np.where(trend.slope > 0, faster / np.maximum(trend.slope, 1e-12), 1.0)

    def seconds(slope: Floats) -> Floats:
        return np.where(slope > 1e-12, room / np.maximum(slope, 1e-12) * width, np.inf)

    return seconds(faster), seconds(np.maximum(trend.slope_high, trend.slope) * stretch), seconds(trend.slope_low)


def judge_windows(
    gates: Gates, width_index: int, raw: Trend, adjusted: Growth, *, rated: Bools, apart: Bools, history: Bools,
    daily: Bools, memory: Bools, collected: Bools, backed: Bools, convicted: Bools, actual: Floats, known: Floats, fall: Floats, wobble: Floats, quantum: Floats,
) -> Passed:  # fmt: skip
    """`adjusted` is what load (or siblings) leaves of `raw`, and `raw` itself where neither is known. `rated`: the load
    is known; `apart`: siblings are. `history`: the workload has been seen for over a day. `daily`: also higher than a
    day before. `memory`: memory without GC counts, or whose GC has not run; `collected`: memory with GC counts. `backed`:
    the next wider window shows the same. `convicted`: a process of this workload was Exhausting before. `actual`: the latest ceiling. `wobble`: the deepest fall at this width.
    `quantum`: the least change. `known`: the highest level it came back from, `fall`: how deep."""
    width = WIDTHS[width_index]
    growth = raw.slope * raw.span
    enough = raw.n >= gates.readings[width_index]
    clear = enough & (raw.slope_low > 0) & (growth > gates.clear_of_noise[width_index] * raw.noise)
    # Little growth near the limit is easily noise; it takes a straight line (bench: living_high).
    straight = np.where(backed, 14.0, gates.clear_of_noise_little[width_index])
    clear &= (growth > gates.little) | (growth > straight * raw.noise)
    clear &= (growth > 2.5 * quantum) & (growth > gates.beyond_wobble * wobble)
    steady = (raw.step > gates.least_quarter) | (raw.slope_low > gates.narrow * raw.slope)
    steady &= raw.drawdown < gates.gives_back
    # A high-water mark stands still between its records; small pools do so because they count in large steps.
    steady &= (raw.still < gates.stands_still) | (quantum > gates.coarse)
    # Where the line has left the readings behind, growth is over: a burst that holds, a cache that is full.
    keeps_on = (raw.late > gates.not_slowing) & (raw.floor - actual < gates.left_behind * growth)
    keeps_on &= raw.behind < gates.left_behind
    unexplained = (adjusted.slope_low > 0.2 * raw.slope) & (adjusted.slope > 0.5 * raw.slope)
    unexplained &= adjusted.late > 0.5 * gates.not_slowing
    # The other pods' mean is a poorer measure of load than the load itself.
    unexplained &= rated | (adjusted.slope_low > 0.5 * raw.slope)
    best, low, high = exhaustion(raw, width)
    reach = best <= raw.span * width * gates.reach
    # What fills up to a bound is as high as it has been, not as high as its line would have it; only between two
    # collections the line knows better.
    capped = np.minimum(raw.level, actual)
    level = np.where(collected & ~memory, raw.level, capped)
    # Where garbage is seen to be collected, the floor is what is live, and no soft limit hides behind it. Such memory is
    # exhausted when a peak meets the limit, and between two peaks it is no farther from it (bench: under_sawtooth).
    seen = 0.02 * raw.level + raw.slope
    filling = memory & (raw.garbage < seen) & (collected | (raw.tooth < seen))
    peaks = np.minimum(raw.floor, actual) + raw.tooth
    if width_index >= 2:
        filling |= memory & ~collected & (raw.garbage - raw.slope < gates.bare) & (raw.n < gates.coarse_readings)
    level = np.where((memory | collected) & ~filling, np.maximum(level, peaks), level)
    # Memory meets its limit with its garbage. Of anything else without a known load, what comes and goes within a
    # bucket counts for a quarter: a busy pool touches its maximum and is idle a second later (bench: pool_at_maximum).
    # Unless its floors have climbed without ever giving way: a pool's mornings do give way (bench: pool).
    firm = (
        (raw.n >= gates.firm_readings)
        & (raw.drawdown < gates.firm_drawdown)
        & (growth > gates.firm_growth)
        & (growth > 15 * raw.noise)
    )
    airy = np.where(firm, 0.0, np.maximum(np.maximum(level - raw.floor, raw.garbage - raw.slope) - gates.air, 0.0))
    height = np.where(memory | collected | rated, level, level - 0.75 * airy)
    margin = np.minimum(gates.beyond_fall * fall, gates.beyond_rest * (1 - known))
    # The line may run ahead of what was seen; nothing is novel for where a line points.
    novel = np.minimum(raw.floor, actual) > known + margin
    short = width_index <= 1
    trusted = np.where(rated, unexplained, (apart & unexplained) | (history & (short | daily)))
    hasty = gates.level_unexplained[width_index]
    soon = (1 - height) * width <= gates.imminent * raw.slope
    unexplained_level = np.where(soon, min(gates.level_imminent, hasty), hasty)
    # Garbage that doubles what is live stands high every morning (bench: gc_sawtooth).
    unexplained_level = np.where(collected, gates.level_collected, unexplained_level)
    trusted_level = np.where(backed & (width_index == 0), gates.level_backed, gates.level[width_index])
    trusted_level = trusted_level + np.where(rated | (apart & unexplained), 0.0, gates.level_history)
    needed = np.where(trusted, trusted_level, unexplained_level)
    needed = np.where(filling, np.maximum(needed, gates.level_memory), needed)
    near = height >= needed
    # A load that is known and explains the growth is a veto; siblings are not, since they may leak as well.
    # Close to the limit, half an explanation does not do: what leaks along with the traffic is half explained by it.
    solid = level - 0.75 * airy
    half = (solid > gates.level_unexplained[2]) & (adjusted.slope > 0.3 * raw.slope)
    last = (solid > gates.level_unvetoed) & (adjusted.slope > 0.2 * raw.slope)
    # A small pool is at its maximum with every busy morning (seen on a node, with load that rose for three minutes).
    vetoed = rated & ~unexplained & ~((half | last) & (quantum <= gates.coarse))
    # A straight line that owes nothing to the load is believed from farther away: reported, not acted on.
    straight_line = (
        (rated | apart | convicted)
        & (adjusted.slope_low > gates.early_unexplained * raw.slope)
        & (raw.n >= gates.early_readings)
        & (raw.slope_low > gates.early_narrow * raw.slope)
        & (growth > gates.early_clear[width_index] * raw.noise)
        & (raw.step > gates.early_quarter)
        & (raw.drawdown < gates.early_drawdown)
        & (raw.late > gates.early_late)
        & (adjusted.late > gates.early_late - 0.1)
        & (best <= raw.span * width * gates.early_reach)
        & (~(memory | collected) | convicted)
    )
    near |= straight_line & (height >= np.where(convicted, gates.early_convicted, gates.early_level))
    reach |= straight_line
    leak = clear & steady & keeps_on & reach & ~vetoed
    near &= novel
    few = (quantum > gates.coarse) & (raw.n < gates.coarse_readings)
    if width_index >= 2:
        near &= ~few | (adjusted.slope_low > gates.coarse_unexplained * raw.slope)
    shared = apart & ~rated & ~trusted
    near &= ~shared | (growth > gates.shared_clear * raw.noise) | (actual > gates.shared_level)
    sure = trusted | (growth > gates.sure_clear * raw.noise)
    if width_index == 0:
        sure &= backed | (height >= gates.sure_level)
    any_line = height >= gates.sure_any[width_index]
    sure &= any_line | (growth > gates.sure_line[width_index] * raw.noise)
    brim = height >= gates.level_unvetoed
    sure &= ~rated | (adjusted.slope_low > gates.sure_unexplained * raw.slope) | (brim & (quantum <= gates.coarse))
    sure &= brim | (growth > gates.sure_growth)
    suspect = clear & steady & keeps_on & ~vetoed & (best <= raw.span * width * gates.suspect_reach)
    suspect &= raw.level >= gates.suspect_level
    reason = np.full(len(best), int(Reason.Steady))
    reason = np.where(clear & ~novel, int(Reason.WithinKnownRange), reason)
    reason = np.where(clear & ~keeps_on, int(Reason.SlowsDown), reason)
    reason = np.where(clear & vetoed, int(Reason.FollowsLoad), reason)
    return Passed(leak, near, sure, suspect, reason, best, low, high)
