"""The detector's findings, by query *and* by standard.

Two signals of one policy may read the same query and have different standards: other thresholds, which are the limit of
growth where there is no other, and other times to exhaustion. One finding for both would judge the second by the first
one's standard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from leakwarden.core.detection.columns import Codes
from leakwarden.core.detection.filled import Filled
from leakwarden.core.detection.growth import GrowthFinding
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.detection.rollups import Ints
from leakwarden.core.model.judgement import Interval, Verdict
from leakwarden.core.model.readings import Floats, SeriesKey
from leakwarden.core.signals.criteria import Standard

# By answer key, pod UID and container.
Findings = Mapping[tuple[str, str, str], GrowthFinding]
# The standard for an answer, by its key and the workload's name with namespace.
Standards = Mapping[tuple[str, str], Standard]
# The most standards of one query that are judged for a Deployment: each costs the detector as much as a signal.
MOST_STANDARDS = 8


_NO_ROWS = np.zeros(0, np.int64)
_REASONS = {int(reason): reason.name for reason in VerdictReason}


@dataclass(frozen=True, slots=True)
class Ranges:
    """Estimates with their ends, in one unit; not finite at the low end where there is none."""

    low: Floats
    high: Floats

    def of(self, row: int) -> Interval | None:
        low = float(self.low[row])
        return Interval(low, float(self.high[row])) if np.isfinite(low) else None


class RowFindings(Mapping[tuple[str, str, str], GrowthFinding]):
    """The findings of many rows, each made on request: for most pods only the verdict is read."""

    def __init__(
        self,
        rows: Mapping[tuple[str, str, str], int],
        names: Sequence[Verdict],
        verdicts: Sequence[int] | Ints,
        reasons: Ints,
        *,
        growth: Ranges,
        left: Ranges,
        limits: Floats,
        weighed: Mapping[int, str],
        resident: Floats | None = None,
        filled: Sequence[int] | Codes = (),
        placed: Mapping[str, tuple[Sequence[SeriesKey], Ints]] | None = None,
    ) -> None:
        """`rows` by the findings' keys; `verdicts` as places in `names`. `growth` in the signal's unit per hour, `left`
        in seconds, `limits` in the signal's unit with NaN for none; `weighed`: the strongest reasons, of some rows;
        `resident`: the part of the newest reading that cannot be reclaimed, NaN where it is not known. `filled`:
        why a level at its limit is not taken for a leak, as codes of `Filled`; empty where it was not asked. `placed`: by
        answer key, the names of the series that were read last and their rows."""
        self._rows, self._names, self._verdicts, self._reasons = rows, names, verdicts, reasons
        self._codes: Ints | None = None
        self._growth, self._left, self._limits, self._weighed = growth, left, limits, weighed
        self._resident, self._filled = resident, filled
        self._placed = placed or {}

    def verdicts_of(self, key: str, names: Sequence[SeriesKey]) -> Ints | None:
        """The verdicts of all series of an answer, as places in the order of `Verdict`; None where these are not the
        series that were read last."""
        known, rows = self._placed.get(key, ((), _NO_ROWS))
        if not len(rows) or not (known is names or known == names):
            return None
        if self._codes is None:
            self._codes = np.asarray(self._verdicts)
        return self._codes[rows]

    def limits_of(self, key: str) -> Floats:
        """The limits that the growth of these series is judged against, in the signal's unit, NaN where there is none; in
        the order of `verdicts_of`."""
        return self._limits[self._placed[key][1]]

    def verdict(self, key: tuple[str, str, str]) -> Verdict | None:
        """The finding's verdict alone."""
        row = self._rows.get(key)
        return None if row is None else self._names[self._verdicts[row]]

    def __getitem__(self, key: tuple[str, str, str]) -> GrowthFinding:
        row = self._rows[key]
        limit = float(self._limits[row])
        resident = float("nan") if self._resident is None else float(self._resident[row])
        return GrowthFinding(
            self._names[self._verdicts[row]],
            _REASONS[int(self._reasons[row])],
            self._growth.of(row),
            left=self._left.of(row),
            limit=None if limit != limit else limit,
            because=self._weighed.get(row, ""),
            filled=Filled(int(self._filled[row])) if len(self._filled) else Filled.NO,
            resident=None if resident != resident else resident,
        )

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(frozen=True, slots=True)
class GrowthFindings:
    """The findings for each round of standards. In a round each query has one standard per Deployment."""

    rounds: tuple[tuple[Standards, Findings], ...] = ()
    everywhere: Findings = field(default_factory=dict)  # findings for all standards; of tests and recordings

    def of(self, key: str, workload: str, standard: Standard) -> Findings:
        """The findings for the query's readings of a Deployment by this standard; empty where it was not judged."""
        for standards, found in self.rounds:
            asked = standards.get((key, workload))
            if asked is standard or (asked is not None and asked.of_growth == standard.of_growth):
                return found
        return self.everywhere


def rounds_of(asked: Iterable[tuple[str, str, Standard]]) -> list[dict[tuple[str, str], Standard]]:
    """The different standards of each query and Deployment, spread over as few rounds as they need. `asked`: answer keys,
    workloads' names with namespace and standards, the most important first. At least one round."""
    rounds: list[dict[tuple[str, str], Standard]] = [{}]
    for key, workload, standard in asked:
        for each in rounds:
            held = each.setdefault((key, workload), standard)
            if held is standard or held.of_growth == standard.of_growth:
                break
        else:
            if len(rounds) < MOST_STANDARDS:
                rounds.append({(key, workload): standard})
    return rounds
