"""The signals: the quantity, the metrics, the limit and the role of each."""

from __future__ import annotations

import re
from collections.abc import Iterable

from leakwarden.api.v1alpha1.signal import DEFAULT_ROLES, SignalType
from leakwarden.core.signals.catalogue import CATALOGUE, CONTEXT, LimitKind, Row
from tests.docs.tables import cell, code, table

_LIMITS = {
    LimitKind.METRIC: "a metric",
    LimitKind.CONTAINER_MEMORY: "`resources.limits.memory` of the container",
    LimitKind.SHARE: "1, the whole",
    LimitKind.NONE: "none; an absolute `threshold` stands for it",
}
# The names before a selector's brace, in the order in which a query prefers them.
_NAME = re.compile(r"\b([a-z_:][a-z0-9_:]*)\{")
_OWN = {
    SignalType.PROMQL: ("the query's", "`limitQuery`"),
    SignalType.ALERT: ("none", "none: the alert has its own threshold"),
}


def metrics_in(template: str) -> list[str]:
    """The metrics that a query reads, each once."""
    return list(dict.fromkeys(_NAME.findall(template)))


def _names(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names) or "-"


def overview() -> str:
    """Every type with its role, unit and limit."""
    rows = []
    for kind in SignalType:
        row = CATALOGUE.get(kind)
        unit, limit = (cell(row.unit), _LIMITS[row.limit_kind]) if row is not None else _OWN[kind]
        rows.append((code(kind), str(DEFAULT_ROLES[kind]), unit, limit, _judged(kind, row)))
    return table(("type", "role", "unit", "limit", "judged by"), rows)


def _judged(kind: SignalType, row: Row | None) -> str:
    if kind is SignalType.ALERT:
        return "whether it fires"
    return "threshold" if row is not None and not row.grows else "growth, and threshold where there is one"


def metrics() -> str:
    """For each built-in type the metrics that are read, the preferred first."""
    rows = []
    for kind, row in CATALOGUE.items():
        limits = metrics_in(row.limit) if row.limit is not None else []
        kubelet = (row.kubelet.value, row.kubelet.limit) if row.kubelet is not None else ()
        rows.append(
            (code(kind), _names(metrics_in(row.value)), _names(limits), _names(each for each in kubelet if each))
        )
    return table(("type", "from Prometheus", "its limit", "from the kubelet"), rows)


def missing() -> str:
    """The fix where a workload lacks a signal, or its limit."""
    rows = [(code(kind), cell(row.fix), cell(row.limit_fix) or "-") for kind, row in CATALOGUE.items()]
    return table(("type", "without readings", "without a limit"), rows)


def context() -> str:
    """The metrics that explain growth."""
    return table(("read as", "from Prometheus"), ((code(name), _names(metrics_in(q))) for name, q in CONTEXT.items()))
