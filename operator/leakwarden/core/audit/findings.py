"""The result of a check, and its severity."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters, worst first.

    ERROR: users of the service get errors at its next rollout, eviction or start, or the kubelet cannot
    do what the manifest asks.
    WARNING: the service works, but something that protects it is missing or works against it when another
    thing fails.
    INFO: worth knowing; the manifest alone cannot show whether it is wrong.
    """

    ERROR = "Error"
    WARNING = "Warning"
    INFO = "Info"


RANK = {severity: rank for rank, severity in enumerate(Severity)}  # 0 is the worst


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem that one check found. `container` is empty where the whole workload is meant.

    `message` describes the problem, with numbers and units; `hint` is the text to write instead, in YAML or Go. Neither
    names a pod, so that a finding stays equal to itself when pods are replaced.
    """

    check: str
    severity: Severity
    container: str
    message: str
    hint: str
    id: str = ""  # LW101: never changes, even when the check is renamed
    # The path of the field: from the container where one is named (`livenessProbe.httpGet`), else from the object. A
    # leading `@pod` means the pod's spec, wherever the kind has it.
    field: str = dataclass_field(default="", compare=False)
    # The safe correction: (field, value), to be written as they are. Empty where a person has to decide.
    mend: tuple[tuple[str, int | str], ...] = dataclass_field(default=(), compare=False)

    def at_least(self, threshold: Severity) -> bool:
        return RANK[self.severity] <= RANK[threshold]


@dataclass(frozen=True, slots=True)
class Defect:
    """A finding without its check's name, which is written only once, in the list of checks."""

    severity: Severity
    message: str
    hint: str
    container: str = ""
    field: str = ""  # empty: the check's own
    mend: tuple[tuple[str, int | str], ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of the list: its id, its name in status and reports, the function, and the field it is about.

    The function's docstring gives the purpose of the check, and its page is made of it. `kinds` are the kinds of
    workloads that it applies to; empty for all.
    """

    id: str
    name: str
    find: Callable[..., Iterable[Defect]]  # of a Subject; checks of other objects take the object
    field: str = ""
    kinds: frozenset[str] = frozenset()

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (self.find.__doc__ or self.name).strip().partition("\n")[0].rstrip(".")
