"""The ConfigMaps, Secrets and claims that the pods refer to, and those of them that were not found."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Sequence

from leakwarden.core.audit.related import Claim, KeySource, Missing
from leakwarden.core.model.workload import Reference, Workload

# Every namespace of a cluster has these; no manifest does.
_ALWAYS = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
MOST_NEAR = 3
# Only names of at least this many characters are compared; a name of a few characters is similar to too many others.
SHORTEST = 4
LIKE = 0.85
# The most names of one namespace and kind that are compared with a missing one: the cost grows with their number.
MOST_COMPARED = 200


class References:
    """An index, so that the cost is linear in the number of objects and of references to them."""

    def __init__(self, claims: Sequence[Claim], sources: Sequence[KeySource], complete: bool) -> None:
        self._complete = complete
        self._claims: dict[tuple[str, str], list[Claim]] = defaultdict(list)
        self._sources: dict[tuple[str, str, str], list[KeySource]] = defaultdict(list)
        self._names: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._used: set[tuple[str, str, str]] = set()
        for claim in claims:
            self._claims[claim.identity.namespace, claim.identity.name].append(claim)
            self._names["PersistentVolumeClaim", claim.identity.namespace].append(claim.identity.name)
        for source in sources:
            identity = source.identity
            self._sources[identity.kind, identity.namespace, identity.name].append(source)
            self._names[identity.kind, identity.namespace].append(identity.name)
        # A manifest without a namespace goes wherever it is applied, so workloads of any namespace may refer to it.
        self._spaces = tuple({namespace for _, namespace in self._names})

    def use(self, workload: Workload) -> None:
        """Count the objects that this workload refers to as used."""
        self._used.update((workload.namespace, ref.kind, ref.name) for _, ref in _references(workload))

    def read(self, namespace: str) -> bool:
        """Whether any object was read that a workload of this namespace could refer to."""
        return any(self._present(kind, namespace) for kind in ("ConfigMap", "Secret", "PersistentVolumeClaim"))

    def claims(self, workload: Workload) -> list[Claim]:
        names = {ref.name for volume in workload.pods.volumes if volume.kind == "claim" for ref in volume.references}
        return [
            claim
            for name in sorted(names)
            for space in self._near(workload.namespace)
            for claim in self._claims.get((space, name), ())
        ]

    def missing(self, workload: Workload) -> tuple[Missing, ...]:
        found = {}
        for container, reference in _references(workload):
            if reference not in found and (missing := self._missing(workload.namespace, container, reference)):
                found[reference] = missing
        return tuple(found.values())

    def _missing(self, namespace: str, container: str, reference: Reference) -> Missing | None:
        kind, name = reference.kind, reference.name
        if not name or name in _ALWAYS or not self._present(kind, namespace):
            return None
        spaces = self._near(namespace)
        if kind == "PersistentVolumeClaim":
            held: list[object] = [claim for space in spaces for claim in self._claims.get((space, name), ())]
        else:
            copies = [source for space in spaces for source in self._sources.get((kind, space, name), ())]
            held = list(copies)
            if copies and reference.key:
                if any(source.keys is None or reference.key in source.keys for source in copies):
                    return None
                keys = sorted({key for source in copies for key in source.keys or ()})
                near = (
                    difflib.get_close_matches(reference.key, keys[:MOST_COMPARED], MOST_NEAR, 0.6) or keys[:MOST_NEAR]
                )
                return Missing(reference, container, tuple(near), key_only=True)
        if held:
            return None
        names = sorted({each for space in spaces for each in self._names.get((kind, space), ())})
        free = [each for each in names if len(each) >= SHORTEST and not self._is_used(namespace, kind, each)]
        near = difflib.get_close_matches(name, free[:MOST_COMPARED], 1, LIKE)
        return Missing(reference, container, tuple(near), likely=bool(near))

    def _present(self, kind: str, namespace: str) -> bool:
        return any(self._names.get((kind, space)) for space in self._near(namespace))

    def _is_used(self, namespace: str, kind: str, name: str) -> bool:
        return (namespace, kind, name) in self._used

    def _near(self, namespace: str) -> tuple[str, ...]:
        return (namespace, "") if namespace else self._spaces


def _references(workload: Workload) -> Iterator[tuple[str, Reference]]:
    """(the container, empty for the pod; the reference), for all objects that the pods cannot start without."""
    for volume in workload.pods.volumes:
        for reference in volume.references:
            yield "", reference
    for reference in workload.pods.references:
        yield "", reference
    for container in (*workload.containers, *workload.pods.sidecars):
        for reference in container.references:
            yield container.name, reference
