"""The pause image: the program that holds a pod's namespaces open."""

from __future__ import annotations

from pathlib import Path

from e2e.images.golang import source_fingerprint, static_programs
from e2e.images.oci import Image, write_archive

_MODULE = Path(__file__).resolve().parent / "pause"


def fingerprint() -> str:
    """Changes when the image would."""
    return source_fingerprint(_MODULE)


def build(destination: Path) -> Image:
    """Compile pause and write the archive."""
    programs = static_programs(_MODULE, ["."])
    return write_archive(destination, name="pause", layers=[programs], entrypoint=["/pause"])
