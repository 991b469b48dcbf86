"""Score profiles of services, each in a folder with its truth.

    DIR/NAME/goroutine-*.pb.gz  heap-*.pb.gz  goroutineleak.pb.gz  facts.json  truth.json

`facts.json` holds `seconds` between the first and the last capture, and `signals`: each with its first and its last
value. `truth.json` holds `kind` ("leak" or "healthy"), `lines` (each `internal/x/y.go:12`, all of them right), `way`
(lines that lead there, and count as right as well), and `shape` (a name of the catalogue, or several with `|`; absent
where none is expected). `modules` may name the team's further modules.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leakwarden.core.profile.evidence import Confidence, Findings, Suspect
from leakwarden.core.profile.pprof import Profile, decode
from leakwarden.core.profile.suspects import Capture, explain
from tests.profiles.baselines import BASELINES, Place

LEVELS = (Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW)


class NoTruth(Exception):
    """A folder that cannot be scored; one line for people."""


@dataclass(frozen=True, slots=True)
class Known:
    """One service: its profiles, and its truth."""

    name: str
    leaks: bool
    lines: tuple[str, ...]
    shapes: tuple[str, ...]
    capture: Capture
    growing: frozenset[str]
    modules: tuple[str, ...] = ()

    def right(self, file: str, line: int) -> bool:
        found = f"{file.replace(chr(92), '/')}:{line}"
        return any(found == each or found.endswith("/" + each.lstrip("/")) for each in self.lines)


@dataclass(frozen=True, slots=True)
class Judged:
    """The results for one service: of the command, and of the operator, whose detector has seen it grow."""

    known: Known
    command: Findings
    operator: Findings

    def first_right(self, found: Findings) -> bool:
        return bool(found.suspects) and self._is(found.suspects[0])

    def in_three(self, found: Findings) -> bool:
        return any(self._is(suspect) for suspect in found.suspects[:3])

    def kind_right(self, found: Findings) -> bool:
        return self.first_right(found) and (not self.known.shapes or self._kind(found.suspects[0]))

    def _kind(self, suspect: Suspect) -> bool:
        said = f"{suspect.shape} {suspect.title}".casefold()
        return any(shape == suspect.shape or shape.casefold() in said for shape in self.known.shapes)

    def _is(self, suspect: Suspect) -> bool:
        return self.known.right(suspect.file, suspect.line)


def read(folder: Path) -> list[Known]:
    """Every service of a folder by name. Raises NoTruth, ProfileError."""
    found = [_read(path) for path in sorted(folder.iterdir()) if (path / "facts.json").is_file()]
    if not found:
        raise NoTruth(f"{folder} holds no folder with facts.json")
    return found


def _read(path: Path) -> Known:
    try:
        facts = json.loads((path / "facts.json").read_text(encoding="utf-8"))
        truth = json.loads((path / "truth.json").read_text(encoding="utf-8"))
        kind = truth["kind"]
    except (OSError, ValueError, KeyError) as error:
        raise NoTruth(f"{path.name}: {type(error).__name__}: {error}") from None
    if kind not in ("leak", "healthy"):
        raise NoTruth(f"{path.name}: kind is {kind!r}; leak or healthy is allowed")
    goroutines, heaps = _profiles(path, "goroutine"), _profiles(path, "heap")
    leaked = path / "goroutineleak.pb.gz"
    seconds = float(facts.get("seconds") or (goroutines[-1].taken - goroutines[0].taken if goroutines else 0.0))
    return Known(
        path.name,
        kind == "leak",
        (*truth.get("lines", []), *truth.get("way", [])),
        tuple(each for each in str(truth.get("shape") or "").split("|") if each),
        Capture(goroutines, heaps, decode(leaked.read_bytes()) if leaked.is_file() else None, seconds),
        frozenset(
            name for name, ends in facts.get("signals", {}).items() if grows(name, float(ends[0]), float(ends[-1]))
        ),
        tuple(truth.get("modules", [])),
    )


def _profiles(path: Path, kind: str) -> list[Profile]:
    return sorted((decode(file.read_bytes()) for file in path.glob(f"{kind}-*.pb.gz")), key=lambda p: p.taken)


def grows(signal: str, before: float, after: float) -> bool:
    """Whether a detector, which watches for minutes and not for seconds, would find growth in such a difference."""
    noise = float(1 << 20) if signal in ("memory", "rss") else 4 * math.sqrt(before + after)
    return after - before > max(0.1 * before, noise)


def judge(known: Known) -> Judged:
    """A detector finds nothing for a healthy service; for a leaking one it finds the signals that grow."""
    growing = known.growing if known.leaks else frozenset()
    return Judged(
        known,
        explain(known.capture, modules=known.modules),
        explain(known.capture, growing=growing, modules=known.modules),
    )


def markdown(judged: Sequence[Judged]) -> str:
    """The figures in a table, ours next to the free alternatives, and how often each confidence was right."""
    leaking = [each for each in judged if each.known.leaks]
    healthy = [each for each in judged if not each.known.leaks]
    lines = [
        f"{len(leaking)} that leak, {len(healthy)} healthy ones that look like it.",
        "",
        "| | `leakwarden suspects` | the operator |",
        "|---|---|---|",
    ]
    rows = [("the first line is right", Judged.first_right), ("it is in the first three", Judged.in_three)]
    if any(each.known.shapes for each in leaking):  # a truth in words is compared by a person
        rows.append(("line and kind are right", Judged.kind_right))
    for title, test in rows:
        lines.append(
            f"| {title} | {_part(test(e, e.command) for e in leaking)} | {_part(test(e, e.operator) for e in leaking)} |"
        )
    lines += [
        f"| nothing is said of a leak | {sum(not e.command.suspects for e in leaking)} | {sum(not e.operator.suspects for e in leaking)} |",
        f"| healthy and named Medium or High | {sum(map(_accused, (e.command for e in healthy)))} | {sum(map(_accused, (e.operator for e in healthy)))} |",
    ]
    for title, rule in BASELINES.items():
        right = [(found := rule(e.known.capture)) is not None and e.known.right(*found) for e in leaking]
        lines.append(f"| for comparison: {title} is right | {_part(right)} | |")
    lines += ["", "| confidence | right, of `leakwarden suspects` | right, of the operator |", "|---|---|---|"]
    for level in LEVELS:
        lines.append(f"| {level.value} | {_part(_sure(judged, level, False))} | {_part(_sure(judged, level, True))} |")
    return "\n".join(lines)


def _sure(judged: Iterable[Judged], level: Confidence, operator: bool) -> list[bool]:
    """Whether the first suspects of this confidence are right; none is right for a healthy service."""
    found = [(each, each.operator if operator else each.command) for each in judged]
    return [each.first_right(said) for each, said in found if said.suspects and said.suspects[0].confidence is level]


def _accused(found: Findings) -> bool:
    return any(suspect.confidence is not Confidence.LOW for suspect in found.suspects)


def _part(answers: Iterable[bool]) -> str:
    given = list(answers)
    return f"{sum(given)}/{len(given)} ({sum(given) / len(given):.0%})" if given else "-"


def wrong(judged: Iterable[Judged]) -> list[str]:
    """Each service with a wrong result, in one line."""
    found = []
    for each in judged:
        said = each.operator.suspects
        first = f"{said[0].confidence.value} {said[0].shape}: {said[0].headline}" if said else "nothing"
        if each.known.leaks and not each.kind_right(each.operator):
            found.append(f"{each.known.name}: {first}")
        elif not each.known.leaks and (_accused(each.operator) or _accused(each.command)):
            found.append(f"{each.known.name} (healthy): {first}")
    return found


def print_unseen(folder: Path) -> int:
    judged = [judge(known) for known in read(folder)]
    print(markdown(judged))
    for line in wrong(judged):
        print(line)
    return 0


__all__ = ["Judged", "Known", "NoTruth", "Place", "judge", "markdown", "print_unseen", "read", "wrong"]
