"""Before and after, from the output of the components themselves, and whether the main job was really done."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from e2e.demo import shop
from e2e.demo.access import Codes, error_rate, errors
from e2e.demo.observation import Observation, ServiceState
from e2e.demo.text import Line, Look, Span, Style, cut, line, padded
from e2e.demo.view import codes_line, number, pod_suffix, verdict_span

_LABEL, _COLUMN = 21, 19
MOST_AFTER = 0.005  # share of errors after the action
_TIMES = ("before", "during", "after")


@dataclass(frozen=True)
class Chapter:
    """One moment of the story: nginx's answers by service, in the last ten seconds and in all, and the observation."""

    recent: Mapping[str, Codes]
    whole: Mapping[str, Codes]
    seen: Observation

    @property
    def leaking(self) -> ServiceState:
        return self.seen.state(shop.LEAKING)

    @property
    def outcome(self) -> Mapping[str, Any]:
        return self.seen.outcomes.get(shop.LEAKING, {})

    @property
    def records(self) -> Sequence[Mapping[str, Any]]:
        return self.seen.actions_on(shop.LEAKING)


@dataclass(frozen=True)
class Account:
    """The story told to its end. `enough` answers in a window are needed to call it free of errors."""

    start: Chapter
    before: Chapter
    after: Chapter
    enough: int


@dataclass(frozen=True)
class Check:
    good: bool
    claim: str


def checks(account: Account) -> list[Check]:
    """The expected events, each proven by the component that did it."""
    start, before, after = account.start, account.before, account.after
    record = after.records[0] if after.records else {}
    old, new = before.leaking.pod, after.leaking.pod
    recent = after.recent[shop.LEAKING]
    return [
        Check(before.seen.has_told("WouldAct", shop.LEAKING), f"found: {shop.LEAKING} leaks, and would be acted on"),
        Check(
            bool(start.leaking.pod and old and start.leaking.pod.uid == old.uid) and not before.records,
            "in mode Observe nothing was changed",
        ),
        Check(
            record.get("type") == "EvictPod" and record.get("phase") == "Done" and _is(old, record.get("podUID")),
            "in mode Enforce that very pod was evicted, through the Eviction API",
        ),
        Check(
            bool(new and old and new.ready and new.uid != old.uid) and record.get("result") == "Effective",
            "its replacement is ready, and the operator verified the effect",
        ),
        Check(
            sum(recent.values()) >= account.enough and errors(recent) == 0,
            f"users get answers again: {errors(recent)} of nginx's last {sum(recent.values())} are errors",
        ),
        Check(
            _kept(after.outcome),
            f"the LeakReport has it, too: {_row_text(after.outcome, 'ErrorRate', _percent)} of nginx's answers failed",
        ),
        Check(all(_left_alone(account, name) for name in shop.SOUND), f"{' and '.join(shop.SOUND)} were left alone"),
    ]


def _kept(outcome: Mapping[str, Any]) -> bool:
    """Whether the report's table shows the recovery: 502s before, and fewer errors after than MOST_AFTER."""
    rows = {row["name"]: row for row in outcome.get("rows", ())}
    after, failed = rows.get("ErrorRate", {}).get("after"), rows.get("HTTP 502", {}).get("before")
    return after is not None and after < MOST_AFTER and bool(failed)


def _row_text(outcome: Mapping[str, Any], name: str, shown: Callable[[float], str]) -> str:
    row: Mapping[str, Any] = next((row for row in outcome.get("rows", ()) if row["name"] == name), {})
    return ", ".join("-" if row.get(when) is None else shown(row[when]) for when in _TIMES)


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _is(pod: object, uid: object) -> bool:
    return uid is not None and getattr(pod, "uid", None) == uid


def _left_alone(account: Account, name: str) -> bool:
    first, last = account.start.seen.state(name).pod, account.after.seen.state(name).pod
    same = first is not None and last is not None and first.uid == last.uid and first.restarts == last.restarts
    return same and not account.after.seen.actions_on(name)


