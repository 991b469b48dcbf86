"""A real Kubernetes cluster for the end-to-end tests: ``python3 -m e2e.cluster VERB``.

LEAKWARDEN_PROVIDER=local|kind|existing chooses where it comes from; without it, a KUBECONFIG means that
cluster, a container engine that answers and a kind program mean kind, and all else a local node of plain
processes. LEAKWARDEN_CACHE and LEAKWARDEN_STATE move what is built and what runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from e2e.cluster import binaries
from e2e.cluster.choice import choose, provider_named
from e2e.cluster.commands import Programs
from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import say
from e2e.cluster.provider import ClusterStatus, Provider
from e2e.images.oci import read_references


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m e2e.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    build = verbs.add_parser("build", help="build the local node's programs from source (once)")
    build.add_argument("groups", nargs="*", metavar="GROUP", help=f"only these: {', '.join(binaries.NAMES)}")
    verbs.add_parser("up", help="bring the cluster up; safe to repeat")
    verbs.add_parser("down", help="stop everything and leave nothing behind; safe to repeat")
    status = verbs.add_parser("status", help="show each part; exit code 0 only if the cluster is usable")
    status.add_argument("-o", dest="output", choices=("table", "json"), default="table")
    verbs.add_parser("env", help='for a shell: eval "$(python3 -m e2e.cluster env)"')
    load = verbs.add_parser("load-image", help="put images of OCI or docker archives on the nodes")
    load.add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE.tar")
    fault = verbs.add_parser("fault", help="stop or start one component of the local node")
    fault.add_argument("action", choices=("stop", "start"))
    fault.add_argument("component", metavar="COMPONENT", help="such as kube-apiserver")
    return parser


def _show(status: ClusterStatus, output: str) -> None:
    if output == "json":
        print(json.dumps({**asdict(status), "usable": status.usable}, default=str, indent=2))
        return
    print(f"provider    {status.provider}")
    print(f"kubeconfig  {status.kubeconfig or '-'}")
    if not status.components:
        print("the cluster is down; bring it up with: python3 -m e2e.cluster up")
        return
    width = max(len(each.name) for each in status.components)
    print(f"\n{'COMPONENT':<{width}}  {'PID':>8}  HEALTH")
    for each in status.components:
        print(f"{each.name:<{width}}  {each.pid or '-':>8}  {each.problem or 'ok'}")


def _image_names(archive: Path) -> list[str]:
    # Checked before any node is used: a node's error about a broken archive names neither the archive nor the reason.
    if not archive.is_file():
        raise ClusterError(f"{archive} is not a file")
    try:
        names = read_references(archive)
    except ValueError as error:
        raise ClusterError(str(error)) from error
    if not names:
        raise ClusterError(f"{archive} names no image; save it with a name and tag")
    return names


def _run(chosen: argparse.Namespace, provider: Provider) -> int:
    if chosen.verb == "up":
        provider.up()
    elif chosen.verb == "down":
        provider.down()
    elif chosen.verb == "status":
        status = provider.status()
        _show(status, chosen.output)
        return 0 if status.usable else 1
    elif chosen.verb == "env":
        print(provider.environment().exports())
    elif chosen.verb == "load-image":
        names = [name for archive in chosen.archives for name in _image_names(archive)]
        provider.load_images([archive.absolute() for archive in chosen.archives])
        say(f"available to pods: {', '.join(dict.fromkeys(names))}")
    elif chosen.verb == "fault":
        provider.fault(chosen.action, chosen.component)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done (for status: usable), 1 failed in a way one line explains, 2 wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        if chosen.verb == "build":
            unknown = [name for name in chosen.groups if name not in binaries.NAMES]
            if unknown:
                parser.error(f"no such group: {', '.join(unknown)}; there are: {', '.join(binaries.NAMES)}")
            binaries.build(tuple(chosen.groups) or binaries.ALL)
            say("everything asked for is built")
            return 0
        runner = Programs()
        return _run(chosen, provider_named(choose(os.environ, runner), runner))
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; 'down' clears up what was begun")
        return 130


if __name__ == "__main__":
    sys.exit(main())
