"""Whether a status is up to date: when it was written, and whether the operator that writes it still works.

A status is written only when it changes, so an old one may still be true: it is, while a leader renews the Lease.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leakwarden.adapters.cluster import Session

# Seconds. A leader renews its Lease every few seconds, so three minutes are longer than any pause or change of leader.
STALE_AFTER = 180.0
WITHIN = 5.0  # s for the Lease: nothing else depends on it
DEFAULT_LEASE = "leakwarden/leakwarden"  # as the README installs it
_NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_LEASE = re.compile(rf"({_NAME})/({_NAME})", re.ASCII)


class OperatorState(StrEnum):
    WORKING = "Working"
    STOPPED = "Stopped"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Liveness:
    """Whether the operator works."""

    state: OperatorState
    message: str = ""  # one line for people; empty where there is nothing to say

    @property
    def stopped(self) -> bool:
        return self.state is OperatorState.STOPPED


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lease",
        metavar="NAMESPACE/NAME",
        type=_lease,
        default=DEFAULT_LEASE,
        help="the operator's Lease, read where no status is fresh, to tell whether it still works (default: %(default)s)",
    )


def _lease(text: str) -> str:
    if _LEASE.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is not NAMESPACE/NAME")
    return text


def written_at(item: Mapping[str, Any]) -> float:
    """When the status of an object from the API server was last written, epoch s; 0 where it is not known."""
    from leakwarden.core.model.policy import parse_time

    metadata = item.get("metadata")
    entries = metadata.get("managedFields") if isinstance(metadata, Mapping) else None
    times = [
        parse_time(each.get("time"))
        for each in (entries if isinstance(entries, list) else [])
        if isinstance(each, Mapping) and each.get("subresource") == "status"
    ]
    return max(times, default=0.0)


def age(written: float, now: float) -> str:
    """`written 3h ago`; empty where it is not known when."""
    from leakwarden.api.scalars import format_duration

    if not written:
        return ""
    seconds = now - written
    return "written within the last minute" if seconds < 60 else f"written {format_duration(seconds)} ago"


async def liveness(session: Session, lease: str, newest: float) -> Liveness:
    """`newest` is when the newest of the statuses was written. Reads the Lease only where that is not enough."""
    from leakwarden.api.scalars import format_duration
    from leakwarden.core.model.policy import parse_time
    from leakwarden.engine.ports import ClusterUnavailable

    if newest and session.server_time.now - newest <= STALE_AFTER:
        return Liveness(OperatorState.WORKING)
    namespace, _, name = lease.partition("/")
    try:
        reply = await session.ask(
            "GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}", timeout=WITHIN
        )
    except ClusterUnavailable as error:
        return _unknown(str(error))
    if reply.status == 403:
        return _unknown(_missing_right(namespace, name))
    if reply.status == 404:
        return _unknown(f"there is no Lease {lease}; --lease names another")
    if not reply.ok:
        return _unknown(f"its Lease {lease} could not be read (HTTP {reply.status})")
    try:
        renewed = parse_time(json.loads(reply.body)["spec"]["renewTime"])
    except (ValueError, TypeError, KeyError, RecursionError):
        renewed = 0.0
    if not renewed:
        return _unknown(f"its Lease {lease} does not say when it was renewed")
    silent = session.server_time.now - renewed
    if silent <= STALE_AFTER:
        return Liveness(OperatorState.WORKING)
    since = f"its Lease {lease} was last renewed {format_duration(silent)} ago"
    return Liveness(
        OperatorState.STOPPED, f"the operator does not work: {since}; nothing is done, and what follows is of then"
    )


def _unknown(cause: str) -> Liveness:
    told = "; what is shown is of when the status was written"
    return Liveness(OperatorState.UNKNOWN, f"whether the operator still works is not known: {cause}{told}")


def _missing_right(namespace: str, name: str) -> str:
    """The missing right with the fields needed to grant it: verb, resource, name and namespace."""
    return (
        f"you are not allowed to get leases.coordination.k8s.io {name} in namespace {namespace} (HTTP 403); ask for that"
        " right, or name another Lease with --lease, if the operator is installed elsewhere"
    )
