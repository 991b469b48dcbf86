"""The output of the load generator and of nginx, read back from `kubectl logs`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any


def load_report(log: str) -> dict[str, Any]:
    """The load generator's report. ValueError where there is none (yet): the log then ends with a progress line."""
    for entry in json_lines(log):
        if entry.get("report") == "loadgen":
            return entry
    raise ValueError("the load generator's log holds no report: it has not ended, or was killed")


def status_codes(access_log: str, location: str) -> Counter[int]:
    """How often nginx answered users of /LOCATION/ with which status."""
    return Counter(
        int(entry["status"])
        for entry in json_lines(access_log)
        if str(entry.get("uri", "")).startswith(f"/{location}/")
    )


def json_lines(log: str) -> Iterator[dict[str, Any]]:
    """Lines that are JSON objects; a line cut off by the log's rotation, or plain text, is not one."""
    for line in log.splitlines():
        if line.startswith("{"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry
