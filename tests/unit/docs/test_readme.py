"""The README stays true: its tables are those of the code, its policy is valid, its make targets exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from leakwarden.__main__ import parser
from leakwarden.api.v1alpha1.conditions import REASON_MEANINGS, ConditionReason, SkipReason
from leakwarden.api.v1alpha1.evidence_reasons import DESCRIPTOR_MEANINGS, MEANINGS, DescriptorReason
from leakwarden.core.guards import SKIP_MEANINGS
from leakwarden.core.model.policy import parse_policy

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(name: str) -> dict[str, str]:
    (inner,) = re.findall(rf"<!-- {name}:.*?-->\n(.*?)<!-- /{name} -->", README, re.DOTALL)
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", inner, re.MULTILINE))


def test_every_condition_reason_is_explained() -> None:
    assert set(REASON_MEANINGS) == set(ConditionReason)
    assert table("reasons") == {str(reason): text for reason, text in REASON_MEANINGS.items()}


def test_every_skip_reason_is_explained() -> None:
    assert set(SKIP_MEANINGS) == set(SkipReason)
    assert table("skips") == {str(reason): text for reason, text in SKIP_MEANINGS.items()}


def test_every_reason_for_missing_evidence_is_explained() -> None:
    assert table("evidence") == {str(reason): text for reason, text in MEANINGS.items()}


def test_every_reason_for_unread_descriptors_is_explained() -> None:
    assert set(DESCRIPTOR_MEANINGS) == set(DescriptorReason)
    assert table("descriptors") == {str(reason): text for reason, text in DESCRIPTOR_MEANINGS.items()}


def test_the_policy_to_copy_is_valid() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)]
    (policy,) = [block for block in blocks if block.get("kind") == "ReliabilityPolicy"]
    assert parse_policy(policy).error == ""


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z0-9-]+)", README))))
def test_make_knows_every_target_that_is_named(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def shown_commands() -> list[str]:
    """Every `leakwarden ...` of a console block, without what a pipe or a redirection does with it."""
    lines = re.findall(r"^\$ (.*)$", README, re.MULTILINE)
    parts = [part.strip() for line in lines for part in re.split(r"\s[|>]\s?|\s#", line)]
    return [part for part in parts if part.startswith("leakwarden ")]


@pytest.mark.parametrize("command", shown_commands())
def test_every_command_that_is_shown_is_one(command: str) -> None:
    assert parser().parse_args(shlex.split(command)[1:]).run


def test_every_command_there_is_is_shown() -> None:
    (choices,) = [action.choices for action in parser()._actions if action.dest == "command"]
    assert choices is not None
    assert {name for name in choices if name != "run" and f"leakwarden {name}" not in README} == set()
