"""Documents -> the workloads they describe, as the API server would default them, and what stands beside these.

The conversion itself is the one that the operator uses for what the API server sends, so that a manifest and
the Deployment made from it are audited alike. A document is let go once its facts are taken.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from leakwarden.adapters.cluster import facts, wire
from leakwarden.cli.audit import beside
from leakwarden.cli.audit.files import Document, DocumentPlace
from leakwarden.cli.audit.near_miss import GROUPS, REMOVED, VERSIONS
from leakwarden.core.audit import objects
from leakwarden.core.audit.checks import found
from leakwarden.core.audit.disruption import allowed
from leakwarden.core.audit.findings import Check, Defect, Finding
from leakwarden.core.audit.landscape import Landscape
from leakwarden.core.audit.related import Identity, Related
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
WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod", "Rollout"})


class ManifestError(ValueError):
    """A manifest is not what its kind says; the message names place, field and what is needed."""


@dataclass(frozen=True, slots=True)
class DescribedObject:
    """An object that is audited, where it stands, and what was found while it was read.

    `workload` is None for what only stands beside workloads. `disruptions` is None where no budget was read that could
    be meant for it.
    """

    place: DocumentPlace
    identity: Identity
    early: tuple[Finding, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    workload: Workload | None = None
    disruptions: tuple[Disruption, ...] | None = None
    related: Related | None = None


@dataclass(slots=True)
class Inventory:
    """What was read so far. `complete`: it is all that a cluster has, so that what is not here is not there."""

    complete: bool = False
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unaudited: Counter[str] = field(default_factory=Counter)
    check_fields: Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]] | None = None
    _found: list[DescribedObject] = field(default_factory=list)
    _others: set[Identity] = field(default_factory=set)
    _beside: beside.Beside = field(default_factory=beside.Beside)

    def take(self, documents: Iterable[Document]) -> None:
        """Read the facts of these documents. Never raises: what cannot be understood is a problem of its own."""
        for document in documents:
            try:
                self._take(document)
            except (ManifestError, ValueError) as error:
                self.problems.append(f"{document.place}: {document.kind[:60]} {_name(document.body)}: {error}")
            except (RecursionError, OverflowError, TypeError, AttributeError, KeyError) as error:
                # A shape that no rule thought of costs this object, and is said.
                self.problems.append(
                    f"{document.place}: {document.kind[:60]} {_name(document.body)}: cannot be understood"
                    f" ({type(error).__name__})"
                )

    def _take(self, document: Document) -> None:
        kind, version = document.kind, document.body.get("apiVersion")
        served = version in VERSIONS.get(kind, ()) or (kind, version) in REMOVED
        if kind in WORKLOADS and served:
            early = self._early(document)
            if kind == "Rollout" and _mapping(document.body.get("spec")).get("workloadRef") is not None:
                metadata = _mapping(document.body.get("metadata"))
                namespace, name = str(metadata.get("namespace") or ""), _name(document.body)
                self._others.add(Identity(kind, namespace, name))
                self.notes.append(
                    f"{document.place}: Rollout {name} takes its pods from a workloadRef, and is audited there"
                )
                return
            workload = to_workload(document.body)
            identity = Identity(kind, workload.namespace, workload.name)
            self._found.append(DescribedObject(document.place, identity, early, workload.annotations, workload))
            return
        if self._beside.reads(kind, version):
            early = self._early(document)
            try:
                identity = self._beside.take(document)
            except msgspec.ValidationError as error:
                raise ManifestError(_in_words(str(error), "")) from None
            annotations = _texts(_mapping(document.body.get("metadata")).get("annotations"))
            self._found.append(DescribedObject(document.place, identity, early, annotations))
            return
        pods = _mapping(_mapping(_mapping(document.body.get("spec")).get("template")).get("spec")).get("containers")
        if kind in GROUPS or pods:
            self.unaudited[f"{kind[:60]} of {str(version)[:60]}"] += 1

    def _early(self, document: Document) -> tuple[Finding, ...]:
        """What can only be seen in the manifest itself."""
        body = document.body
        made = [
            (check, defect) for check in (objects.VERSION_REMOVED, objects.API_REJECTS) for defect in check.find(body)
        ]
        for key, line in document.twice[:20]:
            made += [(objects.KEY_TWICE, defect) for defect in objects.key_twice(key, line)]
        if self.check_fields is not None:
            for name, meant in self.check_fields(body):
                made += [(objects.UNKNOWN_FIELD, defect) for defect in objects.unknown_field(name, meant)]
        return tuple(_placed(check, defect, body) for check, defect in made)

    def described(self) -> list[DescribedObject]:
        """Every object with what belongs to it, in the order in which they were read."""
        workloads = [each for each in self._found if each.workload is not None]
        held = [self._configured(each.workload) for each in workloads if each.workload is not None]
        near = [each.place for each in workloads]
        land = self._beside.landscape(held, self.complete, lambda other, position: _nearness(other, near[position]))
        land.others = frozenset(self._others)
        related, loose = land.relate()
        budgeted = {budget.identity.namespace for budget in self._beside.budgets}
        at: dict[int, DescribedObject] = {}
        for each, workload, beside_it in zip(workloads, held, related, strict=True):
            known = (
                self.complete or bool(budgeted & {workload.namespace, ""}) or bool(budgeted and not workload.namespace)
            )
            at[id(each)] = _scaled(each, workload, beside_it, known)
        extra = _loose_findings(loose, land)
        made = []
        for each in self._found:
            if each.workload is not None:
                made.append(at[id(each)])
            else:
                more = extra.get(id(each.place), ())
                made.append(dataclasses.replace(each, early=each.early + more))
        return made

    def _configured(self, workload: Workload) -> Workload:
        """With the Go runtime's variables that come from ConfigMaps that were read."""
        if not any(each.env_from or each.env_keys for each in workload.containers):
            return workload
        containers = []
        for container in workload.containers:
            env = dict(container.env)
            left = tuple(name for name in container.env_from if self._beside.config(workload.namespace, name) is None)
            for name in container.env_from:
                for key, value in (self._beside.config(workload.namespace, name) or {}).items():
                    env.setdefault(key, value)
            for variable, name, key in container.env_keys:
                given = (self._beside.config(workload.namespace, name) or {}).get(key)
                if given is not None:
                    env[variable] = given
            containers.append(dataclasses.replace(container, env=env, env_from=left))
        return dataclasses.replace(workload, containers=tuple(containers))


