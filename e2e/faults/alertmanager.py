"""A real Alertmanager as a process on loopback: silences are made and ended through its API v2, as people do."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2e.cluster import binaries
from e2e.faults.served import Served


def equal(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value, "isRegex": False, "isEqual": True}


def unequal(name: str, value: str) -> dict[str, Any]:
    return {**equal(name, value), "isEqual": False}


def like(name: str, value: str) -> dict[str, Any]:
    return {**equal(name, value), "isRegex": True}


def unlike(name: str, value: str) -> dict[str, Any]:
    return {**like(name, value), "isEqual": False}


class Alertmanager(Served):
    """On its own, without peers and receivers."""

    def __init__(self, directory: Path) -> None:
        binaries.build(("alertmanager",))
        super().__init__("Alertmanager", directory)
        config = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
        (directory / "alertmanager.yml").write_text(json.dumps(config))  # JSON is YAML
        self.start()

    def command(self) -> Sequence[str]:
        return [
            str(binaries.program("alertmanager")),
            f"--config.file={self._directory / 'alertmanager.yml'}",
            f"--storage.path={self._directory / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]

    def silence(self, *matchers: dict[str, Any], seconds: float = 3600, starts_in: float = 0) -> str:
        """A silence for so many seconds, from now or from `starts_in` seconds on; its id."""
        begin = time.time() + starts_in
        told = {
            "matchers": list(matchers),
            "startsAt": _moment(begin),
            "endsAt": _moment(begin + seconds),
            "createdBy": "a person on call",
            "comment": "we know, and are at it",
        }
        return str(self._ask("POST", "silences", told)["silenceID"])

    def expire(self, silence: str) -> None:
        self._ask("DELETE", f"silence/{silence}")

    def _ask(self, method: str, path: str, told: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}",
            data=None if told is None else json.dumps(told).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                body = answer.read()
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"Alertmanager refused {method} {path}: {refused.read()[:300]!r}") from None
        return json.loads(body) if body else None


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
