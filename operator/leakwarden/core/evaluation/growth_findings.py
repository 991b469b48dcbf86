"""What the detector found, by query *and* by what is asked of it.

Two signals of one policy may read the same query and ask different things of it: other thresholds, which are what growth
runs towards where there is no limit, and other times to exhaustion. One finding for both would judge the second by the
first one's standard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from leakwarden.core.detection.growth import GrowthFinding
from leakwarden.core.signals.criteria import Standard

# By answer key, pod UID and container.
Findings = Mapping[tuple[str, str, str], GrowthFinding]
# What is asked of an answer, by its key and the workload's name with namespace.
Standards = Mapping[tuple[str, str], Standard]
# So many different standards of one query are judged for a Deployment: each costs the detector as much as a signal.
MOST_STANDARDS = 8


@dataclass(frozen=True, slots=True)
class GrowthFindings:
    """For each round of standards what was found by them. In a round each query has one standard a Deployment."""

    rounds: tuple[tuple[Standards, Findings], ...] = ()
    everywhere: Findings = field(default_factory=dict)  # found whatever is asked; of tests and recordings

    def of(self, key: str, workload: str, standard: Standard) -> Findings:
        """What was found for the query's readings of a Deployment by this standard; nothing where it was not judged."""
        for standards, found in self.rounds:
            asked = standards.get((key, workload))
            if asked is not None and asked.of_growth == standard.of_growth:
                return found
        return self.everywhere


def rounds_of(asked: Iterable[tuple[str, str, Standard]]) -> list[dict[tuple[str, str], Standard]]:
    """The different standards of each query and Deployment, spread over as few rounds as they need. `asked`: answer keys,
    workloads' names with namespace and standards, the most important first. At least one round."""
    rounds: list[dict[tuple[str, str], Standard]] = [{}]
    for key, workload, standard in asked:
        for each in rounds:
            held = each.setdefault((key, workload), standard)
            if held.of_growth == standard.of_growth:
                break
        else:
            if len(rounds) < MOST_STANDARDS:
                rounds.append({(key, workload): standard})
    return rounds
