"""The signals that workloads have and lack, by the statuses of their policies: for people and for scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from leakwarden.api.v1alpha1.conditions import ConditionReason
from leakwarden.api.v1alpha1.status import Condition, WorkloadStatus
from leakwarden.cli.liveness import Liveness, age
from leakwarden.cli.status_workloads import all_workloads
from leakwarden.core.model.policy import Policy, format_time
from leakwarden.core.model.text import printable

HEADINGS = ("WORKLOAD", "SIGNAL", "STATE", "WHAT TO DO")


@dataclass(frozen=True, slots=True)
class SignalEntry:
    """One signal of one workload."""

    signal: str
    state: str  # Available, Unknown, or the reason why it is missing
    text: str = ""  # the fix where it is missing, the cause where it is Unknown


@dataclass(frozen=True, slots=True)
class Shown:
    """One workload with its signals."""

    name: str
    available: tuple[SignalEntry, ...]
    missing: tuple[SignalEntry, ...]
    unknown: tuple[SignalEntry, ...]
    more: int = 0  # missing signals that the status had no room for


@dataclass(frozen=True, slots=True)
class DescribedPolicy:
    """One policy with the workloads that its status lists."""

    namespace: str
    name: str
    source: str
    workloads: tuple[Shown, ...]
    notes: tuple[str, ...]  # signals that cannot be measured from outside a pod
    trouble: str = ""  # why the status is not complete; empty where it is
    written: float = 0.0  # when the status was written, epoch s; 0: not known
    age: str = ""  # the same in words; empty: not known
    lacks: tuple[str, ...] = ()  # things that the policy as a whole needs and does not have, each in one line

    @property
    def missing(self) -> int:
        return len(self.lacks) + sum(len(workload.missing) + workload.more for workload in self.workloads)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


def describe(policy: Policy, written: float, now: float) -> DescribedPolicy:
    """The policy as its status shows it: nothing is judged here, and nothing else is read. Times in epoch seconds."""
    status = policy.status
    workloads = tuple(_shown(policy, workload) for workload in all_workloads(policy))
    return DescribedPolicy(
        policy.namespace, policy.title, status.source, workloads=workloads, notes=tuple(status.notes), trouble=_trouble(policy, workloads),
        written=written, age=age(written, now), lacks=_lacks(policy),
    )  # fmt: skip


def _stalled(policy: Policy) -> Condition | None:
    return next((each for each in policy.status.conditions if each.type == "Stalled" and each.status == "True"), None)


def _lacks(policy: Policy) -> tuple[str, ...]:
    stalled = _stalled(policy)
    return (stalled.message,) if stalled is not None and stalled.reason == ConditionReason.SILENCES_UNREAD else ()


def _trouble(policy: Policy, workloads: Sequence[Shown]) -> str:
    status = policy.status
    if policy.error:
        return f"its spec cannot be used: {policy.error}"
    if not status.conditions:
        return "the operator has not judged it yet; is it running, and does it watch this namespace?"
    if status.observed_generation < policy.generation:
        return "the operator has not judged its present spec yet; what follows is of the one before"
    stalled = _stalled(policy)
    if stalled is not None and not _lacks(policy):
        return stalled.message
    if not workloads:
        return "it selects no workload"
    mute = [workload.name for workload in workloads if not workload.available and not workload.missing]
    if mute:
        return f"nothing can be told of {', '.join(mute[:5])}{' and others' if len(mute) > 5 else ''} for the moment"
    hidden = status.targets.workloads - len(workloads)
    return f"its status has no room for {hidden} more of its workloads" if hidden > 0 else ""


def _shown(policy: Policy, workload: WorkloadStatus) -> Shown:
    missing = tuple(SignalEntry(one.signal, one.reason, one.fix) for one in workload.missing)
    more = max(0, workload.missing_total - len(missing))
    told = {*workload.available, *(entry.signal for entry in missing)}
    causes = {signal.name: signal for signal in policy.status.signals}
    # Where the list of missing signals is cut, a signal in neither list may be missing or unknown.
    rest = [] if more else [name for name in causes if name not in told]
    unknown = tuple(SignalEntry(name, "Unknown", _cause(causes[name].reason, causes[name].message)) for name in rest)
    return Shown(
        workload.title, tuple(SignalEntry(name, "Available") for name in workload.available), missing, unknown, more
    )


def _cause(reason: str, message: str) -> str:
    return ": ".join(part for part in (reason, message) if part) or "no reading for the moment"


def table(policies: Sequence[DescribedPolicy]) -> str:
    """One block per policy, one row per signal; the notes, which hold for all, once at the end."""
    blocks = [_block(policy) for policy in policies]
    notes = list(dict.fromkeys(printable(note) for policy in policies for note in policy.notes))
    if notes:
        blocks.append("\n".join(f"note: {note}" for note in notes))
    workloads = sum(len(policy.workloads) for policy in policies)
    missing = sum(policy.missing for policy in policies)
    counts = f"{_count(len(policies), 'policy', 'policies')}, {_count(workloads, 'workload', 'workloads')}"
    blocks.append(f"{counts}: {_count(missing, 'thing', 'things')} missing")
    return "\n\n".join(blocks)


def _block(policy: DescribedPolicy) -> str:
    rows = [HEADINGS]
    for workload in policy.workloads:
        name = workload.name
        for entry in (*workload.available, *workload.missing, *workload.unknown):
            rows.append((name, entry.signal, entry.state, entry.text))
            name = ""  # printed once is enough
        if workload.more:
            rows.append((name, "", "", f"and {workload.more} more that the status has no room for"))
    said = [part for part in (policy.source, f"status {policy.age}" if policy.age else "") if part]
    source = f"  ({', '.join(said)})" if said else ""
    lines = [f"{printable(policy.key)}{printable(source)}"]
    if len(rows) > 1:
        cells = [tuple(printable(cell) for cell in row) for row in rows]
        widths = [max(len(row[column]) for row in cells) for column in range(3)]
        lines += [
            "  " + "  ".join((*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[3])).rstrip()
            for row in cells
        ]
    lines += [f"  lacks: {printable(lack)}" for lack in policy.lacks]
    return "\n".join(lines)


def as_json(policies: Sequence[DescribedPolicy], operator: Liveness) -> str:
    return json.dumps(
        {
            "operator": {"state": str(operator.state), "message": operator.message},
            "policies": [
                {
                    "namespace": policy.namespace,
                    "name": policy.name,
                    "source": policy.source,
                    "trouble": policy.trouble,
                    "written": format_time(policy.written) if policy.written else None,
                    "workloads": [
                        {
                            "name": workload.name,
                            "available": [entry.signal for entry in workload.available],
                            "missing": [
                                {"signal": entry.signal, "reason": entry.state, "fix": entry.text}
                                for entry in workload.missing
                            ],
                            "missingTotal": len(workload.missing) + workload.more,
                            "unknown": [
                                {"signal": entry.signal, "cause": entry.text} for entry in workload.unknown
                            ],
                        }
                        for workload in policy.workloads
                    ],
                    "lacks": list(policy.lacks),
                    "notes": list(policy.notes),
                }
                for policy in policies
            ],
            "missing": sum(policy.missing for policy in policies),
        },
        indent=2,
    )  # fmt: skip


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
