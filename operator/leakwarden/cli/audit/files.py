"""Files, directories and standard input -> the Kubernetes documents in them, each with its place."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from leakwarden.cli.audit.documents import Document, DocumentPlace, TextRead, parse

if TYPE_CHECKING:
    from leakwarden.cli.audit.kustomize import Kustomization

__all__ = ["Document", "DocumentPlace", "ManifestsRead", "ReadingProgress", "parts", "read", "text_of"]

MAX_FILE = 64 * 2**20  # bytes
SUFFIXES = (".yaml", ".yml", ".json")
OF_VERSIONS = frozenset({".git", ".hg", ".svn"})  # hidden folders that hold no manifest of anybody's
MOST_NAMED = 10  # hidden files and folders in one note
PATIENCE = 2.0  # s of silence before progress is shown
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


@dataclass(slots=True)
class ManifestsRead:
    """All documents that were read."""

    documents: list[Document] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # lines for people, each naming its file
    notes: list[str] = field(default_factory=list)  # the parts that were left out

    def add(self, part: TextRead) -> None:
        self.documents += part.documents
        self.problems += part.problems
        self.notes += part.notes


def read(arguments: Sequence[str]) -> ManifestsRead:
    """Read every argument: a file, a directory (recursively) or `-`. Never raises for mistakes that a user can make."""
    reading = ManifestsRead()
    for part in parts(arguments, kustomize=False):
        reading.add(part)
    return reading


def parts(arguments: Sequence[str], texts: dict[str, str] | None = None, *, kustomize: bool) -> Iterator[TextRead]:
    """The same, file by file, so that a caller needs the memory of one file at a time.

    `texts` gets the texts that cannot be read again later: standard input and the output of kustomize. `kustomize`:
    kustomizations are built where kustomize or kubectl is installed, in place of reading their bases and patches.
    """
    walk = _Walk(kustomize)
    files = [file for argument in arguments for file in walk.files(argument)]
    yield walk.said
    progress = ReadingProgress("reading")
    for count, file in enumerate(files, 1):
        progress.show(f"file {count} of {len(files)}")
        shown = shown_name(file)
        try:
            text = walk.built.pop(file) if file in walk.built else text_of(file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            yield TextRead(problems=[f"{shown}: {reason}"])
            continue
        if texts is not None and (file == "-" or not os.path.isfile(file)):
            texts[shown] = text
        yield parse(shown, text, lambda number, at=shown: progress.show(f"{at}, document {number}"))  # type: ignore[misc]


class ReadingProgress:
    """A line on standard error every two seconds of work, and no line for shorter work."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._told = time.monotonic()

    def show(self, what: str) -> None:
        if time.monotonic() - self._told > PATIENCE:
            self._told = time.monotonic()
            print(f"{self._doing} {what}", file=sys.stderr)


class _Walk:
    """The files below the arguments, each once; files that are left out are noted."""

    def __init__(self, kustomize: bool) -> None:
        self.said = TextRead()
        self.built: dict[str, str] = {}
        self._kustomize = kustomize
        self._seen: set[tuple[int, int]] = set()

    def files(self, argument: str) -> Iterator[str]:
        if argument == "-" or not os.path.isdir(argument):
            yield argument
            return
        yield from self._below(argument)

    def _below(self, top: str) -> Iterator[str]:
        kustomizations = self._kustomizations(top)
        hidden: list[str] = []
        used = {path for each in kustomizations.values() for path in each.used}
        for folder, folders, names in os.walk(top, onerror=self._unreadable, followlinks=True):
            if not self._first_time(folder):
                self.said.notes.append(f"{shown_name(folder)}: was read already under another name (a link)")
                folders[:] = []
                continue
            hidden += self._hidden(folder, folders, names)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if "Chart.yaml" in names and "templates" in folders:
                # Not YAML before Helm has rendered them.
                folders.remove("templates")
                shown = shown_name(folder)
                self.said.notes.append(
                    f"{shown}: the templates of a Helm chart are not read; use helm template {shown} | leakwarden audit -"
                )
            if folder in kustomizations and os.path.realpath(folder) not in used:
                yield from self._build(folder, kustomizations[folder])
            for name in sorted(names):
                path = os.path.join(folder, name)
                if not name.lower().endswith(SUFFIXES) or name.startswith(".") or os.path.realpath(path) in used:
                    continue
                if folder in kustomizations and name in KUSTOMIZATIONS:
                    continue
                if self._is_special(path):
                    self.said.notes.append(f"{shown_name(path)}: is no regular file, and was not read")
                    continue
                yield path
        if hidden:
            shown = ", ".join(map(shown_name, hidden[:MOST_NAMED])) + (
                f" and {len(hidden) - MOST_NAMED} more" if len(hidden) > MOST_NAMED else ""
            )
            self.said.notes.append(f"hidden, and not read unless named: {shown}")

    @staticmethod
    def _hidden(folder: str, folders: Sequence[str], names: Sequence[str]) -> Iterator[str]:
        """The hidden files that look like manifests, and the hidden folders with such files."""
        for name in sorted(names):
            if name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield os.path.join(folder, name)
        for name in sorted(folders):
            path = os.path.join(folder, name)
            if name.startswith(".") and name not in OF_VERSIONS:
                try:
                    inside = os.listdir(path)
                except OSError:
                    continue
                if any(each.lower().endswith(SUFFIXES) for each in inside):
                    yield path

    def _kustomizations(self, top: str) -> dict[str, Kustomization]:
        if not self._kustomize:
            return {}
        from leakwarden.cli.audit.kustomize import kustomization

        found: dict[str, Kustomization] = {}
        seen: set[str] = set()
        for folder, folders, names in os.walk(top, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:
                folders[:] = []
                continue
            seen.add(real)
            folders[:] = [name for name in folders if not name.startswith(".")]
            if any(name in names for name in KUSTOMIZATIONS):
                found[folder] = kustomization(folder)
        return found

    def _build(self, folder: str, kustomization: Kustomization) -> Iterator[str]:
        from leakwarden.cli.audit.kustomize import build

        text, note = build(folder, kustomization)
        if text is None:
            self.said.notes.append(note)
        else:
            name = f"{folder} (kustomize build)"
            self.built[name] = text
            yield name

    def _first_time(self, folder: str) -> bool:
        try:
            found = os.stat(folder)
        except OSError:
            return True  # os.walk reports the reason
        identity = (found.st_dev, found.st_ino)
        if identity in self._seen:
            return False
        self._seen.add(identity)
        return True

    @staticmethod
    def _is_special(path: str) -> bool:
        """Whether reading could wait for ever, as of a pipe or a device. A missing file has its own error when it is
        read."""
        try:
            return not stat.S_ISREG(os.stat(path).st_mode)
        except OSError:
            return False

    def _unreadable(self, error: OSError) -> None:
        where = os.fsdecode(error.filename) if error.filename is not None else "a directory"
        self.said.problems.append(f"{shown_name(where)}: {error.strerror or error}")


def text_of(file: str) -> str:
    """The text of a file. Raises OSError, or ValueError with a message for people."""
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


def shown_name(file: str) -> str:
    """A file's name, fit for every output: one that is not UTF-8 is shown with its bytes escaped."""
    return "stdin" if file == "-" else file.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