def workloads(documents: Sequence[Document]) -> tuple[list[DescribedObject], list[str]]:
    """The workloads among the documents, in their order, and a line for each that cannot be understood.

    What stands beside them is taken into account: an autoscaled Deployment has at least its minReplicas, and a budget
    may forbid evictions for ever.
    """
    inventory = Inventory()
    inventory.take(documents)
    return [each for each in inventory.described() if each.workload is not None], inventory.problems


def _scaled(each: DescribedObject, workload: Workload, related: Related, budgets_known: bool) -> DescribedObject:
    if related.scalers and workload.kind in ("Deployment", "StatefulSet", "ReplicaSet", "Rollout"):
        workload = _running(workload, max(1, min(scaler.minimum for scaler in related.scalers)))
    disruptions = tuple(
        Disruption(workload.namespace, budget.identity.name, allowed(budget, workload.replicas))
        for budget in related.budgets
    )
    return dataclasses.replace(
        each,
        workload=workload,
        related=related,
        # One that is not here may still be in the cluster, so none at all means not known.
        disruptions=disruptions if disruptions or budgets_known else None,
    )


def _loose_findings(loose: Any, land: Landscape) -> dict[int, tuple[Finding, ...]]:
    made: dict[int, tuple[Finding, ...]] = {}
    for check, each in (
        *((objects.BUDGET_MATCHES_NOTHING, budget) for budget in loose.budgets),
        *((objects.SCALER_TARGET_MISSING, scaler) for scaler in loose.scalers),
        *((objects.SERVICE_SELECTS_NOTHING, service) for service in loose.services),
        *((objects.MONITOR_SELECTS_NOTHING, monitor) for monitor in loose.monitors),
    ):
        made[id(each.place)] = tuple(found(check, defect) for defect in check.find(each, land))
    return made


