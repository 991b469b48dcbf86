"""--fix changes only the values that it reports; --diff shows them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from leakwarden.__main__ import main
from tests.unit.cli.audit.audit_manifests import BAD, GOOD

Captured = pytest.CaptureFixture[str]
COMMENTED = (
    BAD.replace("      containers:", "      # how long the longest request takes\n      containers:  # one")
    .replace("value: 460MiB}]", "value: '512Mi'}]  # in Go's units")
    .replace("memory: 512Mi", "memory: 1Gi")
)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Write a file into the working directory, which is empty before; returns its name."""
    monkeypatch.chdir(tmp_path)

    def _write(name: str, text: str) -> str:
        (tmp_path / name).write_bytes(text.encode())
        return name

    return _write


Write = Callable[[str, str], str]


def test_a_fix_keeps_every_other_character(write: Write, capsys: Captured) -> None:
    name = write("x.yaml", f"# head\n---\n{GOOD}---\n{COMMENTED}# tail\n")
    os.chmod(name, 0o640)
    assert main(["audit", name]) == 1
    assert main(["audit", name, "--fix"]) == 0
    after = Path(name).read_text()
    expected = f"# head\n---\n{GOOD}---\n{COMMENTED}# tail\n".replace("'512Mi'", "'512MiB'")
    at = expected.rindex("      topologySpreadConstraints:")
    assert after == f"{expected[:at]}      terminationGracePeriodSeconds: 50\n{expected[at:]}"
    assert os.stat(name).st_mode & 0o777 == 0o640
    assert main(["audit", name]) == 0
    assert "mended" in capsys.readouterr().err


def test_a_diff_shows_the_same_and_writes_nothing(write: Write, capsys: Captured) -> None:
    name = write("x.yaml", COMMENTED)
    assert main(["audit", name, "--diff"]) == 1
    assert "+      terminationGracePeriodSeconds: 50" in capsys.readouterr().out.splitlines()
    assert Path(name).read_text() == COMMENTED


def test_a_value_that_is_there_is_changed_in_its_place(write: Write) -> None:
    text = BAD.replace("      topologySpread", "      terminationGracePeriodSeconds: 30   # s\n      topologySpread")
    assert main(["audit", write("x.yaml", text), "--fix"]) == 0
    assert Path("x.yaml").read_text() == text.replace("Seconds: 30   # s", "Seconds: 50   # s")


def test_line_ends_of_windows_stay(write: Write) -> None:
    text = BAD.replace("\n", "\r\n")
    assert main(["audit", write("x.yaml", text), "--fix"]) == 0
    after = Path("x.yaml").read_bytes().decode()
    assert "terminationGracePeriodSeconds: 50\r\n" in after
    assert after.replace("\r\n", "").count("\n") == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"kind: List\napiVersion: v1\nitems:\n- {BAD.strip().replace(chr(10), chr(10) + '  ')}\n", "it is in a List"),
        (BAD.replace("'35'", "&long '35'") + "x: *long\n", "has aliases"),
    ],
)
def test_what_cannot_be_changed_safely_is_said_and_left(write: Write, capsys: Captured, text: str, reason: str) -> None:
    main(["audit", write("x.yaml", text), "--fix"])
    assert reason in capsys.readouterr().err
    assert Path("x.yaml").read_text() == text


def test_standard_input_cannot_be_mended(capsys: Captured) -> None:
    assert main(["audit", "-", "--fix"]) == 2
    assert "need files" in capsys.readouterr().err
