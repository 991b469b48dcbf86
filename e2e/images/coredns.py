"""The coredns image: the node's own build of it, alone."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster import binaries
from e2e.images.oci import File, Image, write_archive


def fingerprint() -> str:
    """Changes when the image would."""
    return binaries.group("coredns").fingerprint()


def build(destination: Path) -> Image:
    """Build CoreDNS if need be and write the archive."""
    binaries.build(("coredns",))
    program = File(binaries.program("coredns"), mode=0o755)
    return write_archive(destination, name="coredns", layers=[{"coredns": program}], entrypoint=["/coredns"])