def _placed(check: Check, defect: Defect, body: Mapping[str, Any]) -> Finding:
    """A finding about a field of a container names the container, as those of the checks do."""
    finding = found(check, defect)
    match = re.match(r"(.*\.(?:containers|initContainers)\[([0-9]+)\])(?:\.(.*))?$", finding.field)
    if match is None:
        return finding
    value: Any = body
    for part in re.findall(r"[^.\[\]]+", match[1]):
        value = value[int(part)] if isinstance(value, list) and part.isdigit() else _mapping(value).get(part)
    name = _mapping(value).get("name")
    # The field stays as it is from the object, since containers may share a name.
    return dataclasses.replace(finding, container=name[:63]) if isinstance(name, str) else finding


def to_workload(manifest: Mapping[str, Any]) -> Workload:
    """A workload's manifest as the core knows it. Raises ManifestError."""
    body = _manifest_only(manifest)
    kind = str(manifest.get("kind") or "Deployment")
    spec, template, at = _shape(kind, body)
    try:
        item = msgspec.convert({"metadata": body["metadata"], "spec": spec}, wire.ApiDeployment)
    except msgspec.ValidationError as error:
        raise ManifestError(_in_words(str(error), "")) from None
    try:
        pods = msgspec.convert(template, wire.ApiTemplate | None)
        workload = facts.described(item, pods)
    except msgspec.ValidationError as error:
        raise ManifestError(_in_words(str(error), at)) from None
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
    _check_memory_limits(_mapping(template))
    if kind == "Deployment" and workload.strategy not in ("RollingUpdate", "Recreate"):
        raise ManifestError(f"spec.strategy.type is {workload.strategy!r}; RollingUpdate or Recreate is needed")
    if workload.strategy == "RollingUpdate":
        workload = dataclasses.replace(
            workload,
            max_unavailable="25%" if workload.max_unavailable is None else workload.max_unavailable,
            max_surge="25%" if workload.max_surge is None else workload.max_surge,
        )
    return _running(dataclasses.replace(workload, kind=kind), workload.replicas)


def _shape(kind: str, body: Mapping[str, Any]) -> tuple[Any, Any, str]:
    """(the spec as a Deployment's, the pod template, where that stands) of a workload of any kind."""
    spec = body.get("spec")
    if not isinstance(spec, dict):
        return spec, None, "spec.template."
    if kind == "Pod":
        metadata = _mapping(body.get("metadata"))
        return {}, {"metadata": {"labels": metadata.get("labels")}, "spec": spec}, ""
    if kind == "CronJob":
        job = _mapping(_mapping(spec.get("jobTemplate")).get("spec"))
        return {}, job.get("template"), "spec.jobTemplate.spec.template."
    if kind == "Job":
        return {}, spec.get("template"), "spec.template."
    kept = {key: value for key, value in spec.items() if key not in ("template", "strategy", "updateStrategy")}
    if kind == "Rollout":
        canary = _mapping(spec.get("strategy")).get("canary")
        kept["strategy"] = (
            {"type": "BlueGreen"} if canary is None else {"type": "RollingUpdate", "rollingUpdate": canary}
        )
    elif kind in ("StatefulSet", "DaemonSet"):
        kept["strategy"] = spec.get("updateStrategy")
    else:
        kept["strategy"] = spec.get("strategy")
    return kept, spec.get("template"), "spec.template."


def _check_memory_limits(template: Mapping[str, Any]) -> None:
    # In a cluster one that can't be read counts as none; a manifest with it would be refused there.
    for container in _mapping(template.get("spec")).get("containers") or ():
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


def _nearness(other: Any, place: DocumentPlace) -> int:
    """How near an object stands to a workload: in the same file, else by the folders that their files share."""
    theirs: DocumentPlace = other.place
    if theirs.file == place.file:
        return 1_000_000
    shared = 0
    for one, two in zip(theirs.file.split("/"), place.file.split("/"), strict=False):
        if one != two:
            break
        shared += 1
    return shared


def _texts(value: Any) -> dict[str, str]:
    return {str(k): v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}


def _name(body: Mapping[str, Any]) -> str:
    metadata = _mapping(body.get("metadata"))
    return str(metadata.get("name") or metadata.get("generateName") or "without a name")[:253]


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
