"""What a check says, and how bad it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from leakwarden.core.audit.subject import Subject


class Severity(StrEnum):
    """How much a finding matters, worst first.

    ERROR: users of the service get errors at its next rollout, eviction or start, or the kubelet cannot
    do what the manifest asks.
    WARNING: the service works, but something that protects it is missing or works against it when another
    thing fails.
    INFO: worth knowing; the manifest alone cannot tell whether it is wrong.
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

    def at_least(self, threshold: Severity) -> bool:
        return RANK[self.severity] <= RANK[threshold]


@dataclass(frozen=True, slots=True)
class Defect:
    """A finding before it carries its check's name, which stands once, in the list of checks."""

    severity: Severity
    message: str
    hint: str
    container: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of the list: its name in status and reports, one line for people, and the function."""

    name: str
    summary: str
    find: Callable[[Subject], Iterable[Defect]]
