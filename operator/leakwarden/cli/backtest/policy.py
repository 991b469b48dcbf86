"""A policy's rules for the signals of recorded series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from leakwarden.api.v1alpha1.signal import DEFAULT_ROLES, SYMPTOMS, Role, SignalType
from leakwarden.cli.errors import BadPolicy
from leakwarden.core.detection.recording import Series
from leakwarden.core.signals.catalogue import CATALOGUE
from leakwarden.core.signals.criteria import Standard, standard_of

if TYPE_CHECKING:
    from leakwarden.api.v1alpha1.policy import PolicySpec, Signal
    from leakwarden.core.model.policy import Policy


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules by which each signal is judged."""

    by_name: Mapping[str, Standard] | None  # by the signal's plain name; None: all by the defaults
    # By plain name. A signal that is not in it counts as one that can leak.
    known: Mapping[str, tuple[SignalType, Role]]
    name: str = ""  # of the policy
    acts: bool = False  # whether the policy is in mode Enforce

    def of(self, signal: str) -> Standard | None:
        """The rule for a signal. None where the policy does not judge it, and for a symptom: its growth is not a
        leak."""
        if self.by_name is not None:
            return self.by_name.get(_plain(signal))
        kind, _ = self.known.get(_plain(signal), (None, None))
        return None if kind in SYMPTOMS else Standard()

    def left_out(self, series: Sequence[Series]) -> str:
        """The signals that are not judged, and why, in words; empty where all are."""
        names = ", ".join(sorted({s.signal for s in series if self.of(s.signal) is None}))
        if not names:
            return ""
        if self.by_name is None:
            return f"from symptoms alone nothing follows: {names}: left out"
        return f"the policy does not judge {names}: left out"

    def consequence(self, signal: str) -> str:
        """The operator's action when a signal is Exhausting."""
        _, role = self.known.get(_plain(signal), (None, Role.LEAK))
        if role is not Role.LEAK:
            return f"only reported, its role is {role}"
        return "would have acted" if self.acts else "would be acted on in mode Enforce"

    def measured(self, series: Series) -> Series:
        """The series as the operator reads it: it is memory if its type is, and where a running process is never at
        zero, a zero does not count as a reading."""
        kind, _ = self.known.get(_plain(series.signal), (None, None))
        row = CATALOGUE.get(kind) if kind is not None else None
        series = replace(series, memory=row is not None and row.memory)
        if row is None or not row.never_zero or not np.any(series.v == 0):
            return series
        return replace(series, v=np.where(series.v == 0, np.nan, series.v))


def rules_of(policy: Policy | None) -> Rules:
    """The rules of a policy that `load` read, the defaults without one."""
    if policy is None or policy.spec is None:
        names = ((kind, role, name) for kind, role in DEFAULT_ROLES.items() for name in _names(kind))
        return Rules(None, {name: (kind, role) for kind, role, name in names})
    spec = policy.spec
    signals = dict(_named(spec))
    return Rules(
        {name: standard_of(signal, spec.source.max_age) for name, signal in signals.items()},
        {name: (signal.type, signal.effective_role) for name, signal in signals.items()},
        policy.name,
        str(spec.mode) == "Enforce",
    )


def load(file: str) -> Policy:
    """The one policy in `file`, with its spec; its namespace is empty where the file has none, and for a
    ClusterReliabilityPolicy. Raises BadPolicy."""
    from leakwarden.api import names
    from leakwarden.cli.audit.files import read
    from leakwarden.core.model.cluster_policy import as_written, parse_cluster_policy
    from leakwarden.core.model.policy import parse_policy

    reading = read([file])
    if reading.problems:
        raise BadPolicy(reading.problems[0])
    kinds = (names.POLICY_KIND, names.CLUSTER_POLICY_KIND)
    found = [document.body for document in reading.documents if document.kind in kinds]
    if len(found) != 1:
        raise BadPolicy(f"{file}: holds {len(found)} {' or '.join(kinds)} objects; exactly one is needed")
    if found[0].get("apiVersion") != names.API_VERSION:
        raise BadPolicy(f"{file}: apiVersion is {found[0].get('apiVersion')!r}; it must be {names.API_VERSION}")
    metadata = found[0].get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    kept = {k: v for k, v in metadata.items() if k in ("name", "namespace")}
    body = {"metadata": kept, "spec": found[0].get("spec")}
    of_cluster = found[0].get("kind") == names.CLUSTER_POLICY_KIND
    policy = as_written(parse_cluster_policy(body)) if of_cluster else parse_policy(body)
    if policy.spec is None:
        raise BadPolicy(f"{file}: {policy.error}")
    return policy


def _names(kind: SignalType) -> list[str]:
    row = CATALOGUE.get(kind)
    called = (*row.also_called, *(alias.value for alias in row.aliases)) if row is not None else ()
    return [_plain(name) for name in (str(kind), *called)]


def _named(spec: PolicySpec) -> Iterator[tuple[str, Signal]]:
    """Each replayed signal, by the plain names that recordings may have for it; the first of a name counts."""
    taken: set[str] = set()
    for signal in spec.signals:
        if signal.type in SYMPTOMS:
            continue  # their readings do not show a leak, and no action would have followed from them
        for name in (_plain(signal.name), *_names(signal.type)):
            if name not in taken:
                taken.add(name)
                yield name, signal
