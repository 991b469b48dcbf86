"""The images by name. A new one is a module with ``fingerprint`` and ``build``, and one line here."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Protocol, cast

from e2e.cluster.errors import ClusterError
from e2e.cluster.paths import cache_directory
from e2e.cluster.progress import say, step
from e2e.images import oci


class Builder(Protocol):
    """The interface of each image's module."""

    def fingerprint(self) -> str:
        """A text that changes whenever the image would: a digest of all its inputs."""
        ...

    def build(self, destination: Path) -> oci.Image:
        """Write the archive at ``destination``; raises ClusterError when it cannot be built."""
        ...


# Modules are imported only when their image is needed: a fault in one must not break another.
BUILDERS = {
    "pause": "e2e.images.sandbox",
    "coredns": "e2e.images.coredns",
    "nginx": "e2e.images.nginx",
    "prometheus": "e2e.images.prometheus",
    "services": "e2e.images.services",
    "operator": "e2e.images.operator",
}


def build_image(name: str) -> Path:
    """The archive of an image, built unless the cache holds one of the same inputs.

    Raises ClusterError for an unknown name or a failed build.
    """
    if name not in BUILDERS:
        raise ClusterError(f"no image is called {name!r}; there are: {', '.join(BUILDERS)}")
    try:
        module = importlib.import_module(BUILDERS[name])
    except ModuleNotFoundError as error:
        raise ClusterError(f"image {name!r} cannot be built here: {error}") from error
    builder = cast(Builder, module)
    inputs = f"{builder.fingerprint()} {Path(oci.__file__).read_text()}"
    archive = cache_directory() / "images" / f"{name}-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}.tar"
    if archive.is_file():
        say(f"image {name}: {archive} (cached)")
        return archive
    with step(f"building image {name}"):
        try:
            image = builder.build(archive)
        except OSError as error:
            raise ClusterError(f"image {name!r} cannot be written: {error}") from error
    say(f"image {name}: {image.archive} holds {' and '.join(image.references)}")
    return archive
