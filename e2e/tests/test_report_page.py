"""The report's page in a real browser, opened from a file: no cluster is needed, and no network is used."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.harness.browser import Browser, Page, a_browser, ensure_browser
from leakwarden.core.page.document import page as page_of
from tests.profiles.building import archived
from tests.unit.page.report_examples import EXAMPLES, FIXTURE, example

PHONE, DESK = 360, 1440
# Text that is cut on purpose ends with an ellipsis; no other text may exceed its box.
WIDTHS = """
(() => {
  const page = document.documentElement;
  const beyond = [...document.querySelectorAll("main *")].filter((e) => !e.closest("svg") &&
    e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().right > page.clientWidth + 1);
  return [page.scrollWidth - page.clientWidth, beyond.map((e) => e.outerHTML.slice(0, 120))];
})()
"""
BOXES = "[...document.querySelectorAll('.flame > .box')]"
SHOWN = f"{BOXES}.filter((box) => getComputedStyle(box).display !== 'none').length"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with a_browser(ensure_browser()) as running:
        yield running


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Page]:
    with chromium.tab() as page:
        page.resize(DESK)
        yield page
        assert page.troubles == [], "the console is silent"
        assert [url for url in page.requests if not url.startswith("file:///")] == []


@pytest.fixture(scope="module")
def flaming(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as the command writes it, with flame graphs of real profiles."""
    folder = tmp_path_factory.mktemp("report")
    profiles = folder / "profiles"
    profiles.mkdir()
    for name, body in archived("go1.27.4").items():
        if name.startswith("body_direct/"):
            (profiles / f"{name.partition('/')[2]}.gz").write_bytes(gzip.compress(body))
    page = folder / "report.html"
    command = [sys.executable, "-m", "leakwarden", "report", "-f", str(FIXTURE), "--profiles", str(profiles)]
    done = subprocess.run([*command, "-o", str(page)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return page


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(name: str) -> Path:
        path = tmp_path / f"{name}.html"
        path.write_text(page_of(example(name)), encoding="utf-8")
        return path

    return write


def colours(browser: Page) -> tuple[str, str]:
    found = browser.ask("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
    return found[0], found[1]


def brightness(colour: str) -> float:
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")) / 765


def test_it_opens_from_a_file_and_asks_nobody_for_anything(browser: Page, flaming: Path) -> None:
    browser.open(flaming)
    assert browser.ask("document.title").startswith("checkout-6f9c7b5d48-x2lqp: It helped")
    assert {url.rpartition("/")[2] for url in browser.requests} == {flaming.name}
    answers = browser.ask("[...document.querySelectorAll('.answer')].map((e) => e.innerText.replace(/\\s+/g, ' '))")
    assert [answer.partition(" ")[0] for answer in answers] == ["Which", "Which", "What", "Did"]
    assert "main.fetchUser main.go:13" in answers[1]
    assert "Pod evicted 05:04:52 UTC" in answers[2]
    assert "Yes" in answers[3]


def test_the_four_answers_are_seen_without_scrolling(browser: Page, flaming: Path) -> None:
    for width, height in ((DESK, 800), (PHONE, 800)):
        browser.resize(width, height, mobile=width == PHONE)
        browser.open(flaming)
        assert browser.ask("document.querySelector('.answers').getBoundingClientRect().bottom") <= height


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_nothing_reaches_beyond_a_phone_or_a_desk(browser: Page, written: Any, name: str) -> None:
    for width in (PHONE, DESK):
        browser.resize(width, mobile=width == PHONE)
        browser.open(written(name))
        browser.ask("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert browser.ask(WIDTHS) == [0, []]


def test_flame_graphs_do_not_reach_beyond_a_phone_either(browser: Page, flaming: Path) -> None:
    browser.resize(PHONE, mobile=True)
    browser.open(flaming)
    browser.ask("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert browser.ask(WIDTHS) == [0, []]


def test_a_phone_gets_a_picture_with_letters_that_can_be_read(browser: Page, flaming: Path) -> None:
    browser.resize(PHONE, mobile=True)
    browser.open(flaming)
    shown = "[...document.querySelectorAll('.chart')].filter((c) => c.getBoundingClientRect().width > 0)"
    assert browser.ask(f"{shown}.map((c) => c.classList.contains('narrow'))") == [True]
    # The size of a letter on the screen: its size in the picture times the picture's scale.
    assert browser.ask(f"(c => 11.5 * c.getBoundingClientRect().width / c.viewBox.baseVal.width)({shown}[0])") >= 10


def test_it_is_dark_in_the_dark_and_light_on_paper(browser: Page, flaming: Path) -> None:
    browser.open(flaming)
    browser.media(prefers_color_scheme="light")
    paper, ink = colours(browser)
    assert brightness(paper) > 0.8 > 0.3 > brightness(ink)
    browser.media(prefers_color_scheme="dark")
    paper, ink = colours(browser)
    assert brightness(paper) < 0.2 < 0.7 < brightness(ink)
    browser.media("print", prefers_color_scheme="dark")
    paper, ink = colours(browser)
    assert brightness(paper) > 0.9 > 0.3 > brightness(ink)


def test_a_click_zooms_into_the_flame_graph_and_out_again(browser: Page, flaming: Path) -> None:
    browser.open(flaming)
    everything = browser.ask(SHOWN)
    assert everything > 20
    before = browser.ask("document.querySelector('.box.suspect rect').getBoundingClientRect().width")
    browser.click(".box.suspect rect")
    assert browser.ask("document.querySelector('.box.suspect rect').getBoundingClientRect().width") > 2 * before
    assert browser.ask(SHOWN) < everything
    assert "main.fetchUser" in browser.ask("document.querySelector('.told').textContent")
    browser.click(".reset")
    assert browser.ask(SHOWN) == everything
    assert browser.ask("document.querySelector('.box.suspect rect').getBoundingClientRect().width") == pytest.approx(
        before
    )
    browser.click(".find")
    assert browser.ask("document.querySelector('.box.suspect rect').getBoundingClientRect().width") > 2 * before


def test_the_flame_graph_can_be_walked_with_the_keyboard(browser: Page, flaming: Path) -> None:
    browser.open(flaming)
    assert browser.ask(f"{BOXES}.filter((box) => box.tabIndex === 0).length") == browser.ask(
        "document.querySelectorAll('.flame').length"
    ), "each graph is one stop of the Tab key"
    everything = browser.ask(SHOWN)
    browser.ask("document.querySelector('.flame > .box').focus()")
    browser.press("ArrowDown")
    browser.press("ArrowRight")
    assert browser.ask("document.activeElement.getAttribute('role')") == "button"
    assert browser.ask("document.activeElement.getAttribute('aria-label')") == browser.ask(
        "document.querySelector('.told').textContent"
    )
    browser.press("Enter")
    assert browser.ask(SHOWN) < everything
    browser.press("Escape")
    assert browser.ask(SHOWN) == everything


def test_without_scripts_everything_is_there_but_the_zoom(browser: Page, flaming: Path) -> None:
    browser.open(flaming, scripts=False)
    assert browser.ask(SHOWN) > 20
    assert browser.ask("document.querySelector('.flame-bar').getBoundingClientRect().height") == 0
    assert browser.ask("document.querySelector('.box.suspect title').textContent").startswith(
        "suspected line: main.fetch"
    )
    assert browser.ask("document.querySelectorAll('.chart').length") == 2


def test_what_a_hostile_cluster_says_is_text_and_nothing_more(browser: Page, written: Any) -> None:
    browser.open(written("hostile"))
    browser.ask("document.querySelectorAll('*').forEach((e) => e.dispatchEvent(new Event('click')))")
    assert browser.ask("window.hacked") is None
    assert browser.ask("[document.scripts.length, document.images.length, document.links.length]") == [1, 0, 0]
    assert browser.ask("document.querySelector('.answer .text').textContent").count("<") > 0, "it is shown as it is"
    assert browser.ask("[...document.querySelectorAll('main *')].flatMap((e) => e.getAttributeNames())"
                       ".filter((name) => name.startsWith('on') || name === 'style' || name === 'href').length") == 0  # fmt: skip


def test_the_page_itself_forbids_foreign_scripts_and_pictures(browser: Page, written: Any) -> None:
    """If a text ever gets through unescaped, the policy is the last protection."""
    path: Path = written("full")
    attack = "<script>window.hacked=1</script><img src='http://attacker.example/x.png' onerror='window.hacked=1'>"
    path.write_text(path.read_text(encoding="utf-8").replace("</main>", f"{attack}</main>"), encoding="utf-8")
    browser.open(path)
    assert browser.ask("window.hacked") is None
    refused = [trouble for trouble in browser.troubles if "Content Security Policy" in trouble]
    assert len(refused) >= 2
    assert set(browser.refused) <= {"csp"}, "what was asked for was never sent"
    browser.troubles.clear()
    browser.requests.clear()
