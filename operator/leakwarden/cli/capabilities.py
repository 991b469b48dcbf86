"""`leakwarden capabilities`: the signals that each workload has, those that it lacks, and the line that would add
them."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from leakwarden.cli import liveness
from leakwarden.cli.errors import ClusterRefused, fail, say

if TYPE_CHECKING:
    from leakwarden.adapters.cluster import Session
    from leakwarden.core.model.policy import Policy

COMMAND = "capabilities"
COMPLETE, MISSING, UNKNOWN = 0, 1, 2  # exit codes
PATIENCE = 2.0  # s without an answer, after which the command prints what it waits for
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)


class PoliciesRead(NamedTuple):
    """The objects read from the cluster. Times in epoch seconds of the API server's clock."""

    policies: list[tuple[Policy, float]]  # each with when its status was written
    now: float
    operator: liveness.Liveness
    unread: str = ""  # why the policies of the cluster could not be read; empty where they were


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="list which signals the workloads of policies have and lack",
        description="List which signals each workload has, which it lacks, and what to do about that, as the operator"
        " wrote it into the status of the policies. Exit code 0: nothing is missing; 1: something is; 2: it cannot be"
        " told, of some policy at least.",
    )
    parser.add_argument("policy", nargs="?", metavar="POLICY", help="one policy's name (default: all)")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="of one namespace (default: of all)")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: KUBECONFIG, the pod's account, ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="a context of the kubeconfig (default: its current one)")
    liveness.add_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.engine.ports import ClusterUnavailable

    for option, value in (("POLICY", arguments.policy), ("--namespace", arguments.namespace)):
        if value is not None and _NAME.fullmatch(value) is None:
            return fail(COMMAND, f"{option} {value[:60]!r} is not a name that Kubernetes allows")
    try:
        looked = asyncio.run(_read(arguments))
    except (ClusterUnavailable, ClusterRefused) as error:
        return fail(COMMAND, str(error))
    where = f"namespace {arguments.namespace}" if arguments.namespace else "any namespace"
    if not looked.policies:
        named = f" named {arguments.policy}" if arguments.policy else ""
        unread = f"; {looked.unread}" if looked.unread else ""
        return fail(COMMAND, f"there is no ReliabilityPolicy{named} in {where}, nor one of the cluster{unread}")
    if looked.unread:
        say(COMMAND, looked.unread)
    return _tell(looked, arguments.output)


def _tell(looked: PoliciesRead, output: str) -> int:
    from leakwarden.cli.capabilities_report import as_json, describe, table

    described = [describe(policy, written, looked.now) for policy, written in looked.policies]
    operator = looked.operator
    print(as_json(described, operator) if output == "json" else table(described))
    sys.stdout.flush()
    if operator.message:
        say(COMMAND, operator.message)
    for one in described:
        if one.trouble:
            say(COMMAND, f"{one.key}: {one.trouble}")
    if operator.stopped or any(one.trouble for one in described):
        return UNKNOWN
    return MISSING if any(one.missing for one in described) else COMPLETE


async def _read(arguments: argparse.Namespace) -> PoliciesRead:
    """The requested policies, by namespace and name. Raises ClusterUnavailable, ClusterRefused."""
    from leakwarden.adapters.cluster import Session

    session = await Session.open(arguments.kubeconfig, arguments.context)
    try:
        reading = asyncio.create_task(_list(session, arguments.namespace))
        done, _ = await asyncio.wait([reading], timeout=PATIENCE)
        if not done:
            say(COMMAND, f"waiting for {session.server}")
        everything, unread = await reading
        wanted = [found for found in everything if arguments.policy in (None, found[0].name)]
        newest = max((written for _, written in wanted), default=0.0)
        operator = await liveness.liveness(session, arguments.lease, newest) if wanted else None
        now = session.server_time.now
    finally:
        await session.close()
    return PoliciesRead(
        sorted(wanted, key=lambda found: found[0].key),
        now,
        operator or liveness.Liveness(liveness.OperatorState.UNKNOWN),
        unread,
    )


async def _list(session: Session, namespace: str | None) -> tuple[list[tuple[Policy, float]], str]:
    """The policies, each with when its status was written, one for each namespace that the status of one of the cluster
    shows; and why those of the cluster could not be read. Raises ClusterUnavailable, ClusterRefused."""
    from leakwarden.api import names
    from leakwarden.cli.listing import cluster_policies, objects
    from leakwarden.core.model.cluster_policy import as_shown, parse_cluster_policy
    from leakwarden.core.model.policy import parse_policy

    items = await objects(session, names.POLICY_PLURAL, namespace)
    found = [(parse_policy(item), liveness.written_at(item)) for item in items]
    clusters, unread = await cluster_policies(session)
    for item in clusters:
        cluster = parse_cluster_policy(item)
        status, written = cluster.status, liveness.written_at(item)
        shown = {each.namespace for each in status.workloads} | {each.namespace for each in status.others}
        where = sorted(shown if namespace is None else shown & {namespace})
        found += [(as_shown(cluster, each), written) for each in where]
        if not shown:
            found.append((as_shown(cluster, "*"), written))  # no status yet, or nothing selected
    return found, unread
