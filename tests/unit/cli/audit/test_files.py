"""The forms in which manifests come: streams, Lists, JSON, and YAML's own surprises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leakwarden.cli.audit import files as manifest_files
from leakwarden.cli.audit.files import ManifestsRead, read

DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}


def reading(path: Path, text: str | bytes) -> ManifestsRead:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read([str(path)])


def places(found: ManifestsRead) -> list[tuple[str, int, int]]:
    return [(d.kind, d.place.number, d.place.line) for d in found.documents]


def test_documents_are_numbered_and_placed_and_empty_ones_do_not_count(tmp_path: Path) -> None:
    text = "# head\n---\n# nothing\n---\n\nkind: A\n--- # with a comment\nkind: B\n...\n---\nkind: C"
    assert places(reading(tmp_path / "x.yaml", text)) == [("A", 1, 6), ("B", 2, 8), ("C", 3, 11)]


def test_a_separator_within_a_line_separates_nothing(tmp_path: Path) -> None:
    found = reading(tmp_path / "x.yaml", "kind: A\ntext: |\n  ---\n  kind: B\nmore: a --- b\n")
    assert places(found) == [("A", 1, 1)]


@pytest.mark.parametrize("kind", ["List", "DeploymentList"])
def test_a_list_holds_documents(tmp_path: Path, kind: str) -> None:
    body = {"apiVersion": "apps/v1", "kind": kind, "items": [DEPLOYMENT, DEPLOYMENT]}
    if kind == "DeploymentList":
        body["items"] = [{"metadata": {"name": "web"}}] * 2
    found = reading(tmp_path / "x.json", json.dumps(body, indent="\t"))
    assert [document.kind for document in found.documents] == ["Deployment", "Deployment"]
    assert found.documents[0].body["apiVersion"] == "apps/v1"
    assert found.problems == []


def test_json_may_be_indented_with_tabs(tmp_path: Path) -> None:
    found = reading(tmp_path / "x.json", json.dumps(DEPLOYMENT, indent="\t"))
    assert [document.body for document in found.documents] == [DEPLOYMENT]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:30", "12:30"),
        ("2024-01-02", "2024-01-02"),
        ("1e3", 1000),
        ("3.0", 3),
        ("1e1", 10),
        ("=", "="),
        ("y", True),
        ("010", 8),
        ("1_000", 1000),
        ("0.5", 0.5),
        ("-3", -3),
    ],
)
def test_scalars_are_what_kubernetes_takes_them_for(tmp_path: Path, text: str, value: object) -> None:
    (document,) = reading(tmp_path / "x.yaml", f"kind: A\nvalue: {text}\n").documents
    assert document.body["value"] == value
    assert type(document.body["value"]) is type(value)


@pytest.mark.parametrize("text", ["just text", "- a\n- b\n", "a: 1\n", "kind: 3\n", "kind: []\n"])
def test_what_is_no_kubernetes_object_is_passed_over_in_silence(tmp_path: Path, text: str) -> None:
    found = reading(tmp_path / "x.yaml", text)
    assert (found.documents, found.problems) == ([], [])


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"kind: A\x00\n", "not valid YAML"),
        (b"kind: !!python/object/apply:os.system [true]\n", "not valid YAML"),
        (b"? [a]\n: b\n", "not valid YAML"),
        (b"kind: A\nx: !!bool maybe\n", "(line 2): not valid YAML: 'maybe' is no bool"),
        (b"kind: A\nx: !!int ''\n", "(line 2): not valid YAML: '' is no int"),
        (b"kind: A\nx: !!timestamp soon\n", "(line 2): not valid YAML: 'soon' is no timestamp"),
        (b"kind: A\nx: !!float x\n", "(line 2): not valid YAML: 'x' is no float"),
        (b"kind: A\nx: 0x_\n", "(line 2): not valid YAML: '0x_' is no int"),
        (b"kind: A\nx: " + b"9" * 5000, "(line 2): not valid YAML: '9999"),
    ],
)
def test_what_cannot_be_read_is_a_problem_and_runs_nothing(tmp_path: Path, raw: bytes, complaint: str) -> None:
    (problem,) = reading(tmp_path / "x.yaml", raw).problems
    assert complaint in problem


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    assert places(reading(tmp_path / "x.yaml", b"\xef\xbb\xbfkind: A\n")) == [("A", 1, 1)]


def test_a_link_that_leads_in_a_circle_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "x.yaml").write_text("kind: A\n")
    assert len(read([str(tmp_path)]).documents) == 1


def test_long_work_shows_how_far_it_is_and_short_work_is_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("kind: A\n")
    read([str(tmp_path)])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(manifest_files, "PATIENCE", -1.0)  # as if it had already taken long
    read([str(tmp_path)])
    assert "reading file 2 of 2" in capsys.readouterr().err
