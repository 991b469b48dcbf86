"""`leakwarden check`: is this policy valid? Without a cluster, for editors and CI."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="check policy files without a cluster",
        description="Check ReliabilityPolicy files as the operator would, including what the API server cannot"
        " (PromQL). Exit code 0: all are valid; 1: some are not; 2: a file cannot be read.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML files, several documents each; - is stdin")
    parser.set_defaults(run=run)


def _documents(name: str) -> list[Any]:
    import yaml

    text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


def run(arguments: argparse.Namespace) -> int:
    import yaml

    from leakwarden.api import names
    from leakwarden.core.policy import parse_policy

    invalid = unreadable = checked = 0
    for name in arguments.files:
        try:
            documents = _documents(name)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not valid YAML"
            mark = getattr(error, "problem_mark", None)
            where = f":{mark.line + 1}" if mark is not None else ""
            print(f"{name}{where}: {reason}", file=sys.stderr)
            unreadable += 1
            continue
        for document in documents:
            if not isinstance(document, dict) or document.get("kind") != names.POLICY_KIND:
                continue
            checked += 1
            version = document.get("apiVersion")
            metadata = document.get("metadata")
            metadata = metadata if isinstance(metadata, dict) else {}
            label = f"{name}: {metadata.get('namespace', 'default')}/{metadata.get('name', '(no name)')}"
            if version != names.API_VERSION:
                print(f"{label}: apiVersion is {version!r}; it must be {names.API_VERSION}", file=sys.stderr)
                invalid += 1
                continue
            policy = parse_policy({**document, "metadata": {"namespace": "default", **metadata}})
            if policy.error:
                print(f"{label}: {policy.error}", file=sys.stderr)
                invalid += 1
            else:
                print(f"{label}: valid")
    if not checked and not unreadable:
        print(f"no {names.POLICY_KIND} found", file=sys.stderr)
        return 2
    return 2 if unreadable else 1 if invalid else 0
