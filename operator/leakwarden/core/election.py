"""Leader election: one contender's next step, from the Lease as it last read it and from its own clock alone.

    saw / wrote / unsure ──► Election ──► next(now): Look | Write(Create, Acquire, Renew) | Wait | Stop
                                     └──► leads(now): may this process change anything at this moment?

Why two never lead at once, as long as no clock runs `duration / renew_deadline` times faster than another:

- A leader counts its time from the moment it *sent* the last renewal that was confirmed, and it ends after
  `renew_deadline`; no other contender can have seen that renewal before it was sent.
- A contender waits `duration` from the moment it *read* the last change; times written in the Lease are never compared
  with any clock. It then writes on condition that the version is still that one.
- A Lease that is absent proves nothing: it may have been deleted under a leader. The contender that creates it keeps others out
  at once, but leads only after a full `duration`.
- A leader that gives up writes so only after it has stopped: `resigned` ends leading, `release` comes later.

All times are seconds on one monotonic clock of the caller's, which must go on while the machine sleeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

# Seconds. A Lease with a longer duration was not written by us; it must not keep all contenders out for ever.
MAX_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; client-go's defaults. Raises ValueError for values with which two replicas could lead at once."""

    duration: float = 15.0  # others wait so long after the last renewal they read
    renew_deadline: float = 10.0  # the leader stops so long after the last renewal that it sent with success
    retry: float = 2.0  # between two requests, less a jitter of the caller's

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration or self.duration != int(self.duration):
            raise ValueError("retry < renewDeadline < duration must hold, and the duration be whole seconds")


@dataclass(frozen=True, slots=True)
class Lease:
    """A coordination.k8s.io Lease as far as an election goes."""

    holder: str  # empty: released, free for all
    duration: float  # s; 0 where it is not given
    transitions: int
    version: str  # resourceVersion; empty: does not exist yet


class Kind(StrEnum):
    CREATE = "Create"
    ACQUIRE = "Acquire"
    RENEW = "Renew"
    RELEASE = "Release"


@dataclass(frozen=True, slots=True)
class ReadLease:
    """Read the Lease."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write `lease`, on condition that its version is still the one there (Create: that there is none)."""

    kind: Kind
    lease: Lease


@dataclass(frozen=True, slots=True)
class Wait:
    """No request is due before `until`."""

    until: float


@dataclass(frozen=True, slots=True)
class Stop:
    """This process led and will not lead again: end it. `why` is a sentence for people."""

    why: str


Step: TypeAlias = ReadLease | Write | Wait | Stop


@dataclass(frozen=True, slots=True)
class Election:
    """One contender's state. A value: each event makes a new one."""

    identity: str  # of this process and no other, also after a restart in the same pod
    timing: Timing = field(default_factory=Timing)
    seen: Lease | None = None
    known: bool = False  # `seen` is the last answer, and the outcome of every write since then is known
    changed_at: float = -math.inf  # when `seen` was first read
    rest_until: float = -math.inf
    leads_from: float = math.inf
    leads_until: float = -math.inf
    ended: str = ""

    def leads(self, now: float) -> bool:
        return not self.ended and self.leads_from <= now < self.leads_until

    def next(self, now: float) -> Step:
        if self.ended:
            return Stop(self.ended)
        if self._may_have_led and now >= self.leads_until:
            return Stop(f"the Lease could not be renewed for {self.timing.renew_deadline:g} s")
        if self.known and self._free(now):
            return self._take()
        if self.known and self._mine and not self._held:
            return self._renew()  # a write of ours that succeeded, but whose answer was lost
        if now < self.rest_until:
            return Wait(min(time for time in self._due() if time > now))
        return self._renew() if self.known and self._mine else ReadLease()

    def saw(self, lease: Lease | None, at: float, rest_until: float) -> Election:
        """Take in the answer to a Look, which came at `at`; None: there is no Lease."""
        same = self._version is not None and lease is not None and lease.version == self._version
        after = replace(self, seen=lease, known=True, changed_at=self.changed_at if same else at, rest_until=rest_until)
        if after._mine:
            return replace(after, rest_until=at)  # a renewal is overdue, else there was no need for a Look
        if not self._held:
            return after
        if self._may_have_led and not self.ended:
            why = "the Lease was deleted" if lease is None else f"{lease.holder or 'nobody'} holds the Lease now"
            return replace(after, ended=why)
        return replace(after, leads_from=math.inf, leads_until=-math.inf)

    def wrote(self, lease: Lease, sent: float, at: float, rest_until: float) -> Election:
        """A write in our name was confirmed: sent at `sent`, answered at `at`; `lease` has its new version."""
        leads_from = self.leads_from
        if not self._held:
            # No transition yet: we created it, and another replica may have led under a deleted one.
            leads_from = at + self.timing.duration if lease.transitions == 0 else at
        return replace(
            self,
            seen=lease,
            known=True,
            changed_at=at,
            rest_until=rest_until,
            leads_from=leads_from,
            leads_until=sent + self.timing.renew_deadline,
        )

    def unsure(self, rest_until: float) -> Election:
        """A request failed, or its answer was lost: read the Lease again before any write."""
        return replace(self, known=False, rest_until=rest_until)

    def resigned(self) -> Election:
        """Leads no more, from now on. To be called before `release` is written."""
        return self if self.ended else replace(self, ended="it resigned")

    def release(self, now: float) -> Write | None:
        """The write by which the next leader need not wait; None when there is nothing of ours to release.

        There is also nothing while we were still waiting to lead: the next contender has to wait for the same leader.
        """
        if not self.ended or self.seen is None or not self._mine or now < self.leads_from:
            return None
        return Write(Kind.RELEASE, Lease("", 1.0, self.seen.transitions, self.seen.version))

    @property
    def _version(self) -> str | None:
        return self.seen.version if self.seen is not None else None

    @property
    def _mine(self) -> bool:
        return self.seen is not None and self.seen.holder == self.identity

    @property
    def _held(self) -> bool:
        return self.leads_until > -math.inf

    @property
    def _may_have_led(self) -> bool:
        return self.leads_from < self.leads_until

    @property
    def _expires(self) -> float:
        """When a Lease in another's name may be taken."""
        said = min(self.seen.duration, MAX_PATIENCE) if self.seen is not None else 0.0
        return self.changed_at + max(self.timing.duration, said)

    def _free(self, now: float) -> bool:
        if self.seen is None or not self.seen.holder:
            return True
        return not self._mine and now >= self._expires

    def _due(self) -> tuple[float, ...]:
        contending = self.known and self.seen is not None and not self._mine
        return (self.rest_until, *((self._expires,) if contending else (self.leads_from, self.leads_until)))

    def _take(self) -> Write:
        if self.seen is None:
            return Write(Kind.CREATE, Lease(self.identity, self.timing.duration, 0, ""))
        taken = Lease(self.identity, self.timing.duration, self.seen.transitions + 1, self.seen.version)
        return Write(Kind.ACQUIRE, taken)

    def _renew(self) -> Write:
        assert self.seen is not None
        return Write(Kind.RENEW, Lease(self.identity, self.timing.duration, self.seen.transitions, self.seen.version))
