"""The table of before, during and after an action, for the page and for terminals."""

from __future__ import annotations

import textwrap

from leakwarden.api.v1alpha1.outcome import OutcomeRow, OutcomeTable, Span
from leakwarden.core.page import figures
from leakwarden.core.page.markup import Child, Markup, tag

HEADS = ("before", "during", "after")
_WORDS = {"ErrorRate": "error rate", "PoolWaits": "waits for a pool connection", "Descriptors": "open descriptors"}
_NAME, _VALUE = 28, 12  # columns of a terminal


def drawn(found: OutcomeTable) -> Markup:
    if not found.rows:
        return tag("p", f"Requests and resources before and after were not read: {found.message}", class_="muted")
    heads = [tag("th", "", scope="col"), *(tag("th", head, scope="col", class_="number") for head in HEADS)]
    rows = [
        tag(
            "tr",
            tag("th", _name(row), scope="row"),
            *(tag("td", _value(value, row), class_="number") for value in (row.before, row.during, row.after)),
        )
        for row in found.rows
    ]
    body: list[Child] = [
        tag("h3", "What users and the process had"),
        tag("table", tag("thead", tag("tr", *heads)), tag("tbody", rows), class_="outcome-table"),
        tag("p", _legend(found), class_="muted small"),
    ]
    if notes := _missing(found):
        body.append(tag("ul", [tag("li", note) for note in notes], class_="muted small"))
    return tag("div", body)


def lines(found: OutcomeTable, width: int) -> list[str]:
    """The lines, at most `width` columns wide; at least 38."""
    if not found.rows:
        said = f"requests and resources before and after were not read: {found.message}"
        return textwrap.wrap(said, width, max_lines=4, placeholder=" ...")
    value = min(_VALUE, (width - 14) // 3)
    name = min(_NAME, width - 3 * value)
    told = ["".join([" " * name, *(f"{head:>{value}}" for head in HEADS)])]
    for row in found.rows:
        cells = (f"{_value(each, row)[: value - 1]:>{value}}" for each in (row.before, row.during, row.after))
        told.append("".join([f"{_name(row)[: name - 1]:<{name}}", *cells]))
    for note in (_legend(found), *(f"not measured: {each}" for each in _missing(found))):
        told += textwrap.wrap(note, width, max_lines=3, placeholder=" ...")
    return told


def _name(row: OutcomeRow) -> str:
    name = _WORDS.get(row.name, row.name.lower() if row.name == "Goroutines" else row.name)
    return f"{name}, per second" if row.unit == "per second" else name


def _value(value: float | None, row: OutcomeRow) -> str:
    return figures.amount(value, row.unit)


def _legend(found: OutcomeTable) -> str:
    times = ", ".join(
        f"{head} {_between(span)}"
        for head, span in zip(HEADS, (found.before, found.during, found.after), strict=True)
        if span is not None
    )
    where = f"Requests were counted {found.counted}. " if found.counted else ""
    return f"{where}Times are UTC: {times}." if times else where


def _between(span: Span) -> str:
    since, until = figures.moment(span.since), figures.moment(span.until)
    if since is None or until is None:
        return figures.UNKNOWN
    return f"{figures.clock(since)} to {figures.clock(until)}"


def _missing(found: OutcomeTable) -> list[str]:
    """Each reason once, with the rows that it applies to."""
    by_reason: dict[str, list[str]] = {}
    for row in found.rows:
        if row.missing:
            by_reason.setdefault(row.missing, []).append(_name(row))
    return [f"{', '.join(names)}: {why}" for why, names in by_reason.items()]
