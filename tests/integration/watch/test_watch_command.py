"""`leakwarden watch` on the example service as it comes out of the Go compiler, on loopback."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "leaky"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("go") is None, reason="needs Go to build examples/leaky"),
]


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("leaky") / "leaky"
    built = subprocess.run(
        ["go", "build", "-C", str(EXAMPLE), "-o", str(binary), "."], capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
    return binary


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def watch(command: str, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "leakwarden", "watch", "--exec", command, f"127.0.0.1:{port}", *options],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "operator")},
    )


def test_the_leaking_line_of_the_example_is_named_and_stands_on_the_page(leaky: Path, tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "leak.html"
    done = watch(f"{leaky} -addr 127.0.0.1:{port}", port, "--page", str(file))
    assert done.returncode == 1, done.stderr
    fault = next(
        n for n, line in enumerate((EXAMPLE / "shop.go").read_text().splitlines(), 1) if "s.client.Get" in line
    )
    assert re.search(
        rf"^line: .*main\.\(\*shop\)\.askOnce \(shop\.go:{fault}\).*: response body not closed$", done.stdout, re.M
    )
    assert "Leaking: Descriptors:" in done.stdout
    page = file.read_text()
    assert f"shop.go:{fault}" in page
    assert "Which process" in page
    # The process has ended with the watch.
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_its_repaired_form_is_not_accused_and_not_called_healthy(leaky: Path) -> None:
    port = free_port()
    done = watch(f"{leaky} -addr 127.0.0.1:{port} -fixed", port, "--for", "40s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no growth like a leak's in 4" in done.stdout or "no growth like a leak's in 39s" in done.stdout
    assert "requests were answered, which would have shown a leak of" in done.stdout
    assert "healthy" not in (done.stdout + done.stderr).lower()


def test_a_watch_that_is_too_short_says_so_and_does_not_pass(leaky: Path) -> None:
    port = free_port()
    done = watch(f"{leaky} -addr 127.0.0.1:{port}", port, "--for", "12s")
    assert done.returncode == 3
    assert "not judged: Descriptors: not enough seen:" in done.stdout


def test_a_process_that_ends_early_is_told_with_its_last_words(leaky: Path) -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        done = watch(f"{leaky} -addr 127.0.0.1:{port}", port)
    assert done.returncode == 2
    assert "the process exited with code 1 before" in done.stderr
    assert "address already in use" in done.stderr
