"""`leakwarden soak` against each service that leaks, which it must fail, and its repaired form, which it must pass.

Needs Go and no cluster. All services run as processes on loopback; load goes only to them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from e2e.harness.sites import SITES

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "e2e" / "services"

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("services")
    programs = [f"./cmd/{name}" for name in sorted({*SITES, "healthy"})]
    subprocess.run(["go", "build", "-C", str(SERVICES), "-o", f"{folder}/", *programs], check=True, timeout=900)
    return folder


@pytest.fixture(scope="module")
def upstream(binaries: Path) -> Iterator[str]:
    """A sound service that the others call."""
    port, other = free_port(), free_port()
    backend = subprocess.Popen(
        [binaries / "healthy", "-addr", f"127.0.0.1:{port}", "-pprof-addr", f"127.0.0.1:{other}", "-drain", "50ms"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.kill(backend.pid, signal.SIGTERM)
        backend.wait(20)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(url: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not become ready")


def soak(binaries: Path, service: str, upstream: str, fixed: bool, junit: Path) -> subprocess.CompletedProcess[str]:
    port, profiles = free_port(), free_port()
    command = (
        f"{binaries / service} -addr 127.0.0.1:{port} -pprof-addr 127.0.0.1:{profiles} -drain 50ms"
        f" -upstream {upstream} -fixed={str(fixed).lower()}"
    )
    return subprocess.run(
        [
            sys.executable, "-m", "leakwarden", "soak", "--exec", command, "--load", f"http://127.0.0.1:{port}/work",
            "--junit", str(junit), f"http://127.0.0.1:{port}", "--pprof", f"http://127.0.0.1:{profiles}",
        ],
        capture_output=True, text=True, timeout=400, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    )  # fmt: skip


@pytest.mark.parametrize("service", sorted(SITES))
def test_a_leaking_service_fails_the_build_and_its_line_is_named(
    binaries: Path, upstream: str, service: str, tmp_path: Path
) -> None:
    done = soak(binaries, service, upstream, False, tmp_path / "soak.xml")
    assert done.returncode == 1, done.stdout + done.stderr
    site = SITES[service]
    # In the failure each suspect is a line, the likeliest first, with its caller.
    (failure, *_) = ElementTree.fromstring((tmp_path / "soak.xml").read_text()).findall("testsuite/testcase/failure")
    first = (failure.text or "").partition("\n")[0]
    assert site.function in first or (site.via and site.via in first), first
    assert failure.get("type") in ("Leaking", "Exhausting")


@pytest.mark.parametrize("service", sorted(SITES))
def test_its_repaired_form_passes(binaries: Path, upstream: str, service: str, tmp_path: Path) -> None:
    done = soak(binaries, service, upstream, True, tmp_path / "soak.xml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a leak of 5,000 per million needs 3,346: as many were answered" in done.stdout
    assert "<failure" not in (tmp_path / "soak.xml").read_text()
