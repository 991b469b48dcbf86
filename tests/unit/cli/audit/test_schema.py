"""The schema for unknown fields is the one of the installed Kubernetes client."""

from __future__ import annotations

import pytest

from leakwarden.cli.audit import schema_data
from leakwarden.cli.audit.schema import unknown_fields
from leakwarden.cli.audit.yaml_nodes import load
from tests.unit.cli.audit.audit_manifests import EVERYTHING
from tests.unit.cli.audit.schema_source import module


def test_it_is_what_the_client_says() -> None:
    with open(schema_data.__file__, encoding="utf-8") as source:
        assert source.read() == module()


def test_no_field_that_exists_is_unknown() -> None:
    assert [found for each in load(EVERYTHING) for found in unknown_fields(each.value)] == []


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("spec.replica", "replicas"),
        ("spec.template.spec.containers[0].readynessProbe", "readinessProbe"),
        ("spec.template.spec.containers[0].ports[0].containerport", "containerPort"),
        ("spec.nonsense", ""),
    ],
)
def test_a_slip_is_named_with_what_was_meant(path: str, meant: str) -> None:
    container = {"name": "a", "ports": [{"containerPort": 1}]}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {"containers": [container]}}}}
    target: object = body
    *parents, last = path.replace("[0]", ".0").split(".")
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target[part]  # type: ignore[index]
    target[last] = 1  # type: ignore[index]
    assert list(unknown_fields(body)) == [(path, meant)]


@pytest.mark.parametrize("version", ["apps/v1beta1", "example.com/v1", None, 3])
def test_other_versions_are_not_held_against_it(version: object) -> None:
    assert list(unknown_fields({"apiVersion": version, "kind": "Deployment", "x": 1})) == []
