"""The report's page as text: its content, its escaping, and that no report makes it fail."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.v1alpha1.leakreport import Phase, Range
from leakwarden.core.model.text import printable
from leakwarden.core.page import figures, style
from leakwarden.core.page.document import page
from leakwarden.core.page.markup import raw, tag
from leakwarden.core.page.story import OUTCOMES, tell
from leakwarden.core.page.terminal import TerminalStyle, screen
from tests.unit.page.report_examples import EXAMPLES, SCRIPT, example, full, observed, parsed

VOID = {"meta", "br"}


class Outline(HTMLParser):
    """Fails where an element is not closed in its order; keeps the tags with their attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attrs)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_every_page_is_whole_and_the_same_each_time(name: str) -> None:
    text = page(example(name))
    assert text == page(example(name))
    outline = Outline(text)
    headings = [tag for tag, _ in outline.tags if re.fullmatch(r"h\d", tag)]
    assert headings.count("h1") == 1
    assert headings[0] == "h1"
    assert all(int(b[1]) <= int(a[1]) + 1 for a, b in itertools.pairwise(headings)), "no level is left out"
    labels = [attrs for tag, attrs in outline.tags if attrs.get("role") in ("img", "group")]
    assert all(attrs.get("aria-label") for attrs in labels)


def test_the_page_says_which_pod_which_line_what_was_done_and_that_it_helped() -> None:
    said = Outline(page(example("full"))).said
    for words in ("checkout-6f9c7b5d48-x2lqp", "main.fetchUser main.go:13", "Pod evicted 05:04:52 UTC", "Did it help ✓ Yes",
                  "14m to 17m (05:17 to 05:21 UTC)", "about 1h27m", "+590/h to +735/h"):  # fmt: skip
        assert words in said


def test_a_leak_that_is_only_observed_names_the_guard_that_held_back() -> None:
    said = Outline(page(example("observed"))).said
    assert "Leaking, nothing done" in said
    assert "EvictPod held back by Observing: spec.mode is Observe" in said
    assert "Not known Profiles not captured. NoPort: no container port is named pprof or debug" in said


def test_an_outcome_has_its_own_words_for_every_phase() -> None:
    assert set(OUTCOMES) == set(Phase)
    assert len({words for words, _ in OUTCOMES.values()}) == len(Phase)
    for phase in Phase:
        body = full()
        body["status"]["phase"] = phase.value
        assert tell(parsed(body)).outcome in page(parsed(body))


def test_a_failed_action_is_not_called_a_success() -> None:
    body = full()
    body["status"]["actions"][0] |= {"phase": "Blocked", "message": "a PodDisruptionBudget forbids it"}
    body["status"]["phase"] = "Detected"
    story = tell(parsed(body))
    assert story.answers[2].text == "EvictPod refused by a PodDisruptionBudget"
    assert story.answers[2].tone == "warn"
    assert "Pod evicted" not in page(parsed(body))


def test_hostile_text_stays_text() -> None:
    text = page(example("hostile"))
    outline = Outline(text)
    assert [name for name, _ in outline.tags].count("script") == 1
    assert not {"img", "a", "iframe", "object", "link", "base", "form"} & {name for name, _ in outline.tags}
    assert not [
        key for _, attrs in outline.tags for key in attrs if key.startswith("on") or key in ("style", "href", "src")
    ]
    assert SCRIPT in outline.said
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_the_policy_of_the_page_allows_its_own_style_and_script_only() -> None:
    text = page(example("full"))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none';")
    for element in ("style", "script"):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"url\(|@import|https?:", text)


def test_markup_refuses_what_the_policy_would_block() -> None:
    with pytest.raises(ValueError, match="style is not allowed"):
        tag("p", style="color:red")
    with pytest.raises(ValueError, match="onclick is not allowed"):
        tag("p", onclick="x()")
    with pytest.raises(ValueError, match="cannot hold what ends it"):
        raw("script", "'</script>'")


@given(st.text(), st.text())
def test_no_text_breaks_out_of_an_element_or_an_attribute(content: str, value: str) -> None:
    outline = Outline(tag("p", content, title=value))
    assert outline.tags == [("p", {"title": printable(value)})]
    assert "".join(outline.text) == printable(content)


NUMBERS = st.one_of(st.floats(), st.integers(-(2**53), 2**53).map(float))
RANGES = st.fixed_dictionaries({"low": NUMBERS, "high": st.one_of(st.none(), NUMBERS)})


