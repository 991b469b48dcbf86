"""Lines that are told where nothing surer is known, each with Low confidence: so that a leak is never passed over in
silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leakwarden.core.profile.catalogue import kind_of_call
from leakwarden.core.profile.evidence import SHOWN, CallSite, Confidence, Suspect
from leakwarden.core.profile.growth import Capture
from leakwarden.core.profile.lines import Line
from leakwarden.core.profile.memory import memory_lines
from leakwarden.core.profile.origins import Origins, at_start
from leakwarden.core.profile.ownership import Ownership
from leakwarden.core.profile.retention import HeldSite
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.standard_shapes import MEMORY

# Lines that are told at most.
TOLD = 3
# A smaller part of the growth of goroutines does not lead to a line that only grew at the same time.
MOST = 0.5


def barely(capture: Capture, origins: Origins, ownership: Ownership) -> list[Suspect]:
    """Where nothing grew beyond noise: lines that keep a little more memory, so that a slow leak is not missed."""
    everything = frozenset({"memory", "descriptors", "connections"})
    lines = memory_lines(capture, origins, ownership, growing=everything, in_requests=lambda _: False, eager=True)
    grown = [
        line.suspect
        for line in lines
        if line.suspect.team and (line.suspect.explains or 0.0) > 0 and not at_start(line.suspect.stack)
    ]
    reason = "no signal is known to grow, and what grew here is hardly more than the profile's own noise"
    return [
        replace(s, confidence=Confidence.LOW, reasons=(*(r for r in s.reasons if "signal grows" not in r), reason))
        for s in sorted(grown, key=lambda s: -(s.explains or 0.0))
    ][:TOLD]


def holders(origins: Origins, ownership: Ownership, growing: frozenset[str]) -> list[Suspect]:
    """Where a signal grows that counts descriptors, connections or goroutines, and no line grew: the lines that keep
    things which have to be ended, then those that keep anything."""
    if not growing - {"memory", "rss"}:
        return []
    kept = [site for site in origins.sites(lambda below: bool(below)) if site.in_use > 0 and not at_start(site.stack)]
    known = {id(site): kind for site in kept if (kind := kind_of_call(site.below)) is not None and not kind.victim}
    best = sorted(kept, key=lambda site: (id(site) not in known, -site.in_use))[:TOLD]
    signals = " and ".join(sorted(growing))
    reason = f"{signals} grow and no line does; of the lines that keep something this one is among the likeliest"
    return [_holder(site, known.get(id(site), MEMORY), ownership, reason) for site in best]


def _holder(site: HeldSite, shape: Shape, ownership: Ownership, reason: str) -> Suspect:
    place = CallSite.on(site.stack, 0, ownership)
    return Suspect(
        shape.name, shape.title, site.frame.function, file=site.frame.file, line=site.frame.line, count=round(site.objects), unit="objects", growth_per_s=None,
        confidence=Confidence.LOW, reasons=(reason,), why=shape.why, fix=shape.fix, stack=site.stack[:SHOWN], callers=place.callers[:SHOWN], docs=shape.docs,
    )  # fmt: skip


def placed(named: Sequence[tuple[Line, Suspect]], memory: Sequence[Suspect]) -> list[tuple[Line, Suspect]]:
    """Goroutines that no line of the team's is known to have started, with the only line of the team's whose memory
    grew in the same time."""
    grown = {(one.function, one.file): one for one in memory if one.team and (one.growth_per_s or 0.0) > 0}
    if len(grown) != 1:
        return list(named)
    (only,) = grown.values()
    return [
        (
            line,
            _at(suspect, only) if not suspect.team and not line.load and (suspect.explains or 0.0) >= MOST else suspect,
        )
        for line, suspect in named
    ]


def _at(suspect: Suspect, only: Suspect) -> Suspect:
    reason = "it is the only line of the team's whose kept memory grew at the same time"
    return replace(
        suspect,
        function=only.function,
        file=only.file,
        line=only.line,
        stack=only.stack,
        callers=only.callers,
        confidence=Confidence.LOW,
        reasons=(*(r for r in suspect.reasons if not r.startswith("no line of the team's")), reason),
        concluded=True,
        team=True,
    )
