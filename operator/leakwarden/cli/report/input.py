"""Reads a report from a file instead of a cluster, and the raw profiles that belong to it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leakwarden.api import names
from leakwarden.cli.errors import NoReport
from leakwarden.core.model.leakreport import LeakReport, parse_report
from leakwarden.core.page.document import Drawn
from leakwarden.core.page.figures import moment
from leakwarden.core.page.flame import Flame, goroutines, heap
from leakwarden.core.profile.ownership import Ownership
from leakwarden.core.profile.pprof import DecodeLimits, Profile, ProfileError, decode

SUFFIXES = (".pb", ".pb.gz", ".pprof")
MOST_FILES = 64


@dataclass(slots=True)
class Profiles:
    """Profiles of one report, by kind and time. `problems` are lines for people about files that were skipped."""

    goroutines: list[Profile] = field(default_factory=list)
    heaps: list[Profile] = field(default_factory=list)
    leaked: list[Profile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def from_file(file: str, name: str | None, namespace: str | None) -> LeakReport:
    """The report in a YAML or JSON file, or the one so named where there are several. Raises NoReport."""
    from leakwarden.cli.audit.files import read

    reading = read([file])
    if reading.problems:
        raise NoReport(reading.problems[0])
    bodies = [body for document in reading.documents for body in _items(document.body)]
    found = []
    for body in bodies:
        if body.get("kind") == names.REPORT_KIND and str(body.get("apiVersion")) == names.API_VERSION:
            report = parse_report(body)
            if report is None:
                raise NoReport(f"{file}: a LeakReport in it does not say whose leak it is (spec)")
            if name in (None, report.name) and namespace in (None, report.namespace):
                found.append(report)
    if not found:
        wanted = f" named {name}" if name else ""
        within = f" in namespace {namespace}" if namespace else ""
        raise NoReport(f"{file}: holds no LeakReport{wanted}{within} of {names.API_VERSION}")
    if len(found) > 1:
        raise NoReport(f"{file}: holds {len(found)} such LeakReports: {_listed(found)}; give the NAME and -n of one")
    return found[0]


def _items(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The items of a List, as `kubectl get -o yaml` prints it."""
    items = body.get("items")
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else [body]


def _listed(reports: Sequence[LeakReport]) -> str:
    return ", ".join(report.key for report in reports[:5]) + (" and others" if len(reports) > 5 else "")


def read_profiles(folder: str) -> Profiles:
    """Every profile below a folder. Raises NoReport where there is no such folder."""
    root, found = Path(folder), Profiles()
    if not root.is_dir():
        raise NoReport(f"--profiles {folder}: is not a directory")
    files = sorted(p for p in root.rglob("*") if p.name.lower().endswith(SUFFIXES) and p.is_file())
    for path in files[:MOST_FILES]:
        try:
            _sort_in(found, decode(_bytes(path)))
        except OSError as error:
            found.problems.append(f"{path}: {error.strerror or error}")
        except ProfileError as error:
            found.problems.append(f"{path}: {error}")
    if len(files) > MOST_FILES:
        found.problems.append(f"{folder}: holds {len(files)} profiles, of which {MOST_FILES} were read")
    if not files:
        found.problems.append(f"{folder}: holds no profile ({', '.join(SUFFIXES)})")
    for kind in (found.goroutines, found.heaps, found.leaked):
        kind.sort(key=lambda profile: profile.taken)  # stable: of one moment they stay as their names order them
    return found


def _bytes(path: Path) -> bytes:
    """One byte more than is decoded at most, so that a file that is too large is refused and not cut."""
    with path.open("rb") as source:
        return source.read(DecodeLimits().inflated + 1)


def _sort_in(found: Profiles, profile: Profile) -> None:
    for column, kind in (
        ("goroutine", found.goroutines),
        ("inuse_space", found.heaps),
        ("goroutineleak", found.leaked),
    ):
        if profile.column(column) is not None:
            kind.append(profile)
            return
    raise ProfileError("it is neither a goroutine nor a heap nor a goroutineleak profile")


def draw(report: LeakReport, profiles: Profiles) -> Drawn:
    """Flame graphs: the growth before the action, and the state after it. The one that holds the suspect is first."""
    evidence = report.status.evidence
    suspects = {(s.function, s.line) for s in evidence.suspects} if evidence else set()
    ownership = Ownership([*profiles.goroutines, *profiles.heaps, *profiles.leaked])
    acted = [at for action in report.status.actions if (at := moment(action.intended_at))]
    until = min(acted, default=float("inf"))
    before: list[Flame | None] = []
    after: list[Flame | None] = []
    for graph, captures, what in ((goroutines, profiles.goroutines, "Goroutines"), (heap, profiles.heaps, "Heap")):
        # A profile without a time counts as taken before the action, as evidence is.
        early = [p for p in captures if p.taken < until]
        late = [p for p in captures if p.taken >= until]
        before.append(graph(early, ownership, suspects, f"{what} before the action" if acted else what))
        # Compared with the last one before it, where there is one.
        after.append(graph([*early[-1:], late[-1]], ownership, suspects, f"{what} after the action") if late else None)
    before.append(goroutines(profiles.leaked[-1:], ownership, suspects, "Goroutines that can never wake"))
    drawn = sorted((f for f in before if f is not None), key=lambda flame: -flame.suspected / flame.total)
    return Drawn(tuple(drawn), tuple(f for f in after if f is not None))


def writable(path: str) -> str:
    """Why nothing can be written there, or empty."""
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        return "is a directory"
    return "" if os.path.isdir(folder) else "its directory does not exist"
