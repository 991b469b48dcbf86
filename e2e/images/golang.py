"""Static Go programs for images."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from e2e.cluster.commands import Programs
from e2e.cluster.errors import ClusterError
from e2e.cluster.toolchain import find_go
from e2e.images.oci import File


def source_fingerprint(module: Path, *extra: str) -> str:
    """A digest of every file a Go build of ``module`` may read, tests left out."""
    digest = hashlib.sha256(repr(extra).encode())
    for path in sorted(each for each in module.rglob("*") if each.is_file()):
        if not path.name.endswith("_test.go"):
            digest.update(f"{path.relative_to(module)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def static_programs(module: Path, packages: Iterable[str]) -> dict[str, File]:
    """Program name -> executable, for packages such as "./cmd/healthy" of a Go module.

    Symbol tables and line information are kept: goroutine profiles are to name functions and lines. Raises ClusterError
    with the end of the compiler's output when one does not build.
    """
    runner = Programs()
    go = find_go(runner)
    wanted = list(packages)
    with tempfile.TemporaryDirectory(prefix="leakwarden-go-") as scratch:
        command = [go, "-C", str(module), "build", "-mod=readonly", "-buildvcs=false", "-trimpath"]
        built = runner.run(
            [*command, "-o", scratch + os.sep, *wanted],
            timeout=1800,
            environment={"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
        )
        if not built.succeeded:
            raise ClusterError(f"{module} did not build:\n{built.last_words(15)}")
        return {path.name: File(path.read_bytes(), mode=0o755) for path in sorted(Path(scratch).iterdir())}
