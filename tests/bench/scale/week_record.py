"""The recorded figures of the pressed week, and the table of docs/explanation/scale.md made from them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from tests.bench.scale import week_verdict as verdict
from tests.bench.scale.week_verdict import Seen

RESULTS = Path(__file__).with_name("week.json")
MIB = float(1 << 20)


def figures(seen: Seen, leaking: Set[str], wrong: Sequence[str]) -> dict[str, Any]:
    """What the documentation shows of a run."""
    evictions = seen.counts.get("evictions", ())
    lasted = sorted(each.ended - each.began for each in seen.ticks if each.ended) or [0.0]
    late = verdict.gaps(seen)
    return {
        "pods": seen.pods,
        "minutes": seen.minutes,
        "days": seen.minutes * 60 * seen.rate / 86_400,
        "ticks": len(seen.ticks),
        "tick_median": statistics.median(lasted),
        "tick_longest": lasted[-1],
        "tick_cpu": (seen.cpu_before + seen.cpu) / max(len(seen.ticks), 1),
        "late_excused": sum(1 for at, waited in late if verdict.excused(seen, at, at + waited)),
        "late": len(late),
        "memory_quarters": verdict.quarters(seen),
        "memory_peak": seen.peak,
        "restarts": len(seen.restarts),
        "slowest_probe": seen.slowest_probe,
        "unanswered_probes": len(seen.unanswered),
        "faults": [
            {"what": each.what, "minute": (each.began - seen.began) / 60, "seconds": each.ended - each.began}
            for each in seen.faults
        ],
        "churn": dict(seen.churn),
        "leaking": len(leaking),
        "evictions": len(evictions),
        "evictions_of_healthy": sum(1 for each in evictions if each["workload"] not in leaking),
        "lease_transitions": int(seen.lease.get("leaseTransitions") or 0),
        "lease_longest": verdict.longest_unrenewed(seen),
        "refused_queries": seen.counts.get("refused", 0),
        "queries": seen.counts.get("queries", 0),
        "requests": seen.counts.get("requests", 0),
        "wrong": list(wrong),
    }


def keep(found: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def load() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return recorded


def table() -> str:
    found = load()
    quarters = ", ".join(f"{each / MIB:.0f}" for each in found["memory_quarters"])
    ratio = found["memory_quarters"][-1] / found["memory_quarters"][0]
    churn = found["churn"]
    rows = (
        ("pods, Deployments that leak", f"{found['pods']:,}, {found['leaking']}"),
        ("time on the operator's clock, on the wall", f"{found['days']:.1f} days, {found['minutes']:g} minutes"),
        ("ticks; the median and the longest", f"{found['ticks']:,}; {found['tick_median']:.1f} s, {found['tick_longest']:.1f} s"),
        ("CPU of a tick, first read and catching up included", f"{found['tick_cpu']:.2f} s"),
        ("ticks begun late; of these while a source was down or just back", f"{found['late']}; {found['late_excused']}"),
        ("memory by quarters (median); last to first", f"{quarters} MiB; {ratio:.2f}"),
        ("pods evicted by the operator; of these healthy", f"{found['evictions']}; {found['evictions_of_healthy']}"),
        ("by others: rollouts, evictions, scalings; refused while the API server was away",
         f"{churn['rollouts']}, {churn['evictions']}, {churn['scalings']}; {churn['refused']}"),
        ("Lease: changes of hands; longest time between two renewals", f"{found['lease_transitions']}; {found['lease_longest']:.1f} s"),
        ("restarts, where the API server was away for longer than the Lease allows", f"{found['restarts']}"),
        ("slowest /healthz; not answered", f"{found['slowest_probe']:.2f} s; {found['unanswered_probes']}"),
        ("queries; of these answered with 500", f"{found['queries']:,}; {found['refused_queries']:,}"),
    )  # fmt: skip
    faults = "; ".join(f"{each['what']} ({each['seconds']:.0f} s)" for each in found["faults"])
    wrong = "; ".join(found["wrong"]) or "nothing"
    lines = [
        f"Measured by `{found['command']}` on {found['machine']}, {found['date']}.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        f"Faults, in their order: {faults}.",
        f"What should not have happened: {wrong}.",
    ]
    return "\n".join(lines)
