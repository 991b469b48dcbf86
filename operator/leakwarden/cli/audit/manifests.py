"""Documents -> the workloads they describe, as the API server would default them, and the other objects that belong to
these.

The operator uses the same conversion for the objects that the API server sends, so that a manifest and the Deployment
made from it are audited alike. A document is dropped once its facts are read.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from leakwarden.adapters.cluster import beside
from leakwarden.cli.audit.files import Document, DocumentPlace
from leakwarden.cli.audit.near_miss import GROUPS, REMOVED, VERSIONS
from leakwarden.cli.audit.workload_manifest import ManifestError, in_words, mapping, to_workload
from leakwarden.core.audit import objects, overlaps
from leakwarden.core.audit.admission import variables
from leakwarden.core.audit.as_written import placed as placed_finding
from leakwarden.core.audit.checks import found
from leakwarden.core.audit.findings import Check, Finding
from leakwarden.core.audit.landscape import SAME_FILE, Landscape, Unattached
from leakwarden.core.audit.neighbours import placed
from leakwarden.core.audit.related import Identity, Related
from leakwarden.core.audit.set_later import Maker, Makers, may_make_pods
from leakwarden.core.model.workload import Disruption, Workload

WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod", "Rollout"})


@dataclass(frozen=True, slots=True)
class DescribedObject:
    """An object that is audited, its place, and the findings made while it was read.

    `workload` is None for objects that only belong to workloads. `disruptions` is None where no budget was read that
    could be meant for it.
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
    """The objects read so far. `complete`: these are all objects of a cluster, so an object that is not here does not
    exist."""

    complete: bool = False
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unaudited: Counter[str] = field(default_factory=Counter)
    check_fields: Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]] | None = None
    _found: list[DescribedObject] = field(default_factory=list)
    _makers: list[Maker] = field(default_factory=list)
    _others: set[Identity] = field(default_factory=set)
    _selecting: list[overlaps.Selecting] = field(default_factory=list)
    _beside: beside.Beside = field(default_factory=beside.Beside)

    def take(self, documents: Iterable[Document]) -> None:
        """Read the facts of these documents. Never raises: a document that cannot be understood is a problem of its
        own."""
        for document in documents:
            try:
                self._take(document)
            except (ManifestError, ValueError) as error:
                self.problems.append(f"{document.place}: {document.kind[:60]} {_name(document.body)}: {error}")
            except (RecursionError, OverflowError, TypeError, AttributeError, KeyError) as error:
                # An unexpected shape costs only this object, and is reported.
                self.problems.append(
                    f"{document.place}: {document.kind[:60]} {_name(document.body)}: cannot be understood"
                    f" ({type(error).__name__})"
                )

    def _take(self, document: Document) -> None:
        kind, version = document.kind, document.body.get("apiVersion")
        for variable in variables(document.body):
            self.notes.append(
                f"{document.place}: {kind[:60]} {_name(document.body)}: {variable} is filled in later, and was not checked"
            )
        served = version in VERSIONS.get(kind, ()) or (kind, version) in REMOVED
        if kind in WORKLOADS and served:
            early = self._early(document)
            if kind == "Rollout" and mapping(document.body.get("spec")).get("workloadRef") is not None:
                metadata = mapping(document.body.get("metadata"))
                namespace, name = str(metadata.get("namespace") or ""), _name(document.body)
                identity = Identity(kind, namespace, name)
                self._others.add(identity)
                try:
                    self._beside.take_reference(identity, document.body, document.place)
                except msgspec.ValidationError as error:
                    raise ManifestError(in_words(str(error), "")) from None
                self.notes.append(
                    f"{document.place}: Rollout {name} takes its pods from a workloadRef, and is audited there"
                )
                return
            workload = to_workload(document.body)
            identity = Identity(kind, workload.namespace, workload.name)
            self._found.append(DescribedObject(document.place, identity, early, workload.annotations, workload))
            if kind == "Rollout":
                self._beside.take_rollout(identity, document.body, document.place)
            if (selecting := overlaps.selecting(document.body, identity, document.place)) is not None:
                self._selecting.append(selecting)
            return
        if self._beside.reads(kind, version):
            early = self._early(document)
            try:
                identity = self._beside.take(beside.Kubernetes(kind, document.body, document.place))
            except msgspec.ValidationError as error:
                raise ManifestError(in_words(str(error), "")) from None
            annotations = _texts(mapping(document.body.get("metadata")).get("annotations"))
            self._found.append(DescribedObject(document.place, identity, early, annotations))
            return
        template = mapping(mapping(document.body.get("spec")).get("template"))
        pods = mapping(template.get("spec")).get("containers")
        if pods or may_make_pods(kind, str(version)):
            space = mapping(document.body.get("metadata")).get("namespace")
            identity = Identity(kind[:60], space if isinstance(space, str) else "", _name(document.body))
            self._makers.append(Maker(identity, _texts(mapping(template.get("metadata")).get("labels"))))
        if kind in GROUPS or pods:
            self.unaudited[f"{kind[:60]} of {str(version)[:60]}"] += 1

    def _early(self, document: Document) -> tuple[Finding, ...]:
        """The findings that only the manifest itself can show."""
        body = document.body
        made = [
            (check, defect)
            for check in objects.MANIFEST_CHECKS
            if not check.kinds or document.kind in check.kinds
            for defect in check.find(body)
        ]
        for key, line in document.twice[:20]:
            made += [(objects.KEY_TWICE, defect) for defect in objects.key_twice(key, line)]
        if self.check_fields is not None:
            for name, meant in self.check_fields(body):
                made += [(objects.UNKNOWN_FIELD, defect) for defect in objects.unknown_field(name, meant)]
        return tuple(placed_finding(check, defect, body) for check, defect in made)

    def described(self) -> list[DescribedObject]:
        """Every object with the objects that belong to it, in the order in which they were read."""
        workloads = [each for each in self._found if each.workload is not None]
        held = [self._configured(each.workload) for each in workloads if each.workload is not None]
        near = [each.place for each in workloads]
        land = self._beside.landscape(held, self.complete, lambda other, position: _nearness(other, near[position]))
        land.others = frozenset(self._others)
        land.makers = Makers(self._makers)
        related, loose = land.relate()
        budgeted = {budget.identity.namespace for budget in self._beside.budgets}
        at: dict[int, DescribedObject] = {}
        for each, workload, beside_it in zip(workloads, held, related, strict=True):
            known = (
                self.complete or bool(budgeted & {workload.namespace, ""}) or bool(budgeted and not workload.namespace)
            )
            at[id(each)] = _scaled(each, workload, beside_it, known)
        extra = _object_findings(loose, land, self._selecting)
        made = []
        for each in self._found:
            one = at.get(id(each), each)
            made.append(dataclasses.replace(one, early=one.early + extra.get(id(each.place), ())))
        return made

    def _configured(self, workload: Workload) -> Workload:
        """The workload with the Go runtime's variables from those ConfigMaps that were read."""
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

    The objects that belong to them are taken into account: an autoscaled Deployment has at least its minReplicas, and a
    budget may forbid evictions permanently.
    """
    inventory = Inventory()
    inventory.take(documents)
    return [each for each in inventory.described() if each.workload is not None], inventory.problems


def _scaled(each: DescribedObject, workload: Workload, related: Related, budgets_known: bool) -> DescribedObject:
    workload, disruptions = placed(workload, related, budgets_known)
    return dataclasses.replace(each, workload=workload, related=related, disruptions=disruptions)


def _object_findings(
    loose: Unattached, land: Landscape, selecting: Sequence[overlaps.Selecting]
) -> dict[int, tuple[Finding, ...]]:
    made: dict[int, tuple[Finding, ...]] = {}
    pairs: Iterable[tuple[Check, Any]] = (
        *((objects.BUDGET_MATCHES_NOTHING, budget) for budget in loose.budgets),
        *((objects.SCALER_TARGET_MISSING, scaler) for scaler in loose.scalers),
        *((objects.SERVICE_SELECTS_NOTHING, service) for service in loose.services),
        *((objects.MONITOR_SELECTS_NOTHING, monitor) for monitor in loose.monitors),
        *((objects.ROUTE_TARGET_MISSING, route) for route in land.routes),
        *((overlaps.SERVICE_SELECTS_JOBS, service) for service in land.services),
        *((overlaps.BUDGET_SELECTS_JOBS, budget) for budget in land.budgets),
        *((overlaps.SELECTORS_OVERLAP, each) for each in selecting),
    )
    for check, each in pairs:
        made[id(each.place)] = made.get(id(each.place), ()) + tuple(
            found(check, defect) for defect in check.find(each, land)
        )
    return made


def _nearness(other: Any, place: DocumentPlace) -> int:
    """How near an object is to a workload: in the same file, else by the number of folders that their files share."""
    theirs: DocumentPlace = other.place
    if theirs.file == place.file:
        return SAME_FILE
    shared = 0
    for one, two in zip(theirs.file.split("/"), place.file.split("/"), strict=False):
        if one != two:
            break
        shared += 1
    return shared


def _texts(value: Any) -> dict[str, str]:
    return {str(k): v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}


def _name(body: Mapping[str, Any]) -> str:
    metadata = mapping(body.get("metadata"))
    return str(metadata.get("name") or metadata.get("generateName") or "without a name")[:253]
