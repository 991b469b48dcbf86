"""`leakwarden diagnose` on what a scenario behind nginx has left, and its episodes as files for the bench."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.paths import REPOSITORY
from e2e.cluster.progress import say
from e2e.stack import manifests

NGINX_WAITS = "1s"
#: A folder: the episodes are kept there, as tests/fixtures/episodes has them.
RECORD = "LEAKWARDEN_RECORD_EPISODES"


@dataclass(frozen=True)
class Scene:
    """A scenario that is over: its namespace, nginx's log and Prometheus's address. `length` in s reaches back over it
    all."""

    namespace: str
    access_log: Path
    prometheus: str
    length: int

    def diagnosed(self, name: str, *more: str, proxy: str = "nginx") -> dict[str, Any]:
        """The answer about the route of this name; `proxy` names the readings: nginx's log or its metrics."""
        route = (
            ["--access-log", str(self.access_log), "--route", f"/{name}/"] if proxy == "nginx" else ["--route", name]
        )
        command = [
            sys.executable, "-m", "leakwarden", "diagnose", "--prometheus", self.prometheus, "--proxy", proxy, *route,
            "--namespace", self.namespace, "--pods", f"{name}-", "--since", f"{self.length}s",
            "--proxy-timeout", NGINX_WAITS, "-o", "json", *more,
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "operator")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode in (0, 1, 3), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def record(self, name: str, cause: str | list[str]) -> None:
        """Keep the episode of this route, where `RECORD` names a folder."""
        folder = os.environ.get(RECORD)
        if not folder:
            return
        from leakwarden.cli.arguments import prometheus
        from leakwarden.cli.diagnose.reading import Asked, read
        from leakwarden.core.correlation.presets import PRESETS
        from tests.bench.causes.episodes import written

        now = time.time()
        asked = Asked(
            PRESETS["ingress-nginx"], name, self.namespace, f"{name}-", since=now - self.length, until=now, timeout=1.0
        )
        episode = asyncio.run(read(prometheus(self.prometheus, "record"), asked)).episode
        file = Path(folder) / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(written(cause, episode)) + "\n", encoding="utf-8")


def url(name: str) -> str:
    return f"http://nginx:{manifests.HTTP_PORT}/{name}/work"


def sleep_until(moment: float, what: str) -> None:
    """`moment` by time.monotonic()."""
    say(f"{what} for {max(moment - time.monotonic(), 0):.0f} s")
    time.sleep(max(moment - time.monotonic(), 0))
