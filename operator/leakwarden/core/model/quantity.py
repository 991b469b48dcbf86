"""Amounts as Kubernetes writes them."""

from __future__ import annotations

import re

_QUANTITY = re.compile(
    r"^([+-]?[0-9]*\.?[0-9]+|[+-]?[0-9]+\.)(?:([eE][+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i))?$", re.ASCII
)
_FACTOR = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


def parse_quantity(value: int | float | str | None) -> float | None:
    """The number in a Kubernetes quantity (`512Mi`, `1e9`, `500m`); None where there is none that can be read."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    match = _QUANTITY.fullmatch(value.strip())
    if match is None or len(value) > 64:
        return None
    number, exponent, suffix = match.groups()
    return float(number + (exponent or "")) * _FACTOR.get(suffix or "", 1.0)
