"""`leakwarden suspects --pod`: the operator's own capture, with the user's own rights and through the API server."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from leakwarden.cli.errors import NoProfiles, say
from leakwarden.cli.evidence.shared import PATH

if TYPE_CHECKING:
    from leakwarden.adapters.evidence.pprof import Taken
    from leakwarden.core.profile.suspects import Capture

MOMENTS = 5  # captures within the time that --for gives
_POD = re.compile(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)/([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)", re.ASCII)


def take(arguments: argparse.Namespace) -> Capture:
    """The pod's profiles, with a line on stderr about missing ones. Raises NoProfiles."""
    import asyncio

    from leakwarden.engine.ports import ClusterUnavailable

    match = _POD.fullmatch(arguments.pod)
    if match is None:
        raise NoProfiles("--pod takes NAMESPACE/POD")
    try:
        taken = asyncio.run(_take(match[1], match[3], arguments))
    except ClusterUnavailable as error:
        raise NoProfiles(str(error)) from None
    for miss in taken.missed:
        say("suspects", f"{miss.profile or arguments.pod}: {miss.message}")
    if not taken.raw:
        raise NoProfiles(f"{arguments.pod} gave no profiles")
    if arguments.save:
        directory = Path(arguments.save)
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in taken.raw.items():
            (directory / name).write_bytes(data)
    return taken.capture()


async def _take(namespace: str, name: str, arguments: argparse.Namespace) -> Taken:
    from leakwarden.adapters.cluster import Session
    from leakwarden.adapters.evidence.pods import PodUnread, named, read_pod
    from leakwarden.adapters.evidence.pprof import BUDGET, PAUSE, PprofClient
    from leakwarden.adapters.evidence.ways import Target, ThroughApiServer
    from leakwarden.api.scalars import parse_duration
    from leakwarden.core.profile.port import NoPort, profile_port

    seconds = parse_duration(arguments.duration) if arguments.duration else PAUSE
    moments = MOMENTS if arguments.duration else 2
    session = await Session.open(arguments.kubeconfig, arguments.context)
    try:
        facts = await read_pod(session, named(namespace, name))
        port = profile_port(arguments.port, facts.annotation, facts.ports, "")
        say("suspects", f"taking profiles, about {seconds:.0f}s")
        client = PprofClient(
            ThroughApiServer(session), budget=BUDGET + seconds, pause=seconds / (moments - 1), moments=moments
        )
        return await client.capture(Target(facts.pod, port, arguments.path or PATH), None)
    except PodUnread as error:
        raise NoProfiles(str(error)) from None
    except NoPort:
        raise NoProfiles(f"{namespace}/{name} names no port that serves profiles; give one with --port") from None
    finally:
        await session.close()
