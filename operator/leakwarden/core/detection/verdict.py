"""What a trend means: the gates that growth must pass before it is called a leak.

Nothing here extrapolates further than a window has shown: growth must, within the window, have eaten as much as is
left (`reach`), so that every process that saturates (warm-up, cache, pool, high-water mark) has slowed down visibly
before it could be believed. The numbers are in core/detection/thresholds.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np

from leakwarden.core.detection.rollups import WIDTHS, Bools, Ints
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.trend import ResidualTrend, Trend, Z
from leakwarden.core.model.readings import Floats


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
    slope_low: Floats  # share of the limit per bucket
    slope_high: Floats

    def adopt(self, other: Passed, rows: Ints, which: Bools) -> None:
        """Take over what `other` says of `which` of its windows; `rows`: where each of them is among these."""
        for of in fields(self):
            getattr(self, of.name)[rows[which]] = getattr(other, of.name)[which]


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


# The expected range of n draws from a normal distribution, over its standard deviation (Tippett, Biometrika 17, 1925).
_DRAWS = np.log([2.0, 4.0, 6.0, 10.0, 20.0, 50.0, 100.0, 500.0])
_RANGE = np.array([1.13, 2.06, 2.53, 3.08, 3.73, 4.50, 5.02, 6.07])


def held(gates: Gates, raw: Trend, quantum: Floats, readings: Floats) -> Bools:
    """Whether connections are held, rather than taken and given back. `readings`: of a bucket.

    What comes and goes independently is in use by a Poisson law, whose variance is its mean (their ratio is Fisher's
    index of dispersion), and the readings of a bucket spread accordingly. What leaked spreads not at all. A pool at its
    maximum cannot spread, and is not judged.
    """
    units = np.maximum(quantum, 1e-9)
    mean = np.maximum(raw.floor + raw.level, 0.0) / 2 / units
    draws = np.interp(np.log(np.maximum(readings, 2.0)), _DRAWS, _RANGE)
    deviation = np.maximum(raw.garbage - raw.slope, 0.0) / units / draws
    calm: Bools = deviation**2 < gates.held * mean
    return calm & (quantum > gates.coarse) & (raw.level < 1 - quantum / 2)


@dataclass(frozen=True, slots=True)
class WindowContext:
    """What is known of each window beside its trend; shares of the limit."""

    rated: Bools  # the load is known
    apart: Bools  # else: siblings are
    history: Bools  # the workload has been seen for over a day
    daily: Bools  # also higher than a day before
    memory: Bools  # memory without GC counts, or whose GC has not run
    collected: Bools  # memory with GC counts
    backed: Bools  # the next wider window shows the same
    lasting: Bools  # the climb is longer than the window can see
    convicted: Bools  # a process of this workload was Exhausting before
    actual: Floats  # the latest ceiling
    known: Floats  # the highest level that the workload came back from
    fall: Floats  # ... and how deep it fell
    wobble: Floats  # the deepest fall at this width
    quantum: Floats  # the least change
    held: Bools  # see `held`

    def pick(self, rows: Ints) -> WindowContext:
        return WindowContext(*(getattr(self, of.name)[rows] for of in fields(self)))


def judge_windows(gates: Gates, width_index: int, raw: Trend, adjusted: ResidualTrend, beside: WindowContext) -> Passed:
    """`adjusted` is what load (or siblings) leaves of `raw`, and `raw` itself where neither is known."""
    rated, apart, convicted, quantum, held = beside.rated, beside.apart, beside.convicted, beside.quantum, beside.held
    memory, collected, actual, known = beside.memory, beside.collected, beside.actual, beside.known
    width = WIDTHS[width_index]
    growth = raw.slope * raw.span
    enough = raw.n >= gates.readings[width_index]
    clear = enough & (raw.slope_low > 0) & (growth > gates.clear_of_noise[width_index] * raw.noise)
    # Little growth near the limit is easily noise; it takes a straight line (bench: living_high).
    straight = np.where(beside.backed, 14.0, gates.clear_of_noise_little[width_index])
    clear &= (growth > gates.little) | (growth > straight * raw.noise)
    clear &= (growth > 2.5 * quantum) & (growth > gates.beyond_wobble * beside.wobble)
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
    airy = np.where(
        firm | held, 0.0, np.maximum(np.maximum(level - raw.floor, raw.garbage - raw.slope) - gates.air, 0.0)
    )
    height = np.where(memory | collected | rated, level, level - 0.75 * airy)
    margin = np.minimum(gates.beyond_fall * beside.fall, gates.beyond_rest * (1 - known))
    # The line may run ahead of what was seen; nothing is novel for where a line points.
    novel = np.minimum(raw.floor, actual) > known + margin
    short = width_index <= 1
    trusted = np.where(rated, unexplained, (apart & unexplained) | (beside.history & (short | beside.daily)))
    hasty = gates.level_unexplained[width_index]
    soon = (1 - height) * width <= gates.imminent * raw.slope
    unexplained_level = np.where(soon, min(gates.level_imminent, hasty), hasty)
    # Garbage that doubles what is live stands high every morning (bench: gc_sawtooth).
    unexplained_level = np.where(collected, gates.level_collected, unexplained_level)
    trusted_level = np.where(beside.backed & (width_index == 0), gates.level_backed, gates.level[width_index])
    trusted_level = trusted_level + np.where(rated | (apart & unexplained), 0.0, gates.level_history)
    needed = np.where(trusted, trusted_level, unexplained_level)
    needed = np.where(held, np.minimum(needed, gates.level_held[width_index]), needed)
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
    if width_index == 0:
        # Who has given back as much within minutes before may do so again; memory does so with each collection.
        near &= beside.backed | beside.lasting | memory | collected | (beside.wobble < gates.gave_back)
    few = (quantum > gates.coarse) & (raw.n < gates.coarse_readings)
    if width_index >= 2:
        near &= ~few | held | (adjusted.slope_low > gates.coarse_unexplained * raw.slope)
    shared = apart & ~rated & ~unexplained
    near &= ~shared | (growth > gates.shared_clear * raw.noise) | (actual > gates.shared_level)
    sure = (trusted & (rated | short)) | (growth > gates.sure_clear * raw.noise)
    if width_index == 0:
        unlike_before = known < gates.sure_known
        sure &= beside.backed | beside.lasting | (unlike_before & (height >= gates.sure_level))
    sure &= ~(shared & collected) | (actual > gates.shared_level)
    any_line = height >= gates.sure_any[width_index]
    sure &= any_line | (growth > gates.sure_line[width_index] * raw.noise)
    brim = height >= gates.level_unvetoed
    sure &= ~rated | (adjusted.slope_low > gates.sure_unexplained * raw.slope) | (brim & (quantum <= gates.coarse))
    sure &= brim | (growth > gates.sure_growth)
    suspect = clear & steady & keeps_on & ~vetoed & (best <= raw.span * width * gates.suspect_reach)
    suspect &= raw.level >= gates.suspect_level
    reason = np.full(len(best), int(VerdictReason.Steady))
    reason = np.where(clear & ~novel, int(VerdictReason.WithinKnownRange), reason)
    reason = np.where(clear & ~keeps_on, int(VerdictReason.SlowsDown), reason)
    reason = np.where(clear & vetoed, int(VerdictReason.FollowsLoad), reason)
    return Passed(leak, near, sure, suspect, reason, best, low, high, raw.slope_low.copy(), raw.slope_high.copy())


def hidden_by_load(gates: Gates, width_index: int, raw: Trend, passed: Passed, beside: WindowContext) -> Bools:
    """Windows in which the load's own ups and downs may hide a leak. Not of memory, whose garbage goes along with the load
    in ways of its own."""
    told = passed.leak & passed.near
    may = beside.rated & ~beside.memory & ~beside.collected & ~told & (raw.level >= gates.level_backed)
    return may & (width_index in gates.cleared)


def judge_without_load(
    gates: Gates, width_index: int, clean: Trend, still: Floats, part: Floats, unsure: Floats, beside: WindowContext
) -> tuple[Passed, Bools]:
    """The same of `clean`, the trend of what the load leaves, and which windows it shows a leak in. `still`: of the raw
    trend. `part`: (rows, 24) what the load explains, whose slope has the error `unsure`."""
    # Without its load a high-water mark stands still no more; it did.
    clean = replace(clean, slope_low=clean.slope_low - Z * unsure, still=still)
    # What fell with the load was no coming back.
    shown = judge_windows(
        gates, width_index, clean, ResidualTrend.of(clean), replace(beside, wobble=np.zeros(len(part)))
    )
    narrow = clean.slope_low > gates.cleared_narrow * clean.slope
    # No second chance where the load has hardly changed.
    moved = np.nanmax(part, axis=1) - np.nanmin(part, axis=1) > gates.cleared_part * clean.slope * clean.span
    return shown, shown.leak & shown.near & narrow & moved
