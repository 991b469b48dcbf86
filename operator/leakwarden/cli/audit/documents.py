"""One text -> the Kubernetes documents in it, each with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from leakwarden.cli.audit.near_miss import like_an_object, near_miss
from leakwarden.cli.audit.yaml_nodes import load

_MARKER = re.compile(r"^---(?!-)", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{[-\s.]")


@dataclass(frozen=True, slots=True)
class DocumentPlace:
    """The place of a document. `number` counts the file's documents and `line` its lines, both from 1."""

    file: str
    number: int
    line: int
    item: tuple[int, ...] = ()  # its positions in Lists, from the outermost
    start: int = field(default=0, compare=False)  # characters of the file before its chunk
    end: int = field(default=0, compare=False)

    def __str__(self) -> str:
        items = "".join(f", items[{number}]" for number in self.item)
        return f"{self.file}, document {self.number} (line {self.line}){items}"


@dataclass(frozen=True, slots=True)
class Document:
    place: DocumentPlace
    body: Mapping[str, Any]
    twice: tuple[tuple[str, int], ...] = ()  # keys that are written twice in one mapping, with the line of the second

    @property
    def kind(self) -> str:
        return str(self.body.get("kind") or "")


@dataclass(slots=True)
class TextRead:
    """The documents of one text."""

    documents: list[Document] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # lines for people, each naming its file
    notes: list[str] = field(default_factory=list)  # the parts that were left out


def parse(file: str, text: str, show: Callable[[int], None] | None = None) -> TextRead:
    """The documents of a text. Never raises; each document by itself, so that a mistake in one hides no other."""
    found = TextRead()
    number = 0
    for line, start, end, chunk, glued in _chunks(text):
        if not glued and _holds_nothing(chunk):
            continue
        number += 1
        if show:
            show(number)
        here = DocumentPlace(file, number, line, item=(), start=start, end=end)
        if glued:
            found.problems.append(
                f"{here}: text on the line of a separator (---{glued[:40]}): kubectl refuses it or drops the line; put"
                " it on the next line"
            )
        try:
            for loaded in load(chunk):
                place = DocumentPlace(file, number, line + loaded.line, item=(), start=start, end=end)
                _expand(Document(place, loaded.value, _moved(loaded.twice, line)), found)
        except yaml.YAMLError as error:
            place = DocumentPlace(file, number, line + _line_of(error))
            found.problems.append(f"{place}: not valid YAML: {_reason(error)}{_hint(chunk)}")
        except RecursionError:
            found.problems.append(f"{here}: nested too deeply to be read")
        except (ValueError, OverflowError) as error:
            found.problems.append(f"{here}: {error}")
    return found


def _moved(twice: list[tuple[str, int]], line: int) -> tuple[tuple[str, int], ...]:
    return tuple((key, line - 1 + at) for key, at in twice)


def _chunks(text: str) -> Iterator[tuple[int, int, int, str, str]]:
    """The documents of a stream: (first line, start, end, text without the separator, the text that follows the
    separator on its line).

    A line that begins with --- separates documents wherever it is, also in a block scalar.
    """
    starts = [match.start() for match in _MARKER.finditer(text)]
    line = 1
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        chunk = text[start:end]
        glued = ""
        if chunk.startswith("---") and not chunk.startswith("----"):
            first = chunk.partition("\n")[0][3:].rstrip("\r")
            if first.strip() and not first.lstrip().startswith("#"):
                glued = first
            # Text after the separator starts in the first column, as if it were on a line of its own.
            chunk = chunk[3:].lstrip(" \t") if glued else "   " + chunk[3:]
        yield line, start, end, chunk, glued
        line += text.count("\n", start, end)


def _holds_nothing(chunk: str) -> bool:
    """Whether there are only blank lines, comments, directives and document ends."""
    for line in chunk.split("\n"):
        stripped = line.strip()
        if stripped and stripped[0] not in "#%" and stripped != "...":
            return False
    return True


def _expand(document: Document, found: TextRead) -> None:
    """A document, or those in a List. Documents that do not resemble a Kubernetes object are passed over without a
    problem."""
    body: Any = document.body
    if not isinstance(body, dict):
        if isinstance(body, list) and any(like_an_object(item) for item in body):
            found.problems.append(
                f"{document.place}: a list of objects; kubectl wants documents, or kind: List with items"
            )
        return
    kind = body.get("kind")
    if (wrong := near_miss(body)) is not None:
        found.problems.append(f"{document.place}: {wrong}")
        return
    if not isinstance(kind, str):
        return
    if not kind.endswith("List") or ("items" not in body and kind != "List"):
        found.documents.append(document)
        return
    items = body.get("items")
    if not isinstance(items, list):
        if items is not None:
            found.problems.append(f"{document.place}: items of a {kind[:60]} is not a list: nothing in it was read")
        return
    for number, item in enumerate(items):
        place = document.place
        inner = DocumentPlace(
            place.file, place.number, place.line, item=(*place.item, number), start=place.start, end=place.end
        )
        if not isinstance(item, dict):
            found.problems.append(f"{inner}: is no object")
            continue
        if kind != "List":
            # The items of a DeploymentList need not have an apiVersion and kind.
            item = {"apiVersion": body.get("apiVersion"), "kind": kind.removesuffix("List"), **item}
        elif not isinstance(item.get("kind"), str) and near_miss(item) is None:
            found.problems.append(f"{inner}: has no kind, so that it is no object")
            continue
        _expand(Document(inner, item, document.twice if number == 0 else ()), found)


def _hint(chunk: str) -> str:
    if _TEMPLATE.search(chunk):
        return "; it looks like a Helm template: render it with helm template"
    if chunk.lstrip().startswith("{") and re.search(r"^\s*(?://|/\*)", chunk, re.MULTILINE):
        return "; JSON has no comments"
    return ""


def _line_of(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return int(mark.line) if mark is not None else 0


def _reason(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read")
