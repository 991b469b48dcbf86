"""The operator's image without a container engine: the counterpart of operator/Dockerfile.

Three layers, so that a change of the code rebuilds and reloads only the last, small one: Debian's Python, the locked
dependencies, the operator. All Python is compiled beforehand (the pod's root file system is read-only), there is
neither shell nor pip, and everything belongs to root and is run by the unprivileged user 65532.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from e2e.cluster.commands import Programs
from e2e.cluster.errors import ClusterError
from e2e.cluster.paths import REPOSITORY, cache_directory
from e2e.cluster.progress import say, step
from e2e.images import debs
from e2e.images.oci import Directory, Entry, File, Image, Symlink, write_archive

NAME = "localhost/leakwarden"
CODE = REPOSITORY / "operator" / "leakwarden"
LOCK = REPOSITORY / "operator" / "requirements.lock"

ENTRYPOINT = ("python3", "-m", "leakwarden")
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",  # nothing is imported from the working directory
    "PYTHONUNBUFFERED": "1",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    "TZ": "UTC",
}

# Wheels may expect libstdc++ on any Linux, so they do not contain it.
_PACKAGES = ("python3-minimal", "libpython3-stdlib", "ca-certificates", "libstdc++6")
# Libraries that only modules of the standard library link that a server does not use (see _UNUSED_PYTHON).
_WITHOUT = ("libacl1", "libcom-err2", "libdb5*", "libgssapi*", "libk5crypto*", "libkeyutils*", "libkrb5*", "libmd0")
_WITHOUT_MORE = ("libncurses*", "libnsl*", "libpcre2*", "libreadline*", "libselinux*", "libsqlite3*", "libtinfo*")
_WITHOUT_STILL_MORE = ("libtirpc*", "libzstd*", "media-types", "openssl", "readline-common")
_UNUSED_PYTHON = ("_curses*", "_dbm*", "_gdbm*", "_sqlite3*", "_tkinter*", "nis*", "readline*")
_UNUSED_BASE = (
    "usr/bin/py3*",
    "usr/lib/*/gconv*",  # character sets of iconv; Python has its own
    "usr/lib/python3.*/config-*",
    "usr/lib/python3.*/idlelib/*",
    "usr/lib/python3.*/lib2to3/*",
    "usr/lib/python3.*/pydoc_data/*",
    "usr/lib/python3.*/sqlite3/*",
    "usr/lib/python3.*/test/*",
    "usr/lib/python3.*/tkinter/*",
    "usr/lib/python3.*/turtledemo/*",
    *(f"usr/lib/python3.*/lib-dynload/{each}" for each in _UNUSED_PYTHON),
    "usr/sbin/*",
    "usr/share/pixmaps/*",
)
_UNUSED_WHEELS = (
    "bin/*",
    "*/tests/*",
    "*.pyi",
    "dateparser_cli/*",
    "dateparser_scripts/*",
    "kubernetes/aio/*",  # a second copy of every model, 40 MB; the operator has its own streams
    "numpy/distutils/*",
)
# Thousands of generated modules: the compiled files are enough, their sources are 30 MB that nobody reads.
_COMPILED_ONLY = ("kubernetes/client/api/*.py", "kubernetes/client/models/*.py")
_KEPT_ARCHIVES = 3


def fingerprint() -> str:
    """Changes when the image would, but for newer Debian packages."""
    digest = hashlib.sha256()
    for path in (Path(__file__), Path(debs.__file__), LOCK, *_code_files()):
        digest.update(f"{path.relative_to(REPOSITORY)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def build(destination: Path) -> Image:
    """Bring the cached layers up to date and write the archive.

    Raises ClusterError where Debian packages or wheels cannot be had, or the code does not compile.
    """
    base = _cached("base", _PACKAGES, _WITHOUT, _WITHOUT_MORE, _WITHOUT_STILL_MORE, _UNUSED_BASE, make=_make_base)
    packages = _dist_packages(base)
    wheels = _cached(
        "wheels",
        LOCK.read_bytes(),
        packages.as_posix(),
        _UNUSED_WHEELS,
        _COMPILED_ONLY,
        make=lambda tree: _make_wheels(tree, base),
    )
    with tempfile.TemporaryDirectory(prefix="leakwarden-code-") as scratch:
        code = Path(scratch)
        _make_code(code, base)
        image = write_archive(
            destination,
            name=NAME,
            layers=[read_tree(base), read_tree(wheels), read_tree(code)],
            entrypoint=ENTRYPOINT,
            environment={**ENVIRONMENT, "PATH": "/usr/bin"},
            labels={
                "org.opencontainers.image.title": "leakwarden",
                "org.opencontainers.image.version": version(),
            },
            # The version is the chart's default; everybody may overwrite dev.
            more_tags=("dev", version()),
        )
    _prune(destination)
    return image


def version() -> str:
    """The operator's version, read and not imported: its dependencies may not be installed here."""
    found = re.search(r'^__version__ = "([^"]+)"$', (CODE / "__init__.py").read_text(), re.MULTILINE)
    if not found:
        raise ClusterError(f"{CODE}/__init__.py does not say __version__")
    return found[1]


