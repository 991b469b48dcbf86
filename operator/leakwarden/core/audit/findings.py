"""What a check says, and how bad it is."""

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
    """One thing that one check found. `container` is empty where the whole workload is meant.

    `message` says what is so, with numbers and units; `hint` what to write instead, in YAML or Go.
    Neither names a pod, so that a finding stays equal to itself when pods are replaced.
    """

    check: str
    severity: Severity
    container: str
    message: str
    hint: str
    id: str = ""  # LW101: never changes, whatever the check is called
    # Where it stands: from the container where one is named (`livenessProbe.httpGet`), else from the object. A
    # leading `@pod` stands for the pod's spec, wherever the kind has it.
    field: str = dataclass_field(default="", compare=False)
    # What mends it safely: (field, value), to be written as they are. Empty where a person has to decide.
    mend: tuple[tuple[str, int | str], ...] = dataclass_field(default=(), compare=False)

    def at_least(self, threshold: Severity) -> bool:
        return RANK[self.severity] <= RANK[threshold]


@dataclass(frozen=True, slots=True)
class Defect:
    """A finding before it carries its check's name, which stands once, in the list of checks."""

    severity: Severity
    message: str
    hint: str
    container: str = ""
    field: str = ""  # empty: the check's own
    mend: tuple[tuple[str, int | str], ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of the list: its id, its name in status and reports, the function, and the field it is about.

    What the check is for stands in the function's docstring, of which its page is made. `kinds` are those whose
    workloads it is asked about; empty for all.
    """

    id: str
    name: str
    find: Callable[..., Iterable[Defect]]  # of a Subject; those of objects take what they are about
    field: str = ""
    kinds: frozenset[str] = frozenset()

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (self.find.__doc__ or self.name).strip().partition("\n")[0].rstrip(".")
