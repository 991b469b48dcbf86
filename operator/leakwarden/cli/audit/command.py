"""`leakwarden audit`: the operator's static checks on manifests, for CI and for people, or on the objects of a
cluster."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from leakwarden.cli import errors
from leakwarden.cli.errors import UNUSABLE

if TYPE_CHECKING:
    from leakwarden.cli.audit.report import AuditResult
    from leakwarden.core.audit.policy_report import ReportApi

CLEAN, FINDINGS, UNREAD = 0, 1, 3  # exit codes, in addition to UNUSABLE

_ABOUT = """\
Audits the workloads in YAML or JSON manifests, or in a cluster: probes, termination, rollout, availability, Services,
memory and the Go runtime, with a hint for every finding. Of files nothing is sent anywhere and no cluster is needed.

  leakwarden audit deploy/                     all manifests below a directory
  helm template . | leakwarden audit -         what a chart renders to
  kustomize build . | leakwarden audit - --policy relpol.yaml
  leakwarden audit --cluster -n shop           what a namespace of the cluster holds
  leakwarden audit deploy/ --diff              what --fix would write
  leakwarden audit --cluster -o policyreport | kubectl apply -f -   the result beside the objects

Of a cluster, -o policyreport prints for the API that is served there: openreports.io, else wgpolicyk8s.io.
"""
_EXIT = """\
exit codes:
  0  nothing at or above --fail-on (also where there is no workload, which is said)
  1  findings at or above --fail-on
  2  wrong usage, or a policy, configuration or baseline that cannot be used
  3  some of the input could not be read or understood; the rest was audited
