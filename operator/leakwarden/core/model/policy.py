"""A policy as the operator holds it: parsed if it can be, with the reason in words if it cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from leakwarden.api.names import CLUSTER_POLICY_KIND, POLICY_KIND
from leakwarden.api.v1alpha1.kinds import DEFAULT_KIND
from leakwarden.api.v1alpha1.policy import Mode, PolicySpec, Selector, SelectorOperator, WorkloadKind
from leakwarden.api.v1alpha1.status import MAX_ACTIONS, ActionStatus, PolicyStatus
from leakwarden.core.promql import Confined, PromQLError, Question, ask


@dataclass(frozen=True, slots=True)
class Origin:
    """The ClusterReliabilityPolicy, and the namespace, that a policy was derived from (core/model/cluster_policy.py)."""

    uid: str  # of the ClusterReliabilityPolicy
    namespace_uid: str
    # Why the policy may not act in the namespace, in one line for people; empty where it may.
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """`spec` is None exactly where `error` holds the reason. `raw_status` is the status in the API server."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    created: float  # epoch s
    spec: PolicySpec | None
    error: str
    status: PolicyStatus
    confined: Mapping[Question, Confined] = field(default_factory=dict, repr=False, compare=False)
    over_limit: bool = False  # it could be read, but its namespace has more policies than may be in force
    # The selector of its workloads. Kept for an unreadable spec too: a typo in a policy must not hand its workloads
    # to a younger one. None where it is not known: see `claims_all`.
    claims: Selector | None = None
    kinds: frozenset[WorkloadKind] = frozenset({DEFAULT_KIND})  # those that `claims` is about
    origin: Origin | None = None  # None: a ReliabilityPolicy of the namespace itself

    @property
    def claims_all(self) -> bool:
        """Whether its selector is unknown, so that every workload of its namespace may be its own. A ClusterReliabilityPolicy
        whose selector is unknown has none: else one typing error would stop all others in the whole cluster."""
        return self.spec is None and self.claims is None and not self.over_limit and self.origin is None

    @property
    def kind(self) -> str:
        """Of the object that people wrote."""
        return POLICY_KIND if self.origin is None else CLUSTER_POLICY_KIND

    @property
    def title(self) -> str:
        """Unlike the name, no two policies that hold in one namespace share it: no object's name has a slash."""
        return self.name if self.origin is None else f"{self.kind}/{self.name}"

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.title}"

    @property
    def precedence(self) -> tuple[bool, float, str]:
        """Of two policies that select one workload, the one with the lesser value acts on it: the namespace's own before
        those of the cluster, then the older, then by name."""
        return (self.origin is not None, self.created, self.key)

    def is_unchanged(self, other: Policy) -> bool:
        """Whether what `other` may do is what this policy may do: same spec, and the same bounds by the namespace."""
        return self.generation == other.generation and self.origin == other.origin

    def ask(self, question: Question) -> Confined:
        """The query as it was confined when the policy was read; else it is confined now. Raises PromQLError."""
        known = self.confined.get(question)
        return known if known is not None else ask(question)

    @property
    def observes(self) -> str:
        """Why nothing is changed, where that is for the mode; empty in mode Enforce."""
        if self.spec is not None and self.spec.mode is Mode.ENFORCE:
            return ""
        return "spec.mode is Observe" if self.origin is None or not self.origin.bound else self.origin.bound

    @property
    def looks_on(self) -> bool:
        """Whether, by its spec, it changes nothing now."""
        spec = self.spec
        return spec is None or spec.mode is not Mode.ENFORCE or spec.suspend or bool(spec.pause_requests)

    @property
    def vetoes_in_vain(self) -> Mapping[str, str]:
        """Vetoes that can never object, with the reason, by name."""
        told = {question.query: each.never_objects for question, each in self.confined.items() if not question.of_pods}
        vetoes = self.spec.vetoes if self.spec is not None else ()
        return {veto.name: why for veto in vetoes if (why := told.get(veto.query, ""))}


# The first and the last second that a time can be written of, epoch s.
_CALENDAR = (
    datetime(1, 1, 1, tzinfo=UTC).timestamp(),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp(),
)


