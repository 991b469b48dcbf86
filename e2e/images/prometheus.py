"""The prometheus image: Debian's Prometheus as an unprivileged user.

Mount the configuration at /etc/prometheus/prometheus.yml and something writable at /prometheus; its root
file system may be read-only. ``command`` replaces the arguments, which are nothing but these two paths.
"""

from __future__ import annotations

from pathlib import Path

from e2e.images.debs import base_files, unpack
from e2e.images.oci import NONROOT, Directory, Entry, Image, write_archive

# The browser's libraries: this server's pages are not used here.
_WITHOUT = ("libjs-*", "javascript-common", "fonts-*", "node-*", "libdb*", "libgdbm*", "libselinux*", "libacl*")
_WITHOUT_MORE = ("libbz2*", "libzstd*", "libcap-ng*", "libmd0", "libpcre*", "libattr*", "libgmp*", "libcrypt1")


def fingerprint() -> str:
    """Changes when the image would, but for newer Debian packages."""
    return Path(__file__).read_text()


def build(destination: Path) -> Image:
    """Fetch the packages and write the archive."""
    files: dict[str, Entry] = {
        **unpack(("prometheus",), without=(*_WITHOUT, *_WITHOUT_MORE)),
        **base_files(),
        "prometheus": Directory(mode=0o755, uid=NONROOT, gid=NONROOT),
    }
    return write_archive(
        destination,
        name="prometheus",
        layers=[files],
        entrypoint=["/usr/bin/prometheus"],
        command=["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
        working_directory="/prometheus",
        environment={"PATH": "/usr/bin"},
    )
