"""A cluster stays in sync with Git: every example applied twice, by either kind of apply, changes nothing the second
time."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from e2e.harness.kube import attempt, delete, kubectl

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
WAYS = {"client": ["apply"], "server": ["apply", "--server-side", "--field-manager=gitops"]}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_applied_twice_changes_nothing(namespace: str, example: Path, way: str) -> None:
    documents = [each for each in yaml.safe_load_all(example.read_text()) if each]
    for each in documents:
        each["metadata"]["namespace"] = namespace
    text = yaml.safe_dump_all(documents)
    kubectl(*WAYS[way], "-f", "-", stdin=text)
    versions = [_version(namespace, each["kind"], each["metadata"]["name"]) for each in documents]
    diff = attempt("kubectl", "diff", *(WAYS[way][1:]), "-f", "-", stdin=text)
    assert diff.succeeded, diff.output
    kubectl(*WAYS[way], "-f", "-", stdin=text)
    # The generation counts changes of the spec; the operator's status does not move it.
    assert [_version(namespace, each["kind"], each["metadata"]["name"]) for each in documents] == versions
    for each in documents:
        delete(each["kind"], each["metadata"]["name"], namespace)


def _version(namespace: str, kind: str, name: str) -> str:
    return kubectl("get", kind, name, "-n", namespace, "-o", "jsonpath={.metadata.generation}")


def test_the_layout_for_gitops_is_applied_as_it_is(namespace: str) -> None:
    layout = ROOT / "examples" / "gitops" / "clusters" / "production"
    kubectl("apply", "-k", str(layout))
    try:
        assert kubectl("get", "reliabilitypolicy", "checkout", "-n", "shop", "-o", "jsonpath={.spec.mode}") == "Enforce"
        assert attempt("kubectl", "diff", "-k", str(layout)).succeeded
    finally:
        delete("namespace", "shop")
