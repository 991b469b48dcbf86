"""Users' PromQL, confined to one namespace, and the label matchers we write ourselves.

A query is parsed, never concatenated: every selector gets our matcher, the result is written out from the
parsed tree (what is sent is what was understood), parsed once more and checked. Whatever cannot be
confined, or cannot be the reading of a pod, is refused with one line.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import timedelta

import promql_parser as parser

MAX_LENGTH = 2048  # as in the policy's schema
# Writing a tree out takes time quadratic in its depth: 0.5 s at 500 levels, minutes at 2,000.
MAX_DEPTH = 64
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
# Pairs, not a dict: the parser's enums cannot be hashed.
_OPERATORS = (
    (parser.MatchOp.Equal, "="),
    (parser.MatchOp.NotEqual, "!="),
    (parser.MatchOp.Re, "=~"),
    (parser.MatchOp.NotRe, "!~"),
)
_TYPES = (
    (parser.ValueType.Vector, "vector"),
    (parser.ValueType.Scalar, "scalar"),
    (parser.ValueType.Matrix, "range"),
    (parser.ValueType.String, "string"),
)
# Aggregations whose result keeps the labels of the series they picked.
_PICKING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})


class PromQLError(ValueError):
    """The query is not one we would run; the message is one line for the policy's author."""


def matcher(label: str, op: str, value: str) -> str:
    """One label matcher with its value quoted, such as `pod=~"a|b"`.

    Raises ValueError for a label name or operator that PromQL does not have. Values for `=~` and `!~`
    are regular expressions: put literal text through `literal_regex` first.
    """
    if _NAME.fullmatch(label) is None or op not in ("=", "!=", "=~", "!~"):
        raise ValueError(f"{label!r} {op!r} is not a label and an operator of PromQL")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{label}{op}"{escaped}"'


def literal_regex(text: str) -> str:
    """`text` as a regular expression (RE2) that matches exactly it."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def confine(
    query: str, namespace: str, *, namespace_label: str = "namespace", pod_label: str = "pod", of_pods: bool = True
) -> str:
    """`query` with `namespace="..."` in every selector; a matcher of its own on that label must hold too.

    Raises PromQLError, and nothing else, for what does not parse, does not yield a vector, reads no
    series, looks at a fixed or a future time, writes the labels that say whose reading it is, or
    plainly has no pod label. A result may still turn out to lack it (`absent()`); the source says so then.
    Without `of_pods` the result may be about anything, and needs no pod label.
    """
    if len(query) > MAX_LENGTH:
        raise PromQLError(f"the query has {len(query)} characters; at most {MAX_LENGTH} are allowed")
    answer = _confined(query, namespace, namespace_label, pod_label, of_pods)
    if isinstance(answer, PromQLError):
        raise answer.with_traceback(None)
    return answer


@functools.lru_cache(maxsize=2048)
def _confined(query: str, namespace: str, namespace_label: str, pod_label: str, of_pods: bool) -> str | PromQLError:
    """Refusals are remembered too: a policy is read again at each of its events, and the nastiest query that fits
    takes the parser's printer seconds."""
    try:
        return _confine(query, namespace, namespace_label, pod_label, of_pods)
    except PromQLError as error:
        return error


def _confine(query: str, namespace: str, namespace_label: str, pod_label: str, of_pods: bool) -> str:
    tree = _parse(query)
    nodes = list(_nodes(tree))
    kind = _type(tree)
    if kind != "vector":
        each = " with one series a pod" if of_pods else ""
        raise PromQLError(f"the query yields a {kind}; it must yield a vector{each}")
    if not any(isinstance(node, parser.VectorSelector) for node in nodes):
        raise PromQLError("the query reads no series; it must select at least one metric")
    for node in nodes:
        _refuse_other_times(node)
        _refuse_written_labels(node, {namespace_label, pod_label})
    if of_pods:
        _refuse_lost_pod(tree, pod_label)
    ours = parser.Matcher(parser.MatchOp.Equal, namespace_label, namespace)
    confined = _written(tree, ours)
    for node in _nodes(_parse(confined)):
        if isinstance(node, parser.VectorSelector) and not _carries(node, ours):
            raise PromQLError(f"the selector {_shown(node)} could not be confined to the namespace")
    return confined


def _parse(query: str) -> parser.Expr:
    try:
        return parser.parse(query)
    except ValueError as error:
        raise PromQLError(f"the query does not parse: {_one_line(str(error))}") from None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a panic inside the parser is no Exception, and must not stop a tick
        raise PromQLError("the query does not parse: the parser gave up on it") from None


