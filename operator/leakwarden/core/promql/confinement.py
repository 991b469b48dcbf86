"""Users' PromQL, confined to one namespace.

A query is parsed, never concatenated: every selector gets our matcher, the result is written out from the parsed tree
(so exactly the parsed query is sent), parsed once more and checked. A query that cannot be confined, or cannot be the
reading of a pod, is refused with one line. A query that is too large to be parsed is refused before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import promql_parser as parser

from leakwarden.core.promql.identity import refuse_written_labels, why_the_pod_is_lost
from leakwarden.core.promql.matchers import matcher
from leakwarden.core.promql.objections import why_it_never_objects
from leakwarden.core.promql.text import MAX_NESTING, PromQLError, one_line
from leakwarden.core.promql.trees import kind_of, parse, parse_plain, shown

# Writing a tree out takes time quadratic in its depth: 0.5 s at 500 levels, minutes at 2,000. One more than the levels
# counted before parsing: the leaf.
MAX_DEPTH = MAX_NESTING + 1
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
# Pairs, not a dict: the parser's enums cannot be hashed.
_OPERATORS = (
    (parser.MatchOp.Equal, "="),
    (parser.MatchOp.NotEqual, "!="),
    (parser.MatchOp.Re, "=~"),
    (parser.MatchOp.NotRe, "!~"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A user's query and how it is to be confined. Without `of_pods` the result may be about anything."""

    query: str
    namespace: str
    namespace_label: str = "namespace"
    pod_label: str = "pod"
    of_pods: bool = True


@dataclass(frozen=True, slots=True)
class Confined:
    """`query` is the text that may be sent. `never_objects` is why a veto could never object, in one line, or empty;
    for queries about pods it is always empty."""

    query: str
    never_objects: str = ""


def ask(question: Question) -> Confined:
    """The confined query. Raises PromQLError, and nothing else."""
    confined = confine(
        question.query,
        question.namespace,
        namespace_label=question.namespace_label,
        pod_label=question.pod_label,
        of_pods=question.of_pods,
    )
    if question.of_pods:
        return Confined(confined)
    return Confined(confined, why_it_never_objects(question.query, question.namespace, question.namespace_label))


def confine(
    query: str, namespace: str, *, namespace_label: str = "namespace", pod_label: str = "pod", of_pods: bool = True
) -> str:
    """`query` with `namespace="..."` in every selector; a matcher of its own on that label must hold too.

    Raises PromQLError, and nothing else, for what is too large, does not parse, does not yield a vector, reads no
    series, looks at a fixed or a future time, writes the labels that identify the pod, or clearly has no pod label.
    Without `of_pods` the result may be about anything, and needs no pod label.
    """
    try:
        return _confine(query, namespace, namespace_label, pod_label, of_pods)
    except PromQLError as error:
        raise error.with_traceback(None) from None
    except (ValueError, OverflowError, RecursionError) as error:
        # Such as an offset of a million years, which the parser takes and no calendar holds.
        raise PromQLError(f"the query cannot be read: {one_line(str(error))}") from None


def narrowed(query: str, matchers: Mapping[str, str]) -> str:
    """A query that was confined or is ours, with matchers of these labels added to every selector.

    Raises PromQLError for what does not parse, or a label that PromQL does not have.
    """
    for label, value in matchers.items():
        query = _written(parse_plain(query), parser.Matcher(parser.MatchOp.Equal, label, value))
    return query


def _confine(query: str, namespace: str, namespace_label: str, pod_label: str, of_pods: bool) -> str:
    tree = parse(query)
    nodes = list(_nodes(tree))
    kind = kind_of(tree)
    if kind != "vector":
        each = " with one series a pod" if of_pods else ""
        raise PromQLError(f"the query yields a {kind}; it must yield a vector{each}")
    if not any(isinstance(node, parser.VectorSelector) for node in nodes):
        raise PromQLError("the query reads no series; it must select at least one metric")
    for node in nodes:
        _refuse_other_times(node)
        refuse_written_labels(node, {namespace_label, pod_label} if of_pods else frozenset())
    if of_pods and (lost := why_the_pod_is_lost(tree, pod_label)):
        raise PromQLError(lost)
    ours = parser.Matcher(parser.MatchOp.Equal, namespace_label, namespace)
    confined = _written(tree, ours)
    for node in _nodes(parse_plain(confined)):
        if isinstance(node, parser.VectorSelector) and not _carries(node, ours):
            raise PromQLError(f"the selector {shown(node)} could not be confined to the namespace")
    return confined


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


def _refuse_other_times(node: parser.Expr) -> None:
    if not isinstance(node, parser.VectorSelector | parser.SubqueryExpr):
        return
    what = shown(node) if isinstance(node, parser.VectorSelector) else "the subquery"
    if node.at is not None:
        raise PromQLError(f"{what} has an @ modifier; a reading must be of the present time")
    if node.offset is not None and node.offset < timedelta(0):
        raise PromQLError(f"{what} has a negative offset; a reading cannot look into the future")


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
            return parse_plain(_selector(node, ours))
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
            f"the selector {shown(node)} joins label matchers with or; write one selector each, joined with or"
        )
    name = node.name or ""
    if name and _METRIC.fullmatch(name) is None:
        raise PromQLError(f"the metric name {one_line(name)!r} is not one that can be written without quotes")
    matchers = [_matcher(each) for each in [*node.matchers.matchers, ours]]
    offset = f" offset {round(node.offset / timedelta(milliseconds=1))}ms" if node.offset else ""
    return f"{name}{{{','.join(matchers)}}}{offset}"


def _matcher(item: parser.Matcher) -> str:
    try:
        return matcher(item.name, next(text for op, text in _OPERATORS if op == item.op), item.value)
    except PromQLError:
        raise PromQLError(f"the label name {one_line(item.name)!r} is not one that can be used here") from None


def _carries(node: parser.VectorSelector, ours: parser.Matcher) -> bool:
    return not node.matchers.or_matchers and any(
        (m.op, m.name, m.value) == (ours.op, ours.name, ours.value) for m in node.matchers.matchers
    )
