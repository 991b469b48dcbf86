"""`ports.Profiler`: from a request to the evidence of a LeakReport. Profiles are taken, read, kept and reported here.

A capture costs the action that waits for it the pause between its two halves and no more than its time limits; every
failure is a state with a reason, and the pod gets GET requests only.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from leakwarden.adapters.cluster import Session
from leakwarden.adapters.evidence.baselines import Baselines
from leakwarden.adapters.evidence.pods import PodUnread, read_pod
from leakwarden.adapters.evidence.pools import Pools
from leakwarden.adapters.evidence.pprof import Missed, PprofClient, Taken
from leakwarden.adapters.evidence.store import NotStored, Store
from leakwarden.adapters.evidence.ways import Target
from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.evidence_reasons import EvidenceReason
from leakwarden.api.v1alpha1.evidence_status import BaselineStatus, EvidenceState, EvidenceStatus, ProfileStatus
from leakwarden.core.model.policy import format_time
from leakwarden.core.profile.baseline import SiteCounts, site_counts
from leakwarden.core.profile.evidence import Findings
from leakwarden.core.profile.port import NoPort, profile_port
from leakwarden.core.profile.pprof import ProfileError
from leakwarden.core.profile.suspects import explain
from leakwarden.core.profile.telling import growing, short_place, summary, told
from leakwarden.engine.ports import CaptureRequest

log = logging.getLogger("leakwarden.evidence")

COUNTING = 20.0  # s for a baseline; a capture that an action waits for comes after it
KEEPING = 30.0  # s for all profiles of a capture; an action waits meanwhile
_SUFFIX = ".pb.gz"


@dataclass(slots=True)
class EvidenceProfiler:
    """One pod at a time, and one capture of a Deployment within the policy's cooldown.

    The cooldown is kept in memory: an operator that was restarted may take profiles once more, which costs the service
    one capture and changes nothing.
    """

    session: Session
    client: PprofClient
    store: Store
    pools: Pools
    clock: Callable[[], float]
    baselines: Baselines = field(default_factory=Baselines)
    _asked: dict[str, float] = field(default_factory=dict)  # Deployment's UID -> when a pod of it was last profiled

    async def capture(self, request: CaptureRequest) -> EvidenceStatus:
        now = self.clock()
        try:
            status = await self._capture(request, now)
        except Exception:
            log.exception("a capture failed", extra={"report": request.report})
            status = _without(EvidenceState.FAILED, EvidenceReason.DEFECT, "a defect of Leakwarden; see its log", now)
        log.info("evidence", extra={"report": request.report, "state": str(status.state), "reason": status.reason})
        return status

    async def baseline(self, request: CaptureRequest, renew: bool = False) -> bool:
        """Count a healthy pod's goroutines and objects at each stack of this template, unless the counts are known and
        not to be renewed; True where they are known now."""
        key = baseline_key(request)
        try:
            async with asyncio.timeout(COUNTING):
                if not renew and await self.baselines.get(key) is not None:
                    return True
                facts = await read_pod(self.session, request.pod)
                port = profile_port(request.spec.port, facts.annotation, facts.ports, request.container)
                taken = await self.client.capture(
                    Target(facts.pod, port, request.spec.path), request.goroutines, moments=1
                )
                goroutines, heaps = taken.of("goroutine"), taken.of("heap")
                if not goroutines:
                    return False
                heap = heaps[0] if heaps else None
                counts = await asyncio.to_thread(site_counts, goroutines[0], heap, self.clock())
                await self.baselines.put(key, counts)
                return True
        except (NoPort, PodUnread, ProfileError, TimeoutError):
            return False
        except Exception:
            log.exception("a baseline failed", extra={"workload": request.workload.key})
            return False

    async def _capture(self, request: CaptureRequest, now: float) -> EvidenceStatus:
        spec = request.spec
        if not spec.enabled:
            return _without(EvidenceState.SKIPPED, EvidenceReason.DISABLED, "spec.evidence.enabled is false", now)
        waited = now - self._asked.get(request.workload.uid, float("-inf"))
        if 0 <= waited < parse_duration(spec.cooldown):
            message = (
                f"profiles of {request.workload.key} were asked for {waited:.0f}s ago; the cooldown is {spec.cooldown}"
            )
            return _without(EvidenceState.SKIPPED, EvidenceReason.COOLDOWN, message, now)
        status, pool = await asyncio.gather(self._profiled(request, now), self._pool(request, now))
        return status.model_copy(update={"pool": pool})

    async def _pool(self, request: CaptureRequest, now: float) -> str:
        """Facts from metrics are added to the profiles; without them the capture goes on."""
        try:
            return await self.pools.line(request, now)
        except Exception:
            log.exception("the metrics of a pool could not be told", extra={"report": request.report})
            return ""

    async def _profiled(self, request: CaptureRequest, now: float) -> EvidenceStatus:
        spec = request.spec
        try:
            facts = await read_pod(self.session, request.pod)
            port = profile_port(spec.port, facts.annotation, facts.ports, request.container)
        except NoPort as missing:
            return _without(EvidenceState.SKIPPED, EvidenceReason.NO_PORT, str(missing), now)
        except PodUnread as unread:
            reason = EvidenceReason.POD_GONE if unread.gone else EvidenceReason.POD_UNREAD
            return _without(EvidenceState.FAILED, reason, str(unread), now)
        self._remember(request.workload.uid, now)
        taken = await self.client.capture(Target(facts.pod, port, spec.path), request.goroutines)
        baseline = await self.baselines.get(baseline_key(request))
        capture = taken.capture()
        if baseline is not None and baseline.taken_at < now:
            capture = replace(capture, baseline=baseline, baseline_seconds=now - baseline.taken_at)
        found = await asyncio.to_thread(explain, capture, growing=growing(request.signal_type))
        places, trouble = await self._kept(request.report, taken.raw)
        status = _status(taken, found, places, trouble, now)
        return status if capture.baseline is None else status.model_copy(update={"baseline": _told(capture.baseline)})

    def _remember(self, workload: str, now: float) -> None:
        # An hour is longer than any cooldown that is worth one; an entry of a deleted Deployment must not stay here.
        self._asked = {uid: at for uid, at in self._asked.items() if now - at < 24 * 3600}
        # Whole seconds, as attemptedAt is written: a cooldown that is computed from there must not end too early.
        self._asked[workload] = float(int(now))

    async def _kept(self, report: str, raw: Mapping[str, bytes]) -> tuple[Mapping[str, str], str]:
        """Each profile's location, and why there is none; the suspects are worth reporting all the same."""
        if not raw:
            return {}, ""
        try:
            async with asyncio.timeout(KEEPING):
                return await self.store.keep(report, raw), ""
        except NotStored as error:
            return {}, str(error)
        except TimeoutError:
            return {}, f"the store did not take them within {KEEPING:g}s"


