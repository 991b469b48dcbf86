"""The fields of an object, as its CustomResourceDefinition has them: path, type, default, description and rules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from leakwarden.api.crd import cluster_policy_crd, policy_crd, report_crd
from leakwarden.api.scalars import AMOUNT_PATTERN, DURATION_PATTERN
from tests.docs.tables import cell, code, table

Schema = Mapping[str, Any]


def _root(crd: Schema, part: str) -> Schema:
    (version,) = crd["spec"]["versions"]
    found: Schema = version["schema"]["openAPIV3Schema"]["properties"][part]
    return found


def _type(node: Schema) -> str:
    if "enum" in node:
        return ", ".join(code(value) for value in node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return "number or percent"
    if node.get("pattern") == DURATION_PATTERN:
        return "duration"
    if node.get("pattern") == AMOUNT_PATTERN:
        return "amount"
    kind = str(node.get("type", "any"))
    if kind == "array":
        return f"list of {_type(node['items'])}"
    if kind == "object" and "additionalProperties" in node:
        return "map of text"
    return {"string": "text", "object": "object", "integer": "integer"}.get(kind, kind) + _bounds(node)


def _bounds(node: Schema) -> str:
    low, high = (None if bound is None else _number(bound) for bound in (node.get("minimum"), node.get("maximum")))
    if low is not None and high is not None:
        return f", {low} to {high}"
    return f", at least {low}" if low is not None else f", at most {high}" if high is not None else ""


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _default(name: str, node: Schema, parent: Schema) -> str:
    if name in parent.get("required", ()):
        return "required"
    if "default" not in node or node["default"] == {}:
        return ""
    return code(json.dumps(node["default"]).strip('"'))


def _inner(node: Schema) -> Schema:
    """The object whose fields are listed below a field: itself, or what a list holds."""
    found: Schema = node.get("items", node)
    return found


def _rows(parent: Schema, path: str) -> Iterator[tuple[str, str, str, str]]:
    for name, node in parent.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        listed = f"{where}[]" if node.get("type") == "array" and "properties" in _inner(node) else where
        yield code(listed), _type(node), _default(name, node, parent), cell(node.get("description", ""))
        yield from _rows(_inner(node), listed)


def _rules(node: Schema, path: str) -> Iterator[str]:
    """The rules of a field and of those below it, each with the path that it is about."""
    for rule in node.get("x-kubernetes-validations", ()):
        yield f"- {code(path)}: {cell(rule['message'])}\n"
    if "items" in node:
        yield from _rules(node["items"], f"{path}[]")
    for name, child in node.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}")


def _sections(root: Schema, path: str) -> str:
    """One section for each field of the root that has fields of its own; the plain ones come first, together."""
    plain, parts = dict[str, Schema](), []
    for name, node in root["properties"].items():
        if "properties" in _inner(node):
            parts.append(_section({"properties": {name: node}, "required": root.get("required", ())}, path, name))
        else:
            plain[name] = node
    first = [_section({**root, "properties": plain}, path)] if plain else []
    return "\n".join([*first, *parts])


def _section(node: Schema, path: str, name: str = "") -> str:
    """A heading, the table of a node's fields, and their rules."""
    title = f"{path}.{name}" if name else path
    fields = table(("field", "type", "default", "meaning"), _rows(node, path))
    lines = "".join(_rules(node, path))
    return f"### {title}\n\n{fields}" + (f"\nRules:\n\n{lines}" if lines else "")


def policy_spec() -> str:
    return _sections(_root(policy_crd(), "spec"), "spec")


def policy_status() -> str:
    return _sections(_root(policy_crd(), "status"), "status")


def cluster_policy_spec() -> str:
    """The fields that differ from those of a ReliabilityPolicy."""
    root, of_policy = _root(cluster_policy_crd(), "spec"), _root(policy_crd(), "spec")["properties"]
    own = {name: node for name, node in root["properties"].items() if node != of_policy.get(name)}
    return _sections({"properties": own, "required": root["required"]}, "spec")


def cluster_policy_status() -> str:
    return _sections(_root(cluster_policy_crd(), "status"), "status")


def report_spec() -> str:
    return _sections(_root(report_crd(), "spec"), "spec")


def report_status() -> str:
    return _sections(_root(report_crd(), "status"), "status")
