"""The stores of raw profiles (nowhere, a volume, or a bucket), and the names of the files there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Protocol

# NAMESPACE/NAME of a LeakReport, as Kubernetes allows them.
_REPORT = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
# The locations that `location` makes of them and of the names of profiles.
LOCATION = re.compile(
    rf"{_REPORT.pattern}/(goroutine|heap|goroutineleak)(-[0-9])?[.][0-9a-f]{{32}}[.]pb[.]gz", re.ASCII
)


class NotStored(Exception):
    """The profiles were not kept; the message is one line for people and quotes no server."""


class Store(Protocol):
    async def keep(self, report: str, profiles: Mapping[str, bytes]) -> Mapping[str, str]:
        """Keep profiles by file name (`goroutine-1.pb.gz`) for a report (NAMESPACE/NAME); each one's location, by the
        same name. All or nothing is not promised: after NotStored some may be there."""
        ...


class Nowhere:
    """Keeps no raw profiles: only the summary in the LeakReport stays."""

    async def keep(self, report: str, profiles: Mapping[str, bytes]) -> Mapping[str, str]:  # noqa: ARG002 - the port's
        return dict.fromkeys(profiles, "")


def location(report: str, name: str, data: bytes) -> str:
    """NAMESPACE/REPORT/KIND.CHECKSUM.pb.gz: a later capture of the same report replaces nothing, and without the
    checksum, which is in the LeakReport, nobody can request the file. Raises NotStored for names of another form."""
    path = f"{report}/{name.removesuffix('.pb.gz')}.{hashlib.sha256(data).hexdigest()[:32]}.pb.gz"
    if LOCATION.fullmatch(path) is None:
        raise NotStored("the report's name is not one that Kubernetes allows")
    return path
