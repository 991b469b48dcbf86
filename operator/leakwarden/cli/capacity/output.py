"""A capacity as a table, as JSON and as a picture. Values beyond the measured range are marked in each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from leakwarden.core.capacity.sizing import Capacity, Question, Size
from leakwarden.core.correlation.protection import Protection, as_values, in_lines
from leakwarden.core.page.figures import amount

BEYOND = "*"


def table(found: Capacity, question: Question, protection: Sequence[Protection] = ()) -> str:
    lines = ["  requests/s       P99      memory    errors"]
    for point in found.curve:
        bend = "  <- knee" if point.qps == found.knee else ""
        lines.append(
            f"  {point.qps:>10,.1f} {_ms(point.p99):>10} {amount(point.memory, 'bytes'):>10}"
            f" {_share(point.errors):>9}{bend}"
        )
    lines.append("")
    objective = f"a P99 of {question.objective * 1000:g} ms"
    if found.sustained is not None:
        least = "" if found.sustained.bounded else "at least "
        lines.append(f"one pod carries {least}{found.sustained.qps:,.1f} requests/s within {objective}")
    else:
        lines.append(f"what one pod carries within {objective} is not known")
    if found.headroom is not None:
        lines.append(f"headroom today: {found.headroom:.0%}")
    if found.memory is not None:
        lines.append(
            f"memory of a pod: {amount(found.memory.base, 'bytes')}, and {amount(found.memory.per_qps, 'bytes')} for each request/s"
        )
    if found.memory_per_million is not None:
        lines.append(f"memory grows by {amount(found.memory_per_million, 'bytes')} per million requests")
    if found.sizes:
        lines += ["", f"  for {question.qps:,.0f} requests/s, losing   replicas   per pod      memory"]
        lines += [_size(size) for size in found.sizes]
        if any(size.extrapolated for size in found.sizes):
            lines.append(
                f"  {BEYOND} beyond the load that was seen: it is assumed that pods do not slow each other down, as they may"
                " through what they share, such as a database"
            )
    lines += [f"note: {note}" for note in found.notes]
    lines += [f"protection, {line}" for line in in_lines(protection)]
    return "\n".join(lines) + "\n"


def _size(size: Size) -> str:
    mark = BEYOND if size.extrapolated else " "
    line = f"  {size.losing:<26} {size.replicas:>9}{mark}  {f'{size.per_pod:,.1f}/s':>9}  {amount(size.memory, 'bytes'):>10}"
    if size.connections is not None:
        line += f"   {size.connections} connections" + (
            ", more than the database takes" if size.too_many_connections else ""
        )
    return line


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1000:,.1f} ms"


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.2%}"


def as_json(found: Capacity, question: Question, protection: Sequence[Protection] = ()) -> str:
    body: dict[str, Any] = {"objectiveSeconds": question.objective, "qps": question.qps, **asdict(found)}
    body["protection"] = as_values(protection)
    return json.dumps(body, indent=2) + "\n"


def picture(file: str, found: Capacity, question: Question) -> None:
    """A PNG by matplotlib. Raises ImportError where it is not installed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    known = [(point.qps, point.p99 * 1000) for point in found.curve if point.p99 is not None]
    axes.plot([q for q, _ in known], [p for _, p in known], "o-", color="#a50026", label="P99, ms")
    axes.axhline(question.objective * 1000, color="#a50026", linestyle=":", label="objective")
    if found.sustained is not None:
        least = "" if found.sustained.bounded else "at least, "
        axes.axvline(found.sustained.qps, color="#333333", linestyle="--", label=f"{least}carried by one pod")
    axes.set_xlabel("requests/s of one pod")
    axes.set_ylabel("P99, ms")
    axes.set_ylim(bottom=0)
    beside = axes.twinx()
    memory = [(point.qps, point.memory / 2**20) for point in found.curve if point.memory is not None]
    beside.plot([q for q, _ in memory], [m for _, m in memory], "s-", color="#4575b4", label="memory, MiB")
    beside.set_ylabel("memory, MiB")
    beside.set_ylim(bottom=0)
    handles, labels = axes.get_legend_handles_labels()
    more, names = beside.get_legend_handles_labels()
    axes.legend(handles + more, labels + names, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5, frameon=False)
    figure.savefig(file, dpi=110)
