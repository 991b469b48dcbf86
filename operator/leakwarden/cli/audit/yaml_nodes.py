"""YAML and JSON as kubectl reads them, in time linear in the text.

libyaml composes the nodes. Their values are made here, because PyYAML's own constructor reads dates and sexagesimal
numbers that Kubernetes' reader does not, fails on unknown tags, and expands aliases without a bound.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

try:
    from yaml import cyaml

    FAST = True
except ImportError:  # PyYAML without libyaml: ten times slower, and the same in everything else
    FAST = False

MAX_NODES = 2_000_000  # after aliases are expanded; the API server's own limit is far below
# Below this length a text cannot nest deeply enough to overflow the C stack: libyaml's composer was measured to pass
# 20,000 levels and to crash at 200,000.
SHALLOW = 5000

_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)
_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
# The possible first characters of a plain scalar that is not text.
_FIRST = frozenset("0123456789+-.~yYnNtTfFoO")
_COLLECTIONS = frozenset({"map", "seq", "omap", "set", "pairs"})
_CORE = "tag:yaml.org,2002:"
_INDICATOR = re.compile(r"[-?:](?=\s|$)")
_PLAIN = ""  # the tag of a scalar whose type depends on its value


class _Tags:
    """The composer's tags of nodes without one: the decision is left to `_Values`."""

    def resolve(self, kind: type, _value: str | None, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else f"{_CORE}str"
        return f"{_CORE}map" if kind is yaml.MappingNode else f"{_CORE}seq"

    def descend_resolver(self, _parent: Any, _index: Any) -> None: ...
    def ascend_resolver(self) -> None: ...


if FAST:

    class _FastComposer(cyaml.CParser, _Tags):  # type: ignore[name-defined,misc]
        def __init__(self, text: str) -> None:
            cyaml.CParser.__init__(self, text)  # type: ignore[attr-defined]


class _SlowComposer(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer, _Tags):
    """In Python: for text with nesting so deep that it would overflow the C stack, where this composer raises
    RecursionError."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        yaml.composer.Composer.__init__(self)

    resolve = _Tags.resolve
    descend_resolver = _Tags.descend_resolver
    ascend_resolver = _Tags.ascend_resolver


@dataclass(slots=True)
class Loaded:
    """One document of a text."""

    line: int  # the number of lines before it
    value: Any
    twice: list[tuple[str, int]] = field(default_factory=list)  # keys that are written twice, with their line


def load(text: str) -> Iterator[Loaded]:
    """The documents of a text. Raises yaml.YAMLError, ValueError or RecursionError."""
    if text.lstrip().startswith("{"):
        try:
            values = list(_json(text))
        except (json.JSONDecodeError, RecursionError):
            pass  # may still be YAML in flow style, and then YAML's error is the one to show
        else:
            yield from values
            return
    for node in nodes(text):
        if "&" in text and _expanded(node, {}) > MAX_NODES:
            raise ValueError("its aliases expand to more than the API server would ever accept")
        values_ = _Values()
        value = values_.of(node)
        yield Loaded(node.start_mark.line, value, values_.twice)


def nodes(text: str) -> Iterator[yaml.Node]:
    """The root nodes of the text's documents."""
    composer = _composer(text)
    try:
        while composer.check_node():
            node = composer.get_node()
            if node is None:
                return
            yield node
    finally:
        composer.dispose()


def _composer(text: str) -> Any:
    if not FAST:
        return _SlowComposer(text)
    if len(text) >= SHALLOW:
        # Each level needs an opening bracket, a column of indentation or an indicator in its line.
        deepest = max(len(line) - len(line.lstrip(" ")) + len(_INDICATOR.findall(line)) for line in text.split("\n"))
        if text.count("[") + text.count("{") + 2 * deepest >= SHALLOW:
            return _SlowComposer(text)
    return _FastComposer(text)


def _json(text: str) -> Iterator[Loaded]:
    """One JSON value after another, as kubectl reads a stream of them."""
    decoder = json.JSONDecoder(parse_float=_whole, parse_constant=_refuse)
    position = _after_space(text, 0)
    while position < len(text):
        value, end = decoder.raw_decode(text, position)
        yield Loaded(text.count("\n", 0, position), value)
        position = _after_space(text, end)


_SPACE = re.compile(r"[ \t\r\n]*")


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _refuse(constant: str) -> float:
    raise json.JSONDecodeError(f"{constant} is not JSON", constant, 0)


def _whole(text: str) -> int | float:
    """3.0 and 1e1 are whole numbers to Kubernetes, since JSON has one kind of number."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


class _Values:
    """The values of one document's nodes."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        self.twice: list[tuple[str, int]] = []

    def of(self, node: yaml.Node) -> Any:
        if type(node) is yaml.ScalarNode:
            return self._scalar(node)
        made = self._made.get(id(node))
        if made is None:
            if node.tag.startswith(_CORE) and node.tag[len(_CORE) :] not in _COLLECTIONS:
                raise _refused(f"the tag !!{node.tag[len(_CORE) :][:60]} is not known", node)
            made = self._mapping(node) if type(node) is yaml.MappingNode else self._sequence(node)
            self._made[id(node)] = made
        return made

    def _sequence(self, node: Any) -> list[Any]:
        return [self.of(child) for child in node.value]

    def _mapping(self, node: Any) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag is _PLAIN and key_node.value == "<<":
                merged.append(value_node)
                continue
            key = self.of(key_node)
            if isinstance(key, list | dict):
                raise _refused("a list or mapping as a key", key_node)
            if key in made:
                self.twice.append((str(key)[:60], key_node.start_mark.line + 1))
            made[key] = self.of(value_node)
        for each in merged:
            sources = each.value if isinstance(each, yaml.SequenceNode) else [each]
            for source in sources:
                values = self.of(source)
                if not isinstance(values, dict):
                    raise _refused("a merge key (<<) that merges no mapping", each)
                made = {**values, **made}
        return made

    def _scalar(self, node: Any) -> Any:
        text: str = node.value
        tag: str = node.tag
        if tag is _PLAIN or tag == _PLAIN:
            if text and text[0] not in _FIRST:
                return text
            return self._plain(node, text)
        if not tag.startswith(_CORE):
            # !Sub, !reference and similar tags belong to other programs; Kubernetes' reader ignores them.
            return text
        match tag[len(_CORE) :]:
            case "str" | "binary":
                return text
            case "null" if text in _NULL:
                return None
            case "bool" if text in _TRUE or text in _FALSE:
                return text in _TRUE
            case "int" if _INT.fullmatch(text):
                return self._number(node, text)
            case "float" if _FLOAT.fullmatch(text) or _INT.fullmatch(text):
                return self._number(node, text)
            case "int" | "float" | "bool" | "null" | "timestamp" as kind:
                if kind == "timestamp" and re.fullmatch(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*", text[:40], re.ASCII):
                    return text
                raise _refused(f"{text[:40]!r} is no {kind}", node)
            case other:
                raise _refused(f"the tag !!{other[:60]} is not known", node)

    def _plain(self, node: Any, text: str) -> Any:
        if text in _NULL:
            return None
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        if _INT.fullmatch(text) or _FLOAT.fullmatch(text):
            return self._number(node, text)
        if _SPECIAL.fullmatch(text):
            return float(text.replace(".", "").lower())
        return text

    @staticmethod
    def _number(node: Any, text: str) -> Any:
        plain = text.replace("_", "")
        try:
            if not _INT.fullmatch(text):
                return _whole(plain)
            sign, digits = ("-", plain[1:]) if plain[0] == "-" else ("", plain.lstrip("+"))
            if len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567":
                digits = "0o" + digits[1:]
            return int(sign + digits, 0)
        except (ValueError, OverflowError):
            raise _refused(f"{text[:40]!r} is no int", node) from None


def _refused(reason: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, reason, node.start_mark)


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """The number of nodes once every alias is replaced by its node; a cycle counts as too many."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MAX_NODES + 1  # until it is counted: a node that is met again inside itself is a cycle
    total = 1
    if isinstance(node, yaml.SequenceNode):
        total += sum(_expanded(child, known) for child in node.value)
    elif isinstance(node, yaml.MappingNode):
        total += sum(_expanded(key, known) + _expanded(value, known) for key, value in node.value)
    known[id(node)] = total
    return total
