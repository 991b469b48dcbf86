"""`python -m tests.bench.picture`: recall against false alarms, of the detector and of the usual rules, as one picture.

One panel for each kind of series that was recorded with `python -m tests.bench ... --curve` (curves.json). The line of
the detector joins its verdicts: Suspect, of which nobody is told, Leaking and Exhausting. That of a rule joins its
settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench import record
from tests.bench.record import Figures, Group
from tests.bench.replaying import ACTED, FULL, SUSPECTED, TOLD

FILE = Path(__file__).with_name("bench.png")
_DETECTOR = (SUSPECTED, TOLD, ACTED)
_LEAST = 1e-4  # false alarms a pod-day; none is drawn here
GOALS = ((0.003, 0.95), (0.0005, 0.90))  # Leaking, Exhausting


def lines(group: Group) -> dict[str, list[Figures]]:
    """The detector's verdicts, and the settings of each rule, in the order of their false alarms; without a recall or
    a rate there is no place in the picture."""
    drawn: dict[str, list[Figures]] = {}
    for each in group.detectors:
        if each.leaks and each.healthy_days and each.detector != FULL:
            name = "Leakwarden" if each.detector in _DETECTOR else each.detector.partition(": ")[0]
            drawn.setdefault(name, []).append(each)
    return {name: sorted(points, key=lambda each: each.false_per_day) for name, points in drawn.items()}


def draw(groups: Sequence[Group], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(groups), figsize=(6 * len(groups), 5), squeeze=False)
    colours: dict[str, str] = {"Leakwarden": "C3"}
    for panel, group in zip(panels[0], groups, strict=True):
        for name, points in lines(group).items():
            colour = colours.setdefault(name, f"C{(0, 1, 2, 4, 5, 6, 7, 8, 9)[len(colours) - 1]}")
            ours = name == "Leakwarden"
            panel.plot(
                [max(each.false_per_day, _LEAST) for each in points], [each.recall for each in points],
                "*-" if ours else ".-", markersize=13 if ours else 5, linewidth=1.6 if ours else 0.8, color=colour,
                label=name,
            )  # fmt: skip
            for each in points if ours else ():
                verdict = each.detector.partition(", ")[2].partition(" ")[0]
                at = (max(each.false_per_day, _LEAST), each.recall)
                panel.annotate(verdict, at, textcoords="offset points", xytext=(6, -12), fontsize=8)
        for rate, recall in GOALS:
            panel.plot([rate], [recall], "k+", markersize=12)
        panel.set(xscale="log", xlim=(6e-5, 200), ylim=(0, 1.03), title=f"{group.title}\n{group.seeds}")
        panel.set(xlabel="false alarms a healthy pod-day (none: at the left edge)", ylabel="recall, 5 minutes to spare")
        panel.legend(loc="lower left", fontsize=7)
    figure.tight_layout()
    figure.savefig(file, dpi=100)
    pyplot.close(figure)


if __name__ == "__main__":
    draw(record.load(record.CURVES), FILE)