def summary_lines(account: Account, look: Look, width: int, now: datetime | None = None) -> list[Line]:
    """The tables and the checks. `now` is the time that the ages of pods are computed for."""
    now = now or datetime.now(UTC)
    chapters = (account.start, account.before, account.after)
    titles = ("AT FIRST", "LEAKING, OBSERVE", "AFTER EVICTION")
    lines: list[Line] = [_row(shop.LEAKING.upper(), [line(title, Style.DIM) for title in titles], Style.DIM)]
    cells: list[tuple[str, Callable[[Chapter], Line]]] = [
        ("nginx, last 10 s", lambda c: codes_line(c.recent[shop.LEAKING], look)),
        ("error rate", lambda c: _rate(c.recent[shop.LEAKING])),
        ("open descriptors", lambda c: line(_of(c.leaking))),
        ("goroutines", lambda c: line(number(c.leaking.levels.goroutines))),
        ("verdict", lambda c: [verdict_span(c.leaking.verdict)]),
        ("pod", lambda c: line(pod_suffix(c.leaking))),
        ("restarts, evictions", lambda c: line(f"{_restarts(c.leaking)}, {_evictions(c)}")),
    ]
    lines += [_row(label, [cut(cell(each), _COLUMN, look) for each in chapters]) for label, cell in cells]
    lines += [line(), *_others(account, look, width)]
    if account.after.records:
        lines += [line(), *_record(account.after.records[0], account.after.leaking, now, width)]
    if after := account.after.outcome:
        lines += [line(), *_outcome(after)]
    lines.append(line())
    for check in checks(account):
        mark = Span(f"{look.verdict_mark(check.good)} ", Style.GREEN if check.good else Style.RED)
        lines.append(cut([mark, Span(check.claim)], width, look))
    return lines


def _row(label: str, cells: Sequence[Line], style: Style = Style.PLAIN) -> Line:
    spans: list[Span] = [*padded(line(label, style), _LABEL)]
    for cell in cells:
        spans += padded(cell, _COLUMN)
    return spans


def _rate(codes: Codes) -> Line:
    rate = error_rate(codes)
    if rate is None:
        return line("no requests", Style.DIM)
    return line(f"{rate:.0%}", Style.RED if rate else Style.GREEN)


def _of(state: ServiceState) -> str:
    return f"{number(state.levels.descriptors)} of {number(state.levels.limit)}"


def _restarts(state: ServiceState) -> int:
    return state.pod.restarts if state.pod else 0


def _evictions(chapter: Chapter) -> int:
    return sum(record.get("type") == "EvictPod" and record.get("phase") == "Done" for record in chapter.records)


def _outcome(table: Mapping[str, Any]) -> list[Line]:
    """The LeakReport's own table."""
    titles = [line(when.upper(), Style.DIM) for when in _TIMES]
    lines = [_row("IN THE LEAKREPORT", titles, Style.DIM)]
    for row in table.get("rows", ()):
        cells = [line("-" if row.get(when) is None else _shown(row[when], row["unit"])) for when in _TIMES]
        lines.append(_row(row["name"], cells))
    return lines


def _shown(value: float, unit: str) -> str:
    if unit == "seconds":
        return f"{1000 * value:.0f} ms"
    if unit == "per second":
        return f"{value:.1f}/s"
    return _percent(value) if unit == "of requests" else f"{value:.0f}"


def _others(account: Account, look: Look, width: int) -> list[Line]:
    """The other services, over the whole run."""
    lines = [_row("BESIDE IT, IN ALL", [line(t, Style.DIM) for t in ("NGINX", "DESCRIPTORS", "POD")], Style.DIM)]
    for name in shop.SOUND:
        state = account.after.seen.state(name)
        left = "the same" if _left_alone(account, name) else "another, or acted on"
        cells = [cut(codes_line(account.after.whole[name], look), _COLUMN - 1, look), line(_of(state)), line(left)]
        lines.append(cut(_row(name, cells), width, look))
    return lines


def _record(record: Mapping[str, Any], state: ServiceState, now: datetime, width: int) -> list[Line]:
    """The operator's own messages about its actions, and the age of the replacement."""
    age = f", its replacement is {_age(state.pod.created, now)} old" if state.pod else ""
    words = [
        f"{record.get('type')} {record.get('pod')}: {record.get('phase')}, {record.get('result', 'not verified')}{age}",
        f"because of {record.get('signal')}: {record.get('reason')}",
        f"outcome: {record.get('message')}",
    ]
    return [
        line("THE OPERATOR'S RECORD (status.actions)", Style.DIM),
        *(line(part) for each in words for part in textwrap.wrap(each, width, subsequent_indent="  ")),
    ]


def _age(created: str, now: datetime) -> str:
    seconds = max(0.0, (now - datetime.fromisoformat(created)).total_seconds())
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
