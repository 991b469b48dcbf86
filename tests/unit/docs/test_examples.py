"""The documentation's examples work: policies, YAML, commands and make targets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from leakwarden.__main__ import main, parser
from tests.docs.blocks import ROOT
from tests.unit.docs.pages import PAGES, code_blocks, links, shown_commands, text_of

EXAMPLES = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "examples").rglob("*.yaml"))
YAML = [(page, number, block) for page in PAGES for number, block in enumerate(code_blocks(page, "yaml"))]
POLICIES_OF_EXAMPLES = [
    file
    for file in EXAMPLES
    if re.search(r"^kind: (Cluster)?ReliabilityPolicy$", (ROOT / file).read_text(), re.MULTILINE)
]
POLICIES = [(page, block) for page, _, block in YAML if re.search(r"kind: (Cluster)?ReliabilityPolicy", block)]


def test_every_example_is_a_valid_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ROOT / "examples")]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("  ")]
    assert len(shown) == len(POLICIES_OF_EXAMPLES)


def test_every_example_is_listed() -> None:
    listed = {f"examples/{link}" for link in links("examples/README.md")}
    # What belongs together is explained where it is.
    apart = ("examples/tutorial/", "examples/gitops/")
    assert [file for file in EXAMPLES if file not in listed and not file.startswith(apart)] == []
    assert "examples/gitops/README.md" in listed


@pytest.mark.parametrize(("page", "policy"), POLICIES, ids=[page for page, _ in POLICIES])
def test_every_policy_of_a_page_is_valid(
    page: str, policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.yaml").write_text(policy)
    code = main(["check", str(tmp_path / "policy.yaml")])
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize(("page", "number", "block"), YAML, ids=[f"{page}:{number}" for page, number, _ in YAML])
def test_every_block_of_yaml_is_yaml(page: str, number: int, block: str) -> None:
    assert list(yaml.safe_load_all(block))


@pytest.mark.parametrize("page", [page for page in PAGES if shown_commands(page)])
def test_every_command_that_is_shown_is_one(page: str) -> None:
    for command in shown_commands(page):
        assert parser().parse_args(shlex.split(command)[1:]).run, command


def test_every_command_there_is_is_shown() -> None:
    (choices,) = [action.choices for action in parser()._actions if action.dest == "command"]
    assert choices is not None
    shown = {command.split()[1] for page in PAGES for command in shown_commands(page)}
    assert set(choices) - shown == {"run"}


@pytest.mark.parametrize("page", [page for page in PAGES if re.search(r"`make [a-z]", text_of(page))])
def test_make_knows_every_target_that_is_named(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z0-9-]+)", text_of(page)))
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()


def test_the_readme_stays_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 180
