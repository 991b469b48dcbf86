"""The smaller pictures: suspects as bars, growth before and after as intervals on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

from leakwarden.api.v1alpha1.evidence_status import SuspectStatus
from leakwarden.api.v1alpha1.leakreport import Measurement, VerificationStatus
from leakwarden.core.page.figures import LARGEST, amount, growth
from leakwarden.core.page.markup import Child, Markup, tag
from leakwarden.core.page.story import explained, held, place, shape, short


def suspect_list(suspects: Sequence[SuspectStatus]) -> Markup:
    """Each with a bar as long as what it holds compared with the greatest."""
    greatest = max((s.count for s in suspects), default=0)
    return tag("ol", [_suspect(s, greatest) for s in suspects], class_="suspects")


def _suspect(suspect: SuspectStatus, greatest: int) -> Markup:
    part = max(0.0, min(1.0, suspect.count / greatest)) if greatest > 0 else 0.0
    facts = ", ".join(
        x
        for x in (
            shape(suspect),
            explained(suspect),
            f"{suspect.confidence} confidence" if suspect.confidence else "",
        )
        if x
    )
    return tag(
        "li",
        tag("p", tag("code", short(suspect.function) or "not named", class_="name"), " ",
            tag("code", place(suspect), class_="place")),
        tag("div",
            tag("svg", tag("rect", class_="trough", width="100%", height="100%", rx=3),
                tag("rect", class_="bar", width=f"{max(part * 100, 0.6):.1f}%", height="100%", rx=3),
                class_="bars", width="100%", height=10, aria_hidden="true"),
            tag("span", held(suspect), class_="count"), class_="bar-row"),
        tag("p", tag("strong", facts), ". " if facts and suspect.explanation else None, suspect.explanation),
        tag("p", tag("code", _whole(suspect)), class_="muted small") if suspect.function else None,
    )  # fmt: skip


def _whole(suspect: SuspectStatus) -> str:
    line = f":{suspect.line}" if suspect.line > 0 else ""
    return f"{suspect.function} {suspect.file}{line}".strip()


def comparison(found: VerificationStatus, unit: str) -> Markup:
    """Before, after and the untouched pods: growth as an interval on one scale, and the other measurements."""
    measured = [
        ("Before", "the leaking pod", found.before),
        ("After", f"the new pod{'s' if len(found.new_pods) > 1 else ''}", found.after),
        ("Siblings", "not touched", found.siblings),
    ]
    low, high = _scale([m for _, _, m in measured if m is not None])
    return tag(
        "div", [_measurement(name, who, m, unit=unit, low=low, high=high) for name, who, m in measured], class_="comparison"
    )  # fmt: skip


def _scale(measured: Sequence[Measurement]) -> tuple[float, float]:
    ends = [0.0]
    for one in measured:
        interval = one.growth_per_hour
        if interval is not None:
            ends += [x for x in (interval.low, interval.high) if x is not None and abs(x) <= LARGEST]
    low, high = min(ends), max(ends)
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def _measurement(name: str, who: str, measured: Measurement | None, *, unit: str, low: float, high: float) -> Markup:
    if measured is None:
        return tag("div", tag("h3", name), tag("p", f"{who}: not measured", class_="muted"), class_="card")
    pods = f"{measured.pods} pod{'' if measured.pods == 1 else 's'}" if measured.pods else ""
    facts: list[Child] = [
        tag("p", tag("strong", growth(measured.growth_per_hour, unit)), " growth", class_="big"),
        _whisker(measured, low, high, name.lower()),
        tag("p", "last value ", amount(measured.value, unit)) if measured.value is not None else None,
        tag("p", ", ".join(x for x in (who, pods) if x), class_="muted"),
        tag("p", "symptoms: ", "; ".join(measured.symptoms)) if measured.symptoms else None,
    ]
    return tag("div", tag("h3", name), facts, class_="card")


def _whisker(measured: Measurement, low: float, high: float, class_: str) -> Markup | None:
    interval = measured.growth_per_hour
    if interval is None or not math.isfinite(interval.low):
        return None

    def at(value: float) -> float:
        return max(0.0, min(100.0, (value - low) / (high - low) * 100))

    begin = at(interval.low)
    end = at(interval.high) if interval.high is not None and math.isfinite(interval.high) else 100.0
    begin, end = min(begin, end), max(begin, end)
    zero = f"{at(0.0):.2f}%"
    return tag(
        "svg",
        tag("line", class_="grid", x1="0%", x2="100%", y1=14, y2=14),
        tag("line", class_="zero", x1=zero, x2=zero, y1=4, y2=24),
        tag("rect", class_="interval", x=f"{begin:.2f}%", width=f"{max(end - begin, 0.8):.2f}%", y=9, height=10, rx=3),
        tag("text", "0", class_="tick", x=zero, y=36, text_anchor="middle"),
        class_=f"whisker {class_}",
        width="100%",
        height=38,
        aria_hidden="true",
    )
