"""Whether a confined veto could ever object: a query whose answer is always empty or zero protects nothing.

Each node of the tree is one of three: its result is always empty, it is empty or holds only zeros, or it may hold
anything. An undecided node counts as the last, so that there is no complaint about a veto that may work.
"""

from __future__ import annotations

from enum import IntEnum

import promql_parser as parser
import re2

from leakwarden.core.promql.trees import COMPARISONS, kind_of, parse, shown

# Functions of one vector that turn zeros into zeros.
_KEEPS_ZERO = frozenset(
    {"abs", "ceil", "floor", "round", "sqrt", "sgn", "sort", "sort_desc", "label_replace", "label_join", "sum_over_time",
     "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "rate", "irate", "increase", "delta", "idelta"}
)  # fmt: skip
_COUNTS = frozenset({"count", "group", "count_values"})
# Series about the cluster and its nodes: their namespace label is that of the exporter, not of their subject.
_OF_THE_CLUSTER = ("kube_node_", "kube_persistentvolume_", "kube_namespace_", "node_", "etcd_", "machine_")


class _Holds(IntEnum):
    NOTHING = 0
    ZEROS = 1
    ANYTHING = 2


def why_it_never_objects(query: str, namespace: str, namespace_label: str = "namespace") -> str:
    """In one line; empty where the veto may object. `query` is one that `confine` accepts; raises PromQLError else."""
    reasons: list[str] = []
    held = _held(parse(query), (namespace_label, namespace), reasons)
    if held is _Holds.ANYTHING:
        return ""
    if held is _Holds.ZEROS:
        return (
            "its answer is empty or zero whatever the cluster is like, and neither objects; compare with bool, or count"
        )
    return reasons[0] if reasons else "its answer is always empty"


def _held(node: parser.Expr, ours: tuple[str, str], reasons: list[str]) -> _Holds:
    if isinstance(node, parser.VectorSelector):
        return _selector(node, ours, reasons)
    if isinstance(node, parser.MatrixSelector):
        return _selector(node.vector_selector, ours, reasons)
    if isinstance(node, parser.ParenExpr | parser.UnaryExpr | parser.SubqueryExpr):
        return _held(node.expr, ours, reasons)
    if isinstance(node, parser.NumberLiteral):
        return _Holds.ZEROS if node.val == 0 else _Holds.ANYTHING
    if isinstance(node, parser.AggregateExpr):
        inner = _held(node.expr, ours, reasons)
        return _Holds.ANYTHING if inner is _Holds.ZEROS and str(node.op) in _COUNTS else inner
    if isinstance(node, parser.Call):
        return _call(node, ours, reasons)
    if isinstance(node, parser.BinaryExpr):
        return _binary(node, ours, reasons)
    return _Holds.ANYTHING


def _call(node: parser.Call, ours: tuple[str, str], reasons: list[str]) -> _Holds:
    name = node.func.name
    if name in ("absent", "absent_over_time", "scalar"):
        return _Holds.ANYTHING  # these have an answer where there is nothing
    if name == "vector":
        return _held(node.args[0], ours, reasons)
    vectors = [_held(each, ours, reasons) for each in node.args if kind_of(each) in ("vector", "range")]
    if _Holds.NOTHING in vectors:
        return _Holds.NOTHING
    return _Holds.ZEROS if vectors == [_Holds.ZEROS] and name in _KEEPS_ZERO else _Holds.ANYTHING


def _binary(node: parser.BinaryExpr, ours: tuple[str, str], reasons: list[str]) -> _Holds:
    op = str(node.op)
    left, right = _held(node.lhs, ours, reasons), _held(node.rhs, ours, reasons)
    if op == "or":
        return max(left, right)
    if op == "unless":
        return left
    vectors = [held for held, side in ((left, node.lhs), (right, node.rhs)) if kind_of(side) == "vector"]
    if _Holds.NOTHING in vectors:
        return _Holds.NOTHING
    if op == "and":
        return left
    filters = op in COMPARISONS and not (node.modifier is not None and node.modifier.return_bool)
    if filters:
        # A series that passes keeps its own value; one that equals zero is zero.
        kept = left if kind_of(node.lhs) == "vector" else right
        return (
            _Holds.ZEROS if kept is _Holds.ZEROS or (op == "==" and _Holds.ZEROS in (left, right)) else _Holds.ANYTHING
        )
    both = left is _Holds.ZEROS and right is _Holds.ZEROS
    return _Holds.ZEROS if op in ("+", "-") and both else _Holds.ANYTHING


def _selector(node: parser.VectorSelector, ours: tuple[str, str], reasons: list[str]) -> _Holds:
    label, namespace = ours
    for each in node.matchers.matchers:
        if each.name == label and not _admits(each, namespace):
            reasons.append(
                f"{shown(node)} asks for another {label} than {namespace}, to which every query of the policy is confined"
            )
            return _Holds.NOTHING
    name = node.name or ""
    if name.startswith(_OF_THE_CLUSTER):
        reasons.append(
            f"{name} is about the cluster, and carries the namespace of its exporter; confined to {namespace} it is empty"
        )
        return _Holds.NOTHING
    return _Holds.ANYTHING


def _admits(item: parser.Matcher, value: str) -> bool:
    if item.op == parser.MatchOp.Equal:
        return bool(item.value == value)
    if item.op == parser.MatchOp.NotEqual:
        return bool(item.value != value)
    try:
        matches = re2.fullmatch(item.value, value) is not None
    except re2.error:
        return True  # not known
    return matches is (item.op == parser.MatchOp.Re)
