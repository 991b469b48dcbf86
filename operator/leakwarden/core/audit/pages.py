"""The page of a check: purpose, correction and source; made of its docstring, so that the two never differ."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

from leakwarden.core.audit.checks import CHECKS
from leakwarden.core.audit.findings import Check
from leakwarden.core.audit.objects import OBJECT_CHECKS

PAGES = "docs/reference/checks.md"
SITE = "https://github.com/leakwarden/leakwarden/blob/main"
_TITLES = {
    "1": "Probes",
    "2": "Termination",
    "3": "Rollouts",
    "4": "Availability",
    "5": "Requests and scrapes",
    "6": "Memory and the Go runtime",
    "7": "Volumes, configuration and jobs",
    "8": "Endpoints, as they answer",
    "9": "What the API server refuses, and exceptions",
}


@dataclass(frozen=True, slots=True)
class CheckPage:
    """The parts of a check's page, as plain text; `markdown` is the whole of it."""

    check: Check
    title: str
    why: str
    mend: str
    source: str

    @property
    def markdown(self) -> str:
        made = [f"### {self.check.id} {self.check.name}", "", f"{self.title}.", ""]
        if self.check.kinds:
            made += [f"Asked of: {', '.join(sorted(self.check.kinds))}.", ""]
        if self.why:
            made += [self.why, ""]
        pasted = self.mend.startswith("    ") or "\n    " in self.mend
        made += ["To mend it:" if pasted else f"To mend it: {self.mend}", ""]
        if pasted:
            made += [_fenced(self.mend), ""]
        made.append(f"Source: {self.source}" if not self.source.startswith("http") else f"Source: <{self.source}>")
        return "\n".join(made)


def every_check() -> tuple[Check, ...]:
    """The checks of workloads and those of other objects, by id."""
    return tuple(sorted((*CHECKS, *OBJECT_CHECKS), key=lambda check: check.id))


def page(check: Check) -> CheckPage:
    text = inspect.cleandoc(check.find.__doc__ or check.name)
    head, _, source = text.partition("\n\nSource: ")
    body, _, mend = head.partition("\n\nMend:")
    title, _, why = body.partition("\n")
    # Prose goes on the same line; text to be pasted on lines of its own, indented.
    mend = mend.rstrip().strip("\n") if mend.startswith("\n") else mend.strip()
    return CheckPage(check, title.strip().rstrip("."), why.strip(), mend, source.strip())


def help_uri(check: Check) -> str:
    return f"{SITE}/{PAGES}#{check.id.lower()}-{check.name.lower()}"


def reference() -> str:
    """The pages of all checks, by group."""
    made: list[str] = []
    group = ""
    for check in every_check():
        if check.id[2] != group:
            group = check.id[2]
            made += ["", f"## {_TITLES[group]}"]
        made += ["", page(check).markdown]
    return "\n".join(made).strip("\n")


def _fenced(text: str) -> str:
    """The examples of a docstring as code blocks, and the prose around them as it is."""
    made: list[str] = []
    block: list[str] = []
    for line in (*text.split("\n"), ""):
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line[4:])
            continue
        if block:
            made += [*_blocks(block)]
            block = []
        made.append(line)
    if block:
        made += _blocks(block)
    return "\n".join(made).strip("\n")


def _blocks(lines: list[str]) -> list[str]:
    made = []
    for chunk in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        go = re.search(r":=|\bfunc\(|\bctx\b|<-|http\.HandleFunc", chunk) is not None
        made += [f"```{'go' if go else 'yaml'}", chunk, "```"]
    return made
