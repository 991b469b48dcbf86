"""The pictures: a terminal as SVG, and a recorded table that is read back as it was written."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from e2e.demo import recording
from e2e.demo.text import Line, Span, Style
from tests.docs import pictures

LINES: list[Line] = [
    [Span("nginx  "), Span("12x502", Style.RED)],
    [],
    [Span("a < b & c", Style.DIM)],
]


def test_a_terminal_is_drawn_with_every_word_in_its_place_and_colour() -> None:
    root = ElementTree.fromstring(pictures.terminal(LINES, "a <title>"))
    texts = [node for node in root.iter() if node.tag.endswith("}text")]
    assert [node.text for node in texts] == ["nginx  ", "12x502", "a < b & c"]
    first, second, third = texts
    assert first.get("y") == second.get("y") != third.get("y")
    assert float(second.get("x", 0)) > float(first.get("x", 0))
    assert "fill" in second.get("style", "")
    assert second.get("style") != third.get("style")


def test_a_recorded_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    recording.save(LINES, tmp_path / "new" / "demo.json")
    assert recording.load(tmp_path / "new" / "demo.json") == [list(line) for line in LINES]


def test_the_report_page_is_a_picture_that_is_there() -> None:
    assert pictures.REPORT.read_bytes().startswith(b"\x89PNG")


def test_the_readme_shows_the_demo_only_where_it_was_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pictures, "DEMO", tmp_path / "none.svg")
    assert pictures.demo_picture() == ""
