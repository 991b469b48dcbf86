"""The operator's image: its content, and that both ways of building it agree."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import leakwarden
from e2e.cluster.errors import ClusterError
from e2e.cluster.paths import REPOSITORY
from e2e.images import oci, operator

DOCKERFILE = REPOSITORY / "operator" / "Dockerfile"


def dockerfile() -> str:
    """Its instructions, comments left out and continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    return "\n".join(lines).replace("\\\n", " ")


def final_stage() -> str:
    return dockerfile().rpartition("FROM ")[2]


def small_tree(root: Path) -> None:
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "tool").write_bytes(b"#!")
    (root / "usr" / "bin" / "tool").chmod(0o755)
    (root / "etc").mkdir()
    (root / "etc" / "motd").write_text("hello")
    (root / "bin").symlink_to("usr/bin")


def test_the_image_has_the_version_that_the_operator_says() -> None:
    assert operator.version() == leakwarden.__version__


def test_a_version_that_cannot_be_read_is_an_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "__init__.py").write_text("version = 1\n")
    monkeypatch.setattr(operator, "CODE", tmp_path)
    with pytest.raises(ClusterError, match=re.escape(f"{tmp_path}/__init__.py")):
        operator.version()


def test_a_change_of_the_code_changes_the_fingerprint_and_bytecode_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator, "CODE", tmp_path)
    monkeypatch.setattr(operator, "REPOSITORY", Path("/"))
    (tmp_path / "engine.py").write_text("one = 1\n")
    before = operator.fingerprint()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "engine.cpython-311.pyc").write_bytes(b"compiled")
    assert operator.fingerprint() == before
    (tmp_path / "engine.py").write_text("one = 2\n")
    assert operator.fingerprint() != before


def test_a_tree_becomes_a_layer_and_the_layer_the_same_tree(tmp_path: Path) -> None:
    small_tree(tmp_path / "first")
    layer = operator.read_tree(tmp_path / "first")
    assert layer["bin"] == oci.Symlink("usr/bin")
    assert isinstance(layer["usr/bin"], oci.Directory)
    operator.write_tree(tmp_path / "second", layer)
    again = operator.read_tree(tmp_path / "second")
    assert set(again) == set(layer)
    assert (tmp_path / "second" / "bin" / "tool").read_bytes() == b"#!"
    assert (tmp_path / "second" / "usr" / "bin" / "tool").stat().st_mode & 0o777 == 0o755


def test_nothing_in_a_layer_belongs_to_the_user_that_runs_it(tmp_path: Path) -> None:
    small_tree(tmp_path)
    for entry in operator.read_tree(tmp_path).values():
        if not isinstance(entry, oci.Symlink):
            assert (entry.uid, entry.gid) == (0, 0)
            assert not entry.mode & 0o022


def test_the_operators_image_keeps_its_own_name_and_all_its_tags(tmp_path: Path) -> None:
    image = oci.write_archive(
        tmp_path / "image.tar",
        name=operator.NAME,
        layers=[{"etc/motd": oci.File(b"hello")}],
        entrypoint=operator.ENTRYPOINT,
        more_tags=("dev", operator.version()),
    )
    expected = {f"localhost/leakwarden:{tag}" for tag in (image.tag, "dev", leakwarden.__version__)}
    assert set(oci.read_references(image.archive)) == expected


def test_the_dockerfile_runs_the_same_command_as_the_same_user_with_the_same_settings() -> None:
    stage = final_stage()
    (entrypoint,) = re.findall(r"^ENTRYPOINT (.+)$", stage, re.MULTILINE)
    assert tuple(json.loads(entrypoint)) == operator.ENTRYPOINT
    (user,) = re.findall(r"^USER (.+)$", stage, re.MULTILINE)
    assert user == f"{oci.NONROOT}:{oci.NONROOT}"
    (settings,) = re.findall(r"^ENV (.+)$", stage, re.MULTILINE)
    assert dict(each.split("=", 1) for each in settings.split()) == operator.ENVIRONMENT


def test_the_dockerfile_pins_its_base_and_every_dependency() -> None:
    for image in re.findall(r"^FROM (\S+)", dockerfile(), re.MULTILINE):
        assert re.search(r":\d+\.\d+\.\d+-", image), image
    installs = re.findall(r"pip install[^\n&]*", dockerfile())
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "--only-binary=:all:" in installs[0]
