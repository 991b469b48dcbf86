"""The operator's writes from a decision to its outcome, named by their content, so that two runs can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from e2e.faults.exchange import Exchange

# Leases and Events: no action depends on them.
_BESIDE = ("leases", "events")


def step_of(exchange: Exchange) -> str | None:
    """Such as `PATCH leakreports/status Remediating Pending`; None for a read and for writes that no action depends
    on."""
    if not exchange.changes:
        return None
    parts = exchange.path.strip("/").split("/")
    after = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts else parts
    # A resource, a name where there is one, and a subresource.
    resource = "/".join([after[0], *after[2:]])
    if after[0] in _BESIDE:
        return None
    return " ".join([exchange.method, resource, *_said(exchange.told)])


def _said(told: Any) -> list[str]:
    status = (told.get("status") or {}) if isinstance(told, dict) else {}
    newest = (status.get("actions") or [{}])[0]
    said = (status.get("phase"), newest.get("phase"), newest.get("result"))
    return [word for word in said if isinstance(word, str)]


def steps(exchanges: Iterable[Exchange]) -> list[str]:
    """Each step once, in the order in which they were first taken."""
    found: dict[str, None] = {}
    for exchange in exchanges:
        step = step_of(exchange)
        if step is not None:
            found.setdefault(step)
    return list(found)
