"""`leakwarden capabilities`: which signals each workload has, which it lacks, and the line that would change that."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from leakwarden.cli import liveness

if TYPE_CHECKING:
    from leakwarden.adapters.cluster import Session
    from leakwarden.core.model.policy import Policy

COMPLETE, MISSING, UNKNOWN = 0, 1, 2  # exit codes
PATIENCE = 2.0  # s without an answer, after which it is said what is waited for
PAGE = 100  # policies at once; with their statuses they are a few kB each
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)


class PoliciesRefused(Exception):
    """The API server answered, but not with policies; the message is one line for people."""


class PoliciesRead(NamedTuple):
    """Policies, each with when its status was written, epoch s; `now` by the API server's clock."""

    policies: list[tuple[Policy, float]]
    now: float
    operator: liveness.Liveness


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "capabilities",
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
    import asyncio

    from leakwarden.engine.ports import ClusterUnavailable

    for option, value in (("POLICY", arguments.policy), ("--namespace", arguments.namespace)):
        if value is not None and _NAME.fullmatch(value) is None:
            return _fail(f"{option} {value[:60]!r} is not a name that Kubernetes allows")
    try:
        looked = asyncio.run(_read(arguments))
    except (ClusterUnavailable, PoliciesRefused) as error:
        return _fail(str(error))
    where = f"namespace {arguments.namespace}" if arguments.namespace else "any namespace"
    if not looked.policies:
        named = f" named {arguments.policy}" if arguments.policy else ""
        return _fail(f"there is no ReliabilityPolicy{named} in {where}")
    return _tell(looked, arguments.output)


def _tell(looked: PoliciesRead, output: str) -> int:
    from leakwarden.cli.audit.report import printable
    from leakwarden.cli.capabilities_report import as_json, describe, table

    described = [describe(policy, written, looked.now) for policy, written in looked.policies]
    operator = looked.operator
    print(as_json(described, operator) if output == "json" else table(described))
    sys.stdout.flush()
    if operator.message:
        print(f"leakwarden capabilities: {printable(operator.message)}", file=sys.stderr)
    for one in described:
        if one.trouble:
            print(f"leakwarden capabilities: {printable(f'{one.key}: {one.trouble}')}", file=sys.stderr)
    if operator.stopped or any(one.trouble for one in described):
        return UNKNOWN
    return MISSING if any(one.missing for one in described) else COMPLETE


def _fail(message: str) -> int:
    from leakwarden.cli.audit.report import printable

    print(f"leakwarden capabilities: {printable(message)}", file=sys.stderr)
    return UNKNOWN


async def _read(arguments: argparse.Namespace) -> PoliciesRead:
    """The policies asked for, by namespace and name. Raises ClusterUnavailable, Refused."""
    import asyncio

    from leakwarden.adapters.cluster import Session

    session = await Session.open(arguments.kubeconfig, arguments.context)
    try:
        reading = asyncio.create_task(_list(session, arguments.namespace))
        done, _ = await asyncio.wait([reading], timeout=PATIENCE)
        if not done:
            print(f"leakwarden capabilities: waiting for {session.server}", file=sys.stderr, flush=True)
        wanted = [found for found in await reading if arguments.policy in (None, found[0].name)]
        newest = max((written for _, written in wanted), default=0.0)
        operator = await liveness.liveness(session, arguments.lease, newest) if wanted else None
        now = session.server_time.now
    finally:
        await session.close()
    return PoliciesRead(
        sorted(wanted, key=lambda found: found[0].key),
        now,
        operator or liveness.Liveness(liveness.OperatorState.UNKNOWN),
    )


async def _list(session: Session, namespace: str | None) -> list[tuple[Policy, float]]:
    import json

    from leakwarden.api import names
    from leakwarden.core.model.policy import parse_policy

    within = f"/namespaces/{namespace}" if namespace else ""
    path = f"/apis/{names.GROUP}/{names.VERSION}{within}/{names.POLICY_PLURAL}"
    found: list[tuple[Policy, float]] = []
    token = ""
    while True:
        query = {"limit": str(PAGE), **({"continue": token} if token else {})}
        reply = await session.ask("GET", path, query=query)
        if not reply.ok:
            raise PoliciesRefused(refusal(names.POLICY_PLURAL, reply.status, namespace, session.server))
        try:
            page = json.loads(reply.body)
            found += [(parse_policy(item), liveness.written_at(item)) for item in page["items"]]
            token = str((page.get("metadata") or {}).get("continue") or "")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise PoliciesRefused(
                f"{session.server} did not answer with a list of policies; is it an API server?"
            ) from None
        if not token:
            return found


def refusal(plural: str, status: int, namespace: str | None, server: str) -> str:
    """Why the objects called `plural` were not listed, in one line."""
    if status == 401:
        return f"{server} does not accept the credentials (HTTP 401)"
    if status == 403:
        where = f"in namespace {namespace}" if namespace else "in all namespaces; with -n NAMESPACE you may be"
        return f"you are not allowed to list {plural} {where} (HTTP 403)"
    if status == 404:
        return f"{server} knows no {plural}: install the chart, or apply crds/ (HTTP 404)"
    if status == 410:
        return f"the list of {plural} changed while it was read; try again"
    return f"{server} answered HTTP {status}"
