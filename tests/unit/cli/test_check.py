"""`leakwarden check` as a person runs it: from files to a line for each policy and an exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from leakwarden.__main__ import main
from leakwarden.cli.audit import files as manifest_files

POLICY: dict[str, Any] = {
    "apiVersion": "leakwarden.dev/v1alpha1",
    "kind": "ReliabilityPolicy",
    "metadata": {"name": "checkout", "namespace": "shop"},
    "spec": {
        "selector": {"matchLabels": {"app": "checkout"}},
        "signals": [{"name": "descriptors", "type": "Descriptors"}],
    },
}


def saved(folder: Path, *documents: Any, name: str = "policy.yaml") -> str:
    """The documents as one stream; JSON is also YAML."""
    file = folder / name
    file.write_text("\n---\n".join(map(json.dumps, documents)))
    return str(file)


def of_mode(mode: str) -> dict[str, Any]:
    return {**POLICY, "spec": {**POLICY["spec"], "mode": mode}}


def verdicts(out: str) -> list[str]:
    """The lines about policies, without the lines below each."""
    return [text for text in out.splitlines() if not text.startswith("  ")]


def test_a_valid_policy_is_told_by_its_file_and_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = saved(tmp_path, POLICY, {"kind": "ConfigMap"})

    assert main(["check", file]) == 0
    out, err = capsys.readouterr()
    assert (verdicts(out), err) == ([f"{file}: shop/checkout: valid"], "")


def test_what_a_valid_policy_does_not_see_stands_below_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watching = {"selector": {"matchLabels": {"team": "a"}}, "signals": [{"name": "heap", "type": "Heap"}]}

    assert main(["check", saved(tmp_path, {**POLICY, "spec": watching})]) == 0
    _, *below = capsys.readouterr().out.splitlines()
    assert all(line.startswith("  it does not see ") for line in below)
    assert any("signals has no Descriptors" in line for line in below)


def test_of_several_policies_the_invalid_one_is_told_with_field_value_and_what_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, POLICY, of_mode("Act"))

    assert main(["check", file]) == 1
    out, err = capsys.readouterr()
    assert verdicts(out) == [f"{file}: shop/checkout: valid"]
    assert err.startswith(f"leakwarden check: {file}: shop/checkout: spec.mode is 'Act'")
    assert "'Observe' or 'Enforce'" in err


def test_what_kubectl_writes_is_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`kubectl get relpol -o yaml` wraps the policies in a List."""
    file = saved(tmp_path, {"apiVersion": "v1", "kind": "List", "items": [POLICY, of_mode("Act")]})

    assert main(["check", file]) == 1
    out, err = capsys.readouterr()
    assert (len(verdicts(out)), len(err.splitlines())) == (1, 1)


def test_a_directory_is_checked_with_all_that_is_below_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "below").mkdir()
    saved(tmp_path, POLICY)
    saved(tmp_path / "below", POLICY)

    assert main(["check", str(tmp_path)]) == 0
    assert len(verdicts(capsys.readouterr().out)) == 2


def test_a_policy_of_another_version_is_invalid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", saved(tmp_path, {**POLICY, "apiVersion": "leakwarden.dev/v9"})]) == 1
    assert "apiVersion is 'leakwarden.dev/v9'; it must be leakwarden.dev/v1alpha1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"kind: ReliabilityPolicy\nx: !!bool maybe\n", "(line 2): not valid YAML: 'maybe' is no bool"),
        (b"a: [\n", "(line 2): not valid YAML"),
        (b"a: " + b"[" * 20_000, "nested too deeply"),
        (b"\x89PNG\xff", "is not UTF-8 text"),
        (b"", "no ReliabilityPolicy and no ClusterReliabilityPolicy in"),
        (b"kind: ConfigMap\n", "no ReliabilityPolicy and no ClusterReliabilityPolicy in"),
    ],
)
def test_what_cannot_be_checked_is_one_line_and_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, says: str
) -> None:
    (tmp_path / "policy.yaml").write_bytes(content)

    assert main(["check", str(tmp_path / "policy.yaml")]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert says in err


def test_a_file_without_end_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_files, "MAX_FILE", 2**20)

    assert main(["check", "/dev/zero"]) == 2
    assert "/dev/zero: is larger than 1 MiB" in capsys.readouterr().err


def test_names_in_a_file_do_not_drive_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", saved(tmp_path, {**POLICY, "metadata": {"name": "\x1b[2J"}})])

    out, err = capsys.readouterr()
    assert "[2J: valid" in out
    assert "\x1b" not in out + err


def test_a_terminal_that_cannot_show_a_name_shows_it_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose locale is C: a traceback's exit code 1 would look like an invalid policy."""
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, encoding="ascii"))

    assert main(["check", saved(tmp_path, POLICY, name="ü.yaml")]) == 0
    assert b"\\xfc.yaml: shop/checkout: valid\n" in shown.getvalue()
