"""Objects of one kind, read from the API server page by page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from leakwarden.cli.errors import ClusterRefused, refusal

if TYPE_CHECKING:
    from leakwarden.adapters.cluster import Session

PAGE = 100  # objects at once; with their statuses they are a few kB each


async def objects(session: Session, plural: str, namespace: str | None) -> list[dict[str, Any]]:
    """All objects of a kind of ours, in one namespace or in all (None). Raises ClusterUnavailable, ClusterRefused."""
    from leakwarden.api import names

    within = f"/namespaces/{namespace}" if namespace else ""
    path = f"/apis/{names.GROUP}/{names.VERSION}{within}/{plural}"
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        query = {"limit": str(PAGE), **({"continue": token} if token else {})}
        reply = await session.ask("GET", path, query=query)
        if not reply.ok:
            raise ClusterRefused(refusal(plural, reply.status, namespace, session.server), reply.status)
        try:
            page = json.loads(reply.body)
            if not all(isinstance(item, dict) for item in page["items"]):
                raise TypeError
            found += page["items"]
            token = str((page.get("metadata") or {}).get("continue") or "")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ClusterRefused(
                f"{session.server} did not answer with a list of {plural}; is it an API server?"
            ) from None
        if not token:
            return found


async def cluster_policies(session: Session) -> tuple[list[dict[str, Any]], str]:
    """All ClusterReliabilityPolicies, and why they could not be read, in one line, or empty. A cluster that does not serve
    the kind has none. Raises ClusterUnavailable, ClusterRefused."""
    from leakwarden.api import names

    try:
        return await objects(session, names.CLUSTER_POLICY_PLURAL, None), ""
    except ClusterRefused as error:
        if error.status == 404:
            return [], ""
        if error.status != 403:
            raise
        return [], (
            f"you are not allowed to list {names.CLUSTER_POLICY_PLURAL} (HTTP 403), so what those of the cluster hold here"
            " is not shown; what they found and did is in the LeakReports of the namespace"
        )
