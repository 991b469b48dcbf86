"""Score the naming of suspects against the truth about each program."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from leakwarden.core.profile.evidence import Confidence, Suspect
from leakwarden.core.profile.pprof import Profile, decode
from leakwarden.core.profile.suspects import Capture, suspects
from tests.profiles.building import VERSIONS, archived
from tests.profiles.truth import Program, Site, programs


@dataclass(frozen=True, slots=True)
class Case:
    """One program's profiles with one Go version, and which signals were seen to grow between the captures."""

    program: Program
    version: str
    capture: Capture
    growing: frozenset[str]


@dataclass(frozen=True, slots=True)
class Result:
    case: Case
    found: list[Suspect]

    @property
    def right(self) -> bool:
        """Whether the first suspect is the line; for a healthy program, whether none is more than Low: growth is always
        reported."""
        site = self.case.program.site
        if site is None:
            return all(suspect.confidence is Confidence.LOW for suspect in self.found)
        return bool(self.found) and same(self.found[0], site)

    @property
    def shape_right(self) -> bool:
        site = self.case.program.site
        return self.right and (site is None or self.found[0].shape == site.shape)


def same(suspect: Suspect, site: Site) -> bool:
    return (suspect.function, suspect.file.rpartition("/")[2], suspect.line) == (site.function, site.file, site.line)


def cases(version: str) -> Iterator[Case]:
    known = {program.name: program for program in programs()}
    bodies = archived(version)
    for name, facts in json.loads(bodies["manifest.json"]).items():
        leaked = bodies.get(f"{name}/goroutineleak.pb")
        capture = Capture(
            [_profile(bodies, name, f"goroutine-{n}.pb") for n in (1, 2)],
            [_profile(bodies, name, f"heap-{n}.pb") for n in (1, 2)],
            decode(leaked) if leaked else None,
            facts["seconds"],
        )
        growing = frozenset(signal for signal, moments in facts["signals"].items() if _grows(signal, *moments))
        yield Case(known[name], version, capture, growing)


def _grows(signal: str, before: int, after: int) -> bool:
    """Whether a detector, which watches for minutes and not for four seconds, would find growth in such a
    difference."""
    noise = 1 << 20 if signal == "memory" else 4 * math.sqrt(before + after)
    return after - before > max(0.1 * before, noise)


def _profile(bodies: dict[str, bytes], name: str, kind: str) -> Profile:
    return decode(bodies[f"{name}/{kind}"])


def results(version: str) -> list[Result]:
    """With `growing`, the signals that an operator finds in its metrics before it takes a profile."""
    return [Result(case, suspects(case.capture, growing=case.growing)) for case in cases(version)]


def markdown(found: dict[str, list[Result]]) -> str:
    """The score as a table, by shape and Go version: programs the rules were tuned on, and those they were not."""
    rows: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for version, results_ in found.items():
        for result in results_:
            program = result.case.program
            rows["healthy" if program.site is None else program.site.shape][version].append(result.right)
            leaking = "healthy" if program.site is None else "leaking"
            rows[f"**{'held out' if program.held_out else 'tuned on'}, {leaking}**"][version].append(result.right)
            rows["**all**"][version].append(result.right)
    lines = ["| shape | " + " | ".join(found) + " | together |", "|---|" + "---|" * (len(found) + 1)]
    for name in sorted(rows, key=lambda n: (n == "**all**", n.startswith("**"), n)):
        cells = [rows[name][version] for version in found]
        every = [right for cell in cells for right in cell]
        shown = [f"{sum(cell)}/{len(cell)}" for cell in cells]
        lines.append(f"| {name} | " + " | ".join(shown) + f" | {sum(every) / len(every):.3f} |")
    return "\n".join(lines)


def print_scores() -> int:
    """The table, and below it all wrong names."""
    found = {version: results(version) for version in VERSIONS}
    print(markdown(found))
    every = [result for one in found.values() for result in one]
    shapes = [result.shape_right for result in every if result.case.program.site is not None]
    print(f"\ntop-1 {sum(r.right for r in every) / len(every):.3f} of {len(every)}; its shape too, of those that leak,"
          f" {sum(shapes) / len(shapes):.3f}")  # fmt: skip
    for result in every:
        if not result.right:
            first = result.found[0].headline if result.found else "nobody"
            print(f"{result.case.version} {result.case.program.name}: named {first}")
    return 0
