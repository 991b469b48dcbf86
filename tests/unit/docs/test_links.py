"""Every link of the documentation leads to a file and a heading that exist, in a checkout and on a package index."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from email import message_from_string
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest

import leakwarden
from tests.docs.blocks import ROOT
from tests.unit.docs.pages import PAGES, anchors, links

SOURCE: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]


def broken(link: str, folder: Path) -> str:
    """Why a relative link is broken, or empty."""
    path, _, anchor = link.partition("#")
    target = (folder / path).resolve() if path else folder
    if not target.exists():
        return f"{link}: there is no {target}"
    if anchor and (target.suffix != ".md" or anchor not in anchors(target)):
        return f"{link}: {target.name} has no heading #{anchor}"
    return ""


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    here = ROOT / page
    relative = [link for link in links(page) if not re.match(r"[a-z+]+:", link)]
    found = [broken(link if not link.startswith("#") else f"{here.name}{link}", here.parent) for link in relative]
    assert [each for each in found if each] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        for link in links(str(page.relative_to(ROOT))):
            target = (page.parent / link.partition("#")[0]).resolve()
            if not re.match(r"[a-z+]+:", link) and target.suffix == ".md" and target.is_file():
                ahead.append(target)
    assert {page for page in PAGES if page.startswith("docs/")} - {
        str(page.relative_to(ROOT)) for page in seen
    } == set()


def test_the_metadata_that_an_index_shows_has_no_relative_link(tmp_path: Path) -> None:
    """Built from the real files by the real backend, so that what is uploaded is what is tested."""
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        copy(ROOT / name, tmp_path)
    copytree(ROOT / "operator", tmp_path / "operator", ignore=ignore_patterns("__pycache__", "*.egg-info"))
    (tmp_path / "out").mkdir()
    build = "import setuptools.build_meta as backend; backend.prepare_metadata_for_build_wheel('out')"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "out").glob("*.dist-info/METADATA")
    metadata = message_from_string(file.read_text(encoding="utf-8"))
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["License-Expression"] == "Apache-2.0"
    targets = re.findall(r"\]\(([^)\s]+)\)", str(metadata.get_payload()))
    assert len(targets) > 20
    assert [target for target in targets if not target.startswith("https://")] == []
    ours = [target.removeprefix(f"{SOURCE}/") for target in targets if target.startswith(SOURCE)]
    for target in ours:
        kind, version, path = target.split("/", 2)
        assert kind in ("blob", "raw")
        assert version == f"v{leakwarden.__version__}"
        assert broken(path, ROOT) == ""


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[a](docs/a.md#b)", "[a](https://example.com/x/blob/v1/docs/a.md#b)"),
        ("![a](docs/a.png)", "![a](https://example.com/x/raw/v1/docs/a.png)"),
        ("[a](https://elsewhere.example)", "[a](https://elsewhere.example)"),
        ("[a](#here)", "[a](#here)"),
    ],
)
def test_links_are_led_to_the_files_of_the_release(written: str, shown: str) -> None:
    for_an_index = runpy.run_path(str(ROOT / "setup.py"))["for_an_index"]
    assert for_an_index(written, "https://example.com/x", "1") == shown
