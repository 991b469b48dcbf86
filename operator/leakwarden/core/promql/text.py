"""The size of a query without parsing it: its length, operators, brackets and matchers, counted in linear time.

The parser's time and memory grow with the square of a tree's depth, and each regular expression of a matcher is
compiled: `a+a+...` of 256 terms took 530 MiB, sixty matchers `=~"\\w{99}"` 690 MiB (promql-parser 0.12). Both fit into the
length that the schema allows, so both are refused here, before anything is parsed.
"""

from __future__ import annotations

import re

MAX_LENGTH = 2048  # characters, as in the policy's schema
# Operators, and brackets inside each other: each may be one more level of the tree.
MAX_NESTING = 64
MAX_BRACKETS = 128  # opened in the whole query
MAX_MATCHERS = 64  # label matchers of all selectors together
MAX_REGEXES = 12  # of them with =~ or !~; one may take the parser 6 MiB and 50 ms

_TOKEN = re.compile(
    r"""
      (?P<comment> \#[^\n]* )
    | (?P<quoted>  "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' )
    | (?P<raw>     `[^`]*` )
    | (?P<number>  0[xX][0-9a-fA-F_]+ | (?:[0-9][0-9_]*(?:\.[0-9_]*)? | \.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)? )
    | (?P<name>    [A-Za-z_:][A-Za-z0-9_:]* )
    | (?P<operator> =~ | !~ | == | != | <= | >= | [-+*/%^<>=] )
    | (?P<open>    [({\[] )
    | (?P<close>   [)}\]] )
    | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)
_WORDS = frozenset({"and", "or", "unless", "atan2"})  # operators that are written as words
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9a-fA-F])_(?=[0-9a-fA-F])")


class PromQLError(ValueError):
    """The query is not one we would run; the message is one line for the policy's author."""


def plain(query: str) -> str:
    """The query in the words that the parser knows: without comments, with strings in backticks as quoted ones (they are
    raw in PromQL: a backslash is a backslash), and with numbers such as `10_000` without their underscores.

    Raises PromQLError for a query that is too large to be parsed.
    """
    if len(query) > MAX_LENGTH:
        raise PromQLError(f"the query has {len(query)} characters; at most {MAX_LENGTH} are allowed")
    written: list[str] = []
    operators = brackets = nested = deepest = matchers = regexes = 0
    inside: list[str] = []
    for token in _TOKEN.finditer(query):
        kind, text = token.lastgroup, token[0]
        if kind == "comment":
            text = " "
        elif kind == "raw":
            text = _quoted(text[1:-1])
        elif kind == "number":
            text = _BETWEEN_DIGITS.sub("", text)
        elif kind == "operator" and inside and inside[-1] == "{":
            matchers += 1
            regexes += text.endswith("~")
        elif kind == "operator" or (kind == "name" and text.lower() in _WORDS):
            operators += 1
        elif kind == "open":
            brackets += 1
            inside.append(text)
            nested = len(inside)
            deepest = max(deepest, nested)
        elif kind == "close" and inside:
            inside.pop()
        written.append(text)
    _refuse_large(operators, brackets, deepest, matchers, regexes)
    return "".join(written)


def _refuse_large(operators: int, brackets: int, deepest: int, matchers: int, regexes: int) -> None:
    if operators + deepest > MAX_NESTING:
        raise PromQLError(
            f"the query has {operators} operators and brackets {deepest} deep; it may be at most"
            f" {MAX_NESTING} levels deep, where each of them counts as one; write it as several signals, or record it"
            " by a rule of Prometheus"
        )
    for count, what, allowed in (
        (brackets, "brackets", MAX_BRACKETS),
        (matchers, "label matchers", MAX_MATCHERS),
        (regexes, "matchers with a regular expression (=~ or !~)", MAX_REGEXES),
    ):
        if count > allowed:
            raise PromQLError(f"the query has {count} {what}; at most {allowed} are allowed")


def _quoted(raw: str) -> str:
    # As Go reads a raw string: carriage returns are left out, every other character stays as it is.
    escaped = raw.replace("\r", "").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def one_line(text: str) -> str:
    """`text` on one line, at most 200 characters of it."""
    return " ".join(text.split())[:200]
