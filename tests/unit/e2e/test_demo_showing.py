"""The demo's output: a moment at any size, in place or appended, and the summary of the whole story."""

from __future__ import annotations

import dataclasses
import io
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from e2e.demo import shop
from e2e.demo.access import Codes
from e2e.demo.observation import Levels, Observation, Pod, ServiceState, Told
from e2e.demo.screen import LiveScreen, PlainScreen, choose, command_lines
from e2e.demo.stages import StageFailed, one_line, stage
from e2e.demo.summary import Account, Chapter, checks, summary_lines
from e2e.demo.text import Look, Span, Style, cut, drawn, line, spark, width_of
from e2e.demo.view import Happened, Row, Scene, event_lines, scene_lines
from e2e.harness.kube import KubectlError

COLOURED = Look(colours=True, unicode=True)
BARE = Look(colours=False, unicode=True)
ASCII = Look(colours=False, unicode=False)


def state(pod: str = "bodyleak-abc-old", used: float | None = 100, verdict: str = "Healthy") -> ServiceState:
    made = Pod(pod, f"uid-{pod}", "2026-01-02T03:04:00Z", True, 0)
    return ServiceState(made, Levels(used, 200, 388), verdict)


def scene(events: int = 0, **changed: Any) -> Scene:
    note = "bodyleak-abc-old: descriptors: 199 of 200 descriptors, above 160 for 20s and much longer than that"
    told = tuple(Happened(i, Told(f"key{i}", f"LeakSuspected{i}", note, True, "bodyleak")) for i in range(events))
    rows = (
        Row("bodyleak", Codes({200: 123, 502: 456, 504: 789}), state(verdict="Exhausting"), [None, 0.1, 0.9] * 30),
        Row("healthy", Codes(), ServiceState()),
    )
    return dataclasses.replace(Scene(75, "Observe", "it leaks and " * 20, 5, rows, told), **changed)


@pytest.mark.parametrize(("width", "height"), [(79, 23), (99, 39), (40, 10), (200, 60), (20, 3)])
@pytest.mark.parametrize("look", [COLOURED, BARE, ASCII])
def test_a_moment_fits_any_terminal(width: int, height: int, look: Look) -> None:
    lines = scene_lines(scene(events=40), width, height, look)
    assert len(lines) <= height
    assert max(width_of(each) for each in lines) <= width


def test_a_small_terminal_shows_everything_that_matters() -> None:
    text = "\n".join(drawn(each, BARE) for each in scene_lines(scene(events=3), 79, 23, BARE))
    for expected in (
        f"123{BARE.times}200 456{BARE.times}502",
        "100/200",
        "388",
        "Exhausting",
        " old",
        "mode Observe",
        "1:15",
        "LeakSuspected2",
    ):
        assert expected in text


def test_the_newest_events_are_those_that_stay() -> None:
    text = "\n".join(drawn(each, BARE) for each in scene_lines(scene(events=40), 99, 20, BARE))
    assert "LeakSuspected39" in text
    assert "LeakSuspected0 " not in text


def test_an_event_is_wrapped_to_two_lines_and_says_that_there_is_more() -> None:
    happened = Happened(61, Told("k", "WouldAct", "word " * 60, False, "word"))
    lines = [drawn(each, BARE) for each in event_lines(happened, 60, BARE)]
    assert len(lines) == 2
    assert lines[0].startswith(" 1:01 WouldAct  word")
    assert lines[1].endswith("…")


def test_an_event_names_its_subject_where_its_note_does_not() -> None:
    happened = Happened(0, Told("k", "WouldAct", "would act", False, "bodyleak"))
    assert "bodyleak: would act" in drawn(event_lines(happened, 80, BARE)[0], BARE)


def test_bars_show_every_share_and_gaps_stay_empty() -> None:
    assert spark([0.9, 0.0, None, 0.5, 1.0], 9, BARE) == "█▁ ▅█"
    assert spark([1.7, -1.0], 9, BARE) == "█▁"
    assert spark([0.5], 0, BARE) == ""


def test_a_long_history_is_compressed_and_keeps_its_peaks() -> None:
    assert spark([0.0, 0.3, 0.5, 1.0, 0.1, 0.0, None, None], 4, BARE) == "▃█▁ "
    assert len(spark([0.5] * 1000, 11, BARE)) == 11


