"""The thresholds of the questions (core/detection/questions.py), each with the shapes that it separates.

They were set on tuning seeds of the bench (`python -m tests.bench --seeds N`), never on its reporting seeds or its unseen
families.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leakwarden.core.detection.tuned import TUNED


@dataclass(frozen=True, slots=True)
class Gates:
    """The thresholds, shares of the limit unless said otherwise. A tuple has one entry for each width of bucket."""

    # Six floors in a row that only rise happen by chance once in 720 windows; fewer prove nothing. Twelve of one
    # minute, since the first minutes of a process are special; a full day for the widths that judge days.
    readings: tuple[int, ...] = (12, 7, 6, 6, 19, 8, 6)
    # Growth over the window against the noise around the line: below 4 a random walk passes (bench: noisy), and over
    # hours a flight of three steps below 7 (bench: steps).
    clear_of_noise: tuple[float, ...] = (4.0, 5.0, 6.0, 7.0, 5.0, 5.0, 5.0)
    # Growth of less than this near the limit is easily noise, unless it is a straight line (bench: living_high, which
    # wobbles by 2 % of the limit: five times that; at 6 % that is called a leak, at 14 % leaks near it are missed).
    little: float = 0.10
    clear_of_noise_little: tuple[float, ...] = (20.0, 20.0, 16.0, 16.0, 10.0, 10.0, 10.0)
    clear_backed: float = 14.0  # ... instead, where the next wider window shows the same
    clear_quanta: float = 2.5  # growth over the least change of a reading
    # A steady climb shows 1 in every quarter; a step shows 0 in three of them (bench: steps, cron).
    least_quarter: float = 0.15
    # ... or an interval of the slope that begins at this share of it: one odd quarter among noise is not a step.
    narrow: float = 0.60
    # The share of floors that equal the one before (bench: high_water), unless one step is `coarse` of the limit.
    # At 0.1 three high-water marks of traffic that grew for hours are reported (of 24 seeds), and no leak is missed; at
    # 0.02 five leaks are missed.
    stands_still: float = 0.10
    coarse: float = 0.004
    # Squared error of the best staircase of four treads over that of the straight line, in the growth that the load
    # does not explain: 0.01 to 0.2 for the bench's staircases on top of traffic, 0.46 and more for a climb whose noise
    # is a tenth of it. Not asked of minutes, where the sockets left behind by a peer's hiccup look the same (bench:
    # steps, close_wait).
    staircase: tuple[float, ...] = (0.0, 0.0, 0.10, 0.25, 0.25, 0.25, 0.0)
    # With so few floors, a small pool fits any load by chance, or on the first morning of its process no load at all,
    # unless at least this share of the growth is not explained by the load (bench: pool_at_maximum).
    coarse_readings: int = 12
    coarse_unexplained: float = 0.6
    # Widths at which the growth that the load does not explain is judged as a line of its own, and the least share of
    # its slope that must be sure: of 1,224 leaks 12 more are found (bench: slow, by_traffic, error_bursts), at 0.23 a
    # queue is called a leak (congestion).
    cleared: tuple[int, ...] = (2, 3, 4, 5, 6)
    cleared_narrow: float = 0.5
    # ... where the explained part moves by at least this share of the growth; else noise would get a second chance.
    cleared_part: float = 0.2
    # Unexplained growth: the share of the growth that load must not explain, the share that must be sure, and the share
    # that is enough near the limit, since a leak that comes with the traffic is half explained by it.
    left_half: float = 0.5
    left_sure: float = 0.2
    left_near: float = 0.3
    # s; without a limit and in a workload younger than a day, growth that is over sooner than this may be a job.
    job: float = 2 * 3600.0
    job_exceeded: float = 2.3  # ... unless it is so many times the multiple that is asked there
    # s; ... or has lasted for so long while its siblings have not grown.
    job_longest: float = 3 * 3600.0
    # A straight line since the birth of its process: the most by which its present pace may differ from the average one,
    # the seconds that it must have lasted with and without a known load (with it also where growth is `birth_exact`
    # times its noise), growth over noise, the least quarter, end slope over mean slope (and as far above 1 at the
    # most), the share of growth that a known load must leave unexplained, and the level where the load is known; else it
    # must be imminent. Half a sine over
    # twelve hours is 14 times its noise, and its least quarter 0.5; users that stay for half a day show `late` 0.8 after
    # six hours.
    birth_even: float = 1.6
    birth_rated: float = 4 * 3600.0
    birth_unrated: float = 10 * 3600.0
    birth_exact: float = 60.0
    birth_clear: float = 20.0
    birth_quarter: float = 0.6
    birth_late: float = 0.80
    birth_left: float = 0.8
    birth_level: float = 0.80
    # The height that is enough without a limit, of four times the usual level, where the load is known and does not
    # explain the growth: two and a half times the usual level.
    level_past: float = 0.62
    # Without a limit, growth from day to day: the least buckets of four hours, the least growth from one day to the next
    # as a share of an even one, the growth over the window as a multiple of the level before it, and the level (of four
    # times the usual one).
    days_readings: int = 17
    days_quarter: float = 0.3
    days_growth: float = 0.6
    days_level: float = 0.5
    # Siblings that grow too are no veto, but mornings and steps in all pods grow by less than 14 times their noise;
    # above this level all growth is reported (bench: daily_high, gc_sawtooth, steps).
    shared_clear: float = 14.0
    shared_level: float = 0.94
    # A climb of minutes after a quiet time (core/detection/surge.py): its growth, its growth over the error of its line,
    # and the time to the limit over the time for which it was seen, before it is reported and before it is acted on. First
    # bursts and slow dependencies of the bench rise by as much, and stop farther from the limit: at a `surge_reach` of 0.45
    # eight of them are reported in 3,600 healthy pod-days (seeds 7 to 10), here one, and at `surge_sure` none.
    surge_growth: float = 0.42
    surge_straight: float = 14.0
    surge_reach: float = 0.37
    surge_sure: float = 0.25
    # End slope over mean slope. exp(-t/tau) shows 0.58 at a window of tau, and cannot pass `reach` before that.
    not_slowing: float = 0.55
    # The distance of the line's end above the latest ceiling, and of the line above the latest floor, over the growth
    # (bench: bursts, filling_cache, cron; the latter recognises five more levels that have filled up or hold, and
    # misses no leak).
    left_behind: float = 0.10
    # The deepest fall within the window over its growth: the level of a leak does not fall (bench: noisy, daily).
    gives_back: float = 0.30
    # Time to the limit over the time for which growth was seen. 1: extrapolate no further than that.
    reach: float = 1.0
    # The ceiling must be this high: in short windows bursts and slow dependencies, whose tops are unknown, look like
    # leaks. A burst of 25 minutes is as straight as a leak; of five that passed at 0.85, three ended below 0.88. A
    # staircase of days reached 0.82, and days leave hours to act in anyway (bench: bursts, steps).
    level: tuple[float, ...] = (0.88, 0.81, 0.81, 0.82, 0.84, 0.84, 0.75)
    # One minute's window when the next wider one shows the same (bench: accelerating; bursts are not in the wider one).
    level_backed: float = 0.76
    # ... and required where a pod of the workload fell by more than this within 24 minutes by itself: of 15 bursts that
    # were reported on tuning seeds 13 were not the first of their workload (bench: bursts, congestion, cron).
    gave_back: float = 0.2
    # History alone separates leaks from mornings, not from steps (bench: steps).
    level_history: float = 0.08
    # With neither load, siblings nor a day of history, hours of growth may be a morning: only close to the limit.
    level_unexplained: tuple[float, ...] = (0.85, 0.87, 0.90, 0.92, 0.92, 0.92, 0.8)
    # ... unless it is too fast for a morning: a sine from a quarter to 90 % is never within 1.2 h of the limit.
    level_imminent: float = 0.90
    # The distance from floor to ceiling beyond this is transient, and counts for a quarter.
    transient_allowed: float = 0.10
    # ... unless its floors never fell; eight floors prove little in a pool (bench: pool_at_maximum).
    firm_readings: int = 12
    firm_drawdown: float = 0.05
    firm_growth: float = 0.40
    firm_clear: float = 15.0
    # The transient part counts by this share less.
    fleeting: float = 0.75
    # Variance over mean of connections that come and go: 1 by Poisson's law, 0.34 and more in the bench's healthy pools
    # (169 windows of six seeds that climbed like a leak), 0.32 and less in 19 of 20 windows of its leaking ones.
    held: float = 0.25
    # What comes and goes spreads with its number: the correlation of the ranks of spread and level, in standard
    # deviations of chance, and the time for which one such window holds, s. At 2 a sixth of the leaks wait until they are
    # over (bench: medium, goroutines), at 4 eight pods of the spent brown-out of a database are acted on, of 58. At
    # three hours as many leaks wait, since many windows are asked; a fall of ten minutes is the chance of one of them.
    flight_clear: float = 3.0
    flight_lasts: float = 1800.0
    waits_lasts: float = 3 * 3600.0  # s for which a load that rose as the level did holds for all growth of the process
    # Held connections count from farther away: a pool's peaks are at its maximum long before its floor is.
    level_held: tuple[float, ...] = (0.85, 0.75, 0.65, 0.65, 0.65, 0.65, 0.65)
    imminent: float = 4300.0  # seconds
    # ... and more for garbage that doubles the live memory, which is high every morning (bench: gc_sawtooth).
    # Live memory that is doubled peaks at 0.9 there, and leaks that were reported from 0.95 on were reported too late.
    level_collected: float = 0.91
    # Above this no explanation helps: whatever the cause, it is about to be exhausted.
    level_unvetoed: float = 0.97
    # A straight line, without any influence of load: saturating growth shows `late` 0.85 after a third of its time
    # constant, when it cannot yet seem to reach the limit within two windows. A cache that fills in a straight line
    # can, so the level must be high, and memory is left out; unless a process of the workload was Exhausting before.
    # A cache that fills is as straight: six of seventeen false alarms were caches at 0.70, three at 0.76.
    early_level: float = 0.76
    early_exhausted: float = 0.50
    # ... and where it has lasted for days and was in use before: of the spent files (801 healthy pod-days) none is reported
    # at 0.45, but for a log store that opens files until its retention, in a line from zero.
    early_days: float = 0.45
    early_begun: float = 0.05
    early_reach: float = 2.0
    early_late: float = 0.80
    early_readings: int = 10
    early_narrow: float = 0.70  # the slope's lower bound over the slope
    early_clear: tuple[float, ...] = (1e9, 14.0, 12.0, 12.0, 12.0, 12.0, 12.0)
    early_quarter: float = 0.5
    early_drawdown: float = 0.12
    early_unexplained: float = 0.5
    # Memory without GC counts may be filling up to a soft limit, usually 70 to 93 % of the hard one.
    level_memory: float = 0.935
    garbage_seen: float = 0.02  # garbage is visible from this share of the level on
    # The distance from floor to ceiling of a long bucket is the climb itself where it is hardly more than one bucket's
    # growth; with few floors (`coarse_readings`) their line cannot separate it from garbage (gomemlimit_plateau).
    bare: float = 0.03
    # Above the highest level that it has come down from, by this share of the deepest fall seen, but at most by this
    # share of the distance to the limit there (bench: living_high, bursts, daily_high).
    beyond_fall: float = 0.40
    beyond_rest: float = 0.60
    # A fall by less than so many of the least change, or at most this share of the limit, does not count as coming
    # down.
    came_back_quanta: float = 3.5
    came_back_most: float = 0.25
    # Growth over the deepest fall that floors of this width have shown within a window (bench: living_high).
    beyond_wobble: float = 0.8
    # Passing evaluations in a row: three minutes at 1 min, six at 3 min. Where the next evaluation is nine minutes off
    # or more, it comes too late for a leak of an hour or two (bench: goroutines, near_limit, medium).
    confirm: tuple[int, ...] = (3, 2, 1, 1, 1, 1, 1)
    # Suspect: clear growth that would reach the limit within four windows.
    suspect_reach: float = 4.0
    suspect_level: float = 0.35
    # Exhausting leads to actions, so it needs a level that no healthy family but the busiest reaches ...
    exhausting_level: float = 0.84
    # ... and a cleaner line where the growth may be a morning: mornings of the bench are 7 to 13 times their noise
    # (steps, noisy). Minutes that no wider window confirms must be higher than a burst (bursts).
    sure_clear: float = 14.0
    sure_level: float = 0.94
    # ... unless the latest so many three-minute buckets are one straight climb (core/detection/climb.py):
    # bursts of the bench rise for 24 minutes at most, and show up to 22 where 36 minutes are compared with a line
    # (quick). Neither counts where the workload has come down from nearly as high a level before (cron).
    sure_known: float = 0.80
    climb_buckets: int = 12
    climb_straight: float = 25.0
    # An action needs a clean line: an hour of two bursts, or of a queue that grows with the load, is up to 18 times its
    # noise, hours and days of few steps up to ten; above these levels any line will do (bench: bursts, congestion, steps).
    sure_line: tuple[float, ...] = (20.0, 20.0, 10.0, 10.0, 10.0, 10.0, 10.0)
    sure_any: tuple[float, ...] = (0.94, 0.94, 0.97, 0.97, 0.97, 0.97, 0.97)
    # ... of which this share is not explained by the load, with its error (bench: high_water, pool_at_maximum,
    # congestion) ...
    sure_unexplained: float = 0.30
    # ... and by more than high levels wander (bench: living_high, by 0.04 and 0.06).
    sure_growth: float = 0.08
    # What is at its limit is filled by its load where the present load would use this share of it, at the use per
    # request of hours in which it was not full; where no load is known, until it has been full for so many times the
    # longest time from which it came back before (core/detection/filled.py).
    filled_share: float = 0.65
    filled_longer: float = 2.0
    # ... or it has been Leaking for so long, s, and is still shown, at this level, to which no burst of the bench rises
    # that is reported as a leak; at 0.92 one of them is acted on. Most that are acted on by this accelerate.
    stays_for: float = 300.0
    stays_level: float = 0.94
    # The best estimate is within the policy's time; or, above this level, the low one is; or, above this level, any.
    exhausting_hasty: float = 0.90
    exhausting_any: float = 0.95
    # ... which of a heap is this: stacks, the runtime and what C code holds are memory of the container as well. Go's guide
    # to its collector leaves 5 to 10 % for them (go.dev/doc/gc-guide). A heap that climbs for days is hours from its limit
    # by its own line when the container has none left.
    exhausting_heap: float = 0.88


def tuned() -> Gates:
    """The thresholds in use: those that `make tune` has set, the others as they are here."""
    values: dict[str, Any] = dict(TUNED)
    return Gates(**values)