def baseline_key(request: CaptureRequest) -> str:
    """A new template may be another binary, whose stacks are others."""
    return f"{request.workload.uid}-{request.workload.template_hash or 'unknown'}"


def _told(counts: SiteCounts) -> BaselineStatus:
    return BaselineStatus(
        taken_at=format_time(counts.taken_at),
        goroutines=sum(counts.goroutines.values()),
        heap_bytes=sum(counts.memory.values()),
        sites=len(counts.goroutines) + len(counts.memory),
    )


def _without(state: EvidenceState, reason: EvidenceReason, message: str, now: float) -> EvidenceStatus:
    return EvidenceStatus(state=state, reason=str(reason), message=message[:1024], attempted_at=format_time(now))


def _status(taken: Taken, found: Findings, places: Mapping[str, str], trouble: str, now: float) -> EvidenceStatus:
    missed = [miss for miss in taken.missed if not _expected(miss)]
    state = EvidenceState.CAPTURED
    if missed:
        state = EvidenceState.PARTIAL if taken.raw else EvidenceState.FAILED
    reason = str(missed[0].reason) if missed else str(EvidenceReason.NOT_STORED) if trouble else ""
    messages = [*dict.fromkeys(f"{miss.profile}: {miss.message}" if miss.profile else miss.message for miss in missed)]
    if trouble:
        messages.append(f"the profiles are not kept: {trouble}")
    suspects = told(found.suspects)
    return EvidenceStatus(
        state=state,
        reason=reason,
        message="; ".join(messages)[:1024],
        attempted_at=format_time(now),
        summary=summary(found),
        suspect=short_place(suspects),
        suspects=suspects,
        profiles=[_profile(name, data, taken, places, now) for name, data in taken.raw.items()],
    )


def _expected(miss: Missed) -> bool:
    """A Go before 1.27 has no list of leaked goroutines; other servers answer unknown paths in other words."""
    return miss.profile == "goroutineleak" and miss.reason in (EvidenceReason.ABSENT, EvidenceReason.STATUS)


def _profile(name: str, data: bytes, taken: Taken, places: Mapping[str, str], now: float) -> ProfileStatus:
    profile = taken.profiles[name.removesuffix(_SUFFIX)]
    return ProfileStatus(
        kind=name.removesuffix(_SUFFIX).partition("-")[0],
        taken_at=format_time(profile.taken or now),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        location=places.get(name, ""),
    )
