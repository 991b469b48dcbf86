"""`make e2e`: the files that run within a time budget, and one more try alone for a failed file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "e2e" / "run.sh"
LONG = ("test_long_a.py", "test_long_b.py")
# In place of pytest: records its arguments, and fails where they contain a word of FAIL.
PYTEST = """#!/bin/sh
echo "$*" >> asked
for word in $FAIL; do case "$*" in *"$word"*) exit 1 ;; esac; done
exit 0
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tests = tmp_path / "e2e" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(SCRIPT, tmp_path / "e2e" / "run.sh")
    (tests / "test_short.py").write_text("")
    for name in LONG:
        (tests / name).write_text("pytestmark = pytest.mark.long\n")
    program = tmp_path / ".venv" / "bin" / "pytest"
    program.parent.mkdir(parents=True)
    program.write_text(PYTEST)
    program.chmod(0o755)
    return tmp_path


def run(tree: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    environment = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run([str(tree / "e2e" / "run.sh")], capture_output=True, text=True, env=environment, check=False)
    asked = (tree / "asked").read_text().splitlines()
    return done, [line.removeprefix("-v --override-ini=testpaths=e2e/tests ") for line in asked]


def test_without_a_budget_everything_is_run_the_short_files_first(tree: Path) -> None:
    done, asked = run(tree)
    assert done.returncode == 0
    assert asked[0] == "-m not long and not flux and not argo e2e/tests"
    assert sorted(asked[1:]) == [f"e2e/tests/{name}" for name in LONG]
    assert "left out" not in done.stdout


def test_what_is_begun_no_more_is_listed(tree: Path) -> None:
    done, asked = run(tree, BUDGET="-1")
    assert done.returncode == 0
    assert asked == ["-m not long and not flux and not argo e2e/tests"]
    assert all(name in done.stdout.splitlines()[-1] for name in LONG)


def test_what_failed_is_run_once_more_alone_and_may_pass(tree: Path) -> None:
    done, asked = run(tree, FAIL="long_a")
    assert asked[-1] == "--last-failed --last-failed-no-failures none e2e/tests"
    assert done.returncode == 0


def test_what_fails_twice_is_broken(tree: Path) -> None:
    done, _ = run(tree, FAIL="long_a last-failed")
    assert done.returncode == 1


def test_a_failure_without_a_second_chance_is_one(tree: Path) -> None:
    done, asked = run(tree, FAIL="long_a", RETRY="0")
    assert done.returncode == 1
    assert not asked[-1].startswith("--last-failed")
