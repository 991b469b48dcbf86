"""The only access to the API server: a cached view of workloads and pods, and the few changes we make.

Modules that open a connection are imported on first use: a command that only needs the conversions from the wire
(`leakwarden audit` on files) must not pay for an HTTP client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leakwarden.adapters.cluster.api_cluster import STALE_AFTER, ApiCluster
    from leakwarden.adapters.cluster.resource import Pace, ReflectorStats
    from leakwarden.adapters.cluster.session import Session

__all__ = ["STALE_AFTER", "ApiCluster", "Pace", "ReflectorStats", "Session"]

_HOME = {
    "STALE_AFTER": "api_cluster",
    "ApiCluster": "api_cluster",
    "Pace": "resource",
    "ReflectorStats": "resource",
    "Session": "session",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
