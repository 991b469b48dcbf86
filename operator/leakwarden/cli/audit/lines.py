"""The line of the very field that a finding is about, searched for when the finding is to be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from leakwarden.cli.audit.documents import DocumentPlace
from leakwarden.cli.audit.files import text_of
from leakwarden.cli.audit.report import Audited
from leakwarden.cli.audit.yaml_nodes import nodes
from leakwarden.core.audit import Finding

_PART = re.compile(r"[^.\[\]]+(?=[.\[]|$)|\[[^\]]{1,80}\]")
POD = {
    "Pod": "spec",
    "CronJob": "spec.jobTemplate.spec.template.spec",
}


class FieldLines:
    """Reads a file again, and keeps the last one: findings are in the order of the files."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._file = ""
        self._text = ""
        self._at: tuple[int, int] = (-1, -1)
        self._nodes: list[yaml.Node] = []

    def of(self, one: Audited, finding: Finding) -> int:
        """Counted from 1; the line of the document, or of the nearest field around it, where the field itself is
        absent."""
        place = one.place
        try:
            node = self._document(place)
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            return place.line
        if node is None:
            return place.line
        for number in place.item:
            node = _step(_step(node, "items"), f"[{number}]") or node
        found = _walk(node, path_of(one.identity.kind, finding))
        return self._first(place) + int(found.start_mark.line)

    def _first(self, place: DocumentPlace) -> int:
        return 1 + self._text.count("\n", 0, place.start)

    def _document(self, place: DocumentPlace) -> Any:
        if place.file != self._file:
            self._file, self._at = place.file, (-1, -1)
            self._text = self._texts[place.file] if place.file in self._texts else text_of(place.file)
        if (place.start, place.end) != self._at:
            self._at = (place.start, place.end)
            chunk = self._text[place.start : place.end or len(self._text)]
            if chunk.startswith("---"):
                chunk = "   " + chunk[3:]
            self._nodes = list(nodes(chunk))
        first = self._first(place)
        return next((n for n in self._nodes if first + n.start_mark.line == place.line), None) or (
            self._nodes[0] if self._nodes else None
        )


def path_of(kind: str, finding: Finding, field: str | None = None) -> list[str]:
    """The parts of a field's path, from the object on; the finding's own field where none is named."""
    pod = POD.get(kind, "spec.template.spec")
    path = finding.field if field is None else field
    if path.startswith("@spec"):
        path = path[1:]
    elif path.startswith("@pod"):
        path = pod + path[4:]
    elif finding.container and not path.startswith(("spec.", "metadata.")):
        # An init container may be meant: its name is searched for in both lists.
        path = f"{pod}.containers[name={finding.container}]" + (f".{path}" if path else "")
    return _PART.findall(path)


def _walk(node: Any, path: list[str]) -> Any:
    for number, part in enumerate(path):
        inner = _step(node, part)
        if inner is None and part == "containers" and _step(node, "initContainers") is not None:
            part, inner = "initContainers", _step(node, "initContainers")
        if inner is None:
            return node
        # A name that is not in the list of containers is that of an init container.
        if part == "containers" and number + 1 < len(path) and _step(inner, path[number + 1]) is None:
            inits = _step(node, "initContainers")
            inner = inits if inits is not None and _step(inits, path[number + 1]) is not None else inner
        node = inner
    return node


def _step(node: Any, part: str) -> Any:
    """The node below; for a key of a mapping, with the start of the key as its start."""
    if isinstance(node, _Keyed):
        node = node.value_node
    if isinstance(node, yaml.SequenceNode) and part.startswith("["):
        inside = part[1:-1]
        if "=" in inside:
            key, _, wanted = inside.partition("=")
            for child in node.value:
                value = _step(child, key)
                if value is not None and getattr(value.value_node, "value", None) == wanted:
                    return child
            return None
        return node.value[int(inside)] if inside.isdigit() and int(inside) < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            if getattr(key_node, "value", None) == part:
                return _Keyed(key_node, value_node)
    return None


class _Keyed:
    """A value under its key: it starts where the key does."""

    __slots__ = ("start_mark", "value_node")

    def __init__(self, key_node: yaml.Node, value_node: yaml.Node) -> None:
        self.start_mark = key_node.start_mark
        self.value_node = value_node
