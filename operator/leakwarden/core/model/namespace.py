"""A namespace as the operator holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Namespace:
    """The facts about a namespace that policies need."""

    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0  # epoch s
    terminating: bool = False
