"""The installed versions, and the shell completion of the commands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from leakwarden import __version__
from leakwarden.__main__ import main
from leakwarden.cli.completion import SHELLS

ROOT = Path(__file__).resolve().parents[3]


def test_the_version_is_printed_for_people_and_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"leakwarden {__version__}"
    assert main(["version", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["apiVersion"]) == (__version__, "leakwarden.dev/v1alpha1")


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "explain" in script
    assert "capabilities" in script


def test_another_shell_is_refused_with_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["completion", "fish"])
    error = capsys.readouterr().err
    assert "fish" in error
    assert all(shell in error for shell in SHELLS)


def completed(words: list[str], folder: Path, script: str) -> list[str]:
    """bash's completions for the last of the words."""
    (folder / "completion").write_text(script)
    asked = f"""
        source {folder}/completion
        COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
        COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}
        "$(complete -p leakwarden | sed 's/.*-F \\([^ ]*\\).*/\\1/')" leakwarden {words[-1]!r} {words[-2]!r}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, cwd=folder, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["leakwarden", "exp"], "explain"),
        (["leakwarden", "audit", "--fo"], ""),
        (["leakwarden", "version", "--out"], "--output"),
        (["leakwarden", "explain", "-o", "js"], "json"),
        (["leakwarden", "check", "pol"], "policy.yaml"),
    ],
)
def test_bash_completes_commands_options_values_and_files(
    words: list[str], offered: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.yaml").touch()
    main(["completion", "bash"])
    assert completed(words, tmp_path, capsys.readouterr().out) == ([offered] if offered else [])
