"""Label selectors, as Kubernetes reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelRequirement:
    """One of a selector's matchExpressions. An operator that this version does not know counts as met."""

    key: str
    operator: str  # In | NotIn | Exists | DoesNotExist
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                # As in Kubernetes, a label that is absent is not in the set.
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case _:
                return True


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """An empty one selects everything. Where a selector is absent there is no LabelSelector."""

    labels: tuple[tuple[str, str], ...] = ()
    expressions: tuple[LabelRequirement, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.labels) and all(
            requirement.holds(labels) for requirement in self.expressions
        )

    def __str__(self) -> str:
        """As kubectl writes it: app=web,tier in (a, b)."""
        parts = [f"{key}={value}" for key, value in self.labels]
        for each in self.expressions:
            match each.operator:
                case "Exists":
                    parts.append(each.key)
                case "DoesNotExist":
                    parts.append(f"!{each.key}")
                case _:
                    parts.append(f"{each.key} {each.operator.lower()} ({', '.join(each.values)})")
        return ",".join(parts) or "everything"
