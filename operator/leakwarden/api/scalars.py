"""The small grammars a person types into a policy: durations, shares of a limit, amounts.

Each has one parser that raises only `ValueError`, with a message that names the allowed values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# Weeks and days first, as Prometheus writes them; the rest is what CEL's `duration()` and Go's `time.ParseDuration` share.
# At most ten digits each, so that no value is beyond what a float or a Go duration can hold.
DURATION_PATTERN = r"^(([0-9]{1,4}w)?[0-9]{1,5}d|[0-9]{1,4}w)?([0-9]{1,10}([.][0-9]{1,10})?(ms|s|m|h))*$"
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}

_AMOUNT = re.compile(r"^([0-9]{1,15}(?:\.[0-9]{1,15})?)(%|[kMGT]i?)?$", re.ASCII)
# At most 15 digits: no limit that can be read comes near it.
AMOUNT_PATTERN = r"^[0-9]{1,15}([.][0-9]{1,15})?(%|[kMGT]i?)?$"
MAX_AMOUNT = 999_999_999_999_999  # of a number that is written as one
_FACTOR = {
    "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


@lru_cache(maxsize=4096)  # a thousand policies write the same few, and are read in each tick
def parse_duration(text: str) -> float:
    """Seconds of a duration such as `90s`, `1h30m`, `1d` or `2w`.

    The grammar is Go's, less signs and sub-millisecond units, with weeks and days before it. `cel_milliseconds` is the same
    for the API server, so that it and the operator agree on every value.
    """
    if not text or len(text) > 32 or re.fullmatch(DURATION_PATTERN, text, re.ASCII) is None:
        raise ValueError(f"{text[:40]!r} is not a duration; write it like 90s, 5m, 1h30m or 1d")
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


def cel_milliseconds(field: str) -> str:
    """A CEL expression for the milliseconds of the duration that the text `field` means; CEL itself knows neither days nor
    weeks.

    It uses positions and numbers, not split, replace or concatenated text: the API server estimates a rule's worst
    cost, and refuses the CRD for those.
    """
    week, day = f"{field}.indexOf('w')", f"{field}.indexOf('d')"
    weeks = f"({week} < 0 ? 0 : int({field}.substring(0, {week})) * 604800000)"
    days = f"({day} < 0 ? 0 : int({field}.substring({week} + 1, {day})) * 86400000)"
    last = f"({day} < 0 ? {week} : {day})"
    rest = f"({last} == size({field}) - 1 ? 0 : duration({field}.substring({last} + 1)).getMilliseconds())"
    return f"({weeks} + {days} + {rest})"


def format_duration(seconds: float) -> str:
    """The shortest readable Go-style duration, rounded as a person would: `3d4h` is `76h`."""
    if seconds < 60:
        return f"{seconds:.0f}s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}m{rest}s" if rest and minutes < 10 else f"{minutes}m"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours}h{rest}m" if rest and hours < 10 else f"{hours}h"


@dataclass(frozen=True, slots=True)
class Amount:
    """A threshold: a share of the signal's limit (`share`, 0..1) or an absolute number (`value`)."""

    share: float | None
    value: float | None

    def __str__(self) -> str:
        if self.share is not None:
            return f"{self.share * 100:g}% of its limit"
        return f"{self.value:g}"


@lru_cache(maxsize=4096)
def parse_amount(text: str) -> Amount:
    """`80%` is a share of the limit; `200`, `1.5`, `10k` and `512Mi` are absolute."""
    match = _AMOUNT.fullmatch(text) if len(text) <= 32 else None
    if match is None:
        raise ValueError(
            f"{text[:40]!r} is not an amount; write a share of the limit like 80% or a number like 200, 10k, 512Mi"
        )
    number = float(match[1])
    unit = match[2]
    if unit == "%":
        if not 0 < number <= 100:
            raise ValueError(f"{text!r} must be above 0% and at most 100%")
        return Amount(share=number / 100, value=None)
    return Amount(share=None, value=number * _FACTOR[unit] if unit else number)


def parse_int_or_percent(value: int | str, of: int) -> int:
    """How many of `of` a budget such as `1` or `25%` allows: rounded down, but at least one.

    Down, because a budget is a promise; at least one, because a budget that allows nothing would silently turn a small
    Deployment's policy off.
    """
    if isinstance(value, int):
        return value
    return max(1, int(of * float(value.rstrip("%")) / 100))
