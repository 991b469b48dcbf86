"""Parsed queries: safe parsing, and the type of a node's result."""

from __future__ import annotations

import promql_parser as parser

from leakwarden.core.promql.text import PromQLError, one_line, plain

COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
# Pairs, not a dict: the parser's enums cannot be hashed.
_TYPES = (
    (parser.ValueType.Vector, "vector"),
    (parser.ValueType.Scalar, "scalar"),
    (parser.ValueType.Matrix, "range"),
    (parser.ValueType.String, "string"),
)


def parse(query: str) -> parser.Expr:
    """The tree of a user's query. Raises PromQLError for one that is too large, before it is parsed, or does not parse."""
    return parse_plain(plain(query))


def parse_plain(query: str) -> parser.Expr:
    """The tree of a text from `plain`, or of our own query. Raises PromQLError."""
    try:
        return parser.parse(query)
    except ValueError as error:
        raise PromQLError(f"the query does not parse: {one_line(str(error))}") from None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a panic inside the parser is not an Exception, and must not stop a tick
        raise PromQLError("the query does not parse: the parser gave up on it") from None


def kind_of(node: parser.Expr) -> str:
    """The type of the node's result: `vector`, `scalar`, `range` or `string`."""
    if isinstance(node, parser.ParenExpr | parser.UnaryExpr):
        return kind_of(node.expr)
    if isinstance(node, parser.Call):
        return next(name for kind, name in _TYPES if kind == node.func.return_type)
    if isinstance(node, parser.BinaryExpr):
        return "vector" if "vector" in (kind_of(node.lhs), kind_of(node.rhs)) else "scalar"
    if isinstance(node, parser.NumberLiteral):
        return "scalar"
    if isinstance(node, parser.StringLiteral):
        return "string"
    if isinstance(node, parser.MatrixSelector | parser.SubqueryExpr):
        return "range"
    return "vector"


def shown(node: parser.VectorSelector) -> str:
    return node.name or "{...}"
