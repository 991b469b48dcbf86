"""The profiles of a watched process, by the operator's own client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

import aiohttp

from leakwarden.adapters.evidence.pprof import Missed, PprofClient, Taken
from leakwarden.adapters.evidence.ways import Straight, Target
from leakwarden.api.v1alpha1.evidence_reasons import EvidenceReason
from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus
from leakwarden.cli.watch.options import Place
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.workload import Pod
from leakwarden.core.profile.evidence import Findings
from leakwarden.core.profile.suspects import explain
from leakwarden.core.profile.telling import growing, summary, told

COLLECTION = 5.0  # s for one requested collection

NOT_ASKED = Taken(missed=(Missed("", EvidenceReason.DISABLED, "profiles were not asked for (--pprof none)"),))


async def collected(place: Place, seconds: float = COLLECTION) -> None:
    """Let the process collect its garbage: `/debug/pprof/heap?gc=1` does so before it answers (net/http/pprof). Never
    raises; where it fails, the heap is judged by the collections of its own."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(f"{place.url}/heap?gc=1"):
            pass  # the answer itself is of no interest and is not read


async def take(place: Place | None, pause: float, goroutines: float | None) -> Taken:
    """Two captures `pause` seconds apart. Never raises for failures of the process."""
    if place is None:
        return NOT_ASKED
    # The user named the address, so it may be one that no pod has, such as loopback.
    async with Straight(refuse=lambda _: "") as straight:
        target = Target(_as_pod(place), place.port, place.path, place.scheme)
        return await PprofClient(straight, pause=pause).capture(target, goroutines)


def _as_pod(place: Place) -> Pod:
    return Pod(
        "",
        place.host,
        "",
        workload_uid=None,
        created=0.0,
        node="",
        host_ip="",
        pod_ip=place.host,
        phase="Running",
        ready=True,
        terminating=False,
        containers=(),
    )


def named(taken: Taken, kinds: Iterable[str]) -> Findings:
    """The lines that leak, where `kinds` (signal types) are known to grow."""
    known: frozenset[str] = frozenset().union(*(growing(kind) for kind in kinds))
    return explain(taken.capture(), growing=known)


def evidence(taken: Taken, found: Findings) -> EvidenceStatus:
    """The same in the form of a LeakReport."""
    # A Go before 1.27 has no list of leaked goroutines, which does not count as an error.
    missed = [miss for miss in taken.missed if miss.profile != "goroutineleak"]
    state = EvidenceState.CAPTURED if not missed else EvidenceState.PARTIAL if taken.raw else EvidenceState.FAILED
    return EvidenceStatus(
        state=EvidenceState.SKIPPED if taken is NOT_ASKED else state,
        reason=str(missed[0].reason) if missed else "",
        message="; ".join(dict.fromkeys(miss.message for miss in missed))[:1024],
        attempted_at=format_time(time.time()),
        summary=summary(found),
        suspects=told(found.suspects),
    )
