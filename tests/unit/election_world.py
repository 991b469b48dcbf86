"""A small world for elections: one API server, contenders with clocks of their own, and faults of all kinds.

Nothing is real and nothing waits: events happen in order of true time, and each contender sees its own clock only.
All times are seconds; `true` ones are the world's.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from leakwarden.core.election import Election, Kind, Lease, ReadLease, Stop, Timing, Wait, Write


class Fault(StrEnum):
    PAUSE = "the process stops for a time and goes on"
    KILL = "the process dies; another starts in its place"
    RESIGN = "the process is asked to end; another starts in its place"
    DOWN = "the API server answers nobody"
    DEAF = "the API server does what it is asked, and its answers are lost"
    DELETE = "someone deletes the Lease"
    SLOW = "requests and answers take up to 12 s"


@dataclass(frozen=True)
class Mishap:
    fault: Fault
    at: float
    length: float
    who: int


@dataclass(frozen=True)
class Reign:
    """A contender's belief to lead, from when to when in true time."""

    who: str
    start: float
    end: float


@dataclass
class Contender:
    name: str
    rate: float  # seconds of its clock a true second
    offset: float
    election: Election
    life: int = 0
    paused_until: float = 0.0
    asked: int = 0  # number of the request that it waits for; 0: none
    alarms: int = 0  # number of the alarm that counts
    told_at: float = 0.0

    def local(self, true: float) -> float:
        return self.offset + self.rate * true

    def true(self, local: float) -> float:
        return (local - self.offset) / self.rate


