"""One manifest -> the workload that it describes, as the API server would default it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from leakwarden.adapters.cluster import facts, template_facts, template_wire, wire
from leakwarden.core.audit.neighbours import running
from leakwarden.core.model.workload import Workload

_MISMATCH = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`(?: - at `(?P<at>[^`]+)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`(?: - at `(?P<at>[^`]+)`)?")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text (in quotes)",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


class ManifestError(ValueError):
    """A manifest does not have the form of its kind; the message names place, field and what is needed."""


def to_workload(manifest: Mapping[str, Any]) -> Workload:
    """A workload's manifest as a workload of the core. Raises ManifestError."""
    body = _manifest_only(manifest)
    kind = str(manifest.get("kind") or "Deployment")
    spec, template, at = _shape(kind, body)
    try:
        item = msgspec.convert({"metadata": body["metadata"], "spec": spec}, wire.ApiDeployment)
    except msgspec.ValidationError as error:
        raise ManifestError(in_words(str(error), "")) from None
    try:
        pods = msgspec.convert(template, template_wire.ApiTemplate | None)
        workload = facts.described(item, pods)
    except msgspec.ValidationError as error:
        raise ManifestError(in_words(str(error), at)) from None
    if not workload.name:
        raise ManifestError("metadata.name is missing")
    if not workload.containers:
        raise ManifestError(f"{at}spec.containers is missing or empty")
    for name, value in (
        ("spec.replicas", workload.replicas),
        ("spec.minReadySeconds", workload.min_ready_seconds),
        (f"{at}spec.terminationGracePeriodSeconds", workload.termination_grace),
    ):
        if not 0 <= value < 2**31:
            raise ManifestError(f"{name} is {value}; it must be between 0 and {2**31 - 1}")
    _check_memory_limits(mapping(template))
    if kind == "Deployment" and workload.strategy not in ("RollingUpdate", "Recreate"):
        raise ManifestError(f"spec.strategy.type is {workload.strategy!r}; RollingUpdate or Recreate is needed")
    if workload.strategy == "RollingUpdate":
        workload = dataclasses.replace(
            workload,
            max_unavailable="25%" if workload.max_unavailable is None else workload.max_unavailable,
            max_surge="25%" if workload.max_surge is None else workload.max_surge,
        )
    return running(dataclasses.replace(workload, kind=kind), workload.replicas)


def _shape(kind: str, body: Mapping[str, Any]) -> tuple[Any, Any, str]:
    """(the spec as a Deployment's, the pod template, the path of that) of a workload of any kind."""
    spec = body.get("spec")
    if not isinstance(spec, dict):
        return spec, None, "spec.template."
    if kind == "Pod":
        metadata = mapping(body.get("metadata"))
        return {}, {"metadata": {"labels": metadata.get("labels")}, "spec": spec}, ""
    if kind == "CronJob":
        job = mapping(mapping(spec.get("jobTemplate")).get("spec"))
        return {}, job.get("template"), "spec.jobTemplate.spec.template."
    if kind == "Job":
        return {}, spec.get("template"), "spec.template."
    kept = {key: value for key, value in spec.items() if key not in ("template", "strategy", "updateStrategy")}
    if kind == "Rollout":
        canary = mapping(spec.get("strategy")).get("canary")
        kept["strategy"] = (
            {"type": "BlueGreen"} if canary is None else {"type": "RollingUpdate", "rollingUpdate": canary}
        )
    elif kind in ("StatefulSet", "DaemonSet"):
        kept["strategy"] = spec.get("updateStrategy")
    else:
        kept["strategy"] = spec.get("strategy")
    return kept, spec.get("template"), "spec.template."


def _check_memory_limits(template: Mapping[str, Any]) -> None:
    # In a cluster an unreadable value counts as absent; a manifest with it would be refused there.
    for container in mapping(template.get("spec")).get("containers") or ():
        limit = mapping(mapping(container.get("resources")).get("limits")).get("memory")
        if limit is not None and template_facts.parse_quantity(limit) is None:
            raise ManifestError(
                f"container {container.get('name')}: the memory limit {str(limit)[:40]!r} is not a quantity;"
                " write it like 512Mi or 2Gi"
            )


def _manifest_only(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a person wrote, without those that a cluster adds (status, UID), which are not audited."""
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        raise ManifestError("metadata is missing or not a mapping")
    kept = {key: metadata[key] for key in ("name", "namespace", "labels", "annotations") if key in metadata}
    kept.setdefault("name", metadata.get("generateName", ""))
    return {"metadata": {"uid": "", **kept}, "spec": manifest.get("spec")}


def in_words(message: str, prefix: str) -> str:
    """msgspec's message, in the words of people who write YAML."""
    if match := _MISMATCH.match(message):
        wanted = " or ".join(_WORDS.get(word, word) for word in match["wanted"].split(" | ") if word != "null")
        got = _WORDS.get(match["got"], match["got"]).removesuffix(" (in quotes)")
        return f"{_field(match['at'], prefix)} is {got}; {wanted} is needed"
    if match := _MISSING.match(message):
        return f"{_field(match['at'], prefix)}.{match['name']} is missing".removeprefix(".")
    return message


def _field(at: str | None, prefix: str) -> str:
    path = (at or "$").removeprefix("$").removeprefix(".").removesuffix("[...]")
    return (prefix + path).removesuffix(".")


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
