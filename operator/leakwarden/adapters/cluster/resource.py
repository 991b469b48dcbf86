"""A reflector's resource, its pace, its sink, and its own statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol[T_contra]):
    """The place where a reflector mirrors objects; each call is synchronous and quick."""

    def put(self, uid: str, item: T_contra) -> bool:
        """Keep this version. False when the object is not needed; it is then not tracked.

        Raises msgspec.ValidationError when a part of it does not fit.
        """
        ...

    def drop(self, uid: str) -> None: ...

    def forget(self) -> None:
        """All other data is of a state that is gone, such as our own writes."""
        ...


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """One kind: its path is /{prefix}[/namespaces/NS]/{plural}."""

    prefix: str
    plural: str
    item: type[T]
    metadata_only: bool = False  # only the metadata is requested
    absent: str = "apply the files in crds/"  # what to say where the API server does not serve it
    optional: bool = False  # a server that does not serve the kind has no objects of it, which is no fault

    def path(self, namespace: str | None) -> str:
        return f"/{self.prefix}/namespaces/{namespace}/{self.plural}" if namespace else f"/{self.prefix}/{self.plural}"

    @property
    def full_name(self) -> str:
        """As RBAC rules and `kubectl auth can-i` name it: deployments.apps, pods."""
        parts = self.prefix.split("/")
        return f"{self.plural}.{parts[1]}" if parts[0] == "apis" else self.plural

    def accept(self, kind: str) -> str:
        if not self.metadata_only:
            return "application/json"
        return f"application/json;as={kind};g=meta.k8s.io;v=v1, application/json"


@dataclass(frozen=True, slots=True)
class Pace:
    """Every time in seconds. Tests shorten them; the defaults are for clusters."""

    page: int = 500
    # Bookmarks come about once a minute; after that and some grace, a silent watch is a dead one. Load balancers drop
    # connections without a reply, and there is no other sign of it.
    idle: float = 70.0
    watch: float = 300.0  # the watch's own timeoutSeconds, jittered by half upwards
    resync: float = 600.0  # relist at least this often, jittered: the answer to every bug that loses an event
    backoff: float = 0.5
    backoff_max: float = 30.0
    absent: float = 60.0  # between two looks for an optional kind that the server does not serve


@dataclass(frozen=True, slots=True)
class ReflectorStats:
    """For metrics. `age` is the seconds since the API server was last heard; infinite before the first time."""

    resource: str
    namespace: str
    synced: bool
    age: float
    objects: int
    lists: int
    relists_expired: int
    watches: int
    malformed: int
    errors: int
    trouble: str
