"""The services image: every program of the Go module e2e/services, each at /NAME."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster.errors import ClusterError
from e2e.images.golang import source_fingerprint, static_programs
from e2e.images.oci import Image, write_archive

_MODULE = Path(__file__).resolve().parents[1] / "services"


def fingerprint() -> str:
    """Changes when the image would."""
    return source_fingerprint(_MODULE)


def build(destination: Path) -> Image:
    """Compile every ./cmd/* and write the archive; pods choose a program with ``command``."""
    packages = [f"./cmd/{each.name}" for each in sorted((_MODULE / "cmd").glob("*")) if each.is_dir()]
    if not packages:
        raise ClusterError(f"{_MODULE}/cmd holds no programs")
    programs = static_programs(_MODULE, packages)
    return write_archive(destination, name="services", layers=[programs], entrypoint=["/healthy"])