@dataclass
class World:
    rates: Sequence[float]
    mishaps: Sequence[Mishap]
    seed: int
    elect: Callable[[str], Election] = Election
    reigns: list[Reign] = field(default_factory=list)
    acts: list[tuple[float, str]] = field(default_factory=list)
    writes: list[tuple[float, Kind, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.timing = Timing()
        self.lease: Lease | None = None
        self.version = itertools.count(1)
        self.order = itertools.count(1)
        self.now = 0.0
        self.agenda: list[tuple[float, float, int, Callable[[], None]]] = []
        self.contenders = [
            Contender(f"c{number}", rate, self.chance.uniform(0, 1e6), self.elect(f"c{number}/0"))
            for number, rate in enumerate(self.rates)
        ]

    def run(self, until: float) -> None:
        for contender in self.contenders:
            self.later(self.chance.uniform(0, 3), partial(self.go_on, contender))
            self.later(self.chance.uniform(0, 1), partial(self.act, contender))
        for mishap in self.mishaps:
            self.at(mishap.at, partial(self.befall, mishap))
        while self.agenda and self.agenda[0][0] <= until:
            self.now, _, _, happen = heapq.heappop(self.agenda)
            happen()
        self.now = until
        for contender in self.contenders:
            self.note(contender)

    def at(self, true: float, happen: Callable[[], None]) -> None:
        # Events of one moment, as after a pause, happen in any order.
        heapq.heappush(self.agenda, (max(true, self.now), self.chance.random(), next(self.order), happen))

    def later(self, delay: float, happen: Callable[[], None]) -> None:
        self.at(self.now + delay, happen)

    def during(self, fault: Fault) -> bool:
        return any(m.fault is fault and m.at <= self.now < m.at + m.length for m in self.mishaps)

    def delay(self) -> float:
        return self.chance.uniform(0, 12) if self.during(Fault.SLOW) else self.chance.uniform(0.001, 0.1)

    # A contender's process.

    def wakes(self, contender: Contender, happen: Callable[[], None]) -> Callable[[], None]:
        """`happen`, but after the pause when the process is paused, and never in a later process of it."""
        life = contender.life

        def perhaps() -> None:
            if contender.life != life:
                return
            if self.now < contender.paused_until:
                self.at(contender.paused_until, perhaps)
            else:
                happen()

        return perhaps

    def note(self, contender: Contender, election: Election | None = None) -> None:
        """Record the reign up to now by its belief, then change the belief."""
        believed = contender.election
        if not believed.ended:
            start = max(contender.told_at, contender.true(believed.leads_from))
            end = min(self.now, contender.true(believed.leads_until))
            last = self.reigns[-1] if self.reigns else None
            if last is not None and last.who == believed.identity and start <= last.end + 1e-9 and start < end:
                self.reigns[-1] = Reign(last.who, last.start, max(last.end, end))
            elif start < end:
                self.reigns.append(Reign(believed.identity, start, end))
        contender.told_at = self.now
        if election is not None:
            contender.election = election

    def go_on(self, contender: Contender) -> None:
        if contender.asked:
            return
        local = contender.local(self.now)
        match contender.election.next(local):
            case Stop():
                self.replace(contender)
            case Wait(until):
                assert until > local, "a wait that does not end in the future is a whirl"
                contender.alarms += 1
                # A clock's last digit must not turn one wait into many.
                true = contender.true(until) + 1e-6
                self.at(true, self.wakes(contender, partial(self.ring, contender, contender.alarms)))
            case (ReadLease() | Write()) as step:
                self.ask(contender, step)

    def ring(self, contender: Contender, alarm: int) -> None:
        if alarm == contender.alarms:
            self.go_on(contender)

    def replace(self, contender: Contender) -> None:
        """The process ends, and a new one with another identity takes its place."""
        self.note(contender)
        contender.life += 1
        contender.asked = 0
        contender.paused_until = 0.0
        contender.election = self.elect(f"{contender.name}/{contender.life}")
        self.later(self.chance.uniform(0.5, 3), self.wakes(contender, partial(self.go_on, contender)))

    def act(self, contender: Contender) -> None:
        """Now and then it wants to change the cluster, also directly after a pause, and checks if it may."""
        if self.now < contender.paused_until:
            self.at(contender.paused_until, partial(self.act, contender))
            return
        self.later(self.chance.uniform(0.2, 1.5), partial(self.act, contender))
        if contender.election.leads(contender.local(self.now)):
            self.acts.append((self.now, contender.election.identity))

    # The course of a request, as the adapter sends it.

    def ask(self, contender: Contender, step: ReadLease | Write) -> None:
        number = contender.asked = next(self.order)
        sent = contender.local(self.now)
        patience = self.timing.renew_deadline / 2
        if contender.election.leads(sent):
            patience = max(min(patience, contender.election.leads_until - sent), 0.05)

        def answered(status: int, lease: Lease | None) -> None:
            if contender.asked != number:
                return  # given up meanwhile
            contender.asked = 0
            self.heard(contender, step, sent, status, lease)
            self.go_on(contender)

        def arrives() -> None:
            status, lease = self.serve(step)
            if status and not self.during(Fault.DEAF):
                self.later(self.delay(), self.wakes(contender, partial(answered, status, lease)))

        self.later(self.delay(), arrives)
        self.at(contender.true(sent + patience), self.wakes(contender, partial(answered, 0, None)))

    def receive(self, step: Write) -> None:
        self.serve(step)

    def serve(self, step: ReadLease | Write) -> tuple[int, Lease | None]:
        """The API server: versions are the preconditions of writes. Status 0: it is down."""
        if self.during(Fault.DOWN):
            return 0, None
        match step:
            case ReadLease():
                return (200, self.lease) if self.lease else (404, None)
            case Write(kind, wanted):
                if kind is Kind.CREATE and self.lease is not None:
                    return 409, None
                if kind is not Kind.CREATE and self.lease is None:
                    return 404, None
                if self.lease is not None and wanted.version != self.lease.version:
                    return 409, None
                self.lease = replace(wanted, version=str(next(self.version)))
                self.writes.append((self.now, kind, wanted.holder))
                return 200, self.lease

    def heard(
        self, contender: Contender, step: ReadLease | Write, sent: float, status: int, lease: Lease | None
    ) -> None:
        at = contender.local(self.now)
        election = contender.election
        rest = at + self.timing.retry * self.chance.uniform(0.8, 1)
        if isinstance(step, ReadLease) and status in (200, 404):
            after = election.saw(lease, at, rest)
        elif isinstance(step, Write) and status == 200 and lease is not None:
            after = election.wrote(lease, sent, at, rest)
        elif status in (409, 404):
            after = election.unsure(at + self.timing.retry * self.chance.random() / 4)
        else:
            after = election.unsure(rest)
        self.note(contender, after)

    # Faults.

    def befall(self, mishap: Mishap) -> None:
        contender = self.contenders[mishap.who % len(self.contenders)]
        match mishap.fault:
            case Fault.PAUSE:
                contender.paused_until = max(contender.paused_until, self.now + mishap.length)
            case Fault.KILL:
                self.replace(contender)
            case Fault.RESIGN if self.now >= contender.paused_until:
                self.note(contender, contender.election.resigned())
                step = contender.election.release(contender.local(self.now))
                if step is not None:
                    # Sent once; the process is gone before it could be sent again.
                    self.later(self.delay(), partial(self.receive, step))
                self.replace(contender)
            case Fault.DELETE:
                self.lease = None


def overlaps(reigns: Sequence[Reign]) -> list[tuple[Reign, Reign]]:
    """Pairs of different leaders at the same true time; a millionth of a second is the arithmetic's."""
    found = []
    last: Reign | None = None
    for reign in sorted(reigns, key=lambda r: r.start):
        if last is not None and reign.who != last.who and reign.start < last.end - 1e-6:
            found.append((last, reign))
        if last is None or reign.end > last.end:
            last = reign
    return found