"""
OUTPUTS = ("table", "json", "sarif", "junit", "github", "markdown", "policyreport", "openreport")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand. Imports nothing: --help must be quick."""
    parser = subparsers.add_parser(
        "audit",
        help="check manifests or a cluster's workloads",
        description=_ABOUT,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", nargs="*", metavar="FILE|DIR|-", help="manifests; - is standard input")
    parser.add_argument("--cluster", action="store_true", help="audit what the API server holds, in place of files")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="with --cluster: one namespace")
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="with --cluster: all namespaces (the default)"
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: KUBECONFIG, the pod's account, ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="a context of the kubeconfig (default: its current one)")
    parser.add_argument(
        "--policy",
        metavar="FILE",
        help="audit as the ReliabilityPolicy in FILE says, and only the Deployments that it selects; a"
        " ClusterReliabilityPolicy holds in every namespace then",
    )
    parser.add_argument("--config", metavar="FILE", help="default: .leakwarden.yaml in the working directory")
    parser.add_argument("--profile", choices=("default", "strict"), help="strict also fails on warnings and infos")
    parser.add_argument("--baseline", metavar="FILE", help="findings that are known and do not count")
    parser.add_argument(
        "--write-baseline", metavar="FILE", help="write what is found now as the baseline, and end with 0"
    )
    parser.add_argument("-o", "--output", choices=OUTPUTS, default="table")
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning", "info", "never"),
        help="the least severity that makes the exit code 1 (default: error)",
    )
    parser.add_argument(
        "--fix", action="store_true", help="write safe fixes into the files, keeping comments and order"
    )
    parser.add_argument("--diff", action="store_true", help="show what --fix would write, and write nothing")
    parser.add_argument("--no-kustomize", action="store_true", help="do not build kustomizations; read their files")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audit and print; returns the exit code. Every mistake that a user can make gives one line on standard error."""
    from leakwarden.cli.audit import configuration
    from leakwarden.cli.audit.gather import Gathering, gather

    wrong = _usage(args)
    if wrong:
        return errors.fail("audit", wrong)
    policies, refused = _policies(args.policy)
    if refused:
        _say(refused)
        return UNUSABLE
    try:
        config = configuration.load(args.config, args.profile)
        baseline = configuration.load_baseline(args.baseline or config.baseline)
        api = _report_api(args)
    except configuration.ConfigurationError as error:
        return errors.fail("audit", str(error))

    gathering = Gathering(policies=policies, config=config, baseline=baseline)
    texts: dict[str, str] = {}
    paths = args.path or config.paths
    # Manifests make many objects and no cycles: a hundred searches for cycles would cost a tenth of the time.
    thresholds = gc.get_threshold()
    gc.set_threshold(200_000, 50, 50)
    try:
        result = gather(gathering, args, paths, texts)
    except configuration.ConfigurationError as error:
        return errors.fail("audit", str(error))
    finally:
        gc.set_threshold(*thresholds)
    _say([*result.notes, *result.unaudited])
    _say(result.problems)

    if args.fix or args.diff:
        return _mend(result, args.fix)
    if args.write_baseline:
        return _write_baseline(result, args.write_baseline)
    fail_on = _threshold(args.fail_on or config.fail_on)
    _write(_rendered(result, api or args.output, fail_on, texts))
    if result.problems:
        return UNREAD
    if not result.workloads:
        _say([f"no workload in {' '.join(paths) or 'the cluster'}: nothing was audited"])
    return FINDINGS if fail_on is not None and result.at_least(fail_on) else CLEAN  # type: ignore[arg-type]


def _usage(args: argparse.Namespace) -> str:
    if args.cluster:
        if args.path:
            return "--cluster takes no files"
        if args.namespace and args.all_namespaces:
            return "-n and -A exclude each other"
        if args.fix or args.diff:
            return "--fix and --diff need files"
        return ""
    if args.namespace or args.all_namespaces:
        return "-n and -A need --cluster"
    if (args.fix or args.diff) and "-" in args.path:
        return "--fix and --diff need files, not standard input"
    if not args.path:
        from leakwarden.cli.audit import configuration

        if not configuration.has_paths(args.config):
            return "give files, directories or - (standard input), or --cluster"
    return ""


def _threshold(name: str) -> object:
    from leakwarden.core.audit import Severity

    return {"error": Severity.ERROR, "warning": Severity.WARNING, "info": Severity.INFO, "never": None}[name]


def _report_api(args: argparse.Namespace) -> ReportApi | None:
    """The API of the reports; None for other formats. Raises ConfigurationError."""
    if args.output not in ("policyreport", "openreport"):
        return None
    from leakwarden.core.audit import policy_report

    if args.cluster and args.output == "policyreport":
        from leakwarden.cli.audit import cluster

        return cluster.served_report(args)
    return policy_report.APIS[args.output]


def _rendered(result: AuditResult, output: str | ReportApi, fail_on: object, texts: dict[str, str]) -> str:
    from leakwarden.cli.audit import machine, report, sarif
    from leakwarden.cli.audit.lines import FieldLines

    if not isinstance(output, str):
        from leakwarden.cli.audit import policyreport

        return policyreport.policy_reports(result, output)
    lines = FieldLines(texts)
    match output:
        case "json":
            return machine.as_json(result, lines)
        case "sarif":
            return sarif.sarif(result, lines)
        case "junit":
            return machine.junit(result, fail_on, lines)  # type: ignore[arg-type]
        case "github":
            return machine.github(result, lines)
        case "markdown":
            return machine.markdown(result)
        case _:
            return report.table(result, _colour()) if result.audited else ""


def _mend(result: AuditResult, write: bool) -> int:
    from leakwarden.cli.audit import fix

    patches, refused = fix.patches(result)
    _say(refused)
    if not write:
        _write("\n".join(patch.diff() for patch in patches) or "nothing to mend safely")
        return UNREAD if result.problems else FINDINGS if patches else CLEAN
    for patch in patches:
        try:
            patch.write()
        except OSError as error:
            _say([f"{patch.file}: {error.strerror or error}"])
            return UNREAD
        _say([f"{patch.file}: mended {', '.join(patch.mended)}"])
    return UNREAD if result.problems else CLEAN


def _write_baseline(result: AuditResult, file: str) -> int:
    from leakwarden.cli.audit import configuration

    try:
        number = configuration.write_baseline(file, result)
    except OSError as error:
        _say([f"{file}: {error.strerror or error}"])
        return UNUSABLE
    _say([f"{file}: {number} findings; audit with --baseline {file}"])
    return UNREAD if result.problems else CLEAN


def _policies(file: str | None) -> tuple[list[object], list[str]]:
    """The policies of the file, or the reason why it cannot be used."""
    if file is None:
        return [], []
    from leakwarden.api import names
    from leakwarden.cli.audit.files import read
    from leakwarden.core.model.cluster_policy import as_written, parse_cluster_policy
    from leakwarden.core.model.policy import parse_policy

    reading = read([file])
    problems = list(reading.problems)
    policies: list[object] = []
    for document in reading.documents:
        if document.kind not in (names.POLICY_KIND, names.CLUSTER_POLICY_KIND):
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
        # Without a status and the server's fields: only a policy's requirements are read.
        metadata = {k: v for k, v in document.body.get("metadata", {}).items() if k in ("name", "namespace")}
        body = {"metadata": metadata, "spec": document.body.get("spec")}
        if document.kind == names.CLUSTER_POLICY_KIND:
            # Manifests do not say what labels their namespaces have, so it holds in all of them.
            policy = as_written(parse_cluster_policy(body))
        else:
            policy = parse_policy(body)
        if policy.error:
            problems.append(f"{document.place}: {policy.error}")
        policies.append(policy)
    if not policies and not problems:
        problems.append(f"{file}: holds no ReliabilityPolicy and no ClusterReliabilityPolicy")
    return policies, problems


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        errors.say("audit", line)


def _write(text: str) -> None:
    if not text:
        return
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe. Python would complain once more when it closes the stream.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
