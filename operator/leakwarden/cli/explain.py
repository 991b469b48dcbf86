"""`leakwarden explain NAMESPACE/WORKLOAD`: why was nothing done about it, or what was? Every reason in one command."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from leakwarden.cli import liveness

if TYPE_CHECKING:
    from leakwarden.adapters.cluster import Session
    from leakwarden.core.model.leakreport import LeakReport
    from leakwarden.core.model.policy import Policy

CALM, LEAKS, UNKNOWN = 0, 1, 2  # exit codes
PATIENCE = 2.0  # s without an answer, after which it is said what is waited for
ENDED_SHOWN = 5  # episodes that are over; the newest tell most
SHOWN = {"verdict", "pods", "unhealthy", "unreported", "skipped"}  # of a policy's status of the Deployment
LEAK_VERDICTS = ("Leaking", "Exhausting")
_NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_TARGET = re.compile(rf"({_NAME})/({_NAME})", re.ASCII)


class ClusterView(NamedTuple):
    """What was read, and when the status of each policy, by its name, was written; `now` by the API server's clock."""

    policies: list[Policy]
    reports: list[LeakReport]
    written: dict[str, float]
    now: float
    operator: liveness.Liveness


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "explain",
        help="say why nothing was done about a workload, or what was",
        description="Say what the operator thinks of one Deployment, for each leaking pod what every guard answered, and"
        " what was done before, from the status of the policies and from the LeakReports; it needs the right to list both in"
        " the namespace. Exit code 0: no leak is open;"
        " 1: one is; 2: it cannot be told.",
    )
    parser.add_argument("target", metavar="NAMESPACE/WORKLOAD")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: KUBECONFIG, the pod's account, ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="a context of the kubeconfig (default: its current one)")
    liveness.add_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import asyncio

    from leakwarden.cli.capabilities import PoliciesRefused
    from leakwarden.core.model.policy import format_time
    from leakwarden.engine.ports import ClusterUnavailable

    target = _TARGET.fullmatch(arguments.target)
    if target is None:
        return _fail(f"{arguments.target[:60]!r} is not NAMESPACE/WORKLOAD")
    namespace, workload = target.group(1), target.group(3)
    try:
        looked = asyncio.run(_read(arguments, namespace))
    except (ClusterUnavailable, PoliciesRefused) as error:
        return _fail(str(error))
    policies, reports, written, now, operator = looked
    judged = [(policy, held) for policy in policies for held in policy.status.workloads if held.name == workload]
    mine = sorted((r for r in reports if r.spec.workload.name == workload), key=lambda r: -r.created)
    if not judged and not mine:
        return _fail(
            f"no policy of namespace {namespace} shows a Deployment {workload} (a policy's status holds its twenty worst),"
            " and there is no LeakReport of it"
        )
    told = {
        "namespace": namespace,
        "workload": workload,
        "operator": {"state": str(operator.state), "message": operator.message},
        "policies": [
            {
                "policy": policy.name,
                "mode": str(policy.spec.mode) if policy.spec is not None else "",
                "error": policy.error,
                "written": format_time(written[policy.name]) if written[policy.name] else None,
                "age": liveness.age(written[policy.name], now),
                "stalled": " ".join(
                    f"{condition.reason}: {condition.message}"
                    for condition in policy.status.conditions
                    if condition.type == "Stalled" and condition.status == "True"
                ),
                **held.model_dump(mode="json", by_alias=True, exclude_none=True, include=SHOWN),
            }
            for policy, held in judged
        ],
        "open": [_report(report) for report in mine if not report.ended],
        "ended": [_report(report) for report in mine if report.ended][:ENDED_SHOWN],
    }
    print(json.dumps(told, indent=2) if arguments.output == "json" else _text(told))
    if told["open"] or _unrecorded(told):
        return LEAKS
    if operator.stopped:
        return UNKNOWN
    # What was judged by a spec that is invalid now is of the past.
    return CALM if any(held.verdict != "Unknown" and not policy.error for policy, held in judged) else UNKNOWN


def _unrecorded(told: dict[str, Any]) -> bool:
    """A leak that has no open report, such as where LeakReports cannot be written."""
    return not told["open"] and any(policy["verdict"] in LEAK_VERDICTS for policy in told["policies"])


def _report(report: LeakReport) -> dict[str, Any]:
    status = report.status.model_dump(
        mode="json", by_alias=True, exclude_none=True, include={"phase", "message", "plan", "guards", "actions"}
    )
    return {"report": report.name, "pod": report.spec.pod.name, "signal": report.spec.signal, **status}


