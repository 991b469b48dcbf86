"""Safe fixes, written into the files with every comment and the order kept.

A fix changes or adds one scalar, spliced into the text at the place that libyaml's marks give. Before anything is
written the new text is read again: nothing but that value may have changed, or the fix is refused with a message.
"""

from __future__ import annotations

import copy
import difflib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from leakwarden.cli.audit.documents import DocumentPlace
from leakwarden.cli.audit.files import text_of
from leakwarden.cli.audit.lines import path_of
from leakwarden.cli.audit.report import Audited, AuditResult
from leakwarden.cli.audit.yaml_nodes import load, nodes
from leakwarden.core.audit import Finding


@dataclass(frozen=True, slots=True)
class FilePatch:
    """One file before and after; `mended` are the ids of the findings that go with it."""

    file: str
    before: str
    after: str
    mended: tuple[str, ...]

    def diff(self) -> str:
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), f"a/{self.file}", f"b/{self.file}", lineterm=""
        )
        return "\n".join(lines)

    def write(self) -> None:
        """Replace the file in one step, so that no reader sees half of it. Raises OSError."""
        real = os.path.realpath(self.file)
        mode = os.stat(real).st_mode
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(real), prefix=".leakwarden-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as target:
                target.write(self.after)
            os.chmod(temporary, mode & 0o7777)
            os.replace(temporary, real)
        except BaseException:
            os.unlink(temporary)
            raise


class _RefusedFix(Exception):
    """The fix cannot be made safely; the message is for people."""


def patches(result: AuditResult) -> tuple[list[FilePatch], list[str]]:
    """(a patch for each file that can be corrected, a line for each fix that could not be made)."""
    by_file: dict[str, list[tuple[Audited, Finding]]] = {}
    for one in result.audited:
        for finding in one.findings:
            if finding.mend:
                by_file.setdefault(one.place.file, []).append((one, finding))
    made, refused = [], []
    for file, wanted in by_file.items():
        if not os.path.isfile(file):
            refused.append(f"{file}: is made by another program; mend what it is made from")
            continue
        try:
            before = _exact(file)
        except (OSError, ValueError) as error:
            refused.append(f"{file}: {error}")
            continue
        after, mended = before, []
        # From the end of the file, so that the places of earlier documents do not change.
        for one, finding in sorted(wanted, key=lambda each: each[0].place.start, reverse=True):
            try:
                after = _mended(after, one, finding)
            except _RefusedFix as reason:
                refused.append(f"{one.place}: {finding.id} is not mended: {reason}")
            else:
                mended.append(finding.id)
        if after != before:
            made.append(FilePatch(file, before, after, tuple(dict.fromkeys(mended))))
    return made, refused


def _exact(file: str) -> str:
    text = text_of(file)
    with open(file, "rb") as source:
        if source.read(3) == b"\xef\xbb\xbf":
            raise ValueError("begins with a byte order mark, and is not mended")
    return text


def _mended(text: str, one: Audited, finding: Finding) -> str:
    for field, value in finding.mend:
        path = path_of(one.identity.kind, finding, field)
        text = _set(text, one.place, path, value)
    return text


def _set(text: str, place: DocumentPlace, path: list[str], value: int | str) -> str:
    """The text with the scalar at the path set. Raises _RefusedFix."""
    number = _chunk_number(text, place)
    start, end = number
    chunk = text[start:end]
    masked = "   " + chunk[3:] if chunk.startswith("---") else chunk
    try:
        roots = list(nodes(masked))
    except (yaml.YAMLError, RecursionError, ValueError):
        raise _RefusedFix("the document cannot be read again") from None
    if len(roots) != 1 or place.item:
        raise _RefusedFix("it is in a List, or shares its document with another one")
    if "&" in chunk and any(word.startswith("*") for word in chunk.split()):
        raise _RefusedFix("the document has aliases, and a change might be seen elsewhere")
    spliced = _spliced(chunk, roots[0], path, value)
    if not _same_but_for(masked, "   " + spliced[3:] if spliced.startswith("---") else spliced, path, value):
        raise _RefusedFix("more than the value would have changed")
    return text[:start] + spliced + text[end:]


def _chunk_number(text: str, place: DocumentPlace) -> tuple[int, int]:
    """The document's present number: its start did not move, since fixes are made from the end; its end may have
    moved."""
    following = text.find("\n---", place.start + 3)
    while following != -1 and text[following + 4 : following + 5] == "-":
        following = text.find("\n---", following + 4)
    return place.start, len(text) if following == -1 else following + 1


def _spliced(chunk: str, root: Any, path: list[str], value: int | str) -> str:
    node, parent = root, None
    for position, part in enumerate(path):
        inner = _child(node, part)
        if inner is None:
            if position != len(path) - 1:
                raise _RefusedFix(f"{part} is not there")
            return _added(chunk, node, part, value)
        node, parent = inner, node
    del parent
    if not isinstance(node, yaml.ScalarNode):
        raise _RefusedFix("it is no single value")
    written = _written(value, node.style)
    return chunk[: node.start_mark.index] + written + chunk[node.end_mark.index :]


def _added(chunk: str, mapping: Any, key: str, value: int | str) -> str:
    if not isinstance(mapping, yaml.MappingNode) or not mapping.value or mapping.flow_style:
        raise _RefusedFix("its mapping is written in one line")
    first = mapping.value[0][0].start_mark
    begin = chunk.rfind("\n", 0, first.index) + 1
    if chunk[begin : first.index].strip(" "):
        raise _RefusedFix("its mapping begins in the middle of a line")
    newline = "\r\n" if "\r\n" in chunk else "\n"
    return f"{chunk[:begin]}{' ' * first.column}{key}: {_written(value, None)}{newline}{chunk[begin:]}"


def _child(node: Any, part: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if getattr(key, "value", None) == part), None)
    if isinstance(node, yaml.SequenceNode) and part.startswith("["):
        key, _, wanted = part[1:-1].partition("=")
        if wanted:
            return next((c for c in node.value if getattr(_child(c, key), "value", None) == wanted), None)
        return node.value[int(key)] if key.isdigit() and int(key) < len(node.value) else None
    return None


def _written(value: int | str, style: str | None) -> str:
    return str(value) if isinstance(value, int) or style not in ("'", '"') else f"{style}{value}{style}"


def _same_but_for(before: str, after: str, path: list[str], value: int | str) -> bool:
    try:
        (was,), (now,) = list(load(before)), list(load(after))
    except (yaml.YAMLError, RecursionError, ValueError):
        return False
    expected = copy.deepcopy(was.value)
    inner: Any = expected
    for part in path[:-1]:
        inner = _inside(inner, part)
        if inner is None:
            return False
    if not isinstance(inner, dict):
        return False
    inner[path[-1]] = value
    return bool(expected == now.value)


def _inside(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and part.startswith("["):
        key, _, wanted = part[1:-1].partition("=")
        candidates: Sequence[Any] = value
        if wanted:
            return next((c for c in candidates if isinstance(c, dict) and c.get(key) == wanted), None)
        return value[int(key)] if key.isdigit() and int(key) < len(value) else None
    return None
