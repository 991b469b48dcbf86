"""The pictures of the documentation: the page of a LeakReport, and the demo's last table.

`make pictures` draws them. The page is that of tests/fixtures/reports/effective.yaml with the profiles of a service that
really leaked, written by `leakwarden report` and taken by Chromium. The table is that of a run of `make demo
RECORD=docs/pictures/demo.json` on a cluster.
"""

from __future__ import annotations

import base64
import gzip
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

from e2e.demo import recording
from e2e.demo.text import Line, Style, width_of
from tests.docs.blocks import ROOT

FOLDER = ROOT / "docs" / "pictures"
REPORT, DEMO, RECORDED = FOLDER / "report.png", FOLDER / "demo.svg", FOLDER / "demo.json"
_FIXTURE = ROOT / "tests" / "fixtures" / "reports" / "effective.yaml"
_GO, _PROGRAM = "go1.27.4", "body_direct"  # the profiles that the fixture's suspect was named from
_WIDTH, _HEIGHT = 1080, 1090  # CSS pixels: the answers, the picture of the signal and the suspects

# Of a terminal: pixels per character, and colours that are readable on light and dark pages alike.
_CELL, _ROW, _MARGIN, _FONT = 8.4, 19, 16, 14
_GROUND, _TEXT = "#1b1f24", "#d7dce2"
_COLOURS = {
    Style.PLAIN: "", Style.BOLD: "font-weight:bold", Style.DIM: "fill:#8b949e", Style.RED: "fill:#ff7b72",
    Style.GREEN: "fill:#7ee787", Style.YELLOW: "fill:#e3b341", Style.CYAN: "fill:#76c7e0",
}  # fmt: skip


def draw() -> None:
    """Draw all pictures. Raises ClusterError and BrowserFailed where Chromium cannot be had or fails."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw_report(REPORT)
    print(REPORT.relative_to(ROOT))
    if RECORDED.exists():
        DEMO.write_text(terminal(recording.load(RECORDED), "The demo's last table"), encoding="utf-8")
        print(DEMO.relative_to(ROOT))
    else:
        command = f"make demo RECORD={RECORDED.relative_to(ROOT)}"
        print(f"{DEMO.relative_to(ROOT)} is left as it is: run `{command}` first", file=sys.stderr)


def draw_report(file: Path) -> None:
    """The upper part of the page that `leakwarden report` writes, as PNG."""
    from e2e.harness.browser import a_browser, ensure_browser
    from tests.profiles.building import archived

    with tempfile.TemporaryDirectory() as folder:
        profiles, page = Path(folder) / "profiles", Path(folder) / "report.html"
        profiles.mkdir()
        for name, body in archived(_GO).items():
            if name.startswith(f"{_PROGRAM}/"):
                (profiles / f"{name.partition('/')[2]}.gz").write_bytes(gzip.compress(body))
        command = [sys.executable, "-m", "leakwarden", "report", "-f", str(_FIXTURE), "--profiles", str(profiles)]
        subprocess.run([*command, "-o", str(page)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with a_browser(ensure_browser()) as browser, browser.tab() as tab:
            tab.resize(_WIDTH, _HEIGHT)
            tab.call("Emulation.setScrollbarsHidden", hidden=True)
            tab.media(prefers_color_scheme="light")
            tab.open(page)
            clip = {"x": 0, "y": 0, "width": _WIDTH, "height": _HEIGHT, "scale": 1}
            file.write_bytes(base64.b64decode(tab.call("Page.captureScreenshot", clip=clip)["data"]))


def terminal(lines: Sequence[Line], title: str) -> str:
    """Lines of a terminal as SVG."""
    wide = max((width_of(line) for line in lines), default=0) * _CELL + 2 * _MARGIN
    high = len(lines) * _ROW + 2 * _MARGIN
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high}" role="img" width="{wide:.0f}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{_GROUND}"/>',
        f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{_FONT}" fill="{_TEXT}">',
    ]
    for number, line in enumerate(lines):
        column, y = 0, _MARGIN + (number + 0.75) * _ROW
        for span in line:
            if span.text.strip():
                x, length = _MARGIN + column * _CELL, len(span.text) * _CELL
                style = f' style="{_COLOURS[span.style]}"' if _COLOURS[span.style] else ""
                rows.append(
                    f'<text x="{x:.1f}" y="{y:.1f}" textLength="{length:.1f}" xml:space="preserve"{style}>'
                    f"{escape(span.text)}</text>"
                )
            column += len(span.text)
    return "\n".join([*rows, "</g>", "</svg>"]) + "\n"


def demo_picture() -> str:
    """The link to the demo's picture on a page at the top of the repository, where there is one."""
    if not DEMO.exists():
        return ""
    return f"![What the demo ends with: errors before, none after]({DEMO.relative_to(ROOT)})"
