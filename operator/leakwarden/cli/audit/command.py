"""`leakwarden audit`: the operator's static checks on manifests, without a cluster, for CI and for people."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leakwarden.cli.audit.files import Document, ManifestsRead
    from leakwarden.cli.audit.manifests import DescribedWorkload
    from leakwarden.cli.audit.report import Audited
    from leakwarden.core.model.policy import Policy

CLEAN, FINDINGS, UNUSABLE = 0, 1, 2  # exit codes

_ABOUT = """\
Audits the Deployments in YAML or JSON manifests: probes, termination, rollout, disruption budgets and memory,
with a hint for every finding. Nothing is sent anywhere and no cluster is needed.

  leakwarden audit deploy/                     all manifests below a directory
  helm template . | leakwarden audit -         what a chart renders to
  kustomize build . | leakwarden audit - --policy relpol.yaml
"""
_EXIT = "exit code: 0 nothing at or above --fail-on, 1 findings, 2 wrong usage or input that cannot be read"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand. Imports nothing: --help must be quick."""
    parser = subparsers.add_parser(
        "audit",
        help="check manifests without a cluster",
        description=_ABOUT,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", nargs="+", metavar="FILE|DIR|-", help="manifests; - is standard input")
    parser.add_argument(
        "--policy",
        metavar="FILE",
        help="audit as the ReliabilityPolicy in FILE says, and only the Deployments that it selects",
    )
    parser.add_argument("-o", "--output", choices=("table", "json", "sarif", "junit"), default="table")
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning", "never"),
        default="error",
        help="the least severity that makes the exit code 1 (default: error)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audit and print; returns the exit code. Whatever a user can get wrong is one line on standard error."""
    from leakwarden.cli.audit import report
    from leakwarden.cli.audit.files import read
    from leakwarden.cli.audit.manifests import workloads
    from leakwarden.core.audit import Severity

    policies, refused = _policies(args.policy)
    if refused:
        _say(refused)
        return UNUSABLE

    reading = read(args.path)
    described, wrong = workloads(reading.documents)
    problems = reading.problems + wrong
    audited, notes = _audit(described, policies)
    _say([*reading.notes, *_others(reading), *notes])
    _say(problems)

    fail_on = {"error": Severity.ERROR, "warning": Severity.WARNING, "never": None}[args.fail_on]
    written = {
        "table": lambda: report.table(audited, _colour()),
        "json": lambda: report.as_json(audited, problems),
        "sarif": lambda: report.sarif(audited, problems),
        "junit": lambda: report.junit(audited, problems, fail_on),
    }[args.output]()
    if audited or args.output != "table":
        _write(written)

    if problems:
        return UNUSABLE
    if not audited:
        # An empty pipe or a wrong directory must not pass as a clean audit.
        what = "no Deployment that the policy audits" if described else "no Deployment"
        _say([f"{what} in {' '.join(args.path)}: nothing was audited"])
        return UNUSABLE
    failed = fail_on is not None and any(f.at_least(fail_on) for one in audited for f in one.findings)
    return FINDINGS if failed else CLEAN


def _policies(file: str | None) -> tuple[list[Policy], list[str]]:
    """The policies of the file, and why it can't be used where it can't."""
    from leakwarden.api import names
    from leakwarden.cli.audit.files import read
    from leakwarden.core.model.policy import parse_policy

    if file is None:
        return [], []
    reading = read([file])
    problems = list(reading.problems)
    policies = []
    for document in reading.documents:
        if document.kind != names.POLICY_KIND:
            continue
        if str(document.body.get("apiVersion")) != names.API_VERSION:
            problems.append(
                f"{document.place}: apiVersion is {str(document.body.get('apiVersion'))[:60]!r};"
                f" {names.API_VERSION} is needed"
            )
            continue
        if not isinstance(document.body.get("metadata", {}), dict):
            problems.append(f"{document.place}: metadata is not a mapping")
            continue
        # No status and no server's fields: a policy is read for what it asks.
        metadata = {k: v for k, v in document.body.get("metadata", {}).items() if k in ("name", "namespace")}
        policy = parse_policy({"metadata": metadata, "spec": document.body.get("spec")})
        if policy.error:
            problems.append(f"{document.place}: {policy.error}")
        policies.append(policy)
    if not policies and not problems:
        problems.append(f"{file}: holds no ReliabilityPolicy")
    return policies, problems


def _audit(described: Sequence[DescribedWorkload], policies: Sequence[Policy]) -> tuple[list[Audited], list[str]]:
    """Every Deployment under the first policy that selects it, or all by the defaults where no policy is given."""
    from leakwarden.api.v1alpha1.policy import Audit
    from leakwarden.cli.audit.report import Audited
    from leakwarden.core.audit import audit, skipped_containers
    from leakwarden.core.model.policy import selects

    audited, notes = [], []
    for one in described:
        workload = one.workload
        settings: Audit | None = None if policies else Audit()
        for policy in policies:
            # A manifest without a namespace goes wherever it is applied, so it is not held against it.
            apart = policy.namespace and workload.namespace and policy.namespace != workload.namespace
            if policy.spec is not None and not apart and selects(policy.spec.selector, workload.labels):
                settings = policy.spec.audit
                break
        if settings is None or not settings.enabled:
            why = "the policy does not select it" if settings is None else "the policy disables its audit"
            notes.append(f"{one.place}: Deployment {workload.name} is not audited: {why}")
            continue
        findings = audit(workload, settings, (), one.disruptions)
        if not policies:
            # Nobody has named a path, so none is unexpected; the other checks hold for any service.
            findings = tuple(finding for finding in findings if finding.check != "ProbePathUnexpected")
        audited.append(Audited(one.place, workload.namespace, workload.name, findings, skipped_containers(workload)))
    return audited, notes


def _others(reading: ManifestsRead) -> list[str]:
    """A line that counts the workloads of kinds that are not audited, so that nobody believes they were."""
    kinds = ("StatefulSet", "DaemonSet", "Rollout", "Job", "CronJob", "Pod", "ReplicaSet")
    counts = {kind: _count(reading.documents, kind) for kind in kinds}
    present = ", ".join(f"{number} {kind}" for kind, number in counts.items() if number)
    return [f"not audited, since only Deployments are: {present}"] if present else []


def _count(documents: Sequence[Document], kind: str) -> int:
    return sum(document.kind == kind for document in documents)


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _say(lines: Sequence[str]) -> None:
    from leakwarden.cli.audit.report import printable

    for line in lines:
        print(f"leakwarden audit: {printable(line)}", file=sys.stderr)


def _write(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more when it closes the stream.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
