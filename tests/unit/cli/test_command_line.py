"""The behaviour of all commands with standard streams that the caller closed, or that accept no more output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
POLICY: dict[str, Any] = {
    "apiVersion": "leakwarden.dev/v1alpha1",
    "kind": "ReliabilityPolicy",
    "metadata": {"name": "checkout", "namespace": "shop"},
    "spec": {"selector": {"matchLabels": {"app": "checkout"}}},
}
PODS = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "bare"},
    "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": PODS},
}


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line of shell, in which LEAKWARDEN is the command."""
    (folder / "policy.json").write_text(json.dumps(POLICY))
    (folder / "deployment.json").write_text(json.dumps(DEPLOYMENT))
    script = line.replace("LEAKWARDEN", f'"{sys.executable}" -m leakwarden')
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.parametrize(
    "command", ["crd", "check policy.json", "audit deployment.json", "audit -o json deployment.json"]
)
def test_what_cannot_be_written_to_a_closed_output_is_one_line_and_exit_code_two(command: str, tmp_path: Path) -> None:
    done = shell(f"LEAKWARDEN {command} >&-", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "leakwarden: standard output: Bad file descriptor\n"


def test_a_full_device_is_told_as_well(tmp_path: Path) -> None:
    done = shell("LEAKWARDEN crd >/dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (2, "leakwarden: No space left on device\n")


def test_a_full_device_is_told_where_more_is_written_than_is_buffered(tmp_path: Path) -> None:
    line = {"signal": "fds", "namespace": "n", "workload": "w", "uid": "", "start": 0, "limit": 9, "t": [1], "v": [1]}
    lines = "".join(json.dumps({**line, "pod": f"w-{i}"}) + "\n" for i in range(100))
    (tmp_path / "series.jsonl").write_text(lines)
    done = shell("LEAKWARDEN backtest --series series.jsonl -o jsonl >/dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "leakwarden backtest: standard output: No space left on device\n",
    )


@pytest.mark.parametrize(
    ("command", "code"), [("check -", 2), ("audit -", 3), ("report -f -", 2), ("backtest --series -", 2)]
)
def test_what_cannot_be_read_from_a_closed_input_is_one_line(command: str, code: int, tmp_path: Path) -> None:
    # The audit goes on with the other inputs, and reports with exit code 3 that some input was not read.
    done = shell(f"LEAKWARDEN {command} <&-", tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Bad file descriptor" in done.stderr


def test_with_both_closed_the_exit_code_remains(tmp_path: Path) -> None:
    assert shell("LEAKWARDEN crd >&- 2>&-", tmp_path).returncode == 2
    assert shell("LEAKWARDEN check nowhere.json 2>&-", tmp_path).returncode == 2


def test_who_has_nothing_to_write_needs_no_output(tmp_path: Path) -> None:
    done = shell(f"LEAKWARDEN crd -o {REPOSITORY / 'crds'} --check >&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
