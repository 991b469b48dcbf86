"""The content of a Kubernetes Event: a value, so that the core decides the content and an adapter only posts it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectRef:
    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Announcement:
    """One Event. `note` at most 1024 bytes; type is Normal or Warning."""

    regarding: ObjectRef
    related: ObjectRef | None
    reason: str
    action: str
    note: str
    warning: bool = False
    essential: bool = False  # about a change we made: never held back to spare the API server; cooldowns bound them
