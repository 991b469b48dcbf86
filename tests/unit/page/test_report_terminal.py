"""The report on a terminal: within a hundred columns, and plain where nothing else can be shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leakwarden.api.v1alpha1.evidence_status import DescriptorReaderStatus
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.page import sections
from leakwarden.core.page.terminal import TerminalStyle, screen
from tests.unit.page.report_examples import EXAMPLES, example

PLAIN = TerminalStyle(colours=False, unicode=True)


@pytest.mark.parametrize("columns", [40, 80, 100, 300])
@pytest.mark.parametrize("name", list(EXAMPLES))
def test_no_line_is_wider_than_the_terminal_or_a_hundred_columns(name: str, columns: int) -> None:
    for line in screen(example(name), TerminalStyle(columns=columns)).splitlines():
        assert len(line) <= max(40, min(100, columns)), line


def test_the_four_answers_come_first() -> None:
    lines = screen(example("full"), PLAIN).splitlines()
    assert lines[0] == "✓ It helped"
    assert "Which line of code  main.fetchUser  main.go:13" in lines[:14]
    assert "What was done       Pod evicted  05:04:52 UTC" in lines[:14]
    assert "Did it help         Yes" in lines[:14]


def test_colours_are_there_only_where_they_are_asked_for() -> None:
    assert "\x1b[" not in screen(example("full"), PLAIN)
    coloured = screen(example("full"), TerminalStyle(colours=True))
    assert coloured.startswith("\x1b[1;32m")
    assert "\x1b[" in coloured


def test_a_terminal_without_unicode_gets_ascii() -> None:
    for name in EXAMPLES:
        assert screen(example(name), TerminalStyle(unicode=False)).isascii()


def test_what_a_hostile_cluster_says_does_not_drive_the_terminal() -> None:
    text = screen(example("hostile"), PLAIN)
    assert all(character.isprintable() for character in text.replace("\n", ""))


def test_gaps_in_the_readings_are_blank() -> None:
    lines = screen(example("with_gaps"), PLAIN).splitlines()
    bottom = next(line.partition("│")[2] for line in lines if line.strip().startswith("0│"))
    assert "  " in bottom.strip()


def looked_into(**evidence: Any) -> LeakReport:
    report = example("full")
    assert report.status.evidence is not None
    held = report.status.evidence.model_copy(update={"descriptors": [], "descriptor_reader": None, **evidence})
    return replace(report, status=report.status.model_copy(update={"evidence": held}))


def test_open_descriptors_are_shown_or_why_they_are_not_known() -> None:
    lines = ["148 sockets in CLOSE_WAIT: 148 to 10.0.0.9:80", "2 ends of pipes"]
    assert "open descriptors: 148 sockets in CLOSE_WAIT: 148 to 10.0.0.9:80; 2 ends of" in screen(
        looked_into(descriptors=lines), PLAIN
    )
    failed = DescriptorReaderStatus(
        container="leakwarden-descriptors", intended_at="2026-11-27T10:00:00Z", reason="Denied", message="the kernel"
    )
    assert "open descriptors were not read: Denied: the kernel" in screen(looked_into(descriptor_reader=failed), PLAIN)
    page = "".join(str(sections.evidence(looked_into(descriptor_reader=failed).status.evidence, [], []).body))
    assert "Open descriptors were not read: Denied: the kernel" in page
    assert "open descriptors" not in screen(looked_into(), PLAIN)


def test_it_is_short_where_there_is_nothing_to_show() -> None:
    text = screen(example("minimal"), PLAIN)
    assert "│" not in text
    assert "Nothing was done yet" in text


def test_what_users_had_before_and_after_stands_in_a_table_with_what_was_not_measured() -> None:
    lines = [" ".join(line.split()) for line in screen(example("measured"), PLAIN).splitlines()]
    assert "before during after" in lines
    assert "error rate 12.6 % 3.1 % 0 %" in lines
    assert "open descriptors 981 unknown 41" in lines
    assert any("not measured: open descriptors: no readings during" in line for line in lines)
    assert any("at the proxy, route checkout" in line for line in lines)


def test_why_it_was_not_read_is_said() -> None:
    told = " ".join(screen(example("unmeasured"), PLAIN).split())
    assert "were not read: the source kubelet does not remember what was" in told


def test_why_users_got_errors_stands_with_what_was_seen_and_what_was_not_read() -> None:
    told = " ".join(screen(example("explained"), PLAIN).split())
    assert "Exhaustion (Clear): clearly Exhaustion" in told
    assert "log, TooManyOpenFiles: 41 lines" in told
    assert "not read: when the pods' processes began" in told
