"""The pages of the documentation as tests read them: their prose, code blocks, headings and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.blocks import ROOT, pages

PAGES = sorted(str(page.relative_to(ROOT)) for page in pages())
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code_blocks(page: str, language: str) -> list[str]:
    """The blocks of one language, without the indentation that a list gives them."""
    found = []
    for indent, kind, body in _FENCE.findall(text_of(page)):
        if kind == language:
            found.append("".join(line.removeprefix(indent) for line in body.splitlines(keepends=True)))
    return found


def prose(page: str) -> str:
    """The page without its code, in which brackets are no links and signs no headings."""
    return re.sub(r"`[^`\n]*`", lambda code: "x" * len(code.group(0)), _FENCE.sub("", text_of(page)))


def links(page: str) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: Path) -> Iterator[str]:
    """GitHub's anchors of the headings of a page."""
    seen: dict[str, int] = {}
    outside = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for heading in re.findall(r"^#{1,6} (.+?) *#*$", outside, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        yield f"{slug}-{count}" if count else slug


def shown_commands(page: str) -> list[str]:
    """Every `leakwarden ...` of a console block, without pipes, redirections and comments."""
    lines = re.findall(r"^\$ (.*)$", "\n".join(code_blocks(page, "console")), re.MULTILINE)
    parts = [part.strip() for line in lines for part in re.split(r"\s[|>]\s?|\s#", line)]
    return [part for part in parts if part.startswith("leakwarden ")]
