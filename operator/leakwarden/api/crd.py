"""Models -> CustomResourceDefinition: a structural schema with defaults, CEL rules and printer columns.

pydantic's JSON schema is nearly structural already. The remaining changes: `$ref`s are inlined (structural schemas have
none), `anyOf` with null becomes the plain optional type, titles go, `const` and `additionalProperties: false` go (the
API server prunes unknown fields and kubectl validates strictly).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from leakwarden.api import names
from leakwarden.api.v1alpha1.cluster_policy import ClusterPolicySpec
from leakwarden.api.v1alpha1.cluster_status import ClusterPolicyStatus
from leakwarden.api.v1alpha1.leakreport import LeakReportSpec, LeakReportStatus
from leakwarden.api.v1alpha1.policy import PolicySpec
from leakwarden.api.v1alpha1.status import PolicyStatus

_DROPPED = {"title", "discriminator"}


def _structural(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_structural(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = dict(node)
    if "$ref" in node:
        # Keywords next to a $ref (description, default) override those of the definition.
        target = definitions[node.pop("$ref").rsplit("/", 1)[1]]
        return _structural({**target, **node}, definitions)
    if "anyOf" in node:
        options = [option for option in node.pop("anyOf") if option.get("type") != "null"]
        if node.get("x-kubernetes-int-or-string"):
            return _finish(node, definitions)
        if len(options) != 1:
            raise TypeError(f"a structural schema has one type per field, got {options}")
        return _structural({**options[0], **node}, definitions)
    return _finish(node, definitions)


def _finish(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in _DROPPED or (key == "default" and value is None):
            continue
        if key == "additionalProperties" and value is False:
            continue
        if key == "propertyNames":
            continue  # not allowed in a structural schema; pydantic still checks it
        if key == "patternProperties":
            # Not allowed either. A rule of the field limits the keys; the values have one schema.
            (child,) = value.values()
            result["additionalProperties"] = _structural(child, definitions)
            continue
        if key == "properties":
            result[key] = {name: _structural(child, definitions) for name, child in value.items()}
        elif key == "default":
            result[key] = value
        else:
            result[key] = _structural(value, definitions)
    return result


def _with_nested_defaults(node: Any) -> Any:
    """Give optional structs the default `{}`, so that the API server fills in the defaults inside them.

    Only where nothing inside is required; `kubectl get -o yaml` then shows every value in force.
    """
    if isinstance(node, list):
        return [_with_nested_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _with_nested_defaults(value) for key, value in node.items()}
    for name, child in node.get("properties", {}).items():
        is_plain_struct = child.get("type") == "object" and "properties" in child and not child.get("required")
        if is_plain_struct and name not in node.get("required", ()):
            child.setdefault("default", {})
    return node


def _without_defaults_in_lists(node: Any, *, in_list: bool = False) -> Any:
    """Take the defaults out of the items of lists; the operator's models have them, and the descriptions name them.

    `kubectl apply` replaces a list as a whole: with a default that the server filled into an item, every apply of an
    unchanged policy is a change to it, and prints `configured`.
    """
    if isinstance(node, list):
        return [_without_defaults_in_lists(item, in_list=in_list) for item in node]
    if not isinstance(node, dict):
        return node
    found = {}
    for key, value in node.items():
        if key == "default":
            if not in_list:
                found[key] = value
        elif key == "properties":
            # A field may have the name `items` or `default`, and is then not a keyword.
            found[key] = {name: _without_defaults_in_lists(child, in_list=in_list) for name, child in value.items()}
        else:
            found[key] = _without_defaults_in_lists(value, in_list=in_list or key == "items")
    return found


def structural_schema(model: type[BaseModel], *, nested_defaults: bool) -> dict[str, Any]:
    """The model's schema in the form that apiextensions.k8s.io/v1 requires."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    definitions = raw.pop("$defs", {})
    schema = _structural(raw, definitions)
    assert isinstance(schema, dict)
    result = _without_defaults_in_lists(_with_nested_defaults(schema)) if nested_defaults else schema
    assert isinstance(result, dict)
    return result


def _column(name: str, path: str, description: str, kind: str = "string", priority: int = 0) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path, "description": description}
    if priority:
        column["priority"] = priority
    return column


