"""A program as a process on loopback that answers when it is ready, as those of the Prometheus family do."""

from __future__ import annotations

import socket
import subprocess
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from e2e.harness.waiting import NotYet, wait_until


def free_port() -> int:
    """A free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served(ABC):
    """`directory` is its own; the files there stay after `stop`."""

    ready_path = "/-/ready"

    def __init__(self, name: str, directory: Path) -> None:
        self._name = name
        self._directory = directory
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The command that makes it listen at `address`."""

    def start(self) -> None:
        """Start it where it stopped; returns once it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=self._directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(f"{self._name} to be ready", self._ready, 60, interval=0.2)

    def _ready(self) -> bool | NotYet:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError(f"{self._name} ended: {(self._directory / 'log').read_text()[-800:]}")
        try:
            with urllib.request.urlopen(f"{self.url}{self.ready_path}", timeout=2) as answer:
                return True if answer.status == 200 else NotYet(str(answer.status))
        except (urllib.error.URLError, OSError) as error:
            return NotYet(str(error))

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None