def _text(told: dict[str, Any]) -> str:
    from leakwarden.cli.audit.report import printable

    operator = told["operator"]
    lines = [f"warning: {operator['message']}", ""] if operator["state"] == liveness.OperatorState.STOPPED else []
    for policy in told["policies"]:
        mode = policy["mode"] or "invalid: " + policy["error"]
        when = f" (status {policy['age']})" if policy["age"] else ""
        lines.append(f"policy {policy['policy']} ({mode}): {policy['verdict']}{when}")
        lines += [f"  stalled: {policy['stalled']}"] if policy["stalled"] else []
        lines += [
            f"  {pod['name']} is {pod['verdict']}: {pod.get('message', '')}" for pod in policy.get("unhealthy", [])
        ]
        if skipped := policy.get("skipped"):
            reasons = ", ".join(skipped.get("reasons", []))
            lines.append(
                f"  {skipped.get('action')} of {skipped.get('pod')} waits: {reasons}: {skipped.get('message')}"
            )
        if more := policy.get("unreported"):
            lines.append(f"  {more} more leak and have no report yet: the pods that run out first have theirs")
    for report in told["open"]:
        lines += ["", f"{report['pod']} leaks {report['signal']} ({report['report']}): {report['phase']}"]
        lines += [f"  {report['message']}"] if report.get("message") else []
        if plan := report.get("plan"):
            lines.append(f"  planned: {plan['action']}  {plan.get('message', '')}".rstrip())
        refusals = [guard for guard in report.get("guards", []) if not guard["passed"]]
        lines += [f"  no  {guard['guard']}: {guard.get('reason')}: {guard.get('message', '')}" for guard in refusals]
        passed = [guard["guard"] for guard in report.get("guards", []) if guard["passed"]]
        lines += [f"  yes {', '.join(passed)}"] if passed else []
        lines += _actions(report)
    for report in told["ended"]:
        lines += ["", f"earlier: {report['pod']} {report['signal']} ({report['report']}): {report['phase']}"]
        lines += _actions(report)
    if _unrecorded(told):
        lines += ["", "it leaks, but no LeakReport of it is open, and without one nothing is done"]
    elif not told["open"] and all(policy["verdict"] == "Unknown" or policy["error"] for policy in told["policies"]):
        lines += ["", "no leak is open, but whether it leaks is not known: nothing is done without readings"]
    elif not told["open"] and operator["state"] != liveness.OperatorState.STOPPED:
        lines += ["", "no leak is open, so nothing is due"]
    if operator["state"] == liveness.OperatorState.UNKNOWN:
        lines += ["", operator["message"]]
    return "\n".join(printable(line) for line in lines)


def _actions(report: dict[str, Any]) -> list[str]:
    return [
        f"  {action['intendedAt']} {action['type']} {action['phase']} {action.get('result', '')}: {action.get('message', '')}"
        for action in report.get("actions", [])
    ]


def _fail(message: str) -> int:
    from leakwarden.cli.audit.report import printable

    print(f"leakwarden explain: {printable(message)}", file=sys.stderr)
    return UNKNOWN


async def _read(arguments: argparse.Namespace, namespace: str) -> ClusterView:
    import asyncio

    from leakwarden.adapters.cluster import Session
    from leakwarden.core.model.leakreport import parse_report
    from leakwarden.core.model.policy import parse_policy

    session = await Session.open(arguments.kubeconfig, arguments.context)
    try:
        reading = asyncio.create_task(_both(session, namespace))
        done, _ = await asyncio.wait([reading], timeout=PATIENCE)
        if not done:
            print(f"leakwarden explain: waiting for {session.server}", file=sys.stderr, flush=True)
        policies, reports = await reading
        parsed = [parse_policy(item) for item in policies]
        written = {policy.name: liveness.written_at(item) for policy, item in zip(parsed, policies, strict=True)}
        operator = await liveness.liveness(session, arguments.lease, max(written.values(), default=0.0))
        now = session.server_time.now
    finally:
        await session.close()
    found = [parse_report(item) for item in reports]
    return ClusterView(parsed, [report for report in found if report is not None], written, now, operator)


async def _both(session: Session, namespace: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The namespace's policies and reports. Raises ClusterUnavailable, Refused."""
    from leakwarden.api import names

    policies = await _items(session, namespace, names.POLICY_PLURAL)
    return policies, await _items(session, namespace, names.REPORT_PLURAL)


async def _items(session: Session, namespace: str, plural: str) -> list[dict[str, Any]]:
    """All objects of a kind. Raises ClusterUnavailable, Refused."""
    from leakwarden.api import names
    from leakwarden.cli.capabilities import PAGE, PoliciesRefused, refusal

    path = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/{namespace}/{plural}"
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        query = {"limit": str(PAGE), **({"continue": token} if token else {})}
        reply = await session.ask("GET", path, query=query)
        if not reply.ok:
            raise PoliciesRefused(refusal(plural, reply.status, namespace, session.server))
        try:
            page = json.loads(reply.body)
            if not all(isinstance(item, dict) for item in page["items"]):
                raise TypeError
            found += page["items"]
            token = str((page.get("metadata") or {}).get("continue") or "")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise PoliciesRefused(
                f"{session.server} did not answer with a list of {plural}; is it an API server?"
            ) from None
        if not token:
            return found
