"""What the heap profile adds: who obtained what a library's goroutine keeps, and leaks without any goroutine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from leakwarden.core.profile.evidence import CallSite, Confidence, Suspect
from leakwarden.core.profile.ownership import Ownership
from leakwarden.core.profile.pprof import Frame, Profile
from leakwarden.core.profile.retention import HeldSite, Through, by_calls, by_library, obtained, since, sites
from leakwarden.core.profile.shapes import FILE, KEPT, ROWS, TICKER, TX, Shape
from leakwarden.core.profile.stacks import groups, innermost

# One allocation that happened to be sampled says little: any line has one at times. Two at one line, out of the
# handful that reach it, are no accident. Few lines open files, so where descriptors are known to grow one is enough.
SEEN, WELL_SEEN, SEEN_FILES = 1.5, 5.0, 0.5
# Of what a line ever obtained, a cache or a pool in use for long keeps little; a leak keeps most of it, though not
# what the call needed only for a moment.
KEPT_PART = 0.3
# One line that holds this much of all that is kept through such calls is the one.
DOMINANT = 0.6

# Which growing signals speak for which shape; all others hold memory.
_SIGNALS = {FILE.name: {"descriptors"}, ROWS.name: {"memory", "connections"}, TX.name: {"memory", "connections"}}

_AWAIT = frozenset({"context.(*cancelCtx).Done"})


class Heap:
    """The heap profiles of one capture, oldest first, may be empty; its goroutines help out where they say nothing."""

    def __init__(self, profiles: Sequence[Profile], ownership: Ownership, goroutines: Sequence[Profile] = ()) -> None:
        self._profiles = profiles
        self._ownership = ownership
        self._goroutines = goroutines

    @cached_property
    def ticking(self) -> frozenset[str]:
        """The team's functions that keep a ticker or timer."""
        return self._functions(TICKER.packages, TICKER.acquires)

    @cached_property
    def awaiting(self) -> frozenset[str]:
        """The team's functions that wait for a context's end."""
        return self._functions(frozenset({"context"}), _AWAIT)

    def _functions(self, packages: frozenset[str], acquires: frozenset[str]) -> frozenset[str]:
        through = by_calls(packages, acquires, self._ownership)
        return frozenset(
            kept.stack[0].function
            for profile in self._profiles
            for kept in obtained(profile, self._ownership, through)
            if kept.in_use > 0
        )

    def sites(self, through: Through) -> list[HeldSite]:
        if not self._profiles:
            return []
        kept = obtained(self._profiles[-1], self._ownership, through)
        if len(self._profiles) > 1:
            kept = since(kept, obtained(self._profiles[0], self._ownership, through))
        return sites(kept)

    def through(self, shape: Shape, shared: bool = False) -> Through:
        """`shared`: what outlives the call that made it counts too; more is seen, and less certainly."""
        return by_calls(shape.packages, shape.acquires, self._ownership, frozenset() if shared else shape.shared)

    def place(self, site: HeldSite) -> CallSite:
        return CallSite.on(site.stack, 0, self._ownership)

    def creator(self, shape: Shape, library: str) -> tuple[CallSite, str, Confidence] | None:
        """Who obtains what goroutines of a library keep, why we think so, and how sure that can be at most."""
        strict = self.sites(self.through(shape) if shape.acquires else by_library(library))
        loose = self.sites(self.through(shape, shared=True)) if shape.shared else []
        for found, surest in ((strict, Confidence.HIGH), (loose, Confidence.MEDIUM)):
            total = sum(site.in_use for site in found)
            if total > 0:
                best = found[0]
                share = best.in_use / total
                reason = (
                    f"{share:.0%} of what is kept through such calls was obtained here ({best.sampled:.0f} samples)"
                )
                certain = best.sampled >= SEEN and share >= DOMINANT
                return self.place(best), reason, surest if certain else Confidence.MEDIUM
        if strict:
            best = max(strict, key=lambda site: site.allocated)
            share = best.allocated / (sum(site.allocated for site in strict) or 1.0)
            reason = f"{share:.0%} of such calls are made here; too little is kept for the heap profile to show"
            return self.place(best), reason, Confidence.MEDIUM if len(strict) == 1 else Confidence.LOW
        return self._caught(shape)

    def _caught(self, shape: Shape) -> tuple[CallSite, str, Confidence] | None:
        """Without a trace in the heap: who was making such a call when the goroutines were looked at."""
        through = self.through(shape, shared=True)
        seen: dict[Frame, list[tuple[int, CallSite]]] = {}
        for profile in self._goroutines:
            for group in groups(profile).values():
                at = innermost(group.stack, self._ownership)
                if at and through(group.stack[:at]):
                    place = CallSite.on(group.stack, at, self._ownership)
                    seen.setdefault(place.frame, []).append((group.count, place))
        if not seen:
            return None
        best = max(seen.values(), key=lambda ones: sum(count for count, _ in ones))
        reason = f"{sum(count for count, _ in best)} goroutines were making such a call here when looked at"
        return best[0][1], reason, Confidence.MEDIUM if len(seen) == 1 else Confidence.LOW


def held_suspects(heap: Heap, seconds: float, growing: frozenset[str]) -> list[Suspect]:
    """Leaks that need no goroutine: files, timers, contexts, rows and transactions that somebody still refers to."""
    found: list[tuple[float, Suspect]] = []
    for shape in KEPT:
        known = not growing.isdisjoint(_SIGNALS.get(shape.name, {"memory"}))
        for shared in (False, True) if shape.shared else (False,):
            here = [
                s
                for site in heap.sites(heap.through(shape, shared))
                if (s := _held(shape, site, heap.place(site), seconds, known))
            ]
            found += [(suspect.count, suspect) for suspect in here]
            if here:
                break
    return [suspect for _, suspect in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _held(shape: Shape, site: HeldSite, place: CallSite, seconds: float, known: bool) -> Suspect | None:
    # A cache that fills looks like this for a while, so growth must be plain, or known from elsewhere.
    plain = site.sampled >= WELL_SEEN and site.gained > 0
    least = SEEN_FILES if shape is FILE else SEEN
    if site.ratio < KEPT_PART or not (plain or (known and site.sampled >= least)):
        return None
    why = [f"{site.ratio:.0%} of what was ever obtained here is still kept ({site.sampled:.0f} samples)"]
    if site.gained > 0:
        why.append(f"{site.gained / 1024:.0f} KiB more within {seconds:.0f}s")
    if known:
        why.append("the signal grows")
    sure = Confidence.MEDIUM if plain and known else Confidence.LOW
    growth = site.gained_objects / seconds if seconds > 0 and site.gained_objects > 0 else None
    return Suspect.at(shape, place, round(site.objects), growth, sure, why, unit="objects")
