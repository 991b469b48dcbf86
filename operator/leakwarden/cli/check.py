"""`leakwarden check`: is this policy valid? Without a cluster, for editors and CI."""

from __future__ import annotations

import argparse
from typing import Any

from leakwarden.cli.errors import say

COMMAND = "check"
VALID, INVALID, UNUSABLE = 0, 1, 2  # exit codes


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="check policy files without a cluster",
        description="Check ReliabilityPolicy and ClusterReliabilityPolicy files as the operator would, including what the API server cannot"
        " (PromQL), and say which leaks a valid one would not see. Exit code 0: all are valid; 1: some are not; 2: a file cannot be read, or none holds a policy.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE|DIR|-", help="YAML or JSON, several documents each; - is standard input"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.api import names
    from leakwarden.cli.audit.files import read
    from leakwarden.core.model.cluster_policy import as_written, parse_cluster_policy
    from leakwarden.core.model.policy import parse_policy
    from leakwarden.core.model.text import printable
    from leakwarden.core.signals.blind_spots import blind_spots

    reading = read(arguments.files)
    for problem in reading.problems:
        say(COMMAND, problem)
    invalid = checked = 0
    for document in reading.documents:
        if document.kind not in (names.POLICY_KIND, names.CLUSTER_POLICY_KIND):
            continue
        of_cluster = document.kind == names.CLUSTER_POLICY_KIND
        checked += 1
        version = document.body.get("apiVersion")
        metadata = document.body.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        where = document.kind if of_cluster else metadata.get("namespace", "default")
        label = f"{document.place.file}: {where}/{metadata.get('name', '(no name)')}"
        if version != names.API_VERSION:
            say(COMMAND, f"{label}: apiVersion is {version!r}; it must be {names.API_VERSION}")
            invalid += 1
            continue
        if of_cluster and metadata.get("namespace"):
            say(COMMAND, f"{label}: metadata.namespace is {metadata['namespace']!r}; a {document.kind} has none")
            invalid += 1
            continue
        if of_cluster:
            policy = as_written(parse_cluster_policy(document.body))
        else:
            policy = parse_policy({**document.body, "metadata": {"namespace": "default", **metadata}})
        if policy.error:
            say(COMMAND, f"{label}: {policy.error}")
            invalid += 1
        else:
            print(printable(f"{label}: valid"))
            for unseen in blind_spots(policy.spec) if policy.spec is not None else ():
                print(printable(f"  it does not see {unseen}"))
            for veto, why in policy.vetoes_in_vain.items():
                say("check", f"{label}: veto {veto} can never object: {why}")
    if not checked and not reading.problems:
        say(
            COMMAND,
            f"no {names.POLICY_KIND} and no {names.CLUSTER_POLICY_KIND} in {' '.join(arguments.files)}: nothing was checked",
        )
        return UNUSABLE
    return UNUSABLE if reading.problems else INVALID if invalid else VALID
