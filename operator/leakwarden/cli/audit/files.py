"""Files, directories and standard input -> the Kubernetes documents in them, each with its place."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

MAX_FILE = 64 * 2**20  # bytes
MAX_NODES = 2_000_000  # after aliases are expanded; the API server's own limit is far below
SUFFIXES = (".yaml", ".yml", ".json")
PATIENCE = 2.0  # s of silence before progress is shown

_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_NOTHING = re.compile(r"(?:\s*(?:[#%][^\n]*)?(?:\n|$))*")
_TEMPLATE = re.compile(r"\{\{[-\s.]")


@dataclass(frozen=True, slots=True)
class DocumentPlace:
    """Where a document stands. `number` counts the file's documents and `line` its lines, both from 1."""

    file: str
    number: int
    line: int

    def __str__(self) -> str:
        return f"{self.file}, document {self.number} (line {self.line})"


@dataclass(frozen=True, slots=True)
class Document:
    place: DocumentPlace
    body: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.body.get("kind") or "")


@dataclass(slots=True)
class ManifestsRead:
    """All that was read. `problems` are lines for people, each naming its file; `notes` say what was left out."""

    documents: list[Document] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(arguments: Sequence[str]) -> ManifestsRead:
    """Read every argument: a file, a directory (recursively) or `-`. Never raises for what a user can cause."""
    reading = ManifestsRead()
    files = [file for argument in arguments for file in _files(argument, reading)]
    progress = ReadingProgress("reading")
    for count, file in enumerate(files, 1):
        progress.show(f"file {count} of {len(files)}")
        try:
            text = _text(file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            reading.problems.append(f"{_shown(file)}: {reason}")
        else:
            _parse(_shown(file), text, reading, progress)
    return reading


class ReadingProgress:
    """A line on standard error every two seconds of work, and none for work that is done before that."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._told = time.monotonic()

    def show(self, what: str) -> None:
        if time.monotonic() - self._told > PATIENCE:
            self._told = time.monotonic()
            print(f"{self._doing} {what}", file=sys.stderr)


def _files(argument: str, reading: ManifestsRead) -> Iterator[str]:
    if argument == "-" or not os.path.isdir(argument):
        yield argument
        return
    for folder, folders, names in os.walk(argument):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if "Chart.yaml" in names and "templates" in folders:
            # Not YAML until Helm has rendered them.
            folders.remove("templates")
            reading.notes.append(
                f"{folder}: the templates of a Helm chart are not read; use helm template {folder} | leakwarden audit -"
            )
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield os.path.join(folder, name)


def _text(file: str) -> str:
    """Raises OSError, or ValueError in words."""
    if file == "-":
        if sys.stdin.isatty():
            print("reading manifests from the terminal; end with Ctrl-D", file=sys.stderr)
        raw = sys.stdin.buffer.read(MAX_FILE + 1)
    else:
        with Path(file).open("rb") as source:
            raw = source.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise ValueError(f"is larger than {MAX_FILE // 2**20} MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def _shown(file: str) -> str:
    return "stdin" if file == "-" else file


def _parse(file: str, text: str, reading: ManifestsRead, progress: ReadingProgress) -> None:
    number = 0
    for line, chunk in _chunks(text):
        if _NOTHING.fullmatch(chunk):
            continue
        number += 1
        progress.show(f"{file}, document {number}")
        # Each document on its own, so that a mistake in one does not hide what is in the others.
        try:
            for offset, body in _load(chunk):
                reading.documents += _expand(DocumentPlace(file, number, line + offset), body)
        except yaml.YAMLError as error:
            place = DocumentPlace(file, number, line + _line_of(error))
            hint = "; it looks like a Helm template: render it with helm template" if _TEMPLATE.search(chunk) else ""
            reading.problems.append(f"{place}: not valid YAML: {_reason(error)}{hint}")
        except RecursionError:
            reading.problems.append(f"{DocumentPlace(file, number, line)}: nested too deeply to be read")
        except (ValueError, OverflowError) as error:
            reading.problems.append(f"{DocumentPlace(file, number, line)}: {error}")


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """The documents of a stream with their first lines. A line that begins with --- separates them wherever it is."""
    starts = [match.start() for match in _MARKER.finditer(text)]
    line = 1
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        chunk = text[start:end]
        yield line, _MARKER.sub("   ", chunk, count=1)
        line += chunk.count("\n")


_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*|[0-9]+[eE][-+]?[0-9]+)$")


def _as_kubernetes_reads(loader: type[Any]) -> type[Any]:
    """A safe loader for which 12:30 and 2024-01-02 are text, as they are for Kubernetes' own reader, and which says of
    a value that does not fit its tag where it stands."""

    def construct_object(self: Any, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return loader.construct_object(self, node, deep)
        except (ValueError, LookupError, AttributeError):  # what PyYAML lets out for 0x_, !!bool maybe, !!timestamp x
            kind = node.tag.rpartition(":")[2]
            shown = repr(node.value[:40]) if isinstance(node.value, str) else "what follows"
            raise yaml.constructor.ConstructorError(None, None, f"{shown} is no {kind}", node.start_mark) from None

    changed: Any = type("Loader", (loader,), {"construct_object": construct_object})
    changed.yaml_implicit_resolvers = {
        first: [
            (tag, regexp) for tag, regexp in resolvers if tag.rpartition(":")[2] not in ("timestamp", "int", "float")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for tag, regexp, first in (("int", _INT, "-+0123456789"), ("float", _FLOAT, "-+0123456789.")):
        changed.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", regexp, list(first))
    return cast(type[Any], changed)


_SafeLoader = _as_kubernetes_reads(yaml.SafeLoader)
_FastLoader = _as_kubernetes_reads(getattr(yaml, "CSafeLoader", yaml.SafeLoader))

_INDICATOR = re.compile(r"[-?:](?=\s|$)")


def _loader(chunk: str) -> type[Any]:
    """The loader in C, ten times faster, unless the text may nest so deeply that it would overflow the C stack.

    Measured: 20,000 levels pass and 200,000 crash the interpreter, where the loader in Python raises
    RecursionError. A level costs an opening bracket, a column of indentation or an indicator in its line.
    """
    deepest = max(len(line) - len(line.lstrip(" ")) + len(_INDICATOR.findall(line)) for line in chunk.split("\n"))
    return _FastLoader if chunk.count("[") + chunk.count("{") + 2 * deepest < 5000 else _SafeLoader


def _load(chunk: str) -> Iterator[tuple[int, Any]]:
    """(lines before it, value) of each document. Raises yaml.YAMLError, ValueError or RecursionError."""
    if chunk.lstrip().startswith("{"):
        try:
            yield 0, json.loads(chunk)
        except json.JSONDecodeError:
            pass  # may still be YAML in flow style, and YAML's error is then the one to show
        else:
            return
    loader = _loader(chunk)(chunk)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            if _expanded(node, {}) > MAX_NODES:
                raise ValueError("its aliases expand to more than the API server would ever accept")
            yield node.start_mark.line, loader.construct_document(node)
    finally:
        loader.dispose()


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes there are once every alias is replaced by what it stands for; a cycle counts as too many."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MAX_NODES + 1  # until it is counted: who meets it again inside itself has a cycle
    total = 1
    if isinstance(node, yaml.SequenceNode):
        total += sum(_expanded(child, known) for child in node.value)
    elif isinstance(node, yaml.MappingNode):
        total += sum(_expanded(key, known) + _expanded(value, known) for key, value in node.value)
    known[id(node)] = total
    return total


def _expand(place: DocumentPlace, body: Any) -> Iterator[Document]:
    """A document, or those in a List. What is no Kubernetes object is not ours to complain about."""
    if not isinstance(body, dict) or not isinstance(body.get("kind"), str):
        return
    items = body.get("items")
    if body["kind"].endswith("List") and isinstance(items, list):
        for item in items:
            if isinstance(item, dict) and body["kind"] != "List":
                # The items of a DeploymentList need not say what they are.
                item = {"apiVersion": body.get("apiVersion"), "kind": body["kind"].removesuffix("List"), **item}
            yield from _expand(place, item)
        return
    yield Document(place, body)


def _line_of(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return int(mark.line) if mark is not None else 0


def _reason(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read")
