"""The suspects that can explain a leak: a line that gains one thing a minute does not explain fifty a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leakwarden.core.profile.evidence import Findings, Suspect
from leakwarden.core.signals.catalogue import CATALOGUE
from leakwarden.core.watch.judging import TrackJudgement

# Share of a signal's growth. A leaked request keeps a descriptor and two or three goroutines, so a cause accounts for a
# third of the signal that counts most of them; idle connections of a client that is well used accounted for a
# seventieth.
LEAST_SHARE = 0.1


def accountable(findings: Findings, leaks: Sequence[TrackJudgement]) -> Findings:
    """The findings, without suspects whose growth is too small for every signal that leaks. A suspect whose growth was
    not measured stays, and so do all where only memory leaks: bytes cannot be compared with goroutines."""
    least = _least_growth(leaks)
    return replace(findings, suspects=tuple(s for s in findings.suspects if _may_be(s, least)))


def _least_growth(leaks: Sequence[TrackJudgement]) -> float:
    """Things per second that a suspect must gain; 0 where no minimum can be set."""
    found = [
        one.judgement.growth_per_hour.low / 3600
        for one in leaks
        if one.judgement.growth_per_hour is not None and CATALOGUE[one.track.key.kind].unit != "bytes"
    ]
    return LEAST_SHARE * min(found) if found else 0.0


def _may_be(suspect: Suspect, least: float) -> bool:
    return suspect.growth_per_s is None or suspect.growth_per_s >= least
