"""Writes the tables of tests/profiles/README.md from the profiles, between its marks."""

from __future__ import annotations

import re
from pathlib import Path

from tests.profiles import libraries
from tests.profiles.building import VERSIONS
from tests.profiles.scoring import markdown, results

README = Path(__file__).parent / "README.md"


def tables() -> dict[str, str]:
    """By the mark's name. A Go version whose services were not run has no table."""
    found = {"score": markdown({version: results(version) for version in VERSIONS})}
    parts = []
    for version, timing in libraries.taken():
        parts.append(f"**{version}, {libraries.TIMINGS[timing].title}**: {libraries.table(version, timing)}")
    found["libraries"] = "\n\n".join(parts) or "These services have not been run yet."
    return found


def written(text: str, made: dict[str, str]) -> str:
    for name, table in made.items():
        text = re.sub(
            rf"(<!-- table: {name} -->\n).*?(<!-- /table -->)",
            lambda match, table=table: f"{match[1]}{table}\n{match[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    return text


def write() -> None:
    README.write_text(written(README.read_text(encoding="utf-8"), tables()), encoding="utf-8")
