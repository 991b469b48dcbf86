"""Refusals of the API server about Jobs and CronJobs.

The schedule is read as robfig/cron's standard parser reads it, which the CronJob controller uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from leakwarden.core.audit.written import Refusal, count, mapping

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
# (name, least, most, names)
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_NAMED = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_EVERY = re.compile(r"@every (?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ns|us|ms|s|m|h)){1,6}", re.ASCII)
MAX_NAME = 52  # of a CronJob: the names of its Jobs add 11 characters
_POLICIES = ("Allow", "Forbid", "Replace")


def job(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    yield from _job(spec, "spec")


def cron_job(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    schedule = spec.get("schedule")
    if not isinstance(schedule, str) or not schedule.strip():
        yield "spec.schedule", "is missing"
    elif wrong := _schedule(schedule):
        yield "spec.schedule", wrong
    policy = spec.get("concurrencyPolicy")
    if policy not in (None, "", *_POLICIES):
        yield "spec.concurrencyPolicy", f"is {str(policy)[:40]!r}; {', '.join(_POLICIES)} are allowed"
    for name in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        if (value := count(spec.get(name))) is not None and value < 0:
            yield f"spec.{name}", f"is {value} and must not be negative"
    if spec.get("timeZone") in ("", "Local"):
        yield "spec.timeZone", f"is {spec['timeZone']!r}; a name like Europe/Berlin is needed"
    yield from _job(mapping(mapping(spec.get("jobTemplate")).get("spec")), "spec.jobTemplate.spec")


def _job(spec: Mapping[str, Any], at: str) -> Iterator[Refusal]:
    for name in (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    ):
        if (value := count(spec.get(name))) is not None and value < 0:
            yield f"{at}.{name}", f"is {value} and must not be negative"
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        yield f"{at}.completions", "is missing, and needed with completionMode: Indexed"


def _schedule(schedule: str) -> str:
    """Why the text is not a valid schedule; empty where it is one."""
    if "TZ" in schedule:
        return f"is {schedule[:60]!r}: a time zone belongs into spec.timeZone"
    if schedule.startswith("@"):
        known = schedule in _NAMED or _EVERY.fullmatch(schedule)
        return "" if known else f"is {schedule[:60]!r}; @hourly, @daily, @weekly, @monthly or @yearly is meant"
    fields = schedule.split()
    if len(fields) != len(_FIELDS):
        return f"is {schedule[:60]!r}, of {len(fields)} fields; minute, hour, day, month and day of the week are needed"
    for text, (name, least, most, names) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            if not _in_range(part, least, most, names):
                return f"is {schedule[:60]!r}: {part[:20]!r} is not a {name} ({least} to {most})"
    return ""


def _in_range(part: str, least: int, most: int, names: Mapping[str, int]) -> bool:
    range_, slash, step = part.partition("/")
    if slash and not (step.isascii() and step.isdigit() and len(step) < 6 and int(step) > 0):
        return False
    if range_ in ("*", "?"):
        return True
    first, dash, last = range_.partition("-")
    ends = [_number(each, names) for each in ((first, last) if dash else (first,))]
    if any(end is None or not least <= end <= most for end in ends):
        return False
    return not dash or ends[0] <= ends[1]  # type: ignore[operator]


def _number(text: str, names: Mapping[str, int]) -> int | None:
    if text.isascii() and text.isdigit() and len(text) < 4:
        return int(text)
    return names.get(text.lower())
