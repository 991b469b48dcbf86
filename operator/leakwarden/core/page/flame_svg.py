"""A flame graph as SVG that needs no script: every box clips its own name, and its title holds the whole name."""

from __future__ import annotations

from leakwarden.core.page.figures import amount, duration
from leakwarden.core.page.flame import Box, Flame
from leakwarden.core.page.markup import Child, Markup, tag
from leakwarden.core.page.story import short
from leakwarden.core.profile.ownership import CodeOwner, spelled
from leakwarden.core.profile.pprof import Frame

ROW = 20
# From this part of the greatest change on a box has the strongest, the middle and the weakest colour.
_STRENGTHS = ((0.5, 3), (0.15, 2), (0.02, 1))


def graph(flame: Flame, name: str) -> Markup:
    """The graph with its legend, its text form, and the elements that the script fills in. `name` is unique on the
    page."""
    greatest = max((abs(box.change) for box in flame.boxes if box.change), default=0)
    suspected = any(box.suspect for box in flame.boxes)
    boxes = [_box(flame, box, greatest) for box in sorted(flame.boxes, key=lambda b: (b.depth, b.start))]
    whole = tag(
        "svg",
        tag("title", f"all: {amount(flame.total, flame.unit)} {_noun(flame)}"),
        tag("rect", width="100%", height="100%"),
        tag("text", f"all {_counted(flame, flame.total)}", x=5, y=14),
        class_="box all", x="0%", y=0, width="100%", height=ROW - 1,
    )  # fmt: skip
    return tag(
        "figure",
        tag("figcaption", tag("h3", flame.title, id=name), tag("p", _caption(flame), class_="muted")),
        _legend(flame),
        tag(
            "div",
            tag("p", "Tap a call to zoom in on it.", class_="told", aria_live="polite"),
            tag("button", "Zoom to the suspect", type="button", class_="find") if suspected else None,
            tag("button", "Whole picture", type="button", class_="reset", disabled=True),
            class_="flame-bar",
            hidden=True,
        ),
        tag(
            "svg",
            whole,
            boxes,
            class_="flame",
            width="100%",
            height=(flame.rows + 1) * ROW,
            role="group",
            aria_label=f"{flame.title}: {_caption(flame)} The heaviest stacks follow as text.",
        ),
        _as_text(flame),
        class_="flame-figure",
    )


def _noun(flame: Flame) -> str:
    return "in use" if flame.unit == "bytes" else flame.unit


def _counted(flame: Flame, value: int) -> str:
    return f"{amount(value, flame.unit)} {_noun(flame)}"


def _change(flame: Flame, change: int) -> str:
    sign = "+" if change > 0 else "\N{MINUS SIGN}" if change < 0 else "\N{PLUS-MINUS SIGN}"
    return f"{sign}{amount(abs(change), flame.unit)}"


def _caption(flame: Flame) -> str:
    text = f"{_counted(flame, flame.total)}, the outermost call on top; a call is as wide as what it holds."
    if flame.before is not None:
        within = f" within {duration(flame.seconds)}" if flame.seconds else ""
        text += f" {amount(flame.before, flame.unit)} became {amount(flame.total, flame.unit)}{within}."
    return text


def _legend(flame: Flame) -> Markup:
    if flame.before is None:
        keys = [("team", "the team's own code"), ("library", "libraries"), ("standard", "Go itself")]
    else:
        keys = [("up3", "grew most"), ("up1", "grew a little"), ("same", "unchanged"), ("down2", "shrank")]
    entries: list[Child] = [tag("li", tag("span", class_=f"key {kind}"), text) for kind, text in keys]
    if any(box.suspect for box in flame.boxes):
        entries.append(tag("li", tag("span", class_="key suspect"), "\N{BLACK RIGHT-POINTING TRIANGLE} suspected line"))
    return tag("ul", entries, class_="legend")


def _box(flame: Flame, box: Box, greatest: int) -> Markup:
    kind = {CodeOwner.TEAM: "team", CodeOwner.LIBRARY: "library", CodeOwner.STANDARD: "standard"}[box.owner]
    colour = kind if box.change is None else _colour(box.change, greatest)
    emphasis = f"{' own' if box.owner is CodeOwner.TEAM else ''}{' suspect' if box.suspect else ''}"
    parts = ["\N{BLACK RIGHT-POINTING TRIANGLE}" if box.suspect else "", short(spelled(box.frame.function))]
    if box.owner is CodeOwner.TEAM and box.frame.line:
        parts.append(_place(box.frame))
    if box.change:
        parts.append(_change(flame, box.change))
    return tag(
        "svg",
        tag("title", _whole_story(flame, box)),
        tag("rect", width="100%", height="100%"),
        tag("text", " ".join(part for part in parts if part), x=5, y=14),
        class_=f"box {colour}{emphasis}",
        x=f"{box.start * 100:.3f}%",
        y=(box.depth + 1) * ROW,
        width=f"{box.share * 100:.3f}%",
        height=ROW - 1,
    )


def _colour(change: int, greatest: int) -> str:
    part = abs(change) / greatest if greatest else 0.0
    strength = next((n for least, n in _STRENGTHS if part >= least), 0)
    return f"{'up' if change > 0 else 'down'}{strength}" if strength else "same"


def _place(frame: Frame) -> str:
    file = frame.file.replace("\\", "/").rpartition("/")[2]
    return f"{file}:{frame.line}" if file else ""


def _whole_story(flame: Flame, box: Box) -> str:
    where = f", {box.frame.file}:{box.frame.line}" if box.frame.file else ""
    change = f", {_change(flame, box.change)} between the captures" if box.change is not None else ""
    suspect = "suspected line: " if box.suspect else ""
    return f"{suspect}{spelled(box.frame.function)}{where}: {_counted(flame, box.value)} ({box.share:.1%}){change}"


def _as_text(flame: Flame) -> Markup:
    stacks = []
    for heavy in flame.heaviest:
        change = f", {_change(flame, heavy.change)} between the captures" if heavy.change is not None else ""
        calls = [
            tag("li", f"{spelled(frame.function)} ", tag("span", _place(frame), class_="muted"))
            for frame in heavy.stack
        ]
        stacks.append(tag("li", f"{_counted(flame, heavy.value)}{change}", tag("ol", calls, class_="stack")))
    return tag("details", tag("summary", "The heaviest stacks as text"), tag("ol", stacks))
