"""The bench's figures are kept as they were counted, and the documentation is written from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import record
from tests.bench.replaying import ACTED, TOLD
from tests.bench.scoring import Score
from tests.docs import bench


def score(caught: int, false_alarms: int) -> Score:
    return Score(
        leaks=200, caught=caught, fast=10, fast_caught=7, half=20, leads=[3600.0, 7200.0], healthy_days=500.0,
        false_alarms=false_alarms,
    )  # fmt: skip


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> record.Group:
    scores = {TOLD: score(196, 1), ACTED: score(180, 0), "above 80 %": score(199, 4000)}
    group = record.group("known families", "seeds 1 to 2", (41, 600, 400), scores, "| a table |")
    record.save([group], tmp_path / "results.json")
    read = record.load(tmp_path / "results.json")
    monkeypatch.setattr(record, "load", lambda: read)
    return group


def test_what_was_recorded_is_read_back(recorded: record.Group) -> None:
    assert record.load() == [recorded]
    assert recorded.detectors[0].recall == 0.98
    assert recorded.detectors[0].lead_hours == 1.5


def test_the_sentences_hold_the_figures_and_say_that_the_series_are_generated(recorded: record.Group) -> None:
    text = bench.accuracy()
    for said in ("600 generated series", "41 families", "**98.0 %**", "**0.0020**", "90.0 %", "**0.0000**", "70.0 %"):
        assert said in text
    assert "above 80 %, catches 99.5 % with 8.0 false alarms" in text


def test_the_tables_hold_every_detector_and_what_else_was_recorded(recorded: record.Group) -> None:
    text = bench.everything()
    for detector in recorded.detectors:
        assert f"| {detector.detector} |" in text
    assert text.rstrip().endswith("| a table |")
