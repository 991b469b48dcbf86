"""`leakwarden evidence`: the raw profiles of a LeakReport, on the user's own machine, ready for `go tool pprof`."""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leakwarden.cli.errors import NotGiven, fail, say
from leakwarden.core.model.text import printable

if TYPE_CHECKING:
    from leakwarden.adapters.cluster import Session
    from leakwarden.api.v1alpha1.evidence_status import EvidenceStatus, ProfileStatus

COMMAND = "evidence"
COMPLETE, MISSING, FAILED = 0, 1, 2  # exit codes
SERVICE = "leakwarden/leakwarden-evidence"  # as in the README's installation
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_LAST = re.compile(r"((?:goroutine|heap|goroutineleak)(?:-[0-9])?)[.][0-9a-f]{32}[.]pb[.]gz$", re.ASCII)
_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([A-Za-z0-9._/-]+)", re.ASCII)


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="download the profiles of a LeakReport",
        description="Download the raw profiles that were taken for a LeakReport; `go tool pprof` opens them as they are."
        " From the operator's volume they come through the API server, which needs the right to get leakreports in the"
        " report's namespace and services/proxy in the operator's; from a bucket with your own credentials, found as by the"
        " AWS command line (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws/credentials). Exit code 0:"
        " all of them are here; 1: some are not kept any more, or none was; 2: wrong usage, or no answer.",
    )
    parser.add_argument("name", metavar="NAME", help="the LeakReport's name")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", required=True, help="its namespace")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="where to put the profiles")
    parser.add_argument(
        "--service",
        default=SERVICE,
        metavar="NAMESPACE/NAME",
        help=f"the operator's Service for evidence (default: {SERVICE})",
    )
    parser.add_argument(
        "--endpoint", metavar="URL", help="the bucket's server (default: AWS_ENDPOINT_URL, or Amazon's)"
    )
    parser.add_argument("--region", help="the bucket's region (default: AWS_REGION, or us-east-1)")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: KUBECONFIG, the pod's account, ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="a context of the kubeconfig (default: its current one)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import asyncio

    from leakwarden.engine.ports import ClusterUnavailable

    service = arguments.service.split("/")
    for option, value in (
        ("NAME", arguments.name),
        ("--namespace", arguments.namespace),
        *(("--service", s) for s in service),
    ):
        if _NAME.fullmatch(value) is None:
            return fail(COMMAND, f"{option} {printable(value[:60])!r} is not a name that Kubernetes allows")
    if len(service) != 2:
        return fail(COMMAND, "--service takes NAMESPACE/NAME")
    try:
        evidence, found = asyncio.run(_download(arguments))
    except (ClusterUnavailable, NotGiven) as error:
        return fail(COMMAND, str(error))
    print(printable(evidence.summary or "nothing is suspected"))
    if not found:
        words = evidence.message or "this installation keeps no profiles"
        say(COMMAND, f"no profile was kept: {words}")
        return MISSING
    directory = Path(arguments.output)
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in found:
        if isinstance(data, NotGiven):
            say(COMMAND, f"{name}: {data}")
        else:
            (directory / name).write_bytes(data)
            print(f"{directory / name}  {len(data)} bytes")
    return MISSING if any(isinstance(data, NotGiven) for _, data in found) else COMPLETE


async def _download(arguments: argparse.Namespace) -> tuple[EvidenceStatus, list[tuple[str, bytes | NotGiven]]]:
    """The report's content, and each stored profile by file name, or why it is missing. Raises Refused,
    ClusterUnavailable."""
    from leakwarden.adapters.cluster import Session

    session = await Session.open(arguments.kubeconfig, arguments.context)
    try:
        evidence = await _evidence(session, arguments.namespace, arguments.name)
        found: list[tuple[str, bytes | NotGiven]] = []
        for profile in evidence.profiles:
            if not profile.location:
                continue
            # Text of a status must not become a path to write to: only the kind and number are taken from it.
            match = _LAST.search(profile.location)
            if match is None:
                found.append((profile.kind, NotGiven("this is no place that Leakwarden keeps profiles at")))
                continue
            try:
                found.append((f"{match[1]}.pb.gz", await _fetch(session, profile, arguments)))
            except NotGiven as error:
                found.append((f"{match[1]}.pb.gz", error))
        return evidence, found
    finally:
        await session.close()


async def _evidence(session: Session, namespace: str, name: str) -> EvidenceStatus:
    """The report's evidence. Raises Refused, ClusterUnavailable."""
    import json

    from leakwarden.api import names
    from leakwarden.core.model.leakreport import parse_report

    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.REPORT_PLURAL}/{name}"
    reply = await session.ask("GET", path)
    if reply.status in (401, 403):
        raise NotGiven(f"you are not allowed to get leakreports in namespace {namespace} (HTTP {reply.status})")
    if reply.status == 404:
        raise NotGiven(f"there is no LeakReport {namespace}/{name}")
    if not reply.ok:
        raise NotGiven(f"{session.server} answered HTTP {reply.status}")
    try:
        report = parse_report(json.loads(reply.body))
    except (ValueError, AttributeError, RecursionError):
        report = None
    if report is None:
        raise NotGiven(f"{session.server} did not answer with a LeakReport")
    if report.status.evidence is None:
        raise NotGiven(f"no evidence was taken for {namespace}/{name} yet")
    return report.status.evidence


async def _fetch(session: Session, profile: ProfileStatus, arguments: argparse.Namespace) -> bytes:
    """A profile, if it is the one that the report refers to. Raises Refused, ClusterUnavailable."""
    bucket = _S3.fullmatch(profile.location)
    if bucket is not None:
        from leakwarden.cli.evidence.bucket import fetch

        data = await fetch(bucket[1], bucket[2], arguments.endpoint, arguments.region)
    else:
        data = await _from_operator(session, profile.location, arguments.service)
    if hashlib.sha256(data).hexdigest() != profile.sha256:
        raise NotGiven("what is kept there is another file: its checksum differs")
    return data


async def _from_operator(session: Session, location: str, service: str) -> bytes:
    from leakwarden.adapters.evidence.served import PREFIX
    from leakwarden.adapters.evidence.store import LOCATION

    if LOCATION.fullmatch(location) is None:
        raise NotGiven("this is no place that Leakwarden keeps profiles at")
    namespace, name = service.split("/")
    path = f"/api/v1/namespaces/{namespace}/services/{name}:http/proxy{PREFIX}/{location}"
    reply = await session.ask("GET", path, accept="*/*")
    if reply.status in (401, 403):
        raise NotGiven(f"you are not allowed to get services/proxy of {service} (HTTP {reply.status})")
    if reply.status == 404:
        raise NotGiven(f"it is not kept any more, or there is no Service {service} (HTTP 404)")
    if not reply.ok:
        raise NotGiven(f"the operator cannot be reached through {service} (HTTP {reply.status})")
    return reply.body
