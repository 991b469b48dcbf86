"""Leader election over a coordination.k8s.io Lease: the loop around core.election that talks to the API server.

    election = LeaseElection(session, namespace, "leakwarden", identity_of(pod_name))
    cluster = FencedCluster(ApiCluster(...), election.fence)
    electing = asyncio.create_task(election.run())
    await election.leading.wait()          # then work; should `electing` end before `resign`: stop and exit with 1
    ...                                    # SIGTERM: begin nothing new, let the action under way end, and then
    election.resign()
    await electing                         # the Lease is released, the next leader need not wait

Needs the verbs get, create and update on leases in its namespace.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from leakwarden.adapters.cluster.fence import Fence, boottime
from leakwarden.adapters.cluster.session import Reply, Session
from leakwarden.adapters.cluster.wire import Wire
from leakwarden.api.names import FIELD_MANAGER
from leakwarden.core.election import Election, Kind, Lease, ReadLease, Stop, Timing, Wait, Write
from leakwarden.engine.ports import ClusterUnavailable

log = logging.getLogger("leakwarden.lease")

GROUP_VERSION = "coordination.k8s.io/v1"
# Waits are shortened by up to a fifth, so that contenders do not send requests in step and none is later than promised.
JITTER = 0.2
# Seconds for the release of the Lease. Otherwise the next leader waits for it to expire: slower, and as safe.
RELEASE_WITHIN = 3.0


class _Meta(Wire):
    name: str
    resource_version: str


class _Spec(Wire):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None


class _Lease(Wire):
    metadata: _Meta
    spec: _Spec | None = None


def identity_of(pod_name: str) -> str:
    """An identity for this process alone: a container restarted in the same pod is another contender."""
    return f"{pod_name}_{uuid.uuid4()}"


class LeaseElection:
    """Contends for one Lease, once: after `run` has returned it cannot be used again.

    `clock` is monotonic, in seconds, and the fence's too; `wall` only fills in the times that people read.
    """

    def __init__(
        self,
        session: Session,
        namespace: str,
        name: str,
        identity: str,
        timing: Timing | None = None,
        *,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,  # noqa: S311  (spreads renewals, guards nothing)
    ) -> None:
        self.fence = Fence(clock)
        self.leading = asyncio.Event()
        self._session = session
        self._where = f"lease {namespace}/{name}"
        self._namespace = namespace
        self._name = name
        self._path = f"/apis/{GROUP_VERSION}/namespaces/{namespace}/leases"
        self._timing = timing or Timing()
        self._election = Election(identity, self._timing)
        self._clock = clock
        self._wall = wall
        self._chance = chance
        self._resigning = asyncio.Event()
        self._stored: dict[str, Any] = {}  # the Lease as last read, to keep the fields that others wrote
        self._trouble = "the Lease was not read yet"
        self._told: set[str] = set()

    @property
    def identity(self) -> str:
        return self._election.identity

    @property
    def holder(self) -> str:
        """The identity of the last known holder of the Lease; empty where there is none or it is not known."""
        return self._election.seen.holder if self._election.seen is not None else ""

    @property
    def trouble(self) -> str:
        """One line for people why the Lease cannot be read or written now, or empty."""
        return self._trouble

    async def run(self) -> str:
        """Contend, then renew. Returns why leadership was lost, or an empty string after `resign`.

        Never raises for failures or answers of the API server. The fence is closed at every end.
        """
        try:
            while not self._resigning.is_set():
                step = self._election.next(self._clock())
                match step:
                    case Stop(why):
                        log.error("leadership lost", extra={"lease": self._where, "cause": why})
                        return why
                    case Wait(until):
                        await self._rest(until - self._clock())
                    case ReadLease():
                        await self._look()
                    case Write():
                        await self._write(step)
                self._publish()
            await self._release()
            return ""
        finally:
            self.fence.lower()
            self.leading.clear()

    def resign(self) -> None:
        """Closes the fence now; `run` releases the Lease and returns. Let the work under way end before."""
        self._election = self._election.resigned()
        self.fence.lower()
        self.leading.clear()
        self._resigning.set()

    def _publish(self) -> None:
        now, election = self._clock(), self._election
        if election.ended:
            self.fence.lower()
            return
        self.fence.set(election.leads_from, election.leads_until)
        if election.leads(now) and not self.leading.is_set():
            log.info("leading", extra={"lease": self._where, "identity": self.identity})
            self.leading.set()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._resigning.wait(), max(seconds, 0.0))

    async def _look(self) -> None:
        reply = await self._ask("GET", f"/{self._name}")
        at = self._clock()
        if reply is not None and reply.status == 404:
            # The same answer comes where the whole namespace is missing; the attempt to create the Lease shows which it is.
            self._election = self._election.saw(None, at, self._soon())
        elif reply is not None and reply.ok and (lease := self._read(reply)) is not None:
            before = self.holder
            self._election = self._election.saw(lease, at, self._soon())
            if not isinstance(self._election.next(at), Write):
                self._well()  # where a write follows, that has to succeed as well
            if lease.holder != before and lease.holder != self.identity:
                log.info("another leads" if lease.holder else "nobody leads", extra={"holder": lease.holder})
        else:
            self._failed(reply, "get")

    async def _write(self, step: Write) -> None:
        sent = self._clock()
        if step.kind is Kind.CREATE:
            reply = await self._ask("POST", "", self._body(step))
        else:
            reply = await self._ask("PUT", f"/{self._name}", self._body(step))
        at = self._clock()
        if reply is not None and reply.ok and (lease := self._read(reply)) is not None:
            self._election = self._election.wrote(lease, sent, at, self._soon())
            self._well()
            if step.kind is Kind.CREATE:
                # It may have been deleted under a leader (core/election.py); without this line the wait looks like a fault.
                about = {"lease": self._where, "seconds": self._timing.duration}
                log.info("the Lease is new: this replica leads after its whole duration", extra=about)
        elif reply is not None and (reply.status == 409 or (reply.status == 404 and step.kind is not Kind.CREATE)):
            # Another replica was faster, or the Lease was deleted. A server that answers so each time must not get
            # requests without a pause.
            self._election = self._election.unsure(at + self._timing.retry * self._chance() / 4)
        else:
            self._failed(reply, "create" if step.kind is Kind.CREATE else "update")

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(RELEASE_WITHIN):
                for _ in range(3):
                    if not self._election.known:
                        await self._look()  # a write whose answer was lost may have succeeded
                    step = self._election.release(self._clock())
                    if step is None:
                        return
                    reply = await self._ask("PUT", f"/{self._name}", self._body(step))
                    if reply is not None and reply.ok:
                        log.info("the Lease is released", extra={"lease": self._where})
                        return
                    self._election = self._election.unsure(self._clock())
        except TimeoutError:
            pass
        log.warning("the Lease could not be released; the next leader waits for it to expire")

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> Reply | None:
        """None when no answer came in time: within half the renew deadline, so that there is a second try."""
        timeout = self._timing.renew_deadline / 2
        if self.fence.holds():
            timeout = max(min(timeout, self.fence.remaining()), 0.05)  # beyond it, there is work to stop
        try:
            return await self._session.ask(
                method,
                self._path + path,
                query={"fieldManager": FIELD_MANAGER} if body is not None else None,
                body=body,
                timeout=timeout,
            )
        except ClusterUnavailable as error:
            self._tell(str(error))
            return None

    def _read(self, reply: Reply) -> Lease | None:
        try:
            found = msgspec.json.decode(reply.body, type=_Lease)
            stored = json.loads(reply.body)
        except (ValueError, RecursionError):  # both decoders' errors are ValueErrors
            return None
        self._stored = stored
        spec = found.spec or _Spec()
        return Lease(
            holder=spec.holder_identity or "",
            duration=float(max(spec.lease_duration_seconds or 0, 0)),
            transitions=max(spec.lease_transitions or 0, 0),
            version=found.metadata.resource_version,
        )

    def _body(self, step: Write) -> bytes:
        """The whole Lease, as a PUT requires it, with the labels, annotations and version of the one read."""
        creates = step.kind is Kind.CREATE
        stored = {} if creates else self._stored
        # Where the field is absent the server keeps its value; sending it would claim fields that others own.
        kept = {key: value for key, value in stored.get("metadata", {}).items() if key != "managedFields"}
        now = _micro_time(self._wall())
        spec = {
            **(stored.get("spec") or {}),
            "holderIdentity": step.lease.holder,
            "leaseDurationSeconds": int(step.lease.duration),
            "leaseTransitions": step.lease.transitions,
            "renewTime": now,
        }
        if step.kind is not Kind.RENEW or "acquireTime" not in spec:
            spec["acquireTime"] = now
        named = {"name": self._name, "namespace": self._namespace}
        body = {
            "apiVersion": GROUP_VERSION,
            "kind": "Lease",
            "metadata": named if creates else {**kept, **named, "resourceVersion": step.lease.version},
            "spec": spec,
        }
        return json.dumps(body, separators=(",", ":")).encode()

    def _soon(self) -> float:
        return self._clock() + self._timing.retry * (1 - JITTER * self._chance())

    def _failed(self, reply: Reply | None, verb: str) -> None:
        self._election = self._election.unsure(self._soon())
        if reply is None:
            return  # logged already
        if reply.status == 403:
            right = f"{verb} leases.coordination.k8s.io in namespace {self._namespace}"
            self._tell(f"the operator's account may not {right} (403)")
        elif reply.ok:
            self._tell(f"the API server's answer for {self._where} could not be read")
        elif reply.status == 404:
            self._tell(f"namespace {self._namespace} does not exist")
        else:
            self._tell(f"the API server answered {reply.status} to {verb} {self._where}")

    def _tell(self, cause: str) -> None:
        """Logs one line per cause, until the Lease works again."""
        self._trouble = cause
        if cause not in self._told:
            self._told.add(cause)
            log.warning("the Lease cannot be kept", extra={"lease": self._where, "cause": cause})

    def _well(self) -> None:
        self._trouble = ""
        self._told.clear()


def _micro_time(at: float) -> str:
    """Kubernetes' MicroTime, in UTC: exactly six digits, or the API server refuses it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
