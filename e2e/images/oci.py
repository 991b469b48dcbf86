"""Write an image archive that containerd, Docker, Podman and kind can all load.

The archive is an OCI image layout (image-spec v1: oci-layout, index.json, blobs) that also carries
manifest.json, which is what ``docker load`` reads. Equal inputs give equal bytes: entries are sorted,
times are zero, owners are as given.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

NAME_PREFIX = "localhost/leakwarden-e2e/"
DEVELOPMENT_TAG = "dev"
NONROOT = 65532
_NAME_ANNOTATION = "io.containerd.image.name"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class File:
    """A regular file, from bytes or from a file on this machine."""

    content: bytes | Path
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Directory:
    """A directory that must exist with these rights; parents of other entries appear by themselves."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Symlink:
    """A symbolic link; ``target`` is written as it is."""

    target: str


Entry = File | Directory | Symlink
Layer = Mapping[str, Entry]  # path in the image, such as "usr/bin/app" (a leading / is ignored)


@dataclass(frozen=True)
class Image:
    """A written archive and the names it gives its image."""

    archive: Path
    name: str
    tag: str  # twelve hex digits of the content
    more_tags: tuple[str, ...] = (DEVELOPMENT_TAG,)

    @property
    def references(self) -> tuple[str, ...]:
        """The immutable name, and those that manifests use."""
        return tuple(f"{self.name}:{tag}" for tag in (self.tag, *self.more_tags))


def write_archive(
    destination: Path,
    *,
    name: str,
    layers: Sequence[Layer],
    entrypoint: Sequence[str],
    command: Sequence[str] = (),
    user: str = f"{NONROOT}:{NONROOT}",
    environment: Mapping[str, str] | None = None,
    working_directory: str = "/",
    labels: Mapping[str, str] | None = None,
    more_tags: Sequence[str] = (DEVELOPMENT_TAG,),
) -> Image:
    """Write the archive at ``destination``, atomically.

    ``name`` is the image's last part, such as "services": the image becomes
    localhost/leakwarden-e2e/services; a name with a slash is taken as it is. It has the tags ``more_tags``
    and one of twelve hex digits of its content.
    ``user`` is numeric ("uid:gid"), so that runAsNonRoot can be checked; layers are stacked in order.
    Raises OSError when a source file cannot be read or the archive cannot be written.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".image-", dir=destination.parent) as scratch:
        blobs = [_write_layer(Path(scratch) / f"layer{number}", layer) for number, layer in enumerate(layers)]
        config = _json(
            {
                "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": {
                    "User": user,
                    "Env": [f"{key}={value}" for key, value in sorted((environment or {}).items())],
                    "Entrypoint": list(entrypoint),
                    "Cmd": list(command) or None,
                    "WorkingDir": working_directory,
                    "Labels": dict(sorted((labels or {}).items())),
                },
                # The content is not compressed, so a layer's digest is its diff id too.
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{blob.digest}" for blob in blobs]},
            }
        )
        full_name = name if "/" in name else NAME_PREFIX + name
        image = Image(destination, full_name, hashlib.sha256(config).hexdigest()[:12], tuple(more_tags))
        unfinished = Path(scratch) / "archive"
        _write_layout(unfinished, image, config, blobs)
        unfinished.rename(destination)
    return image


def read_references(archive: Path) -> list[str]:
    """The image names an archive carries, in Docker's index or else in OCI's; raises ValueError if it is not an
    image."""
    if not tarfile.is_tarfile(archive):
        raise ValueError(f"{archive} is not an image archive: it is no tar file")
    try:
        with tarfile.open(archive) as tar:
            present = tar.getnames()
            if "manifest.json" in present:
                entries = json.load(tar.extractfile("manifest.json") or io.BytesIO())
                return [str(tag) for entry in entries for tag in entry.get("RepoTags") or []]
            if "index.json" in present:
                entries = json.load(tar.extractfile("index.json") or io.BytesIO())["manifests"]
                annotations = [entry.get("annotations") or {} for entry in entries]
                return [str(each[_NAME_ANNOTATION]) for each in annotations if _NAME_ANNOTATION in each]
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{archive} is not an image archive: {error}") from error
    raise ValueError(f"{archive} is not an image archive: it has neither manifest.json nor index.json")


@dataclass(frozen=True)
class _Blob:
    path: Path
    digest: str
    size: int


def _write_layer(path: Path, layer: Layer) -> _Blob:
    entries = {str(PurePosixPath("/", name)).lstrip("/"): entry for name, entry in layer.items()}
    for name in list(entries):
        for parent in PurePosixPath(name).parents:
            if str(parent) != ".":
                entries.setdefault(str(parent), Directory())
    # Sorted by their parts, so that a directory comes before what is in it.
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(entries, key=lambda each: each.split("/")):
            _add(tar, name, entries[name])
    with path.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    return _Blob(path, digest, path.stat().st_size)


def _add(tar: tarfile.TarFile, name: str, entry: Entry) -> None:
    info = tarfile.TarInfo(name)
    if isinstance(entry, Symlink):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        tar.addfile(info)
        return
    info.mode, info.uid, info.gid = entry.mode, entry.uid, entry.gid
    if isinstance(entry, Directory):
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif isinstance(entry.content, bytes):
        info.size = len(entry.content)
        tar.addfile(info, io.BytesIO(entry.content))
    else:
        with entry.content.open("rb") as source:
            info.size = entry.content.stat().st_size
            tar.addfile(info, source)


def _write_layout(path: Path, image: Image, config: bytes, layers: Sequence[_Blob]) -> None:
    config_digest = hashlib.sha256(config).hexdigest()
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": f"sha256:{config_digest}",
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": f"sha256:{blob.digest}",
                    "size": blob.size,
                }
                for blob in layers
            ],
        }
    )
    manifest_digest = hashlib.sha256(manifest).hexdigest()
    index = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            # One entry per name: an importer reads both from them.
            "manifests": [
                {
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": f"sha256:{manifest_digest}",
                    "size": len(manifest),
                    "annotations": {
                        _NAME_ANNOTATION: reference,
                        "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
                    },
                }
                for reference in image.references
            ],
        }
    )
    docker = _json(
        [
            {
                "Config": f"blobs/sha256/{config_digest}",
                "RepoTags": list(image.references),
                "Layers": [f"blobs/sha256/{blob.digest}" for blob in layers],
            }
        ]
    )
    contents: dict[str, Entry] = {
        "oci-layout": File(_json({"imageLayoutVersion": "1.0.0"})),
        "index.json": File(index),
        "manifest.json": File(docker),
        f"blobs/sha256/{config_digest}": File(config),
        f"blobs/sha256/{manifest_digest}": File(manifest),
    }
    contents.update({f"blobs/sha256/{blob.digest}": File(blob.path) for blob in layers})
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(contents):
            _add(tar, name, contents[name])


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
