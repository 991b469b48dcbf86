"""A profile by the operator's named parts, as a table and as a picture."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("profile.json")
PICTURE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "scale-profile.png"
LARGEST = 10
_NARROWEST = 0.004  # of the whole; narrower boxes are not drawn
_LABELLED = 0.03
_OWN = "leakwarden."
_ELSEWHERE = "event loop, kopf and libraries"
#: The first prefix that fits the innermost frame of the operator's own code names the part.
PARTS: tuple[tuple[str, str], ...] = (
    ("leakwarden.adapters.prometheus.decoding", "decoding readings"),
    ("leakwarden.adapters.prometheus.response", "keying readings by pod"),
    ("leakwarden.adapters.prometheus", "reading: requests to Prometheus"),
    ("leakwarden.core.detection.history", "keeping readings"),
    ("leakwarden.core.detection", "judging growth"),
    ("leakwarden.engine.detector_feed", "judging growth"),
    ("leakwarden.core.evaluation", "judging thresholds, evaluating policies"),
    ("leakwarden.core.model.readings", "keeping readings"),
    ("leakwarden.engine.reader", "keeping readings"),
    ("leakwarden.adapters.cluster", "watches and the view of the cluster"),
    ("leakwarden.core.audit", "audit"),
    ("leakwarden.engine.auditor", "audit"),
    ("leakwarden.adapters.telemetry", "metrics and probes"),
    ("leakwarden.core.rendering", "status"),
    ("leakwarden.engine.publisher", "status"),
    ("leakwarden.core.planning", "planning and guards"),
    ("leakwarden.core.guards", "planning and guards"),
    ("leakwarden.engine.report", "LeakReports"),
    ("leakwarden.core.episodes", "LeakReports"),
    ("leakwarden.core.correlation", "causes"),
    ("leakwarden.composition", _ELSEWHERE),
    ("leakwarden.__main__", _ELSEWHERE),
    ("leakwarden.cli", _ELSEWHERE),
    ("leakwarden", "the tick itself"),
)


def part_of(stack: str) -> str:
    for frame in reversed(stack.split(";")):
        if frame.startswith(_OWN):
            return next(part for prefix, part in PARTS if frame.startswith(prefix))
    return _ELSEWHERE


def by_part(stacks: Mapping[str, float]) -> dict[str, float]:
    """Seconds by part, the largest first."""
    found: defaultdict[str, float] = defaultdict(float)
    for stack, seconds in stacks.items():
        found[part_of(stack)] += seconds
    return dict(sorted(found.items(), key=lambda each: -each[1]))


def together(ticks: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean tick."""
    found: defaultdict[str, float] = defaultdict(float)
    number = 0
    for stacks in ticks:
        number += 1
        for stack, seconds in stacks.items():
            found[stack] += seconds
    return {stack: seconds / number for stack, seconds in found.items()}


@dataclass(slots=True)
class Box:
    """A function within its callers; `seconds` with those it calls."""

    name: str
    seconds: float = 0.0
    inside: dict[str, Box] = field(default_factory=dict)

    def as_json(self, least: float) -> dict[str, Any]:
        inside = [each.as_json(least) for each in self.inside.values() if each.seconds >= least]
        return {"name": self.name, "seconds": round(self.seconds, 4), "inside": inside}


def tree(stacks: Mapping[str, float]) -> Box:
    """The operator's own functions by who calls whom. Those of libraries are left out, but the innermost one is shown
    where the operator's code calls it."""
    root = Box("a tick", sum(stacks.values()))
    for stack, seconds in stacks.items():
        frames = stack.split(";")
        own = [frame for frame in frames if frame.startswith(_OWN)]
        if own and frames[-1] != own[-1]:
            own.append(frames[-1])
        box = root
        for frame in own or [_ELSEWHERE]:
            box = box.inside.setdefault(frame, Box(frame))
            box.seconds += seconds
    return root


def keep(pods: int, ticks: list[Mapping[str, float]], command: str, machine: str) -> None:
    stacks = together(ticks)
    root = tree(stacks)
    RESULTS.write_text(
        json.dumps(
            {
                "command": command,
                "machine": machine,
                "pods": pods,
                "ticks": len(ticks),
                "seconds": round(sum(stacks.values()), 4),
                "parts": {part: round(seconds, 4) for part, seconds in by_part(stacks).items()},
                "tree": root.as_json(_NARROWEST * root.seconds),
            }
        )
        + "\n",
        encoding="utf-8",
    )
    draw()


def load() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return recorded


def table() -> str:
    recorded = load()
    lines = [
        f"Measured by `{recorded['command']}` on {recorded['machine']}; the mean of {recorded['ticks']} ticks of"
        f" {recorded['seconds']:.2f} s of CPU.",
        "",
        "| part | CPU of a tick | share |",
        "|---|---|---|",
    ]
    for part, seconds in list(recorded["parts"].items())[:LARGEST]:
        lines.append(f"| {part} | {seconds:.3f} s | {seconds / recorded['seconds']:.0%} |")
    return "\n".join(lines)


def draw() -> None:
    """An icicle: callers above the functions that they call, as wide as their CPU time."""
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    recorded = load()
    names = list(recorded["parts"])
    colours = {part: plt.get_cmap("tab20")(place % 20) for place, part in enumerate(names)}
    figure, axes = plt.subplots(figsize=(11, 5))
    deepest = 0

    def put(box: Mapping[str, Any], left: float, depth: int, path: str) -> None:
        nonlocal deepest
        deepest = max(deepest, depth)
        width = box["seconds"] / recorded["seconds"]
        colour = "lightgrey" if depth == 0 else colours.get(part_of(path), "lightgrey")
        axes.add_patch(Rectangle((left, -depth - 1), width, 1, facecolor=colour, edgecolor="white", linewidth=0.4))
        if width >= _LABELLED:
            label = box["name"].rpartition(":")[2].replace(".<locals>", "")
            axes.text(left + 0.002, -depth - 0.5, label[: int(width * 150)], va="center", fontsize=6, clip_on=True)
        for each in sorted(box["inside"], key=lambda each: -each["seconds"]):
            put(each, left, depth + 1, f"{path};{each['name']}" if path else each["name"])
            left += each["seconds"] / recorded["seconds"]

    put(recorded["tree"], 0.0, 0, "")
    axes.set(xlim=(0, 1), ylim=(-deepest - 1, 0), yticks=[], xlabel=f"share of {recorded['seconds']:.2f} s of CPU")
    handles = [Rectangle((0, 0), 1, 1, facecolor=colours[part]) for part in names[:LARGEST]]
    axes.legend(handles, names[:LARGEST], loc="lower right", fontsize=6)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110)
    plt.close(figure)
