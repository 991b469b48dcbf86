"""What pyproject.toml cannot say: the README as a package index shows it.

The links of the README are relative, so that they work in any checkout. An index shows the README alone, where they
lead nowhere; there they point to the files of the same release in the repository.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
# A link or a picture of Markdown, `](target)`, and an address in the HTML in it.
_LINKS = re.compile(r'(!?\[[^\]]*\]\(|(?:src|srcset|href)=")(?![a-z+]+:|#|/)([^)#"\s]*)(#[^)"\s]*)?')
_PICTURES = (".png", ".svg")


def for_an_index(readme: str, repository: str, version: str) -> str:
    """The README with each relative link led to the repository's files at the tag of this version."""

    def absolute(link: re.Match[str]) -> str:
        before, path, anchor = link.group(1), link.group(2), link.group(3) or ""
        kind = "raw" if path.endswith(_PICTURES) else "blob"
        return f"{before}{repository}/{kind}/v{version}/{path}{anchor}"

    return _LINKS.sub(absolute, readme)


def long_description() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    code = (ROOT / "operator" / "leakwarden" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', code, re.MULTILINE)
    if version is None:
        raise SystemExit("operator/leakwarden/__init__.py has no __version__")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return for_an_index(readme, project["urls"]["Source"], version.group(1))


if __name__ == "__main__":
    setup(long_description=long_description(), long_description_content_type="text/markdown")
