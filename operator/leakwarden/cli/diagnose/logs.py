"""The logs of an episode: from files that are named, and from a Loki."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain

from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.adapters.prometheus.loki import LokiLogs
from leakwarden.cli.diagnose.reading import NothingRemembered
from leakwarden.core.correlation.log_lines import LogEvidence, log_evidence
from leakwarden.engine.ports import LogTail


@dataclass(frozen=True, slots=True)
class LogsAsked:
    """Which logs: `files` (- is standard input), and those of the pods in a Loki."""

    files: Sequence[str]
    loki: Endpoint | None
    namespace: str
    pods: str  # a regular expression (RE2) for whole names


def read_logs(asked: LogsAsked, since: float, until: float) -> tuple[LogEvidence | None, list[str]]:
    """Known errors in these logs between two times (epoch s), None where no log was read; and what was not read, in
    words. Raises NothingRemembered."""
    notes: list[str] = []
    stored: Sequence[str] | None = None
    if asked.loki is not None:
        tail = asyncio.run(_of_loki(asked.loki, asked, since, until))
        if tail.trouble:
            notes.append(f"logs of the Loki at {asked.loki.url}: {tail.trouble}")
        else:
            stored = tail.lines
        if tail.more:
            notes.append(f"further lines of known errors: the first {len(tail.lines):,} were read")
    if not asked.files and stored is None:
        return None, notes
    with ExitStack() as stack:
        streams = []
        for file in asked.files:
            if file == "-":
                streams.append(sys.stdin)
                continue
            try:
                streams.append(stack.enter_context(open(file, encoding="utf-8", errors="replace")))
            except OSError as error:
                raise NothingRemembered(f"--log {file}: {error.strerror}") from None
        found = log_evidence(chain(stored or (), chain.from_iterable(streams)), since, until)
    if found.left_out:
        notes.append(f"{found.left_out:,} lines of the logs: too many")
    return found, notes


async def _of_loki(endpoint: Endpoint, asked: LogsAsked, since: float, until: float) -> LogTail:
    loki = LokiLogs(endpoint)
    try:
        return await loki.matching(asked.namespace, asked.pods, since, until)
    finally:
        await loki.close()
