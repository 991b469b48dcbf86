"""The questions about growth that decide whether it is a leak, each for many windows at once.

Every question is one property with one docstring: the question, the shapes that it separates, and the mistakes that
appear where its threshold is halved or doubled. core/detection/verdict.py joins the answers; the thresholds are in
core/detection/thresholds.py. Levels and growth are shares of the limit, slopes are per bucket.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from leakwarden.core.detection.exhaustion import exhaustion
from leakwarden.core.detection.past import FOLD, NEARLY
from leakwarden.core.detection.rollups import WIDTHS, Bools
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.trend import ResidualTrend, Trend
from leakwarden.core.model.readings import Floats

_HOURS_OF_DAYS = 5  # the place of the width whose window is four days, a quarter of it each


@dataclass(frozen=True, slots=True)
class WindowContext:
    """The facts about each window apart from its trend; shares of the limit."""

    rated: Bools  # the load is known
    apart: Bools  # the load is not known, but siblings are
    history: Bools  # the workload has been seen for over a day
    daily: Bools  # there is a day of history, and the level is higher than a day before
    memory: Bools  # memory without GC counts, or whose GC has not run
    collected: Bools  # memory with GC counts
    backed: Bools  # the next wider window shows the same
    lasting: Bools  # the climb is longer than the window can see
    past: Bools  # the limit is a multiple of the past, and nothing fails at it
    far: Floats  # ... and the level that growth must reach in a young workload unless it comes from its process's birth
    life: Floats  # seconds since the first reading of the process
    exhausted: Bools  # a process of this workload was Exhausting before
    actual: Floats  # the latest ceiling
    known: Floats  # the highest level that the workload came down from by itself
    fall: Floats  # ... and how deep it fell
    wobble: Floats  # the deepest fall at this width
    quantum: Floats  # the least change
    held: Bools  # see `held` in core/detection/held.py
    ones: Bools  # it has changed by one at the least: it is counted, as connections are
    waits: Bools  # the load has risen as the level has, in this window or in the next wider one
    ahead: (
        Floats  # of the line of its latest minutes: time to the limit over the time seen; infinite where there is none
    )

    def pick(self, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> WindowContext:
        return WindowContext(*(getattr(self, of.name)[rows] for of in fields(self)))


@dataclass(frozen=True)
class WindowQuestions:
    """`left` is the part of `raw` that load (or siblings) does not explain, and `raw` itself where neither is known."""

    gates: Gates
    width_index: int
    raw: Trend
    left: ResidualTrend
    beside: WindowContext

    # --- of the line itself ---------------------------------------------------------------------------------------

    @cached_property
    def growth(self) -> Floats:
        return self.raw.slope * self.raw.span

    @cached_property
    def is_clear(self) -> Bools:
        """Is growth clearly larger than the noise around its line and than the falls that floors of this width have
        shown, with enough readings? Little growth near the limit is easily noise, so there the line must be straighter.

        Separates leaks from random walks (noisy) and from high levels that wander (living_high). At half, walks are
        reported; at double, leaks near the limit and leaks in bursts of errors are missed."""
        gates, raw, growth, beside = self.gates, self.raw, self.growth, self.beside
        clear = (raw.n >= gates.readings[self.width_index]) & (raw.slope_low > 0)
        clear &= growth > gates.clear_of_noise[self.width_index] * raw.noise
        straight = np.where(beside.backed, gates.clear_backed, gates.clear_of_noise_little[self.width_index])
        clear &= (growth > gates.little) | (growth > straight * raw.noise)
        return clear & (growth > gates.clear_quanta * beside.quantum) & (growth > gates.beyond_wobble * beside.wobble)

    @cached_property
    def is_steady(self) -> Bools:
        """Does the level climb in every quarter of the window, without falling and without standing still?

        Separates leaks from steps, from mornings, and from high-water marks, which stand still between two records
        (small pools do so because they count in large steps). At half, steps and marks are reported; at double, leaks
        that come with the day's traffic are missed."""
        gates, raw = self.gates, self.raw
        steady = (raw.step > gates.least_quarter) | (raw.slope_low > gates.narrow * raw.slope)
        steady &= raw.drawdown < gates.gives_back
        steady &= (raw.still < gates.stands_still) | (self.beside.quantum > gates.coarse)
        return steady | self.is_day_over_day

    @cached_property
    def goes_on(self) -> Bools:
        """Is growth as fast at the window's end as before, and is the level on its line?

        Separates leaks from warm-ups, caches and pools that fill, and from bursts that hold: where the line runs above
        the readings, growth is over. At half, plateaus are reported while they form; at double, leaks whose readings
        are noisy are missed."""
        gates, raw = self.gates, self.raw
        ahead = raw.floor - self.beside.actual < gates.left_behind * self.growth
        return (raw.late > gates.not_slowing) & ahead & (raw.behind < gates.left_behind)

    @cached_property
    def climbs_at_its_end(self) -> Bools:
        """Are the latest minutes one steep line after a quiet time, which would reach the limit within as much time as it
        was seen? It has the shape of a leak, as a whole window that climbs has."""
        return self.beside.ahead <= self.gates.reach

    @cached_property
    def is_surge(self) -> Bools:
        """Is most of the way to the limit done on the line of the latest minutes?

        A leak of minutes is over before it fills a window. Bursts and slow dependencies of the bench climb as fast, and stop
        before. At half of `surge_reach`, leaks of a quarter of an hour are told too late; at double, first bursts are
        reported."""
        return self.beside.ahead <= self.gates.surge_reach

    # --- of what explains it --------------------------------------------------------------------------------------

    @cached_property
    def is_unexplained(self) -> Bools:
        """Is at least half of the growth left without the part that load (or siblings) explains, and does it go on?

        The other pods' mean is a poorer measure of load than the load itself, so there a larger part must be sure."""
        gates, raw, left = self.gates, self.raw, self.left
        unexplained = (left.slope_low > gates.left_sure * raw.slope) & (left.slope > gates.left_half * raw.slope)
        unexplained &= left.late > 0.5 * gates.not_slowing
        return unexplained & (self.beside.rated | (left.slope_low > gates.left_half * raw.slope))

    @cached_property
    def follows_load(self) -> Bools:
        """Is the load known, and does it explain the growth? That is a veto. Siblings are no veto: they may leak too.

        Close to the limit half an explanation is not enough: a leak that comes with the traffic is half explained by
        it. A small pool is at its maximum on every busy morning, so there half an explanation stays a veto."""
        gates, raw, left = self.gates, self.raw, self.left
        solid = self.level - gates.fleeting * self.transient
        half = (solid > gates.level_unexplained[2]) & (left.slope > gates.left_near * raw.slope)
        last = (solid > gates.level_unvetoed) & (left.slope > gates.left_sure * raw.slope)
        nearly = (half | last) & (self.beside.quantum <= gates.coarse) & ~self.beside.past
        return self.beside.rated & ~self.is_unexplained & ~nearly

    @cached_property
    def is_trusted(self) -> Bools:
        """Is the growth known not to be a morning, by the load, the siblings, or a day of history?"""
        beside = self.beside
        short = self.width_index <= 1
        known = (beside.apart & self.is_unexplained) | (beside.history & (short | beside.daily))
        return np.where(beside.rated, self.is_unexplained, known)

    @cached_property
    def is_shared(self) -> Bools:
        """Do the siblings grow too, with no load known? Then a morning or a peer may be the cause in all pods."""
        return self.beside.apart & ~self.beside.rated & ~self.is_unexplained

    # --- of how near the limit is ---------------------------------------------------------------------------------

    @cached_property
    def seconds(self) -> tuple[Floats, Floats, Floats]:
        """To exhaustion: best, low and high estimate."""
        return exhaustion(self.raw, WIDTHS[self.width_index])

    @cached_property
    def _is_filling(self) -> Bools:
        """Is it memory that may be filling up to a soft limit, with no garbage collections visible?

        Where garbage is visible, the floor is the live memory, and there is no soft limit above it. The distance from
        floor to ceiling of a long bucket is the climb itself where it is hardly more than one bucket's growth; few
        floors cannot separate the two."""
        gates, raw, beside = self.gates, self.raw, self.beside
        seen = gates.garbage_seen * raw.level + raw.slope
        filling = beside.memory & (raw.garbage < seen) & (beside.collected | (raw.sawtooth_height < seen))
        if self.width_index >= 2:
            bare = raw.garbage - raw.slope < gates.bare
            filling |= beside.memory & ~beside.collected & bare & (raw.n < gates.coarse_readings)
        return filling

    @cached_property
    def level(self) -> Floats:
        """The ceiling, which reaches the limit first. A level that fills up to a bound is as high as its readings, not
        as its line; only between two collections the line is better. Memory whose garbage is collected is exhausted
        when a peak reaches the limit, and between two peaks it is not farther from it."""
        raw, beside = self.raw, self.beside
        level = np.where(beside.collected & ~beside.memory, raw.level, np.minimum(raw.level, beside.actual))
        peaks = np.minimum(raw.floor, beside.actual) + raw.sawtooth_height
        return np.where((beside.memory | beside.collected) & ~self._is_filling, np.maximum(level, peaks), level)

    @cached_property
    def transient(self) -> Floats:
        """The part of the ceiling that comes and goes within a bucket: a busy pool touches its maximum and is idle a
        second later. Zero where floors have climbed without ever falling, or where connections are held."""
        gates, raw = self.gates, self.raw
        firm = (raw.n >= gates.firm_readings) & (raw.drawdown < gates.firm_drawdown)
        firm &= (self.growth > gates.firm_growth) & (self.growth > gates.firm_clear * raw.noise)
        above = np.maximum(self.level - raw.floor, raw.garbage - raw.slope) - gates.transient_allowed
        return np.where(firm | self.beside.held, 0.0, np.maximum(above, 0.0))

    @cached_property
    def height(self) -> Floats:
        """The level that counts. Memory reaches its limit with its garbage; of any other signal without a known load,
        the transient part counts for a quarter."""
        whole = self.beside.memory | self.beside.collected | self.beside.rated
        return np.where(whole, self.level, self.level - self.gates.fleeting * self.transient)

    @cached_property
    def _needed(self) -> Floats:
        """The least height at which a window counts: bursts and slow dependencies look like leaks in short windows, and
        mornings do in windows without a known load, unless the growth is too fast for a morning."""
        gates, k, beside = self.gates, self.width_index, self.beside
        hasty = gates.level_unexplained[k]
        soon = (1 - self.height) * WIDTHS[k] <= gates.imminent * self.raw.slope
        alone = np.where(soon, min(gates.level_imminent, hasty), hasty)
        alone = np.where(beside.collected, gates.level_collected, alone)
        trusted = np.where(beside.backed & (k == 0), gates.level_backed, gates.level[k])
        trusted = trusted + np.where(beside.rated | (beside.apart & self.is_unexplained), 0.0, gates.level_history)
        needed = np.where(self.is_trusted, trusted, alone)
        needed = np.where(beside.held, np.minimum(needed, gates.level_held[k]), needed)
        # Without a limit, growth beyond a known load: nothing fails at four times the usual level, nor before.
        beyond_load = beside.past & beside.rated & self.is_unexplained & ~self.is_young
        needed = np.where(beyond_load, np.minimum(needed, gates.level_past), needed)
        return np.where(self._is_filling, np.maximum(needed, gates.level_memory), needed)

    @cached_property
    def is_straight_line(self) -> Bools:
        """Is it a straight line without any influence of the load? It counts from farther away: reported, not acted on.

        Separates leaks from saturating growth, whose end is slower after a third of its time constant. A cache that
        fills in a straight line is not slower at its end, so the level must be high, and memory is left out; unless a
        process of the workload was Exhausting before, or the line has lasted for days (`is_days_long`)."""
        gates, raw, left, beside = self.gates, self.raw, self.left, self.beside
        known = beside.rated | beside.apart | beside.exhausted
        if self.width_index == _HOURS_OF_DAYS:
            known = known | beside.daily
        straight = known & (raw.n >= gates.early_readings)
        straight &= (left.slope_low > gates.early_unexplained * raw.slope) & (raw.drawdown < gates.early_drawdown)
        straight &= (raw.slope_low > gates.early_narrow * raw.slope) & (raw.step > gates.early_quarter)
        straight &= self.growth > gates.early_clear[self.width_index] * raw.noise
        straight &= (raw.late > gates.early_late) & (left.late > gates.early_late - 0.1)
        straight &= self.seconds[0] <= raw.span * WIDTHS[self.width_index] * gates.early_reach
        return straight & (~(beside.memory | beside.collected) | beside.exhausted | self.is_days_long)

    @cached_property
    def is_days_long(self) -> Bools:
        """Is it a window of days, of something that was in use before it began to grow?

        Caches and pools that fill within a day and a half are full before a window of days shows a straight line. A store
        that fills for days begins empty with its process, and a leak adds to what is in use: the line is extended back to
        the first reading of the process. Memory of unknown use (without GC counts) is left out. At half of `early_begun`,
        stores are reported; at double, leaks beside a small use are not."""
        gates, beside = self.gates, self.beside
        if self.width_index < _HOURS_OF_DAYS:
            return np.zeros(len(self.growth), np.bool_)
        began = self.raw.floor - self.raw.slope * beside.life / WIDTHS[self.width_index]
        return np.asarray(~beside.memory & (began > gates.early_begun))

    @cached_property
    def is_within_reach(self) -> Bools:
        """Would the limit be reached within as much time as growth was seen? The line is not extended further, so that
        saturating growth has slowed down visibly before it could count."""
        window = self.raw.span * WIDTHS[self.width_index] * self.gates.reach
        near: Bools = self.seconds[0] <= window
        return near | self.is_straight_line | self.is_day_over_day

    @cached_property
    def is_high(self) -> Bools:
        """Is it high enough for this width, and for the explanations that are known?"""
        early = np.where(self.beside.exhausted, self.gates.early_exhausted, self.gates.early_level)
        early = np.where(self.is_days_long, np.minimum(early, self.gates.early_days), early)
        high = (self.height >= self._needed) | (self.is_straight_line & (self.height >= early))
        return high | self.is_since_birth | self.is_day_over_day | self.is_surge

    @cached_property
    def is_novel(self) -> Bools:
        """Is it above the highest level that the workload came down from by itself, by a share of the depth of that
        fall? The line may run above the readings; only readings count as novel, not the end of a line."""
        gates, beside = self.gates, self.beside
        margin = np.minimum(gates.beyond_fall * beside.fall, gates.beyond_rest * (1 - beside.known))
        novel = np.minimum(self.raw.floor, beside.actual) > beside.known + margin
        return np.asarray(novel | self.is_day_over_day)

    @cached_property
    def has_not_given_back(self) -> Bools:
        """For one-minute buckets: has no pod of the workload fallen by as much within minutes before? It may fall
        again; memory does so with each collection."""
        beside = self.beside
        if self.width_index != 0:
            return np.ones(len(self.growth), np.bool_)
        never = beside.wobble < self.gates.gave_back
        return beside.backed | beside.lasting | beside.memory | beside.collected | never

    @cached_property
    def has_enough_values(self) -> Bools:
        """For hours of a small pool: are there enough floors to separate its line from the load's, or are its
        connections held, or is most of the growth not explained by the load?"""
        gates, raw = self.gates, self.raw
        few = (self.beside.quantum > gates.coarse) & (raw.n < gates.coarse_readings)
        if self.width_index < 2:
            return np.ones(len(few), np.bool_)
        return ~few | self.beside.held | (self.left.slope_low > gates.coarse_unexplained * raw.slope)

    @cached_property
    def is_young(self) -> Bools:
        """Without a limit, has the workload no usual level of a whole day yet, in which it did not rise?"""
        return self.beside.past & (self.beside.far > NEARLY)

    @cached_property
    def is_since_birth(self) -> Bools:
        """Has it been one straight line for the whole life of the process, for long enough?

        A leak in a loop begins with its process, so that no healthy past is known: the usual level, a quarter of the
        limit, is the one at birth. From there to the present the growth must have been as fast as it is now, while a
        batch begins later and a cache slows down. Where the load is known, growth that it does not explain must have
        lasted longer than a cache fills; else longer than a morning climbs in a straight line, unless the line is as
        straight as no traffic is. At half, mornings and caches that fill are reported; at double, a leak has grown
        fivefold before."""
        gates, raw, beside = self.gates, self.raw, self.beside
        lasted = raw.span * WIDTHS[self.width_index]
        steady_pace = (
            raw.slope / WIDTHS[self.width_index] * beside.life
        )  # what the life would have brought at this pace
        brought = np.maximum(raw.floor - 1 / FOLD, 1e-9)
        even = (steady_pace < gates.birth_even * brought) & (steady_pace * gates.birth_even > brought)
        clear = self.growth / np.maximum(raw.noise, 1e-12)
        exact = beside.rated | (clear > gates.birth_exact)
        long = lasted >= np.where(exact, gates.birth_rated, gates.birth_unrated)
        straight = (clear > gates.birth_clear) & (raw.step > gates.birth_quarter) & (raw.late > gates.birth_late)
        straight &= raw.late < 2 - gates.birth_late
        straight &= ~beside.rated | (self.left.slope > gates.birth_left * raw.slope)
        straight &= self.height >= np.where(beside.rated, gates.birth_level, gates.level_imminent)
        return np.asarray(self.is_young & even & long & straight)

    @cached_property
    def is_day_over_day(self) -> Bools:
        """Without a limit, has each hour of the latest days been higher than the same hour a day before, to a multiple of
        the usual level, and does the load not explain it?

        A leak of some days lies under the daily swing of its traffic: it falls each night, from a level that it came
        down from the day before too, and a multiple that no day reaches is reached when it is over. Three days that are
        higher at every hour, each by as much as the others, are no weekend that ends and no traffic that grows. Not
        asked of memory, where caches fill for days. At half, growing traffic is reported; at double, the leak is over
        before."""
        gates, raw, beside, left = self.gates, self.raw, self.beside, self.left
        if self.width_index != _HOURS_OF_DAYS:
            return np.zeros(len(self.growth), np.bool_)
        higher = beside.past & beside.daily & ~beside.memory & ~beside.collected & (raw.n >= gates.days_readings)
        higher &= (raw.step > gates.days_quarter) & (raw.late > gates.not_slowing)
        higher &= self.growth > gates.days_growth * np.maximum(raw.start, 0.0)
        higher &= ~beside.rated | (left.slope > gates.left_half * raw.slope)
        return np.asarray(higher & (beside.actual >= gates.days_level))

    @cached_property
    def is_beyond_its_first_day(self) -> Bools:
        """Without a limit, in a workload younger than a day: has it grown since its birth, or by more than young
        workloads do and for longer than a job takes?

        The first nightly batch of a service has never been seen before, and may be ten times its usual level. No
        resource is exhausted there, so waiting costs little. After a day the batch is part of the past. At half, an
        import of an hour is reported; at double, leaks of an evening are not."""
        gates, beside = self.gates, self.beside
        lasted = self.raw.span * WIDTHS[self.width_index]
        much = beside.actual >= beside.far
        much &= (lasted >= gates.job) | (beside.actual >= gates.job_exceeded * beside.far)
        # What comes to all pods at once, in a day of which none is known, may be the first event of its kind.
        much &= ~self.is_shared | (lasted >= gates.birth_unrated)
        return np.asarray(~self.is_young | self.is_since_birth | self.is_day_over_day | self.is_apart_for_hours | much)

    @cached_property
    def is_apart_for_hours(self) -> Bools:
        """Without a limit, has it grown for hours, clearly, while the siblings have not?

        No load and no morning does that, and a job of one pod is over sooner. Not asked where the load is known: users
        that stay for hours come with it, and are not explained by it; nor of memory, where caches fill. At half, the jobs
        of one pod are reported; at double, leaks are that have grown fivefold."""
        gates, raw, beside = self.gates, self.raw, self.beside
        lasted = raw.span * WIDTHS[self.width_index]
        clear = self.growth > gates.birth_clear * raw.noise
        alone = beside.apart & ~beside.rated & self.is_unexplained
        return np.asarray(~beside.memory & ~beside.collected & alone & clear & (lasted >= gates.job_longest))

    @cached_property
    def is_not_queued(self) -> Bools:
        """Has the load not risen by as much as the level, as it does where requests queue and their latency is known?"""
        return ~self.beside.waits

    @cached_property
    def is_its_own(self) -> Bools:
        """Is it not shared by all pods as a morning would be, or a clean line, or about to be exhausted?"""
        gates = self.gates
        clean = self.growth > gates.shared_clear * self.raw.noise
        return ~self.is_shared | clean | (self.beside.actual > gates.shared_level) | self.is_surge

    # --- enough to act on -----------------------------------------------------------------------------------------

    @cached_property
    def is_no_rush(self) -> Bools:
        """For minutes and an hour of a small pool: no. It may act on hours only.

        A few slow queries fill a pool within the hour, in all pods at once, and its connections are counted in too
        large steps to show a spread (core/detection/in_flight.py). At half of `coarse`, pools of 400 connections are
        asked too; at double, those of 120 are not."""
        if self.width_index >= 2:
            return np.ones(len(self.growth), np.bool_)
        return ~self.beside.ones | (self.beside.quantum <= self.gates.coarse)

    @cached_property
    def is_sure(self) -> Bools:
        """Is it clean and high enough to act on, once it is a leak?

        An hour of two bursts, or of a queue that grows with the load, is up to 18 times its noise; above some levels
        any line will do. Minutes that no wider window shows must be higher than a burst, or have nearly reached the limit
        in a workload that has been known for a day: its first burst comes earlier."""
        gates, k, raw, left, beside = self.gates, self.width_index, self.raw, self.left, self.beside
        known = self.is_trusted & (beside.rated | (k <= 1))
        sure = known | (self.growth > gates.sure_clear * raw.noise)
        if k == 0:
            high = (beside.known < gates.sure_known) & (self.height >= gates.sure_level)
            sure &= beside.backed | beside.lasting | high
        sure &= ~(self.is_shared & beside.collected) | (beside.actual > gates.shared_level)
        sure &= (self.height >= gates.sure_any[k]) | (self.growth > gates.sure_line[k] * raw.noise)
        nearly_full = self.height >= gates.level_unvetoed
        owed = nearly_full & (beside.quantum <= gates.coarse)
        sure &= ~beside.rated | (left.slope_low > gates.sure_unexplained * raw.slope) | owed
        sure &= nearly_full | (self.growth > gates.sure_growth)
        return sure | (beside.history & (beside.ahead <= gates.surge_sure))

    @cached_property
    def is_suspect(self) -> Bools:
        """Has it the shape of a leak, and would it reach the limit within a few windows?"""
        gates, raw = self.gates, self.raw
        shape = self.is_clear & self.is_steady & self.goes_on & ~self.follows_load
        within = self.seconds[0] <= raw.span * WIDTHS[self.width_index] * gates.suspect_reach
        shape &= within & (raw.level >= gates.suspect_level)
        return np.asarray((shape | self.is_surge) & self.is_beyond_its_first_day)