def read_tree(root: Path) -> dict[str, Entry]:
    """A directory as a layer, everything owned by root and its directories readable by all."""
    layer: dict[str, Entry] = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            layer[name] = Symlink(os.readlink(path))
        elif path.is_dir():
            layer[name] = Directory(mode=path.stat().st_mode & 0o7777)
        else:
            layer[name] = File(path, mode=0o755 if path.stat().st_mode & 0o100 else 0o644)
    return layer


def write_tree(root: Path, layer: dict[str, Entry]) -> None:
    """A layer as a directory; the owner is the user who runs this."""
    for name in sorted(layer, key=lambda each: each.split("/")):
        entry, path = layer[name], root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Symlink):
            path.symlink_to(entry.target)
        elif isinstance(entry, Directory):
            path.mkdir(exist_ok=True)
            path.chmod(entry.mode)
        else:
            path.write_bytes(entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes())
            path.chmod(entry.mode)


def _code_files() -> list[Path]:
    return sorted(each for each in CODE.rglob("*") if each.is_file() and "__pycache__" not in each.parts)


def _cached(name: str, *inputs: object, make: Callable[[Path], None]) -> Path:
    """The tree that ``make`` fills, made once per inputs; an older one of the same name is removed."""
    key = hashlib.sha256(repr((inputs, platform.machine(), Path(debs.__file__).read_text())).encode()).hexdigest()[:12]
    parent = cache_directory() / "images"
    final = parent / f"operator-{name}-{key}"
    if final.is_dir():
        return final
    parent.mkdir(parents=True, exist_ok=True)
    # Made in another directory and renamed, so that an interrupted build leaves no half tree that looks complete.
    work = Path(tempfile.mkdtemp(prefix=f".operator-{name}-", dir=parent))
    try:
        make(work)
        work.chmod(0o755)
        try:
            work.rename(final)
        except OSError:
            # Another build made the same tree meanwhile; that one is as good.
            if not final.is_dir():
                raise
        for old in parent.glob(f"operator-{name}-*"):
            if old != final:
                shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return final


def _make_base(tree: Path) -> None:
    unpacked = debs.unpack(_PACKAGES, without=(*_WITHOUT, *_WITHOUT_MORE, *_WITHOUT_STILL_MORE))
    layer = {**unpacked, **debs.base_files()}
    authorities = sorted(name for name in layer if re.fullmatch(r"usr/share/ca-certificates/.*\.crt", name))
    bundle = b"".join(_content(layer.pop(name)).rstrip(b"\n") + b"\n" for name in authorities)
    # The package's maintainer script would have made it.
    layer["etc/ssl/certs/ca-certificates.crt"] = File(bundle)
    write_tree(tree, {name: entry for name, entry in layer.items() if not _matches(name, _UNUSED_BASE)})
    _compile(tree, tree, "the standard library", _standard_library(tree))


