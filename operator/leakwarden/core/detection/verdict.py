"""The result of all answers to the questions (core/detection/questions.py), and the question that was answered no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from leakwarden.core.detection.past import NEARLY
from leakwarden.core.detection.questions import WindowContext, WindowQuestions
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.detection.rollups import WIDTHS, Bools, Ints
from leakwarden.core.detection.surge import Surge
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.trend import ResidualTrend, Trend, Z
from leakwarden.core.model.readings import Floats

_Answer = Callable[[WindowQuestions], Bools]

# All answers must be yes for a window to have the shape of a leak. The first no is the reason why a window that grows
# clearly is Healthy; None: it is no reason by itself, since such a window is Suspect or not clear enough.
SHAPE: Sequence[tuple[VerdictReason | None, _Answer]] = (
    (VerdictReason.Steady, lambda asked: asked.is_clear | asked.climbs_at_its_end),
    (VerdictReason.FollowsLoad, lambda asked: ~asked.follows_load | asked.climbs_at_its_end),
    (VerdictReason.SlowsDown, lambda asked: asked.goes_on | asked.climbs_at_its_end),
    (None, lambda asked: asked.is_steady | asked.climbs_at_its_end),
    (None, lambda asked: asked.is_within_reach | asked.climbs_at_its_end),
)
# ... and all of these must be yes for the leak to count.
BELIEVED: Sequence[tuple[VerdictReason | None, _Answer]] = (
    (VerdictReason.WithinKnownRange, lambda asked: asked.is_novel),
    (None, lambda asked: asked.is_high),
    (VerdictReason.WithinKnownRange, lambda asked: asked.has_not_given_back),
    (VerdictReason.InFlight, lambda asked: asked.is_not_queued),
    (VerdictReason.FollowsLoad, lambda asked: asked.has_enough_values),
    (VerdictReason.FollowsLoad, lambda asked: asked.is_its_own),
    (None, lambda asked: asked.is_beyond_its_first_day),
)


@dataclass(frozen=True, slots=True)
class Passed:
    """The result of one width of bucket for each window."""

    leak: Bools  # has the shape of a leak that nothing explains
    near: Bools  # close enough to the limit, and above the levels that it came down from before
    sure: Bools  # enough to act on, once it is a leak
    suspect: Bools
    reason: Ints  # of the Healthy verdict that this window would give
    seconds: Floats  # to exhaustion: best estimate; inf where it does not grow
    seconds_low: Floats
    seconds_high: Floats
    slope_low: Floats  # share of the limit per bucket
    slope_high: Floats

    def adopt(self, other: Passed, rows: Ints, which: Bools) -> None:
        """Take over the results of `which` of the windows of `other`; `rows`: the place of each of them among these."""
        for of in fields(self):
            getattr(self, of.name)[rows[which]] = getattr(other, of.name)[which]

    def follow(self, latest: Surge, rows: Ints) -> None:
        """Take the growth and the times of these windows from the line of their latest minutes."""
        self.seconds[rows] = latest.left[rows] * WIDTHS[0]
        for seconds, by in ((self.seconds_low, latest.slope_high), (self.seconds_high, latest.slope_low)):
            seconds[rows] = latest.room[rows] / by[rows] * WIDTHS[0]
        self.slope_low[rows], self.slope_high[rows] = latest.slope_low[rows], latest.slope_high[rows]


def judge_windows(gates: Gates, width_index: int, raw: Trend, left: ResidualTrend, beside: WindowContext) -> Passed:
    """`left` is the part of `raw` that load (or siblings) does not explain, and `raw` itself where neither is known."""
    asked = WindowQuestions(gates, width_index, raw, left, beside)
    every = np.ones(len(raw.slope), np.bool_)
    leak, near = every.copy(), every.copy()
    reason = np.full(len(every), int(VerdictReason.Steady))
    for questions, all_yes in ((BELIEVED, near), (SHAPE, leak)):
        for why, answer in reversed(questions):
            yes = answer(asked)
            all_yes &= yes
            if why is not None:  # without clear growth there is nothing to explain
                reason = np.where(asked.is_clear & ~yes, int(why), reason)
    best, low, high = asked.seconds
    return Passed(
        leak, near, asked.is_sure & asked.is_no_rush, suspect=asked.is_suspect.copy(), reason=reason, seconds=best.copy(), seconds_low=low.copy(), seconds_high=high.copy(), slope_low=raw.slope_low.copy(),
        slope_high=raw.slope_high.copy(),
    )  # fmt: skip


def hidden_by_load(gates: Gates, width_index: int, raw: Trend, passed: Passed, beside: WindowContext) -> Bools:
    """Windows in which the load's own ups and downs may hide a leak. Not for memory, whose garbage follows the load
    in another way; nor in the first day of what has no limit, where the load must explain little."""
    told = (passed.leak & passed.near) | (beside.past & (beside.far > NEARLY))
    may = beside.rated & ~beside.memory & ~beside.collected & ~told & (raw.level >= gates.level_backed)
    return may & (width_index in gates.cleared)


def judge_without_load(
    gates: Gates, width_index: int, clean: Trend, *, still: Floats, part: Floats, unsure: Floats, beside: WindowContext
) -> tuple[Passed, Bools]:
    """The same for `clean`, the trend of the unexplained growth, and the windows in which it shows a leak. `still`: of
    the raw trend. `part`: (rows, 24) the part that the load explains, whose slope has the error `unsure`."""
    # Without its load a high-water mark no longer stands still, so the raw trend decides.
    clean = replace(clean, slope_low=clean.slope_low - Z * unsure, still=still)
    # A fall with the load does not count as coming down.
    shown = judge_windows(
        gates, width_index, clean, ResidualTrend.of(clean), replace(beside, wobble=np.zeros(len(part)))
    )
    narrow = clean.slope_low > gates.cleared_narrow * clean.slope
    # No second chance where the load has hardly changed.
    moved = np.nanmax(part, axis=1) - np.nanmin(part, axis=1) > gates.cleared_part * clean.slope * clean.span
    return shown, shown.leak & shown.near & narrow & moved
