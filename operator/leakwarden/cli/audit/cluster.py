"""The workloads of a cluster and the objects that belong to them, as documents: audited by the same code as files.

Also which of the two report APIs the cluster serves.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from leakwarden.cli.audit.configuration import ConfigurationError
from leakwarden.cli.audit.documents import Document, DocumentPlace

if TYPE_CHECKING:
    from leakwarden.core.audit.policy_report import ReportApi

T = TypeVar("T")


def documents(args: argparse.Namespace, problems: list[str]) -> list[Document]:
    """All workloads and the objects that belong to them, without those that another workload makes. Raises
    ConfigurationError without a cluster."""
    return _reached(_documents(args, problems))


def served_report(args: argparse.Namespace) -> ReportApi:
    """The report API that the cluster serves, by its discovery; the newer one where it serves both.

    Raises ConfigurationError where neither is served, where discovery is not allowed, and without a cluster.
    """
    return _reached(_served_report(args))


def _reached(asking: Coroutine[Any, Any, T]) -> T:
    from leakwarden.engine.ports import ClusterUnavailable

    try:
        return asyncio.run(asking)
    except ClusterUnavailable as error:
        raise ConfigurationError(f"the cluster cannot be reached: {error}") from None


async def _served_report(args: argparse.Namespace) -> ReportApi:
    from leakwarden.adapters.cluster import Session, listing
    from leakwarden.core.audit.policy_report import NEWEST_FIRST

    session = await Session.open(args.kubeconfig, args.context)
    try:
        api, why = await listing.served_report(session)
    finally:
        await session.close()
    if why:
        raise ConfigurationError(f"{why}; -o openreport prints for openreports.io without asking")
    if api is None:
        wanted = " nor ".join(f"{each.kind} of {each.version}" for each in NEWEST_FIRST)
        raise ConfigurationError(
            f"the cluster serves neither {wanted}: install the CRDs of one of them, or choose another format by -o"
        )
    return api


async def _documents(args: argparse.Namespace, problems: list[str]) -> list[Document]:
    from leakwarden.adapters.cluster import Session, listing
    from leakwarden.core.audit.neighbours import several

    session = await Session.open(args.kubeconfig, args.context)
    try:
        namespace = None if args.all_namespaces else args.namespace
        found: list[Document] = []
        for where in (*listing.WORKLOADS, *listing.NEIGHBOURS, *listing.CONFIGURATION):
            read = await listing.objects(session, where, (namespace,))
            if read.why:
                problems.append(
                    f"cluster: {several(read.kind)} {read.why}{', so they are unknown' if read.denied else ''}"
                )
            found += [
                Document(DocumentPlace(f"cluster/{read.kind}", number, 1), item)
                for number, item in enumerate(read.items, 1)
            ]
        return found
    finally:
        await session.close()