def parse_time(text: str | None) -> float:
    """Epoch seconds of an RFC 3339 time; 0 where there is none or it can't be read."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    except (ValueError, TypeError, OverflowError):
        return 0.0


def format_time(epoch: float) -> str:
    """RFC 3339 in UTC, whole seconds, as metav1.Time is written. A time beyond the calendar is its first or last second."""
    within = min(max(epoch, _CALENDAR[0]), _CALENDAR[1])
    # Not by strftime, which writes a year below 1000 with fewer digits.
    return datetime.fromtimestamp(within, UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _location(parts: tuple[int | str, ...]) -> str:
    text = "spec"
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text


# pydantic's words that name types of Python, in those of YAML.
_PLAIN = {
    "extra_forbidden": "no such field",
    "missing": "is required",
    "model_type": "it must be a mapping",
    "dict_type": "it must be a mapping",
    "list_type": "it must be a list",
    "string_type": "it must be text",
}


def describe_invalid(error: ValidationError, limit: int = 5) -> str:
    """Field, value and allowed values, for up to `limit` errors of a spec."""
    lines = []
    for item in error.errors(include_url=False)[:limit]:
        # A union such as int-or-string reports one error per branch, with the branch as last part.
        where = _location(tuple(p for p in item["loc"] if p not in ("int", "str")))
        value = item.get("input")
        shown = f" is {str(value)[:60]!r}" if isinstance(value, (str, int, float, bool)) else ""
        message = _PLAIN.get(item["type"]) or item["msg"].removeprefix("Value error, ")
        message = message.replace("Input should be", "it must be", 1)
        separator = " " if message.startswith("is ") and not shown else ": "
        line = f"{where}{shown}{separator}{message}"
        if line not in lines:
            lines.append(line)
    more = error.error_count() - limit
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


# A source's names of the two labels that identify a pod: its namespace's and its own.
USUAL_LABELS = ("namespace", "pod")


def questions(spec: PolicySpec, namespace: str, labels: tuple[str, str]) -> Iterator[tuple[str, Question]]:
    """Every query of the spec, each with its field."""
    for index, signal in enumerate(spec.signals):
        for field_name, query in (("query", signal.query), ("limitQuery", signal.limit_query)):
            if query is not None:
                yield f"spec.signals[{index}].{field_name}", Question(query, namespace, *labels)
    for index, veto in enumerate(spec.vetoes):
        yield f"spec.vetoes[{index}].query", Question(veto.query, namespace, *labels, of_pods=False)


def _confined(
    spec: PolicySpec, namespace: str, labels: tuple[str, str], asks: Callable[[Question], Confined]
) -> tuple[dict[Question, Confined], str]:
    """All queries confined, or the error of the first that cannot be."""
    found: dict[Question, Confined] = {}
    for where, question in questions(spec, namespace, labels):
        try:
            found[question] = asks(question)
        except PromQLError as error:
            return {}, f"{where} is {question.query[:60]!r}: {error}"
    return found, ""


def _readable_actions(status: Any) -> list[ActionStatus]:
    records = status.get("actions") if isinstance(status, dict) else None
    kept = []
    for record in records if isinstance(records, list) else ():
        with contextlib.suppress(ValidationError, RecursionError):
            kept.append(ActionStatus.model_validate(record))
    return kept[:MAX_ACTIONS]


def readable_selector(spec: Any) -> Selector | None:
    """The selector of a spec that cannot be read as a whole."""
    try:
        return Selector.model_validate(spec["selector"])
    except Exception:
        return None


def readable_kinds(spec: Any) -> frozenset[WorkloadKind]:
    """The kinds of a spec that cannot be read as a whole; all where these cannot be read either."""
    try:
        return frozenset(WorkloadKind(kind) for kind in spec.get("workloads", [DEFAULT_KIND]))
    except Exception:
        return frozenset(WorkloadKind)


def parse_policy(
    body: Mapping[str, Any],
    asks: Callable[[Question], Confined] = ask,
    labels: Mapping[str, tuple[str, str]] | None = None,
) -> Policy:
    """A policy object from the API server. Never raises: every fault of it is in `error`.

    `asks` confines its queries; the operator does that in a process of its own. `labels` are each source's names of the
    labels that identify a pod, by the source's name; the usual ones where it is missing.
    """
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    namespace = str(metadata.get("namespace", ""))
    spec: PolicySpec | None = None
    confined: dict[Question, Confined] = {}
    error = ""
    try:
        spec = PolicySpec.model_validate(body.get("spec") or {})
        called = (labels or {}).get(spec.source.prometheus or "", USUAL_LABELS)
        confined, error = _confined(spec, namespace, called, asks)
    except ValidationError as invalid:
        error = describe_invalid(invalid)
    except Exception:
        # A spec that cannot be read must not leave the one before it in force.
        error = "spec cannot be read: it is not of the shape that the schema describes"
    if error:
        spec = None
    try:
        status = PolicyStatus.model_validate(body.get("status") or {})
    except (ValidationError, RecursionError):
        # Another program wrote it, or a much older version did. Cooldowns are computed from its action records, so each
        # readable one is kept.
        status = PolicyStatus(actions=_readable_actions(body.get("status")))
    return Policy(
        namespace=namespace,
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        generation=generation if isinstance(generation := metadata.get("generation"), int) else 0,
        created=parse_time(metadata.get("creationTimestamp")),
        spec=spec,
        error=error,
        status=status,
        confined=confined,
        claims=spec.selector if spec is not None else readable_selector(body.get("spec")),
        kinds=frozenset(spec.workloads) if spec is not None else readable_kinds(body.get("spec")),
    )


def selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Kubernetes' label selector semantics; an empty selector selects nothing here, unlike there."""
    if selector.all:
        return True
    if not selector.match_labels and not selector.match_expressions:
        return False
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    for requirement in selector.match_expressions:
        present = requirement.key in labels
        among = present and labels[requirement.key] in requirement.values
        holds = {
            SelectorOperator.IN: among,
            SelectorOperator.NOT_IN: not among,
            SelectorOperator.EXISTS: present,
            SelectorOperator.DOES_NOT_EXIST: not present,
        }[requirement.operator]
        if not holds:
            return False
    return True
