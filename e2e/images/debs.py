"""Image layers from Debian packages: only the packages needed, unpacked in memory, no root file system, no root.

No maintainer script runs, so their work (users, alternatives, caches) is left to the caller, and the packages that only
they need (debconf, perl, adduser and so on) are left out.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from e2e.cluster.commands import Programs, Runner
from e2e.cluster.debian import as_root
from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import step
from e2e.images.oci import NONROOT, Directory, Entry, File, Symlink

# Needed by maintainer scripts and shells only; patterns over package names.
FOR_MAINTAINER_SCRIPTS = (
    "adduser",
    "coreutils",
    "debconf*",
    "debianutils",
    "dpkg",
    "init-system-helpers",
    "install-info",
    "libaudit*",
    "libpam*",
    "libsemanage*",
    "libsepol*",
    "lsb-base",
    "passwd",
    "perl-base",
    "sysvinit-utils",
    "tar",
    "usr-is-merged",
    "usrmerge",
    "libfile-find-rule-perl",
    "libnumber-compare-perl",
    "libtext-glob-perl",
)

# Documentation and translations; licences stay.
_DROPPED = (
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/lintian/*",
    "usr/share/bug/*",
    "usr/lib/systemd/*",
    "etc/init.d/*",
    "etc/cron*",
    "var/cache/*",
)
_KEPT = ("usr/share/doc/*/copyright",)
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def unpack(packages: Sequence[str], *, without: Iterable[str] = ()) -> dict[str, Entry]:
    """One layer with these packages and all they depend on.

    ``without`` adds patterns of package names to leave out, beyond FOR_MAINTAINER_SCRIPTS.
    Raises ClusterError where the machine has no apt, or apt cannot get the packages.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ClusterError(
            f"an image of Debian packages ({', '.join(packages)}) can be made only where apt-get and dpkg-deb "
            "are; this machine has neither Debian nor Ubuntu"
        )
    left_out = (*FOR_MAINTAINER_SCRIPTS, *without)
    layer: dict[str, Entry] = {}
    with tempfile.TemporaryDirectory(prefix="leakwarden-debs-") as scratch:
        with step(f"fetching Debian packages for {', '.join(packages)}"):
            archives = _download(Programs(), packages, Path(scratch))
        for archive in archives:
            name = archive.name.partition("_")[0]
            if not any(fnmatchcase(name, pattern) for pattern in left_out):
                layer.update(read_package(_files_of(archive)))
    # Debian 12's packages still have paths in /lib and /bin where the merged /usr is meant.
    for name in _MERGED:
        if any(path.startswith(f"usr/{name}/") for path in layer):
            layer[name] = Symlink(f"usr/{name}")
    return layer


def base_files() -> dict[str, Entry]:
    """The files that an unprivileged program expects: a name for its user, and a directory for temporary files."""
    return {
        "etc/passwd": File(
            b"root:x:0:0:root:/root:/sbin/nologin\n"
            + f"nonroot:x:{NONROOT}:{NONROOT}:nonroot:/tmp:/sbin/nologin\n".encode()
        ),
        "etc/group": File(f"root:x:0:\nnonroot:x:{NONROOT}:\n".encode()),
        "etc/nsswitch.conf": File(b"passwd: files\ngroup: files\nhosts: files dns\n"),
        "tmp": Directory(mode=0o1777),
    }


def _download(runner: Runner, packages: Sequence[str], directory: Path) -> list[Path]:
    (directory / "partial").mkdir()
    status = directory / "status"
    status.write_text("")
    options = {
        # As if nothing were installed: the whole closure is fetched, independent of this machine's packages.
        "Dir::State::status": status,
        "Dir::Cache::archives": directory,
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
    }
    command = ["apt-get", "install", "-q", "-y", "--download-only", "--no-install-recommends"]
    command += [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    fetched = runner.run([*command, *packages], timeout=900)
    if not fetched.succeeded:
        # Most often the package lists are missing or older than what the mirror still offers.
        runner.run(as_root(["apt-get", "update", "-q"]), timeout=600)
        fetched = runner.run([*command, *packages], timeout=900)
    if not fetched.succeeded:
        raise ClusterError(f"apt-get could not fetch {', '.join(packages)}: {fetched.last_words(3)}")
    return sorted(directory.glob("*.deb"))


def _files_of(archive: Path) -> bytes:
    unpacked = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(archive)], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if unpacked.returncode != 0:
        raise ClusterError(f"{archive.name} cannot be unpacked: {unpacked.stderr.decode(errors='replace').strip()}")
    return unpacked.stdout


def read_package(content: bytes) -> dict[str, Entry]:
    """The entries of a package's tar, with paths under the merged /usr and without documentation."""
    entries: dict[str, Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            path = merged(member.name)
            if not path or is_dropped(path):
                continue
            if member.issym():
                entries[path] = Symlink(member.linkname)
            elif member.isdir():
                entries[path] = Directory(member.mode, member.uid, member.gid)
            elif member.isfile() or member.islnk():
                # For a hard link tarfile reads its target: a copy, which is enough for an image.
                source = tar.extractfile(member)
                data = source.read() if source else b""
                entries[path] = File(data, member.mode, member.uid, member.gid)
    return entries


def merged(name: str) -> str:
    """A package's path as it is on a system with merged /usr: lib/x becomes usr/lib/x."""
    path = PurePosixPath("/", name).relative_to("/")
    if not path.parts:
        return ""
    return str("usr" / path) if path.parts[0] in _MERGED else str(path)


def is_dropped(path: str) -> bool:
    """Whether an image has no use for a path."""
    return any(fnmatchcase(path, each) for each in _DROPPED) and not any(fnmatchcase(path, each) for each in _KEPT)