@pytest.mark.slow
@given(
    times=st.lists(st.one_of(st.integers(-(2**63), 2**63), st.integers(0, 260_000_000_000)), max_size=60),
    values=st.lists(NUMBERS, max_size=60),
    value=NUMBERS,
    limit=st.one_of(st.none(), NUMBERS),
    unit=st.sampled_from(["bytes", "of requests", "seconds", "connections", ""]),
    left=RANGES,
    growth=RANGES,
    when=st.one_of(st.text(max_size=30), st.sampled_from(["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])),
)
def test_no_numbers_or_times_make_it_fail(
    times: list[int],
    values: list[float],
    value: float,
    *,
    limit: float | None,
    unit: str,
    left: Any,
    growth: Any,
    when: str,
) -> None:
    body = full()
    status = body["status"]
    status["series"] = {"times": times, "values": values}
    status["verdict"] |= {"value": value, "limit": limit, "unit": unit, "secondsToExhaustion": left,
                          "growthPerHour": growth, "judgedAt": when}  # fmt: skip
    status["verification"]["after"]["growthPerHour"] = growth
    status["actions"][0]["finishedAt"] = status["endedAt"] = when
    report = parsed(body)
    text = page(report)
    Outline(text)
    assert not re.search(r'[ "](nan|-?inf)[ ",]', text)
    assert all(len(line) <= 100 for line in screen(report, TerminalStyle()).splitlines())


def test_readings_that_are_missing_break_the_line() -> None:
    assert page(example("full")).count('<polyline class="line"') == 2, "one line, in the wide and the narrow picture"
    assert page(example("with_gaps")).count('<polyline class="line"') == 4
    assert page(example("with_gaps")).count('<circle class="dot"') == 2, "a reading that stands alone is a dot"


def test_a_limit_that_is_far_away_is_said_and_not_drawn() -> None:
    text = page(example("memory"))
    assert "limit 64 GiB, far above" in text
    assert '<line class="limit"' not in text


def test_a_pool_of_a_few_connections_has_whole_numbers_on_its_axis() -> None:
    labels = re.findall(r'text-anchor="end">([^<]*)</text>', page(example("pool")))
    assert {label for label in labels if label[0].isdigit()} == {"0", "2", "4", "6", "8"}


def test_guards_that_hold_back_come_before_those_that_do_not() -> None:
    said = Outline(page(example("observed"))).said
    assert said.index("1 of 11 guards held the action back") < said.index("10 let it pass")
    assert Outline(page(parsed(observed()))).said.count("holds back") == 1


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(840, 1260, "14m to 21m"), (840, None, "14m or later"), (840, 850, "14m"), (-5, 30, "0s to 30s"), (1, 1e300, "1s to 11574d")],
)  # fmt: skip
def test_time_to_exhaustion_is_an_interval_in_words(low: float, high: float | None, says: str) -> None:
    assert figures.wait(Range(low=low, high=high)) == says


@pytest.mark.parametrize(
    ("value", "unit", "says"),
    [(1024, "", "1,024"), (1.5 * 2**20, "bytes", "1.5 MiB"), (0.0712, "of requests", "7.12 %"), (0.25, "seconds", "250 ms"),
     (float("nan"), "", "unknown"), (None, "bytes", "unknown"), (0.000001, "", "0"), (1e300, "", "1e+300")],
)  # fmt: skip
def test_amounts_are_short_and_carry_their_unit(value: float | None, unit: str, says: str) -> None:
    assert figures.amount(value, unit) == says


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """As WCAG 2.1 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK], ids=["light", "dark"])
def test_text_can_be_read_on_what_it_stands_on(theme: dict[str, str]) -> None:
    for text in ("ink", "muted", *style.TONES):
        for ground in ("paper", "card"):
            assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
    for box in (*style.BOXES, "edge"):
        assert contrast(theme["box-ink"], theme[box]) >= 4.5, box
    assert style.LIGHT.keys() == style.DARK.keys()


def test_what_users_had_before_and_after_is_a_table_of_the_page() -> None:
    text = page(example("measured"))
    assert '<th scope="row">error rate</th><td class="number">12.6 %</td>' in text
    assert "P99" in text
    assert "waits for a pool connection, per second: NoSeries" in text
    assert "does not remember what was" in page(example("unmeasured"))


def test_why_users_got_errors_is_a_section_of_the_page() -> None:
    text = page(example("explained"))
    assert "<h2>Why users got errors</h2>" in text
    assert "TooManyOpenFiles: 41 lines" in text
    assert "Why users got errors" not in page(example("full"))
