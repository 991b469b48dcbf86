"""Reads values of a manifest with care: any value may have any type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

Refusal: TypeAlias = tuple[str, str]  # (field, reason); the reason is read after the field

_PERCENT = re.compile(r"([0-9]{1,9})%", re.ASCII)


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def count(value: Any) -> int | None:
    """The value as a whole number; None for anything else, including true and false."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def share(text: str) -> int | None:
    """The number before the %; None where the text is not a percentage."""
    match = _PERCENT.fullmatch(text)
    return int(match[1]) if match else None


def items(value: Any) -> list[Mapping[str, Any]]:
    return [mapping(item) for item in value] if isinstance(value, list) else []
