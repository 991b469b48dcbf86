"""Files and names of the code that recipes and explanations mention exist."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.docs.blocks import ROOT
from tests.unit.docs.pages import text_of

# Pages that lead a reader into the code. Paths are from the top, or from the package.
PAGES = (
    "CONTRIBUTING.md",
    "docs/explanation/architecture.md",
    "docs/explanation/leak-or-load.md",
    "docs/explanation/missing-data.md",
)
_FILE = re.compile(r"`((?:[\w.-]+/)+(?:[\w.-]+\.(?:py|go|sh|yaml))?)`")
_BESIDE = re.compile(r"`(\w+\.py)`")


def is_there(path: str) -> bool:
    return any((top / path).exists() for top in (ROOT, ROOT / "operator" / "leakwarden"))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    named = [path for path in _FILE.findall(text_of(page)) if "NAME" not in path]
    assert named
    assert [path for path in named if not is_there(path)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_is_named_without_its_folder_exists_in_one(page: str) -> None:
    for module in _BESIDE.findall(text_of(page)):
        assert list((ROOT / "operator" / "leakwarden").rglob(module)), module


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("leakwarden.core.audit.checks", "CHECKS"),
        ("leakwarden.api.v1alpha1.signal", "SignalType"),
        ("leakwarden.api.v1alpha1.signal", "DEFAULT_ROLES"),
        ("leakwarden.core.signals.catalogue", "CATALOGUE"),
        ("leakwarden.api.v1alpha1.conditions", "SkipReason"),
        ("leakwarden.core.guards", "GUARDS"),
        ("tests.unit.guards.test_guards", "CASES"),
        ("leakwarden.core.profile.catalogue", "CATALOGUE"),
    ],
)
def test_every_list_that_a_recipe_adds_to_is_there(module: str, name: str) -> None:
    assert f"`{name}`" in text_of("CONTRIBUTING.md")
    assert len(getattr(importlib.import_module(module), name)) > 3
