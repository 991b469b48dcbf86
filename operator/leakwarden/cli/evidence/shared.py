"""Definitions that both commands of this folder use."""

from __future__ import annotations

PATH = "/debug/pprof"
