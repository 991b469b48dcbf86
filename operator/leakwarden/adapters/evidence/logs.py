"""`ports.LogReader`: the end of a pod's log, through the API server, which cuts it in bytes, lines and time."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass

from leakwarden.adapters.cluster import Session
from leakwarden.core.model.workload import Pod
from leakwarden.engine.ports import ClusterUnavailable, LogTail

log = logging.getLogger("leakwarden.evidence")

LINES = 5_000
BYTES = 512 << 10
LONGEST_LINE = 1_000  # characters; a log's text of an error is near the beginning of a line
WITHIN = 10.0  # s


@dataclass(frozen=True, slots=True)
class PodLogs:
    session: Session

    async def tail(self, pod: Pod, since: float) -> LogTail:
        query = {
            "tailLines": str(LINES),
            "limitBytes": str(BYTES),
            "sinceSeconds": str(max(1, math.ceil(since))),
            "timestamps": "true",
        }
        if pod.containers:
            query["container"] = pod.containers[0].name
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/log"
        try:
            async with asyncio.timeout(WITHIN):
                reply = await self.session.ask("GET", path, query=query, accept="*/*", timeout=WITHIN)
        except ClusterUnavailable as error:
            return LogTail(trouble=str(error))
        except TimeoutError:
            return LogTail(trouble=f"the API server gave no log within {WITHIN:.0f}s")
        except Exception:
            log.exception("a defect: a log could not be read", extra={"pod": pod.key})
            return LogTail(trouble="a defect of Leakwarden; see its log")
        if reply.status == 403:
            return LogTail(trouble="the right get pods/log is missing")
        if not reply.ok:
            # The server's text may quote a tenant's text.
            return LogTail(trouble=f"the API server answered {reply.status}")
        text = reply.body[:BYTES].decode("utf-8", errors="replace")
        lines = text.split("\n")
        more = len(reply.body) >= BYTES or len(lines) > LINES
        return LogTail([line[:LONGEST_LINE] for line in lines[:LINES] if line.strip()], more=more)
