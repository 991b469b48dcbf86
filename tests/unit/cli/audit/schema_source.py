"""The generator of schema_data.py: the fields of the audited kinds, from the OpenAPI models of the Kubernetes client.

When the client is updated: PYTHONPATH=operator:. python -m tests.unit.cli.audit.schema_source
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

ROOTS = {
    "Deployment": "V1Deployment",
    "StatefulSet": "V1StatefulSet",
    "DaemonSet": "V1DaemonSet",
    "ReplicaSet": "V1ReplicaSet",
    "Job": "V1Job",
    "CronJob": "V1CronJob",
    "Pod": "V1Pod",
    "Service": "V1Service",
    "PodDisruptionBudget": "V1PodDisruptionBudget",
    "HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler",
    "Ingress": "V1Ingress",
}
_INNER = re.compile(r"(?:[Ll]ist\[|[Dd]ict(?:\(|\[)str, )([A-Za-z0-9]+)[\])]")


def schema() -> dict[str, Any]:
    """{kinds: {kind: type}, types: {type: {field: type or ""}}}; a field whose type is "" may contain anything.

    `[]` before a type means a list of it, and `{}` a mapping to it.
    """
    models = importlib.import_module("kubernetes.client.models")
    types: dict[str, dict[str, str]] = {}
    waiting = list(ROOTS.values())
    while waiting:
        name = waiting.pop()
        if name in types:
            continue
        model = getattr(models, name)
        fields = {}
        for attribute, key in model.attribute_map.items():
            declared = model.openapi_types[attribute]
            inner = _INNER.fullmatch(declared)
            bare = inner[1] if inner else declared
            known = hasattr(getattr(models, bare, None), "attribute_map")
            prefix = "[]" if declared[1:5] == "ist[" else "{}" if declared[1:4] == "ict" else ""
            fields[key] = prefix + bare if known else ""
            if known:
                waiting.append(bare)
        types[name] = dict(sorted(fields.items()))
    return {"kinds": ROOTS, "types": dict(sorted(types.items()))}


def module() -> str:
    """The text of schema_data.py: JSON in one string, which is read in a fifth of the time that a literal takes."""
    text = json.dumps(schema(), separators=(",", ":"), sort_keys=True)
    return (
        '"""The fields of the audited kinds. Generated from the Kubernetes client\'s models; a test compares them."""\n\n'
        f"SCHEMA = '{text}'\n"
    )


if __name__ == "__main__":
    import leakwarden.cli.audit

    Path(leakwarden.cli.audit.__file__).with_name("schema_data.py").write_text(module(), encoding="utf-8")