def _nodes(tree: parser.Expr) -> Iterator[parser.Expr]:
    """Every node, parents first. Raises PromQLError beyond MAX_DEPTH."""
    found: list[parser.Expr] = []
    depth = 0

    def enter(node: parser.Expr) -> bool:
        nonlocal depth
        depth += 1
        found.append(node)
        return depth <= MAX_DEPTH

    def leave(_: parser.Expr) -> None:
        nonlocal depth
        depth -= 1

    parser.walk(tree, enter, leave)
    if depth > MAX_DEPTH:
        raise PromQLError(f"the query is nested more than {MAX_DEPTH} levels deep")
    return iter(found)


def _type(node: parser.Expr) -> str:
    if isinstance(node, parser.ParenExpr | parser.UnaryExpr):
        return _type(node.expr)
    if isinstance(node, parser.Call):
        return next(name for kind, name in _TYPES if kind == node.func.return_type)
    if isinstance(node, parser.BinaryExpr):
        return "vector" if "vector" in (_type(node.lhs), _type(node.rhs)) else "scalar"
    if isinstance(node, parser.NumberLiteral):
        return "scalar"
    if isinstance(node, parser.StringLiteral):
        return "string"
    if isinstance(node, parser.MatrixSelector | parser.SubqueryExpr):
        return "range"
    return "vector"


def _refuse_other_times(node: parser.Expr) -> None:
    if not isinstance(node, parser.VectorSelector | parser.SubqueryExpr):
        return
    shown = _shown(node) if isinstance(node, parser.VectorSelector) else "the subquery"
    if node.at is not None:
        raise PromQLError(f"{shown} has an @ modifier; a reading must be of the present time")
    if node.offset is not None and node.offset < timedelta(0):
        raise PromQLError(f"{shown} has a negative offset; a reading cannot look into the future")


def _refuse_written_labels(node: parser.Expr, identity: set[str]) -> None:
    """Whose reading it is comes from what was scraped; a query that renames pods would have another one evicted."""
    if isinstance(node, parser.Call):
        name = node.func.name
        if name == "info":
            raise PromQLError("info() reads series that cannot be confined to the namespace; join them with group_left")
        if name in ("label_replace", "label_join"):
            _refuse_target(f"{name}()", node.args[1], identity)
    elif isinstance(node, parser.AggregateExpr) and str(node.op) == "count_values":
        _refuse_target("count_values()", node.param, identity)


def _refuse_target(function: str, target: object, identity: set[str]) -> None:
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


def _refuse_lost_pod(tree: parser.Expr, pod_label: str) -> None:
    while isinstance(tree, parser.ParenExpr | parser.UnaryExpr):
        tree = tree.expr
    if not isinstance(tree, parser.AggregateExpr) or str(tree.op) in _PICKING:
        return
    op, modifier = str(tree.op), tree.modifier
    listed = modifier is not None and pod_label in modifier.labels
    excluding = modifier is not None and modifier.type == parser.AggModifierType.Without
    if listed == excluding:  # `by` without it, `without` with it, or neither
        raise PromQLError(f"{op}(...) drops the label {pod_label}; write {op} by ({pod_label}) (...)")


def _written(tree: parser.Expr, ours: parser.Matcher) -> str:
    """The query, with `ours` in each selector.

    Changing a selector in place does not change how its parent is written out, so each is replaced by
    a newly parsed one.
    """
    refused: list[PromQLError] = []

    def replace(node: parser.Expr) -> parser.Expr | None:
        if not isinstance(node, parser.VectorSelector):
            return None
        try:
            return _parse(_selector(node, ours))
        except PromQLError as error:  # raised through the parser it would arrive as something else
            refused.append(error)
            return None

    changed = parser.transform(tree, replace)
    if refused:
        raise refused[0]
    return str(changed.prettify())


def _selector(node: parser.VectorSelector, ours: parser.Matcher) -> str:
    if node.matchers.or_matchers:
        raise PromQLError(
            f"the selector {_shown(node)} joins label matchers with or; write one selector each, joined with or"
        )
    name = node.name or ""
    if name and _METRIC.fullmatch(name) is None:
        raise PromQLError(f"the metric name {_one_line(name)!r} is not one that can be written without quotes")
    matchers = [_matcher(each) for each in [*node.matchers.matchers, ours]]
    offset = f" offset {round(node.offset / timedelta(milliseconds=1))}ms" if node.offset else ""
    return f"{name}{{{','.join(matchers)}}}{offset}"


def _matcher(item: parser.Matcher) -> str:
    try:
        return matcher(item.name, next(text for op, text in _OPERATORS if op == item.op), item.value)
    except ValueError:
        raise PromQLError(f"the label name {_one_line(item.name)!r} is not one that can be used here") from None


def _carries(node: parser.VectorSelector, ours: parser.Matcher) -> bool:
    return not node.matchers.or_matchers and any(
        (m.op, m.name, m.value) == (ours.op, ours.name, ours.value) for m in node.matchers.matchers
    )


def _shown(node: parser.VectorSelector) -> str:
    return node.name or "{...}"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