def test_ascii_output_holds_nothing_else() -> None:
    text = "\n".join(drawn(each, ASCII) for each in scene_lines(scene(events=3), 79, 23, ASCII))
    assert text.isascii()


def test_what_is_cut_ends_in_an_ellipsis_and_keeps_its_colours_closed() -> None:
    shortened = cut([Span("abc", Style.RED), Span("def")], 4, COLOURED)
    assert drawn(shortened, COLOURED) == "\x1b[31mabc\x1b[0m…"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "kind", "colours"),
    [
        ({"TERM": "xterm"}, LiveScreen, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, LiveScreen, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, LiveScreen, True),
        ({"TERM": "dumb"}, PlainScreen, False),
        ({}, PlainScreen, False),
    ],
)
def test_a_terminal_that_can_is_drawn_over(environment: dict[str, str], kind: type, colours: bool) -> None:
    screen = choose(Terminal(), environment)
    assert type(screen) is kind
    assert screen.look.colours is colours


def test_a_file_gets_plain_lines_and_no_control_characters() -> None:
    out = io.StringIO()
    screen = choose(out, {"TERM": "xterm"})
    for elapsed in range(0, 40, 3):
        screen.show(scene(events=2, elapsed=float(elapsed)))
    text = out.getvalue()
    assert "\x1b" not in text
    assert text.count("LeakSuspected1 ") == 1
    assert 3 <= text.count("bodyleak-abc-old\n") <= 5
    assert text.count("it leaks and") <= 20


def test_the_block_is_drawn_over_until_something_is_told() -> None:
    out = Terminal()
    screen = LiveScreen(out, BARE)
    screen.show(scene())
    drawn_lines = out.getvalue().count("\n")
    screen.show(scene())
    assert f"\x1b[{drawn_lines}F\x1b[J" in out.getvalue()
    screen.tell("this stays")
    before = len(out.getvalue())
    screen.show(scene())
    assert not re.match(r"\x1b\[\d+F", out.getvalue()[before:])


def test_a_command_is_shown_as_one_would_type_it() -> None:
    assert drawn(command_lines(shop.enforce_command())[0], BARE) == (
        """  $ kubectl patch relpol shop -n shop --type=merge -p '{"spec":{"mode":"Enforce"}}'"""
    )


def chapter(pod: str = "old", codes: Codes | None = None, **seen: Any) -> Chapter:
    services = {"bodyleak": state(f"bodyleak-abc-{pod}"), **{name: state(f"{name}-abc-pod") for name in shop.SOUND}}
    observed = Observation(services=services, **seen)
    answers = dict.fromkeys(shop.SERVICES, Codes({200: 60}))
    return Chapter({**answers, "bodyleak": codes or Codes({200: 60})}, answers, observed)


RECORD = {
    "type": "EvictPod", "workload": "bodyleak", "pod": "bodyleak-abc-old", "podUID": "uid-bodyleak-abc-old",
    "phase": "Done", "result": "Effective", "signal": "descriptors", "reason": "199 of 200", "message": "done",
}  # fmt: skip


def outcome(failed_before: float = 6.0, after: float = 0.0) -> dict[str, Any]:
    rows = [
        {"name": "ErrorRate", "unit": "of requests", "before": 0.31, "during": 0.8, "after": after},
        {"name": "HTTP 502", "unit": "per second", "before": failed_before, "during": 4.8, "after": 0.0},
        {"name": "P99", "unit": "seconds", "before": 0.0249, "during": 0.25, "after": 0.01},
        {"name": "Descriptors", "unit": "descriptors", "before": 199, "during": 199, "after": 43},
        {"name": "PoolWaits", "unit": "per second", "missing": "NoSeries: none"},
    ]
    return {"counted": "at the proxy, route bodyleak", "rows": rows}


def account(**after: Any) -> Account:
    told = (Told("k", "WouldAct", "would act", False, "bodyleak"),)
    given: dict[str, Any] = {"pod": "new", "actions": (RECORD,), "outcomes": {"bodyleak": outcome()}, **after}
    return Account(chapter(), chapter(codes=Codes({502: 60}), told=told), chapter(**given), enough=30)


def claims(told: Account) -> list[str]:
    return [check.claim for check in checks(told) if not check.good]


def test_a_story_that_went_well_has_no_failed_check() -> None:
    assert claims(account()) == []


