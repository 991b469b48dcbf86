"""The operator as a process from this tree: started, killed and started again, as often as a scenario needs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.paths import REPOSITORY
from e2e.faults.served import free_port
from e2e.harness.waiting import NotYet, wait_until


class Operator:
    """At most one process at a time; all of them write to one log."""

    def __init__(
        self,
        directory: Path,
        namespace: str,
        *,
        server: str,
        prometheus: str,
        alertmanager: str | None = None,
        token: str,
        settings: Mapping[str, str],
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "operator.log"
        self._listen = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        self.lives = 0
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(server, token)))
        kubeconfig.chmod(0o600)
        sources = directory / "sources.yaml"
        configured = {"prometheus": [{"name": "main", "url": prometheus, "default": True, "timeout": "2s"}]}
        if alertmanager is not None:
            configured["alertmanager"] = [{"name": "main", "url": alertmanager, "timeout": "2s"}]
        sources.write_text(json.dumps(configured))
        self._environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(directory),
            "PYTHONPATH": str(REPOSITORY / "operator"),
            # One thread for arithmetic: many operators share few cores here.
            "OPENBLAS_NUM_THREADS": "1",
            "LEAKWARDEN_KUBECONFIG": str(kubeconfig),
            "LEAKWARDEN_SOURCES_FILE": str(sources),
            "LEAKWARDEN_WATCH_NAMESPACES": namespace,
            "LEAKWARDEN_LISTEN": self._listen,
            "LEAKWARDEN_ACTIONS": "EvictPod,RolloutRestart,ScaleOut",
            "LEAKWARDEN_LOG_FORMAT": "text",
            "POD_NAMESPACE": namespace,
            "POD_NAME": "leakwarden-0",
            **settings,
        }

    def start(self) -> None:
        """Returns at once; `wait_ready` waits."""
        assert self._process is None or self._process.poll() is not None, "it runs already"
        self.lives += 1
        with self.log.open("ab") as sink:
            sink.write(f"--- life {self.lives}\n".encode())
            sink.flush()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "leakwarden", "run"],
                cwd=self.log.parent,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )

    def wait_ready(self, timeout: float = 60) -> None:
        def look() -> bool | NotYet:
            if not self.runs:
                raise AssertionError(f"the operator ended: {self.last_words()}")
            try:
                with urllib.request.urlopen(f"http://{self._listen}/readyz", timeout=2):
                    return True
            except (urllib.error.URLError, OSError) as error:
                return NotYet(str(error))

        wait_until("the operator to be ready", look, timeout, interval=0.2)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and gone when this returns; does nothing where none runs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait(20)

    def stop(self) -> None:
        """SIGTERM, as Kubernetes would; SIGKILL after ten seconds."""
        if self.runs:
            assert self._process is not None
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        self.kill()

    def metric(self, name: str) -> float:
        """The sum of all series of a metric of its own, as it is now. Raises OSError where it does not answer."""
        with urllib.request.urlopen(f"http://{self._listen}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", text, re.M))

    def last_words(self, lines: int = 40) -> str:
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return "(no log)"


def _kubeconfig(server: str, token: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxied",
        "clusters": [{"name": "proxied", "cluster": {"server": server}}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": "operator"}}],
    }
