"""The table of leak shapes: each row can be distinguished from every other one."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from leakwarden.core import profile

TABLES = sorted(Path(profile.__file__).parent.glob("*shapes*.py"))


@pytest.mark.parametrize("table", TABLES, ids=[table.stem for table in TABLES])
def test_no_row_takes_the_name_of_another(table: Path) -> None:
    """A second row of one name would silently replace the first one."""
    names = Counter(
        target.id
        for node in ast.parse(table.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    )
    assert [name for name, rows in names.items() if rows > 1] == []
