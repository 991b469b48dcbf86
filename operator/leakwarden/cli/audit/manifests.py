"""Manifests -> the workloads they describe, as the API server would default them, all pods imagined as running.

The conversion itself is the one that the operator uses for what the API server sends, so that a manifest and
the Deployment made from it are audited alike.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from leakwarden.adapters.cluster import facts, wire
from leakwarden.cli.audit.files import Document, DocumentPlace
from leakwarden.core.model.workload import Disruption, Workload

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
    """A manifest is not what its kind says; the message names place, field and what is needed."""


@dataclass(frozen=True, slots=True)
class DescribedWorkload:
    """A workload and where it stands. `disruptions` is None where no budget was among the manifests."""

    place: DocumentPlace
    workload: Workload
    disruptions: tuple[Disruption, ...] | None


def workloads(documents: Sequence[Document]) -> tuple[list[DescribedWorkload], list[str]]:
    """The Deployments among the documents, in their order, and a line for each that cannot be understood.

    HorizontalPodAutoscalers and PodDisruptionBudgets beside them are taken into account: an autoscaled
    Deployment has at least its minReplicas, and a budget may forbid evictions for ever.
    """
    found: list[DescribedWorkload] = []
    problems: list[str] = []
    scalers = [document for document in documents if _is(document, "HorizontalPodAutoscaler", "autoscaling")]
    budgets = [document for document in documents if _is(document, "PodDisruptionBudget", "policy")]
    for document in documents:
        if not _is(document, "Deployment", "apps", "extensions"):
            continue
        try:
            workload = to_workload(document.body)
            minimum = _autoscaled_minimum(workload, scalers)
            if minimum is not None:
                workload = _running(workload, minimum)
            found.append(DescribedWorkload(document.place, workload, _disruptions(document.body, workload, budgets)))
        except ManifestError as error:
            problems.append(f"{document.place}: Deployment {_name(document.body)}: {error}")
    return found, problems


def to_workload(manifest: Mapping[str, Any]) -> Workload:
    """A Deployment's manifest as the core knows it. Raises ManifestError."""
    body = _manifest_only(manifest)
    try:
        item = msgspec.json.decode(msgspec.json.encode(body, enc_hook=str), type=wire.ApiDeployment)
    except msgspec.ValidationError as error:
        raise ManifestError(_in_words(str(error), "")) from None
    except (TypeError, ValueError, RecursionError, OverflowError):
        raise ManifestError("holds values that JSON cannot") from None
    try:
        workload = facts.workload(item)
    except msgspec.ValidationError as error:
        raise ManifestError(_in_words(str(error), "spec.template.")) from None
    if not workload.name:
        raise ManifestError("metadata.name is missing")
    if not workload.containers:
        raise ManifestError("spec.template.spec.containers is missing or empty")
    for field, value in (
        ("spec.replicas", workload.replicas),
        ("spec.minReadySeconds", workload.min_ready_seconds),
        ("spec.template.spec.terminationGracePeriodSeconds", workload.termination_grace),
    ):
        if not 0 <= value < 2**31:
            raise ManifestError(f"{field} is {value}; it must be between 0 and {2**31 - 1}")
    _check_memory_limits(_mapping(manifest.get("spec")))
    if workload.strategy not in ("RollingUpdate", "Recreate"):
        raise ManifestError(f"spec.strategy.type is {workload.strategy!r}; RollingUpdate or Recreate is needed")
    if workload.strategy == "RollingUpdate":
        workload = dataclasses.replace(
            workload,
            max_unavailable="25%" if workload.max_unavailable is None else workload.max_unavailable,
            max_surge="25%" if workload.max_surge is None else workload.max_surge,
        )
    return _running(workload, workload.replicas)