def _make_wheels(tree: Path, base: Path) -> None:
    target = tree / _dist_packages(base)
    major, minor = _python_version(base)
    # Every glibc old enough for the base's, newest first: pip takes a tag literally.
    platforms = [f"manylinux_2_{each}_{platform.machine()}" for each in range(36, 16, -1)]
    platforms.append(f"manylinux2014_{platform.machine()}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--root-user-action=ignore", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--implementation=cp", f"--python-version={major}.{minor}", f"--abi=cp{major}{minor}", "--abi=abi3"]
    command += ["--abi=none", *(f"--platform={each}" for each in platforms)]
    with step(f"fetching the operator's dependencies for Python {major}.{minor}"):
        done = Programs().run([*command, "--target", str(target), "--requirement", str(LOCK)], timeout=1200)
    if not done.succeeded:
        raise ClusterError(f"pip could not fetch what {LOCK.name} lists: {done.last_words(3)}")
    for path in sorted(target.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif _matches(path.relative_to(target).as_posix(), _UNUSED_WHEELS):
            path.unlink()
    _compile(tree, base, "the dependencies", _dist_packages(base))
    for path in target.rglob("*.py"):
        if _matches(path.relative_to(target).as_posix(), _COMPILED_ONLY):
            compiled = path.parent / "__pycache__" / f"{path.stem}.cpython-{major}{minor}.pyc"
            # In the source's directory, under its plain name, Python imports it as the module.
            compiled.rename(path.with_suffix(".pyc"))
            path.unlink()


def _make_code(tree: Path, base: Path) -> None:
    for path in _code_files():
        copy = tree / _dist_packages(base) / CODE.name / path.relative_to(CODE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    _compile(tree, base, "the operator", _dist_packages(base))


def _compile(tree: Path, base: Path, what: str, directory: Path) -> None:
    """Compile with the image's own Python: only its version writes files that it will read.

    Unchecked: the source in an image does not change, so no check for changes is needed.
    """
    major, minor = _python_version(base)
    python = base / "usr" / "bin" / f"python{major}.{minor}"
    command = [str(python), "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(tree), "-p", "/", str(tree / directory)]
    environment = {"PYTHONHOME": str(base / "usr"), "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    with step(f"compiling {what}"):
        done = Programs().run(command, timeout=600, environment=environment)
    if not done.succeeded:
        raise ClusterError(f"{what} did not compile: {done.last_words(5)}")


def _python_version(base: Path) -> tuple[int, int]:
    for path in (base / "usr" / "bin").glob("python3.*"):
        found = re.fullmatch(r"python(3)\.(\d+)", path.name)
        if found and int(found[2]) >= 11:
            return int(found[1]), int(found[2])
    raise ClusterError("the operator needs Python 3.11 or newer, and this Debian release has an older one")


def _standard_library(base: Path) -> Path:
    major, minor = _python_version(base)
    return Path("usr", "lib", f"python{major}.{minor}")


def _dist_packages(base: Path) -> Path:
    """Debian's Python searches this directory for an administrator's packages, without any setting."""
    major, minor = _python_version(base)
    return Path("usr", "local", "lib", f"python{major}.{minor}", "dist-packages")


def _content(entry: Entry) -> bytes:
    if not isinstance(entry, File):
        raise ClusterError("a certificate in ca-certificates is not a file")
    return entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, each) for each in patterns)


def _prune(destination: Path) -> None:
    """Archives are large and every change of the code makes one: keep the newest few."""
    archives = sorted(destination.parent.glob("operator-*.tar"), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in archives[_KEPT_ARCHIVES:]:
        if old != destination:
            say(f"removing an older archive: {old.name}")
            old.unlink(missing_ok=True)
