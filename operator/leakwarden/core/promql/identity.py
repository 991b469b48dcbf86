"""The identity of a result's pod: its labels must come from the scrape, and must still be there.

A query that renames pods would have another one evicted. One that loses the label `pod` can never be the reading of a
pod, so that its signal would be Unknown for good; it is refused with a query to write instead.
"""

from __future__ import annotations

from collections.abc import Set

import promql_parser as parser

from leakwarden.core.promql.text import PromQLError
from leakwarden.core.promql.trees import kind_of

# Aggregations whose result keeps the labels of the series they picked.
_PICKING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_SETS = frozenset({"and", "or", "unless"})


def refuse_written_labels(node: parser.Expr, identity: Set[str]) -> None:
    """Raises PromQLError where the node itself writes one of the labels `identity`."""
    if isinstance(node, parser.Call):
        name = node.func.name
        if name == "info":
            raise PromQLError("info() reads series that cannot be confined to the namespace; join them with group_left")
        if name in ("label_replace", "label_join"):
            _refuse_target(f"{name}()", node.args[1], identity)
    elif isinstance(node, parser.AggregateExpr) and str(node.op) == "count_values":
        _refuse_target("count_values()", node.param, identity)
    elif isinstance(node, parser.BinaryExpr) and node.modifier is not None:
        taken = sorted(identity & frozenset(node.modifier.group_labels or ()))
        if taken:
            left = node.modifier.card == parser.VectorMatchCardinality.ManyToOne
            raise PromQLError(
                f"{'group_left' if left else 'group_right'} ({taken[0]}) takes the label {taken[0]}, which says whose"
                " reading it is, from other series; leave it out of the brackets, and match on it"
            )


def _refuse_target(function: str, target: object, identity: Set[str]) -> None:
    while isinstance(target, parser.ParenExpr):
        target = target.expr
    if isinstance(target, str):  # an aggregation's parameter comes bare
        label: str = target
    elif isinstance(target, parser.StringLiteral):
        label = target.val
    else:
        raise PromQLError(f"{function} must name the label that it writes as a plain string")
    if label in identity:
        raise PromQLError(f"{function} writes the label {label}, which says whose reading it is; write another label")


def why_the_pod_is_lost(node: parser.Expr, pod: str) -> str:
    """Why no series of the result can carry the label `pod`, in one line; empty where some may."""
    if isinstance(node, parser.ParenExpr | parser.UnaryExpr | parser.SubqueryExpr):
        return why_the_pod_is_lost(node.expr, pod)
    if isinstance(node, parser.AggregateExpr):
        return _aggregation(node, pod)
    if isinstance(node, parser.Call):
        return _call(node, pod)
    if isinstance(node, parser.BinaryExpr):
        return _binary(node, pod)
    return ""


def _aggregation(node: parser.AggregateExpr, pod: str) -> str:
    op, modifier = str(node.op), node.modifier
    if op not in _PICKING:
        listed = modifier is not None and pod in modifier.labels
        excluding = modifier is not None and modifier.type == parser.AggModifierType.Without
        if listed == excluding:  # `by` without it, `without` with it, or neither
            kept = "" if modifier is None or excluding else "".join(f", {each}" for each in modifier.labels[:4])
            return f"{op}(...) drops the label {pod}; write {op} by ({pod}{kept}) (...)"
    return why_the_pod_is_lost(node.expr, pod)


def _call(node: parser.Call, pod: str) -> str:
    name = node.func.name
    vectors = [each for each in node.args if kind_of(each) in ("vector", "range")]
    if name == "vector" or not vectors:
        return f"{name}() yields a value without the label {pod}"
    if name in ("absent", "absent_over_time"):
        return _absent(name, vectors[0], pod)
    return why_the_pod_is_lost(vectors[0], pod)


def _absent(name: str, node: parser.Expr, pod: str) -> str:
    """Their result carries the labels that are asked for by equality, and no others."""
    while isinstance(node, parser.ParenExpr):
        node = node.expr
    selector = node.vector_selector if isinstance(node, parser.MatrixSelector) else node
    if isinstance(selector, parser.VectorSelector) and any(
        each.name == pod and each.op == parser.MatchOp.Equal for each in selector.matchers.matchers
    ):
        return ""
    return f"{name}() yields a value without the label {pod}, unless a matcher names the pod"


def _binary(node: parser.BinaryExpr, pod: str) -> str:
    vectors = [each for each in (node.lhs, node.rhs) if kind_of(each) == "vector"]
    lost = [why_the_pod_is_lost(each, pod) for each in vectors]
    if len(vectors) < 2:
        return lost[0] if lost else ""
    op, modifier = str(node.op), node.modifier
    if op == "or":
        return lost[0] if all(lost) else ""
    labels = modifier.matching if modifier is not None else None
    named = labels is not None and pod in labels.labels
    on = labels is not None and labels.type == parser.LabelModifierType.Include
    compared = named if on else not named  # whether the two sides must agree on the pod
    if compared and any(lost):
        return next(why for why in lost if why)
    if op in _SETS:
        return lost[0]
    many = modifier.card if modifier is not None else parser.VectorMatchCardinality.OneToOne
    if many == parser.VectorMatchCardinality.ManyToOne:
        return lost[0]
    if many == parser.VectorMatchCardinality.OneToMany:
        return lost[1]
    if compared:
        return ""
    how = f"on ({', '.join(labels.labels)})" if on and labels is not None else f"ignoring ({pod})"
    return f"{op} {how} drops the label {pod}; match on ({pod}), or say group_left"
