"""`ClusterReliabilityPolicy`: what a platform team writes for many namespaces at once.

Its spec is that of a ReliabilityPolicy, and the namespaces in which it holds. What it may do in a namespace is bounded
by a label of the namespace, and a policy of the namespace's own comes before it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from leakwarden.api.names import ENFORCE_ALLOWED, ENFORCE_LABEL
from leakwarden.api.v1alpha1.policy import LabelKey, LabelText, Mode, PolicySpec, Selector, SelectorRequirement
from leakwarden.api.v1alpha1.schema import Rule, ruled

MAX_NAMES = 256
NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class NamespaceSelector(Selector):
    """Which namespaces the policy holds in. Never empty: nothing is selected by omission."""

    RULES = (
        Rule(
            "(has(self.names) && size(self.names) > 0) || (has(self.matchLabels) && size(self.matchLabels) > 0)"
            " || (has(self.matchExpressions) && size(self.matchExpressions) > 0) || (has(self.all) && self.all)",
            "namespaces must have at least one entry in names, matchLabels or matchExpressions, or all: true;"
            " an empty selector would mean every namespace",
            lambda self: bool(self.names or self.match_labels or self.match_expressions or self.all),
            lambda _: "is empty; give at least one entry in names, matchLabels or matchExpressions, or all: true",
        ),
        Rule(
            "((has(self.names) && size(self.names) > 0) ? 1 : 0) + ((has(self.all) && self.all) ? 1 : 0)"
            " + (((has(self.matchLabels) && size(self.matchLabels) > 0)"
            " || (has(self.matchExpressions) && size(self.matchExpressions) > 0)) ? 1 : 0) <= 1",
            "namespaces has more than one of names, conditions on labels, and all: true; give one of them",
            lambda self: (
                sum((bool(self.names), bool(self.all), bool(self.match_labels or self.match_expressions))) <= 1
            ),
        ),
    )
    model_config = ruled(RULES)

    match_labels: dict[LabelKey, LabelText] = Field(
        default_factory=dict,
        max_length=32,
        description="Labels that a namespace must carry, all of them.",
    )
    match_expressions: list[SelectorRequirement] = Field(
        default_factory=list,
        max_length=32,
        description="Further conditions on a namespace's labels, all of which must hold.",
    )
    names: list[NamespaceName] = Field(
        default_factory=list,
        max_length=MAX_NAMES,
        description="Namespaces by name, at most 256; then without conditions on labels.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    all: bool = Field(
        default=False,
        description="true: every namespace of the cluster, the system's own among them; then without names and without"
        " conditions on labels. HAZARD: namespaces that are made later are selected as well. Default false.",
    )


class ClusterPolicySpec(PolicySpec):
    """What is watched in many namespaces, how it is judged and what may be done."""

    namespaces: NamespaceSelector = Field(
        description="In which namespaces the policy holds. A workload that a ReliabilityPolicy of its own namespace selects"
        " is that one's alone. Required."
    )
    selector: Selector = Field(
        description="Which workloads of each of these namespaces are the policy's targets. Required."
    )
    mode: Mode = Field(
        default=Mode.OBSERVE,
        description="Observe: nothing is ever changed; what would have been done is reported. Enforce: the remediation is"
        f" carried out within its guards, but only in namespaces with the label {ENFORCE_LABEL}: {ENFORCE_ALLOWED}; in all"
        " others the policy observes, and status.namespaces says so. Default Observe.",
    )
