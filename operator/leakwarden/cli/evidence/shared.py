"""What both commands of this folder and their second files use."""

from __future__ import annotations

PATH = "/debug/pprof"