def _condition(kind: str, field: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


PRINTER_COLUMNS = [
    _column("Mode", ".spec.mode", "Observe changes nothing; Enforce acts within its guards."),
    _column("Ready", _condition("Ready"), "Whether the policy is understood and in force."),
    _column("Healthy", _condition("Healthy"), "Whether no target leaks; Unknown where readings are missing."),
    _column("Targets", ".status.targets.workloads", "Workloads that the selector matches.", "integer"),
    _column("Last action", ".status.lastAction.summary", "The newest action and how it ended."),
    _column("Age", ".metadata.creationTimestamp", "Since when the policy exists.", "date"),
    _column("Compliant", _condition("Compliant"), "Whether the audit found no errors.", priority=1),
    _column("Metrics", _condition("MetricsAvailable"), "Whether readings are there.", priority=1),
    _column("Source", ".status.source", "Where readings come from.", priority=1),
    _column("Reason", _condition("Healthy", "reason"), "Why Healthy is what it is.", priority=1),
]


CLUSTER_COLUMNS = [
    _column("Mode", ".spec.mode", "Observe changes nothing; Enforce acts where the namespace allows it."),
    _column("Namespaces", ".status.namespaceCounts.selected", "Namespaces in which it holds.", "integer"),
    _column("Enforcing", ".status.namespaceCounts.enforcing", "Namespaces in which it may act.", "integer"),
    _column("Workloads", ".status.targets.workloads", "Workloads that it selects there.", "integer"),
    _column("Leaking", ".status.namespaceCounts.leaking", "Namespaces with a pod that leaks.", "integer"),
    _column("Ready", _condition("Ready"), "Whether the policy is understood and in force."),
    _column("Age", ".metadata.creationTimestamp", "Since when the policy exists.", "date"),
    _column("Healthy", _condition("Healthy"), "Whether no target leaks.", priority=1),
    _column("Last action", ".status.lastAction.summary", "The newest action and how it ended.", priority=1),
    _column("Not ready", ".status.namespaceCounts.notReady", "Namespaces where it is not in force.", "integer", 1),
    _column("Reason", _condition("Ready", "reason"), "Why Ready is what it is.", priority=1),
]


# A report has its workload's name. With names of twenty characters a line has less than 160.
REPORT_COLUMNS = [
    _column("Pod", ".spec.pod.name", "The pod that leaks."),
    _column("Signal", ".spec.signal", "What leaks."),
    _column("Verdict", ".status.verdict.verdict", "The last judgement of the pod."),
    _column("Phase", ".status.phase", "Where the episode stands, or how it ended."),
    _column("Suspect", ".status.evidence.suspect", "The line of code that is suspected."),
    _column("Age", ".metadata.creationTimestamp", "Since when.", "date"),
    _column("Workload", ".spec.workload.name", "The workload.", priority=1),
    _column("Action", ".status.actions[0].type", "The newest action.", priority=1),
    _column("Policy", ".spec.policy.name", "The policy that found it.", priority=1),
    _column("Evidence", ".status.evidence.summary", "What the profiles say, in one line.", priority=1),
    _column("Message", ".status.message", "The state in one line.", priority=1),
]


def policy_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of ReliabilityPolicy as a plain dict."""
    return _definition(
        names.POLICY_KIND,
        names.POLICY_PLURAL,
        names.POLICY_SINGULAR,
        short_names=names.POLICY_SHORT_NAMES,
        columns=PRINTER_COLUMNS,
        description="A ReliabilityPolicy watches the workloads it selects for leaks, and may restart what leaks within its guards.",
        spec=structural_schema(PolicySpec, nested_defaults=True),
        status=structural_schema(PolicyStatus, nested_defaults=False),
    )


def cluster_policy_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of ClusterReliabilityPolicy as a plain dict."""
    return _definition(
        names.CLUSTER_POLICY_KIND,
        names.CLUSTER_POLICY_PLURAL,
        names.CLUSTER_POLICY_SINGULAR,
        short_names=names.CLUSTER_POLICY_SHORT_NAMES,
        columns=CLUSTER_COLUMNS,
        description="A ClusterReliabilityPolicy watches the workloads it selects in many namespaces. It may act only in"
        f" namespaces with the label {names.ENFORCE_LABEL}: {names.ENFORCE_ALLOWED}, and leaves to a ReliabilityPolicy of the"
        " namespace whatever that one selects.",
        spec=structural_schema(ClusterPolicySpec, nested_defaults=True),
        status=structural_schema(ClusterPolicyStatus, nested_defaults=False),
        scope="Cluster",
    )


def report_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of LeakReport as a plain dict."""
    return _definition(
        names.REPORT_KIND,
        names.REPORT_PLURAL,
        names.REPORT_SINGULAR,
        short_names=names.REPORT_SHORT_NAMES,
        columns=REPORT_COLUMNS,
        description="A LeakReport is the story of one leaking pod: what was seen, what was decided, done and found. Leakwarden"
        " writes it before and after every action; deleting one makes its cooldown and its share of the budget be forgotten.",
        spec=structural_schema(LeakReportSpec, nested_defaults=False),
        status=structural_schema(LeakReportStatus, nested_defaults=False),
    )


def _definition(
    kind: str,
    plural: str,
    singular: str,
    *,
    short_names: Sequence[str],
    columns: Sequence[dict[str, Any]],
    description: str,
    spec: dict[str, Any],
    status: dict[str, Any],
    scope: str = "Namespaced",
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": scope,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": singular,
                "shortNames": list(short_names),
                "categories": [names.CATEGORY],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(columns),
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": description,
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string", "description": "leakwarden.dev/v1alpha1."},
                                "kind": {"type": "string", "description": f"{kind}."},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": status,
                            },
                        }
                    },
                }
            ],
        },
    }


def render(crd: dict[str, Any]) -> str:
    """YAML in the order written, so that a diff reads well."""
    import yaml

    text: str = yaml.safe_dump(crd, sort_keys=False, width=120, allow_unicode=True)
    return "# Generated by `leakwarden crd` from operator/leakwarden/api. Do not edit.\n" + text


def files() -> dict[str, str]:
    """File name -> content of every generated CRD."""
    return {
        f"{names.GROUP}_{names.POLICY_PLURAL}.yaml": render(policy_crd()),
        f"{names.GROUP}_{names.CLUSTER_POLICY_PLURAL}.yaml": render(cluster_policy_crd()),
        f"{names.GROUP}_{names.REPORT_PLURAL}.yaml": render(report_crd()),
    }
