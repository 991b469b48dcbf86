"""Image archives written without an engine: their content, and that equal inputs give equal bytes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.errors import ClusterError
from e2e.images import debs
from e2e.images.builders import build_image
from e2e.images.oci import Directory, File, Image, Symlink, read_references, write_archive


def _write(path: Path, **changes: Any) -> Image:
    layer = {
        "/app/program": File(b"#!/bin/sh\n", mode=0o755),
        "app-data/state": Directory(mode=0o700, uid=65532, gid=65532),
        "bin": Symlink("usr/bin"),
    }
    arguments: dict[str, Any] = {"name": "example", "layers": [layer], "entrypoint": ["/app/program"], **changes}
    return write_archive(path, **arguments)


def _members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {each.name: (tar.extractfile(each) or io.BytesIO()).read() for each in tar if each.isfile()}


def _layer(path: Path) -> dict[str, tarfile.TarInfo]:
    members = _members(path)
    [docker] = json.loads(members["manifest.json"])
    with tarfile.open(fileobj=io.BytesIO(members[docker["Layers"][0]])) as tar:
        return {each.name: each for each in tar}


class TestAnArchive:
    def test_equal_inputs_give_equal_bytes(self, tmp_path: Path) -> None:
        _write(tmp_path / "a.tar")
        _write(tmp_path / "b.tar")
        assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()

    def test_other_content_gives_another_tag(self, tmp_path: Path) -> None:
        first = _write(tmp_path / "a.tar")
        second = _write(tmp_path / "b.tar", layers=[{"program": File(b"other")}])
        third = _write(tmp_path / "c.tar", environment={"A": "1"})
        assert len({first.tag, second.tag, third.tag}) == 3

    def test_every_blob_is_named_by_its_digest_and_every_reference_leads_to_one(self, tmp_path: Path) -> None:
        image = _write(tmp_path / "a.tar")
        members = _members(image.archive)
        for name, content in members.items():
            if name.startswith("blobs/"):
                assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
        assert json.loads(members["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
        for entry in json.loads(members["index.json"])["manifests"]:
            manifest = json.loads(members["blobs/sha256/" + entry["digest"].removeprefix("sha256:")])
            for part in (manifest["config"], *manifest["layers"]):
                assert len(members["blobs/sha256/" + part["digest"].removeprefix("sha256:")]) == part["size"]

    def test_both_indexes_give_the_image_the_same_two_names(self, tmp_path: Path) -> None:
        image = _write(tmp_path / "a.tar")
        index = json.loads(_members(image.archive)["index.json"])
        names = [each["annotations"]["io.containerd.image.name"] for each in index["manifests"]]
        assert names == list(image.references) == read_references(image.archive)
        assert names[1] == "localhost/leakwarden-e2e/example:dev"

    def test_the_user_is_numeric_and_not_root_unless_asked(self, tmp_path: Path) -> None:
        members = _members(_write(tmp_path / "a.tar").archive)
        [docker] = json.loads(members["manifest.json"])
        assert json.loads(members[docker["Config"]])["config"]["User"] == "65532:65532"

    def test_entries_keep_their_rights_owners_and_parents_and_have_no_time(self, tmp_path: Path) -> None:
        layer = _layer(_write(tmp_path / "a.tar").archive)
        assert list(layer) == ["app", "app/program", "app-data", "app-data/state", "bin"]
        assert layer["app/program"].mode == 0o755
        assert (layer["app-data/state"].mode, layer["app-data/state"].uid) == (0o700, 65532)
        assert (layer["bin"].issym(), layer["bin"].linkname) == (True, "usr/bin")
        assert {each.mtime for each in layer.values()} == {0}

    def test_a_source_that_cannot_be_read_leaves_no_archive(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            _write(tmp_path / "a.tar", layers=[{"x": File(tmp_path / "missing")}])
        assert list(tmp_path.iterdir()) == []

    def test_a_layout_without_dockers_index_is_read_by_its_own(self, tmp_path: Path) -> None:
        image = _write(tmp_path / "a.tar")
        index = _members(image.archive)["index.json"]
        with tarfile.open(tmp_path / "oci.tar", "w") as tar:
            info = tarfile.TarInfo("index.json")
            info.size = len(index)
            tar.addfile(info, io.BytesIO(index))
        assert read_references(tmp_path / "oci.tar") == list(image.references)

    def test_what_is_no_archive_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("not a tar")
        with pytest.raises(ValueError, match="not an image archive"):
            read_references(tmp_path / "text")


class TestADebianPackage:
    def test_its_paths_are_those_of_a_merged_usr(self) -> None:
        assert debs.merged("./lib/x86_64-linux-gnu/libc.so.6") == "usr/lib/x86_64-linux-gnu/libc.so.6"
        assert debs.merged("./usr/bin/nginx") == "usr/bin/nginx"
        assert debs.merged("./library/x") == "library/x"
        assert debs.merged("./") == ""

    def test_documentation_is_dropped_and_licences_stay(self) -> None:
        assert debs.is_dropped("usr/share/man/man8/nginx.8.gz")
        assert debs.is_dropped("usr/share/doc/nginx/changelog.gz")
        assert not debs.is_dropped("usr/share/doc/nginx/copyright")
        assert not debs.is_dropped("usr/share/nginx/html/index.html")

    def test_hard_links_become_copies_and_links_stay_links(self) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            original = tarfile.TarInfo("./bin/tool")
            original.size, original.mode, original.uid = 4, 0o755, 7
            tar.addfile(original, io.BytesIO(b"tool"))
            hard = tarfile.TarInfo("./bin/same")
            hard.type, hard.linkname, hard.mode, hard.uid = tarfile.LNKTYPE, "./bin/tool", 0o755, 7
            tar.addfile(hard)
            soft = tarfile.TarInfo("./lib64/ld.so")
            soft.type, soft.linkname = tarfile.SYMTYPE, "../lib/ld.so"
            tar.addfile(soft)
        assert debs.read_package(packed.getvalue()) == {
            "usr/bin/tool": File(b"tool", 0o755, 7, 0),
            "usr/bin/same": File(b"tool", 0o755, 7, 0),
            "usr/lib64/ld.so": Symlink("../lib/ld.so"),
        }

    def test_a_machine_without_apt_is_told_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(ClusterError, match="neither Debian nor Ubuntu"):
            debs.unpack(["nginx"])


class TestABuilder:
    def test_an_unknown_image_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(ClusterError, match=r"nothing.*pause"):
            build_image("nothing")
