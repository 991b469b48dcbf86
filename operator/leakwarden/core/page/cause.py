"""Why users got errors, for the page and for terminals."""

from __future__ import annotations

import textwrap

from leakwarden.api.v1alpha1.cause import CauseStatus
from leakwarden.core.page.markup import Child, Markup, tag

TITLE = "Why users got errors"


def drawn(found: CauseStatus) -> list[Child]:
    body: list[Child] = [tag("p", tag("strong", found.kind), f" ({found.confidence}): {found.message}")]
    if found.counted:
        body.append(tag("p", f"Errors were counted {found.counted}.", class_="muted small"))
    for head, lines in (
        ("What was seen", found.facts),
        ("Pods behind it", found.pods),
        ("Not read, and would help to tell", found.unknown),
    ):
        if lines:
            body += [tag("h3", head), tag("ul", [tag("li", line) for line in lines])]
    return body + _logs(found)


def _logs(found: CauseStatus) -> list[Child]:
    logs = found.logs
    if logs is None:
        return []
    body: list[Child] = [tag("h3", "Logs")]
    if logs.message:
        body.append(tag("p", logs.message, class_="muted small"))
    if logs.counts:
        body.append(tag("ul", [tag("li", f"{each.kind}: {each.count:,} lines") for each in logs.counts]))
    if logs.lines:
        rows: list[Markup] = [tag("li", tag("code", line)) for line in logs.lines]
        body.append(tag("details", tag("summary", "The first of them"), tag("ul", rows, class_="plain")))
    return body


def lines(found: CauseStatus, width: int) -> list[str]:
    """The lines, at most `width` columns wide."""
    told = [f"{found.kind} ({found.confidence}): {found.message}"]
    told += [f"- {fact}" for fact in found.facts]
    told += [f"pod {pod}" for pod in found.pods]
    if found.logs is not None:
        told += [f"log, {each.kind}: {each.count:,} lines" for each in found.logs.counts]
        told += [f"logs: {found.logs.message}"] if found.logs.message else []
    told += [f"not read: {', '.join(found.unknown)}"] if found.unknown else []
    return [
        line
        for text in told
        for line in textwrap.wrap(text, width, max_lines=4, placeholder=" ...", break_on_hyphens=False)
    ]