@pytest.mark.parametrize(
    ("told", "failed"),
    [
        (account(codes=Codes({200: 59, 502: 1})), "users get answers again: 1 of nginx's last 60 are errors"),
        (account(codes=Codes({200: 3})), "users get answers again: 0 of nginx's last 3 are errors"),
        (account(outcomes={}), "the LeakReport has it, too: -, -, - of nginx's"),
        (account(outcomes={"bodyleak": outcome(after=0.005)}), "the LeakReport has it, too: 31.0%, 80.0%, 0.5% of"),
        (account(outcomes={"bodyleak": outcome(failed_before=0.0)}), "the LeakReport has it, too"),
        (account(pod="old"), "its replacement is ready"),
        (account(actions=({**RECORD, "result": "Inconclusive"},)), "its replacement is ready"),
        (account(actions=({**RECORD, "podUID": "another"},)), "in mode Enforce that very pod was evicted"),
        (account(actions=({**RECORD, "phase": "Failed"},)), "in mode Enforce that very pod was evicted"),
        (account(actions=(RECORD, {**RECORD, "workload": "healthy"})), "boundedcache and healthy were left alone"),
        (dataclasses.replace(account(), before=chapter()), "found: bodyleak leaks"),
        (dataclasses.replace(account(), start=chapter(pod="older")), "in mode Observe nothing was changed"),
    ],
)
def test_what_did_not_happen_is_said(told: Account, failed: str) -> None:
    assert any(claim.startswith(failed) for claim in claims(told))


def test_the_story_without_any_action_fails_and_can_still_be_shown() -> None:
    told = account(pod="old", actions=(), codes=Codes({502: 60}))
    assert len(claims(told)) >= 3
    assert "THE OPERATOR'S RECORD" not in "\n".join(drawn(each, BARE) for each in summary_lines(told, BARE, 79))


def test_the_summary_puts_before_and_after_side_by_side() -> None:
    now = datetime(2026, 1, 2, 3, 4, 15, tzinfo=UTC)
    text = "\n".join(drawn(each, BARE) for each in summary_lines(account(), BARE, 79, now))
    assert re.search(r"nginx, last 10 s +60.200 +60.502 +60.200\n", text)
    assert re.search(r"error rate +0% +100% +0%\n", text)
    assert re.search(r"restarts, evictions +0, 0 +0, 0 +0, 1\n", text)
    assert "its replacement is 15 s old" in text
    assert re.search(r"IN THE LEAKREPORT +BEFORE +DURING +AFTER\n", text)
    assert re.search(r"ErrorRate +31.0% +80.0% +0.0%\n", text)
    assert re.search(r"HTTP 502 +6.0/s +4.8/s +0.0/s\n", text)
    assert re.search(r"P99 +25 ms +250 ms +10 ms\n", text)
    assert re.search(r"Descriptors +199 +199 +43\n", text)
    assert re.search(r"PoolWaits +- +- +-\n", text)


@pytest.mark.parametrize("look", [BARE, ASCII])
def test_the_summary_fits_eighty_columns(look: Look) -> None:
    assert max(width_of(each) for each in summary_lines(account(), look, 79)) <= 79


@pytest.mark.parametrize("error", [KubectlError("no\n  route"), OSError(28, "No space left on device")])
def test_a_failure_names_step_cause_and_where_to_look(error: Exception) -> None:
    with pytest.raises(StageFailed) as caught, stage("shop", "kubectl get pods"):
        raise error
    assert (caught.value.stage, caught.value.look_at) == ("shop", "kubectl get pods")
    assert "\n" not in caught.value.cause


def test_a_mistake_of_the_demo_itself_is_not_called_a_failed_step() -> None:
    with pytest.raises(KeyError), stage("shop", "kubectl get pods"):
        raise KeyError("a mistake")


def test_a_long_cause_keeps_its_beginning_and_its_end() -> None:
    text = one_line("kubectl apply: " + "word\n" * 1000 + "the reason")
    assert len(text) <= 600
    assert text.startswith("kubectl apply:")
    assert text.endswith("the reason")


def test_the_policy_on_disk_is_the_one_that_is_shown_and_selects_the_shop() -> None:
    text = shop.POLICY_FILE.read_text()
    assert f"name: {shop.POLICY}\n" in text
    assert f"namespace: {shop.NAMESPACE}\n" in text
    assert "mode: Observe" in text
    assert line(text)  # it is text, and may be drawn as it is
