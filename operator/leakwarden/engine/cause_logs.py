"""Lines of known errors of an episode: from the configured Loki, else from the pods' own logs, as far as each is
allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from leakwarden.core.correlation.log_lines import LogEvidence, log_evidence
from leakwarden.core.correlation.remembered import Asked
from leakwarden.core.model.workload import Pod
from leakwarden.engine.ports import LogReader, LogStore, LogTail

NOT_ALLOWED = (
    "logs were not looked at: the installation does not allow it (evidence.logs.enabled of the chart) and has no Loki"
)
NO_POD = "logs were not looked at: the Deployment has no pod"


@dataclass(frozen=True, slots=True)
class EpisodeLogs:
    """`pods` are those whose own logs are read, where the `store` gives nothing."""

    asked: Asked
    pods: Sequence[Pod]
    reader: LogReader | None  # None: the installation does not allow pods' logs to be read
    store: LogStore | None  # None: no Loki is configured

    async def read(self) -> tuple[LogEvidence | None, str]:
        """The known errors (None: no log was read, which says nothing about errors), and a remark."""
        failed = ""
        if self.store is not None:
            found, said = await self._stored(self.store)
            if found is not None:
                return found, said
            failed = f"{said}; "
        if self.reader is None:
            return None, failed.removesuffix("; ") or NOT_ALLOWED
        found, said = await self._of_pods(self.reader)
        return found, failed + said

    async def _stored(self, store: LogStore) -> tuple[LogEvidence | None, str]:
        asked = self.asked
        tail = await store.matching(asked.namespace, asked.pods, asked.since, asked.until)
        if tail.trouble:
            return None, f"Loki {store.name}: {tail.trouble}"
        bounds = ", and there are more" if tail.more else ""
        found = await asyncio.to_thread(log_evidence, tail.lines, asked.since, asked.until)
        return found, f"asked Loki {store.name}: {len(tail.lines):,} lines of known errors{bounds}"

    async def _of_pods(self, reader: LogReader) -> tuple[LogEvidence | None, str]:
        if not self.pods:
            return None, NO_POD
        asked = self.asked
        tails = await asyncio.gather(*(reader.tail(pod, asked.until - asked.since) for pod in self.pods))
        lines = [line for tail in tails for line in tail.lines]
        note = _remark(self.pods, tails)
        if all(tail.trouble for tail in tails):
            return None, note
        return await asyncio.to_thread(log_evidence, lines, asked.since, asked.until), note


def _remark(pods: Sequence[Pod], tails: Sequence[LogTail]) -> str:
    read = [
        f"{pod.name}: {'the last ' if tail.more else ''}{len(tail.lines):,} lines"
        for pod, tail in zip(pods, tails, strict=True)
        if not tail.trouble
    ]
    failed = [f"{pod.name}: {tail.trouble}" for pod, tail in zip(pods, tails, strict=True) if tail.trouble]
    parts = [f"looked at {', '.join(read)}"] if read else []
    return "; ".join([*parts, *(["not at " + ", ".join(failed)] if failed else [])])
