"""What was seen in a pressed week, and what of it should not have been: no fault may go without being named."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from tests.bench.scale.pressed import TickTimes

# Ticks follow each other after an interval; with so many intervals without one at least one was missed.
MISSED_AFTER = 3.0
# The most that memory may grow from the first quarter to the last, as a ratio of their medians.
GROWTH = 1.15
# s of the machine's clock after a change of somebody else's, during which the operator's view may lack it.
VIEW_LAGS = 5.0
API_KILLED = "API server killed"
MAX_UNAVAILABLE = 1  # the policies' budget, the default
COOLDOWN = 600.0  # s on the operator's clock, the default
# s of the machine's clock after a source is back, within which readings are caught up.
CATCHING_UP = 15.0


@dataclass(slots=True)
class Fault:
    what: str
    began: float
    ended: float = 0.0


@dataclass(slots=True)
class Seen:
    """One run. Times are the machine's epoch s except where noted."""

    pods: int = 0
    rate: float = 1.0
    interval: float = 0.0
    minutes: float = 0.0
    began: float = 0.0
    restarts: list[tuple[float, int]] = field(default_factory=list)  # the operator ended by itself: when, exit code
    deadline: float = 40.0  # s within which a leader has to renew its Lease, or it ends
    memory: list[tuple[float, float]] = field(default_factory=list)  # time, bytes
    peak: float = 0.0
    cpu: float = 0.0  # s of the operator's process
    cpu_before: float = 0.0  # of those before it
    slowest_probe: float = 0.0
    unanswered: list[tuple[float, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    ticks: Sequence[TickTimes] = ()
    churn: Mapping[str, int] = field(default_factory=dict)
    touched: Mapping[str, Sequence[float]] = field(default_factory=dict)  # changes by Deployment
    counts: Mapping[str, Any] = field(default_factory=dict)  # of the stage
    lease: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    policies: Sequence[Mapping[str, Any]] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def faults_of(seen: Seen, leaking: Set[str]) -> list[str]:
    """One line for everything that should not have happened; empty after a good week."""
    return [
        *_ended(seen),
        *_missed_ticks(seen),
        *_memory(seen),
        *_wrong_evictions(seen, leaking),
        *_exceeded_budgets(seen),
        *_lost_leases(seen),
        *_not_played(seen),
        *_unknown_at_the_end(seen),
    ]


def _ended(seen: Seen) -> list[str]:
    return [f"the operator ended by itself with {code}" for at, code in seen.restarts if not had_to_end(seen, at)]


def had_to_end(seen: Seen, at: float) -> bool:
    """Whether the API server was away for longer than a leader may go on without a renewal, at the time or right
    before it."""
    return any(
        fault.what == API_KILLED
        and fault.began <= at <= (fault.ended or at) + CATCHING_UP
        and (fault.ended or at) - fault.began >= seen.deadline
        for fault in seen.faults
    )


def gaps(seen: Seen) -> list[tuple[float, float]]:
    """Begin and length of the times without a tick that are longer than they should be, s."""
    found = []
    for before, after in pairwise(seen.ticks):
        waited = after.began - before.ended
        if before.ended and waited > MISSED_AFTER * seen.interval:
            found.append((before.ended, waited))
    return found


def _missed_ticks(seen: Seen) -> list[str]:
    wrong = [f"no tick began for {waited:.1f} s" for at, waited in gaps(seen) if not excused(seen, at, at + waited)]
    unended = sum(1 for each in seen.ticks[:-1] if not each.ended and not excused(seen, each.began, each.began))
    failed = seen.metrics.get("leakwarden_tick_failures_total", 0.0)
    if unended:
        wrong.append(f"{unended} ticks did not end")
    if failed:
        wrong.append(f"{failed:.0f} ticks failed")
    return wrong


def excused(seen: Seen, since: float, until: float) -> bool:
    """Whether a source was away or just back at some time in between."""
    return any(fault.began <= until and since <= (fault.ended or until) + CATCHING_UP for fault in seen.faults)


def quarters(seen: Seen) -> list[float]:
    """Median memory of each quarter of the run, bytes."""
    values = [value for _, value in seen.memory]
    size = len(values) // 4
    return [statistics.median(values[place * size : (place + 1) * size]) for place in range(4)] if size else []


def _memory(seen: Seen) -> list[str]:
    found = quarters(seen)
    if not found:
        return ["memory was not sampled"]
    ratio = found[-1] / found[0]
    return [f"memory grew by a factor of {ratio:.2f} from the first quarter to the last"] if ratio > GROWTH else []


def _wrong_evictions(seen: Seen, leaking: Set[str]) -> list[str]:
    return [
        f"the healthy pod {each['namespace']}/{each['pod']} was evicted"
        for each in seen.counts.get("evictions", ())
        if each["workload"] not in leaking
    ]


def _exceeded_budgets(seen: Seen) -> list[str]:
    wrong = []
    last: dict[str, float] = {}
    for each in seen.counts.get("evictions", ()):
        others = any(0 <= each["at"] - at <= VIEW_LAGS for at in seen.touched.get(each["workload"], ()))
        if not others and each["ready"] - 1 < each["replicas"] - MAX_UNAVAILABLE:
            wrong.append(f"{each['pod']} was evicted with {each['ready']} of {each['replicas']} pods ready")
        since = each["on_clock"] - last.get(each["workload"], float("-inf"))
        if since < COOLDOWN:
            wrong.append(f"{each['pod']} was evicted {since:.0f} s after another pod of {each['workload']}")
        last[each["workload"]] = each["on_clock"]
    return wrong


def _lost_leases(seen: Seen) -> list[str]:
    changes = int(seen.lease.get("leaseTransitions") or 0)
    holder = str(seen.lease.get("holderIdentity") or "")
    # Each operator that had to end was followed by another one.
    if changes > sum(1 for at, _ in seen.restarts if had_to_end(seen, at)) or not holder:
        return [f"the Lease changed hands {changes} times and is held by {holder or 'nobody'}"]
    return []


def longest_unrenewed(seen: Seen) -> float:
    """The longest time between two renewals of the Lease, s."""
    renewals = seen.counts.get("renewals", ())
    return max((b - a for a, b in pairwise(renewals)), default=0.0)


def _not_played(seen: Seen) -> list[str]:
    return [f"the played Prometheus has no answer to {query}" for query in seen.counts.get("unknown", ())]


def _unknown_at_the_end(seen: Seen) -> list[str]:
    """All of it has to be well again once the sources are: every policy is judged."""
    wrong = []
    for each in seen.policies:
        unknown = each.get("status", {}).get("targets", {}).get("unknown")
        if unknown is None or unknown > 1:  # the pods of a rollout that goes on are not judged yet
            wrong.append(f"{each['metadata']['namespace']}: {unknown} targets are Unknown at the end")
    return wrong
