"""A capture as it is written into a LeakReport: suspects in few words, bounded, without possible secrets.

Values of pprof labels (they may hold a user's name or path), directories of the machine that built the service, and all
text that the pod sent are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from leakwarden.api.v1alpha1.evidence_status import MAX_SUSPECTS, SHORT_PLACE, SuspectStatus
from leakwarden.core.profile.evidence import Confidence, Findings, Suspect
from leakwarden.core.profile.ownership import package, spelled
from leakwarden.core.signals.catalogue import row_of

# Characters, as status takes them.
EXPLANATION = 1024

_ABSOLUTE = re.compile(r"^(/|[A-Za-z]:[\\/])")


def growing(signal_type: str) -> frozenset[str]:
    """The names that `suspects` may use as known to grow; a policy's own query or alert gives none."""
    row = row_of(signal_type)
    return row.grown if row is not None else frozenset()


def told(suspects: Sequence[Suspect]) -> list[SuspectStatus]:
    """The likeliest suspects, as they are written into status."""
    return [_told(suspect) for suspect in suspects[:MAX_SUSPECTS]]


def _told(suspect: Suspect) -> SuspectStatus:
    why = "; ".join(suspect.reasons)
    # The named line may be a helper with many callers: then the caller is the one to look at.
    callers = ", ".join(
        f"{spelled(f.function)} ({source_file(f.function, f.file).rpartition('/')[2]}:{f.line})"
        for f in suspect.callers[:2]
    )
    called = f" Called by {callers}." if callers else ""
    # A possibility begins with the way to see whether it is one.
    sure = suspect.confidence is not Confidence.LOW
    fix = f" Usual fix: {suspect.fix}" if sure else f" {suspect.fix[:1].upper()}{suspect.fix[1:]}"
    explanation = f"{suspect.headline}.{called} {_sentence(suspect.why)} {_sentence(why)}"
    # Where there is no room for all of it, the repair is worth more than the rest.
    explanation = explanation[: max(0, EXPLANATION - len(fix))] + fix
    return SuspectStatus(
        shape=suspect.shape[:64],
        function=spelled(suspect.function)[:512],
        file=source_file(suspect.function, suspect.file)[:512],
        line=suspect.line,
        count=suspect.count,
        per_second=None if suspect.growth_per_s is None else round(suspect.growth_per_s, 3),
        confidence=suspect.confidence.value,
        explains=None if suspect.explains is None else round(suspect.explains, 3),
        explanation=explanation[:EXPLANATION],
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def short_place(suspects: Sequence[SuspectStatus]) -> str:
    """File and line of the first, without directories, to fit into a column."""
    if not suspects:
        return ""
    first = suspects[0]
    name = (first.file or first.function).rpartition("/")[2]
    place = f"{name}:{first.line}" if first.file and first.line else name
    return place if len(place) <= SHORT_PLACE else f"..{place[2 - SHORT_PLACE :]}"


def summary(found: Findings) -> str:
    """The first suspect in one line, or that nothing grew, with a summary of the profiles."""
    if found.suspects:
        return found.suspects[0].headline[:512]
    return f"nothing grew: {found.looked_at}; {found.unseen}"[:512] if found.looked_at else ""


def source_file(function: str, path: str) -> str:
    """The source file by its import path: `github.com/shop/orders/api/pay.go`, and `pay.go` alone for package main.

    A binary built without -trimpath holds the build machine's own paths, which are private; one built with it holds
    import paths already.
    """
    normal = path.replace("\\", "/")
    if not _ABSOLUTE.match(path):
        return normal
    base = normal.rpartition("/")[2]
    # In the module cache the path behind it is the import path, with the version.
    _, cache, within = normal.rpartition("/pkg/mod/")
    if cache:
        return within
    imported = package(function)
    return base if imported in ("", "main") else f"{imported}/{base}"
