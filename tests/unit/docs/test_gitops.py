"""The GitOps layout builds, is valid, and has no field that an API server's defaults could make differ from Git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from leakwarden.__main__ import main

ROOT = Path(__file__).resolve().parents[3]
LAYOUT = ROOT / "examples" / "gitops"


def _documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.mark.parametrize("copy", [LAYOUT / "crds", ROOT / "charts" / "leakwarden" / "files" / "crds"], ids=str)
def test_the_crds_are_files_of_their_own_and_the_same(copy: Path) -> None:
    # Real files: Argo CD and Flux read from sources that drop links.
    assert not copy.is_symlink()
    for original in (ROOT / "crds").glob("*.yaml"):
        assert not (copy / original.name).is_symlink()
        assert (copy / original.name).read_bytes() == original.read_bytes(), "make crds"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl to build kustomizations")
def test_the_overlay_is_the_base_with_its_one_change() -> None:
    def built(folder: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            ["kubectl", "kustomize", str(LAYOUT / folder)], capture_output=True, text=True, check=True
        )
        return _documents(done.stdout)

    (base,) = built("policies")
    _, policy = sorted(built("clusters/production"), key=lambda each: str(each["kind"]))
    assert policy["spec"].pop("mode") == "Enforce"
    assert base["spec"].pop("mode") == "Observe"
    assert policy == base
    assert {each["kind"] for each in built("crds")} == {"CustomResourceDefinition"}


def test_the_policies_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(LAYOUT / "policies")]) == 0
    assert "valid" in capsys.readouterr().out


@pytest.mark.parametrize("crd", sorted((ROOT / "crds").glob("*.yaml")), ids=lambda path: path.stem)
def test_no_default_stands_inside_a_list(crd: Path) -> None:
    """A list is one value to a three-way merge: a default inside one makes Git and the cluster differ for ever."""
    schema = yaml.safe_load(crd.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert _defaults_in_lists(schema, "spec", inside=False) == []


def _defaults_in_lists(node: Any, at: str, *, inside: bool) -> list[str]:
    if not isinstance(node, dict):
        return []
    found = [at] if inside and "default" in node else []
    for name, child in (node.get("properties") or {}).items():
        found += _defaults_in_lists(child, f"{at}.{name}", inside=inside)
    return found + _defaults_in_lists(node.get("items"), f"{at}[]", inside=True)


@pytest.mark.parametrize("name", ["argocd/applications.yaml", "flux/operator.yaml", "flux/policies.yaml"])
def test_paths_in_the_controllers_objects_lead_somewhere(name: str) -> None:
    for each in _documents((LAYOUT / name).read_text()):
        spec = each["spec"]
        path = spec.get("path") or (spec.get("source") or {}).get("path") or spec["chart"]["spec"]["chart"]
        inside = path.removeprefix("./")
        assert (LAYOUT / inside).is_dir() or (ROOT / inside).is_dir(), path


def test_the_actions_inputs_are_never_part_of_a_script() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    assert {"paths", "fail-on", "output"} <= set(action["inputs"])


def test_the_hooks_run_commands_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()):
        program, command = hook["entry"].split()
        assert program == "leakwarden"
        with pytest.raises(SystemExit) as helped:
            main([command, "--help"])
        assert helped.value.code == 0
    capsys.readouterr()
