"""Thresholds that `make tune` has set; do not edit. What they were set by: nothing yet."""

from __future__ import annotations

from collections.abc import Mapping

TUNED: Mapping[str, float | tuple[float, ...]] = {}