def _check_memory_limits(spec: Mapping[str, Any]) -> None:
    # In a cluster one that can't be read counts as none; a manifest with it would be refused there.
    for container in _mapping(_mapping(spec.get("template")).get("spec")).get("containers") or ():
        limit = _mapping(_mapping(container.get("resources")).get("limits")).get("memory")
        if limit is not None and facts.parse_quantity(limit) is None:
            raise ManifestError(
                f"container {container.get('name')}: the memory limit {str(limit)[:40]!r} is not a quantity;"
                " write it like 512Mi or 2Gi"
            )


def _manifest_only(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a person wrote, without what a cluster adds (status, UID), which is not what is audited."""
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        raise ManifestError("metadata is missing or not a mapping")
    kept = {key: metadata[key] for key in ("name", "namespace", "labels", "annotations") if key in metadata}
    kept.setdefault("name", metadata.get("generateName", ""))
    return {"metadata": {"uid": "", **kept}, "spec": manifest.get("spec")}


def _running(workload: Workload, replicas: int) -> Workload:
    return dataclasses.replace(
        workload,
        generation=1,
        observed_generation=1,
        replicas=replicas,
        updated_replicas=replicas,
        ready_replicas=replicas,
        unavailable_replicas=0,
    )


def _autoscaled_minimum(workload: Workload, scalers: Sequence[Document]) -> int | None:
    for document in scalers:
        spec = _mapping(document.body.get("spec"))
        target = _mapping(spec.get("scaleTargetRef"))
        same = target.get("kind") == "Deployment" and target.get("name") == workload.name
        if same and _namespace(document.body) == workload.namespace:
            minimum = spec.get("minReplicas")
            return minimum if isinstance(minimum, int) and minimum >= 0 else 1
    return None


def _disruptions(
    manifest: Mapping[str, Any], workload: Workload, budgets: Sequence[Document]
) -> tuple[Disruption, ...] | None:
    template = _mapping(_mapping(manifest.get("spec")).get("template"))
    labels = {str(k): str(v) for k, v in _mapping(_mapping(template.get("metadata")).get("labels")).items()}
    found = []
    for budget in budgets:
        spec = _mapping(budget.body.get("spec"))
        try:
            selector = msgspec.convert(spec.get("selector"), wire.ApiLabelSelector | None)
        except msgspec.ValidationError as error:
            raise ManifestError(
                f"{budget.place}: PodDisruptionBudget: {_in_words(str(error), 'spec.selector.')}"
            ) from None
        if _namespace(budget.body) == workload.namespace and wire.selects(selector, labels):
            found.append(Disruption(workload.namespace, _name(budget.body), _allowed(spec, workload.replicas)))
    # One that is not here may still be in the cluster, so none found means not known.
    return tuple(found) or None


def _allowed(spec: Mapping[str, Any], replicas: int) -> int:
    """Evictions allowed with all pods healthy; both kinds of percentage are rounded up, as Kubernetes does."""
    if spec.get("maxUnavailable") is not None:
        return min(replicas, _scaled(spec["maxUnavailable"], replicas))
    return max(0, replicas - _scaled(spec.get("minAvailable", 1), replicas))


def _scaled(value: Any, of: int) -> int:
    if isinstance(value, int):
        return value
    digits = str(value).removesuffix("%")
    if not (str(value).endswith("%") and digits.isascii() and digits.isdigit() and len(digits) <= 3):
        raise ManifestError(f"a PodDisruptionBudget's {str(value)[:40]!r} is neither a number nor a percentage")
    return -(-of * int(digits) // 100)


def _is(document: Document, kind: str, *groups: str) -> bool:
    return document.kind == kind and str(document.body.get("apiVersion") or "").partition("/")[0] in groups


def _namespace(body: Mapping[str, Any]) -> str:
    return str(_mapping(body.get("metadata")).get("namespace") or "")


def _name(body: Mapping[str, Any]) -> str:
    metadata = _mapping(body.get("metadata"))
    return str(metadata.get("name") or metadata.get("generateName") or "without a name")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _in_words(message: str, prefix: str) -> str:
    """What msgspec says, in the words of somebody who writes YAML."""
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
