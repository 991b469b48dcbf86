"""Health checks of the node's programs, from inside their network namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import network
from e2e.cluster.probe import TIMEOUT

_SCRIPT = str(Path(__file__).with_name("probe.py"))


def probe(targets: Sequence[str], *, inside: bool = True) -> dict[str, str]:
    """Target -> "" when it is healthy, else why not; probe.py defines the targets."""
    command = [sys.executable, _SCRIPT, *targets]
    try:
        asked = subprocess.run(
            network.inside(command) if inside else command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT * 3 + 10,
            check=False,
        )
        found = json.loads(asked.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return dict.fromkeys(targets, "could not be asked")
    return {target: str(found.get(target, "could not be asked")) for target in targets}


def answers(target: str, *, inside: bool = True) -> bool:
    """Whether one target is healthy."""
    return probe([target], inside=inside)[target] == ""
