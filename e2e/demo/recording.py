"""The demo's last table as a file, so that it can be drawn as a picture where no cluster runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from e2e.demo.text import Line, Span, Style


def save(lines: Sequence[Line], file: Path) -> None:
    """Each line as a list of (text, style)."""
    found = [[(span.text, span.style.value) for span in line] for line in lines]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load(file: Path) -> list[Line]:
    """Raises OSError, ValueError."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return [[Span(text, Style(style)) for text, style in line] for line in found]
