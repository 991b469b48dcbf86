"""`leakwarden explain NAMESPACE/WORKLOAD`: why was nothing done about it, or what was? Every reason in one command."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from leakwarden.cli import liveness
from leakwarden.cli.errors import ClusterRefused, fail, say

if TYPE_CHECKING:
    from leakwarden.adapters.cluster import Session
    from leakwarden.api.v1alpha1.leakreport import WorkloadReference
    from leakwarden.api.v1alpha1.status import WorkloadStatus
    from leakwarden.cli.explanation import Explanation
    from leakwarden.core.model.leakreport import LeakReport
    from leakwarden.core.model.policy import Policy

COMMAND = "explain"
CALM, LEAKS, UNKNOWN = 0, 1, 2  # exit codes
PATIENCE = 2.0  # s without an answer, after which the command prints what it waits for
ENDED_SHOWN = 5  # episodes that are over: the newest are the most useful
_NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_TARGET = re.compile(rf"(?P<namespace>{_NAME})/(?:(?P<kind>[A-Za-z]{{1,63}})/)?(?P<name>{_NAME})", re.ASCII)


class ClusterView(NamedTuple):
    """The objects read from the cluster. Times in epoch seconds of the API server's clock."""

    policies: list[Policy]
    reports: list[LeakReport]
    written: dict[str, float]  # when the status of each policy was written, by its title
    now: float
    operator: liveness.Liveness
    unread: str = ""  # why the policies of the cluster could not be read; empty where they were


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="say why nothing was done about a workload, or what was",
        description="Say what the operator thinks of one workload, for each leaking pod what every guard answered, and"
        " what was done before, from the status of the policies and from the LeakReports; it needs the right to list both in"
        " the namespace, and shows ClusterReliabilityPolicies where they may be listed. Exit code 0: no leak is open;"
        " 1: one is; 2: it cannot be told.",
    )
    parser.add_argument(
        "target",
        metavar="NAMESPACE/WORKLOAD",
        help="such as shop/checkout, or shop/statefulset/ledger where the kind matters",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: KUBECONFIG, the pod's account, ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="a context of the kubeconfig (default: its current one)")
    liveness.add_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.api.v1alpha1.kinds import WorkloadKind
    from leakwarden.engine.ports import ClusterUnavailable

    target = _TARGET.fullmatch(arguments.target)
    if target is None:
        return fail(COMMAND, f"{arguments.target[:60]!r} is not NAMESPACE/WORKLOAD or NAMESPACE/KIND/WORKLOAD")
    namespace, workload = target["namespace"], target["name"]
    kind = next((str(each) for each in WorkloadKind if each.lower() == (target["kind"] or "").lower()), "")
    if target["kind"] and not kind:
        allowed = ", ".join(WorkloadKind)
        return fail(
            COMMAND, f"{target['kind']!r} in {arguments.target[:60]!r} is not a kind; it must be one of {allowed}"
        )
    try:
        looked = asyncio.run(_read(arguments, namespace))
    except (ClusterUnavailable, ClusterRefused) as error:
        return fail(COMMAND, str(error))
    explained = explain(looked, namespace, workload, kind)
    if not explained.policies and not explained.open and not explained.ended:
        return fail(
            COMMAND,
            f"no policy of namespace {namespace} shows a {kind or 'workload'} {workload} (a policy's status holds five hundred"
            f" at most), and there is no LeakReport of it{f'; {looked.unread}' if looked.unread else ''}",
        )
    if looked.unread:
        say(COMMAND, looked.unread)
    print(json.dumps(explained.as_json(), indent=2) if arguments.output == "json" else explained.text())
    return _exit_code(explained)


def explain(looked: ClusterView, namespace: str, workload: str, kind: str = "") -> Explanation:
    """The facts about one workload in the objects of its namespace; those of every kind of that name without `kind`."""
    from leakwarden.cli.explanation import Explanation, view_of
    from leakwarden.cli.status_workloads import all_workloads

    def means(found: WorkloadStatus | WorkloadReference) -> bool:
        return found.name == workload and kind in ("", found.kind)

    mine = sorted((r for r in looked.reports if means(r.spec.workload)), key=lambda r: -r.created)
    return Explanation(
        namespace=namespace,
        workload=workload,
        operator=looked.operator,
        policies=tuple(
            view_of(policy, held, looked.written[policy.title], looked.now)
            for policy in looked.policies
            for held in all_workloads(policy)
            if means(held)
        ),
        open=tuple(report for report in mine if not report.ended),
        ended=tuple(report for report in mine if report.ended)[:ENDED_SHOWN],
    )


def _exit_code(explained: Explanation) -> int:
    if explained.open or explained.unrecorded:
        return LEAKS
    if explained.operator.stopped:
        return UNKNOWN
    return CALM if explained.judged else UNKNOWN


async def _read(arguments: argparse.Namespace, namespace: str) -> ClusterView:
    """Raises ClusterUnavailable, ClusterRefused."""
    from leakwarden.adapters.cluster import Session
    from leakwarden.core.model.cluster_policy import as_shown, parse_cluster_policy
    from leakwarden.core.model.leakreport import parse_report
    from leakwarden.core.model.policy import parse_policy

    session = await Session.open(arguments.kubeconfig, arguments.context)
    try:
        reading = asyncio.create_task(_all(session, namespace))
        done, _ = await asyncio.wait([reading], timeout=PATIENCE)
        if not done:
            say(COMMAND, f"waiting for {session.server}")
        policies, reports, (clusters, unread) = await reading
        parsed = [
            *(parse_policy(item) for item in policies),
            *(as_shown(parse_cluster_policy(item), namespace) for item in clusters),
        ]
        items = [*policies, *clusters]
        written = {policy.title: liveness.written_at(item) for policy, item in zip(parsed, items, strict=True)}
        operator = await liveness.liveness(session, arguments.lease, max(written.values(), default=0.0))
        now = session.server_time.now
    finally:
        await session.close()
    found = [parse_report(item) for item in reports]
    return ClusterView(parsed, [report for report in found if report is not None], written, now, operator, unread)


async def _all(
    session: Session, namespace: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], tuple[list[dict[str, Any]], str]]:
    """The namespace's policies and reports, and the policies of the cluster. Raises ClusterUnavailable, ClusterRefused."""
    from leakwarden.api import names
    from leakwarden.cli.listing import cluster_policies, objects

    policies = await objects(session, names.POLICY_PLURAL, namespace)
    return policies, await objects(session, names.REPORT_PLURAL, namespace), await cluster_policies(session)
