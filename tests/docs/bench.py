"""How good the detector is, from the bench's last recorded run (tests/bench/results.json, written by `make bench`)."""

from __future__ import annotations

import re

from tests.bench import record
from tests.bench.record import Figures, Group
from tests.bench.replaying import ACTED, FULL, TOLD
from tests.docs.blocks import ROOT
from tests.docs.tables import cell, table


def _known() -> Group:
    return record.load()[0]


def _of(group: Group, detector: str) -> Figures:
    (found,) = [figures for figures in group.detectors if figures.detector == detector]
    return found


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _rate(false_per_day: float) -> str:
    return f"{false_per_day:.4f}" if false_per_day < 0.1 else f"{false_per_day:.1f}"


def accuracy() -> str:
    """The figures in a few sentences."""
    group = _known()
    told, acted = _of(group, TOLD), _of(group, ACTED)
    rules = [each for each in group.detectors if each.detector not in (TOLD, ACTED, FULL)]
    calmest = min(rules, key=lambda rule: rule.false_per_day)
    return (
        f"On {group.lives:,} generated series of {group.families} families ({group.seeds}; {told.healthy_days:,.0f} healthy"
        f" pod-days, {told.leaks:,} leaks of 45 minutes or more) **{_share(told.caught, told.leaks)}** of the leaks are"
        f" reported at least five minutes before the limit, with **{_rate(told.false_per_day)}** false alarms a healthy"
        f" pod-day. The verdict that acts catches {_share(acted.caught, acted.leaks)}, with"
        f" **{_rate(acted.false_per_day)}** false alarms a healthy pod-day; of the leaks that last 20 to 45 minutes it catches"
        f" {_share(acted.fast_caught, acted.fast)}, and a `threshold` acts on those. The calmest of the usual alert rules,"
        f" {cell(calmest.detector)}, catches {_share(calmest.caught, calmest.leaks)} with {_rate(calmest.false_per_day)} false"
        f" alarms a pod-day.{_at_the_limit(group)}"
    )


def _at_the_limit(group: Group) -> str:
    full = [each for each in group.detectors if each.detector == FULL]
    if not full or not full[0].false_alarms:
        return ""
    return (
        f" What stays at its limit is `Full`, and acted on, unless its load fills it: {full[0].false_alarms:,} times in"
        " those healthy pod-days."
    )


def profile_score() -> str:
    """How often the right line is named, from the table that tests/profiles/README.md holds and its own test checks."""
    text = (ROOT / "tests" / "profiles" / "README.md").read_text(encoding="utf-8")

    def counted(kind: str) -> tuple[int, int]:
        rows = re.findall(rf"^\| \*\*[^|]*, {kind}\*\* \|(.*)$", text, re.MULTILINE)
        cells = [tuple(map(int, each)) for row in rows for each in re.findall(r"(\d+)/(\d+)", row)]
        return sum(right for right, _ in cells), sum(of for _, of in cells)

    (named, leaking), (silent, healthy) = counted("leaking"), counted("healthy")
    return (
        f"The right line of code comes first in {named} of {leaking} captures of services built to leak, and in {silent} of"
        f" {healthy} healthy ones nothing is suspected with more than low confidence ([table](tests/profiles/README.md))."
    )


def everything() -> str:
    """The comparison with all further tables of the run."""
    return "\n\n".join([comparison(), *(text for group in record.load() for text in group.tables)])


def comparison() -> str:
    """One detector per line, for every recorded group."""
    heads = (
        "detector", "leaks caught, 5 min to spare", "leaks of 20 to 45 min, 3 min to spare",
        "false alarms a healthy pod-day", "median lead",
    )  # fmt: skip
    parts = []
    for group in record.load():
        rows = [
            (
                cell(each.detector),
                f"{_share(each.caught, each.leaks)} ({each.caught}/{each.leaks})",
                f"{_share(each.fast_caught, each.fast)} ({each.fast_caught}/{each.fast})" if each.fast else "-",
                f"{_rate(each.false_per_day)} ({each.false_alarms}/{each.healthy_days:,.0f})",
                f"{each.lead_hours:.1f} h",
            )
            for each in group.detectors
        ]
        parts.append(f"{group.title.capitalize()}, {group.seeds}:\n\n{table(heads, rows)}")
    return "\n".join(parts)
