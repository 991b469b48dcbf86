"""The generated CustomResourceDefinition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leakwarden.api.crd import REPORT_COLUMNS, cluster_policy_crd, files, policy_crd
from leakwarden.api.scalars import DURATION_PATTERN, MAX_AMOUNT, parse_duration
from leakwarden.api.v1alpha1.evidence_status import SHORT_PLACE
from leakwarden.api.v1alpha1.leakreport import Phase

ROOT = Path(__file__).parents[3]
VERSION = policy_crd()["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


@pytest.mark.parametrize("name", sorted(files()))
def test_the_committed_files_are_what_the_models_say(name: str) -> None:
    assert (ROOT / "crds" / name).read_text(encoding="utf-8") == files()[name]


BOTH = pytest.mark.parametrize(
    "schema",
    [SCHEMA, cluster_policy_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]],
    ids=["ReliabilityPolicy", "ClusterReliabilityPolicy"],
)


def test_a_policy_of_the_cluster_has_no_namespace_and_every_field_of_the_other() -> None:
    crd = cluster_policy_crd()["spec"]
    assert (crd["scope"], policy_crd()["spec"]["scope"]) == ("Cluster", "Namespaced")
    spec = crd["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert set(spec["properties"]) == {*SCHEMA["properties"]["spec"]["properties"], "namespaces"}
    assert spec["required"] == ["selector", "namespaces"]
    rules = [each["rule"] for each in SCHEMA["properties"]["spec"]["x-kubernetes-validations"]]
    assert [each["rule"] for each in spec["x-kubernetes-validations"]] == rules


@BOTH
def test_every_field_explains_itself(schema: dict[str, Any]) -> None:
    silent = [
        path for path, node in nodes(schema)
        if path.endswith(tuple("abcdefghijklmnopqrstuvwxyzUID")) and path not in ("", ".metadata")
        and not node.get("description")
    ]  # fmt: skip
    assert silent == []


@BOTH
def test_the_schema_is_structural(schema: dict[str, Any]) -> None:
    for path, node in nodes(schema):
        assert "$ref" not in node, path
        assert "anyOf" not in node, path
        assert "patternProperties" not in node, path
        assert "title" not in node, path
        assert ("type" in node) != bool(node.get("x-kubernetes-int-or-string")), path


@BOTH
def test_every_string_and_list_of_the_spec_is_bounded_so_that_cel_rules_stay_cheap(schema: dict[str, Any]) -> None:
    for path, node in nodes(schema["properties"]["spec"]):
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path
        if node.get("type") == "array":
            assert "maxItems" in node, path


def _rules(node: dict[str, Any]) -> list[str]:
    return [rule["message"] for rule in node.get("x-kubernetes-validations", ())]


def test_every_duration_and_number_of_the_spec_has_an_upper_bound_and_its_description_says_it() -> None:
    """`sleepWindow: 99999999h` once stopped every policy's tick, when its circuit had opened."""
    durations = numbers = 0
    for path, node in nodes(SCHEMA["properties"]["spec"]):
        if node.get("pattern") == DURATION_PATTERN:
            durations += 1
            (said,) = [found for rule in _rules(node) if (found := re.fullmatch(r"must be from (\S+) to (\S+)", rule))]
            assert re.search(rf"\b{said[2]}\b", node["description"]), f"{path}: {said[0]}"
            assert parse_duration(said[2]) <= 365 * 86_400, path
            if parse_duration(said[1]):
                assert re.search(rf"\b{said[1]}\b", node["description"]), f"{path}: {said[0]}"
        if node.get("type") in ("integer", "number"):
            numbers += 1
            assert f"{node['maximum']:.0f}" in node["description"], path
    assert durations >= 15
    assert numbers >= 7


def test_a_number_may_be_written_as_one() -> None:
    above = SCHEMA["properties"]["spec"]["properties"]["signals"]["items"]["properties"]["threshold"]["properties"][
        "above"
    ]
    assert above["x-kubernetes-int-or-string"] is True
    assert above["maximum"] == MAX_AMOUNT


def test_no_rule_matches_a_pattern_against_a_field_that_may_be_a_number() -> None:
    """Older API servers assume the length of a whole request for such a field, and refuse the CRD for the rule's
    cost."""
    signal = SCHEMA["properties"]["spec"]["properties"]["signals"]["items"]
    rules = [rule["rule"] for rule in signal["x-kubernetes-validations"]]
    assert any("threshold.above" in rule for rule in rules)
    assert not any("threshold.above.matches" in rule for rule in rules)


def test_kubectl_get_shows_what_matters_at_a_glance() -> None:
    shown = [column["name"] for column in VERSION["additionalPrinterColumns"] if not column.get("priority")]
    assert shown == ["Mode", "Ready", "Healthy", "Targets", "Last action", "Age"]


# As wide as they are with a Deployment's name of twenty characters.
WIDEST = {
    "Name": 20 + 9, "Pod": 20 + 17, "Signal": len("working-set"), "Verdict": len("Exhausting"),
    "Phase": max(len(phase) for phase in Phase), "Suspect": SHORT_PLACE, "Age": len("23h59m"),
}  # fmt: skip


def test_no_default_is_filled_into_an_item_of_a_list() -> None:
    """A client-side apply replaces lists as a whole, and would print `configured` for every unchanged policy."""
    spec = SCHEMA["properties"]["spec"]
    assert [path for path, node in nodes(spec) if "[]" in path and "default" in node] == []
    assert [path for path, node in nodes(spec) if "[]" not in path and "default" in node] != []


def test_kubectl_get_leak_fits_160_columns() -> None:
    shown = [column["name"] for column in REPORT_COLUMNS if not column.get("priority")]
    assert shown == ["Pod", "Signal", "Verdict", "Phase", "Suspect", "Age"]
    assert sum(WIDEST[name] + 3 for name in ("Name", *shown)) <= 160


def test_defaults_are_filled_in_where_a_person_reads_them_back() -> None:
    spec = SCHEMA["properties"]["spec"]["properties"]
    assert spec["mode"]["default"] == "Observe"
    assert spec["remediation"]["default"] == {}
    assert spec["remediation"]["properties"]["cooldown"]["default"] == "10m"
    assert spec["remediation"]["properties"]["podCooldown"]["default"] == "30m"
